//! Tokens that were live lately, in a table that takes one place of a few words for each of them and forgets the oldest.

use super::spread::spread;
use alloc::boxed::Box;
use alloc::vec;

/// Room for two tokens of each of the 65,536 deregistrations that D4 speaks of, in sets of four.
const SETS: usize = 32_768;
const WAYS: usize = 4;

/// A token that was a region's.
#[derive(Clone, Copy)]
pub(super) struct Retired {
    pub(super) token: u32,
    /// The low half of the region's number.
    pub(super) region: u32,
    /// How many deregistrations had begun by then.
    pub(super) at: u64,
}

/// As it is kept: token and region in one word, then the count. Plain words, so that a table begins as memory of zeroes
/// that nobody has touched.
type Packed = [u64; 2];

impl Retired {
    fn pack(self) -> Packed {
        [u64::from(self.token) | u64::from(self.region) << 32, self.at]
    }

    fn unpack([who, at]: Packed) -> Self {
        Self { token: who as u32, region: (who >> 32) as u32, at }
    }
}

/// The table. A set that is full forgets its oldest, so that a few go before their time.
#[derive(Default)]
pub(super) struct Retirees(Box<[[Packed; WAYS]]>);

fn place(token: u32) -> usize {
    spread(token.into()) as usize % SETS
}

impl Retirees {
    pub(super) fn insert(&mut self, retired: Retired) {
        if self.0.is_empty() {
            self.0 = vec![[[0; 2]; WAYS]; SETS].into_boxed_slice();
        }
        let set = &mut self.0[place(retired.token)];
        set.copy_within(..WAYS - 1, 1);
        set[0] = retired.pack();
    }

    /// Forgets a token, which is not 0, and gives what was known of it.
    pub(super) fn remove(&mut self, token: u32) -> Option<Retired> {
        let set = self.0.get_mut(place(token))?;
        let found = set.iter_mut().find(|packed| packed[0] as u32 == token)?;
        Some(Retired::unpack(core::mem::take(found)))
    }

    pub(super) fn get(&self, token: u32) -> Option<Retired> {
        let set = self.0.get(place(token))?;
        set.iter().copied().map(Retired::unpack).find(|retired| retired.token == token)
    }
}
