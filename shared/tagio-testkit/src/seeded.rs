//! Random numbers that a seed brings back (SplitMix64).

/// A repeatable source of numbers; nothing here is a secret.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The source that this seed stands for.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub const fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }

    /// A byte.
    pub const fn byte(&mut self) -> u8 {
        (self.bits() >> 56) as u8
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_says_the_same() {
        assert_eq!(Seeded::new(7).bytes(64), Seeded::new(7).bytes(64));
        assert_ne!(Seeded::new(7).bytes(64), Seeded::new(8).bytes(64));
    }
}
