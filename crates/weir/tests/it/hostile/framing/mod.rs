//! Where does a request end (reliability rows 1 to 10; RFC 9112)? Every refused message is followed by a hidden
//! request, which no backend may ever see.

mod bodies;
mod chunks;
mod lengths;
mod lines;
mod message;
