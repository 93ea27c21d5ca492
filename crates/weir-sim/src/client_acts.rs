//! What scripted clients do and get.

use std::net::SocketAddr;

use weir_net::simulation::SocketId;

use crate::client::{Act, Style};
use crate::ledger::{Entry, Outcome};
use crate::message::{Part, Reader};
use crate::rules::RuleKind;
use crate::sim::{Happening, Sim};
use crate::wire::Party;

impl Sim {
    pub(crate) fn client_acts(&mut self, index: usize, act: Act) {
        match act {
            Act::Connect => self.client_connects(index),
            Act::Ask => self.client_asks(index),
            Act::Write => self.client_writes(index),
            Act::Resume => {
                if let Some(socket) = self.clients[index].socket {
                    self.pause(socket, false);
                }
            }
            Act::Abort => self.client_aborts(index),
        }
    }

    fn client_connects(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.socket.is_some() || client.asks.is_empty() || client.connects > 40 {
            return;
        }
        client.connects += 1;
        let peer = SocketAddr::from(([192, 0, 2, 1 + index as u8], 1024 + client.connects as u16));
        let (room, draw) = (self.dice.one_of(&[1_000, 20_000, 200_000]), self.dice.any());
        let Some(socket) = self.world.knock(self.plan.listens, peer, room, draw) else {
            self.trace(format_args!("client {index} is refused"));
            if self.clients[index].is_proof && !self.is_draining {
                self.violated(format!("I7: client {index} is refused though all is well"));
            }
            return self.client_later(index, Act::Connect, 50_000, 500_000);
        };
        self.trace(format_args!(
            "client {index} connects, socket {}",
            socket.number()
        ));
        let client = &mut self.clients[index];
        client.socket = Some(socket);
        (client.reader, client.stamp) = (Reader::of_responses(), 0);
        client.pieces.clear();
        self.lay_wire(socket, Party::Client(index));
        self.client_later(index, Act::Ask, 0, 2_000);
    }

    fn client_asks(&mut self, index: usize) {
        let Some(socket) = self.clients[index].socket else {
            return;
        };
        loop {
            let client = &mut self.clients[index];
            let Some(ask) = client.asks.pop_front() else {
                break;
            };
            let id = self.ledger.number();
            client.outstanding.push_back(id);
            client.reader.expect_response(ask.method == "HEAD");
            let session = client.session.clone().filter(|_| ask.kind == RuleKind::Session);
            let (head, rest) = ask.bytes(id, &self.plan, session.as_ref());
            let queued: usize = client.pieces.iter().map(Vec::len).sum();
            let at = self.wires.get(&socket).map_or(0, |wire| wire.written) + (queued + head.len()) as u64;
            if let Some(wire) = self.wires.get_mut(&socket) {
                wire.marks.push_back((at, id));
            }
            let entry = Entry {
                client: index,
                socket,
                method: ask.method,
                kind: ask.kind,
                key: ask.key,
                session,
                arrival: None,
                deliveries: Vec::new(),
                copies: 0,
                outcome: Outcome::Awaited,
                ended_us: None,
                baseline: (0, 0),
            };
            self.ledger.entries.insert(id, entry);
            self.trace(format_args!(
                "client {index} sends #{id} {} {} with {:?}",
                ask.method,
                ask.kind.prefix(),
                ask.body
            ));
            self.client_queues(index, head, rest);
            if self.clients[index].style != Style::Pipelining {
                break;
            }
        }
        self.client_writes(index);
        self.client_waits(index, socket);
    }

    /// Cuts a request into the pieces that this client writes.
    fn client_queues(&mut self, index: usize, head: Vec<u8>, rest: Vec<u8>) {
        let piece = if self.clients[index].style == Style::SlowWriting {
            700
        } else {
            usize::MAX
        };
        let bytes: Vec<u8> = head.into_iter().chain(rest).collect();
        let mut left = &bytes[..];
        while !left.is_empty() {
            let length = (self.dice.between(1, 2_000) as usize).max(16).min(piece);
            let length = if piece == usize::MAX {
                left.len()
            } else {
                length.min(left.len())
            };
            let (now, later) = left.split_at(length);
            self.clients[index].pieces.push_back(now.to_vec());
            left = later;
        }
    }

    fn client_writes(&mut self, index: usize) {
        let is_slow = self.clients[index].style == Style::SlowWriting;
        while let Some(socket) = self.clients[index].socket
            && let Some(piece) = self.clients[index].pieces.pop_front()
        {
            self.write(socket, &piece);
            if is_slow {
                return self.client_later(index, Act::Write, 0, 30_000);
            }
        }
    }

    fn client_waits(&mut self, index: usize, socket: SocketId) {
        match self.clients[index].style {
            Style::Aborting if self.dice.chance(50) => self.client_later(index, Act::Abort, 0, 60_000),
            Style::SlowReading => {
                self.pause(socket, true);
                self.client_later(index, Act::Resume, 1_000, 800_000);
            }
            Style::HalfClosing if self.clients[index].asks.is_empty() => self.finish(socket),
            _ => {}
        }
    }

