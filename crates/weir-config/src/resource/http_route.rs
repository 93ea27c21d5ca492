//! `gateway.networking.k8s.io` `HTTPRoute`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use weir_model::{HeaderMatch, HostPattern, PathMatch, QueryMatch, Weight};

use super::decode::{Decoder, Field, Fields, portability};
use super::{
    BackendReference, HttpFilter, ParentReference, Reference, hostname, http_filter, http_match, words,
};
use crate::yaml::{Span, Spanned};

/// Where requests go.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRoute {
    /// `spec.parentRefs`.
    pub parents: Vec<ParentReference>,
    /// `spec.hostnames`; empty means the listener's.
    pub hostnames: Vec<Spanned<HostPattern>>,
    /// `spec.rules`. Rules keep their place in the list, so an index here is the index written.
    pub rules: Vec<HttpRule>,
}

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
    /// `retry`, which is not served.
    pub retry: Option<Span>,
    /// `sessionPersistence`, which is not served.
    pub session_persistence: Option<Span>,
    /// Something besides its matches and backends is an error, already reported: requests that match must be
    /// answered 500 instead of being forwarded with a filter or bound left out.
    pub refused: bool,
    /// Where the rule starts.
    pub span: Span,
}

/// One entry of `matches`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpMatch {
    /// `path`; the prefix `/` when not written.
    pub path: Spanned<PathMatch>,
    /// `method`.
    pub method: Option<Spanned<Arc<str>>>,
    /// `headers`, names in lower case and unique: the first of equal names counts.
    pub headers: Vec<Spanned<HeaderMatch>>,
    /// `queryParams`, names unique: the first of equal names counts.
    pub query: Vec<Spanned<QueryMatch>>,
    /// Where the match starts.
    pub span: Span,
}

/// One entry of `backendRefs`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpBackendRef {
    /// What it refers to.
    pub backend: BackendReference,
    /// Its share; 1 when not written.
    pub weight: Spanned<Weight>,
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

const METHODS: &[(&str, &str)] = &[
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("DELETE", "DELETE"),
    ("CONNECT", "CONNECT"),
    ("OPTIONS", "OPTIONS"),
    ("TRACE", "TRACE"),
    ("PATCH", "PATCH"),
];

/// Matches of all rules of a route that an API server accepts.
const MATCHES_USUAL: usize = 128;

/// Reads `spec`. `None` when the route would serve hosts that it was not meant for.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<HttpRoute> {
    let fields = decoder.fields(spec, &["parentRefs", "hostnames", "rules", "useDefaultGateways"])?;
    let parents = parents(decoder, &fields);
    let hostnames = match fields.optional("hostnames") {
        Some(field) => hostnames(decoder, field)?,
        None => Vec::new(),
    };
    let rules = match fields.optional("rules") {
        Some(field) => rules(decoder, field),
        None => vec![HttpRule {
            matches: vec![HttpMatch::everything(spec.span())],
            ..HttpRule::empty(spec.span())
        }],
    };
    let matches: usize = rules.iter().map(|rule| rule.matches.len()).sum();
    if matches > MATCHES_USUAL {
        let message =
            format!("the rules have {matches} matches; Kubernetes accepts {MATCHES_USUAL} in one HTTPRoute");
        decoder.report(portability(fields.key_span("rules"), message));
    }
    Some(HttpRoute {
        parents,
        hostnames,
        rules,
    })
}

impl HttpMatch {
    /// The match of a rule that names none: the prefix `/`.
    fn everything(span: Span) -> Self {
        Self {
            path: Spanned::default_of(PathMatch::Prefix(words::shared(""))),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            span,
        }
    }
}

