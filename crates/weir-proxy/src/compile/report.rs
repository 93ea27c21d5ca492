//! What goes on at backends and their endpoints, for people.

use std::sync::Arc;

use weir_balance::{Counted, Counters, EjectionCause, Override, Unavailable, Verdict};
use weir_model::{Endpoint, EndpointAddress, EndpointCondition, Tier, Weight};

use super::checks::CheckedUpstream;
use super::live::{Live, LiveEndpoint};
use crate::health::{ChangeRecord, ProbeReport};
use crate::lock::lock;

/// A backend as it runs.
#[derive(Clone, Debug)]
pub struct BackendReport {
    /// Stable over reloads.
    pub key: Arc<str>,
    /// In the order configured.
    pub endpoints: Vec<MemberReport>,
    /// All its endpoints are used because too few are usable (row LB25), for some rule at least.
    pub is_in_panic: bool,
    /// As breakers count it, over all rules.
    pub loads: Loads,
}

/// An endpoint as it runs in one backend.
#[derive(Clone, Debug)]
pub struct MemberReport {
    /// Which.
    pub address: EndpointAddress,
    /// For people; may be empty.
    pub name: Arc<str>,
    /// Where it is; may be empty.
    pub zone: Arc<str>,
    /// As configured.
    pub weight: Weight,
    /// As configured.
    pub tier: Tier,
    /// What somebody has decided by hand.
    pub decided: Override,
    /// Whether it is picked, and if not, why.
    pub standing: EndpointStanding,
    /// Tries in flight, for all backends that list the address.
    pub in_flight: u32,
    /// Tries ever begun, for all backends that list the address.
    pub picks: u64,
    /// How often passive checks have ejected it, for all backends that list the address, by [`EjectionCause::place`].
    pub ejections: [u64; EjectionCause::WORDS.len()],
    /// As breakers count it, for all backends that list the address.
    pub loads: Loads,
    /// The active checks of this backend.
    pub probes: Vec<ProbeReport>,
    /// What has become of the address last.
    pub changed: Option<ChangeRecord>,
}

/// Whether an endpoint is picked. What weighs more comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointStanding {
    /// Somebody has taken it out of use.
    Disabled,
    /// It finishes what it has, by somebody's decision or by the configuration's.
    Draining,
    /// Its probes fail.
    Unhealthy,
    /// It is out for a while because of how it answered.
    Ejected,
    /// Its first probe has not ended.
    Pending,
    /// It is picked.
    Serving,
}

/// What goes on at once, and what was too much, as breakers count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// Open connections.
    pub connections: u64,
    /// Requests that wait for a connection.
    pub pending: u64,
    /// Requests in flight; counted only where a limit asks for it.
    pub requests: u64,
    /// Retries in flight.
    pub retries: u64,
    /// Refused ever, in the order of the fields above.
    pub refused: [u64; 4],
}

/// What a report is made of.
pub(super) struct BackendParts<'a> {
    pub(super) key: &'a Arc<str>,
    pub(super) endpoints: &'a [Endpoint],
    pub(super) live: &'a [Arc<LiveEndpoint>],
    pub(super) upstreams: Vec<Arc<CheckedUpstream>>,
    pub(super) is_in_panic: bool,
}

impl EndpointStanding {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Draining => "draining",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Pending => "pending",
            Self::Serving => "serving",
        }
    }
}

impl Loads {
    /// Adds what is counted there.
    pub(super) fn add(&mut self, counters: &Counters) {
        const ALL: [Counted; 4] = [
            Counted::Connections,
            Counted::PendingRequests,
            Counted::ParallelRequests,
            Counted::Retries,
        ];
        let sums = [
            &mut self.connections,
            &mut self.pending,
            &mut self.requests,
            &mut self.retries,
        ];
        for ((counted, sum), refused) in ALL.into_iter().zip(sums).zip(&mut self.refused) {
            *sum += u64::from(counters.in_use(counted));
            *refused += u64::from(counters.refused(counted));
        }
    }
}

impl BackendParts<'_> {
    pub(super) fn report(&self, live: &Live) -> BackendReport {
        let mut loads = Loads::default();
        live.upstreams
            .counters_of(self.key)
            .for_each(|counters| loads.add(counters));
        let members = (0..).zip(self.endpoints.iter().zip(self.live));
        BackendReport {
            key: Arc::clone(self.key),
            endpoints: members
                .map(|(index, (endpoint, one))| {
                    let decided = live.overrides().get(&one.address).copied().unwrap_or_default();
                    self.member(index, endpoint, one, decided)
                })
                .collect(),
            is_in_panic: self.is_in_panic,
            loads,
        }
    }

    fn member(
        &self,
        index: u32,
        endpoint: &Endpoint,
        live: &LiveEndpoint,
        decided: Override,
    ) -> MemberReport {
        let probes: Vec<ProbeReport> = self.probes(index);
        let mut loads = Loads::default();
        loads.add(&live.counters);
        MemberReport {
            address: live.address.clone(),
            name: Arc::clone(&endpoint.name),
            zone: Arc::clone(&endpoint.zone),
            weight: endpoint.weight,
            tier: endpoint.tier,
            decided,
            standing: self.standing(index, endpoint, live, &probes),
            in_flight: live.state.in_flight(),
            picks: live.state.picks(),
            ejections: live.ejections(),
            loads,
            probes,
            changed: live.changed(),
        }
    }

    fn probes(&self, index: u32) -> Vec<ProbeReport> {
        let at = |upstream: &'_ Arc<CheckedUpstream>| upstream.probed.get(index as usize)?.clone();
        let mut probed: Vec<_> = self.upstreams.iter().filter_map(at).collect();
        probed.dedup_by_key(|one| one.id);
        let report = |one: Arc<super::Probed>| {
            let verdict = lock(&one.health).verdict();
            one.history
                .report(one.endpoint.address.clone(), one.text(), verdict)
        };
        probed.into_iter().map(report).collect()
    }

    fn standing(
        &self,
        index: u32,
        endpoint: &Endpoint,
        live: &LiveEndpoint,
        probes: &[ProbeReport],
    ) -> EndpointStanding {
        let is_draining = endpoint.condition == EndpointCondition::Draining;
        let has = |verdict| probes.iter().any(|probe| probe.verdict == verdict);
        let mut passives = self
            .upstreams
            .iter()
            .filter_map(|upstream| upstream.passive.as_ref());
        if live.state.holds(Unavailable::Disabled) {
            EndpointStanding::Disabled
        } else if is_draining || live.state.holds(Unavailable::Draining) {
            EndpointStanding::Draining
        } else if has(Verdict::Unhealthy) {
            EndpointStanding::Unhealthy
        } else if passives.any(|passive| passive.ejector.is_ejected(index)) {
            EndpointStanding::Ejected
        } else if has(Verdict::Unknown) && !live.state.is_available() {
            EndpointStanding::Pending
        } else {
            EndpointStanding::Serving
        }
    }
}