    fn client_aborts(&mut self, index: usize) {
        let Some(socket) = self.clients[index].socket.take() else {
            return;
        };
        self.trace(format_args!("client {index} gives up"));
        for id in std::mem::take(&mut self.clients[index].outstanding) {
            self.conclude(id, Outcome::Abandoned);
        }
        if self.dice.chance(50) {
            self.abort(socket);
        } else {
            self.leave(socket);
        }
        self.client_later(index, Act::Connect, 1_000, 300_000);
    }

    pub(crate) fn client_hears(&mut self, index: usize, socket: SocketId, bytes: &[u8]) {
        let parts = match self.clients[index].reader.feed(bytes) {
            Ok(parts) => parts,
            Err(error) => return self.violated(format!("I1: client {index} got {error}")),
        };
        for part in parts {
            self.client_takes(index, socket, part);
        }
    }

    fn client_takes(&mut self, index: usize, socket: SocketId, part: Part) {
        let Some(id) = self.clients[index].outstanding.front().copied() else {
            return self.violated(format!("I1: client {index} got a response too many"));
        };
        match part {
            Part::Head(head) if head.status() < 200 => {}
            Part::Head(head) => {
                self.conclude(id, Outcome::Begun(head.status()));
                self.check_response(index, id, &head);
            }
            Part::End { length, is_intact } => {
                self.clients[index].outstanding.pop_front();
                let status = match self.ledger.entries.get(&id).map(|entry| entry.outcome) {
                    Some(Outcome::Begun(status)) => status,
                    _ => 0,
                };
                self.trace(format_args!("client {index} got #{id} {status}, {length} bytes"));
                self.conclude(id, Outcome::Answered(status));
                if !is_intact {
                    self.violated(format!("I1: the body of the response to #{id} is damaged"));
                }
                self.client_goes_on(index, socket);
            }
        }
    }

    fn client_goes_on(&mut self, index: usize, socket: SocketId) {
        let client = &self.clients[index];
        if !client.outstanding.is_empty() || client.socket != Some(socket) {
            return;
        }
        if !client.asks.is_empty() {
            return self.client_later(index, Act::Ask, 0, 20_000);
        }
        self.clients[index].socket = None;
        self.trace(format_args!("client {index} is done"));
        self.leave(socket);
    }

    pub(crate) fn client_ended(&mut self, index: usize, socket: SocketId, is_reset: bool) {
        if self.clients[index].socket != Some(socket) {
            return;
        }
        let ended = if is_reset {
            None
        } else {
            Some(self.clients[index].reader.end())
        };
        match ended {
            Some(Ok(Some(part))) => self.client_takes(index, socket, part),
            Some(Ok(None)) => {}
            Some(Err(_)) | None => self.client_sees_cut(index),
        }
        let how = if is_reset { "reset" } else { "ended" };
        let lost = std::mem::take(&mut self.clients[index].outstanding);
        self.trace(format_args!("client {index} is {how}, {} unanswered", lost.len()));
        if self.clients[index].is_proof && !lost.is_empty() && !self.is_draining {
            self.violated(format!("I7: #{} was lost though all is well", lost[0]));
        }
        for id in lost {
            self.check_lost(id);
            self.conclude(id, Outcome::Lost);
        }
        self.clients[index].socket = None;
        self.leave(socket);
        self.client_later(index, Act::Connect, 1_000, 100_000);
    }

    /// A response that has begun was cut.
    fn client_sees_cut(&mut self, index: usize) {
        let Some(id) = self.clients[index].outstanding.front().copied() else {
            return;
        };
        if let Some(Outcome::Begun(status)) = self.ledger.entries.get(&id).map(|entry| entry.outcome) {
            self.clients[index].outstanding.pop_front();
            self.conclude(id, Outcome::Truncated(status));
            self.trace(format_args!("client {index} got a part of #{id}"));
            if self.clients[index].is_proof {
                self.violated(format!("I7: the response to #{id} was cut though all is well"));
            }
        }
    }

    fn conclude(&mut self, id: u64, outcome: Outcome) {
        let now_us = self.world.now_us();
        self.ledger.conclude(id, outcome, now_us);
    }

    /// Holds the stamps of a connection's responses together: they never go back.
    pub(crate) fn client_stamp(&mut self, index: usize, stamp: u64) -> bool {
        let before = std::mem::replace(&mut self.clients[index].stamp, stamp);
        before <= stamp
    }

    fn client_later(&mut self, index: usize, act: Act, least_us: u64, most_us: u64) {
        let at_us = self.world.now_us() + self.dice.between(least_us, most_us);
        self.put(at_us, Happening::Client(index, act));
    }
}
