//! The balancer of a backend under one specification.

use std::collections::BTreeMap;

use weir_model::{
    Algorithm, BalanceSpec, ConsistentHash, Endpoint, EndpointCondition, MissingKey, Tier, Weight,
};

use crate::adaptive::Adaptive;
use crate::bound::Bound;
use crate::by_address::ByAddress;
use crate::candidates::Candidates;
use crate::endpoint::Member;
use crate::least_request::LeastRequest;
use crate::peak_ewma;
use crate::pick::{NoPick, Pick, PickReason, Picked};
use crate::placement::Placement;
use crate::random::{self, Draw};
use crate::ready::Ready;
use crate::rng::mix;
use crate::round_robin;
use crate::schedule::Schedule;
use crate::slow_start::Ramp;
use crate::tiers::{Availability, CandidateSpec};

/// Picks endpoints. Immutable: a change of endpoints makes another one; shared by `Arc` between workers, and
/// between rules that have an equal specification and the same backend (a Maglev table takes 64 KiB or more).
#[derive(Debug)]
pub struct Balancer {
    members: Box<[Member]>,
    /// In order of their numbers; none is empty.
    tiers: Box<[TierSet]>,
    candidates: Candidates,
    by_address: Option<ByAddress>,
}

/// The endpoints of one tier with the algorithm over them.
#[derive(Debug)]
struct TierSet {
    ready: Ready,
    chooser: Chooser,
    bound: Option<Bound>,
}

/// An algorithm with its tables over the ready endpoints.
#[derive(Debug)]
enum Chooser {
    RoundRobin(Schedule),
    Random(Draw),
    LeastRequest(LeastRequest),
    Adaptive(Adaptive),
    PeakEwma(Draw),
    Hash {
        placement: Placement,
        missing_key: MissingKey,
        stand_in: Box<Chooser>,
    },
}

impl Balancer {
    /// A balancer over `members` that uses nothing that is unavailable. Those that are ready and have a weight can
    /// be picked.
    pub fn new(spec: &BalanceSpec, members: Vec<Member>) -> Self {
        Self::with_candidates(spec, CandidateSpec::calm(), members)
    }

    /// A balancer over `members` with rules about panic and tiers.
    pub fn with_candidates(spec: &BalanceSpec, candidates: CandidateSpec, members: Vec<Member>) -> Self {
        let mut by_tier: BTreeMap<Tier, Vec<u32>> = BTreeMap::new();
        for (index, member) in (0u32..).zip(&members) {
            if is_ready(member) {
                by_tier.entry(member.endpoint.tier).or_default().push(index);
            }
        }
        let tiers: Box<[TierSet]> = by_tier
            .into_values()
            .map(|indexes| TierSet::new(spec, &members, indexes))
            .collect();
        let by_address = spec
            .endpoint_override
            .as_ref()
            .map(|spec| ByAddress::new(spec, &members, tiers.iter().map(|tier| &tier.ready)));
        let candidates = Candidates::new(candidates, tiers.len());
        for member in members.iter().filter(|member| is_ready(member)) {
            member.state.watch(candidates.watch());
        }
        Self {
            members: members.into(),
            tiers,
            candidates,
            by_address,
        }
    }

    /// Goes on where `before`, the balancer that this one replaces, has stopped: a tier that waits to get its requests
    /// back goes on waiting (row LB27). With other tiers than before it begins anew.
    pub fn inherit(&self, before: &Self) {
        if self.tier_numbers().eq(before.tier_numbers()) {
            self.candidates.inherit(&before.candidates);
        }
    }

