//! Who runs weir, and fate: publications, endpoints that come and go, backends that change, workers that are held up, and the
//! phases of a seed.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::EndpointAddress;

use crate::backend::{MODES, Mode};
use crate::client::{Act, Client};
use crate::phase::Phase;
use crate::plan::STALL_US;
use crate::rules::{backend_key, endpoints};
use crate::sim::{Happening, Sim};

/// Clients that prove that all is well again.
const PROOF_CLIENTS: usize = 4;
/// How long the proof may take.
const PROOF_US: u64 = 8_000_000;
/// What may take its time: clients, limits on connections, copies that nobody answers.
const REST_US: u64 = 17_000_000;

impl Sim {
    /// The first configuration, the clients, the plan of the phases.
    pub(crate) fn begin(&mut self) {
        self.publish();
        for index in 0..self.plan.clients as usize {
            let client = Client::draw(&mut self.dice, false);
            self.clients.push(client);
            let at_us = self.dice.between(1_000, self.plan.storm_us);
            self.put(at_us, Happening::Client(index, Act::Connect));
        }
        self.put(1_000, Happening::Operator);
        let storm_us = self.plan.storm_us;
        self.put(storm_us, Happening::Phase(Phase::Calm));
    }

    /// Something is done to weir or to its surroundings.
    pub(crate) fn operate(&mut self) {
        let prober = self.plan.workers;
        match (self.phase, self.dice.between(0, 19)) {
            (Phase::Storm, 0..=9) => self.change_mode(),
            (Phase::Storm, 10..=12) => {
                // Whoever is held up meanwhile finds a new configuration and new requests together.
                self.stall();
                self.relist();
                self.publish();
            }
            (Phase::Storm, 13..=15) => {
                self.stall();
                self.relist_one();
            }
            (Phase::Storm, 16..=17) => self.withhold(),
            (Phase::Storm, _) => self.stall(),
            (Phase::Proof, _) => self.hold_up(prober),
            _ => return,
        }
        let at_us = self.world.now_us() + self.dice.between(5_000, 300_000);
        self.put(at_us, Happening::Operator);
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        self.trace(format_args!("{phase:?}"));
        self.phase = phase;
        let next = match phase {
            Phase::Storm => None,
            Phase::Calm => {
                self.calm_down();
                Some((self.plan.settle_us, Phase::Proof))
            }
            Phase::Proof => {
                self.prove();
                self.put(self.world.now_us(), Happening::Operator);
                Some((self.dice.between(0, PROOF_US), Phase::Drain))
            }
            Phase::Drain => {
                if self.dice.chance(40) {
                    self.is_draining = true;
                    self.drain_us = self.world.now_us();
                    self.plane.begin_drain();
                }
                let idle_us = self.plan.pool_idle.as_micros() as u64;
                Some((PROOF_US + REST_US + idle_us, Phase::Rest))
            }
            Phase::Rest => {
                self.check_rest();
                Some((0, Phase::Over))
            }
            Phase::Over => None,
        };
        if let Some((wait_us, next)) = next {
            self.put(self.world.now_us() + wait_us, Happening::Phase(next));
        }
    }

    fn calm_down(&mut self) {
        let addresses: Vec<SocketAddr> = self.backends.keys().copied().collect();
        for address in addresses {
            let mode = if self.is_mirror(address) {
                self.dice.one_of(&MODES)
            } else {
                Mode::Good
            };
            self.set_mode(address, mode);
            self.plane.withhold(&EndpointAddress::Tcp(address), false);
        }
        for wire in self.wires.values_mut() {
            wire.link.calm_down();
        }
        self.listed = self.plan.endpoints.clone();
        self.publish();
    }

    fn prove(&mut self) {
        for _ in 0..PROOF_CLIENTS {
            let client = Client::draw(&mut self.dice, true);
            self.clients.push(client);
            let at_us = self.world.now_us() + self.dice.between(0, 1_000_000);
            let index = self.clients.len() - 1;
            self.put(at_us, Happening::Client(index, Act::Connect));
        }
    }

    fn change_mode(&mut self) {
        let addresses: Vec<SocketAddr> = self.backends.keys().copied().collect();
        let (address, mode) = (self.dice.one_of(&addresses), self.dice.one_of(&MODES));
        self.set_mode(address, mode);
    }

    fn set_mode(&mut self, address: SocketAddr, mode: Mode) {
        if let Some(backend) = self.backends.get_mut(&address)
            && backend.mode != mode
        {
            backend.mode = mode;
            self.trace(format_args!("{address} turns {mode:?}"));
        }
    }

    /// Lists other endpoints, some of those that there are.
    fn relist(&mut self) {
        for index in 0..self.listed.len() {
            self.draw_listed(index);
        }
    }

    fn draw_listed(&mut self, index: usize) {
        let all = self.plan.endpoints[index].clone();
        let sure = self.dice.one_of(&all);
        let dice = &mut self.dice;
        let listed = all
            .into_iter()
            .filter(|address| *address == sure || dice.chance(70));
        self.listed[index] = listed.collect();
    }

    /// The endpoints of one backend change.
    fn relist_one(&mut self) {
        let index = self.dice.between(0, self.listed.len() as u64 - 1) as usize;
        self.draw_listed(index);
        let key = backend_key(index);
        let text = format!("{key} has {:?}", self.listed[index]);
        self.trace(format_args!("{text}"));
        let listed = endpoints(&self.listed[index]);
        if self.plane.update_endpoints(&key, listed).is_err() {
            self.violated(format!("I9: no backend {key}"));
        }
        self.note_listed();
    }

    fn publish(&mut self) {
        self.stamp += 1;
        let text = format!("publishes {} with {:?}", self.stamp, self.listed);
        self.trace(format_args!("{text}"));
        let config = self.plan.config(self.stamp, &self.listed);
        let report = self.plane.publish(Arc::new(config));
        if !report.is_changed || report.listeners.iter().any(|(_, state)| state.is_err()) {
            self.violated(format!("I9: publication {} gave {report:?}", self.stamp));
        }
        self.note_listed();
    }

    fn note_listed(&mut self) {
        self.shakes += 1;
        let now_us = self.world.now_us();
        self.listed_us = now_us;
        for address in self.backends.keys() {
            if self.listed.iter().flatten().any(|listed| listed == address) {
                self.unlisted.remove(address);
            } else {
                self.unlisted.entry(*address).or_insert(now_us);
            }
        }
        self.check_generation();
        self.loads = self.plane.endpoints();
        self.check_owners();
    }

    /// A person drains an endpoint, or ends that.
    fn withhold(&mut self) {
        let addresses: Vec<SocketAddr> = self.backends.keys().copied().collect();
        let (address, is_withheld) = (self.dice.one_of(&addresses), self.dice.chance(50));
        self.trace(format_args!("{address} is withheld: {is_withheld}"));
        self.plane.withhold(&EndpointAddress::Tcp(address), is_withheld);
        self.shakes += 1;
        self.loads = self.plane.endpoints();
        self.check_owners();
    }

    /// The system does not run one thread for a while.
    fn stall(&mut self) {
        let index = self.dice.between(0, self.plan.workers as u64) as usize;
        self.hold_up(index);
    }

    fn hold_up(&mut self, index: usize) {
        let stall_us = self.dice.between(1_000, STALL_US);
        self.trace(format_args!("loop {index} is held up for {stall_us} us"));
        let until_us = self.world.now_us() + stall_us;
        if let Some(one) = self.loop_at(index) {
            one.stalled_until_us = until_us;
        }
    }
}
