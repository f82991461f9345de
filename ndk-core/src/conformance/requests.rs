//! The requests of a case: each started, and waited for, on the case's route.

use super::env::{Env, Issued};
use super::outcome::{Outcome, Status};
use super::route::{Adapter, Change, Mr, Pd, Raw, Registration, Route};
use super::ticket::Done;
use crate::abi::{
    NDK_FN_CREATE_COMPLETION, NDK_MR, NDK_PD, NTSTATUS, STATUS_CANCELLED,
    STATUS_INVALID_DEVICE_STATE, STATUS_PENDING, STATUS_SUCCESS, ULONG,
};
use crate::provider::RegionKind;
use std::fmt::Display;
use std::ptr::without_provenance_mut;

/// What an out pointer points to before the call.
const UNTOUCHED: usize = 0x5a5a_5a58;

/// A creation that a case has started, and what it has to store into.
pub(super) struct Creation<T> {
    pub(super) issued: Issued,
    out: Box<*mut T>,
}

impl Env {
    /// Starts a registration.
    pub(super) fn start_register(&mut self, mr: Mr, registration: Registration) -> Issued {
        // SAFETY: the case has a live region, and keeps chain and memory; likewise below.
        self.issue(|route, done| unsafe { route.register(mr, registration, done) })
    }

    #[track_caller]
    pub(super) fn register(&mut self, mr: Mr, registration: Registration) -> Outcome {
        let issued = self.start_register(mr, registration);
        self.finish(issued)
    }

    pub(super) fn start_deregister(&mut self, mr: Mr) -> Issued {
        // SAFETY: as above.
        self.issue(|route, done| unsafe { route.deregister(mr, done) })
    }

    #[track_caller]
    pub(super) fn deregister(&mut self, mr: Mr) -> Outcome {
        let issued = self.start_deregister(mr);
        self.finish(issued)
    }

    pub(super) fn start_initialise(&mut self, mr: Mr, pages: ULONG, remote: bool) -> Issued {
        // SAFETY: as above.
        self.issue(|route, done| unsafe { route.initialise(mr, pages, remote, done) })
    }

    #[track_caller]
    pub(super) fn initialise(&mut self, mr: Mr, pages: ULONG, remote: bool) -> Outcome {
        let issued = self.start_initialise(mr, pages, remote);
        self.finish(issued)
    }

    /// Asks the region for a change, with arguments that are good.
    #[track_caller]
    pub(super) fn ask(&mut self, mr: Mr, change: Change) -> Outcome {
        match change {
            Change::Register => {
                let page = self.page();
                self.register(mr, page.all(0))
            }
            Change::Deregister => self.deregister(mr),
            Change::Initialise => self.initialise(mr, 1, true),
        }
    }

    /// The region's state forbids the change: it is refused, or a safe consumer's type has no method for it.
    #[track_caller]
    pub(super) fn forbidden(&mut self, mr: Mr, change: Change) {
        if self.route.has(mr, change) {
            self.ask(mr, change).refused(STATUS_INVALID_DEVICE_STATE);
        }
    }

    /// Rule B3: the callback came before the entry returned PENDING; to a safe consumer, at the first poll.
    #[track_caller]
    pub(super) fn is_early(&self, issued: &Issued) {
        let (returned, calls) = (Status(issued.returned), issued.ticket.calls());
        if self.is_safe() {
            return assert_ne!(returned, Status(STATUS_PENDING), "not ready at the first poll");
        }
        assert_eq!(returned, Status(STATUS_PENDING), "what the entry returned");
        assert!(calls.iter().all(|call| call.before_return), "not before the entry returned");
        assert!(!calls.is_empty(), "not before the entry returned");
    }

    /// Closes a region, perhaps with a request pending, for somebody who looks at no result (H6).
    pub(super) fn abandon(&mut self, mr: Mr, pending: Option<Issued>) {
        let ticket = self.ticket();
        let (route, done) = (self.route.clone(), Done::of(&ticket));
        // SAFETY: the case has a live region, and does not use it any more.
        let returned = ticket.enter(|| unsafe { route.abandon_mr(mr, done) });
        self.forget_region(mr);
        match (returned, pending) {
            (Some(returned), _) => self.settle(&ticket, returned),
            // The future was dropped with the region.
            (None, Some(pending)) => self.settle(&pending.ticket, STATUS_CANCELLED),
            (None, None) => {}
        }
    }

    /// As `abandon`.
    pub(super) fn abandon_pd(&mut self, pd: Pd) {
        let ticket = self.ticket();
        let (route, done) = (self.route.clone(), Done::of(&ticket));
        // SAFETY: as above.
        let returned = ticket.enter(|| unsafe { route.abandon_pd(pd, done) });
        self.forget_domain(pd);
        if let Some(returned) = returned {
            self.settle(&ticket, returned);
        }
    }

    /// Starts a close. The kit then takes the region for closed, unless the call is refused.
    pub(super) fn start_close(&mut self, mr: Mr) -> Issued {
        // SAFETY: as above; the case does not use the region once the close is over.
        let issued = self.issue(|route, done| unsafe { route.close_mr(mr, done) });
        // The safe consumer's is gone either way.
        if issued.returned >= 0 || self.is_safe() {
            self.forget_region(mr);
        }
        issued
    }