    fn tier_numbers(&self) -> impl Iterator<Item = Option<Tier>> + '_ {
        let first = |tier: &TierSet| self.member(tier.ready.index(0)).map(|one| one.endpoint.tier);
        self.tiers.iter().map(first)
    }

    /// Picks an endpoint: the override first, then the algorithm, passing over what is unavailable or tried.
    ///
    /// # Errors
    /// Why there is none.
    #[inline]
    pub fn pick(&self, pick: &mut Pick<'_>) -> Result<Picked, NoPick> {
        if self.candidates.is_due(pick.now_ms) {
            self.refresh(pick.now_ms);
        }
        if let (Some(hosts), Some(by_address)) = (pick.override_hosts, &self.by_address) {
            let is_usable = |(tier, position): (usize, u32)| {
                let tier: &TierSet = &self.tiers[tier];
                tier.ready.is_usable(position, pick.tried)
            };
            match by_address.find(hosts, is_usable) {
                Some((tier, position)) => {
                    let index = self.tiers[tier].ready.index(position);
                    let reason = PickReason::Override;
                    return Ok(Picked { index, reason });
                }
                None if by_address.strict && !self.tiers.is_empty() => return Err(NoPick::Override),
                None => {}
            }
        }
        match &*self.tiers {
            [] => Err(NoPick::NoEndpoints),
            [only] => only.pick(pick).ok_or_else(|| self.no_pick()),
            tiers => self.pick_tier(tiers, pick).ok_or_else(|| self.no_pick()),
        }
    }

    /// All members, picked or not, in the order given.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member that [`Picked::index`] names.
    #[inline]
    pub fn member(&self, index: u32) -> Option<&Member> {
        self.members.get(index as usize)
    }

    /// Whether an endpoint could be picked now. Ends at the first that can.
    pub fn is_usable(&self) -> bool {
        self.tiers
            .iter()
            .any(|tier| tier.ready.next_usable(0, &[]).is_some())
    }

    /// Whether the member may serve a request that its session token sends there: ready, not `tried`, and nothing speaks
    /// against it. Tiers are passed over: a session stays where it is as long as that serves.
    pub fn may_serve(&self, index: u32, tried: &[u32], now_ms: u64) -> bool {
        if self.candidates.is_due(now_ms) {
            self.refresh(now_ms);
        }
        self.place(index)
            .is_some_and(|(tier, position)| tier.ready.is_usable(position, tried))
    }

    /// Whether the member may take one more request of its sessions under the load bound of the specification; `true`
    /// without one. Session persistence asks before it follows a token (row BX04): without room, pick anew and write another token.
    pub fn has_room(&self, index: u32, now_ms: u64) -> bool {
        self.place(index)
            .is_none_or(|(tier, position)| match &tier.bound {
                Some(bound) => bound.has_room_for_sessions(position, &tier.ready, now_ms),
                None => true,
            })
    }

    /// The member with the most room under the load bound among those that may be picked; `None` without a bound. For a
    /// session that has to leave a full endpoint and shall not have to leave the next one (row BX04). Looks at all.
    pub fn roomiest(&self, tried: &[u32], now_ms: u64) -> Option<u32> {
        self.tiers.iter().find_map(|tier| {
            let position = tier.bound.as_ref()?.roomiest(&tier.ready, tried, now_ms)?;
            Some(tier.ready.index(position))
        })
    }

    fn place(&self, index: u32) -> Option<(&TierSet, u32)> {
        let mut tiers = self.tiers.iter();
        tiers.find_map(|tier| Some((tier, tier.ready.position(index)?)))
    }

    /// How many endpoints can be used, all tiers together. Counts only when something has changed since the last pick.
    #[inline]
    pub fn availability(&self, now_ms: u64) -> Availability {
        if self.candidates.is_due(now_ms) {
            self.refresh(now_ms);
        }
        self.candidates.availability()
    }

    /// Whether some tier uses all its endpoints because too few are usable (row LB25).
    pub fn is_in_panic(&self, now_ms: u64) -> bool {
        if self.candidates.is_due(now_ms) {
            self.refresh(now_ms);
        }
        self.tiers.iter().any(|tier| tier.ready.panics())
    }

    /// Whether picks depend on how endpoints have answered: tries are then to be held with [`crate::Lease::watched`]
    /// and told with [`crate::Lease::answered`]. Without that the algorithm goes by requests in flight alone.
    #[inline]
    pub fn learns(&self) -> bool {
        self.tiers
            .first()
            .is_some_and(|tier| matches!(tier.chooser, Chooser::Adaptive(_) | Chooser::PeakEwma(_)))
    }

    #[cold]
    fn refresh(&self, now_ms: u64) {
        self.candidates
            .refresh(self.tiers.iter().map(|tier| &tier.ready), now_ms);
    }

    /// Apart from the plain case, which is to stay small.
    ///
    /// The tier by its share (a key always comes to the same one), then the others in order: a retry stays in its
    /// tier as long as that has an endpoint to offer.
    #[inline(never)]
    fn pick_tier(&self, tiers: &[TierSet], pick: &mut Pick<'_>) -> Option<Picked> {
        let drawn = match pick.key {
            Some(key) => (mix(key) % 100) as u32,
            None => pick.rng.below(100),
        };
        let first = self.candidates.tier(drawn);
        let others = (0..tiers.len()).filter(|tier| *tier != first);
        std::iter::once(first)
            .chain(others)
            .find_map(|tier| tiers[tier].pick(pick))
    }

    #[cold]
    fn no_pick(&self) -> NoPick {
        let found = self.candidates.availability();
        if found.usable == 0 && found.pending > 0 {
            NoPick::Pending
        } else if self.is_usable() {
            NoPick::AllTried
        } else {
            NoPick::Unavailable
        }
    }
}

