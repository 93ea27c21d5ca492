//! A simulated world for the real data plane: its workers and its prober run on one thread, in virtual time, between
//! scripted clients and scripted backends. One number, the **seed**, decides everything; equal seeds give equal traces.
//!
//! # How it works
//!
//! The data plane meets the outside in four places, all in `weir-net`: the clock, the poller with its sockets, seeds, and names.
//! A thread that enters a `weir_net::simulation::World` finds that world there instead of the kernel. The code above,
//! from accepting to accounting, is what runs in production, unchanged.
//!
//! - **Loops.** `weir_proxy::simulation::Plane` holds the loops of the workers and of the prober. Each step of the simulator
//!   lets one loop look at its sockets or poll one task; which one, and how many tasks between two looks, the seed says. So tasks
//!   of several threads interleave in every order at the points where they wait (not inside of a poll: what threads do to
//!   each other between two instructions is not simulated).
//! - **Time** passes by some microseconds with every step, and jumps to the next thing due when nothing is ready. A loop that
//!   fate holds up does not run although it could.
//! - **Sockets.** The world keeps the data plane's end of each connection and says edge-triggered, as epoll does, what it is
//!   ready for. The network here carries the bytes: in pieces, late, against windows and buffers that fill, with ends,
//!   half-closes and resets. Connections open late, are refused, or are never answered.
//! - **Peers.** Clients are polite, pipelining, aborting, slow or half-closing; backends good, slow, busy with 503, silent, breaking
//!   bodies off, ending them early, hanging up, talking garbage, saying too much, closing idle connections at the worst
//!   moment, answering early, refusing, deaf; they change while requests are under way. Every request and response carries its
//!   number, and its body follows from that. The peers' parser is not weir's.
//! - **Rules.** Plain, with retries, by a key, with sessions, over two tiers, under limits, and mirrored to a backend that
//!   fails to the end.
//! - **The operator** publishes configurations and lists of endpoints, drains single endpoints and holds threads up, at
//!   random moments; in the proof still the prober.
//! - **Phases.** A storm; calm, in which everything may recover; a proof, in which nothing may fail; in some seeds a drain; rest, in
//!   which nothing may be left over.
//!
//! No names are resolved (what the resolver's thread learns becomes a publication of endpoints, and those are drawn), and the access
//! log's thread does not run.
//!
//! # What must hold
//!
//! | | invariant | how it shows |
//! |---|---|---|
//! | I1 | each request gets one response, its own, or a connection that visibly ends | clients hold the number, every byte of the body and the framing of each response against the request; no answer is a mirror's; at rest no request waits; one that was under way before a drain is answered |
//! | I2 | what may not be done twice is delivered once; tries stay within the policy; a try goes where none was | backends note each delivery; another one of a POST needs answers that the rule says to retry; a mirror gets one copy |
//! | I3 | loads are true, limits hold | after every polled task: tries in flight are no more than clients; the connections counted at an endpoint and at a backend are those open in the world; connections, waiting requests, requests and retries are within their limits, by weir's counters and by what backends hold; no span of time saw more requests than the rate allows, and none is refused that it allows |
//! | I4 | what weir holds of a response is bounded | bytes read from the backend against bytes written to the client, at every read |
//! | I5 | a pooled connection has nothing left over | at the first byte of the next request nothing unread, no end and nothing unasked has been told to weir; backends parse strictly and are never asked while they answer |
//! | I6 | who is taken out gets no new request | picks of a drained endpoint stand still; those of an ejected or unhealthy one too while enough others are there; a request that arrived after an endpoint was unlisted never reaches it; none goes to the lower tier while the higher one can carry all, nor to a dead tier while the other one can |
//! | I7 | all recovers and nothing is left | in the proof every request gets 200, whatever the mirror does, and nobody is found unhealthy, however late the prober is; at rest no try, connection, task or place under a limit is left |
//! | I8 | a session stays | while nothing happens that may move it, one key goes to one endpoint; a client with a token comes back to its endpoint while that can be used, and is told when it is another; when an endpoint comes or goes, 1/n of the keys move, and hardly any between those that stay |
//! | I9 | one configuration per request, and never an older one | each configuration stamps requests and responses; both stamps agree, are no older than the request, and never fall on one connection |
//! | I10 | counters are true | open connections after every polled task; at rest requests and answers by class, against what clients got |
//!
//! A task that panics is a violation, too.
//!
//! # Replay
//!
//! `cargo test -p weir-sim` runs 256 seeds and says how to replay the ones that fail: `WEIR_SIM_SEED=17 cargo test -p weir-sim
//! --test seeds -- --nocapture` prints the trace of one. `WEIR_SIM_SEEDS` sets how many are run, `WEIR_SIM_FIRST` where they begin.

#![forbid(unsafe_code)]

mod affinity;
mod agenda;
mod backend;
mod backend_acts;
mod check;
mod client;
mod client_acts;
mod dice;
mod homes;
mod judge;
mod ledger;
mod limits;
mod message;
mod mirrors;
mod network;
mod operator;
mod phase;
mod plan;
mod rules;
mod sim;
mod tiers;
mod trace;
mod wire;

pub use sim::{Outcome, run};
