//! The invariants that show at a request: where it goes, what comes back, what its connections hold.

use std::net::SocketAddr;

use weir_model::{EndpointAddress, RetryCondition, limits};
use weir_net::simulation::SocketId;
use weir_proxy::simulation::EndpointLoad;

use crate::ledger::{Arrival, Delivery, Entry};
use crate::message::Head;
use crate::rules::{FIRST, RuleKind};
use crate::sim::Sim;

/// Bytes of a response that weir may hold: what it reads at once, a head of its own, and what it has framed.
const BUFFERED_MAX: u64 = 2 * limits::BUFFER_BYTES as u64 + limits::HEAD_BYTES as u64;

impl Sim {
    /// Notes whose heads have arrived as a whole.
    pub(crate) fn mark_heads(&mut self, socket: SocketId) {
        let arrival = Arrival {
            at_us: self.world.now_us(),
            stamp: self.stamp,
            shakes: self.shakes,
        };
        let Some(wire) = self.wires.get_mut(&socket) else {
            return;
        };
        while let Some((_, id)) = wire.marks.pop_front_if(|(at, _)| *at <= wire.arrived) {
            if let Some(entry) = self.ledger.entries.get_mut(&id) {
                entry.arrival = Some(arrival);
            }
        }
    }

    /// I1, I9: a response is that of its request, and of one configuration.
    pub(crate) fn check_response(&mut self, index: usize, id: u64, head: &Head) {
        let status = head.status();
        match head.number("x-sim-id") {
            Some(other) if other != id => {
                self.violated(format!(
                    "I1: client {index} got the response to #{other} for #{id}"
                ));
            }
            // Sent unasked, and there only after the request had been: nobody can tell.
            None if head.value("x-sim-excess").is_some() => self.excuse_excess(),
            None if head.value("x-weir-reason").is_none() => {
                self.violated(format!("I1: nobody owns the {status} for #{id}"));
            }
            _ => {}
        }
        let reason = head.value("x-weir-reason").unwrap_or_default();
        let kind = self.ledger.entries.get(&id).map(|entry| entry.kind);
        let is_refused = kind.is_some_and(|kind| self.may_be_refused(kind, reason));
        if self.clients[index].is_proof && status != 200 && !self.is_draining && !is_refused {
            self.violated(format!("I7: #{id} got {status} ({reason}) though all is well"));
        }
        self.check_no_copy(id, head);
        self.check_refusal(id, head);
        self.note_session(index, id, head);
        let (Some(stamp), Some(saw)) = (head.number("x-sim-stamp"), head.number("x-sim-saw")) else {
            return;
        };
        if stamp != saw {
            self.violated(format!(
                "I9: #{id} saw configuration {saw} going and {stamp} coming"
            ));
        }
        if !self.client_stamp(index, stamp) {
            self.violated(format!("I9: client {index} fell back to configuration {stamp}"));
        }
    }

    /// Something unasked was taken for an answer, on a connection that went on within one poll: that is over now.
    fn excuse_excess(&mut self) {
        for wire in self.wires.values_mut() {
            wire.excess_from.take_if(|from| wire.arrived > *from);
        }
    }

    /// I2, I6, I8, I9: a request has reached a backend.
    pub(crate) fn check_delivery(&mut self, socket: SocketId, id: u64, stamp: u64, delivery: Delivery) {
        let Some(entry) = self.ledger.entries.get(&id) else {
            return self.violated(format!("I5: a request that nobody sent: #{id}"));
        };
        let address = delivery.address;
        if let Some(problem) = self.judge_retry(entry, address) {
            self.violated(format!("I2: #{id} at {address}: {problem}"));
        }
        let entry = self.ledger.entries[&id].clone();
        if let Some(arrival) = entry.arrival {
            if stamp < arrival.stamp || stamp > self.stamp {
                let (least, most) = (arrival.stamp, self.stamp);
                self.violated(format!(
                    "I9: #{id} sees configuration {stamp}, not {least} to {most}"
                ));
            }
            if self
                .unlisted
                .get(&address)
                .is_some_and(|since_us| *since_us < arrival.at_us)
            {
                self.violated(format!(
                    "I6: #{id} goes to {address}, which was not listed any more"
                ));
            }
            self.check_affinity(id, &entry, arrival, address);
            self.check_tier(id, &entry, arrival, address);
        } else {
            self.violated(format!("I5: #{id} was forwarded before it had arrived"));
        }
        let read = self.world.glimpse(socket).map_or(0, |glimpse| glimpse.bytes_read);
        let written = self
            .world
            .glimpse(entry.socket)
            .map_or(0, |glimpse| glimpse.bytes_written);
        if let Some(wire) = self.wires.get_mut(&socket) {
            wire.request = Some(id);
        }
        if let Some(entry) = self.ledger.entries.get_mut(&id) {
            entry.deliveries.push(delivery);
            entry.baseline = (read, written);
        }
        if entry.kind == RuleKind::Limited && entry.deliveries.is_empty() {
            self.check_rate();
        }
    }

