//! Hazards: which record each queue pair is working on, so that a deregistration can wait for just that (D3).
//!
//! A queue pair publishes a record's index, then checks that the record is still live, then moves bytes, then
//! withdraws the index. A deregistration kills the record, then looks whether anybody has published its index. Between its
//! two steps an access has a sequentially consistent fence, and so has a deregistration, be it that of the token's
//! retirement: so either the access sees the record dead, or the deregistration sees the hazard. Nothing is counted on the
//! region, so that peers do not fight over its cache line.
//!
//! A fence takes as long as a short copy. So the short way of a request leaves its hazards *standing*, and the next
//! request to the same records needs no fence. A deregistration that meets a hazard asks its owner to lower it, which
//! takes the owner's queue for a moment: what is at work is found out then, and what comes next publishes anew.
//!
//! An initiator has no lock that could be taken. It says that it is *at work* before it looks at the record, and that it
//! is not after its last byte; its hazard is left standing too, and needs no fence, since a deregistration that meets it
//! has a fence for both (`barrier`).

#[cfg(all(test, loom))]
mod interleavings;

use crate::barrier;
use crate::counters::Tally;
use crate::record::Record;
use ndk_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::array;
use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Arc, OnceLock, Weak};

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU32, fence};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU32, fence};

const CHUNK: usize = 64;
const CHUNKS: usize = 1024;

/// Who accesses devices by way of places.
pub(crate) trait Owner: fmt::Debug + Send + Sync {
    /// Withdraws its hazards, unless an access is at work.
    fn lower(&self);
}

/// One queue pair's place on one device, or an initiator's. Whoever holds the queue pair's queue, or the initiator, writes
/// it, and nobody else.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Place {
    /// 0 for none, else a record's index plus one.
    hazard: AtomicU32,
    /// Of one without an owner: whether an access is at work.
    at_work: AtomicU32,
    /// The record of the hazard, for whoever has published it.
    record: AtomicPtr<Record>,
    /// What it has done at the device; on the line of cache that the hazard has brought here anyway.
    pub(crate) tally: Tally,
    owner: Mutex<Option<Weak<dyn Owner>>>,
}

impl Place {
    /// Publishes the record; the caller fences before it reads the record. What stood here before is over.
    #[inline]
    pub(crate) fn publish(&self, index: u32, record: &Record) {
        self.record.store(ptr::from_ref(record).cast_mut(), Ordering::Relaxed);
        self.hazard.store(index + 1, Ordering::Release);
    }

    /// Withdraws what was published; every byte was moved before.
    #[inline]
    pub(crate) fn withdraw(&self) {
        self.record.store(ptr::null_mut(), Ordering::Relaxed);
        self.hazard.store(0, Ordering::Release);
    }

    /// The record whose hazard stands: it was published before a fence, and never withdrawn.
    #[inline]
    pub(crate) fn standing(&self) -> Option<NonNull<Record>> {
        NonNull::new(self.record.load(Ordering::Relaxed))
    }

    /// An access begins, by one that has no owner; `fenceless` where `barrier` has a fence for it. After this it looks at the
    /// record whose hazard stands, or at any that it publishes.
    #[inline(always)]
    pub(crate) fn begin(&self, fenceless: bool) {
        self.at_work.store(1, Ordering::Relaxed);
        if fenceless {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// It is over; every byte was moved.
    #[inline(always)]
    pub(crate) fn end(&self) {
        self.at_work.store(0, Ordering::Release);
    }

    /// Says who can lower the hazard.
    pub(crate) fn set_owner(&self, owner: Weak<dyn Owner>) {
        *self.owner.lock() = Some(owner);
    }

    /// Whether the hazard is that of an access at work, and not one that stands: that is lowered.
    #[cold]
    fn is_at_work(&self, index: u32) -> bool {
        let owner = self.owner.lock().as_ref().map(Weak::upgrade);
        let may_be = match owner {
            Some(owner) => {
                owner.inspect(|owner| owner.lower());
                true
            }
            None => {
                barrier::heavy();
                self.at_work.load(Ordering::Acquire) != 0
            }
        };
        may_be && self.hazard.load(Ordering::SeqCst) == index + 1
    }
}

/// A place that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    place: NonNull<Place>,
    number: usize,
    _chunk: Arc<[Place; CHUNK]>,
}

// SAFETY: it is a reference to a place, which is used from any thread.
unsafe impl Send for Taken {}
// SAFETY: as for Send.
unsafe impl Sync for Taken {}

impl Deref for Taken {
    type Target = Place;

