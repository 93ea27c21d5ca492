//! Stops of a request that goes to an endpoint: policy, destination, candidates, pick.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use weir_balance::{
    Balancer, CandidateSpec, EndpointState, HashKey, Member, OverrideHosts, Pick, PickReason, Rng, Spread,
    request_key,
};
use weir_config::translate::treatment;
use weir_model::{
    Algorithm, BalanceSpec, Config, Destination, Endpoint, EndpointAddress, EndpointCondition,
    EndpointSource, Forward, Listener, ObjectName, Origin, Rule, Target, Tier,
};

use super::request::{Arrival, ExplainedRequest};
use super::simulation::{NOW_MS, Plan, Prediction, Table};
use super::words;

/// How a request gets to an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Forwarding {
    /// The policy's object and place; `None` for the default.
    pub(crate) policy: Option<(ObjectName, Origin)>,
    /// The policy in one line.
    pub(crate) algorithm: String,
    /// How endpoints, requests and responses are treated, where that is not the default.
    pub(crate) treatment: Vec<String>,
    pub(crate) destinations: Vec<DestinationPart>,
    /// Index of the destination, when the request decides it.
    pub(crate) destination: Option<usize>,
    /// How the endpoint is picked.
    pub(crate) pick: String,
    /// The endpoint, when the request decides it.
    pub(crate) endpoint: Option<String>,
    /// The key of consistent hash.
    pub(crate) key: Option<u64>,
    /// What else has a say in where a try goes: its label, and the same for people.
    pub(crate) besides: Vec<(&'static str, String)>,
    forward: Forward,
    members: Vec<Option<Vec<Endpoint>>>,
    local: SocketAddr,
    client_ip: weir_model::ClientIp,
}

/// One destination of the rule.
#[derive(Clone, Debug)]
pub(crate) struct DestinationPart {
    /// Share of the rule's requests while all endpoints are well, from 0 to 1.
    pub(crate) share: f64,
    /// It serves when the tiers before it cannot.
    pub(crate) tier: Tier,
    /// Such as `Service default/backend port 3000`, or why weir answers.
    pub(crate) name: String,
    /// The status that weir answers, when it does.
    pub(crate) answer: Option<u16>,
    pub(crate) origin: Origin,
    pub(crate) endpoints: Vec<EndpointPart>,
    /// Names that are resolved when weir runs; each stands for one endpoint here.
    pub(crate) names: usize,
}

/// One endpoint of a destination.
#[derive(Clone, Debug)]
pub(crate) struct EndpointPart {
    pub(crate) address: String,
    /// The pod; may be empty.
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) weight: u32,
    /// It serves when those of the tiers before it cannot.
    pub(crate) tier: Tier,
    /// Whether it may be picked.
    pub(crate) ready: bool,
}

/// What `listener` does with a request that `rule` forwards.
pub(crate) fn forward(
    config: &Config,
    listener: &Listener,
    rule: &Rule,
    forward: &Forward,
    request: &ExplainedRequest,
) -> Forwarding {
    debug_assert!(
        !forward.destinations.is_empty(),
        "a rule that forwards has a destination: {}",
        rule.key
    );
    let members: Vec<_> = forward
        .destinations
        .iter()
        .map(|one| endpoints_of(config, one))
        .collect();
    let shares = shares(forward, &members);
    let destinations = forward
        .destinations
        .iter()
        .zip(&members)
        .zip(shares)
        .map(|((one, members), share)| destination_part(config, one, members.as_deref(), share))
        .collect();
    let mut forwarding = Forwarding {
        policy: forward.policy.clone(),
        algorithm: words::algorithm(&forward.balance),
        treatment: treatment(rule),
        destinations,
        destination: None,
        pick: String::new(),
        endpoint: None,
        key: None,
        besides: besides(forward, &members),
        forward: forward.clone(),
        members,
        local: listener.key.address,
        client_ip: listener.client_ip.clone(),
    };
    forwarding.pick(config, request);
    forwarding
}

/// What has a say in where a try goes besides the algorithm, in the order in which it is asked.
fn besides(forward: &Forward, members: &[Option<Vec<Endpoint>>]) -> Vec<(&'static str, String)> {
    let of_destinations = forward.destinations.iter().map(|destination| destination.tier);
    let of_endpoints = members.iter().flatten().flatten().map(|endpoint| endpoint.tier);
    let sessions = forward.persistence.as_deref().map(words::sessions);
    let bound = forward.balance.load_bound.map(words::load_bound);
    // A destination and an endpoint of tier 1 are not the same tier: the one decides first.
    let destinations = words::tiers(of_destinations, &forward.failover);
    let endpoints = words::tiers(of_endpoints, &forward.failover);
    let retries = forward.retry.as_deref().map(words::retries);
    [
        ("sessions", sessions),
        ("load", bound),
        ("tiers", destinations.or(endpoints)),
        ("retries", retries),
    ]
    .into_iter()
    .filter_map(|(label, text)| Some((label, text?)))
    .collect()
}

