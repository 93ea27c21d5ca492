//! Rules of an `HTTPRoute`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{PathMatch, Retry, Tier, Weight, limits};

use super::decode::{Decoder, Field, Fields, portability};
use super::{
    BackendReference, HttpFilter, HttpMatch, Reference, SessionPersistence, http_filter, http_match,
    http_retry, session_persistence,
};
use crate::yaml::{Span, Spanned};

/// One entry of `spec.rules`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRule {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// The matches that are valid. A rule that names none has one that matches the prefix `/`. Empty only when
    /// all of its matches were refused: then the rule matches nothing.
    pub matches: Vec<HttpMatch>,
    /// `filters` in the order written.
    pub filters: Vec<Spanned<HttpFilter>>,
    /// `backendRefs` in the order written.
    pub backends: Vec<HttpBackendRef>,
    /// `timeouts`.
    pub timeouts: HttpTimeouts,
    /// `retry`, where its key is.
    pub retry: Option<Spanned<Retry>>,
    /// `sessionPersistence`, where its key is.
    pub session_persistence: Option<Spanned<SessionPersistence>>,
    /// Something besides its matches and backends is an error, already reported: requests that match must be
    /// answered 500 instead of being forwarded with a filter or bound left out.
    pub refused: bool,
    /// Where the rule starts.
    pub span: Span,
}

/// One entry of `backendRefs`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpBackendRef {
    /// What it refers to.
    pub backend: BackendReference,
    /// Its share; 1 when not written.
    pub weight: Spanned<Weight>,
    /// weir's own `priority`: when it is used, 0 first (row LB26).
    pub priority: Option<Spanned<Tier>>,
    /// Filters of this backendRef only.
    pub filters: Vec<Spanned<HttpFilter>>,
    /// Something in it is an error, already reported: its share of the requests is answered 500.
    pub refused: bool,
}

/// `timeouts`. Zero switches a bound off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// The whole exchange.
    pub request: Option<Spanned<Duration>>,
    /// One try.
    pub backend_request: Option<Spanned<Duration>>,
}

impl HttpRule {
    /// A rule that says nothing and matches nothing.
    pub(super) fn empty(span: Span) -> Self {
        Self {
            name: None,
            matches: Vec::new(),
            filters: Vec::new(),
            backends: Vec::new(),
            timeouts: HttpTimeouts::default(),
            retry: None,
            session_persistence: None,
            refused: false,
            span,
        }
    }
}

/// Reads `rules`.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Vec<HttpRule> {
    let items = decoder.items(field, 16);
    let mut rules: Vec<HttpRule> = Vec::with_capacity(items.len());
    let mut names = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let mark = decoder.mark();
        let mut rule = rule(decoder, *item);
        let others = match items.len() - 1 {
            0 => String::new(),
            1 => "; the other rule is served".to_owned(),
            others => format!("; the other {others} rules are served"),
        };
        if rule.refused {
            decoder.effect_since(mark, &format!("rule {} answers 500{others}", index + 1));
        }
        if let Some(name) = &rule.name
            && !names.insert(name.value.clone())
        {
            let message = format!("two rules have the name \"{}\"", name.value);
            decoder.report(portability(name.span, message).label("policies apply to the first one"));
            rule.name = None;
        }
        rules.push(rule);
    }
    rules
}

fn rule(decoder: &mut Decoder, item: Field<'_>) -> HttpRule {
    let known = [
        "name",
        "matches",
        "filters",
        "backendRefs",
        "timeouts",
        "retry",
        "sessionPersistence",
    ];
    let mut rule = HttpRule::empty(item.span());
    let mark = decoder.mark();
    let Some(fields) = decoder.fields_with_vital(item, &known, ["matches", "filters", "backendRefs"]) else {
        rule.refused = true;
        return rule;
    };
    if fields.is_misspelt("matches") {
        decoder.effect_since(mark, "the rule matches no request");
    }
    rule.name = fields.optional("name").and_then(|field| decoder.name(field));
    rule.matches = matches(decoder, &fields);
    if let Some(field) = fields.optional("backendRefs") {
        rule.backends = decoder
            .items(field, 16)
            .into_iter()
            .map(|item| backend(decoder, item, &rule.matches))
            .collect();
    }
    let mark = decoder.mark();
    if let Some(field) = fields.optional("filters") {
        rule.filters = http_filter::decode_list(decoder, field);
        prefix_rule(decoder, &rule.filters, &rule.matches);
    }
    let redirect = rule
        .filters
        .iter()
        .find(|filter| matches!(filter.value, HttpFilter::Redirect(_)));
    if let Some(redirect) = redirect.filter(|_| !rule.backends.is_empty()) {
        let message = "a rule with RequestRedirect takes no \"backendRefs\"";
        decoder.conflict(
            redirect.span,
            message,
            "a redirected request is not forwarded: remove one of the two",
        );
    }
    if let Some(field) = fields.optional("timeouts") {
        rule.timeouts = timeouts(decoder, field);
    }
    if let Some(field) = fields.optional("retry") {
        let retry = http_retry::decode(decoder, field);
        rule.retry = retry.map(|retry| Spanned::new(retry, fields.key_span("retry")));
    }
    if let Some(field) = fields.optional("sessionPersistence") {
        let found = session_persistence::decode(decoder, field);
        rule.session_persistence =
            found.map(|found| Spanned::new(found, fields.key_span("sessionPersistence")));
    }
    rule.refused = decoder.failed_since(mark) || fields.has_misspelt();
    rule
}

