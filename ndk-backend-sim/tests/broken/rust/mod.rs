//! Defects of a backend's part: a layer over the provider traits.

mod adapter;
mod notes;
mod queue_pair;
mod region;
mod weak;

mod a_to_d;
mod at_once;
mod e_and_f;
mod elsewhere;
mod g_and_h;
mod k_and_l;
mod no_length;
mod sleeps;

pub(crate) use adapter::Broken;

use crate::table::lock;
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, Capabilities, Error, LocalToken, RemoteToken, Result, Sge, WorkCompletion, WorkKind,
};
pub(crate) use notes::is_bound;
use notes::{End, Note, Registered};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What ends a registration of the backend's, for a layer that lets it go on.
type Kill = Box<dyn FnOnce() + Send>;

/// A request on its way to the backend, to be changed.
pub(crate) struct Request {
    pub(crate) context: u64,
    pub(crate) kind: WorkKind,
    pub(crate) local: Vec<Sge>,
    pub(crate) remote: Option<ndk_core::RemoteAddress>,
    pub(crate) invalidate: Option<RemoteToken>,
    /// The region of a fast registration, an invalidation or a bind; not of a window's invalidation.
    pub(crate) region: Option<Note>,
    /// A peer's token of the window of a bind.
    pub(crate) window: Option<RemoteToken>,
    pub(crate) fast: Option<Fast>,
}

/// A fast registration.
#[derive(Clone)]
pub(crate) struct Fast {
    pub(crate) pages: Vec<u64>,
    pub(crate) first_byte: u32,
    pub(crate) length: u64,
    pub(crate) base: u64,
    pub(crate) access: Access,
}

impl Request {
    /// Bytes of local memory.
    pub(crate) fn length(&self) -> u64 {
        self.local.iter().map(|element| u64::from(element.length)).sum()
    }

    /// Makes a remote access `length` bytes long, from `address` on.
    pub(crate) fn aim(&mut self, address: u64, length: u64) {
        if let Some(remote) = &mut self.remote {
            remote.address = address;
        }
        let mut left = length;
        for element in &mut self.local {
            element.length = element.length.min(left as u32);
            left -= u64::from(element.length);
        }
    }

    /// Names another region in a remote access.
    pub(crate) fn name(&mut self, token: Option<RemoteToken>) {
        if let (Some(remote), Some(token)) = (&mut self.remote, token) {
            remote.token = token;
        }
    }

    /// Names no region in a remote access.
    pub(crate) fn name_nothing(&mut self) {
        let token = self.remote.map(|remote| remote.token.get() ^ 0x5a5a_5a5a);
        self.name(token.and_then(RemoteToken::new));
    }

    /// The region that a remote access is for.
    pub(crate) fn target(&self) -> Option<(Note, Registered)> {
        notes::by_remote(self.remote?.token)
    }

    /// A remote access's address and length.
    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        Some((self.remote?.address, self.length()))
    }
}

/// A request of the layer's own, whose completion nobody sees.
pub(crate) enum Hidden {
    Invalidate,
    Register(Fast),
}

