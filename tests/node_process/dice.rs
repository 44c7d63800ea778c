//! Chance with a seed, so that a red run can be played again (Marsaglia's xorshift).

/// Its state; never zero.
pub struct Dice(u64);

impl Dice {
    /// The same rolls for the same seed, which must not be zero.
    pub fn seeded(seed: u64) -> Self {
        assert_ne!(seed, 0, "from zero only zeros follow");
        Self(seed)
    }

    /// From 0 up to, not including, `below`.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize]
    }
}
