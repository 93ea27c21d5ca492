//! `faultInjection`: made-up trouble.

use weir_model::{FaultAbort, FaultDelay, FaultInjection, Fraction};

use super::values::{duration, percentage, read, status};
use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field};

/// Decodes the block; `None` when it cannot be used.
pub(super) fn fault(decoder: &mut Decoder, block: Field<'_>) -> Option<FaultInjection> {
    let fields = decoder.fields(block, &["delay", "abort"])?;
    if fields.optional("delay").is_none() && fields.optional("abort").is_none() {
        let message = "faultInjection needs \"delay\", \"abort\" or both";
        decoder.report(Finding::new("E0305", fields.span(), message).label("neither is there"));
        return None;
    }
    Some(FaultInjection {
        delay: read(decoder, fields, "delay", delay),
        abort: read(decoder, fields, "abort", abort),
    })
}

fn delay(decoder: &mut Decoder, block: Field<'_>) -> Option<FaultDelay> {
    let fields = decoder.fields(block, &["fixedDelay", "percentage"])?;
    let fixed = fields.required(decoder, "fixedDelay")?;
    Some(FaultDelay {
        duration: duration(decoder, fixed)?,
        fraction: fraction(decoder, fields.optional("percentage"))?,
    })
}

fn abort(decoder: &mut Decoder, block: Field<'_>) -> Option<FaultAbort> {
    let fields = decoder.fields(block, &["httpStatus", "grpcStatus", "percentage"])?;
    let fraction = fraction(decoder, fields.optional("percentage"));
    match (fields.optional("httpStatus"), fields.optional("grpcStatus")) {
        (Some(_), Some(grpc)) => {
            let message = "httpStatus and grpcStatus cannot be simultaneously defined";
            decoder.report(Finding::new("E0305", grpc.span(), message).label("the second of the two"));
            None
        }
        (None, None) => {
            let message = "abort needs \"httpStatus\" or \"grpcStatus\"";
            decoder.report(Finding::new("E0305", fields.span(), message).label("neither is there"));
            None
        }
        // The CRD lets 600 through, which Envoy refuses: it is no status (RFC 9110 15).
        (Some(field), None) => Some(FaultAbort {
            status: status(decoder, field, 200..=599)?,
            fraction: fraction?,
        }),
        (None, Some(field)) => {
            decoder.integer(field, 0..=16)?;
            let message = "faultInjection.abort.grpcStatus is not supported yet";
            let finding = Finding::new("W0309", fields.key_span("grpcStatus"), message);
            decoder.report(finding.label("not supported yet").effect("no request is aborted"));
            None
        }
    }
}

/// Everything, when not written.
fn fraction(decoder: &mut Decoder, field: Option<Field<'_>>) -> Option<Fraction> {
    match field {
        Some(field) => percentage(decoder, field),
        None => Some(Fraction::ALL),
    }
}
