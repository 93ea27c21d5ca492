//! Limits: nothing ever exceeds them (I3).
//!
//! weir's own counters are held against the limits after every step. They alone would not show a request that was never
//! counted, so what surely goes on is counted here as well: a request whose backend has got it and not begun to answer, on a
//! connection that weir holds, is in flight whatever weir thinks of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use weir_model::{EndpointAddress, Rate, RetryLimit};
use weir_proxy::simulation::EndpointLoad;

use crate::ledger::{Entry, Outcome};
use crate::message::Head;
use crate::plan::STALL_US;
use crate::rules::{MIRROR, RuleKind, backend_key};
use crate::sim::Sim;
use crate::wire::{Party, Wire};

impl Sim {
    /// Whether a limit may be the reason for an answer though all is well.
    pub(crate) fn may_be_refused(&self, kind: RuleKind, reason: &str) -> bool {
        let is_full = reason.ends_with("_full");
        let waited = matches!(reason, "pending_timeout" | "request_timeout");
        (self.plan.has_small_limits && (is_full || waited))
            || (kind == RuleKind::Limited && (is_full || reason == "rate_limited"))
    }

    /// I3: what weir counts stays within the limits, and what it counts of connections is what is open.
    pub(crate) fn check_limits(&mut self, loads: &[EndpointLoad]) {
        let breakers = self.plan.upstream.breakers;
        let exceeds = |load: &&EndpointLoad| {
            load.connections > breakers.endpoint_connections || load.requests > breakers.endpoint_requests
        };
        if let Some(load) = loads.iter().find(exceeds) {
            self.violated(format!("I3: more than {breakers:?} at {load:?}"));
        }
        for load in self.plane.backends() {
            let limit = load.breakers;
            let retries = match limit.retries {
                RetryLimit::Parallel(retries) => retries,
                RetryLimit::Budget(_) => u32::MAX,
            };
            if load.connections > limit.connections
                || load.pending > limit.pending_requests
                || load.requests > limit.parallel_requests
                || load.retries > retries
            {
                self.violated(format!("I3: too much at once: {load:?}"));
            }
            let open: u32 = (0..self.plan.endpoints.len())
                .filter(|index| *load.backend == *backend_key(*index))
                .flat_map(|index| &self.plan.endpoints[index])
                .filter_map(|address| self.dials.get(address))
                .sum();
            if load.connections != open {
                self.violated(format!("I3: {open} connections are open, {load:?}"));
            }
        }
    }

    /// I7: no place is left over.
    pub(crate) fn check_places(&mut self) {
        for load in self.plane.backends() {
            if (load.connections, load.pending, load.requests, load.retries) != (0, 0, 0, 0) {
                self.violated(format!("I7: at rest, {load:?}"));
            }
        }
    }

    /// I3: as many connections are being opened as may wait for one, at most. Copies do not wait.
    pub(crate) fn check_pending(&mut self, address: SocketAddr) {
        let Some(index) = self.backend_of(address).filter(|index| *index != MIRROR) else {
            return;
        };
        let limit = self.plan.upstream.breakers.pending_requests;
        let is_pending = |wire: &&Wire| {
            matches!(wire.party, Party::Backend(at) if self.plan.endpoints[index].contains(&at))
                && !(wire.is_open || wire.is_left || wire.is_closed_by_weir)
        };
        let pending = self.wires.values().filter(is_pending).count();
        if pending > limit as usize {
            self.violated(format!(
                "I3: {pending} connections are being opened, {limit} may be"
            ));
        }
    }

