//! One tenant, as written.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{Fraction, HostPattern};

use super::admission::{self, TenantAdmission};
use super::balance::{self, TenantBalance, TenantTimeouts};
use super::canary::{self, Canary};
use super::error_handler::{self, ErrorHandlers};
use super::path::{self, BARE_PREFIXES, BarePrefix};
use super::route::{self, TenantRoute};
use super::service::{self, TenantService};
use super::settings::{TenantSettings, seconds};
use super::url::{self, ServiceUrl};
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::{HttpFilter, http_filter};
use crate::yaml::{Finding, Span, Spanned};

/// A tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// What its file says for all tenants.
    pub settings: Arc<TenantSettings>,
    /// `domains`; none for a tenant that is found by path only.
    pub domains: Vec<Spanned<HostPattern>>,
    /// `path_prefix` without the slash at its end; `None` when not written.
    pub path_prefix: Option<Spanned<Arc<str>>>,
    /// Where it is reached cannot be told, so that it is served nowhere; already reported.
    pub unreachable: bool,
    /// `services`, as far as they can be used.
    pub services: Vec<TenantService>,
    /// Some of `services` cannot be used.
    pub services_incomplete: bool,
    /// Something that must not be skipped (a filter, a script) cannot be served: the reason.
    pub refused: Option<&'static str>,
    /// `strip_prefix`: whether services see paths without the prefix.
    pub strip_prefix: bool,
    /// `bare_prefix`.
    pub bare_prefix: BarePrefix,
    /// `host_header`.
    pub host_header: HostHeader,
    /// `load_balancer` and `policy`.
    pub balance: TenantBalance,
    /// `health_interval`; 30 s when not written.
    pub health_interval: Spanned<Duration>,
    /// `timeouts`.
    pub timeouts: TenantTimeouts,
    /// `request_limits`, `throttle`, `rate_limit` and `basic_auth`.
    pub admission: TenantAdmission,
    /// `filters` and `mirror`.
    pub filters: TenantFilters,
    /// `routes` and `route_groups`; when there are any, they alone are served.
    pub routes: Vec<TenantRoute>,
    /// Whether `routes` or `route_groups` is written.
    pub has_routes: bool,
    /// `error_handlers`.
    pub error_handlers: ErrorHandlers,
    /// `canary`.
    pub canary: Option<Canary>,
    /// Where the tenant starts.
    pub span: Span,
}

/// Which `Host` a service gets (row KT14).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    #[default]
    Original,
    /// That of its URL.
    Service,
    /// This one.
    Name(Arc<str>),
}

/// What is done to requests and responses besides forwarding them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantFilters {
    /// As in an HTTPRoute.
    pub list: Vec<Spanned<HttpFilter>>,
    /// `mirror`: copies of a part of the requests go there.
    pub mirror: Option<(Spanned<ServiceUrl>, Fraction)>,
}

const KNOWN: [&str; 22] = [
    "name",
    "path_prefix",
    "domains",
    "health_interval",
    "lua_routes",
    "services",
    "strip_prefix",
    "bare_prefix",
    "host_header",
    "load_balancer",
    "policy",
    "timeouts",
    "filters",
    "mirror",
    "routes",
    "route_groups",
    "error_handlers",
    "canary",
    "request_limits",
    "throttle",
    "rate_limit",
    "basic_auth",
];

/// Without these more would be served than is written.
const VITAL: [&str; 9] = [
    "domains",
    "path_prefix",
    "filters",
    "canary",
    "lua_routes",
    "request_limits",
    "throttle",
    "rate_limit",
    "basic_auth",
];

/// Health checks of a tenant that says nothing run this often.
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);

