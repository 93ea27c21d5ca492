//! What a tenants file says for all its tenants.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{Cidr, Compressor, Port};

use super::admission::{self, TenantLimits};
use super::compression;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::yaml::{Finding, Span, Spanned};

/// The settings of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantSettings {
    /// `server.port`; `None` when not written.
    pub port: Option<Spanned<Port>>,
    /// `server.address`; `None` when not written.
    pub address: Option<Spanned<IpAddr>>,
    /// The file's tenants cannot be served at all (its port is unusable, or it asks for TLS); already reported.
    pub refused: bool,
    /// `trusted_proxies`: peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// `forwarded`: whether services get `Forwarded` (RFC 7239) too.
    pub forwarded: bool,
    /// `middleware.timeout`: bound of a whole request; `Some(ZERO)` switches it off.
    pub request_timeout: Option<Duration>,
    /// `request_limits` and `middleware.throttle`; each tenant has them for itself.
    pub limits: TenantLimits,
    /// `compression`: codings that responses may be sent in, the preferred one first.
    pub compressors: Vec<Compressor>,
    /// `middleware.request_id`: whether responses carry the request's id.
    pub response_request_id: bool,
    /// `lua_routing.global_scripts`, when they would run. They are not run: tenants under them are not served.
    pub scripts: Option<Span>,
    /// `admin_base_path` without slash at its end; `None` when not written.
    pub admin_base_path: Option<Spanned<Arc<str>>>,
}

/// Keys of a tenants file besides `tenants`.
pub(super) const KEYS: [&str; 11] = [
    "tenants",
    "server",
    "admin_base_path",
    "trusted_proxies",
    "forwarded",
    "lua_routing",
    "tls",
    "compression",
    "request_limits",
    "middleware",
    "metrics",
];

/// Reads everything but `tenants`.
pub(super) fn decode(decoder: &mut Decoder, fields: &Fields<'_>) -> TenantSettings {
    let mut settings = TenantSettings {
        response_request_id: true,
        ..TenantSettings::default()
    };
    if let Some(field) = fields.optional("server") {
        server(decoder, field, &mut settings);
    }
    if let Some(field) = fields.optional("admin_base_path") {
        settings.admin_base_path = admin(decoder, field);
    }
    if let Some(field) = fields.optional("trusted_proxies") {
        settings.trusted_proxies = cidrs(decoder, field);
    }
    if let Some(field) = fields.optional("forwarded") {
        settings.forwarded = decoder.boolean(field).is_some_and(|forwarded| forwarded.value);
    }
    if let Some(field) = fields.optional("lua_routing") {
        scripts(decoder, field, &mut settings);
    }
    if let Some(field) = fields.optional("tls") {
        tls(decoder, field, &mut settings);
    }
    if let Some(field) = fields.optional("compression") {
        settings.compressors = compression::decode(decoder, field);
    }
    if let Some(field) = fields.optional("request_limits") {
        let mark = decoder.mark();
        admission::sizes(decoder, field, &mut settings.limits);
        decoder.effect_since(mark, "weir's own bound applies instead");
    }
    if let Some(field) = fields.optional("middleware") {
        middleware(decoder, field, &mut settings);
    }
    if let Some(field) = fields.optional("metrics") {
        metrics(decoder, field);
    }
    settings
}

fn server(decoder: &mut Decoder, field: Field<'_>, settings: &mut TenantSettings) {
    let mark = decoder.mark();
    let Some(fields) = decoder.fields_with_vital(field, &["port", "address"], ["port", "address"]) else {
        settings.refused = true;
        return decoder.effect_since(mark, "no tenant of this file is served");
    };
    settings.port = fields.optional("port").and_then(|field| decoder.port(field));
    if let Some(field) = fields.optional("address")
        && let Some(text) = decoder.nonempty(field)
    {
        match text.trim_matches(['[', ']']).parse() {
            Ok(address) => settings.address = Some(Spanned::new(address, text.span)),
            Err(_) => {
                let message = format!("\"{}\" is not an IP address", text.value);
                let finding = Finding::new("E0103", text.span, message);
                decoder.report(finding.help("write the address to listen on, such as 0.0.0.0 or 127.0.0.1"));
            }
        }
    }
    settings.refused |= decoder.failed_since(mark);
    decoder.effect_since(mark, "no tenant of this file is served");
}

fn admin(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let text = decoder.nonempty(field)?;
    if !text.starts_with('/') {
        let message = format!("\"{}\" is not a path", text.value);
        decoder.report(Finding::new("E0403", text.span, message).help(format!("write /{}", text.value)));
        return None;
    }
    let trimmed = text.trim_end_matches('/');
    Some(Spanned::new(trimmed.into(), text.span))
}

