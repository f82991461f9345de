//! Hazards: which record each queue pair is working on, so that a deregistration can wait for just that (D3).
//!
//! A queue pair publishes a record's index, then checks that the record is still live, then moves bytes, then
//! withdraws the index. A deregistration kills the record, then looks whether anybody has published its index. Between its
//! two steps an access has a sequentially consistent fence, and the accesses of a deregistration are sequentially consistent
//! themselves: so either the access sees the record dead, or the deregistration sees the hazard. Nothing is counted on the
//! region, so that peers do not fight over its cache line.

use crate::counters::Tally;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const CHUNK: usize = 64;
const CHUNKS: usize = 1024;

/// One queue pair's place on one device. Whoever holds the queue pair's queue writes it, and nobody else.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Place {
    /// 0 for none, else a record's index plus one.
    hazard: AtomicU32,
    /// What it has done at the device; on the line of cache that the hazard has brought here anyway.
    pub(crate) tally: Tally,
}

impl Place {
    /// Publishes the record; the caller fences before it reads the record.
    #[inline]
    pub(crate) fn publish(&self, index: u32) {
        self.hazard.store(index + 1, Ordering::Relaxed);
    }

    /// Withdraws what was published; every byte was moved before.
    #[inline]
    pub(crate) fn withdraw(&self) {
        self.hazard.store(0, Ordering::Release);
    }
}

/// The hazards on one device.
#[derive(Debug)]
pub(crate) struct Hazards {
    chunks: Box<[OnceLock<Box<[Place]>>]>,
    /// Places that were ever in use: what a deregistration looks through.
    used: AtomicUsize,
    free: Mutex<Vec<usize>>,
}

impl Hazards {
    pub(crate) fn new() -> Self {
        let chunks = (0..CHUNKS).map(|_| OnceLock::new()).collect();
        Self { chunks, used: AtomicUsize::new(0), free: Mutex::new(Vec::new()) }
    }

    /// The place of that number, which was taken.
    #[inline]
    pub(crate) fn place(&self, number: usize) -> &Place {
        let chunk = self.chunks[number / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| Place::default()).collect());
        &chunk[number % CHUNK]
    }

    /// All places that were ever taken.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        (0..self.used.load(Ordering::SeqCst)).map(|number| self.place(number))
    }

    /// A place for one that accesses the device; `None` where all are taken.
    pub(crate) fn take_place(&self) -> Option<usize> {
        let mut free = self.free.lock();
        if let Some(place) = free.pop() {
            return Some(place);
        }
        let place = self.used.load(Ordering::Relaxed);
        if place == CHUNK * CHUNKS {
            return None;
        }
        self.used.store(place + 1, Ordering::SeqCst);
        Some(place)
    }

    pub(crate) fn give_place_back(&self, place: usize) {
        self.free.lock().push(place);
    }

    /// Whether some access is at work on a record that was killed before the call.
    #[inline]
    pub(crate) fn is_busy(&self, index: u32) -> bool {
        self.places().any(|place| place.hazard.load(Ordering::SeqCst) == index + 1)
    }
}