/// Reads a tenant; the name comes first. `None` when it is no mapping or has no name.
pub(super) fn decode(
    decoder: &mut Decoder,
    item: Field<'_>,
    settings: &Arc<TenantSettings>,
) -> Option<(Spanned<Arc<str>>, Tenant)> {
    let mark = decoder.mark();
    let fields = decoder.fields_with_vital(item, &KNOWN, VITAL)?;
    let name = fields
        .required(decoder, "name")
        .and_then(|field| service::name(decoder, field));
    let mut tenant = Tenant {
        settings: settings.clone(),
        domains: Vec::new(),
        path_prefix: None,
        unreachable: false,
        services: Vec::new(),
        services_incomplete: false,
        refused: settings.scripts.map(|_| "ScriptsNotSupported"),
        strip_prefix: true,
        bare_prefix: BarePrefix::default(),
        host_header: HostHeader::default(),
        balance: TenantBalance::default(),
        health_interval: Spanned::default_of(HEALTH_INTERVAL),
        timeouts: TenantTimeouts::default(),
        admission: TenantAdmission::default(),
        filters: TenantFilters::default(),
        routes: Vec::new(),
        has_routes: false,
        error_handlers: ErrorHandlers::default(),
        canary: None,
        span: item.span(),
    };
    reach(decoder, &fields, &mut tenant);
    if fields.is_misspelt("domains") || fields.is_misspelt("path_prefix") {
        tenant.unreachable = true;
        decoder.effect_since(mark, "the tenant is not served");
    }
    if fields.has_misspelt() {
        tenant.refused = Some("Misspelt");
        decoder.effect_since(mark, "all requests of the tenant are answered 500");
    }
    if let Some(field) = fields.optional("services") {
        (tenant.services, tenant.services_incomplete) = service::decode_list(decoder, field);
    }
    options(decoder, &fields, &mut tenant);
    match admission::decode(decoder, &fields) {
        Some(admission) => tenant.admission = admission,
        None => tenant.refused = Some("InvalidAdmission"),
    }
    filters(decoder, &fields, &mut tenant);
    scripts(decoder, &fields, &mut tenant);
    tenant.has_routes = fields
        .optional("routes")
        .or(fields.optional("route_groups"))
        .is_some();
    tenant.routes = route::decode(decoder, &fields);
    error_handlers(decoder, &fields, &mut tenant);
    if let Some(field) = fields.optional("canary") {
        let mark = decoder.mark();
        tenant.canary = canary::decode(decoder, field);
        decoder.effect_since(
            mark,
            "there is no canary: its services are balanced like the others",
        );
    }
    Some((name?, tenant))
}

/// `domains` and `path_prefix`. A tenant needs one of them; what is unusable must not widen it.
fn reach(decoder: &mut Decoder, fields: &Fields<'_>, tenant: &mut Tenant) {
    let mark = decoder.mark();
    let domains = fields
        .optional("domains")
        .map(|field| decoder.items(field, usize::MAX));
    let has_domains =
        domains.as_ref().is_some_and(|domains| !domains.is_empty()) || decoder.failed_since(mark);
    for item in domains.unwrap_or_default() {
        tenant.domains.extend(path::domain(decoder, item));
    }
    let rest = if tenant.domains.is_empty() {
        "the tenant is not served"
    } else {
        "the tenant is not served under this domain"
    };
    decoder.effect_since(mark, rest);
    let mark = decoder.mark();
    let prefix = fields.optional("path_prefix");
    tenant.path_prefix = prefix.and_then(|field| path::prefix(decoder, field));
    decoder.effect_since(mark, "the tenant is not served");
    // A misspelt one has been reported.
    if !has_domains && prefix.is_none() && !fields.has_misspelt() {
        tenant.unreachable = true;
        let finding = Finding::new(
            "E0401",
            fields.span(),
            "the tenant has neither \"domains\" nor \"path_prefix\"",
        );
        decoder.report(
            finding
                .label("nobody can reach it")
                .help("add domains: [api.example.com] or path_prefix: /api/")
                .effect("the tenant is not served"),
        );
    }
    tenant.unreachable |= has_domains && tenant.domains.is_empty();
    tenant.unreachable |= prefix.is_some() && tenant.path_prefix.is_none();
}

