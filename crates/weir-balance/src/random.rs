//! Random: independent draws by weight, in constant time.

use std::hint::select_unpredictable;

use crate::pick::Pick;
use crate::ready::{DRAWS, Ready};
use crate::rng::Rng;

/// Draws positions by weight (Vose's alias method): one random number, one table line.
#[derive(Debug)]
pub(crate) enum Draw {
    /// Equal weights.
    Uniform(u32),
    /// A column per position: keep it below the threshold, take the alias above.
    Alias(Box<[Column]>),
}

/// One column of the alias table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    keep_below: u32,
    alias: u32,
}

impl Draw {
    /// A table over `weights`, all of them greater than 0. Shares are exact to one in 2^32 of a column.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let count = weights.len();
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self::Uniform(count as u32);
        }
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        // In units in which a full column is `sum`: exact integers.
        let mut filled: Vec<u64> = weights
            .iter()
            .map(|weight| u64::from(*weight) * count as u64)
            .collect();
        let mut columns: Vec<Column> = (0..count as u32)
            .map(|alias| Column {
                keep_below: u32::MAX,
                alias,
            })
            .collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..count).partition(|at| filled[*at] < sum);
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            let keep_below = ((u128::from(filled[low]) << 32) / u128::from(sum)) as u32;
            columns[low] = Column {
                keep_below,
                alias: high as u32,
            };
            filled[high] -= sum - filled[low];
            if filled[high] < sum {
                large.pop();
                small.push(high);
            }
        }
        Self::Alias(columns.into())
    }

    /// A position; 0 when there are none at all.
    #[inline]
    pub(crate) fn draw(&self, rng: &mut Rng) -> u32 {
        match self {
            Self::Uniform(count) => rng.below(*count),
            Self::Alias(columns) => {
                // One number gives both: the column, and from what is left of it the place inside.
                let wide = u128::from(rng.next_u64()) * columns.len() as u128;
                let (at, place) = ((wide >> 64) as u32, (wide as u64 >> 32) as u32);
                let column = columns[at as usize];
                select_unpredictable(place < column.keep_below, at, column.alias)
            }
        }
    }
}

/// A usable position by an independent draw.
#[inline]
pub(crate) fn pick(draw: &Draw, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
    let mut position = 0;
    for _ in 0..DRAWS {
        position = draw.draw(pick.rng);
        if ready.is_usable(position, pick.tried) {
            return Some(position);
        }
    }
    ready.next_usable(position, pick.tried)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_model::Algorithm;

    use super::*;
    use crate::Unavailable;
    use crate::world::{World, balancer};

    fn chi_square(counts: &[u32], shares: &[f64]) -> f64 {
        let sum: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        counts
            .iter()
            .zip(shares)
            .map(|(count, share)| (f64::from(*count) - sum * share).powi(2) / (sum * share))
            .sum()
    }

    #[test]
    fn lb05_draws_are_uniform_and_independent() {
        let balancer = balancer(Algorithm::Random, &[1; 4]);
        for seed in 0..20 {
            let mut world = World::new(seed);
            let order: Vec<u32> = (0..1_000).map(|_| world.pick(&balancer)).collect();
            let mut counts = [0; 4];
            order.iter().for_each(|index| counts[*index as usize] += 1);
            // 16.27 is the 99.9th percentile for three degrees of freedom.
            let found = chi_square(&counts, &[0.25; 4]);
            assert!(found < 16.27, "seed {seed}: {counts:?} gives {found}");
            let repeats = order.windows(2).filter(|pair| pair[0] == pair[1]).count();
            assert!(
                (190..=310).contains(&repeats),
                "seed {seed}: {repeats} repeats of 999"
            );
        }
    }

    #[test]
    fn weights_shape_the_draw() {
        let (balancer, mut world) = (balancer(Algorithm::Random, &[1, 2, 3, 4]), World::new(5));
        let found = chi_square(&world.counts(&balancer, 10_000), &[0.1, 0.2, 0.3, 0.4]);
        assert!(found < 16.27, "{found}");
    }

    #[test]
    fn an_unavailable_endpoint_leaves_its_share_to_all() {
        let (balancer, mut world) = (balancer(Algorithm::Random, &[3, 1, 2, 2]), World::new(6));
        balancer.members()[0].state.raise(Unavailable::Unhealthy);
        let counts = world.counts(&balancer, 10_000);
        assert_eq!(counts[0], 0);
        assert!(chi_square(&counts[1..], &[0.2, 0.4, 0.4]) < 13.82, "{counts:?}");
    }

    proptest! {
        #[test]
        fn the_alias_table_holds_the_weights(weights in prop::collection::vec(1u32..=1_000_000, 2..40)) {
            let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            let mut shares = vec![0.0; weights.len()];
            match Draw::new(&weights) {
                Draw::Uniform(count) => shares = vec![1.0 / f64::from(count); weights.len()],
                Draw::Alias(columns) => {
                    let column_share = 1.0 / columns.len() as f64;
                    for (at, column) in columns.iter().enumerate() {
                        let kept = f64::from(column.keep_below) / (1u64 << 32) as f64;
                        shares[at] += kept * column_share;
                        shares[column.alias as usize] += (1.0 - kept) * column_share;
                    }
                }
            }
            for (share, weight) in shares.iter().zip(&weights) {
                prop_assert!((share - f64::from(*weight) / sum).abs() < 1e-8);
            }
        }
    }
}
