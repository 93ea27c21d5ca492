//! The request as the endpoint gets it.

use weir_model::{HeaderChange, PathRewrite, Rewrite};
use weir_wire::h1::encode;
use weir_wire::{BodyLength, Known, KnownSet};

use super::identity::{self, FieldSink};
use super::policy::{headers, rewrite};
use super::route::{Found, Way};
use super::{Exchange, Failure};
use crate::transit::{Edits, Framing};

/// Never passed on, whatever the client's `Connection` says: weir answers expectations itself, writes the host, and
/// names with `_` could stand for others (reliability row 23).
const NEVER_PASSED: KnownSet = KnownSet::of(&[Known::Expect, Known::Host, Known::Underscore]);

/// Writes the head to `upstream_out`, where it stays for another try.
pub(super) fn write_head(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    way: &Way<'_>,
) -> Result<(), Failure> {
    let mut out = std::mem::take(&mut exchange.scratch.output.bytes);
    let written = write_edited(exchange, found, way, &mut out);
    exchange.scratch.output.bytes = out;
    written
}

/// Writes the head anew for another destination, before what is kept of the body.
pub(super) fn rewrite_head(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    way: &Way<'_>,
) -> Result<(), Failure> {
    let before = std::mem::take(&mut exchange.scratch.output.bytes);
    exchange.scratch.output.clear();
    exchange.scratch.edits.clear();
    write_head(exchange, found, way)?;
    // Only what weir has written itself stands there: no field has an empty line inside.
    let end = memchr::memmem::find(&before, b"\r\n\r\n").map_or(before.len(), |end| end + 4);
    let body = before.get(end..).unwrap_or_default();
    exchange.scratch.output.bytes.extend_from_slice(body);
    Ok(())
}

/// How the body goes out.
pub(super) fn framing(body: BodyLength) -> Framing {
    match body {
        BodyLength::Chunked | BodyLength::UntilClose => Framing::Chunked,
        BodyLength::Empty | BodyLength::Length(_) => Framing::Plain,
    }
}

/// Collects what is to be changed, if anything is, and writes.
fn write_edited(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    way: &Way<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let changes = &way.destination.policy.request_headers;
    let stripped = way
        .forward
        .spec
        .endpoint_override
        .as_ref()
        .filter(|spec| spec.strip);
    if !changes.is_empty() || stripped.is_some() {
        let mut edits = std::mem::take(&mut exchange.scratch.edits);
        if !changes.is_empty() {
            edit(exchange, changes, extra(found, way), &mut edits);
        }
        for name in stripped.iter().flat_map(|spec| &spec.headers) {
            edits.remove(name, &exchange.scratch.head.fields, exchange.head());
        }
        exchange.scratch.edits = edits;
    }
    write(exchange, found, way, out)
}

/// What the rule wants said besides weir's own fields.
fn extra(found: &Found<'_>, way: &Way<'_>) -> identity::Extra {
    let identity = way.destination.policy.identity?;
    Some((identity, found.section.port))
}

/// Collects what header filters make of the fields that the client sent and of those that weir adds.
fn edit(exchange: &Exchange<'_>, changes: &[HeaderChange], extra: identity::Extra, edits: &mut Edits) {
    identity::write(exchange, extra, &mut FieldSink::Edits(edits));
    for change in changes {
        headers::apply(change, edits, &exchange.scratch.head.fields, exchange.head());
    }
}

fn write(
    exchange: &Exchange<'_>,
    found: &Found<'_>,
    way: &Way<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let (head, edits, bytes) = (&exchange.scratch.head, &exchange.scratch.edits, exchange.head());
    let policy = &way.destination.policy;
    let rewrite = policy.rewrite.as_ref();
    write_target(exchange, found, rewrite, out)?;
    let host = rewrite.and_then(|rewrite| rewrite.host.as_deref());
    match host {
        None => encode::field(out, b"host", exchange.authority()),
        Some(host) => encode::field_checked(out, b"host", host.as_bytes())?,
    }

    let connection = &exchange.request.connection;
    let mut dropped = connection
        .dropped()
        .union(NEVER_PASSED)
        .union(identity::replaced(exchange));
    // Either the rule has a say in it, or the rewrite says what the host was.
    let says_host = host.is_some() && policy.identity.is_none();
    if says_host {
        dropped = dropped.union(Known::XForwardedHost.set());
    }
    if !exchange.request.wants_trailers {
        dropped = dropped.union(Known::Trailer.set());
    }
    let (keeps_all, mut index) = (edits.keep_all(), 0);
    encode::fields(out, bytes, &head.fields, |field| {
        index += 1;
        let is_dropped = dropped.contains(field.known)
            || (!keeps_all && edits.is_dropped(index - 1))
            || (field.known == Known::Other
                && (identity::is_own_name(field.name.of(bytes))
                    || connection.nominates(field, &head.fields, bytes)));
        !is_dropped
    });
    if policy.request_headers.is_empty() {
        identity::write(exchange, extra(found, way), &mut FieldSink::Head(out));
    }
    for (name, value) in edits.added() {
        encode::field_checked(out, name, value)?;
    }
    if says_host {
        encode::field_checked(out, b"x-forwarded-host", exchange.authority())?;
    }
    write_framing(exchange, out);
    encode::end(out);
    Ok(())
}

fn write_target(
    exchange: &Exchange<'_>,
    found: &Found<'_>,
    rewrite: Option<&Rewrite>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let method = exchange.scratch.head.method.name(exchange.head()).as_bytes();
    let target = exchange.scratch.target.as_bytes();
    let change =
        rewrite.filter(|rewrite| target != b"*" && (rewrite.path.is_some() || rewrite.query.is_some()));
    let Some(change) = change else {
        encode::request_line(out, method, target);
        return Ok(());
    };
    let mut changed = match &change.path {
        Some(path) => rewrite::path(path, exchange.path(), found.prefix_length).into_bytes(),
        None => exchange.path().as_bytes().to_vec(),
    };
    if let Some(query) = &change.query {
        changed.push(b'?');
        changed.extend_from_slice(query.as_bytes());
    }
    let own = &target[exchange.request.path_length..];
    match (&change.query, own) {
        // What is there is joined: a client's empty query adds nothing.
        (Some(_), [b'?']) => {}
        (Some(_), [b'?', own @ ..]) => {
            changed.push(b'&');
            changed.extend_from_slice(own);
        }
        _ => changed.extend_from_slice(own),
    }
    Ok(encode::request_line_checked(out, method, &changed)?)
}

/// The changed path with the query as it came.
pub(super) fn rewritten_target(exchange: &Exchange<'_>, found: &Found<'_>, change: &PathRewrite) -> Vec<u8> {
    let mut target = rewrite::path(change, exchange.path(), found.prefix_length).into_bytes();
    target.extend_from_slice(&exchange.scratch.target.as_bytes()[exchange.request.path_length..]);
    target
}

fn write_framing(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    if framing(exchange.request.body) == Framing::Chunked {
        encode::field(out, b"transfer-encoding", b"chunked");
    }
    if exchange.request.wants_trailers {
        // RFC 9110 10.1.4: a sender of TE lists it in Connection.
        encode::field(out, b"te", b"trailers");
        encode::field(out, b"connection", b"te");
    }
}