impl Forwarding {
    /// Predicts how the request spreads when it comes many times.
    pub(crate) fn simulate(&self, config: &Config, request: &ExplainedRequest, plan: Plan) -> Prediction {
        self.table(config)
            .simulate(request, self.local, &self.client_ip, plan)
    }

    fn table(&self, config: &Config) -> Table<'_> {
        let spec = &*self.forward.balance;
        let identities: Vec<Arc<str>> = self
            .forward
            .destinations
            .iter()
            .map(|destination| match &destination.target {
                Target::Backend(backend) => config.backend(*backend).key.clone(),
                Target::Answer(answer) => answer.reason.clone(),
            })
            .collect();
        let destinations = self.forward.destinations.iter().zip(&identities);
        let destinations = destinations.map(|(one, identity)| (one.tier, one.weight, &**identity));
        let candidates = CandidateSpec::new(&self.forward.upstream, self.forward.failover);
        let member = |endpoint: &Endpoint| Member::new(endpoint.clone(), Arc::new(EndpointState::new(0)));
        Table {
            spec,
            spread: Spread::new(destinations, candidates),
            balancers: self
                .members
                .iter()
                .map(|members| {
                    Some(Balancer::new(
                        spec,
                        members.as_ref()?.iter().map(member).collect(),
                    ))
                })
                .collect(),
        }
    }

    /// Says how the endpoint is picked, and which one when the request alone decides.
    fn pick(&mut self, config: &Config, request: &ExplainedRequest) {
        let forward = self.forward.clone();
        let spec = &*forward.balance;
        let arrival = request.arrive(self.local, &self.client_ip, 40_000);
        let key = request_key(spec, &arrival);
        let named = spec
            .endpoint_override
            .as_ref()
            .and_then(|named| OverrideHosts::find(named, &arrival));
        let is_decided = key.is_some_and(|key| key.new_cookie.is_none());
        let only = self.forward.destinations.len() == 1;
        let (picked, destination) = {
            let table = self.table(config);
            let mut rng = Rng::from_seed(1);
            let destination = table.destination(key.map(|key| key.hash), &AtomicU64::new(0), &mut rng);
            let balancer = destination.and_then(|destination| table.balancers[destination].as_ref());
            let picked = balancer.map(|balancer| {
                let picked = balancer.pick(&mut Pick {
                    key: key.map(|key| key.hash),
                    key_source: key.map_or(0, |key| key.source),
                    cursor: &AtomicU64::new(0),
                    rng: &mut Rng::from_seed(1),
                    now_ms: NOW_MS,
                    override_hosts: named.as_ref(),
                    tried: &[],
                });
                picked.map(|picked| {
                    let member = balancer.member(picked.index);
                    let address = member.map(|member| member.endpoint.address.to_string());
                    (address.unwrap_or_default(), picked.reason)
                })
            });
            (picked, destination)
        };
        self.destination = destination.filter(|_| is_decided || only);
        self.key = key.filter(|_| is_decided).map(|key| key.hash);
        match picked {
            None if destination.is_some() => self.pick = "weir answers itself".to_owned(),
            None => self.pick = "no destination has a weight: 500".to_owned(),
            Some(Err(no_pick)) => self.pick = words::no_pick(no_pick).to_owned(),
            Some(Ok((address, reason))) => {
                let decided = match reason {
                    PickReason::Override => only || is_decided,
                    PickReason::Hash { .. } => is_decided,
                    _ => false,
                };
                self.pick = pick_text(spec, reason, key, &arrival);
                self.endpoint = decided.then_some(address);
            }
        }
    }
}

