//! A way from a case to a region.
//!
//! A route takes every argument raw, a null completion included, and answers with an NTSTATUS, so that one case
//! serves all routes. The route over the safe consumer refuses to be asked for what its types rule out; cases that need
//! that say so ([`Routes`](super::case::Routes)).

use super::ticket::Done;
use crate::abi::{
    GUID, MDL, NDK_ADAPTER, NDK_EXTENSION_INTERFACE, NDK_FN_CLOSE_COMPLETION,
    NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NDK_LOGICAL_ADDRESS_MAPPING, NDK_MR,
    NDK_PD, NDK_VERSION, NTSTATUS, STATUS_INVALID_PARAMETER, ULONG,
};
use crate::mdl::Mdl;
use crate::provider::RegionKind;
use std::ptr::null_mut;

/// A raw pointer that a case may take to another thread; what it points to is used by the rules of the C interface.
pub(super) struct Raw<T>(pub(super) *mut T);

impl<T> Clone for Raw<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Raw<T> {}

impl<T> PartialEq for Raw<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> std::fmt::Debug for Raw<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

// SAFETY: NDK objects and MDLs may be used from any thread; a `Raw` is only a number until a route is given it.
unsafe impl<T> Send for Raw<T> {}
// SAFETY: as for Send.
unsafe impl<T> Sync for Raw<T> {}

/// A region's pointer.
pub(super) type Mr = Raw<NDK_MR>;
/// A domain's pointer.
pub(super) type Pd = Raw<NDK_PD>;
/// An adapter's pointer.
pub(super) type Adapter = Raw<NDK_ADAPTER>;

/// The arguments of a registration.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    /// `None` for a null chain.
    pub(super) chain: Option<Mdl>,
    pub(super) length: usize,
    pub(super) flags: ULONG,
}

/// The arguments of `NdkBuildLAM`.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    /// `None` for a null chain.
    pub(super) chain: Option<Mdl>,
    pub(super) length: usize,
    pub(super) lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    pub(super) size: *mut ULONG,
    pub(super) fbo: *mut ULONG,
}

/// The head of a chain, or null.
pub(super) fn head(chain: &Option<Mdl>) -> *mut MDL {
    chain.as_ref().map_or(null_mut(), Mdl::as_ptr)
}

/// A request that changes the state of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Register,
    Deregister,
    Initialise,
}

impl Change {
    pub(super) const ALL: [Self; 3] = [Self::Register, Self::Deregister, Self::Initialise];
}

/// A way to an adapter and what was made from it.
///
/// # Safety
/// For every method, as the C entry of the same name has it: the object is alive (a null or wrong-typed one is for the
/// table only), pointers are null or valid for what the entry does with them, an MDL chain until the request has
/// completed, and the completion may be called once, from any thread.
#[allow(clippy::missing_safety_doc)] // said once, above
pub(super) trait Route: Send + Sync {
    unsafe fn create_pd(
        &self,
        adapter: Adapter,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS;
    unsafe fn close_pd(&self, pd: Pd, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS;
    unsafe fn privileged_token(&self, pd: Pd) -> u32;
    unsafe fn create_mr(
        &self,
        pd: Pd,
        kind: RegionKind,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS;
    unsafe fn close_mr(&self, mr: Mr, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS;
    unsafe fn register(
        &self,
        mr: Mr,
        registration: Registration,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS;
    unsafe fn deregister(&self, mr: Mr, done: Done<NDK_FN_REQUEST_COMPLETION>) -> NTSTATUS;
    unsafe fn initialise(
        &self,
        mr: Mr,
        pages: ULONG,
        remote: bool,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS;
    /// Whether the region can be asked for a change in the state that it has: always, but by a safe consumer's types.
    fn has(&self, _mr: Mr, _change: Change) -> bool {
        true
    }
    /// Closes a region so that nobody waits for it, with whatever is pending on it; `None` where nobody is told the
    /// outcome.
    unsafe fn abandon_mr(&self, mr: Mr, done: Done<NDK_FN_CLOSE_COMPLETION>) -> Option<NTSTATUS> {
        // SAFETY: the caller's promise.
        Some(unsafe { self.close_mr(mr, done) })
    }
    /// As `abandon_mr`.
    unsafe fn abandon_pd(&self, pd: Pd, done: Done<NDK_FN_CLOSE_COMPLETION>) -> Option<NTSTATUS> {
        // SAFETY: the caller's promise.
        Some(unsafe { self.close_pd(pd, done) })
    }
    /// Local, remote.
    unsafe fn tokens(&self, mr: Mr) -> (u32, u32);
    unsafe fn query_extension(
        &self,
        mr: Mr,
        id: &GUID,
        version: NDK_VERSION,
        out: &mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS;
    unsafe fn build_mapping(
        &self,
        adapter: Adapter,
        arguments: Mapped,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS;
    /// SUCCESS where the entry has no status.
    unsafe fn release_mapping(
        &self,
        adapter: Adapter,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    ) -> NTSTATUS;
}

/// What a null or wrong-typed object is answered with.
pub(super) const BAD_OBJECT: NTSTATUS = STATUS_INVALID_PARAMETER;
