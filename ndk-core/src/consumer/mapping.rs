//! Logical address mappings.

use super::Failed;
use super::adapter::Open;
use crate::abi::{NTSTATUS, STATUS_SUCCESS};
use crate::call::{Entry, Lam, Request, entry, start_request};
use crate::error::Result;
use crate::mdl::Mdl;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// Memory whose pages have logical addresses, with which fast-register requests and privileged ones name them. It
/// keeps its adapter open, and owns the memory until it is released.
///
/// Logical addresses are opaque; those of adjacent pages of contiguous memory are adjacent (L1). Dropped, the mapping
/// is released. It lives on in the provider until the last request that uses it is over (L4); whoever posts such
/// requests keeps the mapping, and so the memory, until then, as posting a fast registration and making a queue pair
/// ([`create_qp`](crate::DomainRef::create_qp)) ask for.
pub struct LogicalMapping {
    // Released before the memory goes.
    mapped: Mapped,
    memory: Mdl,
}

/// A mapping that is released when it is dropped.
struct Mapped {
    lam: Lam,
    adapter: Arc<Open>,
}

/// A mapping on its way; one that nobody waits for is released.
struct Building {
    lam: Lam,
    memory: Mdl,
    adapter: Arc<Open>,
}

impl Request for Building {
    type Output = NTSTATUS;

    fn unclaimed(mut self, status: NTSTATUS) {
        if status == STATUS_SUCCESS {
            // SAFETY: this runs inside the request's callback, before whose return the adapter is not closed (H5), or
            // while the future borrows the adapter. Nobody else has the mapping.
            unsafe { entry::release_lam(self.adapter.as_ndk(), self.lam.pointers().0) };
        }
    }
}

impl LogicalMapping {
    pub(super) async fn build(adapter: &Arc<Open>, memory: Mdl) -> Result<Self, Failed<Mdl>> {
        // SAFETY: the view is only looked at.
        let view = unsafe { memory.view(memory.len()) };
        let prepared = view.and_then(|view| Lam::new(view.page_count()));
        let mut lam = match prepared {
            Ok(lam) => lam,
            Err(error) => return Err(Failed { object: memory, error }),
        };
        let running = {
            let ndk = adapter.as_ndk();
            let (chain, room) = ((memory.as_ptr(), memory.len()), lam.pointers());
            let building = Building { lam, memory, adapter: adapter.clone() };
            // SAFETY: the adapter is open, its table keeps the contract, and chain and mapping stay with the request.
            unsafe {
                start_request(building, |done, context| {
                    entry::build_lam(ndk, chain, room, done, context)
                })
            }
        };
        let (Building { lam, memory, adapter }, status) = running.await;
        match Entry::BuildLam.check(status) {
            Ok(()) => {
                adapter.add_mapping();
                Ok(Self { mapped: Mapped { lam, adapter }, memory })
            }
            Err(error) => Err(Failed { object: memory, error }),
        }
    }

    /// The logical address of each page.
    pub fn pages(&self) -> Vec<u64> {
        self.mapped.lam.pages()
    }

    /// The offset of the memory's first byte in the first page (FBO).
    pub fn first_byte(&self) -> u32 {
        self.mapped.lam.first_byte()
    }

    /// The memory, to be copied to and from with [`Mdl::read`] and [`Mdl::write`].
    pub fn memory(&self) -> &Mdl {
        &self.memory
    }

    /// Releases the mapping, and gives the memory back. C entry: `NdkReleaseLAM`.
    pub fn release(self) -> Mdl {
        drop(self.mapped);
        self.memory
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: a counted mapping keeps the adapter from its close; this one is released once.
        unsafe { entry::release_lam(self.adapter.as_ndk(), self.lam.pointers().0) };
        self.adapter.remove_mapping();
    }
}

impl fmt::Debug for LogicalMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogicalMapping").field("pages", &self.pages().len()).finish_non_exhaustive()
    }
}
