//! A map from small numbers that weir itself hands out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by [`crate::compile::Endpoint`] number. Nobody outside chooses the numbers, so nothing needs hashing against
/// an attacker.
pub(crate) type IdMap<T> = HashMap<u32, T, BuildHasherDefault<IdHasher>>;

/// Spreads a number over all bits by one multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_apart() {
        let map: IdMap<u32> = (0..10_000).map(|number| (number, number * 2)).collect();
        assert!((0..10_000).all(|number| map[&number] == number * 2));
    }
}
