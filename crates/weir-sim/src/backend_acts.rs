//! What scripted backends do and get.

use std::io::ErrorKind;
use std::net::SocketAddr;

use weir_net::simulation::SocketId;

use crate::backend::{Asked, Mode, Talk, Then};
use crate::ledger::Delivery;
use crate::message::{Head, Part, Reader};
use crate::sim::{Happening, Sim};
use crate::wire::Party;

impl Sim {
    /// weir wants a connection.
    pub(crate) fn dialled(&mut self, socket: SocketId, address: SocketAddr) {
        let mode = self
            .backends
            .get(&address)
            .map_or(Mode::Refuses, |backend| backend.mode);
        if mode == Mode::Deaf {
            return;
        }
        let at_us = self.world.now_us() + self.dice.between(20, 2_000);
        self.put(at_us, Happening::Opens(socket));
    }

    /// A connection opens, or does not.
    pub(crate) fn opens(&mut self, socket: SocketId) {
        let Some(Party::Backend(address) | Party::Probed(address)) =
            self.wires.get(&socket).map(|wire| wire.party)
        else {
            return;
        };
        let room = self.dice.one_of(&[500, 20_000, 200_000]);
        let Some(backend) = self
            .backends
            .get_mut(&address)
            .filter(|one| one.mode != Mode::Refuses)
        else {
            self.world.fail(socket, ErrorKind::ConnectionRefused);
            self.shaken(address);
            return self.leave(socket);
        };
        let talk = Talk {
            reader: Reader::of_requests(),
            asked: None,
            turn: 0,
        };
        backend.talks.insert(socket, talk);
        if let Some(wire) = self.wires.get_mut(&socket) {
            wire.is_open = true;
        }
        self.world.open(socket, room);
    }

    pub(crate) fn backend_hears(&mut self, address: SocketAddr, socket: SocketId, bytes: &[u8]) {
        let talk = self
            .backends
            .get_mut(&address)
            .and_then(|backend| backend.talks.get_mut(&socket));
        let Some(talk) = talk else {
            return;
        };
        let parts = match talk.reader.feed(bytes) {
            Ok(parts) => parts,
            Err(error) => return self.violated(format!("I5: {address} was sent {error}")),
        };
        for part in parts {
            match part {
                Part::Head(head) => self.backend_asked(address, socket, &head),
                Part::End { is_intact, .. } => self.backend_read(address, socket, is_intact),
            }
        }
    }

    fn talk(&mut self, address: SocketAddr, socket: SocketId) -> Option<&mut Talk> {
        self.backends.get_mut(&address)?.talks.get_mut(&socket)
    }

    fn backend_asked(&mut self, address: SocketAddr, socket: SocketId, head: &Head) {
        let mode = self
            .backends
            .get(&address)
            .map_or(Mode::Good, |backend| backend.mode);
        let is_copy = self.is_mirror(address);
        let asked = Asked::of(head, mode, is_copy);
        let Some(talk) = self.talk(address, socket) else {
            return;
        };
        let is_lying = talk
            .asked
            .as_ref()
            .is_some_and(|before| before.id.is_some() && before.mode == Mode::Excess);
        let is_free = talk
            .asked
            .as_ref()
            .is_none_or(|before| before.is_read && before.is_answered);
        talk.turn += 1;
        let turn = talk.turn;
        talk.asked = Some(asked.clone());
        if !is_free {
            self.violated(format!("I5: {address} was asked again before it had answered"));
        }
        if let Some(id) = asked.id {
            self.trace(format_args!(
                "{address} gets #{id} on {}, turn {turn}, {mode:?}",
                socket.number()
            ));
            let delivery = Delivery {
                address,
                answered: None,
            };
            if is_copy {
                self.check_copy(socket, id, asked.stamp, address);
            } else {
                self.check_delivery(socket, id, asked.stamp, delivery);
            }
            self.check_parallel(address);
        }
        if is_lying {
            // It has answered this one already, and must not answer the one after that.
            return self.backend_leaves(address, socket, false);
        }
        if matches!(mode, Mode::Busy | Mode::Early | Mode::Hangs | Mode::Garbage) {
            self.answer_later(socket, turn, mode);
        }
    }

