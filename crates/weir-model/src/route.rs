//! Routes, rules and matches, in Gateway API's sense.

use std::sync::Arc;
use std::time::Duration;

use crate::{BackendId, BalanceSpec, Filter, ObjectName, Origin, Redirect, Weight};

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
    /// The policy that `balance` comes from; `None` for the default.
    pub policy: Option<(ObjectName, Origin)>,
}

/// One backendRef of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Share among the rule's destinations.
    pub weight: Weight,
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
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: Some(crate::limits::REQUEST_TIMEOUT),
            backend_request: None,
            connect: crate::limits::CONNECT_TIMEOUT,
        }
    }
}

/// All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Condition on the path.
    pub path: PathMatch,
    /// The method, upper case as sent; `None` for all.
    pub method: Option<Arc<str>>,
    /// Conditions on headers.
    pub headers: Vec<HeaderMatch>,
    /// Conditions on query parameters.
    pub query: Vec<QueryMatch>,
}

/// Condition on the normalised path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Equal, case-sensitive.
    Exact(Arc<str>),
    /// By path element; held without trailing slash, so the prefix `/` is held as the empty string.
    Prefix(Arc<str>),
    /// A regular expression that must match the whole path; valid and within [`crate::limits::REGEX_BYTES`].
    Regex(Arc<str>),
}

/// Condition on a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    /// What the value must be; several fields of one name count as one value joined with `,`.
    pub value: ValueMatch,
}

/// Condition on a query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// Case-sensitive.
    pub name: Arc<str>,
    /// What its first value must be.
    pub value: ValueMatch,
}

/// Condition on a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    /// Equal, case-sensitive.
    Exact(Arc<str>),
    /// A regular expression that must match the whole value; valid and bounded.
    Regex(Arc<str>),
}
