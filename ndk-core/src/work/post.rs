//! The requests of a queue pair: what is checked before they are posted, and what their posting makes of regions and
//! windows.

use super::check::{self, Elements};
use super::posted::poisoned;
use super::queue_pair::{Inner, QueuePair};
use super::track::{self, Tracked};
use super::window::MemoryWindow;
use crate::access::{Access, RemoteToken};
use crate::contain::{Panicked, contain};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::provider::{
    AdapterProvider, FastMemory, QpProvider, RemoteAddress, Sge, WorkId, WorkKind, WorkRequest,
};
use crate::region::RegionRef;

impl<A: AdapterProvider, P: Platform> QueuePair<A, P> {
    /// Posts a receive.
    ///
    /// # Errors
    /// INVALID_PARAMETER above the adapter's limits, INSUFFICIENT_RESOURCES on a full queue, DEVICE_REMOVED (H8).
    pub fn receive(&self, context: u64, local: &[Sge]) -> Result<()> {
        self.post_data(context, local, Elements::Receive, WorkRequest::Receive { local })
    }

    /// Posts a send; with `invalidate` the peer's token is dead before its receive completion can be read (G9).
    ///
    /// # Errors
    /// CONNECTION_INVALID before the connection, INVALID_PARAMETER (limits, L2), INSUFFICIENT_RESOURCES on a full
    /// queue, DEVICE_REMOVED (H8).
    pub fn send(&self, context: u64, local: &[Sge], invalidate: Option<RemoteToken>) -> Result<()> {
        let request = WorkRequest::Send { local, invalidate };
        self.post_data(context, local, Elements::Initiator, request)
    }

