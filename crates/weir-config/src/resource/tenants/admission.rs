//! What stands before a tenant's requests: how large and how many they may be, how often they may come, and who may
//! come in (rows KT26, KT33, KT34).

use std::sync::Arc;

use weir_model::{BasicAuth, Rate, RateUnit, limits};

use super::basic_auth;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::format;
use crate::yaml::{Finding, Spanned};

/// All of it, as one tenant says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantAdmission {
    /// `request_limits` and `throttle`; what is not written here is the file's.
    pub limits: TenantLimits,
    /// `rate_limit`. A request takes a token of each.
    pub rates: Vec<TenantRate>,
    /// Responses tell of the rates.
    pub shows_rates: bool,
    /// `basic_auth`; without realm it is the tenant's name.
    pub basic_auth: Option<BasicAuth>,
}

/// Bounds on requests; `None` where none is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantLimits {
    /// `request_limits.max_body_size`, bytes.
    pub body_bytes: Option<u64>,
    /// `request_limits.max_header_size`, bytes of all header fields together.
    pub head_bytes: Option<u32>,
    /// `request_limits.max_url_size`, bytes of the request target.
    pub target_bytes: Option<u32>,
    /// `throttle`: requests at once.
    pub parallel: Option<u32>,
}

/// How often requests may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRate {
    /// How many in how much time.
    pub rate: Rate,
    /// Of whom.
    pub scope: RateScope,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RateScope {
    /// Those of one client address.
    #[default]
    Client,
    /// All of the tenant.
    Tenant,
    /// Those with one value of this header, lower case; those without it by their address.
    Header(Arc<str>),
}

const SCOPES: &[(&str, RateScope)] = &[("client", RateScope::Client), ("tenant", RateScope::Tenant)];

const UNITS: &[(&str, RateUnit)] = &[
    ("second", RateUnit::Second),
    ("minute", RateUnit::Minute),
    ("hour", RateUnit::Hour),
    ("day", RateUnit::Day),
];

/// Limits of one tenant's rates; two rules of the model each.
const RATES_MAX: usize = limits::RATE_LIMIT_RULES / 2;

/// Reads the keys of a tenant. `None` when one of them cannot be used: what guards something must not be skipped.
pub(super) fn decode(decoder: &mut Decoder, fields: &Fields<'_>) -> Option<TenantAdmission> {
    let mark = decoder.mark();
    let mut admission = TenantAdmission {
        shows_rates: true,
        ..TenantAdmission::default()
    };
    if let Some(field) = fields.optional("request_limits") {
        sizes(decoder, field, &mut admission.limits);
    }
    if let Some(field) = fields.optional("throttle") {
        admission.limits.parallel = throttle(decoder, field);
    }
    if let Some(field) = fields.optional("rate_limit") {
        rates(decoder, field, &mut admission);
    }
    if let Some(field) = fields.optional("basic_auth") {
        admission.basic_auth = basic_auth::decode(decoder, field);
    }
    if fields.optional("rate_limit").is_some()
        && fields
            .optional("policy")
            .or(fields.optional("load_balancer"))
            .is_some_and(|policy| policy.node.field("rateLimit").is_some())
    {
        decoder.conflict(
            fields.key_span("rate_limit"),
            "\"rate_limit\" and \"policy.rateLimit\" say the same thing twice",
            "remove one of the two",
        );
    }
    let is_usable = !decoder.failed_since(mark);
    decoder.effect_since(mark, "all requests of the tenant are answered 500");
    is_usable.then_some(admission)
}

/// Reads `request_limits`.
pub(super) fn sizes(decoder: &mut Decoder, field: Field<'_>, found: &mut TenantLimits) {
    let known = ["max_body_size", "max_header_size", "max_url_size"];
    let Some(fields) = decoder.fields_with_vital(field, &known, known) else {
        return;
    };
    let mut bytes = |name, own: Option<usize>| {
        let field = fields.optional(name)?;
        let bytes = decoder.quantity(field, 1..=1 << 50)?;
        if let Some(own) = own.filter(|own| bytes.value > *own as u64) {
            let message = format!("{name} is more than weir takes: {own} bytes");
            let finding = Finding::new("N0409", bytes.span, message);
            decoder.report(finding.effect(format!("what is over {own} bytes is refused all the same")));
        }
        Some(bytes.value)
    };
    let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    found.body_bytes = bytes("max_body_size", None);
    found.head_bytes = bytes("max_header_size", Some(limits::HEAD_BYTES)).map(narrow);
    found.target_bytes = bytes("max_url_size", Some(limits::TARGET_BYTES)).map(narrow);
}

/// Reads `throttle`: requests at once.
pub(super) fn throttle(decoder: &mut Decoder, field: Field<'_>) -> Option<u32> {
    let number = decoder.integer(field, 1..=i64::from(u32::MAX))?;
    u32::try_from(number.value).ok()
}

/// One limit, or a list of them.
fn rates(decoder: &mut Decoder, field: Field<'_>, admission: &mut TenantAdmission) {
    let items = match field.node.value {
        crate::yaml::Value::Sequence(_) => decoder.items(field, RATES_MAX),
        _ => vec![field],
    };
    if items.len() > RATES_MAX {
        let message = format!("a tenant has at most {RATES_MAX} rate limits");
        decoder.report(Finding::new("E0103", items[RATES_MAX].span(), message));
        return;
    }
    for item in items {
        if let Some(rate) = rate(decoder, item, &mut admission.shows_rates) {
            admission.rates.push(rate);
        }
    }
}

fn rate(decoder: &mut Decoder, field: Field<'_>, shows_rates: &mut bool) -> Option<TenantRate> {
    let known = ["requests", "unit", "per", "header", "headers"];
    let fields = decoder.fields_with_vital(field, &known, ["requests", "unit", "per", "header"])?;
    let requests = fields
        .required(decoder, "requests")
        .and_then(|field| decoder.integer(field, 0..=i64::from(u32::MAX)));
    let unit = fields
        .required(decoder, "unit")
        .and_then(|field| decoder.choice(field, UNITS));
    if let Some(field) = fields.optional("headers") {
        *shows_rates &= decoder.boolean(field)?.value;
    }
    let scope = match (fields.optional("per"), fields.optional("header")) {
        (Some(_), Some(_)) => {
            decoder.conflict(
                fields.key_span("header"),
                "a rate limit counts per client, per tenant or per value of a header",
                "remove per or header",
            );
            return None;
        }
        (Some(field), None) => word(decoder, field)?,
        (None, Some(field)) => RateScope::Header(header_name(decoder, field)?.value),
        (None, None) => RateScope::Client,
    };
    let rate = Rate {
        requests: u32::try_from(requests?.value).ok()?,
        unit: unit?.value,
    };
    Some(TenantRate { rate, scope })
}

fn word(decoder: &mut Decoder, field: Field<'_>) -> Option<RateScope> {
    let places: Vec<_> = (0..)
        .zip(SCOPES)
        .map(|(place, (word, _))| (*word, place))
        .collect();
    let place: usize = decoder.choice(field, &places)?.value;
    Some(SCOPES[place].1.clone())
}

/// The name of a header, in lower case.
pub(super) fn header_name(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let name = decoder.nonempty(field)?;
    if !format::is_token(&name) {
        let message = format!("\"{}\" is not a name of a header", name.value.escape_debug());
        decoder.report(Finding::new("E0103", name.span, message));
        return None;
    }
    Some(Spanned::new(name.to_ascii_lowercase().into(), name.span))
}
