//! What is let through in another protection domain, or to another kind of region, than it is for (F5, G9).

use super::notes::{End, by_remote};
use super::{Layer, Request, lock};
use ndk_core::{ErrorKind, RemoteToken, Result, WorkCompletion};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "window_works_in_every_domain" => Box::new(Taken::by(Taken::remotely)),
        "window_is_local_memory_elsewhere" => Box::new(Taken::by(Taken::locally)),
        "other_domain_is_invalidated" => Box::new(OtherDomainIsInvalidated),
        "window_of_other_domain_is_invalidated" => Box::new(OtherWindowIsInvalidated::default()),
        "conventional_region_is_invalidated" => Box::new(ConventionalRegionIsInvalidated),
        _ => return None,
    })
}

/// The domain that each window was bound in, by a peer's token.
#[derive(Default)]
struct Windows(HashMap<RemoteToken, usize>);

impl Windows {
    fn note(&mut self, at: &End, request: &Request) {
        self.0.extend(request.window.map(|window| (window, at.domain)));
    }

    /// Whether the token is that of a window of another domain.
    fn is_of_another(&self, token: RemoteToken, domain: Option<usize>) -> bool {
        self.0.get(&token).is_some_and(|&of| Some(of) != domain)
    }
}

/// Requests that name another domain's window, and say that they were carried out.
struct Taken {
    names: fn(&Windows, &End, &Request) -> bool,
    windows: Mutex<Windows>,
    posted: Mutex<HashSet<u64>>,
}

impl Taken {
    fn by(names: fn(&Windows, &End, &Request) -> bool) -> Self {
        Self { names, windows: Mutex::default(), posted: Mutex::default() }
    }

    /// As a peer's memory.
    fn remotely(windows: &Windows, at: &End, request: &Request) -> bool {
        let domain = at.domain_of_peer();
        request.remote.is_some_and(|remote| windows.is_of_another(remote.token, domain))
    }

    /// As memory of its own side.
    fn locally(windows: &Windows, at: &End, request: &Request) -> bool {
        let mut tokens = request.local.iter().filter_map(|own| RemoteToken::new(own.token.get()));
        tokens.any(|token| windows.is_of_another(token, Some(at.domain)))
    }
}

impl Layer for Taken {
    fn post(&self, at: &End, request: &mut Request) -> Result<()> {
        let mut windows = lock(&self.windows);
        windows.note(at, request);
        if (self.names)(&windows, at, request) {
            lock(&self.posted).insert(request.context);
        }
        Ok(())
    }
    fn completed(&self, _: &End, completion: &mut WorkCompletion) {
        let is_it = lock(&self.posted).remove(&completion.id.context);
        if is_it && completion.result == Err(ErrorKind::AccessViolation) {
            completion.result = Ok(());
        }
    }
}

/// A send that is to invalidate a fast registration of another domain succeeds.
struct OtherDomainIsInvalidated;

impl Layer for OtherDomainIsInvalidated {
    fn post(&self, at: &End, request: &mut Request) -> Result<()> {
        let named = request.invalidate.and_then(by_remote);
        let domain = at.domain_of_peer();
        if named.is_some_and(|(note, it)| note.fast && Some(it.domain) != domain) {
            request.invalidate = None;
        }
        Ok(())
    }
}

/// A send that is to invalidate a window of another domain succeeds.
#[derive(Default)]
struct OtherWindowIsInvalidated(Mutex<Windows>);

impl Layer for OtherWindowIsInvalidated {
    fn post(&self, at: &End, request: &mut Request) -> Result<()> {
        let mut windows = lock(&self.0);
        windows.note(at, request);
        let domain = at.domain_of_peer();
        if request.invalidate.is_some_and(|token| windows.is_of_another(token, domain)) {
            request.invalidate = None;
        }
        Ok(())
    }
}

/// A send that is to invalidate a conventional region succeeds.
struct ConventionalRegionIsInvalidated;

impl Layer for ConventionalRegionIsInvalidated {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let named = request.invalidate.and_then(by_remote);
        if named.is_some_and(|(note, _)| !note.fast) {
            request.invalidate = None;
        }
        Ok(())
    }
}
