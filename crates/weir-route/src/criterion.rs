//! Conditions outside of routing, in the same sense: what a policy counts or treats.

use std::sync::Arc;

use weir_model::{HeaderMatch, PathMatch, QueryMatch, ValueMatch};

use crate::condition::{PatternCache, ValueTest};
use crate::query;
use crate::request::RequestParts;

/// One condition on a request, compiled.
#[derive(Debug)]
pub struct Criterion(Kind);

#[derive(Debug)]
enum Kind {
    Header(Arc<str>, ValueTest),
    Query(Arc<str>, ValueTest),
    Path(ValueTest),
    PathPrefix(Arc<str>),
}

impl Criterion {
    /// A condition on a header. One that is missing does not fulfil it.
    pub fn of_header(condition: &HeaderMatch) -> Self {
        Self(Kind::Header(condition.name.clone(), test(&condition.value)))
    }

    /// A condition on a query parameter. One that is missing does not fulfil it.
    pub fn of_query(condition: &QueryMatch) -> Self {
        Self(Kind::Query(condition.name.clone(), test(&condition.value)))
    }

    /// A condition on the path.
    pub fn of_path(condition: &PathMatch) -> Self {
        Self(match condition {
            PathMatch::Exact(text) => Kind::Path(ValueTest::Exact(text.clone())),
            PathMatch::Regex(text) => Kind::Path(test(&ValueMatch::Regex(text.clone()))),
            PathMatch::Prefix(prefix) => Kind::PathPrefix(prefix.clone()),
        })
    }

    /// Whether the request fulfils it.
    pub fn holds(&self, request: &RequestParts<'_>) -> bool {
        match &self.0 {
            Kind::Header(name, test) => {
                let mut joined = String::new();
                request
                    .headers
                    .value(name, &mut joined)
                    .is_some_and(|value| test.header_holds(value))
            }
            Kind::Query(name, test) => request
                .query
                .and_then(|query| query::first_value(query, name))
                .is_some_and(|value| test.query_holds(value)),
            Kind::Path(test) => test.header_holds(request.path),
            Kind::PathPrefix(prefix) => request
                .path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

fn test(value: &ValueMatch) -> ValueTest {
    ValueTest::of(value, &mut PatternCache::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_hold_as_the_conditions_of_routes_do() {
        let header = |value| {
            Criterion::of_header(&HeaderMatch {
                name: "x-user".into(),
                value,
            })
        };
        let query = |value| {
            Criterion::of_query(&QueryMatch {
                name: "q".into(),
                value,
            })
        };
        let (exact, regex) = (
            |text: &str| ValueMatch::Exact(text.into()),
            |text: &str| ValueMatch::Regex(text.into()),
        );
        for (criterion, expected) in [
            (header(exact("one,two")), true),
            (header(exact("one")), false),
            (header(regex("one.*")), true),
            (header(regex("one")), false),
            (header(regex("(")), false),
            (query(exact("a b")), true),
            (query(exact("a%20b")), true),
            (query(regex("a.*")), true),
            (query(exact("c")), false),
            (Criterion::of_path(&PathMatch::Exact("/api/x".into())), true),
            (Criterion::of_path(&PathMatch::Exact("/api".into())), false),
            (Criterion::of_path(&PathMatch::Prefix("/api".into())), true),
            (Criterion::of_path(&PathMatch::Prefix("".into())), true),
            (Criterion::of_path(&PathMatch::Prefix("/ap".into())), false),
            (Criterion::of_path(&PathMatch::Regex("/api/.".into())), true),
            (Criterion::of_path(&PathMatch::Regex("/api".into())), false),
        ] {
            let request = RequestParts {
                host: "",
                path: "/api/x",
                query: Some("p=1&q=a%20b&q=c"),
                method: "GET",
                headers: &[("X-User", "one"), ("x-user", "two")],
            };
            assert_eq!(criterion.holds(&request), expected, "{criterion:?}");
        }
    }
}
