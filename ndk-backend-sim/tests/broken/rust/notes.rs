//! What the layer knows of regions and queue pairs, whichever adapter they are of.

use super::lock;
use ndk_core::mdl::MdlView;
use ndk_core::{Access, LocalToken, RemoteToken};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(super) fn next_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A registration, conventional or fast.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) base: u64,
    pub(crate) length: u64,
    pub(crate) access: Access,
    /// The frame of its first page.
    pub(crate) frame: usize,
    /// The backend's tokens.
    pub(crate) local: u32,
    pub(crate) remote: u32,
    /// Whether a window was bound to it.
    pub(crate) bound: bool,
    /// The queue pair that a fast registration was posted on, and its domain.
    pub(crate) posted_on: usize,
    pub(crate) domain: usize,
}

impl Registered {
    pub(crate) fn over(memory: &MdlView<'_>, access: Access) -> Self {
        let frame = memory.frames().next().unwrap_or_default();
        Self {
            base: memory.base(),
            length: memory.len() as u64,
            access,
            frame,
            local: 0,
            remote: 0,
            bound: false,
            posted_on: 0,
            domain: 0,
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.base.wrapping_add(self.length)
    }

    pub(crate) fn token(&self) -> Option<RemoteToken> {
        RemoteToken::new(self.remote)
    }
}

/// A region.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) number: usize,
    pub(crate) fast: bool,
    pub(crate) now: Arc<Mutex<Option<Registered>>>,
}

static LIVE: Mutex<Vec<Note>> = Mutex::new(Vec::new());

impl Note {
    pub(super) fn new(fast: bool) -> Self {
        Self { number: next_number(), fast, now: Arc::default() }
    }

    pub(crate) fn registered(&self) -> Option<Registered> {
        lock(&self.now).clone()
    }

    pub(super) fn begin(&self, registered: Registered) {
        *lock(&self.now) = Some(registered);
        let mut live = lock(&LIVE);
        live.retain(|note| note.number != self.number);
        live.push(self.clone());
    }

    pub(super) fn bind(&self) {
        lock(&self.now).iter_mut().for_each(|registered| registered.bound = true);
    }

    pub(super) fn end(&self) -> Option<Registered> {
        lock(&LIVE).retain(|note| note.number != self.number);
        lock(&self.now).take()
    }
}

/// The regions that are registered now.
pub(crate) fn live() -> Vec<(Note, Registered)> {
    let live = lock(&LIVE);
    live.iter().filter_map(|note| Some((note.clone(), note.registered()?))).collect()
}

/// Whether a window was bound to the live region of this local token.
pub(crate) fn is_bound(local: u32) -> bool {
    live().iter().any(|(_, registered)| registered.local == local && registered.bound)
}

/// The live region that a remote token names.
pub(crate) fn by_remote(token: RemoteToken) -> Option<(Note, Registered)> {
    live().into_iter().find(|(_, registered)| registered.remote == token.get())
}

/// The registration that a local token names.
pub(crate) fn by_local(token: LocalToken) -> Option<Registered> {
    let named = live().into_iter().find(|(_, registered)| registered.local == token.get());
    named.map(|(_, registered)| registered)
}

/// A queue pair.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) number: usize,
    /// The domain that it is of.
    pub(crate) domain: usize,
    pub(crate) endpoint: String,
    peer: Arc<Mutex<Option<String>>>,
}

/// The number and the domain of each that is open.
static ENDS: Mutex<Option<HashMap<String, (usize, usize)>>> = Mutex::new(None);

impl End {
    pub(super) fn new(endpoint: &str, domain: usize) -> Self {
        let number = next_number();
        lock(&ENDS).get_or_insert_default().insert(endpoint.into(), (number, domain));
        Self { number, domain, endpoint: endpoint.into(), peer: Arc::default() }
    }

    pub(super) fn connect(&self, peer: &str) {
        *lock(&self.peer) = Some(peer.into());
    }

    /// Whether it was connected, or is about to be.
    pub(crate) fn is_connected(&self) -> bool {
        lock(&self.peer).is_some()
    }

    /// The queue pair at the other end.
    pub(crate) fn peer(&self) -> Option<usize> {
        self.other_end().map(|(number, _)| number)
    }

    /// The domain of that.
    pub(crate) fn domain_of_peer(&self) -> Option<usize> {
        self.other_end().map(|(_, domain)| domain)
    }

    fn other_end(&self) -> Option<(usize, usize)> {
        let peer = lock(&self.peer).clone()?;
        lock(&ENDS).get_or_insert_default().get(&peer).copied()
    }

    pub(super) fn closed(&self) {
        lock(&ENDS).get_or_insert_default().remove(&self.endpoint);
    }
}

/// Whether a queue pair is open.
pub(crate) fn is_open(number: usize) -> bool {
    lock(&ENDS).get_or_insert_default().values().any(|open| open.0 == number)
}
