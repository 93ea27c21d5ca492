//! Backends that mean ill (reliability rows 1 to 5, 8, 11 and 12 from the other side; row KT18). What they send reaches
//! the client whole, or as weir's own 502, or visibly cut; and never as the answer to somebody else's request.

mod bodies;
mod case;
mod heads;
