//! Trying a device that nobody has measured, before it is used (K1): two of its queue pairs are connected, and one
//! reaches for memory that the other registered.
//!
//! A device may accept what it then ignores, a base address for instance, so that only a try tells.

use crate::access;
use crate::adapter::MlxAdapter;
use crate::domain::MlxPd;
use crate::handle::Mr;
use crate::memory::HostRange;
use crate::queue_pair::MlxQueuePair;
use futures_lite::future::{block_on, zip};
use ndk_core::mdl::Buffer;
use ndk_core::{
    Access, AdapterProvider, Error, ErrorKind, LocalToken, QpProvider, QueueDepths, RemoteAddress,
    RemoteToken, Result, Sge, WorkId, WorkRequest,
};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What a device was found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Whether a region's addresses may start anywhere.
    pub any_base_address: bool,
    /// Whether a write that begins inside and ends outside is refused, and changes nothing outside.
    pub bounds_enforced: bool,
    /// Whether a read is refused without the right.
    pub remote_read_enforced: bool,
}

const LENGTH: usize = 100;
const FILLING: u8 = 0x5a;
/// Another base address than any program has, with the offset in its page that the memory has.
const BASE: u64 = 0x2_4000_0000;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries a device.
///
/// # Errors
/// What the device gives where it does not do the least: register, connect, write.
pub(crate) fn run(adapter: &MlxAdapter) -> Result<Findings> {
    let domain = block_on(adapter.create_pd())?;
    let findings = Trial { adapter, domain: &domain }.findings();
    block_on(adapter.close_pd(&domain));
    findings
}

struct Trial<'a> {
    adapter: &'a MlxAdapter,
    domain: &'a MlxPd,
}

impl Trial<'_> {
    fn findings(&self) -> Result<Findings> {
        let here = Buffer::new(LENGTH + 1)?;
        here.write(0, &[FILLING; LENGTH + 1])?;
        let own = self.register(&here, LENGTH + 1, here.address() as u64, Access::LOCAL_WRITE)?;
        let there = Buffer::new(LENGTH + 1)?;
        let target = self.register(&there, LENGTH, BASE, Access::REMOTE_WRITE);
        let any_base_address = match &target {
            Ok(target) => {
                let moved = self.carry_out((&here, &own), (target, BASE), LENGTH, true)?;
                moved.is_ok() && there.to_vec()[..LENGTH] == [FILLING; LENGTH]
            }
            Err(_) => false,
        };
        // Where another base address is refused or ignored, everything else is tried without it.
        let there = Buffer::new(LENGTH + 1)?;
        let base = if any_base_address { BASE } else { there.address() as u64 };
        let target = self.register(&there, LENGTH, base, Access::REMOTE_WRITE)?;
        let moved = self.carry_out((&here, &own), (&target, base), LENGTH, true)?;
        if let Err(kind) = moved {
            return Err(Error::new(kind, "a device that was tried does not write its own memory"));
        }
        let beyond = self.carry_out((&here, &own), (&target, base + 1), LENGTH, true)?;
        let bounds_enforced = beyond.is_err() && there.to_vec()[LENGTH] == 0;
        let read = self.carry_out((&here, &own), (&target, base), LENGTH, false)?;
        Ok(Findings { any_base_address, bounds_enforced, remote_read_enforced: read.is_err() })
    }

    fn register(&self, buffer: &Buffer, length: usize, base: u64, access: Access) -> Result<Mr> {
        let range = HostRange { address: buffer.address(), length, base };
        self.domain.0.register(range, access::of_region(access))
    }

    fn port(&self) -> Result<MlxQueuePair> {
        block_on(self.adapter.create_qp(self.domain, QueueDepths { receive: 1, initiator: 1 }))
    }

    /// One write or read, on a connection of its own.
    fn carry_out(
        &self,
        (buffer, own): (&Buffer, &Mr),
        (target, address): (&Mr, u64),
        length: usize,
        writes: bool,
    ) -> Result<Result<(), ErrorKind>> {
        let no_key = || Error::new(ErrorKind::Internal, "the device gave the key 0");
        let token = LocalToken::new(own.local_key()).ok_or_else(no_key)?;
        let address_here = buffer.address() as u64;
        let local = [Sge { address: address_here, length: length as u32, token }];
        let token = RemoteToken::new(target.remote_key()).ok_or_else(no_key)?;
        let remote = RemoteAddress { address, token };
        let ports = [self.port()?, self.port()?];
        let (to_far, to_near) = (ports[1].endpoint(), ports[0].endpoint());
        let (near, far) = block_on(zip(ports[0].connect(&to_far), ports[1].connect(&to_near)));
        let request = match writes {
            true => WorkRequest::Write { local: &local, remote },
            false => WorkRequest::Read { local: &local, remote },
        };
        let result = near
            .and(far)
            .and_then(|()| ports[0].post(WorkId { context: 0, tag: 0 }, request))
            .map(|()| wait(&ports[0]));
        ports.into_iter().for_each(|port| block_on(port.close()));
        result
    }
}

/// The result of the one request that was posted; IO_TIMEOUT where the device forgets it.
fn wait(port: &MlxQueuePair) -> Result<(), ErrorKind> {
    let posted = Instant::now();
    loop {
        if let Poll::Ready(done) = port.poll_completion(&mut Context::from_waker(Waker::noop())) {
            return done.result;
        }
        if posted.elapsed() > PATIENCE {
            return Err(ErrorKind::Timeout);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}
