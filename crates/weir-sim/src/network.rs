//! The network between the data plane and the scripted peers: bytes take time, come in pieces and run into full buffers.

use std::io::ErrorKind;

use weir_model::EndpointAddress;
use weir_net::simulation::{Notice, SocketId};

use crate::sim::{Happening, Sim};
use crate::wire::{Flight, Link, Party, Wire};

impl Sim {
    /// Notes a new connection.
    pub(crate) fn lay_wire(&mut self, socket: SocketId, party: Party) {
        let is_calm = self.is_calm();
        let wire = Wire::new(party, Link::draw(&mut self.dice, is_calm));
        self.wires.insert(socket, wire);
    }

    /// The peer writes.
    pub(crate) fn write(&mut self, socket: SocketId, bytes: &[u8]) {
        if let Some(wire) = self.wires.get_mut(&socket).filter(|wire| !wire.is_left) {
            wire.outbox.extend(bytes);
            wire.written += bytes.len() as u64;
            self.pump(socket);
        }
    }

    /// The peer writes no more, but goes on reading.
    pub(crate) fn finish(&mut self, socket: SocketId) {
        self.end_with(socket, Flight::End);
    }

    /// The peer closes its end: what comes for it from now on is answered by a reset.
    pub(crate) fn leave(&mut self, socket: SocketId) {
        self.end_with(socket, Flight::End);
        if let Some(wire) = self.wires.get_mut(&socket) {
            wire.is_left = true;
        }
        self.forget_if_over(socket);
    }

    /// The peer breaks the connection.
    pub(crate) fn abort(&mut self, socket: SocketId) {
        if let Some(wire) = self.wires.get_mut(&socket) {
            wire.is_left = true;
            wire.outbox.clear();
            wire.last = None;
        }
        self.end_with(socket, Flight::Reset);
        self.forget_if_over(socket);
    }

    /// The peer stops or goes on reading.
    pub(crate) fn pause(&mut self, socket: SocketId, is_paused: bool) {
        let Some(wire) = self.wires.get_mut(&socket) else {
            return;
        };
        wire.is_paused = is_paused;
        if is_paused {
            return;
        }
        for _ in 0..std::mem::take(&mut wire.held) {
            self.arrive_at_peer(socket);
        }
    }

    fn end_with(&mut self, socket: SocketId, flight: Flight) {
        if let Some(wire) = self.wires.get_mut(&socket) {
            let is_said = matches!(wire.last, Some(Flight::End)) && matches!(flight, Flight::End);
            if !is_said {
                wire.last = Some(flight);
                self.pump(socket);
            }
        }
    }

    /// Sends off what there is room for.
    fn pump(&mut self, socket: SocketId) {
        let waiting = self.world.glimpse(socket).map_or(0, |glimpse| glimpse.received);
        let now_us = self.world.now_us();
        let Some(wire) = self.wires.get_mut(&socket) else {
            return;
        };
        let mut arrivals = Vec::new();
        while !wire.outbox.is_empty() && wire.flying + waiting < wire.link.window {
            // Small pieces grow, or a long body would take all the time.
            let piece_max = wire.link.piece << (wire.pieces / 16).min(12);
            wire.pieces += 1;
            let piece = self.dice.between(1, piece_max) as usize;
            let room = wire.link.window - wire.flying - waiting;
            let piece = piece.min(wire.outbox.len()).min(room);
            let bytes: Vec<u8> = wire.outbox.drain(..piece).collect();
            wire.flying += piece;
            arrivals.push(wire.fly_to_weir(now_us, &mut self.dice, Flight::Bytes(bytes)));
        }
        if wire.outbox.is_empty()
            && let Some(last) = wire.last.take()
        {
            arrivals.push(wire.fly_to_weir(now_us, &mut self.dice, last));
        }
        for at_us in arrivals {
            self.put(at_us, Happening::ToWeir(socket));
        }
    }

    /// What weir did to its sockets; `is_prober` says which of its loops did it.
    pub(crate) fn notice(&mut self, notice: Notice, is_prober: bool) {
        match notice {
            Notice::Dialled { socket, address } => {
                let EndpointAddress::Tcp(address) = address else {
                    return self.world.fail(socket, ErrorKind::NotFound);
                };
                let party = if is_prober {
                    Party::Probed(address)
                } else {
                    Party::Backend(address)
                };
                self.lay_wire(socket, party);
                self.count_dial(party);
                self.dialled(socket, address);
            }
            Notice::Read(socket) => {
                self.check_buffered(socket);
                self.pump(socket);
            }
            Notice::Wrote(socket) => {
                self.check_reuse(socket);
                self.collect(socket);
            }
            Notice::Shut(socket) => self.tell_peer(socket, Flight::End),
            Notice::Closed { socket, is_reset } => {
                self.collect(socket);
                self.count_close(socket);
                if let Some(wire) = self.wires.get_mut(&socket) {
                    wire.is_closed_by_weir = true;
                }
                let flight = if is_reset { Flight::Reset } else { Flight::End };
                self.tell_peer(socket, flight);
            }
        }
    }

