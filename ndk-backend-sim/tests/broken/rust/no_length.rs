//! Accesses of no length that are refused (F3), each of one kind only.

use super::notes::{End, live};
use super::{Layer, Request, lock};
use ndk_core::{LocalToken, RemoteToken, Result, WorkKind};
use std::collections::HashSet;
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "empty_access_is_refused" => Box::new(EmptyAccessIsRefused),
        "empty_access_below_is_refused" => Box::new(EmptyAccessBelowIsRefused),
        "empty_access_is_bounded_in_a_round" => Box::new(EmptyAccessIsBoundedInARound),
        "empty_access_by_a_window_is_refused" => Box::new(EmptyAccessByAWindow::default()),
        "empty_element_is_bounded" => Box::new(EmptyElementIsBounded),
        _ => return None,
    })
}

struct EmptyAccessIsRefused;

impl Layer for EmptyAccessIsRefused {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if request.length() == 0 {
            request.name_nothing();
        }
        Ok(())
    }
}

/// One below a conventional region, as by the difference of the addresses.
struct EmptyAccessBelowIsRefused;

impl Layer for EmptyAccessBelowIsRefused {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (Some((note, to)), Some((address, 0))) = (request.target(), request.range())
            && !note.fast
            && address < to.base
        {
            request.name_nothing();
        }
        Ok(())
    }
}

/// One outside of a fast registration.
struct EmptyAccessIsBoundedInARound;

impl Layer for EmptyAccessIsBoundedInARound {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (Some((note, to)), Some((address, 0))) = (request.target(), request.range())
            && note.fast
            && !(to.base..=to.end()).contains(&address)
        {
            request.name_nothing();
        }
        Ok(())
    }
}

/// Any by the token of a window.
#[derive(Default)]
struct EmptyAccessByAWindow(Mutex<HashSet<RemoteToken>>);

impl Layer for EmptyAccessByAWindow {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let mut windows = lock(&self.0);
        windows.extend(request.window);
        let is_by_one = request.remote.is_some_and(|remote| windows.contains(&remote.token));
        if is_by_one && request.length() == 0 {
            request.name_nothing();
        }
        Ok(())
    }
}

/// An element of a receive that begins outside of its region.
struct EmptyElementIsBounded;

impl Layer for EmptyElementIsBounded {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if request.kind != WorkKind::Receive {
            return Ok(());
        }
        for element in request.local.iter_mut().filter(|element| element.length == 0) {
            let token = element.token.get();
            let of = live().into_iter().find(|(_, it)| it.local == token);
            if of.is_some_and(|(_, it)| !(it.base..=it.end()).contains(&element.address)) {
                element.token = LocalToken::new(token ^ 0x5a5a_5a5a).expect("a token");
            }
        }
        Ok(())
    }
}
