//! What somebody asks weir to do.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;

use super::{Page, refused};
use crate::percent::query;
use crate::{Instance, Order, Selector, Verb};

/// Longest reason that is kept.
const REASON_BYTES_MAX: usize = 200;

/// A decision about endpoints.
pub(crate) fn decide(instance: &dyn Instance, endpoint: String, verb: &str, parameters: &str) -> Page {
    let order = match order(endpoint, verb, parameters) {
        Ok(order) => order,
        Err(message) => return Page::error(StatusCode::BAD_REQUEST, "invalid", &message),
    };
    match instance.decide(&order) {
        Ok(endpoints) => Page::json(StatusCode::OK, &json!({"endpoints": endpoints, "verb": verb})),
        Err(refusal) => refused(&refusal),
    }
}

/// Loads the configuration again.
pub(crate) fn reload(instance: &dyn Instance) -> Page {
    match instance.reload() {
        Ok(reloaded) => Page::json(
            StatusCode::OK,
            &json!({
                "generation_running": reloaded.generation_running,
                "generation_disk": reloaded.generation_disk,
                "in_sync": reloaded.difference.is_none(),
                "difference": reloaded.difference,
                "errors": reloaded.errors,
                "warnings": reloaded.warnings,
            }),
        ),
        Err(refusal) => refused(&refusal),
    }
}

fn order(endpoint: String, verb: &str, parameters: &str) -> Result<Order, String> {
    let parameters = query(parameters).ok_or("the query cannot be read")?;
    let (mut backend, mut lasts, mut reason, mut weight) = (None, None, None, None);
    for (name, value) in parameters {
        match &*name {
            "backend" => backend = Some(value),
            "for" => lasts = Some(duration(&value).ok_or("for: expected a time such as 90s, 10m or 2h")?),
            "reason" if value.len() <= REASON_BYTES_MAX => reason = Some(value),
            "reason" => return Err(format!("a reason has at most {REASON_BYTES_MAX} bytes")),
            "weight" => {
                let number = value.parse::<u32>().ok();
                weight = Some(number.ok_or("weight: expected a number")?);
            }
            _ => {
                return Err(format!(
                    "unknown parameter {name:?}: there are backend, for, reason and weight"
                ));
            }
        }
    }
    let verb = Verb::of(verb, weight)
        .ok_or("expected drain, disable, enable or reset, or weight with ?weight=N, in place of the verb")?;
    Ok(Order {
        endpoints: Selector { endpoint, backend },
        verb,
        lasts,
        reason,
    })
}

/// One number and its unit: `s`, `m` or `h`.
fn duration(text: &str) -> Option<Duration> {
    let (number, seconds) = match text.as_bytes().last()? {
        b's' => (text.strip_suffix('s')?, 1),
        b'm' => (text.strip_suffix('m')?, 60),
        b'h' => (text.strip_suffix('h')?, 3600),
        _ => return None,
    };
    let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hc18_orders_are_read_strictly() {
        let endpoint = || "10.0.0.1:80".to_owned();
        let read = order(endpoint(), "drain", "for=10m&reason=new+disk&backend=a/b").expect("an order");
        assert_eq!(
            read,
            Order {
                endpoints: Selector {
                    endpoint: endpoint(),
                    backend: Some("a/b".to_owned())
                },
                verb: Verb::Drain,
                lasts: Some(Duration::from_secs(600)),
                reason: Some("new disk".to_owned()),
            }
        );
        for (verb, parameters, expected) in [
            ("maint", "", Some(Verb::Disable)),
            ("ready", "", Some(Verb::Enable)),
            ("weight", "weight=3", Some(Verb::Weight(3))),
            ("reset", "", Some(Verb::Reset)),
            ("weight", "", None),
            ("drain", "weight=3", None),
            ("weight", "weight=-1", None),
            ("drain", "for=10", None),
            ("drain", "for=0s", None),
            ("drain", "why=x", None),
            ("drain", "reason=%f", None),
            ("stop", "", None),
        ] {
            let verb_read = order(endpoint(), verb, parameters).ok().map(|order| order.verb);
            assert_eq!(verb_read, expected, "{verb} {parameters}");
        }
    }
}
