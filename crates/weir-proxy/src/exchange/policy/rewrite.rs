//! Path changes (Gateway API `HTTPPathModifier`).

use weir_model::PathRewrite;

/// `path` after a change; `prefix_length` is that of the matched prefix, without its trailing slash.
pub(in crate::exchange) fn path(change: &PathRewrite, path: &str, prefix_length: usize) -> String {
    match change {
        PathRewrite::Full(full) => rooted(full).into_owned(),
        PathRewrite::Prefix(replacement) => {
            let rest = path.get(prefix_length..).unwrap_or_default();
            // Gateway API: exactly one slash joins the replacement and the rest.
            let front = if rest.is_empty() {
                replacement
            } else {
                replacement.strip_suffix('/').unwrap_or(replacement)
            };
            rooted(&format!("{front}{rest}")).into_owned()
        }
        PathRewrite::Start { from, to } => {
            let rest = path.strip_prefix(&**from);
            let is_whole = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let length = if is_whole { from.len() } else { 0 };
            self::path(&PathRewrite::Prefix(to.clone()), path, length)
        }
    }
}

fn rooted(path: &str) -> std::borrow::Cow<'_, str> {
    if path.starts_with('/') {
        path.into()
    } else {
        format!("/{path}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_a_prefix_drops_exactly_one_joining_slash() {
        // The table of Gateway API's HTTPPathModifier; prefixes are held without their trailing slash.
        for (request, prefix, replacement, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/strip-prefix/three", "/strip-prefix", "/", "/three"),
            ("/strip-prefix", "/strip-prefix", "/", "/"),
            ("/a/b", "", "/v1", "/v1/a/b"),
            ("/", "", "/v1", "/v1/"),
        ] {
            let change = PathRewrite::Prefix(replacement.into());
            assert_eq!(
                path(&change, request, prefix.len()),
                expected,
                "{request} {prefix} {replacement}"
            );
        }
        for (request, from, to, expected) in [
            ("/proxy/test", "/proxy", "", "/test"),
            ("/proxy/", "/proxy", "", "/"),
            ("/proxy/test", "/proxy", "/v1", "/v1/test"),
            ("/proxy/test", "/proxy", "/v1/proxy", "/v1/proxy/test"),
            ("/test", "", "/v1", "/v1/test"),
            ("/proxytest", "/proxy", "/v1", "/v1/proxytest"),
        ] {
            let (from, to) = (from.into(), to.into());
            let found = path(&PathRewrite::Start { from, to }, request, 0);
            assert_eq!(found, expected, "kt10, kt12: {request}");
        }
        assert_eq!(path(&PathRewrite::Full("/one".into()), "/a/b", 2), "/one");
        assert_eq!(path(&PathRewrite::Full("".into()), "/a/b", 2), "/");
    }
}