/// The operations of a layer. What a defect does not change goes to the backend, and comes from it.
pub(crate) trait Layer: Send + Sync {
    fn capabilities(&self, declared: Capabilities) -> Capabilities {
        declared
    }
    fn highest_minor(&self, _major: u16, served: Option<u16>) -> Option<u16> {
        served
    }
    /// How many regions the adapter of the small limit has room for.
    fn regions(&self, limit: u32) -> u32 {
        limit
    }
    /// In which domain of the backend's the regions of this one are made.
    fn domain_of_regions(&self, number: usize) -> usize {
        number
    }
    fn privileged_token(&self, _number: usize, token: Option<LocalToken>) -> Option<LocalToken> {
        token
    }
    /// Whether the mapping of this memory waits.
    fn mapping_waits(&self, _memory: &MdlView<'_>) -> bool {
        false
    }
    /// Gives other addresses to the pages of a mapping.
    fn mapped(&self, _memory: &MdlView<'_>, _pages: &mut [u64]) {}

    fn created(&self, _region: &Note) {}
    fn register(&self, _region: &Note, _memory: &MdlView<'_>, _access: &mut Access) -> Result<()> {
        Ok(())
    }
    fn registered(&self, _region: &Note, _memory: &MdlView<'_>) {}
    /// The backend has refused a registration.
    fn refused(&self, _region: &Note) {}
    /// Whether the backend is to end the registration now; else whoever has `kill`.
    fn deregister(&self, _region: &Note, _kill: Kill) -> Result<bool> {
        Ok(true)
    }
    fn deregistered(&self, _region: &Note, _was: &Registered) {}
    fn initialise(&self, _region: &Note, _remote: bool) -> Result<()> {
        Ok(())
    }
    /// Whether the backend's region is to be closed.
    fn close(&self, _region: &Note) -> bool {
        true
    }
    fn local_token(&self, _region: &Note, token: Option<LocalToken>) -> Option<LocalToken> {
        token
    }
    fn remote_token(&self, _region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        token
    }

    fn post(&self, _at: &End, _request: &mut Request) -> Result<()> {
        Ok(())
    }
    /// What the layer posts before and after a request.
    fn around(&self, _at: &End, _request: &Request) -> (Vec<Hidden>, Vec<Hidden>) {
        (Vec::new(), Vec::new())
    }
    fn completed(&self, _at: &End, _completion: &mut WorkCompletion) {}
    /// Whether completions of these kinds come in the wrong order.
    fn swaps(&self, _first: WorkKind, _second: WorkKind) -> bool {
        false
    }
    fn window_closed(&self) {}

    /// Whether a creation at once, which was carried out, answers nothing, so that the future makes another region.
    fn makes_again(&self) -> bool {
        false
    }
    /// Whether each region has a twin at the backend, for what is done twice.
    fn has_twins(&self) -> bool {
        false
    }
    /// Whether a registration at once, which was carried out with the twin, answers nothing, so that the future registers
    /// the region itself.
    fn registers_again(&self, _memory: &MdlView<'_>) -> bool {
        false
    }
    /// What a creation at once is refused with, where the backend has refused it.
    fn refused_at_once(&self, refusal: Error) -> Error {
        refusal
    }
    /// Whether a read or a write is said to be carried out at once that the backend is not asked for.
    fn is_said_to_be_done(&self, _request: &Request) -> bool {
        false
    }
    /// Whether a read or a write at once goes ahead of what has not completed.
    fn overtakes(&self, _at: &End) -> bool {
        false
    }
}

/// A layer that changes nothing.
struct Sound;

impl Layer for Sound {}

static LAYER: OnceLock<Box<dyn Layer>> = OnceLock::new();
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Ends the name of a provider that is asked, and answers, without futures and lists of what is posted. What its layer
/// changes it changes there.
const NO_FUTURES: &str = "_at_once";

/// Whether the entries for what is done at once lead to the backend.
fn is_at_once() -> bool {
    AT_ONCE.load(Ordering::Relaxed)
}

fn layer() -> &'static dyn Layer {
    &**LAYER.get().expect("installed before the kit runs")
}

/// The layer with a defect of this name.
pub(crate) fn find(name: &str) -> Option<Box<dyn Layer>> {
    let (name, ends) = match name.strip_suffix(NO_FUTURES) {
        Some(name) => (name, true),
        None => (name, false),
    };
    AT_ONCE.store(ends, Ordering::Relaxed);
    [
        a_to_d::find,
        e_and_f::find,
        no_length::find,
        sleeps::find,
        elsewhere::find,
        g_and_h::find,
        k_and_l::find,
        weak::find,
        at_once::find,
    ]
    .iter()
    .find_map(|find| find(name))
}

/// Has this process's adapters carry the layer.
pub(crate) fn install(found: Option<Box<dyn Layer>>) {
    assert!(
        LAYER.set(found.unwrap_or_else(|| Box::new(Sound))).is_ok(),
        "one provider to a process"
    );
}

/// The room of the adapter of the small limit.
pub(crate) fn regions(limit: u32) -> u32 {
    layer().regions(limit)
}
