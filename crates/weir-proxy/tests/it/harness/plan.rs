//! A configuration in a few words.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::{
    Action, Attachment, Backend, BackendId, BalanceSpec, ClientIp, Config, Destination, DnsSpec, Endpoint,
    EndpointAddress, EndpointSource, Failover, Forward, HostPattern, Listener, ListenerKey, Match,
    ObjectName, Origin, PathMatch, Route, RouteId, Rule, Section, Target, Tier, Timeouts, TrafficSpec,
    Weight,
};

/// One listener, one section, one route with several rules, and backends.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) backends: Vec<(String, EndpointSource)>,
    /// Of all backends.
    pub(crate) dns: DnsSpec,
    pub(crate) client_ip: ClientIp,
    pub(crate) listen: SocketAddr,
    pub(crate) port: u16,
    pub(crate) hosts: Vec<HostPattern>,
}

impl Plan {
    pub(crate) fn new() -> Self {
        Self {
            rules: Vec::new(),
            backends: Vec::new(),
            dns: DnsSpec::default(),
            client_ip: ClientIp::Peer,
            listen: "127.0.0.1:0".parse().unwrap(),
            port: 80,
            hosts: vec![HostPattern::Any],
        }
    }

    /// Everything goes to these endpoints.
    pub(crate) fn to(addresses: &[SocketAddr]) -> Self {
        let mut plan = Self::new();
        plan.backend("only", addresses);
        plan.rules.push(prefix_rule("", forward_to(&[0])));
        plan
    }

    pub(crate) fn backend(&mut self, name: &str, addresses: &[SocketAddr]) -> BackendId {
        let endpoints = addresses.iter().map(|address| endpoint(*address)).collect();
        self.backends
            .push((name.to_owned(), EndpointSource::Static(endpoints)));
        BackendId(u32::try_from(self.backends.len() - 1).unwrap())
    }

    /// Changes how the last rule balances.
    pub(crate) fn balance(mut self, spec: BalanceSpec) -> Self {
        if let Action::Forward(forward) = &mut self.rules.last_mut().unwrap().action {
            forward.balance = Arc::new(spec);
        }
        self
    }

    /// Changes how the last rule forwards.
    pub(crate) fn forward(mut self, change: impl FnOnce(&mut Forward)) -> Self {
        if let Action::Forward(forward) = &mut self.rules.last_mut().unwrap().action {
            change(forward);
        }
        self
    }

    /// Changes what the last rule does to requests and responses.
    pub(crate) fn traffic(mut self, change: impl FnOnce(&mut TrafficSpec)) -> Self {
        let traffic = &mut self.rules.last_mut().unwrap().traffic;
        change(Arc::make_mut(traffic.get_or_insert_default()));
        self
    }

    pub(crate) fn config(&self) -> Config {
        let origin = Origin::default();
        let listener = Listener {
            key: ListenerKey { address: self.listen },
            sections: vec![Section {
                name: "default/gateway/http".into(),
                host: HostPattern::Any,
                port: self.port,
                attachments: vec![Attachment {
                    route: RouteId(0),
                    hosts: self.hosts.clone(),
                }],
                origin: origin.clone(),
            }],
            client_ip: self.client_ip.clone(),
        };
        let mut rules = self.rules.clone();
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.key = format!("httproute/default/route/rule/{index}").into();
        }
        let route = Route {
            object: ObjectName::new("HTTPRoute", "default", "route"),
            created: None,
            rules,
            origin: origin.clone(),
        };
        let backends = self.backends.iter().map(|(name, endpoints)| {
            Arc::new(Backend {
                key: format!("service/default/{name}/80").into(),
                object: ObjectName::new("Service", "default", &**name),
                endpoints: endpoints.clone(),
                dns: self.dns,
                origin: origin.clone(),
            })
        });
        Config {
            listeners: vec![Arc::new(listener)],
            routes: vec![Arc::new(route)],
            backends: backends.collect(),
        }
    }
}

pub(crate) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::new(EndpointAddress::Tcp(address))
}

/// A rule for a path prefix, held without trailing slash.
pub(crate) fn prefix_rule(prefix: &str, action: Action) -> Rule {
    Rule {
        key: "".into(),
        name: None,
        matches: vec![Match {
            path: PathMatch::Prefix(prefix.into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }],
        filters: Vec::new(),
        action,
        timeouts: Timeouts::default(),
        traffic: None,
        origin: Origin::default(),
    }
}

/// Forwards to these backends in equal parts.
pub(crate) fn forward_to(backends: &[u32]) -> Action {
    let destination = |backend: &u32| Destination {
        weight: Weight::ONE,
        tier: Tier::FIRST,
        target: Target::Backend(BackendId(*backend)),
        filters: Vec::new(),
    };
    Action::Forward(Forward {
        destinations: backends.iter().map(destination).collect(),
        balance: Arc::default(),
        upstream: Arc::default(),
        failover: Failover::default(),
        retry: None,
        persistence: None,
        policy: None,
    })
}
