//! What connections to endpoints begin with that want to know for whom they are.

use weir_model::ProxyProtocol;
use weir_wire::proxy_header::{LENGTH_MAX, write_v1, write_v2};

use super::OnBehalf;

/// The header of that version. `None`: for nobody, as probes are (Envoy sends `LOCAL` and `UNKNOWN` with them, too).
pub(crate) fn preface(version: ProxyProtocol, on_behalf: Option<OnBehalf>) -> Vec<u8> {
    let mut header = Vec::with_capacity(LENGTH_MAX);
    let addresses = on_behalf.map(|whom| (whom.source, whom.destination));
    match version {
        ProxyProtocol::V1 => write_v1(&mut header, addresses),
        ProxyProtocol::V2 => write_v2(&mut header, addresses),
    }
    header
}
