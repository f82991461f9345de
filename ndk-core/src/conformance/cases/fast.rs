//! What cases about fast registration have in common: an initialised region, and mapped memory to register it over.

use super::super::env::Env;
use super::super::lam::Lam;
use super::super::memory::Memory;
use super::super::net::{Net, Registered};
use super::super::port::Port;
use super::super::route::Mr;
use crate::abi::*;
use crate::access::Access;
use crate::error::{ErrorKind, Result};
use crate::provider::{FastMemory, RegionKind, WorkKind};
use std::sync::Arc;

/// Memory with its logical addresses.
pub(super) struct Mapped {
    pub(super) memory: Arc<Memory>,
    pub(super) pages: Vec<u64>,
}

impl Env {
    /// Maps all of `memory`, until it is unmapped or the case is over.
    #[track_caller]
    pub(super) fn map(&mut self, memory: Arc<Memory>) -> Mapped {
        let count = (memory.base() as usize % PAGE_SIZE + memory.len()).div_ceil(PAGE_SIZE);
        let mut lam = Lam::for_pages(count);
        let issued = self.start_build(lam.arguments(&memory, memory.len()));
        self.finish(issued).has(STATUS_SUCCESS);
        let pages = lam.pages();
        assert_eq!(pages.len(), count, "L4: the pages spanned");
        self.adopt_mapping(lam);
        Mapped { memory, pages }
    }

    /// Releases the mapping.
    #[track_caller]
    pub(super) fn unmap(&mut self, mapped: Mapped) {
        let mut lam = self.forget_mapping(&mapped.pages);
        self.release(&mut lam);
    }

    /// An initialised region of the owner, and memory of the owner's that is mapped and watched.
    #[track_caller]
    pub(super) fn fast(&mut self, net: &mut Net, memory: Memory) -> Fast {
        let memory = self.keep(memory);
        memory.fill(0x3c);
        net.watch(&memory);
        let mapped = self.map(memory);
        let mr = self.mr_of(net.owner, RegionKind::FastRegister);
        self.initialise(mr, mapped.pages.len() as ULONG, true).success();
        Fast { mr, mapped }
    }
}

impl Mapped {
    /// The logical address of the byte at `offset`.
    pub(super) fn address(&self, offset: usize) -> u64 {
        let position = self.memory.base() as usize % PAGE_SIZE + offset;
        self.pages[position / PAGE_SIZE] + (position % PAGE_SIZE) as u64
    }

    /// A fast registration of all of it, at the address that the memory counts from.
    pub(super) fn all(&self) -> FastMemory<'_> {
        let base = self.memory.base();
        FastMemory {
            pages: &self.pages,
            first_byte: (base % PAGE_SIZE as u64) as u32,
            length: self.memory.len() as u64,
            base,
        }
    }
}

/// A region for fast registration.
pub(super) struct Fast {
    pub(super) mr: Mr,
    pub(super) mapped: Mapped,
}

/// All remote rights.
pub(super) fn read_write() -> Access {
    Access::REMOTE_READ | Access::REMOTE_WRITE
}

/// Posts a fast registration.
pub(super) fn post(
    port: &dyn Port,
    context: u64,
    mr: Mr,
    memory: FastMemory<'_>,
    access: Access,
) -> Result<()> {
    // SAFETY: the cases' regions are closed after their requests, and the kit keeps the memory until the end.
    unsafe { port.fast_register(context, mr, memory, access) }
}

impl Fast {
    /// Registers the region over `memory`, with success.
    #[track_caller]
    pub(super) fn register_over(
        &self,
        env: &Env,
        port: &dyn Port,
        mapped: &Mapped,
        access: Access,
    ) -> Registered {
        let posted = |context| post(port, context, self.mr, mapped.all(), access);
        let result = env.carry_out(port, WorkKind::FastRegister, posted);
        assert_eq!(result.map(drop), Ok(()), "a fast registration");
        env.registered_over(self.mr, mapped.memory.clone())
    }

    /// Registers the region over its own memory, for all remote access.
    #[track_caller]
    pub(super) fn register(&self, env: &Env, port: &dyn Port) -> Registered {
        self.register_over(env, port, &self.mapped, read_write())
    }

    /// What posting a registration is answered with, where that is a refusal.
    #[track_caller]
    pub(super) fn refused(&self, env: &Env, port: &dyn Port, kind: ErrorKind) {
        self.refuses(env, port, self.mapped.all(), read_write(), kind);
    }

    /// As `refused`, with other arguments.
    #[track_caller]
    pub(super) fn refuses(
        &self,
        env: &Env,
        port: &dyn Port,
        memory: FastMemory<'_>,
        access: Access,
        kind: ErrorKind,
    ) {
        let posted = post(port, 0xdead, self.mr, memory, access);
        assert_eq!(posted.map_err(|error| error.kind()), Err(kind), "{memory:x?}");
        env.run_until_idle();
        assert_eq!(port.poll(), None, "what is refused inline has no completion");
    }

    /// Invalidates the registration, and gives the result.
    #[track_caller]
    pub(super) fn invalidate(&self, env: &Env, port: &dyn Port) -> Result<(), ErrorKind> {
        // SAFETY: as for `post`.
        let posted = |context| unsafe { port.invalidate(context, self.mr) };
        env.carry_out(port, WorkKind::Invalidate, posted).map(drop)
    }

    /// An invalidation is refused when it is posted.
    #[track_caller]
    pub(super) fn cannot_invalidate(&self, port: &dyn Port) {
        // SAFETY: as for `post`.
        let posted = unsafe { port.invalidate(0xdead, self.mr) };
        let kind = posted.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::InvalidDeviceState), "G8: refused inline");
        assert_eq!(port.poll(), None, "what is refused inline has no completion");
    }
}
