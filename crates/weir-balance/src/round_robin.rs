//! Weighted round robin: a schedule computed once, indexed by a cursor that all workers share.
//!
//! A pick takes the cursor's next value and looks it up, so the shares are exact over all workers together and the
//! cost does not depend on the number of endpoints. A pick that meets an unusable endpoint takes the next value
//! as well: the rotation of the others stays in step, and the lost share goes to all of them by weight.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::modulus::Modulus;
use crate::pick::Pick;
use crate::ready::{DRAWS, Ready};

/// Longest schedule that is written out: greater sums of (reduced) weights are scaled down to it.
const SLOTS_MAX: u64 = 65_536;

/// In what order positions come, so that over one period each comes as often as its weight says, evenly spread.
#[derive(Debug)]
pub(crate) enum Schedule {
    /// Equal weights: each in turn.
    Cycle(Modulus),
    /// The order written out, for up to 65,536 positions.
    Narrow(Modulus, Box<[u16]>),
    /// The order written out.
    Wide(Modulus, Box<[u32]>),
}

impl Schedule {
    /// A schedule over `weights`, all of them greater than 0.
    ///
    /// Weights are divided by their greatest common divisor; when their sum is still greater than
    /// `max(65,536, 8 x positions)`, they are scaled down to that many slots by largest remainder, at least one slot each.
    /// Shares are exact without scaling; with it, a share is off by at most one slot (0.0015 percentage points),
    /// except that a share smaller than one slot becomes one slot.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
        if weights.iter().all(|weight| *weight == divisor) {
            return Self::Cycle(Modulus::new(weights.len() as u32));
        }
        let slots = scaled(weights, divisor);
        let order = spread(&slots);
        let period = Modulus::new(order.len() as u32);
        if weights.len() <= 1 << 16 {
            Self::Narrow(period, order.iter().map(|position| *position as u16).collect())
        } else {
            Self::Wide(period, order.into())
        }
    }

    /// The position at the `turn`-th turn. 0 when there are none at all.
    #[inline]
    pub(crate) fn at(&self, turn: u64) -> u32 {
        match self {
            Self::Cycle(period) => period.of(turn),
            Self::Narrow(period, order) => u32::from(order[period.of(turn) as usize]),
            Self::Wide(period, order) => order[period.of(turn) as usize],
        }
    }

    /// The position whose turn it is; the cursor moves on.
    #[inline]
    pub(crate) fn next(&self, cursor: &AtomicU64) -> u32 {
        self.at(cursor.fetch_add(1, Relaxed))
    }

    /// Turns after which the order repeats.
    pub(crate) fn period(&self) -> u64 {
        match self {
            Self::Cycle(period) | Self::Narrow(period, _) | Self::Wide(period, _) => {
                u64::from(period.divisor())
            }
        }
    }
}

/// The usable position whose turn it is.
#[inline]
pub(crate) fn pick(schedule: &Schedule, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
    let mut position = 0;
    for _ in 0..DRAWS {
        position = schedule.next(pick.cursor);
        if ready.admits(position, pick) {
            return Some(position);
        }
    }
    ready.next_usable(position, pick.tried)
}

/// The usable position whose turn it is, whether or not it is in its ramp.
#[inline]
pub(crate) fn next_usable(schedule: &Schedule, ready: &Ready, pick: &Pick<'_>) -> Option<u32> {
    let mut position = 0;
    for _ in 0..DRAWS {
        position = schedule.next(pick.cursor);
        if ready.is_usable(position, pick.tried) {
            return Some(position);
        }
    }
    ready.next_usable(position, pick.tried)
}

/// Where a plain rotation over `length` positions stands; the cursor moves on. 0 when there are none.
pub(crate) fn turn(length: u32, cursor: &AtomicU64) -> u32 {
    Modulus::new(length).of(cursor.fetch_add(1, Relaxed))
}

fn greatest_common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 {
        left
    } else {
        greatest_common_divisor(right, left % right)
    }
}

/// Slots of each position: the weights divided by `divisor`, or scaled to the greatest number of slots.
fn scaled(weights: &[u32], divisor: u32) -> Vec<u64> {
    let weights: Vec<u64> = weights.iter().map(|weight| u64::from(weight / divisor)).collect();
    let sum: u64 = weights.iter().sum();
    let slots_max = SLOTS_MAX.max(8 * weights.len() as u64);
    if sum <= slots_max {
        return weights;
    }
    // Weights are at most 1e6 and slots_max is at most 8 times their number: the product fits 64 bits for any
    // number of endpoints that fits memory.
    let mut slots: Vec<u64> = weights
        .iter()
        .map(|weight| (weight * slots_max / sum).max(1))
        .collect();
    let mut by_remainder: Vec<usize> = (0..weights.len())
        .filter(|at| weights[*at] * slots_max >= sum)
        .collect();
    by_remainder.sort_by_key(|at| std::cmp::Reverse(weights[*at] * slots_max % sum));
    let missing = slots_max.saturating_sub(slots.iter().sum()) as usize;
    for at in by_remainder.into_iter().take(missing) {
        slots[at] += 1;
    }
    slots
}

/// Writes the order out: position `p` gets `slots[p]` places at equal distances on the unit interval.
///
/// Positions with equally many slots are staggered, so that each such group is a plain rotation; the first group
/// (the heaviest) stands centred, the others are shifted by multiples of the golden ratio, so that no two groups
/// fall into step. For 5/1/1 that is `a a c a a b a`.
fn spread(slots: &[u64]) -> Vec<u32> {
    let mut by_slots: Vec<u32> = (0..slots.len() as u32).collect();
    by_slots.sort_by_key(|position| std::cmp::Reverse(slots[*position as usize]));
    let mut places: Vec<(u64, u32)> = Vec::with_capacity(slots.iter().sum::<u64>() as usize);
    let groups = by_slots.chunk_by(|one, two| slots[*one as usize] == slots[*two as usize]);
    for (number, group) in groups.enumerate() {
        let shift = (number as u32).wrapping_mul(0x9e37_79b9);
        for (at, position) in group.iter().enumerate() {
            let stagger = ((2 * at as u64 + 1) << 32) / (2 * group.len() as u64);
            let phase = u64::from((stagger as u32).wrapping_add(shift));
            let count = slots[*position as usize];
            places.extend((0..count).map(|turn| (((turn << 32) + phase) / count, *position)));
        }
    }
    places.sort_by_key(|(place, _)| *place);
    places.into_iter().map(|(_, position)| position).collect()
}
