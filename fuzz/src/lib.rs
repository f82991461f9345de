//! What the fuzz targets share.

/// An input as a row of choices, a byte or a few for each; beyond its end they are all the first.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether the input has more.
    pub fn more(&self) -> bool {
        !self.0.is_empty()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (here, rest) = self.0.split_at(self.0.len().min(N));
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..here.len()].copy_from_slice(here);
        bytes
    }

    /// A number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.bytes::<1>()[0]) % end
    }

    /// Any number; small ones take little of the input.
    pub fn number(&mut self) -> u32 {
        match self.below(4) {
            0 => u32::from_le_bytes(self.bytes()),
            1 => u16::from_le_bytes(self.bytes()).into(),
            _ => self.below(256) as u32,
        }
    }

    pub fn yes(&mut self) -> bool {
        self.once_in(2)
    }

    /// Yes, for one byte in so many.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Up to `most` of what `make` gives.
    pub fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| make(self)).collect()
    }
}
