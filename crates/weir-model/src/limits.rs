//! Every numeric bound of weir, in one place, with what each is measured in. All are on by default.

use std::time::Duration;

/// Greatest backend weight (Gateway API `BackendRef.weight`).
pub const WEIGHT_MAX: u32 = 1_000_000;
/// Greatest Maglev table size (Envoy Gateway `consistentHash.tableSize`); also the greatest prime allowed.
pub const MAGLEV_TABLE_MAX: u32 = 5_000_011;
/// Maglev table size when none is given.
pub const MAGLEV_TABLE_DEFAULT: u32 = 65_537;
/// Greatest number of points on a hash ring (Envoy `maximum_ring_size`).
pub const RING_MAX: u32 = 8 * 1024 * 1024;
/// Points on a hash ring at least when nothing is said (Envoy `minimum_ring_size`).
pub const RING_MIN_DEFAULT: u32 = 1_024;

/// Greatest number of a failover tier (Envoy's greatest priority).
pub const TIER_MAX: u8 = 127;
/// Least and greatest time span that is waited for again and again (probes, sweeps, refreshes).
pub const PERIOD_MIN: Duration = Duration::from_millis(1);
/// See [`PERIOD_MIN`].
pub const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Time between two probes of an endpoint (Envoy Gateway `healthCheck.active.interval`).
pub const PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// Time for a probe to be answered (Envoy Gateway `healthCheck.active.timeout`).
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How far the time between two probes strays to either side, percent of the interval (row HC04).
pub const PROBE_JITTER_PERCENT: u8 = 5;
/// Failed probes in a row until an endpoint counts as unhealthy (Envoy Gateway `unhealthyThreshold`).
pub const PROBE_UNHEALTHY_THRESHOLD: u32 = 3;
/// Good probes in a row until an unhealthy endpoint counts as healthy (Envoy Gateway `healthyThreshold`).
pub const PROBE_HEALTHY_THRESHOLD: u32 = 1;
/// Path of a probe, bytes (Envoy Gateway `healthCheck.active.http.path`).
pub const PROBE_PATH_BYTES: usize = 1_024;
/// What is read of a probe's answer, bytes.
pub const PROBE_ANSWER_BYTES: usize = 64 * 1024;
/// Below this part of usable endpoints all of them are used (Envoy Gateway `healthCheck.panicThreshold`), percent.
pub const PANIC_THRESHOLD_PERCENT: u8 = 50;
/// Time between two looks at how endpoints answered (Envoy Gateway `healthCheck.passive.interval`).
pub const PASSIVE_INTERVAL: Duration = Duration::from_secs(3);
/// Time that a first ejection lasts (Envoy Gateway `healthCheck.passive.baseEjectionTime`).
pub const EJECTION_BASE: Duration = Duration::from_secs(30);
/// Longest ejection, unless the base is longer (Envoy `max_ejection_time`).
pub const EJECTION_MAX: Duration = Duration::from_secs(300);
/// Part of the endpoints that may be ejected at once (Envoy Gateway `healthCheck.passive.maxEjectionPercent`), percent.
pub const EJECTION_MAX_PERCENT: u8 = 10;
/// Failures in a row until an ejection (Envoy Gateway `consecutive5XxErrors`, `consecutiveLocalOriginFailures`).
pub const EJECTION_CONSECUTIVE: u32 = 5;
/// Failures of a hundred until an ejection, when that rule is on and names no number (Envoy Gateway
/// `failurePercentageThreshold`), percent.
pub const FAILURE_PERCENTAGE_THRESHOLD: u8 = 85;
/// Endpoints that must have had enough requests before rates are compared (Envoy
/// `failure_percentage_minimum_hosts`, `success_rate_minimum_hosts`).
pub const RATE_ENDPOINTS_MIN: u32 = 5;
/// Requests of an endpoint in one interval before its failure percentage counts (Envoy
/// `failure_percentage_request_volume`).
pub const FAILURE_PERCENTAGE_REQUESTS_MIN: u32 = 50;
/// Requests of an endpoint in one interval before its success rate counts (Envoy `success_rate_request_volume`).
pub const SUCCESS_RATE_REQUESTS_MIN: u32 = 100;
/// Standard deviations below the mean success rate until an ejection, in thousandths (Envoy
/// `success_rate_stdev_factor`).
pub const SUCCESS_RATE_FACTOR_MILLI: u32 = 1_900;
/// A tier carries its share times this, percent, before the next one is asked (Envoy's overprovisioning factor).
pub const OVERPROVISIONING_PERCENT: u32 = 140;

