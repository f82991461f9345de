//! MDL chains, good and broken, and what is to be said of them.

use ndk_core::abi::*;
use proptest::prelude::*;
use std::ptr::{addr_of_mut, null_mut, without_provenance_mut};

/// One MDL, by what is written into it.
#[derive(Clone, Debug)]
struct Piece {
    start: usize,
    offset: u32,
    count: u32,
    flags: CSHORT,
    size: usize,
    frames: Vec<usize>,
}

impl Piece {
    fn well_formed(address: usize, count: u32) -> Self {
        let offset = address & (PAGE_SIZE - 1);
        let pages = (offset + count as usize).div_ceil(PAGE_SIZE);
        // The frame follows from the address, so that pieces that meet in a page name one frame.
        let frames = (0..pages.max(1)).map(|page| (address >> PAGE_SHIFT) + page + 0x55).collect();
        Self {
            start: address - offset,
            offset: offset as u32,
            count,
            flags: MDL_PAGES_LOCKED,
            size: size_of::<MDL>() + pages * size_of::<usize>(),
            frames,
        }
    }

    fn address(&self) -> usize {
        self.start.wrapping_add(self.offset as usize)
    }

    fn is_well_formed(&self) -> bool {
        let pages = (self.offset as usize + self.count as usize).div_ceil(PAGE_SIZE);
        let locked = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
        self.start.is_multiple_of(PAGE_SIZE)
            && (self.offset as usize) < PAGE_SIZE
            && self.flags & locked != 0
            && self.size >= size_of::<MDL>() + pages * size_of::<usize>()
    }
}

/// How a chain is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    None,
    Null,
    Gap,
    Overlap,
    Unlocked,
    WideOffset,
    CrookedStart,
    SmallSize,
    OtherFrame,
    Loop,
}

/// A chain as it will be laid out in memory.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pieces: Vec<Piece>,
    null: bool,
    loops: bool,
}

/// The length asked for, from the chain's own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    All,
    Half,
    One,
    Zero,
    OneMore,
    Absurd,
}

pub(crate) fn length() -> impl Strategy<Value = Length> {
    use Length::*;
    prop_oneof![
        6 => Just(All), 2 => Just(Half), 2 => Just(One), 1 => Just(Zero), 1 => Just(OneMore),
        1 => Just(Absurd),
    ]
}

pub(crate) fn chain() -> impl Strategy<Value = Chain> {
    use Damage::*;
    let start = prop_oneof![
        Just(0x10_0000_usize),
        Just(0x10_0001),
        Just(0x10_0fff),
        Just(0),
        Just(usize::MAX - 0x1fff),
        Just(usize::MAX - 0x5fff),
    ];
    let counts = prop::collection::vec(
        prop_oneof![Just(0_u32), Just(1), Just(100), Just(3996), Just(4096), Just(5000)],
        1..4,
    );
    let damage = prop_oneof![
        9 => Just(None), 1 => Just(Null), 1 => Just(Gap), 1 => Just(Overlap), 1 => Just(Unlocked),
        1 => Just(WideOffset), 1 => Just(CrookedStart), 1 => Just(SmallSize), 1 => Just(OtherFrame),
        1 => Just(Loop),
    ];
    (start, counts, damage, any::<prop::sample::Index>()).prop_map(
        |(start, counts, damage, place)| {
            Chain::new(start, &counts, damage, place.index(counts.len()))
        },
    )
}

