//! Seeds from the operating system; the generators themselves are the callers'.

use crate::sys;

/// 64 random bits from the operating system.
pub fn seed() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(seed) = crate::simulation::seed() {
        return seed;
    }
    let mut bytes = [0; 8];
    sys::fill_random(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// 256 random bits from the operating system, for a key that nobody is to guess.
pub fn secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&seed().to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ() {
        assert_ne!(seed(), seed());
        assert_ne!(secret(), secret());
    }
}
