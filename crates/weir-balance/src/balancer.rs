//! The balancer of a backend under one specification.

use std::sync::Arc;

use weir_model::{
    Algorithm, BalanceSpec, ConsistentHash, Endpoint, EndpointCondition, HashSource, MissingKey, Weight,
};

use crate::endpoint::EndpointState;
use crate::least_request::LeastRequest;
use crate::maglev::Maglev;
use crate::override_host::ByAddress;
use crate::pick::{NoPick, Pick, PickReason, Picked};
use crate::random::{self, Draw};
use crate::ready::Ready;
use crate::round_robin;
use crate::schedule::Schedule;
use crate::slow_start::Ramp;

/// An endpoint of a backend with its live state.
#[derive(Clone, Debug)]
pub struct Member {
    /// As configured.
    pub endpoint: Endpoint,
    /// Shared with every other balancer that knows the endpoint.
    pub state: Arc<EndpointState>,
}

/// Picks endpoints. Immutable: a change of endpoints makes another one; shared by `Arc` between workers, and
/// between rules that have an equal specification and the same backend (a Maglev table takes 128 KiB).
#[derive(Debug)]
pub struct Balancer {
    members: Box<[Member]>,
    ready: Ready,
    chooser: Chooser,
    by_address: Option<ByAddress>,
}

/// An algorithm with its tables over the ready endpoints.
#[derive(Debug)]
enum Chooser {
    RoundRobin(Schedule),
    Random(Draw),
    LeastRequest(LeastRequest),
    Hash {
        maglev: Maglev,
        missing_key: MissingKey,
        stand_in: Box<Chooser>,
    },
}

impl Balancer {
    /// A balancer over `members`. Those that are ready and have a weight can be picked.
    pub fn new(spec: &BalanceSpec, members: Vec<Member>) -> Self {
        let indexes: Vec<u32> = (0u32..)
            .zip(&members)
            .filter(|(_, member)| is_ready(member))
            .map(|(at, _)| at)
            .collect();
        let ramp = match spec.algorithm {
            Algorithm::RoundRobin | Algorithm::LeastRequest(_) => spec.slow_start.as_ref().map(Ramp::new),
            // Rejected by validation (row LB15); a stand-in for a missing key must not ramp either.
            Algorithm::Random | Algorithm::ConsistentHash(_) => None,
        };
        let endpoints: Vec<&Endpoint> = indexes
            .iter()
            .map(|index| &members[*index as usize].endpoint)
            .collect();
        let chooser = Chooser::new(&spec.algorithm, &endpoints);
        let ready = Ready::new(&members, indexes, ramp);
        let by_address = spec
            .endpoint_override
            .as_ref()
            .map(|spec| ByAddress::new(spec, &members, &ready));
        Self {
            members: members.into(),
            ready,
            chooser,
            by_address,
        }
    }

    /// Picks an endpoint: the override first, then the algorithm, passing over what is unavailable or tried.
    ///
    /// # Errors
    /// Why there is none.
    #[inline]
    pub fn pick(&self, pick: &mut Pick<'_>) -> Result<Picked, NoPick> {
        if self.ready.len() == 0 {
            return Err(NoPick::NoEndpoints);
        }
        if let (Some(hosts), Some(by_address)) = (pick.override_hosts, &self.by_address) {
            match by_address.find(hosts, &self.ready, pick.tried) {
                Some(position) => return Ok(self.picked(position, PickReason::Override)),
                None if by_address.strict => return Err(NoPick::Override),
                None => {}
            }
        }
        match self.chooser.pick(&self.ready, pick) {
            (Some(position), reason) => Ok(self.picked(position, reason)),
            (None, _) if self.is_usable() => Err(NoPick::AllTried),
            (None, _) => Err(NoPick::Unavailable),
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
        self.ready.next_usable(0, &[]).is_some()
    }

    /// Appends what a response says of its pick when the rule asks for it (row CH18), for example
    /// `policy=ConsistentHash; source=header:foobar; endpoint=10.0.0.1:8080`.
    pub fn write_report(&self, spec: &BalanceSpec, picked: Picked, out: &mut Vec<u8>) {
        let policy = match &spec.algorithm {
            Algorithm::RoundRobin => "RoundRobin",
            Algorithm::Random => "Random",
            Algorithm::LeastRequest(_) => "LeastRequest",
            Algorithm::ConsistentHash(_) => "ConsistentHash",
        };
        out.extend_from_slice(b"policy=");
        out.extend_from_slice(policy.as_bytes());
        match picked.reason {
            PickReason::RoundRobin | PickReason::Random | PickReason::LeastRequest => {}
            PickReason::Override => out.extend_from_slice(b"; source=override"),
            PickReason::Hash { source } => write_source(spec, source, out),
            PickReason::MissingKey(MissingKey::Random) => out.extend_from_slice(b"; source=none (random)"),
            PickReason::MissingKey(MissingKey::RoundRobin) => {
                out.extend_from_slice(b"; source=none (round robin)")
            }
            PickReason::MissingKey(MissingKey::LeastRequest) => {
                out.extend_from_slice(b"; source=none (least request)")
            }
        }
        if let Some(member) = self.member(picked.index) {
            out.extend_from_slice(b"; endpoint=");
            out.extend_from_slice(member.endpoint.address.to_string().as_bytes());
        }
    }

    #[inline]
    fn picked(&self, position: u32, reason: PickReason) -> Picked {
        Picked {
            index: self.ready.index(position),
            reason,
        }
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
            Algorithm::ConsistentHash(ConsistentHash {
                sources: _,
                table_size,
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
                    maglev: Maglev::new(&keyed, *table_size),
                    missing_key: *missing_key,
                    stand_in: Box::new(Self::new(&stand_in, endpoints)),
                }
            }
        }
    }

    #[inline]
    fn pick(&self, ready: &Ready, pick: &mut Pick<'_>) -> (Option<u32>, PickReason) {
        match self {
            Self::RoundRobin(schedule) => (round_robin::pick(schedule, ready, pick), PickReason::RoundRobin),
            Self::Random(draw) => (random::pick(draw, ready, pick), PickReason::Random),
            Self::LeastRequest(least) => (least.pick(ready, pick), PickReason::LeastRequest),
            Self::Hash {
                maglev,
                missing_key,
                stand_in,
            } => match pick.key {
                Some(key) => (
                    maglev.pick(key, ready, pick),
                    PickReason::Hash {
                        source: pick.key_source,
                    },
                ),
                None => (stand_in.pick(ready, pick).0, PickReason::MissingKey(*missing_key)),
            },
        }
    }
}

fn is_ready(member: &Member) -> bool {
    member.endpoint.condition == EndpointCondition::Ready && member.endpoint.weight > Weight::ZERO
}

fn write_source(spec: &BalanceSpec, source: u8, out: &mut Vec<u8>) {
    let Algorithm::ConsistentHash(hash) = &spec.algorithm else {
        return;
    };
    let (kind, names): (&str, Vec<&str>) = match hash.sources.get(usize::from(source)) {
        Some(HashSource::SourceIp { .. }) => ("source-ip", Vec::new()),
        Some(HashSource::Headers(names)) => ("header:", names.iter().map(|name| &**name).collect()),
        Some(HashSource::Cookie(cookie)) => ("cookie:", vec![&*cookie.name]),
        Some(HashSource::QueryParams(names)) => ("query:", names.iter().map(|name| &**name).collect()),
        None => return,
    };
    out.extend_from_slice(b"; source=");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(names.join(",").as_bytes());
}
