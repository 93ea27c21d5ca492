//! What is not shown of a configuration: whoever may read it need not be able to act with it.

/// Stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// Parts of names of headers and query parameters whose values are secrets.
const NAMES: [&str; 11] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "api-key",
    "api_key",
    "apikey",
    "signature",
];

/// The value of a header or query parameter as it may be shown.
pub(super) fn shown<'v>(name: &str, value: &'v str) -> &'v str {
    let name = name.to_ascii_lowercase();
    let is_secret = name == "key" || name == "auth" || NAMES.iter().any(|part| name.contains(part));
    if is_secret { HIDDEN } else { value }
}

/// A query as it may be shown.
pub(super) fn query(query: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => format!("{name}={}", shown(name, value)),
        None => pair.to_owned(),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op05_secrets_are_known_by_their_names() {
        for (name, is_hidden) in [
            ("Authorization", true),
            ("proxy-authorization", true),
            ("x-api-key", true),
            ("set-cookie", true),
            ("X-Auth-Token", true),
            ("key", true),
            ("x-user", false),
            ("monkey", false),
            ("author", false),
        ] {
            assert_eq!(shown(name, "v") == HIDDEN, is_hidden, "{name}");
        }
        assert_eq!(query("a=1&token=x&b"), "a=1&token=(hidden)&b");
    }
}
