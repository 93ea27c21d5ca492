//! Writing HTTP/1.1 and the chunked coding.

pub mod chunked;
pub mod encode;
pub mod status;