impl TierSet {
    /// `indexes` are those of the tier's ready members.
    fn new(spec: &BalanceSpec, members: &[Member], indexes: Vec<u32>) -> Self {
        let ramp = match spec.algorithm {
            Algorithm::RoundRobin
            | Algorithm::LeastRequest(_)
            | Algorithm::Adaptive
            | Algorithm::PeakEwma => spec.slow_start.as_ref().map(Ramp::new),
            // Rejected by validation (row LB15); a stand-in for a missing key must not ramp either.
            Algorithm::Random | Algorithm::ConsistentHash(_) => None,
        };
        let endpoints: Vec<&Endpoint> = indexes
            .iter()
            .map(|index| &members[*index as usize].endpoint)
            .collect();
        let weights: Vec<u32> = endpoints
            .iter()
            .map(|endpoint| endpoint.weight.number())
            .collect();
        Self {
            chooser: Chooser::new(&spec.algorithm, &endpoints),
            bound: spec.load_bound.map(|bound| Bound::new(bound, &weights)),
            ready: Ready::new(members, indexes, ramp, spec.load_report.is_some()),
        }
    }

    #[inline(always)]
    fn pick(&self, pick: &mut Pick<'_>) -> Option<Picked> {
        let (position, reason) = self.chooser.pick(&self.ready, self.bound.as_ref(), pick);
        position.map(|position| Picked {
            index: self.ready.index(position),
            reason,
        })
    }
}

impl Chooser {
    fn new(algorithm: &Algorithm, endpoints: &[&Endpoint]) -> Self {
        let weights: Vec<u32> = endpoints
            .iter()
            .map(|endpoint| endpoint.weight.number())
            .collect();
        match algorithm {
            Algorithm::RoundRobin => Self::RoundRobin(Schedule::new(&weights)),
            Algorithm::Random => Self::Random(Draw::new(&weights)),
            Algorithm::LeastRequest(spec) => Self::LeastRequest(LeastRequest::new(*spec, &weights)),
            Algorithm::Adaptive => Self::Adaptive(Adaptive::new(&weights)),
            Algorithm::PeakEwma => Self::PeakEwma(Draw::new(&weights)),
            Algorithm::ConsistentHash(ConsistentHash {
                sources: _,
                table,
                missing_key,
            }) => {
                let stand_in = match missing_key {
                    MissingKey::Random => Algorithm::Random,
                    MissingKey::RoundRobin => Algorithm::RoundRobin,
                    MissingKey::LeastRequest => Algorithm::LeastRequest(weir_model::LeastRequest::default()),
                };
                let keyed: Vec<(String, u32)> = endpoints
                    .iter()
                    .map(|one| (one.address.to_string(), one.weight.number()))
                    .collect();
                Self::Hash {
                    placement: Placement::new(&keyed, *table),
                    missing_key: *missing_key,
                    stand_in: Box::new(Self::new(&stand_in, endpoints)),
                }
            }
        }
    }

