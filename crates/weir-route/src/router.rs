//! The compiled routes of one listener.

use std::cmp::Reverse;
use std::sync::Arc;

use regex::Regex;
use weir_model::{HostPattern, Listener, Match, PathMatch, Route, ValueMatch};

use crate::{Considered, Explanation, Hit, Miss, Refusal, RequestParts, Verdict};

/// The compiled routes of one listener. Immutable; meant to be shared.
#[derive(Debug)]
pub struct Router {
    sections: Vec<HostPattern>,
    entries: Vec<(HostPattern, Hit, Match)>,
}

impl Router {
    /// Compiles the routes attached to `listener`; `routes` is indexed by [`weir_model::RouteId`].
    pub fn build(listener: &Listener, routes: &[Arc<Route>]) -> Self {
        let mut entries = Vec::new();
        for (section, at) in (0..).zip(&listener.sections) {
            for attachment in &at.attachments {
                let Some(route) = routes.get(attachment.route.0 as usize) else {
                    continue;
                };
                for (rule, of) in (0..).zip(&route.rules) {
                    for (match_index, one) in (0..).zip(&of.matches) {
                        for host in &attachment.hosts {
                            let hit = Hit {
                                section,
                                route: attachment.route,
                                rule,
                                match_index,
                            };
                            entries.push((host.clone(), hit, one.clone()));
                        }
                    }
                }
            }
        }
        entries.sort_by_key(|(host, hit, one)| {
            let route = &routes[hit.route.0 as usize];
            let path = match &one.path {
                PathMatch::Exact(_) => (2, 0),
                PathMatch::Regex(text) => (1, text.chars().count()),
                PathMatch::Prefix(text) => (0, text.chars().count()),
            };
            let conditions = (path, one.method.is_some(), one.headers.len(), one.query.len());
            let name = format!("{}/{}", route.object.namespace, route.object.name);
            (
                Reverse((host.specificity(), conditions)),
                route.created.is_none(),
                route.created,
                name,
                *hit,
            )
        });
        Self {
            sections: listener
                .sections
                .iter()
                .map(|section| section.host.clone())
                .collect(),
            entries,
        }
    }

    /// The match that serves a request.
    ///
    /// # Errors
    /// [`Miss`] says why nothing does.
    pub fn find(&self, request: &RequestParts<'_>) -> Result<Hit, Miss> {
        let covering = self.sections.iter().filter(|host| host.matches(request.host));
        let best = covering
            .max_by_key(|host| host.specificity())
            .ok_or(Miss::NoHost)?;
        let mut entries = self.entries.iter().filter(|(host, hit, _)| {
            self.sections[hit.section as usize] == *best && host.matches(request.host)
        });
        entries
            .find(|(.., one)| holds(one, request))
            .map(|(_, hit, _)| *hit)
            .ok_or(Miss::NoRoute)
    }

    /// How [`Router::find`] comes to its answer: candidates in order of precedence and why each lost.
    pub fn explain(&self, request: &RequestParts<'_>) -> Explanation {
        let outcome = self.find(request);
        let considered = |(host, hit, _): &(HostPattern, Hit, Match)| Considered {
            at: *hit,
            host: host.clone(),
            verdict: if outcome == Ok(*hit) {
                Verdict::Chosen
            } else {
                Verdict::Refused(vec![Refusal::Path])
            },
        };
        let candidates = self.entries.iter().map(considered).collect();
        Explanation {
            sections: Vec::new(),
            section_host: None,
            outcome,
            candidates,
            omitted: 0,
        }
    }
}

fn holds(one: &Match, request: &RequestParts<'_>) -> bool {
    let path = match &one.path {
        PathMatch::Exact(text) => **text == *request.path,
        PathMatch::Prefix(text) => request
            .path
            .strip_prefix(&**text)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        PathMatch::Regex(text) => matches_whole(text, request.path),
    };
    let value_is = |expected: &ValueMatch, value: &str| match expected {
        ValueMatch::Exact(text) => **text == *value,
        ValueMatch::Regex(text) => matches_whole(text, value),
    };
    let parameter = |name: &str| {
        let pairs = request.query.unwrap_or_default().split('&');
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|pair| pair.1)
    };
    path && one
        .method
        .as_ref()
        .is_none_or(|method| **method == *request.method)
        && one.headers.iter().all(|header| {
            let mut joined = String::new();
            request
                .headers
                .value(&header.name, &mut joined)
                .is_some_and(|value| value_is(&header.value, value))
        })
        && one
            .query
            .iter()
            .all(|query| parameter(&query.name).is_some_and(|value| value_is(&query.value, value)))
}

fn matches_whole(pattern: &str, value: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(value))
}