    /// Whether this delivery, after those before, is one too many.
    fn judge_retry(&self, entry: &Entry, address: SocketAddr) -> Option<String> {
        let before = &entry.deliveries;
        let last = before.last()?;
        let retry = &self.plan.retry;
        let is_retried = entry.kind == RuleKind::Retried;
        let is_named = |status: Option<u16>| {
            let by_status = retry.conditions.holds(RetryCondition::Status)
                && status.is_some_and(|status| retry.statuses.contains(status));
            let by_class = retry.conditions.holds(RetryCondition::ServerError)
                && status.is_some_and(|status| status >= 500);
            is_retried && (by_status || by_class)
        };
        if !entry.is_idempotent() && !before.iter().all(|one| is_named(one.answered)) {
            return Some(format!(
                "{} again, which was at {} before",
                entry.method, last.address
            ));
        }
        let tries = 1 + if is_retried {
            retry.attempts as usize
        } else {
            limits::RETRIES as usize
        };
        // Within a try, a pooled connection may be found dead, once: the request then goes to the same endpoint again.
        let next = before.iter().skip(1).map(|one| one.address).chain([address]);
        let is_another =
            |(one, next): &(&Delivery, SocketAddr)| one.answered == Some(503) || one.address != *next;
        let made = 1 + before.iter().zip(next).filter(is_another).count();
        if made > tries || before.len() >= 2 * tries {
            return Some(format!(
                "try {made}, delivery {}, of {tries} tries",
                before.len() + 1
            ));
        }
        let is_tried = |address: SocketAddr| before.iter().any(|one| one.address == address);
        let is_repeated = is_tried(address) && last.address != address;
        (is_repeated && (!is_retried || self.has_untried(entry))).then(|| "it was there before".into())
    }

    /// Whether a request could have gone to an endpoint where it was not yet: surely, because nothing has happened since.
    fn has_untried(&self, entry: &Entry) -> bool {
        let is_tried = |load: &EndpointLoad| {
            let mut tried = entry.deliveries.iter();
            tried.any(|one| load.address == EndpointAddress::Tcp(one.address))
        };
        let is_listed = |load: &EndpointLoad| load.is_listed && self.is_of(load, FIRST);
        let mut others = self
            .loads
            .iter()
            .filter(|load| is_listed(load) && !is_tried(load));
        let is_still = entry.arrival.is_some_and(|arrival| arrival.shakes == self.shakes);
        is_still && !self.plan.has_small_limits && others.any(|load| load.is_available)
    }

    /// Something happened to an endpoint that may move sessions.
    pub(crate) fn shaken(&mut self, address: SocketAddr) {
        self.shakes += u64::from(!self.is_mirror(address));
    }

    /// I1: who was there in time is served, also when weir stops.
    pub(crate) fn check_lost(&mut self, id: u64) {
        let Some(entry) = self.ledger.entries.get(&id) else {
            return;
        };
        let is_in_time = entry.arrival.is_some_and(|arrival| arrival.at_us < self.drain_us);
        if self.is_draining && self.clients[entry.client].is_proof && is_in_time {
            self.violated(format!(
                "I1: #{id} was under way when weir began to drain, and was lost"
            ));
        }
    }

    /// I4: what weir has read of a response and not written yet.
    pub(crate) fn check_buffered(&mut self, socket: SocketId) {
        let Some(id) = self.wires.get(&socket).and_then(|wire| wire.request) else {
            return;
        };
        let Some(entry) = self.ledger.entries.get(&id) else {
            return;
        };
        let (Some(backend), Some(client)) = (self.world.glimpse(socket), self.world.glimpse(entry.socket))
        else {
            return;
        };
        let read = backend.bytes_read - entry.baseline.0;
        let written = client.bytes_written.saturating_sub(entry.baseline.1);
        if read > written + BUFFERED_MAX && !client.is_closed {
            self.violated(format!(
                "I4: weir holds {} bytes of the response to #{id}",
                read - written
            ));
        }
    }

    /// I5: a connection that goes on has nothing left over.
    pub(crate) fn check_reuse(&mut self, socket: SocketId) {
        if !self.pooled.contains(&socket) {
            return;
        }
        // One that was closed again at once tells nothing of what weir had been told.
        let Some(glimpse) = self.world.glimpse(socket).filter(|glimpse| !glimpse.is_closed) else {
            return;
        };
        let number = socket.number();
        if glimpse.is_told && (glimpse.received > 0 || glimpse.is_ended) {
            let left = glimpse.received;
            self.violated(format!(
                "I5: socket {number} is used again with {left} bytes unread, or ended"
            ));
        }
        let Some(wire) = self.wires.get_mut(&socket) else {
            return;
        };
        // What comes after the next request has been sent looks like its answer: from then on all is lost.
        let is_spoilt = wire.excess_from.take().is_some_and(|from| wire.arrived > from);
        if is_spoilt && glimpse.is_told {
            self.violated(format!(
                "I5: socket {number} is used again after bytes that nobody asked for"
            ));
        }
    }
}