impl HttpRule {
    fn empty(span: Span) -> Self {
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

fn parents(decoder: &mut Decoder, fields: &Fields<'_>) -> Vec<ParentReference> {
    let mark = decoder.mark();
    let items = fields
        .optional("parentRefs")
        .map(|field| decoder.items(field, 32))
        .unwrap_or_default();
    let parents: Vec<_> = items
        .into_iter()
        .filter_map(|item| ParentReference::decode(decoder, item))
        .collect();
    decoder.effect_since(mark, "the route is not attached to this parent");
    let mut seen: HashMap<_, HashSet<_>> = HashMap::new();
    for parent in &parents {
        let names = (parent.section(), parent.port.map(|port| port.value));
        let others = seen.entry(parent.object_key()).or_default();
        // Of several references to one parent each must name a part of it, and another one (Gateway API, CEL
        // rules of `parentRefs`).
        let is_whole = names == (None, None) && !others.is_empty() || others.contains(&(None, None));
        if !others.insert(names) || is_whole {
            let message = format!("the parent \"{}\" is listed twice", parent.object.name.value);
            let finding = portability(parent.object.name.span, message);
            decoder.report(finding.help("name a different \"sectionName\" or \"port\" in each of them"));
        }
    }
    parents
}

fn hostnames(decoder: &mut Decoder, field: Field<'_>) -> Option<Vec<Spanned<HostPattern>>> {
    let mark = decoder.mark();
    let items = decoder.items(field, 16);
    let written = items.len();
    let hosts: Vec<_> = items
        .into_iter()
        .filter_map(|item| hostname::decode(decoder, item))
        .collect();
    if hosts.is_empty() && (written > 0 || decoder.failed_since(mark)) {
        // Without any host the route would serve all hosts of its listeners.
        decoder.effect_since(
            mark,
            "the route is not served, because none of its hostnames is usable",
        );
        return None;
    }
    decoder.effect_since(mark, "the route does not serve this host");
    Some(hosts)
}

fn rules(decoder: &mut Decoder, field: Field<'_>) -> Vec<HttpRule> {
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
    let Some(fields) = decoder.fields(item, &known) else {
        rule.refused = true;
        return rule;
    };
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
    rule.retry = fields.optional("retry").map(|_| fields.key_span("retry"));
    rule.session_persistence = fields
        .optional("sessionPersistence")
        .map(|_| fields.key_span("sessionPersistence"));
    rule.refused = decoder.failed_since(mark);
    rule
}

/// The valid matches; without any written one, the match of everything.
fn matches(decoder: &mut Decoder, fields: &Fields<'_>) -> Vec<HttpMatch> {
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
        .filter_map(|item| one_match(decoder, item))
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

fn one_match(decoder: &mut Decoder, item: Field<'_>) -> Option<HttpMatch> {
    let fields = decoder.fields(item, &["path", "method", "headers", "queryParams"])?;
    let mark = decoder.mark();
    let mut found = HttpMatch::everything(item.span());
    if let Some(field) = fields.optional("path") {
        found.path = http_match::path(decoder, field)?;
    }
    if let Some(field) = fields.optional("method") {
        let method = decoder.choice(field, METHODS)?;
        found.method = Some(Spanned::new(words::shared(method.value), method.span));
    }
    if let Some(field) = fields.optional("headers") {
        found.headers = http_match::headers(decoder, field);
    }
    if let Some(field) = fields.optional("queryParams") {
        found.query = http_match::query(decoder, field);
    }
    (!decoder.failed_since(mark)).then_some(found)
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
        filters: Vec::new(),
        refused: true,
    };
    let known = ["group", "kind", "namespace", "name", "port", "weight", "filters"];
    let Some(fields) = decoder.fields(item, &known) else {
        decoder.effect_since(mark, "its share of the requests is answered 500");
        return found;
    };
    if let Some(backend) = BackendReference::from_fields(decoder, &fields) {
        found.backend = backend;
    }
    if let Some(weight) = fields.optional("weight").and_then(|field| decoder.weight(field)) {
        found.weight = weight;
    }
    if let Some(field) = fields.optional("filters") {
        found.filters = http_filter::decode_list(decoder, field);
        prefix_rule(decoder, &found.filters, matches);
    }
    found.refused = decoder.failed_since(mark);
    decoder.effect_since(mark, "its share of the requests is answered 500");
    found
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Body, ResourceSet};

    /// Decodes a route with this `spec` (in flow style).
    fn route(spec: &str) -> Option<HttpRoute> {
        let text = format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r}}, spec: {spec}}}"
        );
        let set = ResourceSet::from_texts([("r.yaml", &*text)]);
        match &set.objects.first()?.resource.body {
            Body::HttpRoute(route) => Some(route.clone()),
            _ => None,
        }
    }

    /// A rule in short: its matches, whether it is refused, and which backends are.
    fn rule(rule: &str) -> (usize, bool, Vec<bool>) {
        let route = route(&format!("{{rules: [{rule}]}}")).expect(rule);
        let rule = &route.rules[0];
        (
            rule.matches.len(),
            rule.refused,
            rule.backends.iter().map(|backend| backend.refused).collect(),
        )
    }

    #[test]
    fn what_cannot_be_read_never_widens_what_is_matched() {
        for (text, expected) in [
            ("{}", (1, false, vec![])),
            ("{matches: []}", (1, false, vec![])),
            ("{matches: null}", (1, false, vec![])),
            ("{matches: [{}]}", (1, false, vec![])),
            ("{matches: [{method: get}]}", (0, false, vec![])),
            ("{matches: [{method: get}, {method: GET}]}", (1, false, vec![])),
            ("{matches: {method: GET}}", (0, false, vec![])),
            ("{matches: [null]}", (0, false, vec![])),
            ("text", (0, true, vec![])),
        ] {
            assert_eq!(rule(text), expected, "{text}");
        }
        let everything = route("{rules: [{}]}").expect("a route").rules[0].matches[0].clone();
        assert_eq!(everything.path.value, PathMatch::Prefix("".into()));
        assert!(
            route("{hostnames: [_]}").is_none(),
            "no host left must not mean all hosts"
        );
        assert!(route("{hostnames: [_, a.com]}").is_some_and(|route| route.hostnames.len() == 1));
        assert!(route("{hostnames: []}").is_some_and(|route| route.hostnames.is_empty()));
    }

    #[test]
    fn only_what_is_wrong_is_refused() {
        for (text, expected) in [
            (
                "{backendRefs: [{name: a, port: 80}, {name: b}]}",
                (1, false, vec![false, true]),
            ),
            (
                "{backendRefs: [{name: a, port: 80, filters: [{type: CORS}]}]}",
                (1, false, vec![true]),
            ),
            ("{backendRefs: [1]}", (1, false, vec![true])),
            (
                "{backendRefs: [{kind: Backend, group: gateway.envoyproxy.io, name: a}]}",
                (1, false, vec![false]),
            ),
            (
                "{filters: [{type: CORS}], backendRefs: [{name: a, port: 80}]}",
                (1, true, vec![false]),
            ),
            ("{timeouts: {request: 1}}", (1, true, vec![])),
            ("{timeouts: {request: 1s, backendRequest: 2s}}", (1, true, vec![])),
            (
                "{timeouts: {request: 0s, backendRequest: 2s}}",
                (1, false, vec![]),
            ),
            ("{name: ''}", (1, false, vec![])),
            ("{unknown: 1}", (1, false, vec![])),
        ] {
            assert_eq!(rule(text), expected, "{text}");
        }
    }

    #[test]
    fn a_route_without_rules_matches_everything() {
        let route = route("{}").expect("a route");
        assert_eq!((route.rules.len(), route.rules[0].matches.len()), (1, 1));
    }

    #[test]
    fn prefixes_lose_their_trailing_slash_and_header_names_their_case() {
        let route = route(
            "{rules: [{matches: [{path: {value: /a/}, headers: [{name: X-Y, value: Z}], method: GET}, {path: {type: Exact, value: /a/}}]}]}",
        );
        let matches = &route.expect("a route").rules[0].matches;
        assert_eq!(matches[0].path.value, PathMatch::Prefix("/a".into()));
        assert_eq!(&*matches[0].headers[0].name, "x-y");
        assert_eq!(
            matches[0].method.as_ref().map(|method| &*method.value),
            Some("GET")
        );
        assert_eq!(matches[1].path.value, PathMatch::Exact("/a/".into()));
    }
}
