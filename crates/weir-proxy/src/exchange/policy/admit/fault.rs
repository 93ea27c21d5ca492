//! Made-up trouble (Envoy Gateway `faultInjection`).

use weir_model::{FaultInjection, Fraction};

use super::super::super::{Exchange, Failure};

/// Lets the request wait, answers it, or both. Who waits and who is answered is drawn apart, as in Envoy.
pub(super) async fn inject(exchange: &mut Exchange<'_>, fault: &FaultInjection) -> Result<(), Failure> {
    if let Some(delay) = fault.delay.filter(|delay| is_drawn(exchange, delay.fraction)) {
        let wait_ms = u64::try_from(delay.duration.as_millis()).unwrap_or(u64::MAX);
        exchange.record.is_delayed = true;
        exchange.pause(wait_ms).await?;
    }
    match fault.abort.filter(|abort| is_drawn(exchange, abort.fraction)) {
        Some(abort) => Err(Failure::answered(abort.status, "fault_abort")),
        None => Ok(()),
    }
}

fn is_drawn(exchange: &Exchange<'_>, fraction: Fraction) -> bool {
    fraction.contains(exchange.worker.rng.borrow_mut().next_u64())
}
