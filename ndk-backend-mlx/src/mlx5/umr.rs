//! The work-queue entry of a fast registration, as bytes.
//!
//! mlx5 changes a memory key from the send queue with a UMR ("user-mode memory registration") entry: the new attributes
//! of the key, a mask of those that count, and the list of what the key leads to. All fields are big-endian:
//!
//! | bytes | segment |
//! |---|---|
//! | 0..16 | control: opcode, queue pair, size in units of 16 bytes, fence, the key |
//! | 16..64 | UMR control: flags, size of the list, mask |
//! | 64..128 | the key's new attributes: rights, first address, length |
//! | 128.. | the list: one element of 16 bytes for each run of memory, filled up with zeros to 64 bytes |
//!
//! The list is part of the entry ("inline"), so that nothing outside the send queue has to stay until the device has
//! read it. That bounds its length: see [`most_runs`].

use ndk_core::{Access, Error, ErrorKind, Result};

/// The unit in which the device counts an entry, and the size of one element of the list.
pub(super) const OCTOWORD: usize = 16;
/// The control segments and the key's attributes, in octowords.
const HEAD: usize = 8;
/// Elements of a list are read in blocks of this many.
const BLOCK: usize = 4;
/// The most octowords of an entry: its size is a field of six bits.
const MOST_OCTOWORDS: usize = 63;
/// The most elements that any entry has room for.
pub(crate) const MOST_RUNS: usize = (MOST_OCTOWORDS - HEAD) / BLOCK * BLOCK;
/// The size of the largest entry in bytes.
const LARGEST: usize = (HEAD + MOST_RUNS) * OCTOWORD;

const OPCODE_UMR: u8 = 0x25;
/// In the control segment: report the entry's completion.
const COMPLETION: u8 = 2 << 2;
const FENCE_INITIATOR_SMALL: u8 = 1 << 5;
const FENCE_STRONG_ORDERING: u8 = 3 << 5;
/// In the UMR control segment: the list is in the entry.
const INLINE: u8 = 1 << 7;
/// In the UMR control segment: fail where the key is not free, so that a live registration is never overwritten. The
/// Linux driver calls it "check not free", rdma-core "check free"; it is one bit.
const CHECK_FREE: u8 = 1 << 5;

/// Which attributes of the key change. Local read, remote invalidation, the queue pair (any) and the protection domain
/// stay as the key was made. The right to atomics is left alone too: NDK has none, and some devices refuse to change it.
const MASK: u64 = MASK_LENGTH
    | MASK_START
    | MASK_KEY
    | MASK_LOCAL_WRITE
    | MASK_REMOTE_READ
    | MASK_REMOTE_WRITE
    | MASK_FREE;
const MASK_LENGTH: u64 = 1 << 0;
const MASK_START: u64 = 1 << 6;
const MASK_KEY: u64 = 1 << 13;
const MASK_LOCAL_WRITE: u64 = 1 << 18;
const MASK_REMOTE_READ: u64 = 1 << 19;
const MASK_REMOTE_WRITE: u64 = 1 << 20;
const MASK_FREE: u64 = 1 << 29;

const RIGHT_LOCAL_READ: u8 = 1 << 2;
const RIGHT_LOCAL_WRITE: u8 = 1 << 3;
const RIGHT_REMOTE_READ: u8 = 1 << 4;
const RIGHT_REMOTE_WRITE: u8 = 1 << 5;
/// The key works on every queue pair of its domain (G11). Written, though the mask leaves the field alone.
const ANY_QUEUE_PAIR: u32 = 0xff_ffff;

/// The longest run: the length of an element is a field of 31 bits, in which 0 stands for 2 GiB.
const LONGEST_RUN: u64 = 1 << 31;

/// How many runs one inline entry of at most `largest` bytes holds, where `largest` is the device's largest work-queue
/// entry.
///
/// However large that is, the size field counts up to 63 octowords. 8 of them are not list, and the list comes in blocks
/// of 4: 52 runs.
pub(crate) const fn most_runs(largest: usize) -> usize {
    let octowords = largest / OCTOWORD;
    let octowords = if octowords < MOST_OCTOWORDS { octowords } else { MOST_OCTOWORDS };
    octowords.saturating_sub(HEAD) / BLOCK * BLOCK
}

/// The size in bytes of an entry with this many runs.
pub(crate) const fn entry_size(runs: usize) -> usize {
    (HEAD + runs.next_multiple_of(BLOCK)) * OCTOWORD
}

/// Adjacent bytes of registered memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The local key of the registration that the bytes are in.
    pub(crate) key: u32,
    /// The first byte's address, as that registration counts it.
    pub(crate) address: u64,
    /// Bytes.
    pub(crate) length: u64,
}

/// What an entry waits for, by what the device says of itself (`umr_fence`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// For a UMR entry before it.
    InitiatorSmall,
    /// For every entry before it: for devices that may carry a UMR entry out before an earlier request.
    StrongOrdering,
}

