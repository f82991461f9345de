//! The checked access: from a token, an address and a length to bytes in host memory.

use crate::copy;
use crate::counters::Miss;
use crate::device::Device;
use crate::hazard::Place;
use crate::record::{Reading, Rights, Side};
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

    /// The host address of the first byte.
    ///
    /// # Safety
    /// The length is not 0, and the list is valid.
    #[inline(always)]
    unsafe fn first(&self) -> usize {
        // SAFETY: the span was checked against the list's length.
        let frame = unsafe { *self.pages.add(self.offset >> PAGE_SHIFT) };
        (frame << PAGE_SHIFT) + (self.offset & (PAGE - 1))
    }

    /// Whether the first bytes are on the page that the first is on.
    #[inline(always)]
    fn is_on_one_page(&self, bytes: usize) -> bool {
        (self.offset & (PAGE - 1)) + bytes <= PAGE
    }

    /// Gives each run of adjacent bytes in host memory: its address, where in the span it begins, and its length.
    ///
    /// # Safety
    /// The list is valid during the call.
    #[inline(always)]
    unsafe fn each_run(&self, mut run: impl FnMut(usize, usize, usize)) {
        if self.length > 0 && self.is_on_one_page(self.length) {
            // SAFETY: there is a byte.
            return run(unsafe { self.first() }, 0, self.length);
        }
        let mut done = 0;
        while done < self.length {
            // SAFETY: `done` is below the length.
            let (address, bytes) = unsafe { self.run(done, self.length - done) };
            run(address, done, bytes);
            done += bytes;
        }
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
#[inline(always)]
pub(crate) unsafe fn transfer(to: Span, from: Span) {
    let total = to.length.min(from.length);
    if total > 0 && to.is_on_one_page(total) && from.is_on_one_page(total) {
        // SAFETY: the first bytes are inside the spans, and so are those that follow them on their pages.
        unsafe { copy_run(to.first(), from.first(), total) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { transfer_runs(to, from, total) };
    }
}

/// # Safety
/// As for [`transfer`]; both spans are at least that long.
#[inline(never)]
unsafe fn transfer_runs(to: Span, from: Span, total: usize) {
    let (mut done, mut sink, mut source) = (0, (0, 0), (0, 0));
    while done < total {
        // Each list is gone through once, however the runs of the two meet.
        // SAFETY: `done` is below both lengths.
        unsafe {
            if sink.1 == 0 {
                sink = to.run(done, total - done);
            }
            if source.1 == 0 {
                source = from.run(done, total - done);
            }
        }
        let part = sink.1.min(source.1);
        // SAFETY: the caller's promise, for a part of both.
        unsafe { copy_run(sink.0, source.0, part) };
        done += part;
        sink = (sink.0 + part, sink.1 - part);
        source = (source.0 + part, source.1 - part);
    }
}

/// # Safety
/// As for [`copy::copy`], of the host addresses of page frames.
#[inline(always)]
unsafe fn copy_run(to: usize, from: usize, length: usize) {
    let to = std::ptr::with_exposed_provenance_mut(to);
    // SAFETY: the caller's promise; the frames' addresses were exposed when their MDL was built.
    unsafe { copy::copy(to, std::ptr::with_exposed_provenance(from), length) };
}

/// Moves bytes from plain memory to a span, as many as that has.
///
/// # Safety
/// As for [`transfer`], of the span; the source is as long, and shared as [`copy::copy`] allows.
#[inline(always)]
pub(crate) unsafe fn store(to: Span, from: *const u8) {
    // SAFETY: the caller's promise: each run is a part of both.
    let part = |host: usize, at: usize, length| unsafe {
        copy::copy(std::ptr::with_exposed_provenance_mut(host), from.add(at), length);
    };
    // SAFETY: the caller's promise.
    unsafe { to.each_run(part) };
}

/// Moves bytes from a span to plain memory, as many as that has.
///
/// # Safety
/// As for [`store`], the other way round.
#[inline(always)]
pub(crate) unsafe fn load(to: *mut u8, from: Span) {
    // SAFETY: the caller's promise: each run is a part of both.
    let part = |host: usize, at: usize, length| unsafe {
        copy::copy(to.add(at), std::ptr::with_exposed_provenance(host), length);
    };
    // SAFETY: the caller's promise.
    unsafe { from.each_run(part) };
}

/// Who asks for an access: what a token is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) device: &'a Device,
    /// The domain of the queue pair at this device.
    pub(crate) domain: u32,
    /// The queue pair at this device, for tokens that work on one only.
    pub(crate) queue_pair: u64,
    /// Its place on the device.
    pub(crate) place: &'a Place,
}

/// What is asked for: some bytes behind a token, as its region counts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) token: u32,
    pub(crate) address: u64,
    pub(crate) length: u64,
}

