//! The checked access: from a token, an address and a length to bytes in host memory.

use crate::copy;
use crate::counters::Miss;
use crate::device::Device;
use crate::record::{Reading, Side};
use ndk_core::Access;
use std::sync::atomic::{Ordering, fence};

const PAGE_SHIFT: u32 = 12;
const PAGE: usize = 1 << PAGE_SHIFT;

/// Whose access it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The source of a send or a write.
    LocalRead,
    /// The sink of a receive.
    LocalWrite,
    /// The sink of a read.
    ReadSink,
    /// A peer's read.
    RemoteRead,
    /// A peer's write.
    RemoteWrite,
}

impl Need {
    fn side(self) -> Side {
        match self {
            Self::LocalRead | Self::LocalWrite | Self::ReadSink => Side::Local,
            Self::RemoteRead | Self::RemoteWrite => Side::Remote,
        }
    }
}

/// Bytes that an access was let through to: a place in a list of page frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pages: *const usize,
    /// From the start of the first page.
    offset: usize,
    pub(crate) length: usize,
}

impl Span {
    /// # Safety
    /// `frames` stays as it is while the span is used, and has room for `offset + length` bytes.
    pub(crate) unsafe fn new(frames: &[usize], offset: usize, length: usize) -> Self {
        Self { pages: frames.as_ptr(), offset, length }
    }

    /// The part from `start` of at most `length` bytes.
    pub(crate) fn part(self, start: usize, length: usize) -> Self {
        Self { offset: self.offset + start, length: length.min(self.length - start), ..self }
    }

    /// The host address of the byte at `at`, and how many bytes follow it in adjacent frames, at most `most`.
    ///
    /// # Safety
    /// `at` is below the length, and the list is valid.
    #[inline]
    unsafe fn run(&self, at: usize, most: usize) -> (usize, usize) {
        let position = self.offset + at;
        let mut page = position >> PAGE_SHIFT;
        let within = position & (PAGE - 1);
        // SAFETY: the span was checked against the list's length.
        let first = unsafe { *self.pages.add(page) };
        let mut bytes = PAGE - within;
        let mut last = first;
        while bytes < most {
            page += 1;
            // SAFETY: `most` bytes from here are inside the span, so the page is on the list.
            let next = unsafe { *self.pages.add(page) };
            if next != last + 1 {
                break;
            }
            last = next;
            bytes += PAGE;
        }
        ((first << PAGE_SHIFT) + within, bytes.min(most))
    }
}

/// Moves bytes from one span to another, as many as the shorter has.
///
/// # Safety
/// Both spans' lists are valid during the call, and the frames name memory that is registered: valid, and shared with
/// others only through accesses that are no data race with [`copy::copy`].
#[inline]
pub(crate) unsafe fn transfer(to: Span, from: Span) {
    let total = to.length.min(from.length);
    let mut done = 0;
    while done < total {
        // SAFETY: `done` is below both lengths.
        let ((sink, room), (source, bytes)) =
            unsafe { (to.run(done, total - done), from.run(done, total - done)) };
        let part = room.min(bytes);
        // SAFETY: the caller's promise; the frames' addresses were exposed when their MDL was built.
        unsafe {
            copy::copy(
                std::ptr::with_exposed_provenance_mut(sink),
                std::ptr::with_exposed_provenance(source),
                part,
            );
        }
        done += part;
    }
}

/// Who asks for an access: what a token is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The domain of the queue pair at this device.
    pub(crate) domain: u32,
    /// The queue pair at this device, for tokens that work on one only.
    pub(crate) queue_pair: u64,
    /// Its place among the device's hazards.
    pub(crate) place: usize,
}

impl Device {
    /// Lets an access through: its hazard is published, and the span may be used until [`end_access`](Self::end_access).
    /// A refused access has no hazard left.
    #[inline]
    pub(crate) fn begin_access(
        &self,
        asker: Asker,
        need: Need,
        (token, address, length): (u32, u64, u64),
    ) -> Result<Span, (Miss, usize)> {
        let Some(index) = self.find(token) else {
            return Err(self.missed(asker, self.no_token(token), 0));
        };
        self.hazards.publish(asker.place, index);
        // Pairs with the fence in `Hazards::is_busy`.
        fence(Ordering::SeqCst);
        let reading = self.record(index).read(need.side(), token);
        let checked = match &reading {
            Some(reading) => self.check(asker, need, reading, address, length),
            None => Err((self.no_reading(index, need, token), 0)),
        };
        checked.map_err(|(miss, before)| {
            self.hazards.withdraw(asker.place);
            self.missed(asker, miss, before)
        })
    }

    #[cold]
    fn no_token(&self, token: u32) -> Miss {
        if self.was_removed(token) { Miss::Retired } else { Miss::Unknown }
    }

    /// Why a token that has a record was not let through: it is the record's on the other side (E3), or nothing is
    /// registered with it any more.
    #[cold]
    fn no_reading(&self, index: u32, need: Need, token: u32) -> Miss {
        let other = match need.side() {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        };
        match self.record(index).read(other, token) {
            Some(_) => Miss::Rights,
            None => Miss::Retired,
        }
    }

    #[cold]
    fn missed(&self, asker: Asker, miss: Miss, before: usize) -> (Miss, usize) {
        self.counters.missed(asker.domain as usize, miss);
        log::debug!("{}: access refused: {miss:?} [F1 to F5]", self.name);
        (miss, before)
    }

    /// The bytes were moved.
    #[inline]
    pub(crate) fn end_access(&self, asker: Asker) {
        self.hazards.withdraw(asker.place);
    }

    /// A refusal comes with the number of bytes before the bounds that are inside them.
    #[inline]
    fn check(
        &self,
        asker: Asker,
        need: Need,
        reading: &Reading,
        address: u64,
        length: u64,
    ) -> Result<Span, (Miss, usize)> {
        if reading.domain != asker.domain
            || (reading.scope != 0 && reading.scope != asker.queue_pair)
        {
            return Err((Miss::OtherDomain, 0));
        }
        // A privileged token names no memory of its own: its elements were resolved when they were posted.
        if reading.privileged || !self.allows(reading.rights, need) {
            return Err((Miss::Rights, 0));
        }
        if length == 0 {
            // F3: with a live token nothing more is asked.
            return Ok(Span { pages: reading.pages, offset: 0, length: 0 });
        }
        let inside = address.wrapping_sub(reading.base);
        if inside >= reading.length || length > reading.length - inside {
            let before = reading.length.saturating_sub(inside);
            return Err((Miss::Bounds, before as usize));
        }
        let offset = (reading.base as usize & (PAGE - 1)) + inside as usize;
        Ok(Span { pages: reading.pages, offset, length: length as usize })
    }

    /// Whether all the rights needed are there (F4).
    #[inline]
    fn allows(&self, rights: Access, need: Need) -> bool {
        let capabilities = &self.shape;
        match need {
            Need::LocalRead => true,
            Need::LocalWrite => rights.contains(Access::LOCAL_WRITE),
            Need::ReadSink => {
                rights.contains(Access::READ_SINK)
                    || (self.sink_needs_no_flag && rights.contains(Access::LOCAL_WRITE))
            }
            Need::RemoteRead => {
                rights.contains(Access::REMOTE_READ) || !capabilities.remote_read_enforced
            }
            Need::RemoteWrite => {
                rights.contains(Access::REMOTE_WRITE)
                    || (capabilities.read_sink_grants_write && rights.contains(Access::READ_SINK))
            }
        }
    }
}
