//! Local rate limits: how often requests may come, counted by this process.

use std::sync::Arc;
use std::time::Duration;

use crate::{Cidr, HeaderMatch, PathMatch, QueryMatch};

/// A local rate limit (Envoy Gateway `rateLimit.local`, row KT33). A request takes one token of every rule whose
/// selectors hold; rules without selectors count those requests only that no other rule counts, as in Envoy Gateway.
/// When one rule has no token left, the request is answered 429 and takes none of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// At most [`crate::limits::RATE_LIMIT_RULES`].
    pub rules: Vec<RateLimitRule>,
    /// Responses carry `x-ratelimit-limit`, `-remaining` and `-reset`.
    pub headers: bool,
}

/// One rule of a rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitRule {
    /// Identity of its buckets. Rules of one key share them, over all routes and reloads: the policy's rule when it is
    /// `shared`, otherwise the policy's rule and the route's.
    pub key: Arc<str>,
    /// All must hold; empty: every request that no rule with selectors counts.
    pub selectors: Vec<ClientSelector>,
    /// How many requests in how much time.
    pub rate: Rate,
}

/// How many requests in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests; 0 lets none through.
    pub requests: u32,
    /// The time.
    pub unit: RateUnit,
}

/// A unit of time of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

impl RateUnit {
    /// How long it is.
    pub const fn duration(self) -> Duration {
        let seconds = match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
            Self::Year => 365 * 86_400,
        };
        Duration::from_secs(seconds)
    }
}

/// Which requests a rate limit counts. All parts must hold; what is empty holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSelector {
    /// Conditions on headers.
    pub headers: Vec<HeaderSelector>,
    /// Methods, upper case, one of which must be (or, when inverted, must not be) the request's.
    pub methods: Vec<MethodSelector>,
    /// Condition on the path.
    pub path: Option<PathSelector>,
    /// Condition on the client's address.
    pub source: Option<SourceSelector>,
    /// Conditions on query parameters.
    pub query: Vec<QuerySelector>,
}

/// A condition on a header, or a bucket for each of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderSelector {
    /// The value is (or, when inverted, is not) this.
    Value {
        /// The condition.
        condition: HeaderMatch,
        /// Holds when the condition does not.
        invert: bool,
    },
    /// The header of this lower case name is there; each value has its own bucket.
    Distinct(Arc<str>),
}

/// A condition on the method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodSelector {
    /// Upper case.
    pub method: Arc<str>,
    /// Holds for every other method.
    pub invert: bool,
}

/// A condition on the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSelector {
    /// The condition.
    pub path: PathMatch,
    /// Holds when the condition does not.
    pub invert: bool,
}

/// A condition on the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceSelector {
    /// The client's address lies inside.
    pub cidr: Cidr,
    /// Holds when it lies outside; not together with `distinct`.
    pub invert: bool,
    /// Each address has its own bucket.
    pub distinct: bool,
}

/// A condition on a query parameter, or a bucket for each of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuerySelector {
    /// The first value is (or, when inverted, is not) this.
    Value {
        /// The condition.
        condition: QueryMatch,
        /// Holds when the condition does not.
        invert: bool,
    },
    /// The parameter is there; each value has its own bucket.
    Distinct(Arc<str>),
}
