//! In what order weighted things take turns: smooth, exact over one period, constant time per turn.
//!
//! Weights are first divided by their greatest common divisor. Equal weights are a plain cycle. Weights with a small
//! sum are written out as a table. Greater sums over few things are a tree in which every node shares its
//! turns out between two branches by integer arithmetic: exact for any weights, a few hundred bytes. Only greater sums
//! over many things are rounded, to a table of `max(65,536, 8 x things)` slots: a share is then off by at most
//! one slot, and a share smaller than a slot becomes one slot.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::modulus::Modulus;

/// Sums of weights up to this are written out.
const SUM_SMALL: u64 = 256;
/// Up to this many things, greater sums become a tree.
const TREE_MAX: usize = 64;
/// Longest table over few things.
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
    /// The order computed.
    Tree(Modulus, Box<[Node]>),
}

/// Shares `total` turns out between two branches; the first gets `first_share` of them.
#[derive(Debug)]
pub(crate) struct Node {
    total: Modulus,
    first_share: u64,
    branches: [Branch; 2],
}

/// Where a turn goes on.
#[derive(Clone, Copy, Debug)]
enum Branch {
    Position(u32),
    Node(u32),
}

impl Schedule {
    /// A schedule over `weights`, all of them greater than 0.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
        if weights.iter().all(|weight| *weight == divisor) {
            return Self::Cycle(Modulus::new(weights.len() as u32));
        }
        let weights: Vec<u64> = weights.iter().map(|weight| u64::from(weight / divisor)).collect();
        let sum: u64 = weights.iter().sum();
        if sum > SUM_SMALL && weights.len() <= TREE_MAX {
            return Self::Tree(Modulus::new(sum as u32), tree(&weights).into());
        }
        let order = spread(&scaled(weights, sum));
        let period = Modulus::new(order.len() as u32);
        if order.iter().all(|position| *position <= u32::from(u16::MAX)) {
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
            Self::Tree(period, nodes) => descend(nodes, u64::from(period.of(turn))),
        }
    }

    /// The position whose turn it is; the cursor moves on.
    #[inline]
    pub(crate) fn next(&self, cursor: &AtomicU64) -> u32 {
        self.at(cursor.fetch_add(1, Relaxed))
    }
}

fn descend(nodes: &[Node], mut turn: u64) -> u32 {
    let mut branch = Branch::Node(0);
    loop {
        match branch {
            Branch::Position(position) => return position,
            Branch::Node(at) => {
                let node = &nodes[at as usize];
                // Turns of the first branch before this one; it is theirs when the next count is greater. Both factors are
                // at most 64 times the greatest weight, so the product fits.
                let scaled = turn * node.first_share + u64::from(node.total.divisor() / 2);
                let (before, rest) = node.total.divide(scaled);
                let firsts = u64::from(rest) + node.first_share >= u64::from(node.total.divisor());
                branch = node.branches[usize::from(!firsts)];
                turn = if firsts { before } else { turn - before };
            }
        }
    }
}

/// The tree's nodes, the root first; a node comes before its branches.
fn tree(weights: &[u64]) -> Vec<Node> {
    let mut order: Vec<u32> = (0..weights.len() as u32).collect();
    order.sort_by_key(|position| Reverse(weights[*position as usize]));
    let mut nodes = Vec::with_capacity(order.len());
    grow(&order, weights, &mut nodes);
    nodes
}

/// Adds the tree over `order`, heaviest first, which is cut where its weight is halved: heavy positions are few
/// steps from the root.
fn grow(order: &[u32], weights: &[u64], nodes: &mut Vec<Node>) -> Branch {
    if let [position] = order {
        return Branch::Position(*position);
    }
    let total: u64 = order.iter().map(|position| weights[*position as usize]).sum();
    let (mut cut, mut first_share) = (0, 0);
    for position in &order[..order.len() - 1] {
        let weight = weights[*position as usize];
        if cut > 0 && first_share + weight > total / 2 {
            break;
        }
        cut += 1;
        first_share += weight;
    }
    let at = nodes.len();
    let unset = Branch::Position(0);
    nodes.push(Node {
        total: Modulus::new(total as u32),
        first_share,
        branches: [unset; 2],
    });
    let branches = [
        grow(&order[..cut], weights, nodes),
        grow(&order[cut..], weights, nodes),
    ];
    nodes[at].branches = branches;
    Branch::Node(at as u32)
}

fn greatest_common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 {
        left
    } else {
        greatest_common_divisor(right, left % right)
    }
}

