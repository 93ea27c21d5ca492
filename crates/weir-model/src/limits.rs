//! Every numeric bound of weir, in one place, with what each is measured in. All are on by default.

use std::time::Duration;

/// Greatest backend weight (Gateway API `BackendRef.weight`).
pub const WEIGHT_MAX: u32 = 1_000_000;
/// Greatest Maglev table size (Envoy Gateway `consistentHash.tableSize`); also the greatest prime allowed.
pub const MAGLEV_TABLE_MAX: u32 = 5_000_011;
/// Maglev table size when none is given.
pub const MAGLEV_TABLE_DEFAULT: u32 = 65_537;

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
/// Unused connections kept per endpoint and worker.
pub const POOL_IDLE_CONNECTIONS: usize = 512;
/// Time for exchanges in flight to finish at shutdown.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Open client connections from one source address. Loopback sources are exempt: they are the tests,
/// the demonstration and the local reverse proxy.
pub const CONNECTIONS_PER_SOURCE: u32 = 1_000;
/// Addresses taken from one DNS answer.
pub const DNS_ANSWERS: usize = 256;
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
const _: () = assert!(MAGLEV_TABLE_DEFAULT <= MAGLEV_TABLE_MAX);
const _: () = assert!(BODY_GRACE.as_secs() < WRITE_TIMEOUT.as_secs());