impl Chain {
    /// Elements with as many bytes, one behind the other from `start` on, the one at `place` damaged.
    pub(crate) fn new(start: usize, counts: &[u32], damage: Damage, place: usize) -> Self {
        let mut at = start;
        let mut pieces: Vec<_> = counts
            .iter()
            .map(|&count| {
                let piece = Piece::well_formed(at, count);
                at = at.wrapping_add(count as usize);
                piece
            })
            .collect();
        let piece = &mut pieces[place];
        match damage {
            Damage::Gap => piece.start = piece.start.wrapping_add(PAGE_SIZE),
            Damage::Overlap => piece.start = piece.start.wrapping_sub(PAGE_SIZE),
            Damage::Unlocked => piece.flags = MDL_MAPPED_TO_SYSTEM_VA,
            Damage::WideOffset => {
                piece.offset += PAGE_SIZE as u32;
                piece.start = piece.start.wrapping_sub(PAGE_SIZE);
                piece.size += size_of::<usize>();
            }
            Damage::CrookedStart => piece.start += 8,
            Damage::SmallSize => piece.size -= size_of::<usize>(),
            Damage::OtherFrame => piece.frames[0] += 1,
            Damage::None | Damage::Null | Damage::Loop => {}
        }
        let (null, loops) = (matches!(damage, Damage::Null), matches!(damage, Damage::Loop));
        Self { pieces, null, loops }
    }

    /// The length in bytes that `length` means for this chain.
    pub(crate) fn bytes(&self, length: Length) -> usize {
        let all = self.pieces.iter().map(|piece| piece.count as usize).sum::<usize>();
        match length {
            Length::All => all,
            Length::Half => all / 2,
            Length::One => 1,
            Length::Zero => 0,
            Length::OneMore => all + 1,
            Length::Absurd => usize::MAX - 5,
        }
    }

    /// Whether the first `length` bytes can be registered (A6, C3 to C7, C15).
    pub(crate) fn is_good(&self, length: usize) -> bool {
        let base = self.pieces[0].address();
        if self.null || length == 0 || base.checked_add(length).is_none() {
            return false;
        }
        // A loop leads to addresses that were there already, so it is a break of the order like any other.
        let walk = self.pieces.iter().chain(self.loops.then(|| &self.pieces[0]));
        let (mut covered, mut last_frame) = (0, None);
        for piece in walk {
            let joint = base + covered;
            if !piece.is_well_formed() || piece.address() != joint {
                return false;
            }
            if piece.count > 0 {
                let inside_a_page = !joint.is_multiple_of(PAGE_SIZE);
                if inside_a_page && last_frame.is_some_and(|frame| frame != piece.frames[0]) {
                    return false;
                }
                covered += piece.count as usize;
                if covered >= length {
                    return true;
                }
                let last = (piece.offset as usize + piece.count as usize - 1) >> PAGE_SHIFT;
                last_frame = Some(piece.frames[last]);
            }
        }
        false
    }

    /// The pages that the first `length` bytes span.
    pub(crate) fn pages(&self, length: usize) -> usize {
        let first = self.pieces[0].address();
        (first + (length - 1)) / PAGE_SIZE - first / PAGE_SIZE + 1
    }

    /// Lays the chain out.
    pub(crate) fn build(&self) -> Built {
        let words = |piece: &Piece| size_of::<MDL>() / size_of::<usize>() + piece.frames.len() + 1;
        let mut memory: Vec<Vec<usize>> =
            self.pieces.iter().map(|piece| vec![0; words(piece)]).collect();
        let heads: Vec<*mut MDL> =
            memory.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
        for (index, piece) in self.pieces.iter().enumerate() {
            let wrapped = if self.loops { heads[0] } else { null_mut() };
            let next = heads.get(index + 1).copied().unwrap_or(wrapped);
            let mdl = heads[index];
            // SAFETY: the words are large enough and aligned for the structure and the frames behind it.
            unsafe {
                addr_of_mut!((*mdl).Next).write(next);
                addr_of_mut!((*mdl).Size).write(piece.size as CSHORT);
                addr_of_mut!((*mdl).MdlFlags).write(piece.flags);
                addr_of_mut!((*mdl).StartVa).write(without_provenance_mut(piece.start));
                addr_of_mut!((*mdl).ByteCount).write(piece.count);
                addr_of_mut!((*mdl).ByteOffset).write(piece.offset);
                for (place, &frame) in piece.frames.iter().enumerate() {
                    mdl.add(1).cast::<usize>().add(place).write(frame);
                }
            }
        }
        Built { head: if self.null { null_mut() } else { heads[0] }, _memory: memory }
    }
}

/// A chain in memory.
pub(crate) struct Built {
    pub(crate) head: *mut MDL,
    _memory: Vec<Vec<usize>>,
}