    #[inline]
    fn pick(&self, ready: &Ready, bound: Option<&Bound>, pick: &mut Pick<'_>) -> (Option<u32>, PickReason) {
        match self {
            Self::RoundRobin(schedule) => (round_robin::pick(schedule, ready, pick), PickReason::RoundRobin),
            Self::Random(draw) => (random::pick(draw, ready, pick), PickReason::Random),
            Self::LeastRequest(least) => (least.pick(ready, pick), PickReason::LeastRequest),
            Self::Adaptive(adaptive) => (adaptive.pick(ready, pick), PickReason::Adaptive),
            Self::PeakEwma(draw) => (peak_ewma::pick(draw, ready, pick), PickReason::PeakEwma),
            Self::Hash {
                placement,
                missing_key,
                stand_in,
            } => match pick.key {
                Some(key) => (
                    placement.pick(key, ready, bound, pick),
                    PickReason::Hash {
                        source: pick.key_source,
                    },
                ),
                None => (
                    stand_in.pick(ready, bound, pick).0,
                    PickReason::MissingKey(*missing_key),
                ),
            },
        }
    }
}

fn is_ready(member: &Member) -> bool {
    member.endpoint.condition == EndpointCondition::Ready && member.endpoint.weight > Weight::ZERO
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_model::{Choices, EndpointOverride, HashTable, LeastRequest, SlowStart};

    use super::*;
    use crate::Unavailable;
    use crate::world::{World, balancer, hold, members, spec};

    fn hash(missing_key: MissingKey) -> Algorithm {
        Algorithm::ConsistentHash(ConsistentHash {
            sources: Vec::new(),
            table: HashTable::default(),
            missing_key,
        })
    }

    fn algorithms() -> Vec<Algorithm> {
        vec![
            Algorithm::RoundRobin,
            Algorithm::Random,
            Algorithm::LeastRequest(LeastRequest::default()),
            Algorithm::LeastRequest(LeastRequest {
                choices: Choices::All,
                bias_milli: 1_000,
            }),
            Algorithm::LeastRequest(LeastRequest {
                choices: Choices::Sample(2),
                bias_milli: 700,
            }),
            hash(MissingKey::Random),
        ]
    }

    /// Share of the new one among four endpoints, `elapsed_ms` after it was added, in a window of 10 s.
    fn share_of_new(algorithm: Algorithm, weights: &[u64], elapsed_ms: u64) -> f64 {
        let window = Duration::from_secs(10);
        let slow_start = Some(SlowStart {
            window,
            aggression_milli: 1_000,
            min_weight_percent: 10,
        });
        let balancer = Balancer::new(
            &BalanceSpec {
                slow_start,
                ..spec(algorithm)
            },
            members(weights),
        );
        let mut world = World::new(1);
        balancer.members()[3].state.restart_ramp(world.now_ms);
        world.now_ms += elapsed_ms;
        // Some load, the same everywhere, so that least request sees no difference of load.
        let leases: Vec<_> = balancer.members().iter().map(|member| hold(member, 3)).collect();
        let counts = world.counts(&balancer, 20_000);
        drop(leases);
        f64::from(counts[3]) / 20_000.0
    }

    #[test]
    fn lb14_a_new_endpoint_gets_its_share_gradually() {
        let weighted = LeastRequest {
            choices: Choices::Sample(2),
            bias_milli: 1_000,
        };
        let all = LeastRequest {
            choices: Choices::All,
            bias_milli: 1_000,
        };
        for (algorithm, weights) in [
            (Algorithm::RoundRobin, [1, 1, 1, 1]),
            (Algorithm::RoundRobin, [1, 2, 2, 1]),
            (Algorithm::LeastRequest(LeastRequest::default()), [1, 1, 1, 1]),
            (Algorithm::LeastRequest(all), [1, 1, 1, 1]),
            (Algorithm::LeastRequest(weighted), [1, 2, 2, 1]),
        ] {
            let sum: u64 = weights.iter().sum();
            let full = 1.0 / sum as f64;
            let shares =
                [0, 1_000, 5_000, 9_000, 12_000].map(|at| share_of_new(algorithm.clone(), &weights, at));
            assert!(shares[1] < shares[4] / 2.0, "{algorithm:?}: {shares:?}");
            assert!((shares[4] - full).abs() < 0.02, "{algorithm:?}: {shares:?}");
            // A tenth of its weight at first, half of it in the middle.
            for (share, factor) in shares.iter().zip([0.1, 0.1, 0.5, 0.9, 1.0]) {
                let due = factor * full / (1.0 - full + factor * full);
                assert!((share - due).abs() < 0.04, "{algorithm:?}: {shares:?}, due {due}");
            }
        }
    }

    #[test]
    fn lb14_when_all_are_new_all_are_served() {
        let slow_start = Some(SlowStart {
            window: Duration::from_secs(10),
            aggression_milli: 1_000,
            min_weight_percent: 0,
        });
        for algorithm in algorithms() {
            let balancer = Balancer::new(
                &BalanceSpec {
                    slow_start,
                    ..spec(algorithm.clone())
                },
                members(&[1; 4]),
            );
            let mut world = World::new(2);
            balancer
                .members()
                .iter()
                .for_each(|member| member.state.restart_ramp(world.now_ms));
            world.now_ms += 10;
            let counts = world.counts(&balancer, 4_000);
            assert!(
                counts.iter().all(|count| (850..=1_150).contains(count)),
                "{algorithm:?}: {counts:?}"
            );
        }
    }

    #[test]
    fn lb15_hash_and_random_have_no_ramp() {
        let slow_start = Some(SlowStart {
            window: Duration::from_secs(10),
            aggression_milli: 1_000,
            min_weight_percent: 0,
        });
        for algorithm in [Algorithm::Random, hash(MissingKey::RoundRobin)] {
            let balancer = Balancer::new(
                &BalanceSpec {
                    slow_start,
                    ..spec(algorithm)
                },
                members(&[1; 4]),
            );
            let mut world = World::new(3);
            balancer.members()[0].state.restart_ramp(world.now_ms);
            assert!(world.counts(&balancer, 4_000)[0] > 850);
        }
    }

    #[test]
    fn rl08_equal_seeds_give_equal_picks() {
        for algorithm in algorithms() {
            let orders = [(); 2].map(|()| {
                let (balancer, mut world) = (balancer(algorithm.clone(), &[1, 2, 3, 4]), World::new(77));
                (0..500).map(|_| world.pick(&balancer)).collect::<Vec<_>>()
            });
            assert_eq!(orders[0], orders[1], "{algorithm:?}");
        }
    }

    #[test]
    fn every_algorithm_finds_what_is_left_and_says_why_nothing_is() {
        for algorithm in algorithms() {
            let (balancer, mut world) = (balancer(algorithm.clone(), &[1, 1, 5, 1]), World::new(0));
            let state = |index: usize| &balancer.members()[index].state;
            [0, 2]
                .iter()
                .for_each(|index| state(*index).raise(Unavailable::Unhealthy));
            world.tried.push(1);
            for key in 0..50 {
                assert_eq!(
                    world.try_pick(&balancer, Some(key)).map(|picked| picked.index),
                    Ok(3),
                    "{algorithm:?}"
                );
            }
            world.tried.push(3);
            assert_eq!(
                world.try_pick(&balancer, Some(1)),
                Err(NoPick::AllTried),
                "{algorithm:?}"
            );
            [1, 3]
                .iter()
                .for_each(|index| state(*index).raise(Unavailable::Ejected));
            assert_eq!(
                world.try_pick(&balancer, Some(1)),
                Err(NoPick::Unavailable),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn unix_sockets_are_balanced_and_cannot_be_named() {
        let rule = EndpointOverride {
            headers: vec!["x".into()],
            strict: false,
            trusted: Vec::new(),
            strip: false,
            report_header: None,
        };
        let mut two = members(&[1; 2]);
        two[0].endpoint.address = weir_model::EndpointAddress::Unix("/run/a.sock".into());
        for algorithm in algorithms() {
            let spec = BalanceSpec {
                endpoint_override: Some(rule.clone()),
                ..spec(algorithm)
            };
            let (balancer, mut world) = (Balancer::new(&spec, two.clone()), World::new(0));
            assert!(world.counts(&balancer, 100).iter().all(|count| *count > 20));
        }
    }
}
