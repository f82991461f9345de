//! Accesses by themselves: a peer that has no queue pair.

use crate::access::{Asker, Need, Refused, Span, Target, load, store};
use crate::barrier::has_heavy;
use crate::counters::Miss;
use crate::device::Device;
use crate::hazard::Taken;
use crate::plan::Operation;
use ndk_core::{Error, ErrorKind, RemoteAddress, RemoteToken, Result};
use std::sync::Arc;

/// Reads and writes registered memory by token and address, as a connected peer does, with bytes of the caller's in place
/// of a registered source or sink.
///
/// Queue pairs are Rust objects, and need a connection, a region at either end and a poll. This is for whoever tests a
/// consumer that has none of it, such as one in C: what the consumer has registered is reached by the token that it was
/// given. It stands for a remote peer whose queue pair is connected to one of the domain (F5):
///
/// ```
/// use ndk_backend_sim::{Config, SimAdapter};
/// use ndk_core::mdl::{Buffer, Mdl};
/// use ndk_core::{Access, AdapterProvider, MrProvider, RegionKind, RemoteAddress};
/// # futures_lite::future::block_on(async {
/// let adapter = SimAdapter::new(Config::default())?;
/// let domain = adapter.create_pd().await?;
/// let memory = Buffer::copy_of(b"what is there")?;
/// let chain = Mdl::new(&memory)?;
/// let region = adapter.create_mr(&domain, RegionKind::Conventional).await?;
/// // SAFETY: the chain is kept until the region is deregistered.
/// let view = unsafe { chain.view(chain.len())? };
/// region.register(view, Access::REMOTE_READ).await?;
///
/// let mut peer = domain.initiator()?;
/// let token = region.remote_token().expect("it has a remote right");
/// let start = RemoteAddress { address: memory.address() as u64, token };
/// let mut read = [0; 4];
/// peer.read(start, &mut read)?;
/// assert_eq!(&read, b"what");
/// assert_eq!(peer.write(start, b"that").unwrap_err().rule_id(), "F4");
/// region.deregister().await?;
/// assert_eq!(peer.read(start, &mut read).unwrap_err().rule_id(), "D4");
/// # Ok::<_, ndk_core::Error>(()) }).unwrap();
/// ```
///
/// All that holds for a request's access at its target holds here: which tokens lead to what (D4, E1 to E3, E6), what is
/// checked (F1 to F5), what a device declares of it (K1), that nothing is at work once a deregistration has completed
/// (D3), what is counted of bytes and of misses, and the plan's faults of reads and writes. There is no request: nothing
/// is delayed, no completion is counted, and no connection breaks (F6): a refused access is ACCESS_VIOLATION on every
/// profile, and the next one is carried out.
#[derive(Debug)]
pub struct Initiator {
    device: Arc<Device>,
    domain: u32,
    /// Whether accesses need no fence (`barrier`).
    fenceless: bool,
    place: Taken,
}

impl Initiator {
    pub(crate) fn new(device: Arc<Device>, domain: u32) -> Result<Self> {
        let place = device.hazards.take_place()?;
        Ok(Self { device, domain, fenceless: has_heavy(), place })
    }

    /// Writes the bytes, as a remote write does.
    ///
    /// # Errors
    /// ACCESS_VIOLATION, with the rule: an unknown token (E1) or a retired one (D4), one of another domain, or of a
    /// fast registration that works on one queue pair only (F5, G11), bytes outside of the region (F1, F2), a region
    /// without the right (F4). No byte has changed then, unless the device declares partial writes (K1). IO_TIMEOUT where
    /// the device is lost (H8), and what the plan has.
    #[inline]
    pub fn write(&mut self, to: RemoteAddress, bytes: &[u8]) -> Result<()> {
        self.follow_plan(Operation::Write)?;
        self.place.begin(self.fenceless);
        let written = match self.reach(Need::RemoteWrite, to, bytes.len()) {
            Ok(sink) => {
                self.place.tally.written(bytes.len() as u64);
                // SAFETY: the hazard stands, and the access is at work; the source is as long, and a slice.
                unsafe { store(sink, bytes.as_ptr()) };
                Ok(())
            }
            Err(refused) => Err(self.refused_write(to, bytes, refused)),
        };
        self.place.end();
        written
    }

