//! Which filters apply, and when.

use weir_model::limits;

use super::super::route::{Found, Way};
use super::super::{Exchange, Failure, encoding, identity, outbound};
use super::{admit, cors, headers, redirect};
use crate::compile::Action;
use crate::transit::ResponseScratch;

/// A complete answer without body; its fields wait in the request's edits, which nothing else needs then.
#[derive(Clone, Copy, Debug)]
pub(in crate::exchange) struct EarlyAnswer {
    pub(in crate::exchange) status: u16,
}

/// The rule's answer, when it has one of its own. An error of the configuration is none: see `route::choose`.
pub(in crate::exchange) fn answer_early(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
) -> Option<EarlyAnswer> {
    let policy = &found.rule.policy;
    let preflight = policy.cors.as_ref().filter(|_| cors::is_preflight(exchange));
    let redirect = match &found.rule.action {
        Action::Redirect(redirect) => Some(redirect),
        Action::Forward(_) | Action::Answer(_) => None,
    };
    if preflight.is_none() && redirect.is_none() {
        return None;
    }
    let mut edits = std::mem::take(&mut exchange.scratch.edits);
    let mut status = 204;
    if let Some(cors) = preflight {
        cors::write_preflight(cors, exchange, &mut edits);
    } else if let Some(redirect) = redirect {
        redirect::write(redirect, exchange, found, &mut edits);
        status = redirect.status;
    }
    let none = weir_wire::Fields::default();
    for change in &policy.response_headers {
        headers::apply(change, &mut edits, &none, &[]);
    }
    exchange.scratch.edits = edits;
    Some(EarlyAnswer { status })
}

/// Writes the request as it is to be forwarded.
pub(in crate::exchange) fn prepare(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    way: &Way<'_>,
) -> Result<(), Failure> {
    exchange.take_timeouts(&found.rule.timeouts);
    if way.forward.retry.is_some() {
        exchange.scratch.upload.keep(limits::REPLAY_BYTES);
    }
    identity::name_request(exchange);
    if let Some(rules) = found.rule.responses() {
        encoding::hide_from_endpoint(exchange, rules);
    }
    outbound::write_head(exchange, found, way)?;
    admit::release(exchange);
    Ok(())
}

/// Writes the changes to the response's head to its edits.
pub(in crate::exchange) fn decorate(exchange: &Exchange<'_>, way: &Way<'_>, response: &mut ResponseScratch) {
    let policy = &way.destination.policy;
    let (fields, bytes) = (&response.head.fields, response.input.pinned());
    if let Some(cors) = &policy.cors {
        cors::decorate(cors, exchange, &mut response.edits, (fields, bytes));
    }
    if policy
        .identity
        .is_some_and(|identity| identity.response_request_id)
    {
        let edits = &mut response.edits;
        identity::tell_request_id(exchange, |id| edits.set("x-request-id", id, fields, bytes));
    }
    if let Some(report) = way
        .forward
        .spec
        .load_report
        .as_ref()
        .filter(|report| !report.keep)
    {
        response.edits.remove(&report.header, fields, bytes);
    }
    for change in &policy.response_headers {
        headers::apply(change, &mut response.edits, fields, bytes);
    }
}