    #[track_caller]
    pub(super) fn close(&mut self, mr: Mr) -> Outcome {
        let issued = self.start_close(mr);
        self.finish(issued)
    }

    pub(super) fn start_close_pd(&mut self, pd: Pd) -> Issued {
        // SAFETY: as for a region.
        let issued = self.issue(|route, done| unsafe { route.close_pd(pd, done) });
        if issued.returned >= 0 {
            self.forget_domain(pd);
        }
        issued
    }

    #[track_caller]
    pub(super) fn close_pd(&mut self, pd: Pd) -> Outcome {
        let issued = self.start_close_pd(pd);
        self.finish(issued)
    }

    /// The region's tokens: local, remote.
    pub(super) fn tokens(&self, mr: Mr) -> (u32, u32) {
        // SAFETY: the case has a live region.
        unsafe { self.route.tokens(mr) }
    }

    /// Rule E1: a live region has a local token, and a remote one where it has remote rights, and only there. `when` is
    /// the beginning of the message: a rule, and what was done.
    #[track_caller]
    pub(super) fn has_tokens(&self, mr: Mr, is_remote: bool, when: impl Display) {
        let (local, remote) = self.tokens(mr);
        assert_ne!(local, 0, "{when}: the local token is 0, of a region that is live");
        if is_remote {
            assert_ne!(remote, 0, "{when}: the remote token is 0, of a region with remote rights");
        } else {
            assert_eq!(
                remote, 0,
                "{when}: the remote token is {remote:#x}, and must be 0 without remote rights"
            );
        }
    }

    /// Creates a domain, and checks A1 on the way.
    #[track_caller]
    pub(super) fn create_pd(&mut self) -> (Outcome, Option<Pd>) {
        let adapter = self.adapter();
        self.create_pd_of(adapter)
    }

    /// As `create_pd`, on an adapter that another thread has, and that something keeps open.
    #[track_caller]
    pub(super) fn create_pd_of(&mut self, adapter: Adapter) -> (Outcome, Option<Pd>) {
        let creation = self.start_create_pd_of(adapter);
        self.finish_pd(creation)
    }

    /// Creates a region, and checks A1 on the way.
    #[track_caller]
    pub(super) fn create_mr(&mut self, pd: Pd, kind: RegionKind) -> (Outcome, Option<Mr>) {
        let creation = self.start_create_mr(pd, kind);
        self.finish_mr(creation)
    }

    pub(super) fn start_create_pd_of(&mut self, adapter: Adapter) -> Creation<NDK_PD> {
        // SAFETY: the adapter is open, and `out` lives longer than the call.
        self.start_creation(|route, done, out| unsafe { route.create_pd(adapter, done, out) })
    }

    pub(super) fn start_create_mr(&mut self, pd: Pd, kind: RegionKind) -> Creation<NDK_MR> {
        // SAFETY: the case has a live domain, and `out` lives longer than the call.
        self.start_creation(|route, done, out| unsafe { route.create_mr(pd, kind, done, out) })
    }

    fn start_creation<T>(
        &mut self,
        entry: impl FnOnce(&dyn Route, Done<NDK_FN_CREATE_COMPLETION>, *mut *mut T) -> NTSTATUS,
    ) -> Creation<T> {
        let mut out = Box::new(without_provenance_mut(UNTOUCHED));
        let stored: *mut *mut T = &raw mut *out;
        let issued = self.issue(|route, done| entry(route, done, stored));
        Creation { issued, out }
    }

    #[track_caller]
    pub(super) fn finish_pd(&mut self, creation: Creation<NDK_PD>) -> (Outcome, Option<Pd>) {
        let (outcome, pd) = self.finish_creation(creation);
        pd.into_iter().for_each(|pd| self.adopt_domain(pd));
        (outcome, pd)
    }

    #[track_caller]
    pub(super) fn finish_mr(&mut self, creation: Creation<NDK_MR>) -> (Outcome, Option<Mr>) {
        let (outcome, mr) = self.finish_creation(creation);
        mr.into_iter().for_each(|mr| self.adopt_region(mr));
        (outcome, mr)
    }

    #[track_caller]
    fn finish_creation<T>(&self, creation: Creation<T>) -> (Outcome, Option<Raw<T>>) {
        let outcome = self.finish(creation.issued);
        let object = created(&outcome, *creation.out);
        (outcome, object)
    }
}

/// Rule A1: an inline success is stored through the out pointer; everything else leaves that alone.
#[track_caller]
fn created<T>(outcome: &Outcome, out: *mut T) -> Option<Raw<T>> {
    if outcome.returned == STATUS_SUCCESS {
        assert_ne!(out.addr(), UNTOUCHED, "A1: a success stores the object");
        assert!(!out.is_null(), "A1: a success stores the object");
        return Some(Raw(out));
    }
    assert_eq!(out.addr(), UNTOUCHED, "A1: only an inline success touches the out pointer");
    let call = outcome.calls.first()?;
    if call.status != STATUS_SUCCESS {
        assert_eq!(call.object, 0, "A1: a failed creation has no object");
        return None;
    }
    assert_ne!(call.object, 0, "A1: the completion delivers the object");
    Some(Raw(std::ptr::with_exposed_provenance_mut(call.object)))
}