/// How long a load report of an endpoint holds.
pub const LOAD_REPORT_EXPIRY: Duration = Duration::from_secs(30);

/// Tries after the first (Envoy Gateway `retry.numRetries`).
pub const RETRIES: u32 = 2;
/// Most tries after the first that may be configured.
pub const RETRIES_MAX: u32 = 32;
/// Wait before the first retry (Envoy Gateway `backOff.baseInterval`); it doubles each time, with jitter.
pub const RETRY_BACKOFF_BASE: Duration = Duration::from_millis(25);
/// The longest wait before a retry, as a multiple of the first (Envoy Gateway `backOff.maxInterval`).
pub const RETRY_BACKOFF_FACTOR: u32 = 10;
/// Retries in flight at once, percent of the requests in flight (Envoy and Finagle).
pub const RETRY_BUDGET_PERCENT: u8 = 20;
/// Retries in flight that are always allowed (Envoy Gateway `minRetryConcurrency`).
pub const RETRY_BUDGET_MIN: u32 = 3;
/// A request of up to this many bytes, head and body as they are sent, is kept for retries where a rule has them.
pub const REPLAY_BYTES: usize = 64 * 1024;
/// Status codes, or ranges of them, in one list.
pub const STATUS_RANGES: usize = 50;
/// Connections, waiting requests, requests and so on, each: the limit when none is given (Envoy).
pub const BREAKER_LIMIT: u32 = 1_024;
/// Bytes in flight in one direction of one exchange when a policy names none (Envoy Gateway `bufferLimit`).
pub const CONNECTION_BUFFER_BYTES: u32 = 32 * 1024;
/// TCP keepalive: probes without answer until the connection is dead (Envoy Gateway `tcpKeepalive.probes`).
pub const KEEPALIVE_PROBES: u32 = 9;
/// TCP keepalive: silence before the first probe (Envoy Gateway `tcpKeepalive.idleTime`).
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(7_200);
/// TCP keepalive: time between probes (Envoy Gateway `tcpKeepalive.interval`).
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(75);

/// Rules of one local rate limit (Envoy Gateway).
pub const RATE_LIMIT_RULES: usize = 16;
/// Clients of one rate limit rule that are told apart at once; a further one takes the place of the one with the most
/// tokens left.
pub const RATE_LIMIT_CLIENTS: usize = 32_256;
/// Client selectors of one rate limit rule (Envoy Gateway).
pub const RATE_LIMIT_SELECTORS: usize = 8;
/// Least length of a body that may be compressed, bytes (Envoy Gateway `compressor.minContentLength`).
pub const COMPRESSION_MIN_BYTES: u32 = 30;
/// Memory that one worker's encoders of responses may take together, bytes. What does not find room is sent as it is.
pub const ENCODER_BYTES: usize = 256 * 1024 * 1024;

/// Request or response head, bytes.
pub const HEAD_BYTES: usize = 32 * 1024;
/// Header fields in one head.
pub const HEAD_FIELDS: usize = 100;
/// Request target, bytes.
pub const TARGET_BYTES: usize = 8 * 1024;
/// One header field (name and value), bytes.
pub const FIELD_BYTES: usize = 16 * 1024;
/// Extensions of one chunk-size line, bytes.
pub const CHUNK_EXTENSION_BYTES: usize = 256;
/// Extensions of all chunk-size lines of one message, bytes.
pub const CHUNK_EXTENSIONS_BYTES: usize = 16 * 1024;
/// Bytes in flight in one direction of one exchange.
pub const BUFFER_BYTES: usize = 64 * 1024;
/// Interim (1xx) responses relayed per request.
pub const INTERIM_RESPONSES: u32 = 16;
/// Unread request body that weir drains to keep a client connection usable, bytes and time.
pub const DRAIN_BODY_BYTES: usize = 64 * 1024;
/// See [`DRAIN_BODY_BYTES`].
pub const DRAIN_BODY_TIME: Duration = Duration::from_secs(1);

