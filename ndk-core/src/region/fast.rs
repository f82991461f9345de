//! What work requests ask of a region and make of it.

use super::RegionRef;
use super::initialise::Initialised;
use super::snapshot::{FastState, Op, wrong_state};
use super::word::Word;
use crate::access::RemoteToken;
use crate::domain::DomainRef;
use crate::error::Result;
use crate::platform::Platform;
use crate::provider::AdapterProvider;
use crate::sync::Ordering;
use crate::work::Tracked;

/// The last fast registration that was posted since the region was initialised.
#[derive(Default)]
pub(super) struct Registration {
    number: Option<u32>,
    /// The backend may not have it yet, as far as is known, and would come to what is asked of it now before.
    being_posted: bool,
    /// The queue pair that it was posted to, by its number, until its completion is polled.
    in_flight: Option<u64>,
    /// A peer has invalidated it.
    ended_by_peer: bool,
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

    /// Whether a fast registration may be posted now, for all that is known without its queue pair.
    pub(crate) unsafe fn admit_fast_register(self) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.get() }.word.load().admit_fast_register(u64::MAX)
    }

    /// The fast registration of that number is about to be posted to that queue pair.
    pub(crate) unsafe fn post_fast_register(
        self,
        queue_pair: u64,
        here: u64,
        number: u32,
    ) -> Result<()> {
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let mut registration = region.registration.lock();
        registration.check_posted("G7")?;
        region.word.post_fast_register(here)?;
        *registration = Registration {
            number: Some(number),
            being_posted: true,
            in_flight: Some(queue_pair),
            ended_by_peer: false,
        };
        Ok(())
    }

    /// Changes what is known of the fast registration of that number, if it is the last one.
    unsafe fn with_registration(self, number: u32, change: impl FnOnce(&Word, &mut Registration)) {
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let mut registration = region.registration.lock();
        if registration.number == Some(number) {
            change(&region.word, &mut registration);
        }
    }

    /// The backend has the fast registration of that number.
    pub(crate) unsafe fn set_posted(self, number: u32) {
        // SAFETY: as above.
        unsafe {
            self.with_registration(number, |_, registration| registration.being_posted = false)
        };
    }

    /// The completion of the fast registration of that number was polled.
    pub(crate) unsafe fn complete_fast_register(self, number: u32) {
        let complete = |_: &Word, registration: &mut Registration| {
            registration.being_posted = false;
            registration.in_flight = None;
        };
        // SAFETY: as above.
        unsafe { self.with_registration(number, complete) };
    }

    /// The fast registration of that number was not posted. What was heard of the one before it meanwhile stays.
    pub(crate) unsafe fn take_back_fast_register(self, number: u32) {
        let take_back = |word: &Word, registration: &mut Registration| {
            registration.being_posted = false;
            word.change_fast_state(|state| match state {
                FastState::Valid => FastState::Free,
                other => other,
            });
        };
        // SAFETY: as above.
        unsafe { self.with_registration(number, take_back) };
    }

    /// The fast registration of that number has failed, or nobody knows.
    pub(crate) unsafe fn fail_fast_register(self, number: u32) {
        let fail = |word: &Word, registration: &mut Registration| {
            registration.being_posted = false;
            word.change_fast_state(|_| FastState::Stale);
        };
        // SAFETY: as above.
        unsafe { self.with_registration(number, fail) };
    }

    /// A peer has invalidated what was registered in that round.
    pub(crate) unsafe fn end_by_peer(self, round: u32) {
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let mut registration = region.registration.lock();
        // SAFETY: as above.
        if unsafe { self.round() } == round {
            registration.ended_by_peer = true;
            region.word.change_fast_state(|state| match state {
                FastState::Valid => FastState::Free,
                // More was heard of what came behind it.
                other => other,
            });
        }
    }

    /// A peer can invalidate the registration by its token from now on, until the region is closed.
    pub(crate) unsafe fn list_token(self, note: Tracked) {
        // SAFETY: as above.
        if let Some(token) = unsafe { self.remote_token() } {
            // SAFETY: as above.
            unsafe { self.list(token, note) };
        }
    }

    /// As `list_token`, unless another registration than that of the number, or an initialisation, has followed.
    pub(crate) unsafe fn list_token_again(self, note: Tracked, number: u32) {
        // Before the lock: the backend is asked.
        // SAFETY: as above.
        let Some(token) = (unsafe { self.remote_token() }) else { return };
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let registration = region.registration.lock();
        // An initialisation that is at work has given the token back already.
        let is_now = region.word.load().op() != Op::Initialise;
        if is_now && registration.number == Some(number) {
            // SAFETY: as above.
            unsafe { self.list(token, note) };
        }
    }

    unsafe fn list(self, token: RemoteToken, note: Tracked) {
        // SAFETY: as above; the region's reference keeps the domain.
        let (region, domain) = unsafe { (self.get(), self.get().domain.as_ref()) };
        let before = region.listed.swap(token.get().into(), Ordering::AcqRel) as u32;
        if before != 0 && before != token.get() {
            domain.unlist_token(before, note.child);
        }
        domain.note_token(token.get(), note);
    }

    /// An invalidation is about to be posted to that queue pair.
    pub(crate) unsafe fn post_invalidate(self, queue_pair: u64) -> Result<()> {
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let registration = region.registration.lock();
        registration.check_posted("G8")?;
        if registration.in_flight.is_some_and(|other| other != queue_pair) {
            // The device may come to the invalidation first.
            let cause = "the region's fast registration is in flight on another queue pair";
            return Err(wrong_state("G8", cause));
        }
        region.word.post_invalidate()
    }

    /// The invalidation that was about to be posted was not: the registration is valid again, unless more was heard of it
    /// meanwhile.
    pub(crate) unsafe fn take_back_invalidate(self) {
        // SAFETY: as above.
        let region = unsafe { self.get() };
        let registration = region.registration.lock();
        let ended = registration.ended_by_peer;
        region.word.end_invalidation(|state| match state {
            FastState::Free if !ended => FastState::Valid,
            other => other,
        });
    }

    /// An invalidation of that round is over.
    pub(crate) unsafe fn end_invalidation(self, round: u32) {
        // SAFETY: as above.
        if unsafe { self.round() } == round {
            // SAFETY: as above.
            unsafe { self.get() }.word.end_invalidation(|state| state);
        }
    }

    /// An invalidation of that round has failed, or nobody knows.
    pub(crate) unsafe fn fail_invalidation(self, round: u32) {
        // SAFETY: as above.
        if unsafe { self.round() } == round {
            // SAFETY: as above.
            unsafe { self.get() }.word.end_invalidation(|_| FastState::Stale);
        }
    }

    /// One more window is being bound to the region.
    pub(crate) unsafe fn bind(self) -> Result<()> {
        // SAFETY: as above; the reference that is let go is the one taken here.
        unsafe {
            let word = &self.get().word;
            word.retain_open()?;
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
