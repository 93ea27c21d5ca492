//! The order of what stands before a request.

use super::super::super::route::Found;
use super::super::super::{Exchange, Failure};
use super::super::cors;
use super::{Admitted, basic, buffer, fault, rate, size};
use crate::compile::{Action, Admission, CompiledTraffic};

/// Lets the request in or says why not. The order is that of Envoy Gateway's filters, with two rulings: sizes and places
/// are looked at first, and a body is not received before it is known that the request is let in. A preflight meets faults,
/// but neither passwords, which browsers do not send with it, nor what follows them.
pub(in crate::exchange) async fn admit(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    traffic: &CompiledTraffic,
    admission: &Admission,
) -> Result<(), Failure> {
    // It is kept whatever comes of it: answers of failures say what it says.
    let mut admitted = Box::<Admitted>::default();
    let outcome = Box::pin(pass(exchange, found, traffic, admission, &mut admitted)).await;
    exchange.admitted = Some(admitted);
    outcome
}

async fn pass(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    traffic: &CompiledTraffic,
    admission: &Admission,
    admitted: &mut Admitted,
) -> Result<(), Failure> {
    let spec = &traffic.spec;
    size::check(exchange, &spec.request_limits)?;
    if let Some((counters, limit)) = &admission.parallel {
        size::enter(admitted, counters, *limit)?;
    }
    fault::inject(exchange, &spec.fault).await?;
    if found.rule.policy.cors.is_some() && cors::is_preflight(exchange) {
        return Ok(());
    }
    if let Some(auth) = &spec.basic_auth {
        basic::authenticate(exchange, auth, &found.rule.action, admitted)?;
    }
    if let Some(limit) = spec.request_buffer_bytes {
        let narrower = spec.request_limits.body_bytes.unwrap_or(limit).min(limit);
        size::check_body(exchange, narrower)?;
    }
    if let Some(limit) = &spec.rate_limit {
        rate::take(exchange, &admission.limits, limit, admitted)?;
    }
    if spec.request_buffer_bytes.is_some() {
        let forwards = matches!(found.rule.action, Action::Forward(_));
        admitted.body = buffer::receive(exchange, forwards).await?;
    }
    Ok(())
}

/// Puts a body that was received before behind the head that goes out.
pub(in crate::exchange) fn release(exchange: &mut Exchange<'_>) {
    if let Some(admitted) = &mut exchange.admitted
        && let Some(mut body) = admitted.body.take()
    {
        exchange.scratch.output.bytes.append(&mut body.bytes);
    }
}
