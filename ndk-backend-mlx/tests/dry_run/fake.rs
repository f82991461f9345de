//! What the fake kernel tells a test; see `fake_mlx5/fake_mlx5.h`.

use std::ffi::CStr;
use std::slice;

/// A queue pair as the kernel was told of it.
#[repr(C)]
#[derive(Clone, Copy)]
struct QueuePair {
    send_queue: *const u8,
    send_queue_size: u64,
    doorbell: *const u32,
}

/// An indirect key as libmlx5 asked for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) domain: u32,
    pub(crate) elements: u32,
    pub(crate) queue_pair: u32,
    pub(crate) free: bool,
    pub(crate) by_umr: bool,
    pub(crate) local_read: bool,
    pub(crate) other_rights: bool,
    pub(crate) remote_invalidate: bool,
    pub(crate) indirect: bool,
}

/// A registration.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) key: u32,
    pub(crate) domain: u32,
    pub(crate) access: u32,
}

/// How a request ended, as the adapter would report it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Completion {
    /// Where a posted entry begins.
    pub(crate) slot: u16,
    pub(crate) opcode: u8,
    /// 0 is success.
    pub(crate) syndrome: u8,
    pub(crate) receive: bool,
    /// The key that the message ended, or 0.
    pub(crate) invalidated: u32,
}

/// The fake kernel of this process.
#[derive(Clone, Copy)]
pub(crate) struct Fake {
    requests: extern "C" fn() -> u64,
    refused: extern "C" fn() -> u64,
    objects: extern "C" fn() -> u64,
    queue_pair: extern "C" fn(u32, *mut QueuePair) -> bool,
    mkey: extern "C" fn(u32, *mut Key) -> bool,
    region_at: extern "C" fn(u64, *mut Region) -> bool,
    complete: extern "C" fn(u32, *const Completion) -> bool,
    hold_registrations: extern "C" fn(bool),
    waiting: extern "C" fn() -> u32,
    refuse_ends: extern "C" fn(bool),
}

impl Fake {
    pub(crate) fn loaded() -> Self {
        // SAFETY: the types are those of the header.
        unsafe {
            Self {
                requests: find(c"fake_mlx5_requests"),
                refused: find(c"fake_mlx5_refused"),
                objects: find(c"fake_mlx5_objects"),
                queue_pair: find(c"fake_mlx5_queue_pair"),
                mkey: find(c"fake_mlx5_mkey"),
                region_at: find(c"fake_mlx5_region_at"),
                complete: find(c"fake_mlx5_complete"),
                hold_registrations: find(c"fake_mlx5_hold_registrations"),
                waiting: find(c"fake_mlx5_waiting"),
                refuse_ends: find(c"fake_mlx5_refuse_ends"),
            }
        }
    }

    /// How many requests the libraries have made of the kernel.
    pub(crate) fn requests(&self) -> u64 {
        (self.requests)()
    }

    /// How many of them it did not know.
    pub(crate) fn refused(&self) -> u64 {
        (self.refused)()
    }

    /// How many objects are there that were made and not destroyed.
    pub(crate) fn objects(&self) -> u64 {
        (self.objects)()
    }

    /// The indirect key of this value.
    pub(crate) fn key(&self, value: u32) -> Option<Key> {
        // SAFETY: all bits zero are a key.
        let mut key = unsafe { std::mem::zeroed() };
        (self.mkey)(value, &raw mut key).then_some(key)
    }

    /// The registration that begins at this host address.
    pub(crate) fn region_at(&self, address: u64) -> Option<Region> {
        let mut region = Region { key: 0, domain: 0, access: 0 };
        (self.region_at)(address, &raw mut region).then_some(region)
    }

    /// Reports the end of a request of the queue pair of this number.
    pub(crate) fn complete(&self, number: u32, completion: Completion) {
        assert!(
            (self.complete)(number, &raw const completion),
            "there is no queue pair {number:#x}"
        );
    }

    /// Whether registrations wait, until this is taken back.
    pub(crate) fn hold_registrations(&self, hold: bool) {
        (self.hold_registrations)(hold);
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        (self.waiting)()
    }

    /// Whether the ends of registrations, windows and indirect keys are refused, as busy.
    pub(crate) fn refuse_ends(&self, refuse: bool) {
        (self.refuse_ends)(refuse);
    }

    /// The send queue of the queue pair of this number.
    pub(crate) fn send_queue(&self, number: u32) -> SendQueue {
        // SAFETY: all bits zero are a description.
        let mut found = unsafe { std::mem::zeroed() };
        assert!((self.queue_pair)(number, &raw mut found), "there is no queue pair {number:#x}");
        SendQueue { queue_pair: found }
    }
}

/// A send queue in the memory that libmlx5 named to the kernel, read as the adapter would.
pub(crate) struct SendQueue {
    queue_pair: QueuePair,
}

impl SendQueue {
    /// How many blocks of 64 bytes were posted, as the doorbell says, modulo 65,536.
    pub(crate) fn posted(&self) -> u16 {
        // SAFETY: the doorbell is two counters, and stays while its queue pair does.
        let counter = unsafe { self.queue_pair.doorbell.add(1).read_volatile() };
        u32::from_be(counter) as u16
    }

    /// The bytes of the entry that begins at this block, by the size in its own control segment.
    pub(crate) fn entry(&self, block: u16) -> Vec<u8> {
        let (queue, at) = self.at(block);
        let octowords = usize::from(queue[at + 7] & 0x3f);
        (0..octowords * 16).map(|offset| queue[(at + offset) % queue.len()]).collect()
    }

    /// The opcode of the entry that begins at this block.
    pub(crate) fn opcode(&self, block: u16) -> u8 {
        let (queue, at) = self.at(block);
        queue[at + 3]
    }

    /// The whole queue, and the place of a block in it.
    fn at(&self, block: u16) -> (&[u8], usize) {
        let size = self.queue_pair.send_queue_size as usize;
        // SAFETY: libmlx5 named this memory as the queue, and nobody posts now.
        let queue = unsafe { slice::from_raw_parts(self.queue_pair.send_queue, size) };
        (queue, usize::from(block) * 64 % size)
    }
}

/// # Safety
/// `T` is the type of a pointer to that function.
unsafe fn find<T: Copy>(name: &CStr) -> T {
    const { assert!(size_of::<T>() == size_of::<*mut libc::c_void>()) }
    // SAFETY: a name that ends.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    assert!(!found.is_null(), "the fake kernel is not loaded: no {name:?}");
    // SAFETY: the caller's promise.
    unsafe { std::mem::transmute_copy(&found) }
}
