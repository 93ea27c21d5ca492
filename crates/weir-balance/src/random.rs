//! Random: independent draws by weight, in constant time.

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
                let at = rng.below(columns.len() as u32);
                let column = columns[at as usize];
                if (rng.next_u64() as u32) < column.keep_below {
                    at
                } else {
                    column.alias
                }
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