fn cidrs(decoder: &mut Decoder, field: Field<'_>) -> Vec<Cidr> {
    let mut found = Vec::new();
    for item in decoder.items(field, usize::MAX) {
        let Some(text) = decoder.nonempty(item) else {
            continue;
        };
        match Cidr::parse(&text) {
            Some(cidr) => found.push(cidr),
            None => {
                let message = format!("\"{}\" is not an address prefix", text.value);
                let finding = Finding::new("E0103", text.span, message);
                decoder.report(
                    finding
                        .help("write it as 10.0.0.0/8 or as an address")
                        .effect("nobody is trusted by this entry"),
                );
            }
        }
    }
    found
}

fn scripts(decoder: &mut Decoder, field: Field<'_>, settings: &mut TenantSettings) {
    let known = [
        "enabled",
        "scripts_dir",
        "global_scripts",
        "state_pool_size",
        "module_paths",
        "module_cpaths",
    ];
    let Some(fields) = decoder.fields(field, &known) else {
        return;
    };
    let is_enabled = fields
        .optional("enabled")
        .and_then(|field| decoder.boolean(field))
        .is_some_and(|enabled| enabled.value);
    if let Some(field) = fields.optional("global_scripts").filter(|_| is_enabled)
        && !decoder.items(field, usize::MAX).is_empty()
    {
        let span = fields.key_span("global_scripts");
        settings.scripts = Some(span);
        let finding = Finding::new("E0408", span, "scripts are not supported yet");
        decoder.report(
            finding
                .label("a script may guard what is behind it")
                .help("remove it when the tenants may be served without it")
                .effect("all tenants of this file answer 501"),
        );
    }
}

fn tls(decoder: &mut Decoder, field: Field<'_>, settings: &mut TenantSettings) {
    let Some(fields) = decoder.fields(field, &["enabled", "cert_file", "key_file"]) else {
        settings.refused = true;
        return;
    };
    let is_enabled = fields
        .optional("enabled")
        .and_then(|field| decoder.boolean(field))
        .is_some_and(|enabled| enabled.value);
    if is_enabled {
        settings.refused = true;
        let finding = Finding::new("E0408", fields.key_span("enabled"), "TLS is not supported yet");
        decoder.report(
            finding
                .label("what is meant to be encrypted is not served in the clear")
                .help("let a proxy in front end TLS and remove this, or wait")
                .effect("no tenant of this file is served"),
        );
    }
}

fn middleware(decoder: &mut Decoder, field: Field<'_>, settings: &mut TenantSettings) {
    let known = [
        "request_id",
        "real_ip",
        "logging",
        "recovery",
        "timeout",
        "throttle",
    ];
    let Some(fields) = decoder.fields(field, &known) else {
        return;
    };
    let mut flag = |name| fields.optional(name).and_then(|field| decoder.boolean(field));
    if let Some(request_id) = flag("request_id") {
        settings.response_request_id = request_id.value;
    }
    let real_ip = flag("real_ip");
    let logging = flag("logging");
    flag("recovery");
    if real_ip.is_some_and(|real_ip| real_ip.value) && settings.trusted_proxies.is_empty() {
        let span = fields.key_span("real_ip");
        let finding = Finding::new(
            "N0409",
            span,
            "real_ip believes nobody until trusted_proxies says whom",
        );
        decoder.report(
            finding
                .help("list the proxies in front of weir: trusted_proxies: [10.0.0.0/8]")
                .effect("the client's address is that of the connection"),
        );
    }
    if logging.is_some_and(|logging| logging.value) {
        let span = fields.key_span("logging");
        let finding = Finding::new("N0409", span, "requests are logged when weir run is told to");
        decoder.report(finding.help("weir run --access-log stdout"));
    }
    settings.request_timeout = fields
        .optional("timeout")
        .and_then(|field| seconds(decoder, field))
        .map(|timeout| timeout.value);
    if let Some(field) = fields.optional("throttle") {
        settings.limits.parallel = admission::throttle(decoder, field);
    }
}

fn metrics(decoder: &mut Decoder, field: Field<'_>) {
    let Some(fields) = decoder.fields(field, &["enabled", "path"]) else {
        return;
    };
    let enabled = fields
        .optional("enabled")
        .and_then(|field| decoder.boolean(field));
    if enabled.is_some_and(|enabled| enabled.value) {
        let span = fields.key_span("enabled");
        let finding = Finding::new(
            "W0401",
            span,
            "metrics on the tenants' own port are not supported",
        );
        decoder.report(
            finding
                .label("not supported")
                .effect("a request for the path is routed like any other"),
        );
    }
}

/// A whole number of seconds, or a duration with units.
pub(super) fn seconds(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Duration>> {
    match field.node.scalar().and_then(crate::yaml::Scalar::integer) {
        Some(_) => {
            let number = decoder.integer(field, 0..=86_400)?;
            let seconds = u64::try_from(number.value).ok()?;
            Some(Spanned::new(Duration::from_secs(seconds), number.span))
        }
        None => decoder.duration(field),
    }
}
