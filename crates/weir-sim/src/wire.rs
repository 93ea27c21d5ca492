//! One connection between the data plane and a scripted peer.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::dice::Dice;

/// Who sits at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// A client, by its index.
    Client(usize),
    /// A backend, asked by a worker.
    Backend(SocketAddr),
    /// A backend, asked by the prober.
    Probed(SocketAddr),
}

/// How a connection behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) latency_us: (u64, u64),
    /// Bytes that arrive at once, at most.
    pub(crate) piece: u64,
    /// Bytes that may be on their way to weir or wait there.
    pub(crate) window: usize,
}

/// What is on its way.
#[derive(Debug)]
pub(crate) enum Flight {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) party: Party,
    pub(crate) link: Link,
    /// Written by the peer, waiting for room.
    pub(crate) outbox: VecDeque<u8>,
    /// Comes behind [`Self::outbox`].
    pub(crate) last: Option<Flight>,
    pub(crate) to_weir: VecDeque<Flight>,
    pub(crate) to_peer: VecDeque<Flight>,
    pub(crate) arrives_weir_us: u64,
    pub(crate) arrives_peer_us: u64,
    pub(crate) flying: usize,
    /// Bytes that have arrived at weir since the beginning.
    pub(crate) arrived: u64,
    /// Bytes that the peer has written since the beginning.
    pub(crate) written: u64,
    /// The peer does not read.
    pub(crate) is_paused: bool,
    /// How many things of [`Self::to_peer`] have arrived meanwhile.
    pub(crate) held: u32,
    /// The peer is gone.
    pub(crate) is_left: bool,
    /// weir is gone, and what it said before has been heard.
    pub(crate) is_over: bool,
    pub(crate) is_closed_by_weir: bool,
    /// It has been opened.
    pub(crate) is_open: bool,
    /// The request that a backend got here last.
    pub(crate) request: Option<u64>,
    /// Requests whose heads are on their way: where each ends, and which.
    pub(crate) marks: VecDeque<(u64, u64)>,
    /// From there on more arrives than belongs to the responses: it must not be used again.
    pub(crate) excess_from: Option<u64>,
    /// How many pieces have gone to weir.
    pub(crate) pieces: u32,
}

/// How much later than at its fastest a calm connection delivers, at most.
const CALM_SPREAD_US: u64 = 100;

impl Link {
    /// It is fast from now on.
    pub(crate) fn calm_down(&mut self) {
        self.latency_us.1 = self.latency_us.0 + CALM_SPREAD_US;
    }

    pub(crate) fn draw(dice: &mut Dice, is_calm: bool) -> Self {
        let least_us = dice.between(20, 300);
        let spread_us = if is_calm {
            CALM_SPREAD_US
        } else {
            dice.one_of(&[50, 500, 5_000, 30_000])
        };
        Self {
            latency_us: (least_us, least_us + spread_us),
            piece: dice.one_of(&[7, 100, 1_460, 16_000, 64_000]),
            window: dice.one_of(&[2_000, 30_000, 200_000]),
        }
    }
}

impl Wire {
    /// A connection on which nothing has happened yet.
    pub(crate) fn new(party: Party, link: Link) -> Self {
        Self {
            party,
            link,
            outbox: VecDeque::new(),
            last: None,
            to_weir: VecDeque::new(),
            to_peer: VecDeque::new(),
            arrives_weir_us: 0,
            arrives_peer_us: 0,
            flying: 0,
            arrived: 0,
            written: 0,
            is_paused: false,
            held: 0,
            is_left: false,
            is_over: false,
            is_closed_by_weir: false,
            is_open: false,
            request: None,
            marks: VecDeque::new(),
            excess_from: None,
            pieces: 0,
        }
    }

    /// Whether weir holds its end, and not for a probe.
    pub(crate) fn is_held(&self) -> bool {
        !self.is_closed_by_weir && !matches!(self.party, Party::Probed(_))
    }

    /// Puts something on its way to weir; says when it arrives.
    pub(crate) fn fly_to_weir(&mut self, now_us: u64, dice: &mut Dice, flight: Flight) -> u64 {
        let latency_us = dice.between(self.link.latency_us.0, self.link.latency_us.1);
        self.arrives_weir_us = self.arrives_weir_us.max(now_us + latency_us);
        self.to_weir.push_back(flight);
        self.arrives_weir_us
    }
}
