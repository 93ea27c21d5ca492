//! The invariants that show at the data plane: after every step of it, and when nothing is going on any more.

use weir_balance::{Change, Verdict};
use weir_model::EndpointAddress;
use weir_net::simulation::SocketId;
use weir_proxy::Event;
use weir_proxy::simulation::EndpointLoad;

use crate::ledger::{Entry, Outcome};
use crate::phase::Phase;
use crate::rules::{MIRROR, RuleKind};
use crate::sim::Sim;
use crate::wire::Party;

/// More than can be in flight: a count below zero looks like this.
const ABSURD: u32 = 1_000_000;

impl Sim {
    pub(crate) fn count_dial(&mut self, party: Party) {
        if let Party::Backend(address) = party {
            *self.dials.entry(address).or_default() += 1;
            self.check_pending(address);
        }
    }

    pub(crate) fn count_close(&mut self, socket: SocketId) {
        let Some(wire) = self.wires.get(&socket) else {
            return;
        };
        let Party::Backend(address) = wire.party else {
            return;
        };
        if !wire.is_open {
            self.shaken(address);
        }
        if let Some(count) = self.dials.get_mut(&address) {
            *count -= 1;
        }
    }

    /// What must hold after every step of the data plane.
    pub(crate) fn check_step(&mut self) {
        let loads = self.plane.endpoints();
        self.check_loads(&loads);
        self.check_limits(&loads);
        self.check_picks(&loads);
        self.loads = loads;
        self.check_owners();
        self.pooled = self
            .plane
            .pooled()
            .into_iter()
            .map(|(_, socket)| socket)
            .collect();
        let (counted, open) = (self.plane.connections_open(), self.world.accepted_sockets());
        if counted != open {
            self.violated(format!(
                "I10: {counted} client connections are counted, {open} are open"
            ));
        }
        if self.plane.panics() > 0 {
            self.violated("a task panicked".into());
        }
        self.check_generation();
    }

    /// I7: who answers its probes in time is healthy, however late the prober is.
    pub(crate) fn check_event(&mut self, event: &Event) {
        let is_settled = !matches!(self.phase, Phase::Storm | Phase::Calm);
        if let Event::EndpointChanged {
            endpoint,
            change: Change::Unhealthy(_),
            ..
        } = event
            && is_settled
        {
            self.violated(format!("I7: {endpoint} counts as unhealthy though all is well"));
        }
    }

    /// I9: generations grow.
    pub(crate) fn check_generation(&mut self) {
        let generation = self.plane.generation();
        if generation < self.generation {
            self.violated(format!("I9: generation {generation} after {}", self.generation));
        }
        self.generation = generation;
    }

    /// I3: what is in flight is there, and what is counted is open.
    fn check_loads(&mut self, loads: &[EndpointLoad]) {
        // Copies are in flight for nobody.
        let tries = loads.iter().filter(|load| !self.is_of_plan(load, MIRROR));
        let in_flight: u64 = tries.map(|load| u64::from(load.in_flight)).sum();
        let exchanges = u64::from(self.plane.connections_open());
        if in_flight > exchanges {
            self.violated(format!("I3: {in_flight} tries in flight for {exchanges} clients"));
        }
        if let Some(load) = loads
            .iter()
            .find(|load| load.in_flight.max(load.requests) > ABSURD)
        {
            self.violated(format!("I3: {load:?}"));
        }
        let mut wrong = None;
        for address in self.backends.keys() {
            let own = EndpointAddress::Tcp(*address);
            let counted: u32 = loads
                .iter()
                .filter(|load| load.address == own)
                .map(|load| load.connections)
                .sum();
            let open = self.dials.get(address).copied().unwrap_or(0);
            if counted != open {
                wrong = Some(format!(
                    "I3: {counted} connections to {address} are counted, {open} are open"
                ));
            }
        }
        if let Some(wrong) = wrong {
            self.violated(wrong);
        }
    }

    fn is_of_plan(&self, load: &EndpointLoad, index: usize) -> bool {
        matches!(load.address, EndpointAddress::Tcp(address) if self.backend_of(address) == Some(index))
    }