    #[inline]
    fn deref(&self) -> &Place {
        // SAFETY: it is one of the chunk's, which stays where it is for as long as it is held.
        unsafe { self.place.as_ref() }
    }
}

/// The hazards on one device.
#[derive(Debug)]
pub(crate) struct Hazards {
    chunks: Box<[OnceLock<Arc<[Place; CHUNK]>>]>,
    /// Places that were ever in use: what a deregistration looks through.
    used: AtomicUsize,
    free: Mutex<Vec<usize>>,
}

impl Hazards {
    pub(crate) fn new() -> Self {
        let chunks = (0..CHUNKS).map(|_| OnceLock::new()).collect();
        Self { chunks, used: AtomicUsize::new(0), free: Mutex::new(Vec::new()) }
    }

    #[inline]
    fn chunk(&self, number: usize) -> &Arc<[Place; CHUNK]> {
        self.chunks[number / CHUNK].get_or_init(|| Arc::new(array::from_fn(|_| Place::default())))
    }

    /// All places that were ever taken.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        let used = 0..self.used.load(Ordering::SeqCst);
        used.map(|number| &self.chunk(number)[number % CHUNK])
    }

    /// A place for one that accesses the device.
    pub(crate) fn take_place(&self) -> Result<Taken> {
        let mut free = self.free.lock();
        let number = match free.pop() {
            Some(number) => number,
            None => {
                let number = self.used.load(Ordering::Relaxed);
                if number == CHUNK * CHUNKS {
                    let cause = "the device has as many queue pairs and initiators as it can";
                    return Err(Error::new(ErrorKind::InsufficientResources, cause));
                }
                self.used.store(number + 1, Ordering::SeqCst);
                number
            }
        };
        let chunk = self.chunk(number).clone();
        Ok(Taken { place: NonNull::from(&chunk[number % CHUNK]), number, _chunk: chunk })
    }

    pub(crate) fn give_place_back(&self, place: &Taken) {
        place.withdraw();
        *place.owner.lock() = None;
        self.free.lock().push(place.number);
    }

    /// Whether some access is at work on a record that was killed before the call. Whoever asks with a queue locked has
    /// lowered its hazards.
    #[inline]
    pub(crate) fn is_busy(&self, index: u32) -> bool {
        self.places().any(|place| {
            place.hazard.load(Ordering::SeqCst) == index + 1 && place.is_at_work(index)
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_is_taken_is_its_owner_s_alone() {
        let hazards = Hazards::new();
        let taken: Vec<_> =
            (0..3 * CHUNK + 1).map(|_| hazards.take_place().expect("a place")).collect();
        let mut at: Vec<_> = taken.iter().map(|taken| ptr::from_ref::<Place>(taken)).collect();
        let looked: Vec<_> = hazards.places().map(ptr::from_ref).collect();
        assert_eq!(looked, at, "a deregistration looks through all of them");
        at.sort_unstable();
        at.dedup();
        assert_eq!(at.len(), taken.len());
        hazards.give_place_back(&taken[CHUNK + 1]);
        let again = hazards.take_place().expect("a place");
        assert!(ptr::eq(&*again, &*taken[CHUNK + 1]), "a place that was given back is the next");
        assert_eq!(hazards.places().count(), taken.len());
    }
}
