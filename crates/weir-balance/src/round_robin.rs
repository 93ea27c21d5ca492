//! Weighted round robin: a schedule computed once, indexed by a cursor that all workers share.
//!
//! A pick takes the cursor's next value and looks it up, so the shares are exact over all workers together and the
//! cost does not depend on the number of endpoints. A pick that meets an unusable endpoint takes the next value
//! as well: the rotation of the others stays in step, and the lost share goes to all of them by weight.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::modulus::Modulus;
use crate::pick::Pick;
use crate::ready::{DRAWS, Ready};
use crate::schedule::Schedule;

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_model::{Algorithm, EndpointCondition};

    use crate::world::{World, balancer, members, spec};
    use crate::{Balancer, NoPick, Pick, Rng, Unavailable, cursor_start};

    #[test]
    fn lb02_each_endpoint_in_turn() {
        let (balancer, mut world) = (balancer(Algorithm::RoundRobin, &[1; 4]), World::new(0));
        let order: Vec<u32> = (0..12).map(|_| world.pick(&balancer)).collect();
        assert_eq!(order, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(world.counts(&balancer, 200), [50; 4]);
    }

    #[test]
    fn lb03_processes_start_at_different_endpoints() {
        let balancer = balancer(Algorithm::RoundRobin, &[1; 4]);
        let mut seen = [0u32; 4];
        for process in 0..50 {
            let mut world = World::new(process);
            world.cursor = cursor_start(&mut world.rng).into();
            seen[world.pick(&balancer) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }

    #[test]
    fn lb04_weights_are_exact_and_smooth() {
        let (balancer, mut world) = (balancer(Algorithm::RoundRobin, &[5, 1, 1]), World::new(0));
        let order: Vec<u32> = (0..70).map(|_| world.pick(&balancer)).collect();
        let counts = [0, 1, 2].map(|index| order.iter().filter(|picked| **picked == index).count());
        assert_eq!(counts, [50, 10, 10]);
        let longest = order.chunk_by(|one, two| one == two).map(<[u32]>::len).max();
        assert_eq!(longest, Some(3), "{order:?}");
    }

    #[test]
    fn rl07_shares_do_not_depend_on_the_number_of_threads() {
        for threads in [1, 2, 8] {
            let balancer = balancer(Algorithm::RoundRobin, &[5, 1, 1, 3]);
            let world = World::new(0);
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let (balancer, cursor) = (&balancer, &world.cursor);
                    scope.spawn(move || {
                        let mut rng = Rng::from_seed(thread);
                        for _ in 0..8_000 / threads {
                            let mut pick = Pick {
                                key: None,
                                key_source: 0,
                                cursor,
                                rng: &mut rng,
                                now_ms: 0,
                                override_hosts: None,
                                tried: &[],
                            };
                            let picked = balancer.pick(&mut pick).expect("an endpoint");
                            let state = &balancer.members()[picked.index as usize].state;
                            state.begin();
                            state.end();
                        }
                    });
                }
            });
            let picks: Vec<u64> = balancer
                .members()
                .iter()
                .map(|member| member.state.picks())
                .collect();
            assert_eq!(picks, [4_000, 800, 800, 2_400], "{threads} threads");
            assert!(
                balancer
                    .members()
                    .iter()
                    .all(|member| member.state.in_flight() == 0)
            );
        }
    }

    #[test]
    fn the_others_stay_in_step_while_one_is_unavailable() {
        let (balancer, mut world) = (balancer(Algorithm::RoundRobin, &[1; 4]), World::new(0));
        balancer.members()[2].state.raise(Unavailable::Ejected);
        let order: Vec<u32> = (0..9).map(|_| world.pick(&balancer)).collect();
        assert_eq!(order, [0, 1, 3, 0, 1, 3, 0, 1, 3]);
    }

    #[test]
    fn a_lost_share_goes_to_the_others_by_weight() {
        let (balancer, mut world) = (balancer(Algorithm::RoundRobin, &[6, 3, 1]), World::new(0));
        balancer.members()[0].state.raise(Unavailable::Draining);
        assert_eq!(world.counts(&balancer, 400), [0, 300, 100]);
    }

    #[test]
    fn one_endpoint_left_of_many_is_found() {
        let (balancer, mut world) = (balancer(Algorithm::RoundRobin, &[1; 500]), World::new(0));
        for member in balancer
            .members()
            .iter()
            .filter(|member| !Arc::ptr_eq(&member.state, &balancer.members()[321].state))
        {
            member.state.raise(Unavailable::Unhealthy);
        }
        assert_eq!(
            (0..20).map(|_| world.pick(&balancer)).collect::<Vec<_>>(),
            [321; 20]
        );
        balancer.members()[321].state.raise(Unavailable::Unhealthy);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Unavailable));
    }

    #[test]
    fn draining_and_weightless_members_are_never_picked() {
        let mut four = members(&[1, 0, 1, 1]);
        four[2].endpoint.condition = EndpointCondition::Draining;
        let (balancer, mut world) = (Balancer::new(&spec(Algorithm::RoundRobin), four), World::new(0));
        assert_eq!(world.counts(&balancer, 10), [5, 0, 0, 5]);
        assert_eq!(balancer.members().len(), 4);
    }

    #[test]
    fn no_endpoint_is_an_error_of_its_own() {
        for weights in [&[][..], &[0, 0]] {
            let (balancer, mut world) = (balancer(Algorithm::RoundRobin, weights), World::new(0));
            assert_eq!(world.try_pick(&balancer, None), Err(NoPick::NoEndpoints));
            assert!(!balancer.is_usable());
        }
    }
}