    /// I3: a request has reached a backend; with it, no more are in flight than may be.
    pub(crate) fn check_parallel(&mut self, address: SocketAddr) {
        let breakers = self.plan.upstream.breakers;
        let Some(index) = self.backend_of(address) else {
            return;
        };
        let busy = self.busy();
        let at_backend = busy
            .iter()
            .filter(|(at, _)| self.plan.endpoints[index].contains(at))
            .count();
        if at_backend > breakers.parallel_requests as usize {
            let limit = breakers.parallel_requests;
            self.violated(format!(
                "I3: {at_backend} requests are at {address} and its like, {limit} may be"
            ));
        }
        // An endpoint that was listed anew is another one, whose limit is its own.
        let numbers = self.loads.iter();
        let numbers = numbers.filter(|load| load.address == EndpointAddress::Tcp(address));
        let at_endpoint = busy.iter().filter(|(at, _)| *at == address).count();
        let limit = breakers.endpoint_requests as usize;
        // Copies do not count at endpoints.
        if index != MIRROR && at_endpoint > limit.saturating_mul(numbers.count().max(1)) {
            self.violated(format!(
                "I3: {at_endpoint} requests are at {address}, {limit} may be"
            ));
        }
        let parallel = self.plan.traffic.request_limits.parallel.as_ref();
        if let Some(limit) = parallel.map(|limit| limit.requests as usize) {
            let is_limited = |id: &u64| {
                let entry = self.ledger.entries.get(id);
                entry.is_some_and(|entry| entry.kind == RuleKind::Limited)
            };
            let limited = busy.iter().filter(|(_, id)| is_limited(id)).count();
            if limited > limit {
                self.violated(format!(
                    "I3: {limited} limited requests are in flight, {limit} may be"
                ));
            }
        }
    }

    /// Requests that are surely in flight, each with where it is.
    fn busy(&self) -> BTreeSet<(SocketAddr, u64)> {
        let held = self.wires.iter().filter(|(_, wire)| !wire.is_closed_by_weir);
        let at = held.filter_map(|(socket, wire)| match wire.party {
            Party::Backend(address) => Some((socket, address)),
            Party::Client(_) | Party::Probed(_) => None,
        });
        at.filter_map(|(socket, address)| {
            let asked = self.backends.get(&address)?.talks.get(socket)?.asked.as_ref()?;
            let id = asked.id.filter(|_| !asked.is_answered)?;
            Some((address, id))
        })
        .collect()
    }

    /// Which backend an address is of.
    pub(crate) fn backend_of(&self, address: SocketAddr) -> Option<usize> {
        self.plan.endpoints.iter().position(|all| all.contains(&address))
    }

    fn rate(&self) -> Option<Rate> {
        let limit = self.plan.traffic.rate_limit.as_ref()?;
        Some(limit.rules.first()?.rate)
    }

    /// I3: a limited request was let in; in no span of time were there more than the rate allows.
    pub(crate) fn check_rate(&mut self) {
        let Some(rate) = self.rate() else {
            return;
        };
        let now_us = self.world.now_us();
        let admitted = |entry: &&Entry| entry.kind == RuleKind::Limited && !entry.deliveries.is_empty();
        let admitted = self.ledger.entries.values().filter(admitted);
        // Whoever came after a moment was let in after it.
        let mut arrived_us: Vec<u64> = admitted
            .filter_map(|entry| entry.arrival)
            .map(|one| one.at_us)
            .collect();
        arrived_us.sort_unstable();
        for (before, since_us) in arrived_us.iter().enumerate() {
            let (count, span_us) = (arrived_us.len() - before, now_us - since_us + STALL_US);
            let refilled = u64::from(rate.requests) * span_us / rate.unit.duration().as_micros() as u64;
            if count as u64 > u64::from(rate.requests) + refilled + 1 {
                return self.violated(format!("I3: {count} requests in {span_us} us under {rate:?}"));
            }
        }
    }

    /// I3: a limited request was refused; as many as the rate allows were let in before, within its unit of time.
    pub(crate) fn check_refusal(&mut self, id: u64, head: &Head) {
        if head.value("x-weir-reason") != Some("rate_limited") {
            return;
        }
        let Some((rate, arrival)) = self
            .rate()
            .zip(self.ledger.entries.get(&id).and_then(|entry| entry.arrival))
        else {
            return self.violated(format!("I3: #{id} met a rate limit, and there is none"));
        };
        // A bucket that is empty was full, or filled, within that time.
        let unit_us = rate.unit.duration().as_micros() as u64;
        let since_us = arrival.at_us.saturating_sub(unit_us + STALL_US);
        let may_have_taken = |(other, entry): &(&u64, &Entry)| {
            **other != id
                && entry.kind == RuleKind::Limited
                && entry.arrival.is_some()
                && !matches!(entry.outcome, Outcome::Begun(429) | Outcome::Answered(429))
                && entry.ended_us.is_none_or(|ended_us| ended_us >= since_us)
        };
        let taken = self.ledger.entries.iter().filter(may_have_taken).count();
        if (taken as u64) < u64::from(rate.requests) {
            self.violated(format!(
                "I3: #{id} was refused after {taken} others under {rate:?}"
            ));
        }
    }
}