    /// A request has been read.
    fn backend_read(&mut self, address: SocketAddr, socket: SocketId, is_intact: bool) {
        let Some(talk) = self.talk(address, socket) else {
            return;
        };
        let turn = talk.turn;
        let Some(asked) = &mut talk.asked else {
            return;
        };
        asked.is_read = true;
        let (mode, id) = (asked.mode, asked.id);
        if !is_intact {
            self.violated(format!("I1: the body of #{} is damaged", id.unwrap_or(0)));
        }
        match mode {
            Mode::Busy | Mode::Early | Mode::Hangs | Mode::Garbage | Mode::BlackHole | Mode::Deaf => {}
            _ => self.answer_later(socket, turn, mode),
        }
    }

    fn answer_later(&mut self, socket: SocketId, turn: u64, mode: Mode) {
        let wait_us = match mode {
            Mode::Slow => self.dice.between(100_000, 2_500_000),
            Mode::Busy | Mode::Early => self.dice.between(0, 500),
            _ => self.dice.between(100, 20_000),
        };
        let at_us = self.world.now_us() + wait_us;
        self.put(at_us, Happening::Answers(socket, turn));
    }

    /// The time for an answer has come.
    pub(crate) fn answers(&mut self, socket: SocketId, turn: u64) {
        let Some(Party::Backend(address) | Party::Probed(address)) =
            self.wires.get(&socket).map(|wire| wire.party)
        else {
            return;
        };
        let Some(talk) = self.talk(address, socket).filter(|talk| talk.turn == turn) else {
            return;
        };
        let Some(asked) = &mut talk.asked else {
            return;
        };
        asked.is_answered = true;
        let asked = asked.clone();
        let answer = asked.compose(&mut self.dice);
        if let Some(id) = asked.id {
            let status = if asked.mode == Mode::Busy { 503 } else { 200 };
            self.trace(format_args!("{address} answers #{id} {status}, {:?}", asked.mode));
            self.note_answer(id, address, status);
        }
        let before = self.wires.get(&socket).map_or(0, |wire| wire.written);
        self.write(socket, &answer.bytes);
        if asked.mode == Mode::Excess && asked.id.is_some() {
            self.write(
                socket,
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nx-sim-excess: 1\r\n\r\noops",
            );
            let whole = before + answer.bytes.len() as u64;
            if let Some(wire) = self.wires.get_mut(&socket) {
                wire.excess_from.get_or_insert(whole);
            }
        }
        match answer.then {
            Then::Leaves => self.backend_leaves(address, socket, false),
            Then::Breaks => self.backend_leaves(address, socket, true),
            Then::Stays if asked.mode == Mode::ClosesIdle => {
                let at_us = self.world.now_us() + self.dice.between(0, 15_000);
                self.put(at_us, Happening::Quits(socket, turn));
            }
            Then::Stays => {}
        }
    }

    /// A backend closes a connection that it thinks idle.
    pub(crate) fn quits(&mut self, socket: SocketId, turn: u64) {
        if let Some(Party::Backend(address) | Party::Probed(address)) =
            self.wires.get(&socket).map(|wire| wire.party)
            && self.talk(address, socket).is_some_and(|talk| talk.turn == turn)
        {
            self.backend_leaves(address, socket, false);
        }
    }

    fn backend_leaves(&mut self, address: SocketAddr, socket: SocketId, is_reset: bool) {
        if let Some(backend) = self.backends.get_mut(&address) {
            backend.talks.remove(&socket);
        }
        if is_reset {
            self.abort(socket);
        } else {
            self.leave(socket);
        }
    }

    pub(crate) fn backend_ended(&mut self, address: SocketAddr, socket: SocketId, _is_reset: bool) {
        self.backend_leaves(address, socket, false);
    }

    fn note_answer(&mut self, id: u64, address: SocketAddr, status: u16) {
        if let Some(entry) = self.ledger.entries.get_mut(&id)
            && let Some(delivery) = entry.deliveries.iter_mut().rfind(|one| one.address == address)
        {
            delivery.answered = Some(status);
        }
    }
}
