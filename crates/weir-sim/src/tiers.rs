//! Tiers: nothing goes to the lower one while the higher one can carry everything, nor to a dead one while another can (I6).

use std::net::SocketAddr;

use crate::homes::TierWatch;
use crate::ledger::{Arrival, Entry};
use crate::rules::{FIRST, RuleKind, SECOND};
use crate::sim::Sim;

impl Sim {
    /// A request of the tiered rule has reached a backend, the first one.
    pub(crate) fn check_tier(&mut self, id: u64, entry: &Entry, arrival: Arrival, address: SocketAddr) {
        if entry.kind != RuleKind::Tiered {
            return;
        }
        let now_us = self.world.now_us();
        let watch = self.tiers;
        if watch.shakes != self.shakes {
            self.tiers = TierWatch {
                shakes: self.shakes,
                since_us: now_us,
            };
        }
        let is_still = arrival.shakes == self.shakes && entry.deliveries.is_empty();
        if !is_still || self.plan.has_small_limits {
            return;
        }
        let delay_us = self.plan.failover.failback_delay.as_micros() as u64;
        let is_back =
            delay_us == 0 || (watch.shakes == self.shakes && watch.since_us + delay_us < arrival.at_us);
        let (first, second) = (self.carried(FIRST), self.carried(SECOND));
        let index = self.backend_of(address);
        if index == Some(SECOND) && first >= 100 && is_back {
            self.violated(format!(
                "I6: #{id} goes to the lower tier, the higher one can carry {first} %"
            ));
        }
        if index == Some(FIRST) && first == 0 && second >= 100 && is_back {
            self.violated(format!(
                "I6: #{id} goes to {address}, its tier is dead and the next is well"
            ));
        }
    }

    /// What a backend can surely carry of all requests, percent. Endpoints of which nothing is known count as dead here.
    fn carried(&self, index: usize) -> usize {
        let listed = |load: &&weir_proxy::simulation::EndpointLoad| {
            load.is_listed && self.is_of(load, index) && !load.is_withheld
        };
        let total = self.loads.iter().filter(listed).count();
        let usable = self.loads.iter().filter(listed).filter(|load| load.is_available);
        let factor = self.plan.failover.overprovisioning_percent as usize;
        usable.count() * factor / total.max(1)
    }
}
