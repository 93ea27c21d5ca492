//! Quotients and remainders by a fixed divisor without a division: a 64-bit division costs up to a pick's whole budget on
//! older cores.

/// A divisor with its reciprocal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modulus {
    divisor: u64,
    reciprocal: u64,
}

impl Modulus {
    /// A divisor of 0 counts as 1, so that every remainder is 0.
    pub(crate) fn new(divisor: u32) -> Self {
        let divisor = u64::from(divisor.max(1));
        Self {
            divisor,
            reciprocal: u64::MAX / divisor,
        }
    }

    /// `value % divisor`, exactly.
    #[inline]
    pub(crate) fn of(self, value: u64) -> u32 {
        self.divide(value).1
    }

    /// `value / divisor` and `value % divisor`, exactly.
    #[inline]
    pub(crate) fn divide(self, value: u64) -> (u64, u32) {
        // The reciprocal is less than 1 + 2^-64 too small relative to 2^64 / divisor, so the quotient is right or one too small.
        let quotient = ((u128::from(value) * u128::from(self.reciprocal)) >> 64) as u64;
        let rest = value - quotient * self.divisor;
        let small = u64::from(rest >= self.divisor);
        (quotient + small, (rest - small * self.divisor) as u32)
    }

    pub(crate) fn divisor(self) -> u32 {
        self.divisor as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_edges_are_exact() {
        for divisor in [1, 2, 3, 7, 65_537, 5_000_011, u32::MAX] {
            for value in [
                0,
                1,
                u64::from(divisor) - 1,
                u64::from(divisor),
                u64::MAX - 1,
                u64::MAX,
            ] {
                assert_eq!(
                    u64::from(Modulus::new(divisor).of(value)),
                    value % u64::from(divisor)
                );
            }
        }
        assert_eq!(Modulus::new(0).of(17), 0);
    }

    proptest! {
        #[test]
        fn every_division_is_exact(value: u64, divisor in 1u32..) {
            let (quotient, rest) = Modulus::new(divisor).divide(value);
            let divisor = u64::from(divisor);
            prop_assert_eq!((quotient, u64::from(rest)), (value / divisor, value % divisor));
        }
    }
}
