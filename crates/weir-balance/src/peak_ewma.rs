//! Peak EWMA (row LB08): of two draws the one with the lesser product of latency and requests in flight, as in Finagle
//! and Linkerd.
//!
//! The latency jumps up to a greater sample at once and decays towards lesser ones by time, so a single slow
//! answer counts for seconds. That reacts fastest when an endpoint degrades, and shuns endpoints that merely got the dear
//! requests: where service times vary, [`crate::adaptive`] has the better tail. Failures make an endpoint dear
//! as they do there.

use crate::answer::PRICE_ONE;
use crate::pick::Pick;
use crate::random::Draw;
use crate::ready::{DRAWS, Ready};

/// A usable position.
#[inline]
pub(crate) fn pick(draw: &Draw, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
    let first = admitted(draw, ready, pick, None);
    let Some(first) = first else {
        return ready.next_usable(pick.rng.below(ready.len()), pick.tried);
    };
    let Some(second) = admitted(draw, ready, pick, Some(first)) else {
        return Some(first);
    };
    let (one, other) = (load(ready, first, pick.now_ms), load(ready, second, pick.now_ms));
    // Who has not answered yet counts as quick as the other.
    let cost = |(latency, in_flight_price): (u64, u64), rival: u64| {
        (if latency == 0 { rival.max(1) } else { latency }).saturating_mul(in_flight_price)
    };
    Some(if cost(other, one.0) < cost(one, other.0) {
        second
    } else {
        first
    })
}

/// A drawn position that takes the request, another than `except` when there is one to be had.
fn admitted(draw: &Draw, ready: &Ready, pick: &mut Pick<'_>, except: Option<u32>) -> Option<u32> {
    (0..DRAWS).find_map(|_| {
        let position = draw.draw(pick.rng);
        (Some(position) != except && ready.admits(position, pick)).then_some(position)
    })
}

/// Latency; requests in flight and failures.
fn load(ready: &Ready, position: u32, now_ms: u64) -> (u64, u64) {
    let state = ready.state(position);
    let (latency_us, price) = state.peak(now_ms);
    (
        u64::from(latency_us),
        (u64::from(state.in_flight()) + 1) * u64::from(price.max(PRICE_ONE)),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use weir_model::Algorithm;

    use crate::world::{World, balancer, hold};
    use crate::{Answer, Lease, NoPick, Unavailable};

    #[test]
    fn lb08_the_lesser_product_wins() {
        // Latency (ms), requests in flight; who wins.
        type Case = ([(u64, usize); 2], u32);
        let cases: [Case; 4] = [
            ([(10, 0), (11, 0)], 0),
            ([(10, 2), (11, 0)], 1),
            ([(100, 0), (10, 8)], 1),
            ([(100, 0), (10, 10)], 0),
        ];
        for (endpoints, winner) in cases {
            let (mut world, balancer) = (World::new(1), balancer(Algorithm::PeakEwma, &[1, 1]));
            let mut leases = Vec::new();
            for (member, (latency_ms, in_flight)) in balancer.members().iter().zip(endpoints) {
                let mut lease = Lease::watched(Arc::clone(&member.state), world.now_ms);
                lease.answered(world.now_ms, Duration::from_millis(latency_ms), Answer::Success);
                drop(lease);
                leases.extend(hold(member, in_flight));
            }
            assert!((0..100).all(|_| world.pick(&balancer) == winner), "{endpoints:?}");
        }
    }

    #[test]
    fn lb08_unknown_endpoints_are_served_like_the_others() {
        let (mut world, balancer) = (World::new(2), balancer(Algorithm::PeakEwma, &[1; 5]));
        let counts = world.counts(&balancer, 10_000);
        assert!(
            counts.iter().all(|count| (1_800..2_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn lb08_what_is_unavailable_or_tried_is_passed_over() {
        let (mut world, balancer) = (World::new(3), balancer(Algorithm::PeakEwma, &[1; 4]));
        balancer.members()[2].state.raise(Unavailable::Ejected);
        for _ in 0..3 {
            let picked = world.pick(&balancer);
            assert!(picked != 2 && !world.tried.contains(&picked));
            world.tried.push(picked);
        }
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::AllTried));
    }
}
