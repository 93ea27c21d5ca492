//! Routes, rules and matches, in Gateway API's sense.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    BackendId, BalanceSpec, Failover, Filter, Match, ObjectName, Origin, Persistence, Redirect, Retry, Tier,
    TrafficSpec, UpstreamSpec, Weight,
};

/// One HTTPRoute as attached under one set of effective policies. The same HTTPRoute appears twice when its
/// parents give it different policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The object.
    pub object: ObjectName,
    /// `metadata.creationTimestamp` in seconds since the epoch; `None` sorts after every known time.
    pub created: Option<i64>,
    /// Rules in the order written.
    pub rules: Vec<Rule>,
    /// Where the object is written.
    pub origin: Origin,
}

/// One rule of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable key over reloads, Envoy Gateway's cluster name contract: `httproute/NAMESPACE/NAME/rule/INDEX`.
    pub key: Arc<str>,
    /// The rule's own name (`rules[].name`).
    pub name: Option<Arc<str>>,
    /// At least one; a rule without matches has one that matches the prefix `/`.
    pub matches: Vec<Match>,
    /// Filters in the order written; they also apply to every destination.
    pub filters: Vec<Filter>,
    /// What happens to a matching request.
    pub action: Action,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What else it does to requests and responses; `None`: nothing.
    pub traffic: Option<Arc<TrafficSpec>>,
    /// Where the rule is written.
    pub origin: Origin,
}

/// What happens to a request that a rule matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Goes to one of the destinations.
    Forward(Forward),
    /// Is sent elsewhere.
    Redirect(Redirect),
    /// Is answered by weir: the rule cannot be served as written.
    Answer(FixedAnswer),
}

/// Where requests go, and how they are spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where to; weights split the requests. Never empty; the sum of weights is at least 1.
    pub destinations: Vec<Destination>,
    /// How endpoints are picked inside a destination.
    pub balance: Arc<BalanceSpec>,
    /// How the endpoints are treated. Rules with an equal value share the state of a backend.
    pub upstream: Arc<UpstreamSpec>,
    /// How tiers and destinations stand in for each other.
    pub failover: Failover,
    /// When a request is tried again; `None`: only when nothing of it can have been done.
    pub retry: Option<Arc<Retry>>,
    /// How sessions come back to their endpoint; `None`: they do not.
    pub persistence: Option<Arc<Persistence>>,
    /// The policy that `balance` comes from; `None` for the default.
    pub policy: Option<(ObjectName, Origin)>,
}

/// One backendRef of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Share among the rule's destinations.
    pub weight: Weight,
    /// When it is used: destinations of a later tier take over what those before it cannot carry.
    pub tier: Tier,
    /// Where to.
    pub target: Target,
    /// Filters of this backendRef only; applied after the rule's.
    pub filters: Vec<Filter>,
}

/// What a backendRef resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A backend, which may have no endpoints (503).
    Backend(BackendId),
    /// Nothing: its share of the requests is answered (500 for an invalid reference).
    Answer(FixedAnswer),
}

/// An answer that weir gives instead of forwarding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedAnswer {
    /// HTTP status, 4xx or 5xx.
    pub status: u16,
    /// Why, in the words of the status conditions, for example `BackendNotFound`.
    pub reason: Arc<str>,
    /// Methods that there are, for the `Allow` of a 405 (RFC 9110 15.5.6).
    pub allow: Option<Arc<str>>,
}

/// Time bounds of a rule. `None` switches a bound off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole exchange, from the moment the request has been received (GEP-1742 `request`).
    pub request: Option<Duration>,
    /// One try at an endpoint (GEP-1742 `backendRequest`).
    pub backend_request: Option<Duration>,
    /// Connecting to an endpoint.
    pub connect: Duration,
    /// Nothing moves in either direction for this long (Envoy Gateway `streamIdleTimeout`).
    pub stream_idle: Option<Duration>,
    /// The whole exchange, from its first byte, also while it streams (Envoy Gateway `maxStreamDuration`).
    pub stream: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: Some(crate::limits::REQUEST_TIMEOUT),
            backend_request: None,
            connect: crate::limits::CONNECT_TIMEOUT,
            stream_idle: Some(crate::limits::STREAM_IDLE_TIMEOUT),
            stream: None,
        }
    }
}
