//! What a region tells the adapter's watch, and what becomes of it at its end where there is one.

use super::RegionRef;
use crate::adapter::Kept;
use crate::completion::RequestCompletion;
use crate::contain::contain;
use crate::error::{Error, Result};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event, MrProvider};
use core::ptr::NonNull;

/// # Safety
/// Of every function here: the region is alive, or its memory kept.
impl<A: AdapterProvider, P: Platform> RegionRef<A, P> {
    /// From now on its requests are told.
    pub(crate) unsafe fn watched(self, made: Event<'_>) {
        // SAFETY: the impl's promise.
        unsafe {
            let region = self.get();
            region.word.mark_watched();
            let number = || region.provider.numbered(region.id);
            if contain("numbering a region", self.name(), number).is_err() {
                self.poison();
            }
            let _ = self.see(made);
        }
    }

    /// Tells the watch, if there is one.
    ///
    /// # Errors
    /// What the watch refuses the call with.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn see(self, event: Event<'_>) -> Result<()> {
        // SAFETY: the impl's promise; a kept region's domain is kept too.
        unsafe { self.adapter().see(self.get().id, &self.name(), event) }
    }

    pub(crate) unsafe fn is_closing(self) -> bool {
        // SAFETY: the impl's promise.
        unsafe { self.get() }.word.load().is_closing()
    }

    /// A request was claimed; refused where the watch says so. Those with a null context are not told: it is shared by
    /// whoever has none.
    ///
    /// # Errors
    /// What the watch refuses it with.
    pub(super) unsafe fn tell_start(self, call: &str, done: RequestCompletion) -> Result<()> {
        // SAFETY: the impl's promise.
        unsafe {
            if !self.tells_of(done) {
                return Ok(());
            }
            let (routine, context) = done.numbers();
            self.see(Event::Starting { call, routine, context })
        }
    }

    /// The request that was claimed pends, and nobody has it yet but its entry.
    pub(super) unsafe fn tell_pending(self, call: &str, done: RequestCompletion) {
        // SAFETY: the impl's promise.
        unsafe {
            if self.tells_of(done) {
                let (routine, context) = done.numbers();
                let _ = self.see(Event::Pending { call, routine, context });
            }
        }
    }

    unsafe fn tells_of(self, done: RequestCompletion) -> bool {
        // SAFETY: the impl's promise.
        done.numbers().1 != 0 && unsafe { self.get() }.word.load().is_watched()
    }

    /// A getter has nothing to give.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn no_token<T>(self) -> Option<T> {
        // SAFETY: the impl's promise.
        unsafe {
            let state = self.get().word.load();
            if state.is_watched() && !state.is_poisoned() {
                let _ = self.see(Event::NoToken { closing: state.is_closing() });
            }
        }
        None
    }

    /// An extension was asked for in a state that has none.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn refuse_query(self, error: Error) -> Error {
        // SAFETY: the impl's promise.
        let _ = unsafe { self.see(Event::Refused { call: "query extension", error: &error }) };
        error
    }

    /// The framework refuses the arguments of a registration that was claimed.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn refuse_arguments(self, error: &Error) {
        // SAFETY: the impl's promise.
        let _ = unsafe { self.see(Event::Refused { call: "register", error }) };
    }

    /// Keeps the memory of the region, whose backend's part is dropped.
    #[cold]
    pub(super) unsafe fn keep(self) {
        // SAFETY: the impl's promise; whoever keeps it frees it once.
        unsafe { self.adapter().keep(Kept::new(self.0.cast(), Self::free_kept)) };
    }

    unsafe fn free_kept(object: NonNull<()>) {
        let region = Self(object.cast());
        // SAFETY: `keep` gave it here, and nobody else has it.
        unsafe { region.free_memory() };
    }
}
