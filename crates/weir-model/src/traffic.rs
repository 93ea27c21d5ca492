//! What a rule does to requests and responses besides routing and filters: faults, limits, buffering, compression,
//! other answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Fraction, HeaderChange, HeaderMatch, RateLimit, Redirect, StatusSet};

/// All of it; the default does nothing. In order of a request's way: limits of size, basic authentication, faults,
/// rate limit, buffering; then the response: other answers, compression.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TrafficSpec {
    /// How large requests may be, and how many there may be at once.
    pub request_limits: RequestLimits,
    /// Who may come in.
    pub basic_auth: Option<BasicAuth>,
    /// Made-up trouble.
    pub fault: FaultInjection,
    /// How often requests may come.
    pub rate_limit: Option<RateLimit>,
    /// The whole request body is read before it is forwarded, up to that many bytes; 413 above (Envoy Gateway
    /// `requestBuffer.limit`).
    pub request_buffer_bytes: Option<u64>,
    /// Encodings offered, the preferred one first.
    pub compressors: Vec<Compressor>,
    /// Answers in place of others; the first that applies.
    pub overrides: Vec<ResponseOverride>,
}

/// How large requests may be, and how many at once (row KT26). `None`: weir's own limits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestLimits {
    /// Body, bytes; 413 above.
    pub body_bytes: Option<u64>,
    /// Header fields together, bytes; 431 above.
    pub head_bytes: Option<u32>,
    /// Request target, bytes; 414 above.
    pub target_bytes: Option<u32>,
    /// Requests at once.
    pub parallel: Option<ParallelLimit>,
}

/// How many requests may be in flight at once; 503 above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParallelLimit {
    /// Identity of the counter: rules of one key share it, over all routes and reloads (a tenant's rules, row KT20).
    pub key: Arc<str>,
    /// Requests at once; 0 lets none through.
    pub requests: u32,
}

/// Made-up trouble (Envoy Gateway `faultInjection`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FaultInjection {
    /// Requests that wait.
    pub delay: Option<FaultDelay>,
    /// Requests that are answered by weir, after their delay.
    pub abort: Option<FaultAbort>,
}

/// Requests that wait before anything else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultDelay {
    /// How long.
    pub duration: Duration,
    /// Which part of the requests.
    pub fraction: Fraction,
}

/// Requests that are answered by weir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultAbort {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Which part of the requests.
    pub fraction: Fraction,
}

/// An encoding that responses may be sent in (Envoy Gateway `compressor`, tenants' `compression`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressor {
    /// The encoding.
    pub encoding: ContentEncoding,
    /// How hard to try, 1 to 9; `None`: the encoding's own default.
    pub level: Option<u8>,
    /// Shorter bodies are left alone; at least [`crate::limits::COMPRESSION_MIN_BYTES`].
    pub min_bytes: u32,
    /// Media types, lower case, without parameters; empty: text, JSON, JavaScript, XML and the like.
    pub content_types: Vec<Arc<str>>,
}

/// A content coding (RFC 9110 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// An answer in place of another (Envoy Gateway `responseOverride`). All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseOverride {
    /// Status of the answer replaced; empty: any.
    pub statuses: StatusSet,
    /// Conditions on the header of the answer replaced.
    pub headers: Vec<HeaderMatch>,
    /// Whose answers are replaced.
    pub source: ResponseSource,
    /// What is sent instead.
    pub replacement: Replacement,
}

/// Who gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResponseSource {
    /// Anybody.
    #[default]
    All,
    /// weir.
    Local,
    /// An endpoint.
    Backend,
}

/// What is sent instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The answer with parts of it replaced.
    Answer(ReplacedAnswer),
    /// A redirect.
    Redirect(Redirect),
}

/// Parts of an answer that are replaced; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReplacedAnswer {
    /// The status, 100 to 599.
    pub status: Option<u16>,
    /// The media type; used only with a body.
    pub content_type: Option<Arc<str>>,
    /// The body.
    pub body: Option<Arc<[u8]>>,
    /// Changes of the header.
    pub headers: HeaderChange,
}

/// Names and passwords that are let in (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAuth {
    /// The protection space; a valid quoted string's content.
    pub realm: Arc<str>,
    /// Who is let in; ordered by name, unique.
    pub users: Vec<BasicUser>,
    /// Header that tells the endpoint who it is; lower case.
    pub forward_name: Option<Arc<str>>,
}

/// One name with its password's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicUser {
    /// The name; contains no colon.
    pub name: Arc<str>,
    /// The password's digest.
    pub password: PasswordDigest,
}

/// A digest of a password. Not shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PasswordDigest {
    /// SHA-1 (`htpasswd -s`, the form that Envoy Gateway takes).
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Sha1(_) => "Sha1(secret)",
            Self::Sha256(_) => "Sha256(secret)",
        })
    }
}
