//! The operating system's randomness in the shape that `opaque-ke` asks for (the traits of `rand` 0.8).

use ::rand::{TryRng, rngs::SysRng};
use opaque_ke::rand;

/// Randomness of the operating system.
pub(crate) struct SystemRng;

impl rand::RngCore for SystemRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        SysRng.try_fill_bytes(dest).expect("the operating system hands out random bytes");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl rand::CryptoRng for SystemRng {}
