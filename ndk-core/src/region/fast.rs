//! What work requests ask of a region and make of it.

use super::RegionRef;
use super::initialise::Initialised;
use super::snapshot::FastState;
use crate::domain::DomainRef;
use crate::error::Result;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, RegionKind};
use crate::sync::Ordering;
use crate::work::Tracked;

/// # Safety
/// Of every function here: the region is alive, be it that it is not closed, that the caller has a reference, or
/// that it holds the lock of the domain's list, on which it found the region.
impl<A: AdapterProvider, P: Platform> RegionRef<A, P> {
    pub(crate) unsafe fn id(self) -> u64 {
        // SAFETY: the impl's promise.
        unsafe { self.get().id }
    }

    /// Its place in the domain's list.
    pub(crate) unsafe fn child(self) -> u32 {
        // SAFETY: as above.
        unsafe { self.get().child as u32 }
    }

    pub(crate) unsafe fn kind(self) -> RegionKind {
        // SAFETY: as above.
        match unsafe { self.get() }.word.load().is_fast() {
            true => RegionKind::FastRegister,
            false => RegionKind::Conventional,
        }
    }

    pub(crate) unsafe fn is_in(self, domain: DomainRef<A, P>) -> bool {
        // SAFETY: as above.
        unsafe { self.get().domain == domain.pointer() }
    }

    /// What the last committed initialisation allows.
    pub(crate) unsafe fn initialised(self) -> Initialised {
        // SAFETY: as above.
        Initialised::unpack(unsafe { self.get() }.initialised.load(Ordering::Acquire))
    }

    /// Which initialisation that was; 0 for none.
    pub(crate) unsafe fn round(self) -> u32 {
        // SAFETY: as above.
        unsafe { self.get() }.round.load(Ordering::Acquire) as u32
    }

    /// How many of its invalidations have not completed.
    pub(crate) unsafe fn invalidations(self) -> u64 {
        // SAFETY: as above.
        unsafe { self.get() }.word.load().invalidations()
    }

    pub(crate) unsafe fn post_fast_register(self, here: u64) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.get() }.word.post_fast_register(here)
    }

    /// A peer can invalidate the registration by its token from now on, until the region is closed.
    pub(crate) unsafe fn list_token(self, note: Tracked) {
        // SAFETY: as above; the region's reference keeps the domain.
        let (region, domain) = unsafe { (self.get(), self.get().domain.as_ref()) };
        // SAFETY: as above.
        let Some(token) = (unsafe { self.remote_token() }) else { return };
        let before = region.listed.swap(token.get().into(), Ordering::AcqRel) as u32;
        if before != 0 && before != token.get() {
            domain.unlist_token(before, note.child);
        }
        domain.note_token(token.get(), note);
    }

    pub(crate) unsafe fn post_invalidate(self) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.get() }.word.post_invalidate()
    }

    pub(crate) unsafe fn end_invalidation(self, state: Option<FastState>) {
        // SAFETY: as above.
        unsafe { self.get() }.word.end_invalidation(state);
    }

    pub(crate) unsafe fn set_fast_state(self, state: FastState) {
        // SAFETY: as above.
        unsafe { self.get() }.word.set_fast_state(state);
    }

    /// One more window is being bound to the region.
    pub(crate) unsafe fn bind(self) -> Result<()> {
        // SAFETY: as above; the reference that is let go is the one taken here.
        unsafe {
            let word = &self.get().word;
            word.retain();
            let bound = word.bind();
            if bound.is_err() {
                self.release();
            }
            bound
        }
    }

    /// A window is no longer bound. The region may be gone afterwards: a close that waited for it becomes due.
    pub(crate) unsafe fn unbind(self) {
        // SAFETY: the binding's reference.
        unsafe {
            self.get().word.unbind();
            self.release();
        }
    }
}
