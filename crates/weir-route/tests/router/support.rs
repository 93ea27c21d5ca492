//! What the tests of the router share: short ways to write configurations, and a matcher that is obviously right.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use weir_model::{
    Action, Attachment, ClientIp, FixedAnswer, HeaderMatch, HostPattern, Listener, ListenerKey, Match,
    ObjectName, Origin, PathMatch, QueryMatch, Route, RouteId, Rule, Section, Timeouts, ValueMatch,
};
use weir_route::{Hit, Miss, RequestParts};

/// A listener with these sections.
pub(crate) fn listener(sections: Vec<Section>) -> Listener {
    let key = ListenerKey {
        address: ([127, 0, 0, 1], 80).into(),
    };
    Listener {
        key,
        sections,
        client_ip: ClientIp::Peer,
    }
}

/// A section for `host` with routes under hosts, which must lie inside the section's.
pub(crate) fn section(host: &str, attachments: &[(u32, &[&str])]) -> Section {
    let attachment = |(route, hosts): &(u32, &[&str])| Attachment {
        route: RouteId(*route),
        hosts: hosts.iter().map(|host| HostPattern::parse(host)).collect(),
    };
    Section {
        name: format!("default/gateway/{host}").into(),
        host: HostPattern::parse(host),
        port: 80,
        attachments: attachments.iter().map(attachment).collect(),
        origin: Origin::default(),
    }
}

/// A route of the namespace `default`, with one rule for each list of matches.
pub(crate) fn route(name: &str, created: Option<i64>, rules: Vec<Vec<Match>>) -> Arc<Route> {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let object = ObjectName::new("HTTPRoute", namespace, name);
    Arc::new(Route {
        object,
        created,
        rules: rules.into_iter().map(rule).collect(),
        origin: Origin::default(),
    })
}

fn rule(matches: Vec<Match>) -> Rule {
    Rule {
        key: "".into(),
        name: None,
        matches,
        filters: Vec::new(),
        action: Action::Answer(FixedAnswer {
            status: 500,
            reason: "Test".into(),
            allow: None,
        }),
        timeouts: Timeouts::default(),
        traffic: None,
        origin: Origin::default(),
    }
}

/// Reads `=PATH` (exact), `~REGEX` or `PREFIX`, then words `METHOD:`, `NAME:VALUE`, `NAME:~REGEX`, `?NAME=VALUE`, `?NAME=~REGEX`.
pub(crate) fn matching(text: &str) -> Match {
    let mut words = text.split(' ');
    let path = words.next().unwrap_or_default();
    let path = match path.as_bytes().first() {
        Some(b'=') => PathMatch::Exact(path[1..].into()),
        Some(b'~') => PathMatch::Regex(path[1..].into()),
        _ => PathMatch::Prefix(path.trim_end_matches('/').into()),
    };
    let mut one = Match {
        path,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    let value = |text: &str| match text.strip_prefix('~') {
        Some(pattern) => ValueMatch::Regex(pattern.into()),
        None => ValueMatch::Exact(text.into()),
    };
    for word in words {
        if let Some((name, expected)) = word.strip_prefix('?').and_then(|word| word.split_once('=')) {
            one.query.push(QueryMatch {
                name: name.into(),
                value: value(expected),
            });
        } else {
            match word.split_once(':').expect(word) {
                (method, "") => one.method = Some(method.into()),
                (name, expected) => {
                    one.headers.push(HeaderMatch {
                        name: name.to_lowercase().into(),
                        value: value(expected),
                    });
                }
            }
        }
    }
    one
}

/// Several of [`matching`].
pub(crate) fn matches(texts: &[&str]) -> Vec<Match> {
    texts.iter().map(|text| matching(text)).collect()
}

/// A request as a test writes it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    /// Reads `[METHOD ]HOST/PATH[?QUERY]`; `GET` when there is no method.
    pub(crate) fn new(text: &str) -> Self {
        let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
        let (host, path) = target.split_at(target.find('/').unwrap_or(target.len()));
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
        let (host, path, method) = (host.to_owned(), path.to_owned(), method.to_owned());
        Self {
            host,
            path,
            query,
            method,
            headers: Vec::new(),
        }
    }

    /// The request with header fields added.
    pub(crate) fn with(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        self
    }

    /// Asks with this request.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&RequestParts<'_>) -> T) -> T {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        question(&RequestParts {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &headers,
        })
    }
}

