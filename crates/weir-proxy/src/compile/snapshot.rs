//! The configuration as executed.

use std::sync::Arc;

use weir_balance::{Balancer, Split, Spread, TokenHolders, TokenSubject};
use weir_model::{BalanceSpec, ClientIp, FixedAnswer, ListenerKey, Redirect, Retry, RouteId, Timeouts};
use weir_route::Router;

use super::checks::CheckedUpstream;
use super::filters::Policy;
use super::live::{LiveDestination, LiveEndpoint, LiveRule};
use super::sessions::CompiledSessions;
use super::traffic::CompiledTraffic;
use super::upstream::LiveUpstream;

/// Everything that a request needs to know, immutable. Parts that did not change are shared with the snapshot before.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Grows by one with every publication.
    pub(crate) generation: u64,
    /// Ordered by key.
    pub(crate) listeners: Arc<[Arc<CompiledListener>]>,
    /// By [`RouteId`].
    pub(crate) routes: Arc<[Arc<CompiledRoute>]>,
    /// By [`BalancerSlot`].
    pub(crate) balancers: Box<[Option<Arc<CompiledBalancer>>]>,
}

impl Snapshot {
    /// The place of a listener in [`Self::listeners`].
    pub(crate) fn listener_index(&self, key: ListenerKey) -> Option<usize> {
        match &*self.listeners {
            // Each request asks, mostly of one, and equality is told faster than order.
            [only] => (only.key == key).then_some(0),
            several => several.binary_search_by_key(&key, |listener| listener.key).ok(),
        }
    }

    /// The rule that the router named.
    pub(crate) fn rule(&self, route: RouteId, rule: u32) -> Option<&CompiledRule> {
        self.routes.get(route.0 as usize)?.rules.get(rule as usize)
    }

    /// The balancer of a destination of this snapshot.
    pub(crate) fn balancer(&self, slot: BalancerSlot) -> Option<&Arc<CompiledBalancer>> {
        self.balancers.get(slot.0 as usize)?.as_ref()
    }
}

/// Index into [`Snapshot::balancers`]; stays the same over snapshots while backend and specification are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BalancerSlot(pub(crate) u32);

/// A listener with its routes.
#[derive(Debug)]
pub(crate) struct CompiledListener {
    pub(crate) key: ListenerKey,
    pub(crate) router: Router,
    pub(crate) client_ip: ClientIp,
    /// By section index.
    pub(crate) sections: Vec<SectionFacts>,
}

/// What remains of a section once its routes are in the router.
#[derive(Debug)]
pub(crate) struct SectionFacts {
    pub(crate) name: Arc<str>,
    pub(crate) port: u16,
}

/// A route's rules, in order.
#[derive(Debug)]
pub(crate) struct CompiledRoute {
    pub(crate) rules: Vec<CompiledRule>,
    /// The balancers that the rules use, in the order claimed.
    pub(crate) slots: Vec<BalancerSlot>,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) live: Arc<LiveRule>,
    pub(crate) policy: Policy,
    /// Most rules have none.
    pub(crate) traffic: Option<Box<CompiledTraffic>>,
    pub(crate) action: Action,
    pub(crate) timeouts: RuleTimeouts,
    /// By match index: length of the matched prefix, 0 for other kinds of paths.
    pub(crate) prefix_lengths: Vec<u32>,
}

/// [`Timeouts`] in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleTimeouts {
    pub(crate) request_ms: Option<u64>,
    pub(crate) backend_request_ms: Option<u64>,
    pub(crate) connect_ms: u64,
    pub(crate) stream_idle_ms: Option<u64>,
    pub(crate) stream_ms: Option<u64>,
}

impl From<&Timeouts> for RuleTimeouts {
    fn from(timeouts: &Timeouts) -> Self {
        let milliseconds =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
        Self {
            request_ms: timeouts.request.map(milliseconds),
            backend_request_ms: timeouts.backend_request.map(milliseconds),
            connect_ms: milliseconds(timeouts.connect),
            stream_idle_ms: timeouts.stream_idle.map(milliseconds),
            stream_ms: timeouts.stream.map(milliseconds),
        }
    }
}

/// What happens to a matching request.
#[derive(Debug)]
pub(crate) enum Action {
    Forward(CompiledForward),
    Redirect(Redirect),
    Answer(FixedAnswer),
}

/// Where requests go.
#[derive(Debug)]
pub(crate) struct CompiledForward {
    pub(crate) spec: Arc<BalanceSpec>,
    pub(crate) retry: Option<Arc<Retry>>,
    /// Time for one try by the rule of retries, milliseconds.
    pub(crate) try_ms: Option<u64>,
    /// How sessions come back to their endpoint; `None`: they do not.
    pub(crate) sessions: Option<Box<CompiledSessions>>,
    /// Over destinations that stand in for each other, in place of `split`.
    pub(crate) spread: Option<Arc<Spread>>,
    /// By weight; used only when there are several destinations.
    pub(crate) split: Split,
    pub(crate) destinations: Vec<CompiledDestination>,
}

/// One destination.
#[derive(Debug)]
pub(crate) struct CompiledDestination {
    pub(crate) goal: Goal,
    /// The rule's and the destination's own, in that order.
    pub(crate) policy: Policy,
}

/// What a destination resolved to.
#[derive(Debug)]
pub(crate) enum Goal {
    Balancer {
        slot: BalancerSlot,
        /// That of the balancer that never panics; where there is none, `slot`.
        calm: BalancerSlot,
        live: Arc<LiveDestination>,
        upstream: Arc<LiveUpstream>,
    },
    Answer(FixedAnswer),
}

/// The endpoints of a backend under one specification.
#[derive(Debug)]
pub(crate) struct CompiledBalancer {
    pub(crate) backend: Arc<str>,
    pub(crate) balancer: Balancer,
    /// In the order of the balancer's members.
    pub(crate) endpoints: Arc<[Arc<LiveEndpoint>]>,
    /// Shared with every balancer over the same backend that treats its endpoints alike.
    pub(crate) upstream: Arc<CheckedUpstream>,
    /// Whom session tokens name, by member, where rules have sessions.
    pub(crate) holders: Option<Box<TokenHolders>>,
}

impl CompiledBalancer {
    /// The member that a session token names.
    pub(crate) fn holder(&self, subject: TokenSubject) -> Option<u32> {
        self.holders.as_ref()?.endpoint(subject)
    }
}

impl CompiledBalancer {
    /// How many connections there may be to the member at `index`, if it says so itself.
    pub(crate) fn own_connections_max(&self, index: u32) -> Option<u32> {
        let member = self.balancer.member(index)?;
        member.endpoint.traits.as_ref()?.connections_max
    }
}
