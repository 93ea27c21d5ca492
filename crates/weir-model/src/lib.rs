//! The vocabulary of weir: what a configuration means once every name is resolved.
//!
//! This crate owns the types that the control plane writes and the data plane reads. It knows no file format,
//! no socket, no clock and no random numbers. A value of these types is valid by construction: whoever builds
//! one has already reported what was wrong with the input as a [`Problem`].

mod backend;
mod balance;
mod config;
mod filter;
mod health;
mod host;
mod id;
pub mod limits;
mod listener;
mod matching;
mod origin;
mod persistence;
mod problem;
mod rate_limit;
mod retry;
mod route;
mod status;
mod traffic;
mod unit;
mod upstream;

pub use backend::{
    Backend, Endpoint, EndpointAddress, EndpointCondition, EndpointProbe, EndpointSource, EndpointTraits,
    NamedEndpoint,
};
pub use balance::{
    Algorithm, BalanceSpec, Choices, ConsistentHash, CookieSpec, EndpointOverride, HashSource, HashTable,
    LeastRequest, LoadBound, LoadReport, MissingKey, RingSize, SlowStart, TableSize,
};
pub use config::Config;
pub use filter::{
    Cors, Filter, HeaderChange, IdentityFields, Mirror, OriginPattern, PathRewrite, Redirect, Rewrite,
};
pub use health::{
    ActiveCheck, FailurePercentage, HealthSpec, HealthStart, HttpProbe, PassiveCheck, Payload, Probe,
    SuccessRate, TcpProbe,
};
pub use host::HostPattern;
pub use id::{BackendId, ObjectName, RouteId};
pub use listener::{Attachment, ClientIp, Listener, ListenerKey, Section};
pub use matching::{HeaderMatch, Match, PathMatch, QueryMatch, ValueMatch};
pub use origin::Origin;
pub use persistence::{CookieLifetime, CookiePath, Persistence, PersistenceMode, TokenCarrier, TokenCookie};
pub use problem::{Problem, Severity};
pub use rate_limit::{
    ClientSelector, HeaderSelector, MethodSelector, PathSelector, QuerySelector, Rate, RateLimit,
    RateLimitRule, RateUnit, SourceSelector,
};
pub use retry::{Backoff, Retry, RetryCondition, RetryConditions};
pub use route::{Action, Destination, FixedAnswer, Forward, Route, Rule, Target, Timeouts};
pub use status::StatusSet;
pub use traffic::{
    BasicAuth, BasicUser, Compressor, ContentEncoding, FaultAbort, FaultDelay, FaultInjection, ParallelLimit,
    PasswordDigest, ReplacedAnswer, Replacement, RequestLimits, ResponseOverride, ResponseSource,
    TrafficSpec,
};
pub use unit::{Cidr, Fraction, Percent, Period, Port, Tier, Weight};
pub use upstream::{
    Breakers, ConnectionSpec, DnsSpec, Failover, LookupFamily, Preconnect, ProxyProtocol, RetryBudget,
    RetryLimit, TcpKeepalive, UpstreamSpec,
};
