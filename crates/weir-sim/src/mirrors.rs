//! Mirrors: copies are nobody's requests. Their backend fails all the time, also in the proof, and no client sees it (I1, I7).

use std::net::SocketAddr;

use weir_net::simulation::SocketId;

use crate::message::Head;
use crate::rules::{MIRROR, RuleKind};
use crate::sim::Sim;

impl Sim {
    /// Whether only copies go there.
    pub(crate) fn is_mirror(&self, address: SocketAddr) -> bool {
        self.backend_of(address) == Some(MIRROR)
    }

    /// I1, I2, I6, I9: a copy has reached the mirror.
    pub(crate) fn check_copy(&mut self, socket: SocketId, id: u64, stamp: u64, address: SocketAddr) {
        let newest = self.stamp;
        let unlisted_us = self.unlisted.get(&address).copied();
        let Some(entry) = self.ledger.entries.get_mut(&id) else {
            return self.violated(format!("I5: a copy of what nobody sent: #{id}"));
        };
        entry.copies += 1;
        let (copies, kind) = (entry.copies, entry.kind);
        let Some(arrival) = entry.arrival else {
            return self.violated(format!("I5: #{id} was copied before it had arrived"));
        };
        if kind != RuleKind::Mirrored {
            self.violated(format!("I1: #{id} was copied, its rule has no mirror"));
        }
        if copies > 1 {
            let number = socket.number();
            self.violated(format!("I2: copy {copies} of #{id}, on {number}"));
        }
        if stamp < arrival.stamp || stamp > newest {
            self.violated(format!(
                "I9: the copy of #{id} sees configuration {stamp}, not {} to {newest}",
                arrival.stamp
            ));
        }
        if unlisted_us.is_some_and(|since_us| since_us < arrival.at_us) {
            self.violated(format!(
                "I6: the copy of #{id} goes to {address}, which was not listed any more"
            ));
        }
    }

    /// I1: what a mirror answers is nobody's answer.
    pub(crate) fn check_no_copy(&mut self, id: u64, head: &Head) {
        if head.value("x-sim-copy").is_some() {
            self.violated(format!("I1: #{id} got the answer of a mirror"));
        }
    }
}
