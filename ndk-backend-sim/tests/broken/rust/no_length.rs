//! Accesses of no length that are refused (F3), each of one kind only.

use super::notes::{End, Note, Registered, by_local};
use super::{Layer, Request, lock};
use ndk_core::{LocalToken, RemoteToken, Result, WorkKind};
use std::collections::HashSet;
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "empty_access_is_refused" => Box::new(EmptyAccessIsRefused),
        "empty_access_below_is_refused" => Box::new(EmptyAccess(is_below)),
        "empty_access_is_bounded_in_a_round" => Box::new(EmptyAccess(is_outside_of_a_round)),
        "empty_access_by_a_window_is_refused" => Box::new(EmptyAccessByAWindow::default()),
        "empty_element_is_bounded" => Box::new(EmptyElementIsBounded),
        _ => return None,
    })
}

/// One at an address of a region that this says is refused.
struct EmptyAccess(fn(&Note, &Registered, u64) -> bool);

impl Layer for EmptyAccess {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (Some((note, to)), Some((address, 0))) = (request.target(), request.range())
            && (self.0)(&note, &to, address)
        {
            request.name_nothing();
        }
        Ok(())
    }
}

/// Below a conventional region, as by the difference of the addresses.
fn is_below(note: &Note, to: &Registered, address: u64) -> bool {
    !note.fast && address < to.base
}

/// Outside of a fast registration.
fn is_outside_of_a_round(note: &Note, to: &Registered, address: u64) -> bool {
    note.fast && is_outside(to, address)
}

fn is_outside(of: &Registered, address: u64) -> bool {
    !(of.base..=of.end()).contains(&address)
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
            if by_local(element.token).is_some_and(|of| is_outside(&of, element.address)) {
                element.token =
                    LocalToken::new(element.token.get() ^ 0x5a5a_5a5a).expect("a token");
            }
        }
        Ok(())
    }
}