fn pick_text(spec: &BalanceSpec, reason: PickReason, key: Option<HashKey>, arrival: &Arrival<'_>) -> String {
    let fallback = match &spec.endpoint_override {
        Some(named) if reason != PickReason::Override => {
            let given = OverrideHosts::find(named, arrival).is_some();
            let state = if given {
                "names no endpoint of this backend"
            } else {
                "is absent"
            };
            format!(" ({} {state})", named.headers.join(", "))
        }
        _ => String::new(),
    };
    let text = match reason {
        PickReason::Override => "the endpoint that the request names".to_owned(),
        PickReason::Session => "the endpoint where the client's session is".to_owned(),
        PickReason::RoundRobin => "each endpoint in turn, by weight".to_owned(),
        PickReason::Random => "an independent draw by weight".to_owned(),
        PickReason::LeastRequest => "the one with fewer requests in flight for its weight".to_owned(),
        PickReason::Adaptive | PickReason::PeakEwma => "the one quickest to answer for its load".to_owned(),
        PickReason::MissingKey(missing) => words::missing_key(missing).to_owned(),
        PickReason::Hash { source } => {
            let sources = match &spec.algorithm {
                Algorithm::ConsistentHash(hash) => hash.sources.as_slice(),
                Algorithm::RoundRobin
                | Algorithm::Random
                | Algorithm::LeastRequest(_)
                | Algorithm::Adaptive
                | Algorithm::PeakEwma => &[],
            };
            let source = sources
                .get(usize::from(source))
                .map(words::source)
                .unwrap_or_default();
            match key.and_then(|key| key.new_cookie) {
                Some(_) => format!("{source} is absent: the response sets one, and its value decides"),
                None => format!("always the same for this {source}, while the endpoints stay"),
            }
        }
    };
    text + &fallback
}

fn endpoints_of(config: &Config, destination: &Destination) -> Option<Vec<Endpoint>> {
    let Target::Backend(backend) = destination.target else {
        return None;
    };
    Some(match &config.backend(backend).endpoints {
        EndpointSource::Static(endpoints) => endpoints.to_vec(),
        EndpointSource::Names(names) => names
            .iter()
            .map(|named| {
                // Stands for whatever the name resolves to.
                let address = format!("{}:{}", named.host, named.port.number());
                Endpoint {
                    weight: named.weight,
                    tier: named.tier,
                    name: if named.name == named.host {
                        "".into()
                    } else {
                        Arc::clone(&named.name)
                    },
                    ..Endpoint::new(EndpointAddress::Unix(address.into()))
                }
            })
            .collect(),
    })
}

/// The shares of the destinations while all endpoints are well: by weight in the first tier that has any.
fn shares(forward: &Forward, members: &[Option<Vec<Endpoint>>]) -> Vec<f64> {
    let weighted = || {
        forward
            .destinations
            .iter()
            .zip(members)
            .filter(|(one, _)| one.weight.number() > 0)
    };
    let has_ready = |members: &Option<Vec<Endpoint>>| {
        let mut all = members.iter().flatten();
        all.any(|one| one.condition == EndpointCondition::Ready && one.weight.number() > 0)
    };
    let able = weighted()
        .filter(|(_, members)| has_ready(members))
        .map(|(one, _)| one.tier)
        .min();
    let serving = able.or_else(|| weighted().map(|(one, _)| one.tier).min());
    let weight = |one: &Destination| match Some(one.tier) == serving {
        true => f64::from(one.weight.number()),
        false => 0.0,
    };
    let total: f64 = forward.destinations.iter().map(weight).sum();
    let share = |one: &Destination| if total > 0.0 { weight(one) / total } else { 0.0 };
    forward.destinations.iter().map(share).collect()
}

fn destination_part(
    config: &Config,
    destination: &Destination,
    members: Option<&[Endpoint]>,
    share: f64,
) -> DestinationPart {
    let endpoint = |endpoint: &Endpoint| EndpointPart {
        address: endpoint.address.to_string(),
        name: endpoint.name.to_string(),
        zone: endpoint.zone.to_string(),
        weight: endpoint.weight.number(),
        tier: endpoint.tier,
        ready: endpoint.condition == EndpointCondition::Ready,
    };
    let endpoints: Vec<_> = members.unwrap_or_default().iter().map(endpoint).collect();
    match &destination.target {
        Target::Answer(answer) => DestinationPart {
            share,
            tier: destination.tier,
            name: answer.reason.to_string(),
            answer: Some(answer.status),
            origin: Origin::default(),
            endpoints,
            names: 0,
        },
        Target::Backend(backend) => {
            let backend = config.backend(*backend);
            let port = match backend
                .key
                .strip_prefix("service/")
                .and_then(|key| key.split('/').nth(2))
            {
                Some(port) => format!(" port {port}"),
                None => String::new(),
            };
            DestinationPart {
                share,
                tier: destination.tier,
                name: format!("{}{port}", backend.object),
                answer: None,
                origin: backend.origin.clone(),
                names: match &backend.endpoints {
                    EndpointSource::Names(names) => names.len(),
                    EndpointSource::Static(_) => 0,
                },
                endpoints,
            }
        }
    }
}
