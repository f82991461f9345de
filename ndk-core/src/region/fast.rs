//! What work requests ask of a region and make of it.

use super::RegionRef;
use super::initialise::Initialised;
use super::snapshot::{FastState, wrong_state};
use crate::domain::DomainRef;
use crate::error::Result;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, RegionKind};
use crate::sync::Ordering;
use crate::work::Tracked;

/// The last fast registration that was posted since the region was initialised.
#[derive(Default)]
pub(super) struct Registration {
    number: Option<u32>,
    /// The backend may not have it yet, as far as is known, and would come to what is asked of it now before.
    being_posted: bool,
}

impl Registration {
    /// # Errors
    /// INVALID_DEVICE_STATE by that rule while a fast registration is being posted.
    pub(super) fn check_posted(&self, rule: &'static str) -> Result<()> {
        if self.being_posted {
            return Err(wrong_state(rule, "a fast registration of the region is being posted"));
        }
        Ok(())
    }
}

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

    /// The fast registration of that number is about to be posted.
    pub(crate) unsafe fn post_fast_register(self, here: u64, number: u32) -> Result<()> {
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let mut registration = region.registration.lock();
        registration.check_posted("G7")?;
        region.word.post_fast_register(here)?;
        *registration = Registration { number: Some(number), being_posted: true };
        Ok(())
    }

    /// The backend has the fast registration of that number.
    pub(crate) unsafe fn set_posted(self, number: u32) {
        // SAFETY: as above.
        let mut registration = unsafe { self.get() }.registration.lock();
        if registration.number == Some(number) {
            registration.being_posted = false;
        }
    }

    /// The fast registration of that number was not posted, or has failed: what that leaves.
    pub(crate) unsafe fn end_fast_register(self, number: u32, state: FastState) {
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let mut registration = region.registration.lock();
        if registration.number == Some(number) {
            registration.being_posted = false;
            region.word.set_fast_state(state);
        }
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
        let region = unsafe { self.get() };
        let registration = region.registration.lock();
        registration.check_posted("G8")?;
        region.word.post_invalidate()
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
