//! Random numbers from a seed: the same every time.

/// splitmix64.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// Others, which only the number tells apart.
    pub(crate) fn fork(mut self, number: u64) -> Self {
        self.0 = self.0.wrapping_add(number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Dice(self.below(u64::MAX))
    }
}