    fn collect(&mut self, socket: SocketId) {
        for count in 0.. {
            let piece = self.wires.get(&socket).map_or(u64::MAX, |wire| wire.link.piece);
            let length = self
                .dice
                .between(1, piece.saturating_mul(1 << (count / 4).min(12)));
            let bytes = self.world.collect(socket, (length as usize).max(16));
            if bytes.is_empty() {
                return;
            }
            self.tell_peer(socket, Flight::Bytes(bytes));
        }
    }

    fn tell_peer(&mut self, socket: SocketId, flight: Flight) {
        let now_us = self.world.now_us();
        if let Some(wire) = self.wires.get_mut(&socket) {
            let latency_us = self.dice.between(wire.link.latency_us.0, wire.link.latency_us.1);
            wire.arrives_peer_us = wire.arrives_peer_us.max(now_us + latency_us);
            wire.to_peer.push_back(flight);
            let at_us = wire.arrives_peer_us;
            self.put(at_us, Happening::ToPeer(socket));
        }
    }

    /// The next thing on its way to weir arrives.
    pub(crate) fn arrive_at_weir(&mut self, socket: SocketId) {
        let Some(wire) = self.wires.get_mut(&socket) else {
            return;
        };
        match wire.to_weir.pop_front() {
            None => {}
            Some(Flight::Bytes(bytes)) => {
                wire.flying -= bytes.len();
                wire.arrived += bytes.len() as u64;
                if self.world.arrive(socket, &bytes) {
                    self.mark_heads(socket);
                } else {
                    self.tell_peer(socket, Flight::Reset);
                }
            }
            Some(Flight::End) => self.world.arrive_end(socket),
            Some(Flight::Reset) => self.world.arrive_reset(socket),
        }
        self.pump(socket);
        self.forget_if_over(socket);
    }

    /// The next thing on its way to the peer arrives, unless the peer does not read.
    pub(crate) fn arrive_at_peer(&mut self, socket: SocketId) {
        let Some(wire) = self.wires.get_mut(&socket) else {
            return;
        };
        if wire.is_paused && !wire.is_left {
            wire.held += 1;
            return;
        }
        let is_left = wire.is_left;
        match wire.to_peer.pop_front() {
            None => {}
            Some(Flight::Bytes(_)) if is_left => self.refuse(socket),
            Some(Flight::Bytes(bytes)) => self.hear(socket, &bytes),
            Some(end) => {
                wire.is_over = wire.is_closed_by_weir && wire.to_peer.is_empty();
                if !is_left {
                    self.hear_end(socket, matches!(end, Flight::Reset));
                }
            }
        }
        self.forget_if_over(socket);
    }

    /// Bytes for a peer that is gone.
    fn refuse(&mut self, socket: SocketId) {
        let now_us = self.world.now_us();
        if let Some(wire) = self.wires.get_mut(&socket) {
            let at_us = wire.fly_to_weir(now_us, &mut self.dice, Flight::Reset);
            self.put(at_us, Happening::ToWeir(socket));
        }
    }

    fn hear(&mut self, socket: SocketId, bytes: &[u8]) {
        self.world.grant(socket, bytes.len());
        match self.wires.get(&socket).map(|wire| wire.party) {
            Some(Party::Client(index)) => self.client_hears(index, socket, bytes),
            Some(Party::Backend(address) | Party::Probed(address)) => {
                self.backend_hears(address, socket, bytes);
            }
            None => {}
        }
    }

    fn hear_end(&mut self, socket: SocketId, is_reset: bool) {
        match self.wires.get(&socket).map(|wire| wire.party) {
            Some(Party::Client(index)) => self.client_ended(index, socket, is_reset),
            Some(Party::Backend(address) | Party::Probed(address)) => {
                self.backend_ended(address, socket, is_reset);
            }
            None => {}
        }
    }

    fn forget_if_over(&mut self, socket: SocketId) {
        if self
            .wires
            .get(&socket)
            .is_some_and(|wire| wire.is_over && wire.is_left)
        {
            self.wires.remove(&socket);
            self.world.forget(socket);
        }
    }
}
