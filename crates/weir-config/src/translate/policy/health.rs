//! `healthCheck`: probes, and when all endpoints of a backend are used although few are healthy.

use std::sync::Arc;

use weir_model::{ActiveCheck, HealthSpec, HealthStart, HttpProbe, Probe, TcpProbe, limits};

use super::dialect::Dialect;
use super::hash::union_rule;
use super::passive::passive;
use super::spec::report_unserved;
use super::values::{duration, overwrite, payload, percent, period, positive, read, statuses};
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::{Finding, format, policy_type};
use crate::yaml::Spanned;

/// Decodes the block; the decoder's findings say what of it cannot be used.
pub(super) fn health(decoder: &mut Decoder, block: Field<'_>, dialect: Dialect) -> HealthSpec {
    let mut spec = HealthSpec::default();
    let Some(fields) = decoder.fields(block, &["active", "passive", "panicThreshold"]) else {
        return spec;
    };
    spec.active = read(decoder, fields, "active", |decoder, block| {
        active(decoder, block, dialect)
    })
    .map(Arc::new);
    spec.passive = read(decoder, fields, "passive", |decoder, block| {
        passive(decoder, block, dialect)
    })
    .map(Arc::new);
    overwrite(
        &mut spec.panic_threshold,
        read(decoder, fields, "panicThreshold", percent),
    );
    spec
}

/// weir's `initial` (row HC02).
const STARTS: [(&str, HealthStart); 3] = [
    ("Probe", HealthStart::Probe),
    ("Healthy", HealthStart::Healthy),
    ("Unhealthy", HealthStart::Unhealthy),
];

fn active(decoder: &mut Decoder, block: Field<'_>, dialect: Dialect) -> Option<ActiveCheck> {
    let common = [
        "type",
        "timeout",
        "interval",
        "initialJitter",
        "unhealthyThreshold",
        "healthyThreshold",
        "http",
        "tcp",
        "grpc",
        "overrides",
        "healthCheckLog",
    ];
    let fields = dialect.fields(decoder, block, &common, &["initial", "intervalJitterPercent"])?;
    let kind = fields.required(decoder, "type")?;
    let word = policy_type::choice(
        decoder,
        kind,
        &[("HTTP", "HTTP"), ("TCP", "TCP"), ("GRPC", "GRPC")],
    )?;
    let mark = decoder.mark();
    for (owner, name) in [("HTTP", "http"), ("TCP", "tcp"), ("GRPC", "grpc")] {
        // Everything in the block `grpc` has a default, so its own type may go without it.
        if owner != "GRPC" || word != owner {
            union_rule(decoder, fields, ("health check type", word, owner), name, kind);
        }
    }
    if decoder.failed_since(mark) {
        return None;
    }
    let log = [(
        "healthCheckLog",
        "each change of health is one line of weir's own log",
    )];
    report_unserved(decoder, fields, "healthCheck.active.", &log);
    let mut check = ActiveCheck::default();
    times(decoder, fields, &mut check);
    if let Some(field) = dialect.own(fields, "initial") {
        overwrite(
            &mut check.start,
            decoder.choice(field, &STARTS).map(|word| word.value),
        );
    }
    if let Some(field) = dialect.own(fields, "intervalJitterPercent") {
        overwrite(&mut check.interval_jitter, percent(decoder, field));
    }
    check.port = read(decoder, fields, "overrides", |decoder, block| {
        let fields = decoder.fields(block, &["port"])?;
        read(decoder, fields, "port", Decoder::port)
    })
    .map(|port| port.value);
    check.probe = probe(decoder, fields, kind, word)?;
    Some(check)
}

/// What `type` says to do.
fn probe(decoder: &mut Decoder, fields: Fields<'_>, kind: Field<'_>, word: &str) -> Option<Probe> {
    match word {
        "HTTP" => read(decoder, fields, "http", http).map(Probe::Http),
        "TCP" => read(decoder, fields, "tcp", tcp).map(Probe::Tcp),
        _ => {
            let message = "health checks of type GRPC are not supported yet";
            let finding = Finding::new("W0309", kind.span(), message).label("not supported yet");
            decoder.report(finding.effect("endpoints are not probed, and taken to be healthy"));
            None
        }
    }
}