/// The valid matches; without any written one, the match of everything.
fn matches(decoder: &mut Decoder, fields: &Fields<'_>) -> Vec<HttpMatch> {
    // Nobody knows which requests were meant; all of them were not.
    if fields.is_misspelt("matches") {
        return Vec::new();
    }
    let Some(field) = fields.optional("matches") else {
        return vec![HttpMatch::everything(fields.span())];
    };
    let mark = decoder.mark();
    let items = decoder.items(field, 64);
    if items.is_empty() && !decoder.failed_since(mark) {
        return vec![HttpMatch::everything(fields.span())];
    }
    let matches: Vec<_> = items
        .into_iter()
        .filter_map(|item| http_match::decode(decoder, item))
        .collect();
    decoder.effect_since(
        mark,
        match matches.is_empty() {
            true => "the rule matches no request",
            false => "the rule's other matches are served",
        },
    );
    matches
}

fn backend(decoder: &mut Decoder, item: Field<'_>, matches: &[HttpMatch]) -> HttpBackendRef {
    let mark = decoder.mark();
    let unreadable = || BackendReference {
        object: Reference::unreadable(item.span()),
        port: None,
    };
    let mut found = HttpBackendRef {
        backend: unreadable(),
        weight: Spanned::default_of(Weight::ONE),
        priority: None,
        filters: Vec::new(),
        refused: true,
    };
    let known = [
        "group",
        "kind",
        "namespace",
        "name",
        "port",
        "weight",
        "priority",
        "filters",
    ];
    let vital = ["group", "kind", "namespace", "weight", "filters"];
    let Some(fields) = decoder.fields_with_vital(item, &known, vital) else {
        decoder.effect_since(mark, "its share of the requests is answered 500");
        return found;
    };
    if let Some(backend) = BackendReference::from_fields(decoder, &fields) {
        found.backend = backend;
    }
    if let Some(weight) = fields.optional("weight").and_then(|field| decoder.weight(field)) {
        found.weight = weight;
    }
    if let Some(field) = fields.optional("priority") {
        found.priority = priority(decoder, field);
    }
    if let Some(field) = fields.optional("filters") {
        found.filters = http_filter::decode_list(decoder, field);
        prefix_rule(decoder, &found.filters, matches);
    }
    found.refused = decoder.failed_since(mark);
    decoder.effect_since(mark, "its share of the requests is answered 500");
    found
}

/// weir's own field, which the API's schema does not have.
fn priority(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Tier>> {
    let number = decoder.integer(field, 0..=i64::from(limits::TIER_MAX))?;
    let message = "\"priority\" is weir's own: Kubernetes drops it";
    let help = "in a cluster use failover.priorities of a TrafficPolicy (weir.dev/v1alpha1)";
    decoder.report(portability(field.span(), message).help(help));
    let tier = u64::try_from(number.value).ok().and_then(Tier::new)?;
    Some(Spanned::new(tier, number.span))
}

/// `replacePrefixMatch` needs to know which prefix was matched (Gateway API, CEL rules of `HTTPRouteRule`).
fn prefix_rule(decoder: &mut Decoder, filters: &[Spanned<HttpFilter>], matches: &[HttpMatch]) {
    let one_prefix = matches!(matches, [only] if matches!(only.path.value, PathMatch::Prefix(_)));
    let Some(filter) = filters.iter().find(|filter| filter.replaces_prefix()) else {
        return;
    };
    if !one_prefix {
        let message = "\"replacePrefixMatch\" needs a rule with exactly one match, of type PathPrefix";
        decoder.conflict(
            filter.span,
            message,
            "make one rule for each prefix, or use \"replaceFullPath\"",
        );
    }
}

fn timeouts(decoder: &mut Decoder, field: Field<'_>) -> HttpTimeouts {
    let Some(fields) = decoder.fields(field, &["request", "backendRequest"]) else {
        return HttpTimeouts::default();
    };
    let request = fields
        .optional("request")
        .and_then(|field| decoder.duration(field));
    let backend_request = fields
        .optional("backendRequest")
        .and_then(|field| decoder.duration(field));
    // Gateway API `HTTPRouteTimeouts`; a request timeout of zero is no timeout.
    if let (Some(whole), Some(one)) = (request, backend_request)
        && !whole.is_zero()
        && one.value > whole.value
    {
        let message = "\"backendRequest\" is longer than \"request\"";
        decoder.conflict(
            one.span,
            message,
            "one try cannot take longer than the whole: lower it or raise \"request\"",
        );
    }
    HttpTimeouts {
        request,
        backend_request,
    }
}