fn options(decoder: &mut Decoder, fields: &Fields<'_>, tenant: &mut Tenant) {
    if let Some(field) = fields.optional("strip_prefix")
        && let Some(strip) = decoder.boolean(field)
    {
        tenant.strip_prefix = strip.value;
    }
    if let Some(field) = fields.optional("bare_prefix")
        && let Some(bare) = decoder.choice(field, BARE_PREFIXES)
    {
        tenant.bare_prefix = bare.value;
    }
    if let Some(field) = fields.optional("host_header") {
        tenant.host_header = host_header(decoder, field).unwrap_or_default();
    }
    if let Some(field) = fields.optional("health_interval")
        && let Some(interval) = seconds(decoder, field)
        // keystone-gateway reads 0 as its default.
        && !interval.value.is_zero()
    {
        tenant.health_interval = interval;
    }
    if let Some(field) = fields.optional("timeouts") {
        tenant.timeouts = balance::timeouts(decoder, field);
    }
    tenant.balance = balance::decode(decoder, fields);
}

fn error_handlers(decoder: &mut Decoder, fields: &Fields<'_>, tenant: &mut Tenant) {
    let Some(field) = fields.optional("error_handlers") else {
        return;
    };
    tenant.error_handlers = error_handler::decode(decoder, field);
    if !tenant.has_routes {
        let span = fields.key_span("error_handlers");
        let finding = Finding::new("N0409", span, "error_handlers are for tenants with routes");
        decoder.report(finding.effect("every path and method goes to a service, which answers itself"));
    }
}

fn host_header(decoder: &mut Decoder, field: Field<'_>) -> Option<HostHeader> {
    let text = decoder.nonempty(field)?;
    match &*text.value {
        "original" => return Some(HostHeader::Original),
        "service" => return Some(HostHeader::Service),
        _ => {}
    }
    if weir_wire::host::parse(text.as_bytes()).is_err() {
        let message = format!("\"{}\" is not a host", text.value.escape_debug());
        let finding = Finding::new("E0103", text.span, message);
        decoder.report(
            finding
                .help("write original, service or a host name")
                .effect("services get the client's Host"),
        );
        return None;
    }
    Some(HostHeader::Name(text.value))
}

/// A filter that cannot be read must not be skipped, so the tenant answers 500.
fn filters(decoder: &mut Decoder, fields: &Fields<'_>, tenant: &mut Tenant) {
    let mark = decoder.mark();
    if let Some(field) = fields.optional("filters") {
        tenant.filters.list = http_filter::decode_list(decoder, field);
    }
    if decoder.failed_since(mark) {
        tenant.refused = Some("InvalidFilter");
    }
    decoder.effect_since(mark, "all requests of the tenant are answered 500");
    if let Some(field) = fields.optional("mirror") {
        let mark = decoder.mark();
        tenant.filters.mirror = mirror(decoder, field);
        decoder.effect_since(mark, "nothing is mirrored; the requests themselves are served");
    }
}

fn mirror(decoder: &mut Decoder, field: Field<'_>) -> Option<(Spanned<ServiceUrl>, Fraction)> {
    let fields = decoder.fields_with_vital(field, &["url", "percent"], ["percent"])?;
    let url = fields
        .required(decoder, "url")
        .and_then(|field| url::decode(decoder, field))?;
    let percent = match fields.optional("percent") {
        Some(field) => decoder.integer(field, 0..=100)?.value,
        None => 100,
    };
    let fraction = Fraction::new(u32::try_from(percent).ok()?, 100)?;
    (!fields.has_misspelt()).then_some((url, fraction))
}

/// A script may guard what is behind it, so a tenant whose script is not run is not served as if it had none.
fn scripts(decoder: &mut Decoder, fields: &Fields<'_>, tenant: &mut Tenant) {
    let Some(field) = fields.optional("lua_routes") else {
        return;
    };
    let is_named = match field.node.scalar() {
        Some(scalar) => !scalar.text.is_empty(),
        None => !decoder.items(field, usize::MAX).is_empty(),
    };
    if is_named {
        tenant.refused = Some("ScriptsNotSupported");
        let finding = Finding::new(
            "E0408",
            fields.key_span("lua_routes"),
            "scripts are not supported yet",
        );
        decoder.report(
            finding
                .label("a script may guard what is behind it")
                .help("remove it when the tenant may be served without it; routes, filters and canary need no script")
                .effect("all requests of the tenant are answered 501"),
        );
    }
}