    /// Reads as many bytes as there is room for, as a remote read does.
    ///
    /// # Errors
    /// As for [`write`](Self::write); then no byte is read.
    #[inline]
    pub fn read(&mut self, from: RemoteAddress, bytes: &mut [u8]) -> Result<()> {
        self.follow_plan(Operation::Read)?;
        self.place.begin(self.fenceless);
        let read = match self.reach(Need::RemoteRead, from, bytes.len()) {
            Ok(source) => {
                self.place.tally.read(bytes.len() as u64);
                // SAFETY: the hazard stands, and the access is at work; the sink is as long, and a slice.
                unsafe { load(bytes.as_mut_ptr(), source) };
                Ok(())
            }
            Err((miss, _)) => Err(refused(miss)),
        };
        self.place.end();
        read
    }

    #[inline(always)]
    fn asker(&self) -> Asker<'_> {
        // No queue pair has the number 0.
        Asker { device: &self.device, domain: self.domain, queue_pair: 0, place: &self.place }
    }

    /// Lets an access through, which is at work; its hazard is left standing.
    #[inline(always)]
    fn reach(&self, need: Need, at: RemoteAddress, length: usize) -> Result<Span, Refused> {
        match self.asker().look_again(need, target(at.token, at.address, length)) {
            Some(span) => Ok(span),
            None => self.reach_anew(need, at.token, at.address, length),
        }
    }

    /// As `reach`, where no hazard of the token's record stands. Its arguments are such that none has to be in memory.
    #[inline(never)]
    fn reach_anew(
        &self,
        need: Need,
        token: RemoteToken,
        address: u64,
        length: usize,
    ) -> Result<Span, Refused> {
        self.asker().begin(need, target(token, address, length))
    }

    #[inline(always)]
    fn follow_plan(&self, operation: Operation) -> Result<()> {
        if self.device.plans(operation) || self.device.is_lost() {
            return self.decide(operation);
        }
        Ok(())
    }

    #[cold]
    fn decide(&self, operation: Operation) -> Result<()> {
        let fault = self.device.decide_work(operation)?.fault;
        if self.device.is_lost() {
            return Err(Error::new(ErrorKind::Timeout, "the device is gone").rule("H8"));
        }
        match fault {
            Some(kind) => Err(Error::new(kind, "the fault plan asked for it")),
            None => Ok(()),
        }
    }

    /// What a device that checks each segment has written before it came to the bounds stays (K1).
    #[cold]
    fn refused_write(&self, to: RemoteAddress, bytes: &[u8], (miss, before): Refused) -> Error {
        if before > 0
            && self.device.shape.partial_writes
            && let Ok(sink) = self.reach(Need::RemoteWrite, to, before)
        {
            self.place.tally.written(before as u64);
            // SAFETY: as in `write`; what is before the bounds is shorter than the source.
            unsafe { store(sink, bytes.as_ptr()) };
        }
        refused(miss)
    }
}

impl Drop for Initiator {
    fn drop(&mut self) {
        self.device.hazards.give_place_back(&self.place);
    }
}

#[inline(always)]
fn target(token: RemoteToken, address: u64, length: usize) -> Target {
    Target { token: token.get(), address, length: length as u64 }
}

#[cold]
fn refused(miss: Miss) -> Error {
    let (rule, cause) = match miss {
        Miss::Unknown => ("E1", "no region has the token"),
        Miss::Retired => ("D4", "nothing is registered with the token any more"),
        Miss::OtherDomain => ("F5", "the token is of another domain, or for one queue pair"),
        Miss::Bounds => ("F1", "the access leaves the region"),
        Miss::Rights => ("F4", "the region does not allow the access"),
    };
    Error::new(ErrorKind::AccessViolation, cause).rule(rule)
}