fn times(decoder: &mut Decoder, fields: Fields<'_>, check: &mut ActiveCheck) {
    overwrite(&mut check.timeout, read(decoder, fields, "timeout", period));
    overwrite(&mut check.interval, read(decoder, fields, "interval", period));
    overwrite(
        &mut check.initial_jitter,
        read(decoder, fields, "initialJitter", duration),
    );
    overwrite(
        &mut check.unhealthy_threshold,
        read(decoder, fields, "unhealthyThreshold", positive),
    );
    overwrite(
        &mut check.healthy_threshold,
        read(decoder, fields, "healthyThreshold", positive),
    );
}

fn http(decoder: &mut Decoder, block: Field<'_>) -> Option<HttpProbe> {
    let known = [
        "hostname",
        "path",
        "method",
        "requestBody",
        "expectedStatuses",
        "retriableStatuses",
        "expectedResponse",
    ];
    let fields = decoder.fields(block, &known)?;
    let path = fields.required(decoder, "path")?;
    let mut probe = HttpProbe {
        path: probe_path(decoder, path)?,
        ..HttpProbe::default()
    };
    probe.host = read(decoder, fields, "hostname", hostname);
    overwrite(&mut probe.method, read(decoder, fields, "method", method));
    probe.body = read(decoder, fields, "requestBody", payload);
    if probe.body.is_some() && !matches!(&*probe.method, "POST" | "PUT") {
        let message = "\"requestBody\" goes with the methods POST and PUT only";
        let finding = Finding::new("E0305", fields.key_span("requestBody"), message);
        decoder.report(finding.label(format!("the method is {}", probe.method)));
    }
    let expected = read(decoder, fields, "expectedStatuses", statuses);
    // An empty list is as good as none.
    overwrite(&mut probe.expected, expected.filter(|set| !set.is_empty()));
    overwrite(
        &mut probe.retriable,
        read(decoder, fields, "retriableStatuses", statuses),
    );
    probe.expected_body = read(decoder, fields, "expectedResponse", payload);
    Some(probe)
}

fn tcp(decoder: &mut Decoder, block: Field<'_>) -> Option<TcpProbe> {
    let fields = decoder.fields(block, &["send", "receive"])?;
    Some(TcpProbe {
        send: read(decoder, fields, "send", payload),
        receive: read(decoder, fields, "receive", payload),
    })
}

/// What goes into a request line as it is: a path, and a query if there is one (RFC 9112 3.2.1).
fn probe_path(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let path = decoder.nonempty(field)?;
    let clean = |byte: u8| (0x21..0x7f).contains(&byte) && byte != b'#';
    let finding = |message: &str| Finding::new("E0303", path.span, message.to_owned());
    let finding = if path.len() > limits::PROBE_PATH_BYTES {
        let label = format!(
            "{} characters, {} are allowed",
            path.len(),
            limits::PROBE_PATH_BYTES
        );
        finding("\"path\" is too long").label(label)
    } else if !path.starts_with('/') {
        finding("\"path\" does not start with \"/\"").help(format!("write \"/{}\"", path.value))
    } else if !path.bytes().all(clean) {
        finding("\"path\" has characters that no request has").help("write them percent-encoded")
    } else {
        return Some(path.value);
    };
    decoder.report(finding);
    None
}

fn hostname(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let name = decoder.nonempty(field)?;
    if format::is_subdomain(&name) {
        return Some(name.value);
    }
    let message = format!("\"{}\" is not a host name", name.value);
    decoder.report(
        Finding::new("E0303", name.span, message).help("write a DNS name in lower case, without port"),
    );
    None
}

/// Bytes of a method's name (Envoy Gateway CRD).
const METHOD_BYTES: usize = 16;

fn method(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let Spanned { value, span } = decoder.nonempty(field)?;
    if format::is_token(&value) && value.len() <= METHOD_BYTES {
        return Some(value.to_ascii_uppercase().into());
    }
    let message = format!("\"{value}\" is not a method");
    let label = format!("must be a token of at most {METHOD_BYTES} characters");
    decoder.report(Finding::new("E0303", span, message).label(label));
    None
}
