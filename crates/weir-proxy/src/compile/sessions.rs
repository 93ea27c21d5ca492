//! How the sessions of a rule come back to their endpoint, compiled.

use std::sync::Arc;

use weir_balance::{SessionTimeouts, TokenKeys};
use weir_model::{CookiePath, Match, PathMatch, Persistence, Rule, TokenCarrier};
use weir_route::Pattern;

/// The sessions of one rule.
#[derive(Debug)]
pub(crate) struct CompiledSessions {
    pub(crate) spec: Arc<Persistence>,
    pub(crate) keys: Arc<TokenKeys>,
    /// What tokens are bound to: no other rule takes them.
    pub(crate) rule: Box<str>,
    pub(crate) timeouts: SessionTimeouts,
    /// `Path` of the cookie by match index; empty for headers.
    paths: Box<[Box<str>]>,
}

impl CompiledSessions {
    pub(super) fn new(spec: &Arc<Persistence>, rule: &Rule, keys: &Arc<TokenKeys>) -> Self {
        let paths = match &spec.carrier {
            TokenCarrier::Header => Box::default(),
            TokenCarrier::Cookie(cookie) => {
                let path = |one: &Match| match &cookie.path {
                    CookiePath::Fixed(path) => Box::from(&**path),
                    CookiePath::OfMatch => path_of(&one.path),
                };
                rule.matches.iter().map(path).collect()
            }
        };
        Self {
            spec: Arc::clone(spec),
            keys: Arc::clone(keys),
            rule: identity(rule),
            timeouts: SessionTimeouts {
                absolute: spec.absolute_timeout.map(|timeout| timeout.duration()),
                idle: None,
            },
            paths,
        }
    }

    /// `Path` of the cookie for a request that met this match.
    pub(crate) fn path(&self, match_index: u32) -> &str {
        self.paths.get(match_index as usize).map_or("/", |path| path)
    }
}

/// A rule that has a name keeps its sessions when others are written before it.
fn identity(rule: &Rule) -> Box<str> {
    match (&rule.name, rule.key.rsplit_once('/')) {
        (Some(name), Some((route, _index))) => format!("{route}/name/{name}").into(),
        (None, _) | (_, None) => Box::from(&*rule.key),
    }
}

/// The path that clients send the cookie to.
fn path_of(path: &PathMatch) -> Box<str> {
    let path = match path {
        PathMatch::Prefix(path) | PathMatch::Exact(path) => trim_to_cookie(path).to_owned(),
        PathMatch::Regex(text) => match Pattern::compile(text) {
            Ok(pattern) => trim_to_cookie(pattern.path()).to_owned(),
            // Such a rule matches nothing.
            Err(_) => String::new(),
        },
    };
    if path.is_empty() { "/".into() } else { path.into() }
}

/// The path, up to the last slash before a byte that cannot stand in a cookie's `Path` (RFC 6265 4.1.1).
fn trim_to_cookie(path: &str) -> &str {
    let is_bad = |byte: u8| !(0x21..0x7f).contains(&byte) || byte == b';';
    match path.bytes().position(is_bad) {
        None => path,
        Some(bad) => path[..bad].rfind('/').map_or("", |slash| &path[..=slash]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ch13_the_cookie_is_for_the_path_of_the_match() {
        let prefix = |text: &str| PathMatch::Prefix(text.into());
        let exact = |text: &str| PathMatch::Exact(text.into());
        let regex = |text: &str| PathMatch::Regex(text.into());
        for (path, expected) in [
            (prefix(""), "/"),
            (prefix("/shop"), "/shop"),
            (prefix("/shop/cart"), "/shop/cart"),
            (exact("/"), "/"),
            (exact("/shop"), "/shop"),
            (exact("/a b/c"), "/"),
            (exact("/a/b;c/d"), "/a/"),
            (exact("/é"), "/"),
            (regex("/users/[0-9]+"), "/users/"),
            (regex("/users/[0-9]+/cart"), "/users/"),
            (regex("/api/v[12]/.*"), "/api/"),
            // The cookie for `/shop` would not be sent to `/shopping`.
            (regex("/shop.*"), "/"),
            (regex("/shop(/.*)?"), "/"),
            (regex("(/a|/b)/c"), "/"),
            (regex("/a\\.b/c.*"), "/a.b/"),
            (regex("(?i)/shop/.*"), "/"),
            (regex(".*"), "/"),
        ] {
            assert_eq!(&*path_of(&path), expected, "{path:?}");
        }
    }
}
