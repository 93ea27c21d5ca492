//! Random numbers that repeat with their seed.

/// splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Exponentially distributed with mean 1: gaps between arrivals that know nothing of each other.
    pub fn exponential(&mut self) -> f64 {
        let uniform = (self.number() >> 11) as f64 / (1u64 << 53) as f64;
        -(1.0 - uniform).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_mean_one_and_repeat() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            (0..100_000).map(|_| random.exponential()).collect::<Vec<f64>>()
        };
        let mean = draws(1).iter().sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }
}
