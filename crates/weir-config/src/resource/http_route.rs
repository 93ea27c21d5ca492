//! `gateway.networking.k8s.io` `HTTPRoute`.

use std::collections::{HashMap, HashSet};

use weir_model::HostPattern;

use super::decode::{Decoder, Field, Fields, portability};
use super::{HttpMatch, HttpRule, ParentReference, hostname, http_rule};
use crate::yaml::Spanned;

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

/// Matches of all rules of a route that an API server accepts.
const MATCHES_USUAL: usize = 128;

/// Reads `spec`. `None` when the route would serve hosts that it was not meant for.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<HttpRoute> {
    let known = ["parentRefs", "hostnames", "rules", "useDefaultGateways"];
    let fields = decoder.fields_with_vital(spec, &known, ["parentRefs", "hostnames", "rules"])?;
    let parents = parents(decoder, &fields);
    let hostnames = match fields.optional("hostnames") {
        Some(field) => hostnames(decoder, field)?,
        None => Vec::new(),
    };
    let rules = match fields.optional("rules") {
        Some(field) => http_rule::decode(decoder, field),
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
    (!fields.has_misspelt()).then_some(HttpRoute {
        parents,
        hostnames,
        rules,
    })
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

#[cfg(test)]
mod tests {
    use weir_model::PathMatch;

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
            ("{match: [{method: GET}]}", (0, true, vec![])),
            (
                "{matchs: [{method: GET}], matches: [{method: GET}]}",
                (1, false, vec![]),
            ),
            ("{matches: [{methods: GET}]}", (0, false, vec![])),
            (
                "{matches: [{paths: {value: /a}}, {path: {value: /b}}]}",
                (1, false, vec![]),
            ),
            ("{matches: [{path: {valeu: /a}}]}", (0, false, vec![])),
            ("{matches: [{header: [{name: a, value: b}]}]}", (0, false, vec![])),
            ("{matches: [{query: [{name: a, value: b}]}]}", (0, false, vec![])),
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
        for spec in [
            "{hostname: [a.com]}",
            "{parentRef: [{name: g}]}",
            "{rule: []}",
            "{hosts: [a.com]}",
        ] {
            assert!(route(spec).is_none(), "{spec}");
        }
        assert!(route("{hostname: [a.com], hostnames: [b.com]}").is_some());
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
            ("{filter: []}", (1, true, vec![])),
            ("{backendRef: []}", (1, true, vec![])),
            (
                "{backendRefs: [{name: a, port: 80, namepsace: b}, {name: b, port: 80, weigth: 0}, {name: c, port: 80, x: 1}]}",
                (1, false, vec![true, true, false]),
            ),
            (
                "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, percents: 1}}]}",
                (1, true, vec![]),
            ),
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
    fn paths_are_normalised_as_those_of_requests_are() {
        for (path, expected) in [
            ("/m%c3%bcller", Some("/m%C3%BCller")),
            ("/%41%7e", Some("/A~")),
            ("/a%20b", Some("/a%20b")),
            ("/a%5cb", None),
            ("/a%00", None),
            ("/%2e%2e/a", None),
        ] {
            let route = route(&format!(
                "{{rules: [{{matches: [{{path: {{type: Exact, value: '{path}'}}}}]}}]}}"
            ));
            let rule = route.expect(path).rules[0].clone();
            let found = rule.matches.first().map(|found| found.path.value.clone());
            assert_eq!(
                found,
                expected.map(|path| PathMatch::Exact(path.into())),
                "{path}"
            );
        }
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
