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
        assert_eq!(path(&PathRewrite::Full("/one".into()), "/a/b", 2), "/one");
        assert_eq!(path(&PathRewrite::Full("".into()), "/a/b", 2), "/");
    }
}
