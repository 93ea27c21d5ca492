//! What a seed decides.

use weir_balance::Rng;

/// Draws, all of which follow from one seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::from_seed(seed))
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.any() % (most.saturating_sub(least) + 1)
    }

    /// True so often in a hundred times.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.any() % 100 < percent
    }

    /// One of them; there must be some.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.any() as usize % all.len()]
    }
}