/// The obviously right matcher: collects all matches of the chosen section that cover the request, sorts them by
/// the whole order of precedence, and takes the first.
pub(crate) fn find_naively(
    listener: &Listener,
    routes: &[Arc<Route>],
    request: &RequestParts<'_>,
) -> Result<Hit, Miss> {
    let covering = listener
        .sections
        .iter()
        .map(|section| &section.host)
        .filter(|host| host.matches(request.host));
    let chosen = covering
        .max_by_key(|host| host.specificity())
        .ok_or(Miss::NoHost)?;
    let mut found = Vec::new();
    for (section, at) in listener
        .sections
        .iter()
        .zip(0..)
        .filter(|(section, _)| section.host == *chosen)
    {
        for attachment in &section.attachments {
            let route = &routes[attachment.route.0 as usize];
            for (one, hit) in all_matches(route, attachment.route, at) {
                for host in attachment.hosts.iter().filter(|host| host.matches(request.host)) {
                    if holds(one, request) {
                        found.push((
                            precedence(host, route, one),
                            hit.route,
                            hit.rule,
                            hit.match_index,
                            hit,
                        ));
                    }
                }
            }
        }
    }
    found.sort();
    found.first().map(|found| found.4).ok_or(Miss::NoRoute)
}

fn all_matches(route: &Route, id: RouteId, section: u32) -> impl Iterator<Item = (&Match, Hit)> {
    route.rules.iter().zip(0..).flat_map(move |(of, rule)| {
        let matches = of.matches.iter().zip(0..);
        matches.map(move |(one, match_index)| {
            (
                one,
                Hit {
                    section,
                    route: id,
                    rule,
                    match_index,
                },
            )
        })
    })
}

/// Smaller precedes.
fn precedence(host: &HostPattern, route: &Route, one: &Match) -> impl Ord {
    let path = match &one.path {
        PathMatch::Exact(_) => (3, 0),
        PathMatch::Regex(text) => (2, text.chars().count()),
        PathMatch::Prefix(text) => (1, text.chars().count()),
    };
    let conditions = (one.method.is_some(), headers(one).count(), query(one).count());
    let age = (route.created.is_none(), route.created);
    let name = format!("{}/{}", route.object.namespace, route.object.name);
    (Reverse((host.specificity(), path, conditions)), age, name)
}

/// The first condition of each name.
fn headers(one: &Match) -> impl Iterator<Item = &HeaderMatch> {
    let first = |name: &str| one.headers.iter().position(|header| *header.name == *name);
    one.headers
        .iter()
        .enumerate()
        .filter(move |(at, header)| first(&header.name) == Some(*at))
        .map(|(_, header)| header)
}

/// The first condition of each name.
fn query(one: &Match) -> impl Iterator<Item = &QueryMatch> {
    let first = |name: &str| one.query.iter().position(|query| *query.name == *name);
    one.query
        .iter()
        .enumerate()
        .filter(move |(at, query)| first(&query.name) == Some(*at))
        .map(|(_, query)| query)
}

fn holds(one: &Match, request: &RequestParts<'_>) -> bool {
    let path = match &one.path {
        PathMatch::Exact(text) => **text == *request.path,
        PathMatch::Prefix(text) => *request.path == **text || request.path.starts_with(&format!("{text}/")),
        PathMatch::Regex(text) => matches_whole(text, request.path),
    };
    path && one
        .method
        .as_ref()
        .is_none_or(|method| **method == *request.method)
        && headers(one).all(|header| {
            let mut joined = String::new();
            let value = request.headers.value(&header.name, &mut joined);
            value.is_some_and(|value| value_holds(&header.value, value))
        })
        && query(one).all(|query| {
            let pairs = request.query.unwrap_or_default().split('&');
            let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            let named = pairs.find(|(name, _)| **name == *query.name || decoded(name) == *query.name);
            named.is_some_and(|(_, value)| {
                value_holds(&query.value, value) || value_holds(&query.value, &decoded(value))
            })
        })
}

fn value_holds(expected: &ValueMatch, value: &str) -> bool {
    match expected {
        ValueMatch::Exact(text) => **text == *value,
        ValueMatch::Regex(text) => matches_whole(text, value),
    }
}

/// Knows the only escapes that the tests use.
fn decoded(sent: &str) -> String {
    sent.replace("%61", "a").replace("%71", "q")
}

fn matches_whole(pattern: &str, value: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let compile = || Regex::new(&format!("^(?:{pattern})$")).ok();
        let regex = compiled.entry(pattern.to_owned()).or_insert_with(compile);
        regex.as_ref().is_some_and(|regex| regex.is_match(value))
    })
}
