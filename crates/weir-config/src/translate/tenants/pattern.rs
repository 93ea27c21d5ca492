//! Patterns of explicit routes: what they match, and which of them also cover what another one matches.

use std::sync::Arc;

use weir_model::PathMatch;
use weir_route::{Pattern, PatternError};

use super::canary::escaped;

/// The match of a pattern under a prefix. `{name}` stands for one segment, `{name:regex}` for what the expression
/// matches in it, and `/*` at the end for everything below.
///
/// # Errors
/// The pattern's expressions are not valid, or too large.
pub(super) fn path_match(prefix: &str, pattern: &str) -> Result<PathMatch, PatternError> {
    let (front, is_open) = match pattern.strip_suffix("/*") {
        Some(front) => (front, true),
        None => (pattern, false),
    };
    if !front.contains('{') {
        let path: Arc<str> = format!("{prefix}{front}").into();
        return Ok(match is_open {
            true => PathMatch::Prefix(path),
            false => PathMatch::Exact(path),
        });
    }
    let mut expression = escaped(prefix);
    let mut rest = front;
    while let Some(start) = rest.find('{') {
        expression.push_str(&escaped(&rest[..start]));
        let inner = &rest[start + 1..];
        let end = closing(inner).unwrap_or(inner.len());
        match inner[..end].split_once(':') {
            Some((_, own)) => {
                expression.push_str("(?:");
                expression.push_str(own.trim_start_matches('^').trim_end_matches('$'));
                expression.push(')');
            }
            None => expression.push_str("[^/]+"),
        }
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    expression.push_str(&escaped(rest));
    if is_open {
        expression.push_str("/.*");
    }
    Pattern::compile(&expression)?;
    Ok(PathMatch::Regex(expression.into()))
}

/// Where the brace that is open ends; expressions may have braces of their own.
fn closing(inner: &str) -> Option<usize> {
    let mut depth = 1usize;
    for (place, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(place);
        }
    }
    None
}

/// Whether `wide` matches what `narrow` matches, as far as the texts tell. The router asks the narrower one first.
pub(super) fn covers(wide: &PathMatch, narrow: &PathMatch) -> bool {
    match (wide, narrow) {
        (PathMatch::Prefix(prefix), PathMatch::Exact(text) | PathMatch::Prefix(text)) => {
            is_under(prefix, text) && text.len() > prefix.len()
        }
        (PathMatch::Prefix(prefix), PathMatch::Regex(text)) => {
            let start = escaped(prefix);
            text.strip_prefix(&*start)
                .is_some_and(|rest| rest.starts_with('/'))
        }
        (PathMatch::Regex(pattern), PathMatch::Exact(text)) => {
            Pattern::compile(pattern).is_ok_and(|pattern| pattern.matches(text))
        }
        _ => false,
    }
}

fn is_under(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kt30_patterns_become_matches() {
        for (prefix, pattern, expected) in [
            ("", "/", "Exact(\"/\")"),
            ("/api", "/users", "Exact(\"/api/users\")"),
            ("", "/*", "Prefix(\"\")"),
            ("/api", "/files/*", "Prefix(\"/api/files\")"),
            ("/a.b", "/users/{id}", "Regex(\"/a\\\\.b/users/[^/]+\")"),
            ("", "/u/{id:[0-9]{1,3}}/x", "Regex(\"/u/(?:[0-9]{1,3})/x\")"),
            ("", "/u/{id}/*", "Regex(\"/u/[^/]+/.*\")"),
        ] {
            let found = path_match(prefix, pattern).expect(pattern);
            assert_eq!(format!("{found:?}"), expected, "{pattern}");
        }
        assert!(path_match("", "/u/{id:[}").is_err());
    }

    #[test]
    fn kt30_a_wider_pattern_covers_a_narrower_one() {
        let of = |pattern: &str| path_match("", pattern).expect(pattern);
        for (wide, narrow, expected) in [
            ("/*", "/users", true),
            ("/users/*", "/users/{id}", true),
            ("/users/*", "/users/new", true),
            ("/users/*", "/usersx", false),
            ("/users/{id}", "/users/new", true),
            ("/users/{id}", "/users/new/x", false),
            ("/users/new", "/users/{id}", false),
            ("/users", "/users", false),
        ] {
            assert_eq!(covers(&of(wide), &of(narrow)), expected, "{wide} {narrow}");
        }
    }
}
