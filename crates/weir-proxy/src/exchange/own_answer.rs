//! Answers that weir makes up itself, for failures and in place of endpoints' responses.

use weir_model::{ReplacedAnswer, Replacement, ResponseSource};
use weir_net::wall;
use weir_route::HeaderView;
use weir_wire::h1::encode::{self, EncodeError};
use weir_wire::h1::status::reason_phrase;
use weir_wire::{Fields, Known, Method, accept};

use super::failure::Reason;
use super::policy::{headers, write_location};
use super::route::Found;
use super::{Exchange, Failure, identity, policy};
use crate::access_log::write_json;
use crate::transit::{Edits, Output};

/// The media type of what weir says in plain text, and of a replacement that names none.
pub(super) const PLAIN_TEXT: &[u8] = b"text/plain; charset=utf-8";

/// A written answer and its status.
pub(super) struct Written {
    pub(super) output: Output,
    pub(super) status: u16,
}

/// The answer to a failure, as the rule wants it when there is one.
pub(super) fn of_failure(
    exchange: &Exchange<'_>,
    failure: &Failure,
    found: Option<&Found<'_>>,
    is_persistent: bool,
) -> Written {
    let mut edits = Edits::default();
    if let Reason::NotAllowed(methods) = &failure.reason {
        // RFC 9110 15.5.6.
        edits.add(b"allow", methods.as_bytes());
    }
    if exchange.worker.shared.options.reason_header {
        edits.add(b"x-weir-reason", failure.reason.word().as_bytes());
    }
    let names_request = |found: &&Found<'_>| {
        let identity = found.rule.policy.identity;
        identity.is_some_and(|identity| identity.response_request_id)
    };
    if found.filter(names_request).is_some() {
        identity::tell_request_id(exchange, |id| edits.add(b"x-request-id", id));
    }
    let replaced = found.and_then(|found| replaced(exchange, failure, found, &edits, is_persistent));
    replaced.unwrap_or_else(|| explained(exchange, failure, edits, is_persistent))
}

/// What an override of the rule makes of a failure. `None`: there is none, or what it says cannot be sent.
fn replaced(
    exchange: &Exchange<'_>,
    failure: &Failure,
    found: &Found<'_>,
    edits: &Edits,
    is_persistent: bool,
) -> Option<Written> {
    let rules = found.rule.responses()?;
    let view = FailureView { edits, failure };
    let replacement = rules.replacement(failure.status, ResponseSource::Local, &view)?;
    let mut edits = edits.clone();
    let (status, body) = match replacement {
        Replacement::Redirect(redirect) => {
            write_location(redirect, exchange, found, &mut edits);
            (redirect.status, Vec::new())
        }
        Replacement::Answer(answer) => {
            let status = answer.status.unwrap_or(failure.status);
            let body = match &answer.body {
                Some(body) => {
                    edits.add(b"content-type", content_type(answer));
                    body.to_vec()
                }
                None => explanation(exchange, failure, status, &mut edits),
            };
            headers::apply(&answer.headers, &mut edits, &Fields::default(), &[]);
            (status, body)
        }
    };
    let output = write(exchange, (status, &body), &edits, is_persistent, |_| false).ok()?;
    Some(Written { output, status })
}

/// What weir says of a failure by itself.
fn explained(exchange: &Exchange<'_>, failure: &Failure, mut edits: Edits, is_persistent: bool) -> Written {
    let status = failure.status.max(100);
    let body = explanation(exchange, failure, status, &mut edits);
    let written = write(exchange, (status, &body), &edits, is_persistent, |_| false);
    // Methods and words of the configuration may be no values; the answer goes without them.
    let output = written.or_else(|_| {
        let mut edits = Edits::default();
        let body = explanation(exchange, failure, status, &mut edits);
        write(exchange, (status, &body), &edits, is_persistent, |_| false)
    });
    Written {
        output: output.unwrap_or_default(),
        status: failure.status,
    }
}

/// A body that says what is wrong, in the form that the client would rather read (row KT18).
fn explanation(exchange: &Exchange<'_>, failure: &Failure, status: u16, edits: &mut Edits) -> Vec<u8> {
    if !has_content(status) {
        return Vec::new();
    }
    let phrase = reason_phrase(status);
    let fields = &exchange.scratch.head.fields;
    if !accept::prefers_json(fields.values(Known::Accept, exchange.head())) {
        edits.add(b"content-type", PLAIN_TEXT);
        return format!("{phrase}\n").into_bytes();
    }
    edits.add(b"content-type", b"application/json");
    let mut body = b"{\"error\":\"".to_vec();
    body.extend_from_slice(phrase.as_bytes());
    body.push(b'"');
    if exchange.worker.shared.options.reason_header {
        write_json(&mut body, "reason", failure.reason.word().as_bytes());
    }
    body.extend_from_slice(format!(",\"status\":{status}}}\n").as_bytes());
    body
}

/// The media type of a replaced body.
pub(super) fn content_type(answer: &ReplacedAnswer) -> &[u8] {
    answer
        .content_type
        .as_ref()
        .map_or(PLAIN_TEXT, |content_type| content_type.as_bytes())
}

/// Writes a whole answer. Its fields are the additions of `edits`, behind those that `keep` writes; that says whether it
/// wrote a date.
pub(super) fn write(
    exchange: &Exchange<'_>,
    (status, body): (u16, &[u8]),
    edits: &Edits,
    is_persistent: bool,
    keep: impl FnOnce(&mut Vec<u8>) -> bool,
) -> Result<Output, EncodeError> {
    let mut output = Output::default();
    let out = &mut output.bytes;
    encode::status_line(out, status);
    if !keep(out) {
        write_date(out);
    }
    for (name, value) in edits.added() {
        encode::field_checked(out, name, value)?;
    }
    policy::write_fields(exchange, out);
    let body = if has_content(status) { body } else { &[] };
    // RFC 9110 8.6.
    if !matches!(status, 100..=199 | 204 | 304) {
        encode::field_number(out, b"content-length", body.len() as u64);
    }
    exchange.write_persistence(is_persistent, out);
    encode::end(out);
    if exchange.scratch.head.method != Method::Head {
        out.extend_from_slice(body);
    }
    Ok(output)
}

/// RFC 9110 6.4.1, 15.3.5, 15.3.6, 15.4.5.
fn has_content(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 205 | 304)
}

/// RFC 9110 6.6.1: whoever makes an answer dates it.
pub(super) fn write_date(out: &mut Vec<u8>) {
    out.extend_from_slice(b"date: ");
    wall::write_http_date(wall::unix_ms(), out);
    out.extend_from_slice(b"\r\n");
}

/// The header of weir's own answer, as overrides see it. The reason is there also when it is not sent.
struct FailureView<'a> {
    edits: &'a Edits,
    failure: &'a Failure,
}

impl HeaderView for FailureView<'_> {
    fn value<'b>(&'b self, name: &str, _joined: &'b mut String) -> Option<&'b str> {
        if name == "x-weir-reason" {
            return Some(self.failure.reason.word());
        }
        let mut added = self.edits.added();
        let (_, value) = added.find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))?;
        str::from_utf8(value).ok()
    }
}
