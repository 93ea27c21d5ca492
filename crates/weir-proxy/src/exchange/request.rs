//! The end of stop 3: is this a request that weir can serve, and what does it say?

use weir_model::ClientIp;
use weir_wire::connection::Connection;
use weir_wire::expect::{Expectation, expectation};
use weir_wire::forwarded::{self, ClientRule};
use weir_wire::{BodyLength, Known, Method, Target, Version, framing, host, path, trailer};

use super::{Exchange, Failure, outbound};

/// Checks the request and fills what the later stops need. A failure before the framing is known closes the
/// connection.
pub(super) fn examine(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let scratch = &mut *exchange.scratch;
    let (head, bytes) = (&scratch.head, scratch.input.pinned());
    let facts = &mut exchange.request;
    facts.body = framing::request_body(head, bytes)?;
    facts.wants_trailers = trailer::accepts_trailers(&head.fields, bytes);
    let now_ms = exchange.worker.clock.read_ms();
    scratch.upload.begin(
        facts.body,
        outbound::framing(facts.body),
        facts.wants_trailers,
        now_ms,
    );
    facts.connection = Connection::of(&head.fields, bytes)?;
    scratch.host.clear();
    match (head.form, head.fields.value(Known::Host, bytes)) {
        // The usual case; every other form and the errors are wire's.
        (Target::Origin { .. }, Some(raw)) if !head.fields.is_repeated(Known::Host) => {
            scratch
                .host
                .push_str(exchange.worker.hosts.borrow_mut().name(raw)?);
        }
        _ => scratch.host.push_str(&host::request_host(head, bytes)?.name),
    }
    facts.expects_continue = match expectation(head, bytes) {
        Expectation::None => false,
        Expectation::Continue => facts.body != BodyLength::Empty,
        // RFC 9110 10.1.1; closed because nobody knows whether the body comes.
        Expectation::Unknown => return Err(Failure::refused(417, "expectation")),
    };
    // A tunnel's bytes may follow a CONNECT, so it ends the connection. TRACE would show the backend's view of the
    // request, with what weir added (RFC 9110 9.3.6, 9.3.8). No resource behind weir has either: 501, not 405.
    match head.method {
        Method::Connect => return Err(Failure::refused(501, "connect_not_served")),
        Method::Trace => return Err(Failure::refused(501, "trace_not_served")),
        _ => {}
    }
    facts.is_persistent = facts.connection.is_persistent(head.version);
    scratch.target.clear();
    // RFC 9112 3.2.4: an absolute target without path asks the same as `*`.
    let is_bare = matches!(head.form, Target::Absolute { path, .. } if path.is_empty());
    if head.form == Target::Asterisk || (is_bare && head.method == Method::Options) {
        scratch.target.push('*');
        facts.path_length = 1;
        return Ok(());
    }
    let normal = path::normalise(head.form.path().of(bytes))?;
    scratch.target.push_str(&normal.path);
    facts.path_length = scratch.target.len();
    if let Some(query) = normal.query {
        scratch.target.push('?');
        scratch.target.push_str(query);
    }
    Ok(())
}

/// Finds the client's address by the listener's rule; until then it is the peer's.
pub(super) fn find_client(exchange: &mut Exchange<'_>, rule: &ClientIp) {
    let peer = exchange.client.peer.ip();
    let is_inside = |cidrs: &[weir_model::Cidr], address| cidrs.iter().any(|cidr| cidr.contains(address));
    let bytes = exchange.scratch.input.pinned();
    let values = exchange.scratch.head.fields.values(Known::XForwardedFor, bytes);
    let (client_ip, is_trusted) = match rule {
        ClientIp::Peer => return,
        ClientIp::TrustedHops(hops) => (
            forwarded::client_address(peer, values, ClientRule::Hops(*hops)),
            *hops > 0,
        ),
        ClientIp::TrustedCidrs(cidrs) => {
            let rule = ClientRule::Trusted(&|address| is_inside(cidrs, address));
            (
                forwarded::client_address(peer, values, rule),
                is_inside(cidrs, peer),
            )
        }
    };
    exchange.request.client_ip = client_ip;
    exchange.request.is_peer_trusted = is_trusted;
}

/// A request for a resource of `https` that came in the clear is not for this listener, unless a trusted proxy says
/// that it came to it under TLS (RFC 9110 7.4).
pub(super) fn check_scheme(exchange: &Exchange<'_>) -> Result<(), Failure> {
    match exchange.scratch.head.form {
        Target::Absolute { scheme, .. }
            if scheme.len as usize == "https".len() && !exchange.request.is_peer_trusted =>
        {
            Err(Failure::answered(421, "scheme_misdirected"))
        }
        _ => Ok(()),
    }
}

impl Exchange<'_> {
    /// Whether the client speaks HTTP/1.0: no chunks, no interim responses.
    pub(super) fn is_http10(&self) -> bool {
        self.scratch.head.version == Version::Http10
    }
}
