//! Attacks from clients, backends that mean ill, faults and floods, against the real binary (row RL05). What each
//! test allows is in the module's table; a backend always keeps what it was sent, so that a hidden request is found.

mod faults;
mod framing;
mod fuzz;
mod headers;
mod limits;
mod paths;
mod reload;
mod responses;
mod slow;
mod stage;