    /// I6: endpoints that are drained, ejected or unhealthy are not picked.
    fn check_picks(&mut self, loads: &[EndpointLoad]) {
        let is_wrong = |load: &&EndpointLoad| {
            let before = self.loads.iter().find(|before| before.number == load.number);
            before
                .is_some_and(|before| load.picks > before.picks && !before.is_available && !load.is_available)
        };
        let Some(load) = loads.iter().find(is_wrong).cloned() else {
            return;
        };
        if load.is_withheld {
            self.violated(format!("I6: {} was picked while it drains", load.address));
        } else if self.is_spared(&load, loads) {
            self.violated(format!("I6: {} was picked though it is out", load.address));
        }
    }

    /// Whether an endpoint's backend had others enough all through this step.
    fn is_spared(&mut self, load: &EndpointLoad, loads: &[EndpointLoad]) -> bool {
        let EndpointAddress::Tcp(address) = load.address else {
            return false;
        };
        // Under an older configuration there may be others, or none.
        let is_older = |entry: &Entry| {
            let is_under_way = matches!(entry.outcome, Outcome::Awaited | Outcome::Begun(_));
            is_under_way
                && entry
                    .arrival
                    .is_some_and(|arrival| arrival.at_us <= self.listed_us)
        };
        if self.ledger.entries.values().any(is_older) {
            return false;
        }
        // One that was never probed is not out, but not to be had either.
        let probes = self.plane.health().probes;
        let is_known = |other: &EndpointLoad| {
            let report = probes.iter().find(|report| report.endpoint == other.address);
            report.is_none_or(|report| report.verdict == Verdict::Healthy)
        };
        let Some(listed) = self.listed.iter().find(|listed| listed.contains(&address)) else {
            return false;
        };
        let is_listed = |other: &&EndpointLoad| matches!(other.address, EndpointAddress::Tcp(own) if other.is_listed && listed.contains(&own));
        let is_still = |before: &&EndpointLoad| {
            let after = loads.iter().find(|after| after.number == before.number);
            before.is_available && is_known(before) && after.is_some_and(|after| after.is_available)
        };
        let available = self.loads.iter().filter(is_listed).filter(is_still).count();
        available > 0 && available * 100 >= listed.len() * usize::from(self.plan.panic_percent)
    }

    /// I3, I7, I10: nothing is left over, and what was counted is what happened.
    pub(crate) fn check_rest(&mut self) {
        let loads = self.plane.endpoints();
        for load in loads {
            if (load.in_flight, load.requests, load.connections) != (0, 0, 0) {
                self.violated(format!("I7: at rest, {load:?}"));
            }
        }
        let open = self.wires.values().filter(|wire| wire.is_held()).count();
        if open > 0 {
            self.violated(format!("I7: at rest, {open} connections are open"));
        }
        self.check_places();
        let listeners = if self.is_draining { 0 } else { 1 };
        let (tasks, expected) = (self.plane.worker_tasks(), self.plan.workers * (1 + listeners));
        if tasks != expected {
            self.violated(format!("I7: at rest, {tasks} tasks instead of {expected}"));
        }
        let waiting = self
            .ledger
            .entries
            .iter()
            .find(|(_, entry)| matches!(entry.outcome, Outcome::Awaited | Outcome::Begun(_)));
        if let Some((id, entry)) = waiting {
            let what = format!("I1: #{id} never came to an end: {entry:?}");
            self.violated(what);
        }
        self.check_statistics();
    }

    fn check_statistics(&mut self) {
        let stats = self.plane.stats();
        for kind in RuleKind::ALL {
            let prefix = kind.prefix();
            let Some(report) = stats.rules.get(&*kind.key()) else {
                continue;
            };
            let of_rule = || self.ledger.entries.values().filter(|entry| entry.kind == kind);
            let arrived = of_rule().filter(|entry| entry.arrival.is_some()).count() as u64;
            let unsure = of_rule().filter(|entry| !matches!(entry.outcome, Outcome::Answered(_)));
            let unsure = unsure.filter(|entry| entry.arrival.is_some()).count() as u64;
            let mut wrong = Vec::new();
            if report.requests > arrived || report.requests + unsure < arrived {
                wrong.push(format!(
                    "{} requests of {arrived}, {unsure} unsure",
                    report.requests
                ));
            }
            for class in 2..=5_u16 {
                let (told, got) = (
                    report.classes[usize::from(class)],
                    self.ledger.answered(kind, class),
                );
                if told < got || told > got + unsure {
                    wrong.push(format!("{told} answers of {class}xx for {got}, {unsure} unsure"));
                }
            }
            for wrong in wrong {
                self.violated(format!("I10: {prefix} counts {wrong}"));
            }
        }
    }
}