    /// Posts a remote read.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn read(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        let at_once = |provider: &A::Qp| provider.read_at_once(local, remote);
        let request = || WorkRequest::Read { local, remote };
        self.post_access(context, local, Elements::Read, at_once, request)
    }

    /// Posts a remote write.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn write(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        let at_once = |provider: &A::Qp| provider.write_at_once(local, remote);
        let request = || WorkRequest::Write { local, remote };
        self.post_access(context, local, Elements::Initiator, at_once, request)
    }

    /// Posts an access to the peer's memory, unless it can be carried out at once.
    #[inline]
    fn post_access<'r>(
        &self,
        context: u64,
        local: &[Sge],
        kind: Elements,
        at_once: impl FnOnce(&A::Qp) -> bool,
        request: impl FnOnce() -> WorkRequest<'r, A::Mr, A::Window>,
    ) -> Result<()> {
        let adapter = self.domain().adapter();
        let length = check::elements(local, kind, adapter.info())
            .inspect_err(|error| self.log_refusal(error))?;
        let Inner { posted, provider, .. } = self.inner();
        if posted.takes_done() && !adapter.is_lost() {
            match contain("a work request", self.name(), || at_once(provider)) {
                Ok(true) => {
                    posted.add_done(context, matches!(kind, Elements::Read), length);
                    return Ok(());
                }
                Ok(false) => {}
                Err(Panicked) => return Err(self.posting_panicked()),
            }
        }
        let id = WorkId { context, tag: 0 };
        self.post(id, request()).inspect_err(|error| self.log_refusal(error))
    }

    #[cold]
    fn posting_panicked(&self) -> Error {
        self.poison();
        let error = poisoned();
        self.log_refusal(&error);
        error
    }

    fn post_data(
        &self,
        context: u64,
        local: &[Sge],
        kind: Elements,
        request: WorkRequest<'_, A::Mr, A::Window>,
    ) -> Result<()> {
        check::elements(local, kind, self.domain().adapter().info())
            .and_then(|_| self.post(WorkId { context, tag: 0 }, request))
            .inspect_err(|error| self.log_refusal(error))
    }

    #[inline]
    fn post(&self, id: WorkId, request: WorkRequest<'_, A::Mr, A::Window>) -> Result<()> {
        self.try_post(id, request).map(|_number| ()).map_err(NotPosted::into_error)
    }

    /// Posts a request; gives its number.
    fn try_post(
        &self,
        id: WorkId,
        request: WorkRequest<'_, A::Mr, A::Window>,
    ) -> Result<u64, NotPosted> {
        self.domain().adapter().check_device().map_err(NotPosted::Refused)?;
        let (inner, kind) = (self.inner(), request.kind());
        // Noted before the posting, since its completion may be polled before that returns.
        let number = inner.posted.add(id, kind).map_err(NotPosted::Refused)?;
        let posted =
            match contain("a work request", self.name(), || inner.provider.post(id, request)) {
                Ok(Ok(())) => return Ok(number),
                Ok(Err(error)) => NotPosted::Refused(error),
                Err(Panicked) => NotPosted::Panicked,
            };
        if let NotPosted::Panicked = posted {
            self.poison();
        }
        // One that has completed meanwhile, since another call has poisoned the queue pair, was posted.
        if inner.posted.take_back(number, kind) { Err(posted) } else { Ok(number) }
    }

    /// Posts a fast registration of `memory` with the rights of `access`.
    ///
    /// # Errors
    /// INVALID_PARAMETER (G4, L2), ACCESS_VIOLATION for remote rights on a region initialised without (G5),
    /// CONNECTION_INVALID (G6), INVALID_DEVICE_STATE (G3, G7, G8, G10, H7), DEVICE_REMOVED (H8). Nothing is posted then.
    ///
    /// # Safety
    /// The region is not closed before the call returns, and the memory behind the logical addresses stays valid until the
    /// registration is invalidated or the region closed; for ever where that close does not end (B8, B9).
    pub unsafe fn fast_register(
        &self,
        context: u64,
        region: RegionRef<A, P>,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()> {
        // SAFETY: the caller's promises.
        unsafe {
            self.begin_fast_register(context, region, memory, access)
                .inspect_err(|error| self.log_refusal_of(region, "fast-register", error))
        }
    }

    /// # Safety
    /// As for `fast_register`.
    unsafe fn begin_fast_register(
        &self,
        context: u64,
        region: RegionRef<A, P>,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()> {
        // SAFETY: the caller's promise, for each use of the region below.
        unsafe {
            self.check_domain(region)?;
            let (round, allowed) = (region.round(), region.initialised());
            // What the request asks for is held against the initialisation, of which there has to be one.
            region.admit_fast_register()?;
            check::fast_memory(&memory, allowed.pages)?;
            if access.is_remote() && !allowed.remote {
                let cause = "the region was initialised without remote access";
                return Err(Error::new(ErrorKind::AccessViolation, cause).rule("G5"));
            }
            let number = self.domain().adapter().next_id() as u32;
            let note = Tracked { child: region.child(), round };
            match region.invalidations() {
                0 => region.post_fast_register(self.id, 0, number)?,
                _ => self.inner().posted.behind_invalidations(note.pack(), |here| {
                    region.post_fast_register(self.id, here, number)
                })?,
            }
            if region.round() != round {
                // What was checked was another initialisation's.
                region.take_back_fast_register(number);
                let cause = "the region was initialised anew meanwhile";
                return Err(Error::new(ErrorKind::InvalidDeviceState, cause).rule("G3"));
            }
            let request = WorkRequest::FastRegister { region: region.provider(), memory, access };
            // Listed before the posting: a peer that knows the token may use it at once. And after it, since a token
            // that rotates changes with it.
            region.list_token(note);
            let tag = Tracked { child: region.child(), round: number }.pack();
            match self.try_post(WorkId { context, tag }, request) {
                Ok(request) => {
                    region.list_token_again(note, number);
                    // The region first: a queue pair that is poisoned may complete the request from then on.
                    region.set_posted(number);
                    self.inner().posted.set_posted(request, WorkKind::FastRegister);
                }
                Err(NotPosted::Refused(error)) => {
                    region.take_back_fast_register(number);
                    return Err(error);
                }
                Err(NotPosted::Panicked) => {
                    region.fail_fast_register(number);
                    return Err(poisoned());
                }
            }
            Ok(())
        }
    }

    /// Posts the invalidation of a region's fast registration.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE where none is valid, or it is being posted still, or in flight on another queue pair, or on a
    /// conventional region (G8), CONNECTION_INVALID, DEVICE_REMOVED (H8). Nothing is posted then. Until the completion of a
    /// request that was posted is polled, the region cannot be initialised (G3), and fast-registered on this queue pair
    /// only (G8).
    ///
    /// # Safety
    /// The region is not closed before the call returns.
    pub unsafe fn invalidate(&self, context: u64, region: RegionRef<A, P>) -> Result<()> {
        // SAFETY: the caller's promise, for each use of the region.
        unsafe {
            let begin = || {
                self.check_domain(region)?;
                region.post_invalidate(self.id)?;
                let note = Tracked { child: region.child(), round: region.round() };
                let request = WorkRequest::InvalidateRegion { region: region.provider() };
                match self.try_post(WorkId { context, tag: note.pack() }, request) {
                    Ok(request) => {
                        self.inner().posted.set_posted(request, WorkKind::Invalidate);
                        Ok(())
                    }
                    Err(NotPosted::Refused(error)) => {
                        region.take_back_invalidate();
                        Err(error)
                    }
                    Err(NotPosted::Panicked) => {
                        region.fail_invalidation(note.round);
                        Err(poisoned())
                    }
                }
            };
            begin().inspect_err(|error| self.log_refusal_of(region, "invalidate", error))
        }
    }

    /// Posts the bind of a window over `length` bytes of a region from `address`.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE where the region is not registered or the window is bound, INVALID_PARAMETER for objects
    /// of another domain or a length of 0, CONNECTION_INVALID, DEVICE_REMOVED (H8), and what the backend gives.
    /// Nothing is posted then.
    ///
    /// # Safety
    /// The region is not closed before the call returns.
    pub unsafe fn bind(
        &self,
        context: u64,
        region: RegionRef<A, P>,
        window: &MemoryWindow<A, P>,
        (address, length): (u64, u64),
        access: Access,
    ) -> Result<()> {
        let begin = || {
            if length == 0 || address.checked_add(length).is_none() {
                let cause = "the window's length is 0 or its addresses wrap";
                return Err(Error::new(ErrorKind::InvalidParameter, cause));
            }
            // SAFETY: the caller's promise, for each use of the region; the bind's reference is let go where the
            // binding does not come about.
            unsafe {
                self.check_domain(region)?;
                self.check_window(window)?;
                region.bind()?;
                let round = self.domain().adapter().next_id() as u32;
                if !window.state().bind(self.id, region, round) {
                    region.unbind();
                    let cause = "the window is bound already";
                    return Err(Error::new(ErrorKind::InvalidDeviceState, cause));
                }
                let note = Tracked { child: window.child(), round };
                let request = WorkRequest::Bind {
                    region: region.provider(),
                    window: window.provider(),
                    address,
                    length,
                    access,
                };
                window.state().list(self.domain(), window.remote_token(), note);
                match self.try_post(WorkId { context, tag: note.pack() }, request) {
                    Ok(request) => {
                        window.state().list_again(self.domain(), window.remote_token(), note);
                        window.state().set_posted(round);
                        self.inner().posted.set_posted(request, WorkKind::Bind);
                    }
                    Err(NotPosted::Refused(error)) => {
                        if let Some(region) = window.state().unbind(round) {
                            region.unbind();
                        }
                        return Err(error);
                    }
                    // Nobody knows whether it is bound: it counts as bound until it is closed.
                    Err(NotPosted::Panicked) => return Err(poisoned()),
                }
                Ok(())
            }
        };
        // SAFETY: the caller's promise.
        begin().inspect_err(|error| unsafe { self.log_refusal_of(region, "bind", error) })
    }

    /// Posts the invalidation of a window; the region is free of it when this has completed.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE where the window is not bound, or its bind is being posted still, or in flight on another queue
    /// pair (G8), CONNECTION_INVALID, DEVICE_REMOVED (H8).
    pub fn invalidate_window(&self, context: u64, window: &MemoryWindow<A, P>) -> Result<()> {
        let begin = || {
            self.check_window(window)?;
            let Some(round) = window.state().start_invalidation(self.id) else {
                let cause =
                    "the window is not bound, or its bind is being posted, or in flight elsewhere";
                return Err(Error::new(ErrorKind::InvalidDeviceState, cause).rule("G8"));
            };
            let note = Tracked { child: window.child(), round };
            let request = WorkRequest::InvalidateWindow { window: window.provider() };
            let posted = self.try_post(WorkId { context, tag: note.pack() }, request);
            match posted {
                Ok(request) => {
                    self.inner().posted.set_posted(request, WorkKind::Invalidate);
                    Ok(())
                }
                Err(not_posted) => {
                    track::let_go(window.state().stop_invalidation(round));
                    Err(not_posted.into_error())
                }
            }
        };
        begin().inspect_err(|error| self.log_refusal_of_window(window, "invalidate", error))
    }

    /// # Safety
    /// The region is not closed.
    unsafe fn check_domain(&self, region: RegionRef<A, P>) -> Result<()> {
        // SAFETY: the caller's promise.
        if unsafe { region.is_in(self.inner().domain) } {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidParameter, "the region is of another domain").rule("F5"))
    }

    fn check_window(&self, window: &MemoryWindow<A, P>) -> Result<()> {
        if window.is_in(self.inner().domain) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidParameter, "the window is of another domain").rule("F5"))
    }
}

/// Why a request was not posted, or is not known to be.
enum NotPosted {
    /// The backend refused it, and nothing is left behind.
    Refused(Error),
    /// The backend panicked: it may have posted the request, or not. The queue pair is poisoned.
    Panicked,
}

impl NotPosted {
    fn into_error(self) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Panicked => poisoned(),
        }
    }
}
