//! What a rule makes of endpoints' responses: other answers in their place, parts of them replaced, an encoding.

use std::sync::Arc;

use weir_model::{ReplacedAnswer, Replacement, ResponseSource};
use weir_wire::connection::Connection;
use weir_wire::h1::encode;
use weir_wire::{Fields, Known, KnownSet};

use super::failure::Reason;
use super::forward::Answered;
use super::pick::Chosen;
use super::policy::{headers, write_location};
use super::respond::{self, Outline, Reply};
use super::route::{Found, Way};
use super::tried::OVERRIDDEN;
use super::{Exchange, Failure, Next, encoding, own_answer, policy, view};
use crate::compile::ResponseRules;
use crate::transit::{Edits, Encoder, Output, ResponseScratch};

/// What becomes of a response that is passed on.
#[derive(Debug)]
pub(super) struct Shape<'v> {
    rules: &'v ResponseRules,
    answer: Option<&'v ReplacedAnswer>,
}

/// Describe a body that is replaced (RFC 9110 8, RFC 9530), or are weir's own to say.
const OF_BODY: KnownSet = KnownSet::of(&[
    Known::ContentEncoding,
    Known::ContentLength,
    Known::ContentType,
    Known::Etag,
    Known::Trailer,
]);
const OF_BODY_NAMES: [&str; 9] = [
    "accept-ranges",
    "content-digest",
    "content-language",
    "content-location",
    "content-md5",
    "content-range",
    "digest",
    "last-modified",
    "repr-digest",
];

/// Sends the endpoint's response on as the rule wants it, or something in its place.
pub(super) async fn relay(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    rules: &ResponseRules,
    (way, chosen): (&Way<'_>, Chosen<'_>),
    mut answered: Answered,
) -> Result<Next, Failure> {
    let response = &mut answered.response;
    let headers = view::Fields {
        fields: &response.head.fields,
        bytes: response.input.pinned(),
    };
    let status = response.head.status;
    let replacement = rules.replacement(status, ResponseSource::Backend, &headers);
    let answer = match replacement {
        Some(Replacement::Answer(answer)) if !needs_own_body(answer, status) => Some(answer),
        None => None,
        Some(replacement) => {
            let is_persistent = exchange.may_persist() && exchange.is_body_drainable();
            let output = instead(
                exchange,
                found,
                (way, &chosen),
                replacement,
                response,
                is_persistent,
            );
            respond::discard(exchange, chosen, answered).await;
            let output = output?;
            return Ok(exchange.send_answer(output, is_persistent).await);
        }
    };
    let shape = Shape { rules, answer };
    respond::relay_shaped(exchange, Reply { way, chosen }, answered, &shape).await
}

/// Whether the endpoint's body cannot be passed on: it is replaced, there is none, or there must be none.
fn needs_own_body(answer: &ReplacedAnswer, status: u16) -> bool {
    let has_no_body = |status| matches!(status, 204 | 205 | 304);
    answer.body.is_some() || has_no_body(status) || answer.status.is_some_and(has_no_body)
}

impl Shape<'_> {
    /// Writes what is replaced to the head of the response, and chooses its encoding.
    pub(super) fn apply(
        &self,
        exchange: &Exchange<'_>,
        response: &mut ResponseScratch,
        outline: &mut Outline,
    ) -> Option<Encoder> {
        let encoder = encoding::choose(exchange, self.rules, response, outline);
        if let Some(answer) = self.answer {
            let (fields, bytes) = (&response.head.fields, response.input.pinned());
            headers::apply(&answer.headers, &mut response.edits, fields, bytes);
            response.head.status = answer.status.unwrap_or(response.head.status);
        }
        encoder
    }
}

/// Writes the answer that is sent in place of a response.
fn instead(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    (way, chosen): (&Way<'_>, &Chosen<'_>),
    replacement: &Replacement,
    response: &mut ResponseScratch,
    is_persistent: bool,
) -> Result<Output, Failure> {
    policy::decorate(exchange, way, response);
    let (head, bytes, edits) = (&response.head, response.input.pinned(), &mut response.edits);
    let (status, body, keeps) = match replacement {
        Replacement::Redirect(redirect) => {
            write_location(redirect, exchange, found, edits);
            (redirect.status, Arc::default(), false)
        }
        Replacement::Answer(answer) => {
            for name in OF_BODY_NAMES {
                edits.remove(name, &head.fields, bytes);
            }
            if answer.body.is_some() {
                edits.add(b"content-type", own_answer::content_type(answer));
            }
            headers::apply(&answer.headers, edits, &head.fields, bytes);
            let status = answer.status.unwrap_or(head.status);
            (status, answer.body.clone().unwrap_or_default(), true)
        }
    };
    exchange.record.status = status;
    exchange.record.is_relayed = true;
    exchange.record.reason = Some(Reason::Own(OVERRIDDEN));
    exchange.record.bytes_received = exchange.scratch.upload.moved();
    let connection = Connection::of(&head.fields, bytes);
    let mut reports = Vec::new();
    respond::write_reports(&mut reports, way, chosen)?;
    Ok(own_answer::write(
        exchange,
        (status, &body),
        edits,
        is_persistent,
        |out| {
            if keeps && let Ok(connection) = &connection {
                write_kept(out, &head.fields, bytes, connection, edits);
            }
            out.extend_from_slice(&reports);
            keeps && connection.is_ok() && head.fields.has(Known::Date)
        },
    )?)
}

/// Writes what stays of the endpoint's fields.
fn write_kept(out: &mut Vec<u8>, fields: &Fields, bytes: &[u8], connection: &Connection, edits: &Edits) {
    let dropped = connection.dropped().union(OF_BODY);
    let mut index = 0;
    encode::fields(out, bytes, fields, |field| {
        index += 1;
        !dropped.contains(field.known)
            && !edits.is_dropped(index - 1)
            && !connection.nominates(field, fields, bytes)
    });
}