/// Why an access was not let through, and how many of its bytes came before the region's bounds.
pub(crate) type Refused = (Miss, usize);

impl Asker<'_> {
    /// Lets an access through: its hazard is published, and the span may be used until [`end`](Self::end). A refused
    /// access has no hazard left.
    pub(crate) fn begin(self, need: Need, target: Target) -> Result<Span, Refused> {
        let Some(index) = self.announce(target.token) else {
            let retired = self.device.was_removed(target.token);
            return Err(self.missed(if retired { Miss::Retired } else { Miss::Unknown }, 0));
        };
        // Pairs with `Hazards::is_busy`.
        fence(Ordering::SeqCst);
        self.look(index, need, target).map_err(|(miss, before)| self.missed(miss, before))
    }

    /// The bytes were moved.
    #[inline]
    pub(crate) fn end(self) {
        self.place.withdraw();
    }

    /// Publishes the hazard of the record that the token leads to.
    #[inline(always)]
    fn announce(self, token: u32) -> Option<u32> {
        let index = self.device.find(token)?;
        self.place.publish(index, self.device.record(index));
        Some(index)
    }

    /// Looks whether the record allows the access, whose hazard was published before a fence.
    #[inline(always)]
    fn look(self, index: u32, need: Need, target: Target) -> Result<Span, Refused> {
        match self.device.record(index).read(need.side(), target.token) {
            Some(reading) => self.check(need, &reading, target),
            None => Err((self.device.no_reading(index, need, target.token), 0)),
        }
    }

    /// As `begin`, where the hazard of the token's record stands; nothing changes where not. The token table is not asked:
    /// a record has the tokens that lead to it.
    #[inline(always)]
    pub(crate) fn look_again(self, need: Need, target: Target) -> Option<Span> {
        // SAFETY: a record of the device's, which keeps its records.
        let record = unsafe { self.place.standing()?.as_ref() };
        let reading = record.read(need.side(), target.token)?;
        self.check(need, &reading, target).ok()
    }

    #[cold]
    fn missed(self, miss: Miss, before: usize) -> Refused {
        self.end();
        self.device.counters.missed(self.domain as usize, miss);
        log::debug!("{}: access refused: {miss:?} [F1 to F5]", self.device.name);
        (miss, before)
    }

    /// A refusal comes with the number of bytes before the bounds that are inside them.
    #[inline(always)]
    fn check(self, need: Need, reading: &Reading, target: Target) -> Result<Span, Refused> {
        if reading.domain != self.domain || (reading.scope != 0 && reading.scope != self.queue_pair)
        {
            return Err((Miss::OtherDomain, 0));
        }
        // A privileged token names no memory of its own: its elements were resolved when they were posted.
        if reading.privileged || !self.device.allows(reading.rights, need) {
            return Err((Miss::Rights, 0));
        }
        let Target { address, length, .. } = target;
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
}

/// Lets the two accesses of a copy through, with one fence for both. Their hazards are left standing. Where one access is
/// to be refused no hazard is left, and nobody was told.
pub(crate) fn begin_both(
    first: (Asker<'_>, Need, Target),
    second: (Asker<'_>, Need, Target),
) -> Option<(Span, Span)> {
    let indices = (first.0.announce(first.2.token), second.0.announce(second.2.token));
    // Pairs with `Hazards::is_busy`, of either device.
    fence(Ordering::SeqCst);
    if let (Some(one), Some(two)) = indices
        && let Ok(span) = first.0.look(one, first.1, first.2)
        && let Ok(other) = second.0.look(two, second.1, second.2)
    {
        return Some((span, other));
    }
    first.0.end();
    second.0.end();
    None
}

impl Device {
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

    /// Whether all the rights needed are there (F4).
    #[inline]
    fn allows(&self, rights: Rights, need: Need) -> bool {
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
