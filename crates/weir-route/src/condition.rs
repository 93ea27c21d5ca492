//! The conditions of a match beside host and path.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{HeaderMatch, Match, ValueMatch};

use crate::pattern::Pattern;
use crate::precedence::{effective_headers, effective_query};
use crate::query;
use crate::request::{HeaderView, RequestParts};
use crate::verdict::Refusal;

/// Conditions on method, headers and query parameters. All must hold.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) method: Option<Arc<str>>,
    /// Lower-case names.
    pub(crate) headers: Box<[(Arc<str>, ValueTest)]>,
    pub(crate) query: Box<[(Arc<str>, ValueTest)]>,
}

/// Condition on a value.
#[derive(Debug)]
pub(crate) enum ValueTest {
    Exact(Arc<str>),
    Pattern(Arc<Pattern>),
    /// The regular expression with this text cannot be compiled: nothing matches.
    Never(Arc<str>),
}

/// Conditions on headers alone, of a request or a response. All must hold.
#[derive(Debug)]
pub struct HeaderConditions(Box<[(Arc<str>, ValueTest)]>);

/// Compiles each regular expression of a listener once, however often it is written.
#[derive(Debug, Default)]
pub(crate) struct PatternCache {
    compiled: BTreeMap<Arc<str>, Option<Arc<Pattern>>>,
}

impl PatternCache {
    /// `None` for an expression that cannot be compiled.
    pub(crate) fn compile(&mut self, text: &Arc<str>) -> Option<Arc<Pattern>> {
        let compile = || Pattern::compile(text).ok().map(Arc::new);
        self.compiled.entry(text.clone()).or_insert_with(compile).clone()
    }
}

impl HeaderConditions {
    /// Compiles `matches`. An expression that cannot be compiled never matches.
    pub fn compile(matches: &[HeaderMatch]) -> Self {
        let mut patterns = PatternCache::default();
        let tests = matches.iter();
        Self(
            tests
                .map(|one| (one.name.clone(), ValueTest::of(&one.value, &mut patterns)))
                .collect(),
        )
    }

    /// Whether all conditions hold.
    pub fn hold(&self, headers: &dyn HeaderView) -> bool {
        hold(&self.0, headers)
    }
}

impl Conditions {
    /// The conditions of a match, or `None` when it has none beside host and path.
    pub(crate) fn of(one: &Match, patterns: &mut PatternCache) -> Option<Self> {
        if one.method.is_none() && one.headers.is_empty() && one.query.is_empty() {
            return None;
        }
        let mut test = |value: &ValueMatch| ValueTest::of(value, patterns);
        Some(Self {
            method: one.method.clone(),
            headers: effective_headers(one)
                .map(|header| (header.name.clone(), test(&header.value)))
                .collect(),
            query: effective_query(one)
                .map(|query| (query.name.clone(), test(&query.value)))
                .collect(),
        })
    }

    /// How many conditions there are.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.method.is_some()) + self.headers.len() + self.query.len()
    }

    /// Whether all conditions hold.
    pub(crate) fn hold(&self, request: &RequestParts<'_>) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| **method == *request.method)
            && hold(&self.headers, request.headers)
            && self.query.iter().all(|(name, test)| {
                request
                    .query
                    .and_then(|query| query::first_value(query, name))
                    .is_some_and(|value| test.query_holds(value))
            })
    }

    /// The conditions that do not hold; empty exactly when [`Conditions::hold`].
    pub(crate) fn refusals(&self, request: &RequestParts<'_>) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if self
            .method
            .as_ref()
            .is_some_and(|method| **method != *request.method)
        {
            refusals.push(Refusal::Method);
        }
        for (name, test) in &self.headers {
            let mut joined = String::new();
            match request.headers.value(name, &mut joined) {
                _ if test.never().is_some() => refusals.extend(test.never()),
                None => refusals.push(Refusal::HeaderMissing(name.clone())),
                Some(value) if test.header_holds(value) => {}
                Some(_) => refusals.push(Refusal::HeaderDiffers(name.clone())),
            }
        }
        for (name, test) in &self.query {
            match request.query.and_then(|query| query::first_value(query, name)) {
                _ if test.never().is_some() => refusals.extend(test.never()),
                None => refusals.push(Refusal::QueryMissing(name.clone())),
                Some(value) if test.query_holds(value) => {}
                Some(_) => refusals.push(Refusal::QueryDiffers(name.clone())),
            }
        }
        refusals
    }
}

impl ValueTest {
    pub(crate) fn of(value: &ValueMatch, patterns: &mut PatternCache) -> Self {
        match value {
            ValueMatch::Exact(text) => Self::Exact(text.clone()),
            ValueMatch::Regex(text) => patterns
                .compile(text)
                .map_or_else(|| Self::Never(text.clone()), Self::Pattern),
        }
    }

    pub(crate) fn header_holds(&self, value: &str) -> bool {
        match self {
            Self::Exact(expected) => **expected == *value,
            Self::Pattern(pattern) => pattern.matches(value),
            Self::Never(_) => false,
        }
    }

    pub(crate) fn query_holds(&self, sent: &str) -> bool {
        match self {
            Self::Exact(expected) => query::equals(sent, expected),
            Self::Pattern(pattern) => pattern.matches(sent) || pattern.matches(&query::decoded(sent)),
            Self::Never(_) => false,
        }
    }

    fn never(&self) -> Option<Refusal> {
        match self {
            Self::Never(text) => Some(Refusal::Pattern(text.clone())),
            Self::Exact(_) | Self::Pattern(_) => None,
        }
    }
}

/// Whether every test holds for the header of its name.
fn hold(tests: &[(Arc<str>, ValueTest)], headers: &dyn HeaderView) -> bool {
    tests.iter().all(|(name, test)| {
        let mut joined = String::new();
        headers
            .value(name, &mut joined)
            .is_some_and(|value| test.header_holds(value))
    })
}