/// Time for a whole request head to arrive, from its first byte (and for the first head, from accept).
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a client connection may stay open between requests.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A body must arrive at no less than this many bytes a second, after [`BODY_GRACE`].
pub const BODY_RATE_MIN: u64 = 240;
/// See [`BODY_RATE_MIN`].
pub const BODY_GRACE: Duration = Duration::from_secs(5);
/// A blocked write must make progress within this time.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// An endpoint must send something of a response body within this time (Envoy's stream idle timeout).
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Time to connect to an endpoint (Envoy Gateway default `timeout.tcp.connectTimeout`).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a whole exchange after the request was received (Envoy's route default).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time that a pooled endpoint connection may stay unused.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that one request opens ahead of others, to its endpoint and to others of its backend each.
pub const PRECONNECTIONS: u32 = 8;
/// Endpoints that are looked at for the one with the fewest connections, when some are opened ahead of requests.
pub const PRECONNECT_ENDPOINTS: usize = 64;
/// Greatest percentage of connections ahead of requests at one endpoint (Envoy Gateway `preconnect.perEndpointPercent`).
pub const PRECONNECT_ENDPOINT_PERCENT: u32 = 300;
/// Unused connections kept per endpoint and worker.
pub const POOL_IDLE_CONNECTIONS: usize = 512;
/// Time for exchanges in flight to finish at shutdown.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Open client connections from one source address. Loopback sources are exempt: they are the tests,
/// the demonstration and the local reverse proxy.
pub const CONNECTIONS_PER_SOURCE: u32 = 1_000;
/// Addresses taken from one DNS answer.
pub const DNS_ANSWERS: usize = 256;
/// Least time between two resolutions of a name, whatever its time to live or its policy.
pub const DNS_REFRESH_MIN: Duration = Duration::from_secs(1);
/// Longest time between two resolutions of a name because of its time to live.
pub const DNS_TTL_MAX: Duration = Duration::from_secs(3600);
/// Names that are resolved at once.
pub const DNS_LOOKUPS: usize = 64;
/// Time between two resolutions of a name (Envoy Gateway default `dns.dnsRefreshRate`).
pub const DNS_REFRESH: Duration = Duration::from_secs(30);

/// One configuration file, bytes.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Nesting of one YAML document.
pub const YAML_DEPTH: usize = 64;
/// Size of one user-written regular expression once compiled, bytes.
pub const REGEX_BYTES: usize = 256 * 1024;

const _: () = assert!(TARGET_BYTES < HEAD_BYTES && FIELD_BYTES < HEAD_BYTES);
const _: () = assert!(HEAD_BYTES <= BUFFER_BYTES);
const _: () = assert!(CHUNK_EXTENSION_BYTES < CHUNK_EXTENSIONS_BYTES);
const _: () = assert!(PROBE_TIMEOUT.as_nanos() <= PROBE_INTERVAL.as_nanos());
const _: () = assert!(PERIOD_MIN.as_nanos() <= PROBE_TIMEOUT.as_nanos() && PROBE_JITTER_PERCENT <= 100);
const _: () = assert!(EJECTION_BASE.as_nanos() <= EJECTION_MAX.as_nanos() && EJECTION_MAX_PERCENT <= 100);
const _: () = assert!(PANIC_THRESHOLD_PERCENT <= 100 && FAILURE_PERCENTAGE_THRESHOLD <= 100);
const _: () = assert!(RETRY_BUDGET_PERCENT <= 100 && RETRIES <= RETRIES_MAX);
const _: () = assert!(OVERPROVISIONING_PERCENT >= 100);
const _: () = assert!(CONNECTION_BUFFER_BYTES as usize <= BUFFER_BYTES);
const _: () = assert!(MAGLEV_TABLE_DEFAULT <= MAGLEV_TABLE_MAX);
const _: () = assert!(BODY_GRACE.as_secs() < WRITE_TIMEOUT.as_secs());
