//! Hazards: which record each queue pair is working on, so that a deregistration can wait for just that (D3).
//!
//! A queue pair publishes a record's index, then checks that the record is still live, then moves bytes, then
//! withdraws the index. A deregistration kills the record, then looks whether anybody has published its index. Between its
//! two steps an access has a sequentially consistent fence, and the accesses of a deregistration are sequentially consistent
//! themselves: so either the access sees the record dead, or the deregistration sees the hazard. Nothing is counted on the
//! region, so that peers do not fight over its cache line.

use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const CHUNK: usize = 64;
const CHUNKS: usize = 1024;

/// One queue pair's hazard on one device; 0 for none, else a record's index plus one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot(AtomicU32);

/// The hazards on one device.
#[derive(Debug)]
pub(crate) struct Hazards {
    chunks: Box<[OnceLock<Box<[Slot]>>]>,
    /// Slots that were ever in use: what a deregistration looks through.
    used: AtomicUsize,
    free: Mutex<Vec<usize>>,
}

impl Hazards {
    pub(crate) fn new() -> Self {
        let chunks = (0..CHUNKS).map(|_| OnceLock::new()).collect();
        Self { chunks, used: AtomicUsize::new(0), free: Mutex::new(Vec::new()) }
    }

    fn slot(&self, place: usize) -> &AtomicU32 {
        let chunk = self.chunks[place / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
        &chunk[place % CHUNK].0
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

    /// Publishes the record; the caller fences before it reads the record.
    #[inline]
    pub(crate) fn publish(&self, place: usize, index: u32) {
        self.slot(place).store(index + 1, Ordering::Relaxed);
    }

    /// Withdraws what was published; every byte was moved before.
    #[inline]
    pub(crate) fn withdraw(&self, place: usize) {
        self.slot(place).store(0, Ordering::Release);
    }

    /// Whether some access is at work on a record that was killed before the call.
    #[inline]
    pub(crate) fn is_busy(&self, index: u32) -> bool {
        let used = self.used.load(Ordering::SeqCst);
        (0..used).any(|place| self.slot(place).load(Ordering::SeqCst) == index + 1)
    }
}
