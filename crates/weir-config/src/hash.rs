//! A fast hash for tables of what the configuration names.
//!
//! It does not withstand somebody who chooses names so that they collide: whoever writes the configuration may
//! do worse things to it.

use std::hash::{BuildHasherDefault, Hasher};

/// A map with [`QuickHasher`].
pub(crate) type QuickMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<QuickHasher>>;

/// Multiply and rotate, eight bytes at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QuickHasher {
    state: u64,
}

/// Odd, with bits in no order: the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl QuickHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(MULTIPLIER);
        self.state = (product as u64) ^ ((product >> 64) as u64).rotate_left(23);
    }
}

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn finish(&self) -> u64 {
        // The table uses the lowest and the highest bits.
        self.state ^ (self.state >> 29)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::QuickHasher;

    #[test]
    fn similar_names_fall_into_different_places() {
        let build = BuildHasherDefault::<QuickHasher>::default();
        let hashes: Vec<u64> = (0..10_000)
            .map(|number| build.hash_one(("shop", format!("route-{number}").as_str())))
            .collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0x3fff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 50).collect();
        // 10,000 balls into 16,384 bins fill 7,485 of them.
        assert!(low.len() > 7_000, "{}", low.len());
        assert!(high.len() > 7_000, "{}", high.len());
    }
}
