//! `services[]`: what serves a tenant.

use std::sync::Arc;

use weir_model::{Tier, Weight};

use super::url::{self, ServiceUrl};
use crate::resource::decode::{Decoder, Field, Fields};
use crate::yaml::{Finding, Span, Spanned};

/// A service of a tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantService {
    /// `name`; unique in its tenant.
    pub name: Spanned<Arc<str>>,
    /// `url`.
    pub url: Spanned<ServiceUrl>,
    /// `health` and `health_type`.
    pub check: ServiceCheck,
    /// `weight`; 1 when not written.
    pub weight: Weight,
    /// `priority`; 0, the first, when not written.
    pub tier: Tier,
    /// `max_connections`.
    pub connections_max: Option<u32>,
    /// Where the service starts.
    pub span: Span,
}

/// How a service is checked (rows HC01, HC05).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceCheck {
    /// A request for this path.
    Path(Spanned<Arc<str>>),
    /// A connection.
    Connect,
    /// Not at all: it counts as healthy.
    Off,
    /// As the tenant's policy checks, not at all without one.
    Unwritten {
        /// An empty path says that this is meant.
        is_meant: bool,
    },
}

/// `health_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HealthType {
    Http,
    Tcp,
    None,
}

const HEALTH_TYPES: [(&str, HealthType); 3] = [
    ("http", HealthType::Http),
    ("tcp", HealthType::Tcp),
    ("none", HealthType::None),
];

/// Reads `services`; those that cannot be used are left out. Also says whether any was.
pub(super) fn decode_list(decoder: &mut Decoder, field: Field<'_>) -> (Vec<TenantService>, bool) {
    let mut services = Vec::new();
    let mut is_incomplete = false;
    for item in decoder.items(field, usize::MAX) {
        let mark = decoder.mark();
        match decode(decoder, item) {
            Some(service) => services.push(service),
            None => is_incomplete = true,
        }
        decoder.effect_since(
            mark,
            "this service gets no requests; the tenant's other services do",
        );
    }
    (services, is_incomplete)
}

fn decode(decoder: &mut Decoder, item: Field<'_>) -> Option<TenantService> {
    let known = [
        "name",
        "url",
        "health",
        "health_type",
        "weight",
        "priority",
        "max_connections",
    ];
    let fields = decoder.fields_with_vital(item, &known, ["weight"])?;
    let name = fields
        .required(decoder, "name")
        .and_then(|field| name(decoder, field));
    let url = fields
        .required(decoder, "url")
        .and_then(|field| url::decode(decoder, field));
    let check = check(decoder, &fields);
    // Without its weight it would get requests that it should not get.
    if fields.has_misspelt() {
        return None;
    }
    let weight = match fields.optional("weight") {
        Some(field) => decoder.weight(field)?.value,
        None => Weight::ONE,
    };
    let tier = match fields.optional("priority") {
        Some(field) => Tier::new(u64::try_from(decoder.integer(field, 0..=127)?.value).ok()?)?,
        None => Tier::FIRST,
    };
    let connections_max = match fields.optional("max_connections") {
        Some(field) => Some(u32::try_from(decoder.integer(field, 1..=i64::from(u32::MAX))?.value).ok()?),
        None => None,
    };
    Some(TenantService {
        name: name?,
        url: url?,
        check,
        weight,
        tier,
        connections_max,
        span: item.span(),
    })
}

/// A name of a tenant or service: anything that can stand in one line and in a key.
pub(super) fn name(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let name = decoder.nonempty(field)?;
    if name.contains(|c: char| c == '/' || c.is_control()) || name.trim().is_empty() || name.len() > 253 {
        let message = format!("\"{}\" is not a name", name.value.escape_debug());
        let help = "use up to 253 characters without \"/\" and control characters";
        decoder.report(Finding::new("E0103", name.span, message).help(help));
        return None;
    }
    Some(name)
}

/// `health` and `health_type`. What cannot be read of them has been reported, so that nobody warns of it again.
fn check(decoder: &mut Decoder, fields: &Fields<'_>) -> ServiceCheck {
    let mark = decoder.mark();
    let path = fields.optional("health").map(|field| health(decoder, field));
    let kind = fields.optional("health_type");
    let has_kind = kind.is_some();
    let kind = kind.and_then(|field| decoder.choice(field, &HEALTH_TYPES));
    let is_meant = path.is_some() || (has_kind && kind.is_none());
    let path = path.flatten();
    decoder.effect_since(mark, "the service is used, but not checked");
    let (check, effect) = match kind.map(|kind| kind.value) {
        None | Some(HealthType::Http) => {
            return path.map_or(ServiceCheck::Unwritten { is_meant }, ServiceCheck::Path);
        }
        Some(HealthType::Tcp) => (
            ServiceCheck::Connect,
            "the service is checked by connecting to it",
        ),
        Some(HealthType::None) => (ServiceCheck::Off, "the service is used, but not checked"),
    };
    if path.is_some() {
        let mark = decoder.mark();
        decoder.conflict(
            fields.key_span("health"),
            "\"health\" is a path, which only the health_type http has",
            "remove one of the two",
        );
        decoder.effect_since(mark, effect);
    }
    check
}

/// The path of health checks; an empty one means that there are none.
fn health(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let text = decoder.text(field)?;
    if text.is_empty() {
        return None;
    }
    let is_target = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !text.starts_with('/') || !is_target {
        let message = format!("the health path \"{}\" is not a path", text.value.escape_debug());
        let inner = text.trim_start_matches('/');
        decoder.report(Finding::new("E0403", text.span, message).help(format!("write /{inner}")));
        return None;
    }
    Some(text)
}