/// Slots of each position: its weight, or when there would be too many, its share of the greatest number of slots.
fn scaled(weights: Vec<u64>, sum: u64) -> Vec<u64> {
    let slots_max = SLOTS_MAX.max(8 * weights.len() as u64);
    if sum <= slots_max {
        return weights;
    }
    let mut slots: Vec<u64> = weights
        .iter()
        .map(|weight| (weight * slots_max / sum).max(1))
        .collect();
    let mut by_remainder: Vec<usize> = (0..weights.len())
        .filter(|at| weights[*at] * slots_max >= sum)
        .collect();
    by_remainder.sort_by_key(|at| Reverse(weights[*at] * slots_max % sum));
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
    by_slots.sort_by_key(|position| Reverse(slots[*position as usize]));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn period(schedule: &Schedule) -> u64 {
        match schedule {
            Schedule::Cycle(period)
            | Schedule::Narrow(period, _)
            | Schedule::Wide(period, _)
            | Schedule::Tree(period, _) => u64::from(period.divisor()),
        }
    }

    /// Turns of each position over one period.
    fn counts(schedule: &Schedule, positions: usize) -> Vec<u64> {
        let mut counts = vec![0; positions];
        for turn in 0..period(schedule) {
            counts[schedule.at(turn) as usize] += 1;
        }
        counts
    }

    /// The greatest difference, over all positions and turns, between turns had and turns due.
    fn unevenness(schedule: &Schedule, weights: &[u32]) -> f64 {
        let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let mut had = vec![0.0; weights.len()];
        let mut greatest: f64 = 0.0;
        for turn in 0..period(schedule) {
            had[schedule.at(turn) as usize] += 1.0;
            for (had, weight) in had.iter().zip(weights) {
                greatest = greatest.max((had - (turn + 1) as f64 * f64::from(*weight) / sum).abs());
            }
        }
        greatest
    }

    #[test]
    fn the_form_follows_the_weights() {
        for (weights, period_expected, form) in [
            (vec![1u32; 4], 4, "cycle"),
            (vec![1_000_000; 3], 3, "cycle"),
            (vec![50, 10, 10], 7, "table"),
            (vec![999_999, 1], 1_000_000, "tree"),
            ((1..=100).collect(), 5_050, "table"),
            (
                (0..100).map(|number| 1_000_000 - number).collect(),
                65_536,
                "table",
            ),
        ] {
            let schedule = Schedule::new(&weights);
            let found = match schedule {
                Schedule::Cycle(_) => "cycle",
                Schedule::Narrow(..) | Schedule::Wide(..) => "table",
                Schedule::Tree(..) => "tree",
            };
            assert_eq!((period(&schedule), found), (period_expected, form), "{weights:?}");
        }
    }

    #[test]
    fn the_order_of_five_one_one() {
        let schedule = Schedule::new(&[5, 1, 1]);
        assert_eq!(
            (0..7).map(|turn| schedule.at(turn)).collect::<Vec<_>>(),
            [0, 0, 2, 0, 0, 1, 0]
        );
    }

    #[test]
    fn mc02_extreme_weights_are_exact() {
        let weights = [999_999, 1];
        assert_eq!(counts(&Schedule::new(&weights), 2), [999_999, 1]);
        let weights = [1_000_000, 999_999, 1, 123_456, 777];
        assert_eq!(counts(&Schedule::new(&weights), 5), weights.map(u64::from));
    }

    #[test]
    fn great_sums_over_many_are_rounded_to_a_slot() {
        let weights: Vec<u32> = (0..200).map(|number| 1 + number * number * 25).collect();
        let schedule = Schedule::new(&weights);
        let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        for (count, weight) in counts(&schedule, 200).iter().zip(&weights) {
            let due = f64::from(*weight) / sum * period(&schedule) as f64;
            assert!(
                (*count as f64 - due).abs() <= 1.0,
                "weight {weight}: {count} turns, {due} due"
            );
        }
    }

    #[test]
    fn more_positions_than_a_narrow_table_holds() {
        let weights: Vec<u32> = (0..70_000).map(|number| 1 + number % 2).collect();
        let schedule = Schedule::new(&weights);
        assert!(matches!(schedule, Schedule::Wide(..)));
        assert_eq!(
            counts(&schedule, 70_000),
            weights
                .iter()
                .map(|weight| u64::from(*weight))
                .collect::<Vec<_>>()
        );
    }

    proptest! {
        #[test]
        fn tables_and_trees_are_exact_over_a_period(weights in prop::collection::vec(1u32..=400, 1..12)) {
            let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
            let reduced: Vec<u64> = weights.iter().map(|weight| u64::from(weight / divisor)).collect();
            prop_assert_eq!(counts(&Schedule::new(&weights), weights.len()), reduced);
        }

        #[test]
        fn nobody_waits_or_rushes(weights in prop::collection::vec(1u32..=200, 2..12)) {
            // Ideal is 1; a rotation in order would reach half of the greatest weight.
            let greatest = unevenness(&Schedule::new(&weights), &weights);
            prop_assert!(greatest < 3.0, "{} for {:?}", greatest, weights);
        }

        #[test]
        fn any_turn_has_a_position(weights in prop::collection::vec(1u32..=1_000_000, 1..90), turn: u64) {
            prop_assert!((Schedule::new(&weights).at(turn) as usize) < weights.len());
        }
    }
}
