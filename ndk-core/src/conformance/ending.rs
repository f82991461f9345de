//! How the requests of a case, and the case itself, come to an end, and what is looked for then.

use super::env::{Env, Issued};
use super::outcome::{Outcome, Status};
use super::route::Raw;
use super::ticket::{Ticket, lock, take_strays};
use super::watch::beat;
use crate::abi::{NTSTATUS, STATUS_INTERNAL_ERROR, STATUS_PENDING, STATUS_SUCCESS};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::thread;

/// Objects that a close had to leak (B8). They stay reachable, so that a leak checker reports only the others.
static LEAKED: Mutex<Vec<Raw<()>>> = Mutex::new(Vec::new());

impl Env {
    /// Runs the executor, and whatever the provider runs by a hook, until nothing is left to do.
    pub(super) fn run_until_idle(&self) {
        self.desk.run_until_idle();
        self.control.run();
    }

    /// Runs the executor until a future of the framework's is done.
    #[track_caller]
    pub(super) fn wait_for<F: Future>(&self, what: &str, future: F) -> F::Output {
        let waker = Waker::from(self.bell.clone());
        let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
        loop {
            beat();
            let seen = self.bell.rings();
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            self.run_until_idle();
            assert!(self.bell.wait(seen), "{what} does not come");
        }
    }

    /// Runs the executor until a request is over. A backend with threads of its own is waited for.
    #[track_caller]
    pub(super) fn finish(&self, issued: Issued) -> Outcome {
        let Issued { returned, ticket } = issued;
        // Not the provider's hook: the end of the request may have been that of the adapter, on another thread.
        self.desk.run_until_idle();
        if returned == STATUS_PENDING {
            self.run_until_called(&ticket);
        }
        if let Some(failure) = ticket.take_failure() {
            resume_unwind(failure);
        }
        Outcome::new(returned, ticket.calls(), self.way, self.is_safe())
    }

    /// Runs the executor until the callback has come, and all is done that was left to do then.
    #[track_caller]
    fn run_until_called(&self, ticket: &Ticket) {
        loop {
            let seen = self.bell.rings();
            if ticket.is_called() {
                // As in `finish`.
                return self.desk.run_until_idle();
            }
            self.desk.run_until_idle();
            // And no other call of the hook, for the same reason.
            self.control.run_what_waits();
            if ticket.is_called() {
                return;
            }
            assert!(self.bell.wait(seen), "B2: PENDING, and the callback does not come");
        }
    }

    /// How the close of a region ends that has to leak it (B8): without a status in C, and the safe consumer, which does not
    /// give the memory back, says so.
    pub(super) fn status_of_leak(&self) -> NTSTATUS {
        if self.is_safe() { STATUS_INTERNAL_ERROR } else { STATUS_SUCCESS }
    }

    /// An object that its close has to leak (B8).
    pub(super) fn expect_leak<T>(&mut self, object: Raw<T>) {
        self.leaks += 1;
        lock(&LEAKED).push(Raw(object.0.cast()));
    }

    /// Ends a case: closes what it left open, and looks for what must not have happened.
    #[track_caller]
    pub(super) fn wrap_up(mut self) {
        while let Some(&mr) = self.regions.last() {
            self.close(mr).has(STATUS_SUCCESS);
        }
        while let Some(&pd) = self.domains.last() {
            self.close_pd(pd).has(STATUS_SUCCESS);
        }
        for mut lam in std::mem::take(&mut self.mappings) {
            self.release(&mut lam);
        }
        for (ticket, _) in self.tickets.iter().filter(|ticket| ticket.1 == Some(STATUS_PENDING)) {
            self.run_until_called(ticket);
        }
        self.run_until_idle();
        self.run_until_freed();
        self.close_session();
        let leaked = self.control.objects();
        assert_eq!(leaked, self.leaks, "H6, B8: backend objects that outlive their adapter");
        for (ticket, returned) in &self.tickets {
            if let Some(failure) = ticket.take_failure() {
                resume_unwind(failure);
            }
            let Some(returned) = *returned else { continue };
            let expected = usize::from(returned == STATUS_PENDING);
            let calls = ticket.calls();
            assert_eq!(
                calls.len(),
                expected,
                "B1, B2: {:?} was returned; the callbacks: {calls:?}",
                Status(returned)
            );
        }
        let strays = take_strays();
        assert!(
            strays.is_empty(),
            "B2: callbacks with contexts that nobody waits for: {strays:x?}"
        );
    }

    /// Runs the executor until the backend's objects are gone whose end nobody is told (H6).
    #[track_caller]
    fn run_until_freed(&self) {
        loop {
            let seen = self.bell.rings();
            self.run_until_idle();
            if self.control.objects() <= self.leaks {
                return;
            }
            assert!(self.bell.wait(seen), "H6: what nobody waits for is not freed");
        }
    }

    #[track_caller]
    pub(super) fn close_session(&mut self) {
        for session in [self.peer.take(), self.session.take()].into_iter().flatten() {
            if let Err(refused) = session.try_close() {
                let error = refused.error;
                drop(refused.session);
                panic!("H5: all is closed, and yet the adapter is not free: {error}");
            }
        }
    }
}

impl Drop for Env {
    /// What a failed case left pending may still be called, and is no stray of another case's.
    fn drop(&mut self) {
        if !thread::panicking() {
            self.tickets.iter().for_each(|(ticket, _)| ticket.withdraw());
        }
    }
}
