//! The short names of balancing policies that `weir proxy --lb` takes.

/// A balancing policy as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    /// Fewest requests in flight.
    Least,
    /// Each in turn.
    RoundRobin,
    /// Independent draws.
    Random,
    /// By the client's address.
    HashSourceIp,
    /// By a header.
    HashHeader(String),
    /// By a cookie, generated when the request has none.
    HashCookie(String),
    /// By a query parameter.
    HashQuery(String),
}

/// Reads `least`, `rr`, `random`, `hash:source-ip`, `hash:header=X`, `hash:cookie=X` or `hash:query=X`.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn parse_balance(text: &str) -> Result<Balance, String> {
    let named = |name: &str| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        (!name.is_empty() && name.bytes().all(token)).then(|| name.to_owned())
    };
    let balance = match text.split_once('=') {
        Some(("hash:header", name)) => named(name).map(Balance::HashHeader),
        Some(("hash:cookie", name)) => named(name).map(Balance::HashCookie),
        Some(("hash:query", name)) => named(name).map(Balance::HashQuery),
        Some(_) => None,
        None => match text {
            "least" => Some(Balance::Least),
            "rr" | "round-robin" => Some(Balance::RoundRobin),
            "random" => Some(Balance::Random),
            "hash:source-ip" => Some(Balance::HashSourceIp),
            _ => None,
        },
    };
    balance.ok_or_else(|| {
        "expected least, rr, random, hash:source-ip, hash:header=NAME, hash:cookie=NAME or hash:query=NAME".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_balancing_policies_have_short_names() {
        for (text, expected) in [
            ("least", Some(Balance::Least)),
            ("rr", Some(Balance::RoundRobin)),
            ("random", Some(Balance::Random)),
            ("hash:source-ip", Some(Balance::HashSourceIp)),
            ("hash:header=X-User", Some(Balance::HashHeader("X-User".into()))),
            ("hash:cookie=sid", Some(Balance::HashCookie("sid".into()))),
            ("hash:query=q", Some(Balance::HashQuery("q".into()))),
            ("hash:header", None),
            ("hash:header=", None),
            ("hash:header=a b", None),
            ("hash:cookie=a;b", None),
            ("rr=1", None),
            ("rr=", None),
            ("", None),
        ] {
            assert_eq!(parse_balance(text).ok(), expected, "{text:?}");
        }
    }
}