/// A fast registration as the device is to carry it out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Umr<'a> {
    /// The indirect key.
    pub(crate) key: u32,
    /// The number of the queue pair that the entry is posted on.
    pub(crate) queue_pair: u32,
    /// The address that the region's bytes count from.
    pub(crate) base: u64,
    /// What the region reaches, in order. Their lengths add up to the region's.
    pub(crate) runs: &'a [Run],
    /// The region's rights.
    pub(crate) access: Access,
    /// What the entry waits for.
    pub(crate) fence: Fence,
}

impl Umr<'_> {
    /// Writes the entry, for a device whose entries hold `limit` runs.
    ///
    /// The number of the entry's slot, which the control segment has too, is filled in by whoever puts the entry into
    /// the queue.
    ///
    /// # Errors
    /// IMPLEMENTATION_LIMIT for more runs than `limit`; INTERNAL_ERROR for a list that has no meaning: no run, or one
    /// of no bytes or of more than 2 GiB.
    pub(crate) fn encode(&self, limit: usize) -> Result<Entry> {
        let limit = limit.min(MOST_RUNS);
        if self.runs.len() > limit {
            return Err(too_many(limit));
        }
        if self.runs.is_empty() {
            return Err(Error::new(ErrorKind::Internal, "a fast registration of no memory"));
        }
        if self.runs.iter().any(|run| run.length == 0 || run.length > LONGEST_RUN) {
            let cause = "a run of a fast registration is empty or longer than 2 GiB";
            return Err(Error::new(ErrorKind::Internal, cause));
        }
        let size = entry_size(self.runs.len());
        let mut entry = Entry { bytes: [0; LARGEST], size };
        self.write_control(&mut entry);
        self.write_umr_control(&mut entry);
        self.write_attributes(&mut entry);
        for (run, element) in self.runs.iter().zip(entry.bytes[HEAD * OCTOWORD..].chunks_mut(16)) {
            // 2 GiB is written as 0: the top bit is not part of the field.
            put(element, 0, (run.length as u32 & 0x7fff_ffff).to_be_bytes());
            put(element, 4, run.key.to_be_bytes());
            put(element, 8, run.address.to_be_bytes());
        }
        Ok(entry)
    }

    fn write_control(&self, entry: &mut Entry) {
        let octowords = (entry.size / OCTOWORD) as u32;
        let fence = match self.fence {
            Fence::InitiatorSmall => FENCE_INITIATOR_SMALL,
            Fence::StrongOrdering => FENCE_STRONG_ORDERING,
        };
        let control = &mut entry.bytes[..16];
        put(control, 0, u32::from(OPCODE_UMR).to_be_bytes());
        put(control, 4, (self.queue_pair << 8 | octowords).to_be_bytes());
        control[11] = fence | COMPLETION;
        put(control, 12, self.key.to_be_bytes());
    }

    fn write_umr_control(&self, entry: &mut Entry) {
        let list = (entry.size / OCTOWORD - HEAD) as u16;
        let control = &mut entry.bytes[16..64];
        control[0] = INLINE | CHECK_FREE;
        put(control, 4, list.to_be_bytes());
        put(control, 8, MASK.to_be_bytes());
    }

    fn write_attributes(&self, entry: &mut Entry) {
        let length: u64 = self.runs.iter().map(|run| run.length).sum();
        let attributes = &mut entry.bytes[64..128];
        // Byte 0 has the free bit, which stays clear: the key is live once the entry has been carried out.
        attributes[2] = rights(self.access);
        // The low 8 bits of the key are its variant. It stays the one that it is, so that the token does (E4).
        put(attributes, 4, (ANY_QUEUE_PAIR << 8 | self.key & 0xff).to_be_bytes());
        put(attributes, 16, self.base.to_be_bytes());
        put(attributes, 24, length.to_be_bytes());
    }
}

/// A work-queue entry, ready to be posted.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    bytes: [u8; LARGEST],
    size: usize,
}

impl Entry {
    /// The bytes to be posted: a whole number of octowords, as the entry itself says.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// The refusal of a registration whose memory is in too many pieces.
pub(super) fn too_many(limit: usize) -> Error {
    let detail = format!(
        "the memory is in more than {limit} runs of adjacent pages, as many as one request to this device holds"
    );
    Error::new(ErrorKind::ImplementationLimit, detail).rule("G2")
}

/// Local write is what the sink of a remote read needs on InfiniBand and RoCE.
fn rights(access: Access) -> u8 {
    let mut rights = RIGHT_LOCAL_READ;
    if access.contains(Access::LOCAL_WRITE) || access.contains(Access::READ_SINK) {
        rights |= RIGHT_LOCAL_WRITE;
    }
    if access.contains(Access::REMOTE_READ) {
        rights |= RIGHT_REMOTE_READ;
    }
    if access.contains(Access::REMOTE_WRITE) {
        rights |= RIGHT_REMOTE_WRITE;
    }
    rights
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

#[cfg(test)]
mod tests;
