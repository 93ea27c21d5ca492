//! Randomness for balancing: small, fast, seedable (row RL08). Not for secrets.

/// A wyrand generator: one word of state, uniform 64-bit output, equal seeds give equal sequences.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// The next number, uniform over the whole range.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0xa076_1d64_78bd_642f);
        let wide = u128::from(self.state) * u128::from(self.state ^ 0xe703_7ed1_a0b4_28db);
        (wide >> 64) as u64 ^ wide as u64
    }

    /// A number from 0 to `bound - 1`; 0 when `bound` is 0.
    ///
    /// The high half of a product instead of a remainder: with 64 random bits for a bound of at most 32, no number is more
    /// likely than another by more than one part in 2^32, and no draw is ever repeated.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u32
    }

    /// A number from 0 (included) to 1 (excluded), with 53 random bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// A first value for a rotation cursor, so that many processes do not all start at one endpoint (row LB03).
/// Leaves room above for more requests than a process can ever serve.
pub fn cursor_start(rng: &mut Rng) -> u64 {
    rng.next_u64() >> 8
}

/// A bijection that scatters every bit of `value` over the whole word (the finaliser of SplitMix64).
#[inline]
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rl08_equal_seeds_give_equal_sequences() {
        let (mut one, mut two, mut other) = (Rng::from_seed(7), Rng::from_seed(7), Rng::from_seed(8));
        let first: Vec<u64> = (0..64).map(|_| one.next_u64()).collect();
        assert_eq!(first, (0..64).map(|_| two.next_u64()).collect::<Vec<_>>());
        assert_ne!(first, (0..64).map(|_| other.next_u64()).collect::<Vec<_>>());
    }

    #[test]
    fn bounded_draws_are_uniform() {
        let mut rng = Rng::from_seed(1);
        for bound in [1u32, 2, 3, 7, 10] {
            let mut counts = vec![0u32; bound as usize];
            for _ in 0..bound * 10_000 {
                counts[rng.below(bound) as usize] += 1;
            }
            for count in counts {
                assert!((9_600..=10_400).contains(&count), "bound {bound}: {count}");
            }
        }
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn a_bound_close_to_the_range_has_no_bias() {
        // A remainder of 32 random bits would hit the lowest third twice as often as the others.
        let mut rng = Rng::from_seed(2);
        let bound = 3u32 << 30;
        let low = (0..30_000).filter(|_| rng.below(bound) < bound / 3).count();
        assert!((9_600..=10_400).contains(&low), "{low}");
    }

    #[test]
    fn the_unit_draw_stays_below_one() {
        let mut rng = Rng::from_seed(3);
        let mean = (0..10_000)
            .map(|_| rng.unit())
            .inspect(|drawn| assert!((0.0..1.0).contains(drawn)))
            .sum::<f64>();
        assert!((4_850.0..=5_150.0).contains(&mean), "{mean}");
    }
}
