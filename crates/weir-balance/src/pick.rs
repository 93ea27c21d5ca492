//! What a pick is given and what it gives back.

use std::sync::atomic::AtomicU64;

use weir_model::MissingKey;

use crate::override_host::OverrideHosts;
use crate::rng::Rng;

/// Everything a pick depends on besides the balancer and the endpoints' state.
#[derive(Debug)]
pub struct Pick<'a> {
    /// The request's hash key; `None` when it yields none. Only consistent hash reads it.
    pub key: Option<u64>,
    /// Which hash source gave the key; only reported back in [`PickReason::Hash`].
    pub key_source: u8,
    /// Position of the rotation: one per rule and destination, shared by all workers, outlives reloads.
    pub cursor: &'a AtomicU64,
    /// The worker's randomness.
    pub rng: &'a mut Rng,
    /// Now, in milliseconds of the clock that [`crate::EndpointState::added_at_ms`] uses.
    pub now_ms: u64,
    /// Endpoints that the request names itself.
    pub override_hosts: Option<&'a OverrideHosts<'a>>,
    /// [`Picked::index`] of the exchange's earlier tries: not picked again.
    pub tried: &'a [u32],
}

/// The endpoint picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// Index among the balancer's members.
    pub index: u32,
    /// What decided.
    pub reason: PickReason,
}

/// What decided a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickReason {
    /// The request named the endpoint.
    Override,
    /// The client's session is there.
    Session,
    /// Its turn.
    RoundRobin,
    /// An independent draw.
    Random,
    /// Fewest requests in flight.
    LeastRequest,
    /// Quickest to answer for its load.
    Adaptive,
    /// Lesser peak of latency times requests in flight.
    PeakEwma,
    /// A key of the request.
    Hash {
        /// Index of the hash source that gave the key.
        source: u8,
    },
    /// Consistent hash without a key: what stood in for it.
    MissingKey(MissingKey),
}

/// Why no endpoint was picked. The request is answered 503; weir and the client are not at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// There is no endpoint that is ready and has a weight. A retry does not help.
    NoEndpoints,
    /// All endpoints are unavailable at the moment.
    Unavailable,
    /// No endpoint is usable, and the first probe of some has not ended. Picking again within the timeout of a probe may
    /// help (row HC02).
    Pending,
    /// All available endpoints have been tried already. Picking again without `tried` may help.
    AllTried,
    /// The endpoints that the request names are not to be had, and the override is strict (row EO08).
    Override,
}
