//! The rules of the configuration, and the configuration as a whole.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::{
    Action, Attachment, Backend, BackendId, ClientIp, Config, Destination, DnsSpec, Endpoint,
    EndpointAddress, EndpointSource, Filter, Forward, HeaderChange, HostPattern, Listener, ListenerKey,
    Match, Mirror, ObjectName, Origin, PathMatch, Route, RouteId, Rule, Section, Target, Tier, Weight,
};

use crate::plan::{Listed, Plan};

/// What sets a rule apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleKind {
    Plain,
    /// Requests are tried again.
    Retried,
    /// Requests with one key go to one endpoint.
    Keyed,
    /// Clients are given tokens by which they come back.
    Session,
    /// The second backend stands in for the first one.
    Tiered,
    /// So many requests at once, and so often.
    Limited,
    /// Copies go to the third backend.
    Mirrored,
}

impl RuleKind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Plain,
        Self::Retried,
        Self::Keyed,
        Self::Session,
        Self::Tiered,
        Self::Limited,
        Self::Mirrored,
    ];

    /// What paths under it begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Plain => "/plain",
            Self::Retried => "/retry",
            Self::Keyed => "/keyed",
            Self::Session => "/session",
            Self::Tiered => "/tiered",
            Self::Limited => "/limited",
            Self::Mirrored => "/mirrored",
        }
    }

    /// Its key in the configuration.
    pub(crate) fn key(self) -> String {
        format!("httproute/sim/route{}", self.prefix())
    }

    /// The backends that serve it, by tier.
    fn backends(self) -> &'static [usize] {
        match self {
            Self::Plain | Self::Retried | Self::Session | Self::Mirrored => &[FIRST],
            Self::Keyed | Self::Limited => &[SECOND],
            Self::Tiered => &[FIRST, SECOND],
        }
    }
}

/// The backend of most rules.
pub(crate) const FIRST: usize = 0;
/// The one of the others, and the lower tier.
pub(crate) const SECOND: usize = 1;
/// The one that gets copies and nothing else.
pub(crate) const MIRROR: usize = 2;

/// The backends' names.
const NAMES: [&str; 3] = ["a", "b", "mirror"];

/// The key of a backend, by its index.
pub(crate) fn backend_key(index: usize) -> String {
    format!("service/sim/{}/80", NAMES[index % NAMES.len()])
}

/// Endpoints as a backend lists them.
pub(crate) fn endpoints(addresses: &[SocketAddr]) -> Arc<[Endpoint]> {
    let endpoint = |address: &SocketAddr| Endpoint::new(EndpointAddress::Tcp(*address));
    addresses.iter().map(endpoint).collect()
}

fn backend((index, listed): (usize, &Vec<SocketAddr>)) -> Arc<Backend> {
    Arc::new(Backend {
        key: backend_key(index).into(),
        object: ObjectName::new("Service", "sim", NAMES[index]),
        endpoints: EndpointSource::Static(endpoints(listed)),
        dns: DnsSpec::default(),
        origin: Origin::default(),
    })
}

impl Plan {
    /// The configuration with these endpoints; every request and response that passes carries `stamp`.
    pub(crate) fn config(&self, stamp: u64, listed: &Listed) -> Config {
        let route = Route {
            object: ObjectName::new("HTTPRoute", "sim", "route"),
            created: None,
            rules: RuleKind::ALL.map(|kind| self.rule(kind, stamp)).into(),
            origin: Origin::default(),
        };
        Config {
            listeners: vec![Arc::new(self.listener())],
            routes: vec![Arc::new(route)],
            backends: listed.iter().enumerate().map(backend).collect(),
        }
    }

    fn listener(&self) -> Listener {
        Listener {
            key: ListenerKey {
                address: self.listens,
            },
            sections: vec![Section {
                name: "sim/gateway/http".into(),
                host: HostPattern::Any,
                port: 80,
                attachments: vec![Attachment {
                    route: RouteId(0),
                    hosts: vec![HostPattern::Any],
                }],
                origin: Origin::default(),
            }],
            client_ip: ClientIp::Peer,
        }
    }

    fn rule(&self, kind: RuleKind, stamp: u64) -> Rule {
        let change = || HeaderChange {
            set: vec![("x-sim-stamp".into(), stamp.to_string().into())],
            ..HeaderChange::default()
        };
        let mut filters = vec![
            Filter::RequestHeaders(change()),
            Filter::ResponseHeaders(change()),
        ];
        if kind == RuleKind::Mirrored {
            filters.push(Filter::Mirror(Mirror {
                backend: BackendId(MIRROR as u32),
                fraction: self.copied,
            }));
        }
        Rule {
            key: kind.key().into(),
            name: None,
            matches: vec![Match {
                path: PathMatch::Prefix(kind.prefix().into()),
                method: None,
                headers: Vec::new(),
                query: Vec::new(),
            }],
            filters,
            action: Action::Forward(self.forward(kind)),
            timeouts: self.timeouts.clone(),
            traffic: (kind == RuleKind::Limited).then(|| Arc::clone(&self.traffic)),
            origin: Origin::default(),
        }
    }

    fn forward(&self, kind: RuleKind) -> Forward {
        let destinations = kind.backends().iter().zip([Tier::FIRST, Tier::FALLBACK]);
        let destination = |(backend, tier): (&usize, Tier)| Destination {
            weight: Weight::ONE,
            tier,
            target: Target::Backend(BackendId(*backend as u32)),
            filters: Vec::new(),
        };
        let balance = if kind == RuleKind::Keyed {
            &self.keyed
        } else {
            &self.balance
        };
        Forward {
            destinations: destinations.map(destination).collect(),
            balance: Arc::clone(balance),
            upstream: Arc::clone(&self.upstream),
            failover: self.failover,
            retry: (kind == RuleKind::Retried).then(|| Arc::new(self.retry.clone())),
            persistence: (kind == RuleKind::Session).then(|| Arc::clone(&self.persistence)),
            policy: None,
        }
    }
}
