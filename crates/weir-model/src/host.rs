//! Host names and wildcards (Gateway API `Hostname`).

use std::fmt;
use std::sync::Arc;

/// Which hosts something applies to. Names are lower case, without port and without trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Every host, also a request without one.
    Any,
    /// One host.
    Exact(Arc<str>),
    /// `*.suffix`: any number of labels before `.suffix`, but not `suffix` itself. Holds `suffix`.
    Suffix(Arc<str>),
}

impl HostPattern {
    /// Reads `""`, `"*"`, `*.example.com` or `www.example.com`, in any letter case.
    pub fn parse(text: &str) -> Self {
        let lower = text.trim_end_matches('.').to_ascii_lowercase();
        match lower.strip_prefix("*.") {
            Some(suffix) => Self::Suffix(suffix.into()),
            None if lower.is_empty() || lower == "*" => Self::Any,
            None => Self::Exact(lower.into()),
        }
    }

    /// Whether a normalised `host` falls under this pattern.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *host,
            Self::Suffix(suffix) => {
                host.len() > suffix.len() + 1
                    && host.ends_with(&**suffix)
                    && host.as_bytes()[host.len() - suffix.len() - 1] == b'.'
            }
        }
    }

    /// The hosts that both patterns cover, or `None` when there are none (Gateway API: listener and route
    /// hostnames must intersect).
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, pattern) | (pattern, Self::Any) => Some(pattern.clone()),
            (Self::Exact(name), pattern) | (pattern, Self::Exact(name)) => {
                pattern.matches(name).then(|| Self::Exact(name.clone()))
            }
            (Self::Suffix(left), Self::Suffix(right)) => {
                let (short, long) = if left.len() <= right.len() {
                    (left, right)
                } else {
                    (right, left)
                };
                let covered = short == long || Self::Suffix(short.clone()).matches(long);
                covered.then(|| Self::Suffix(long.clone()))
            }
        }
    }

    /// Order of precedence, greatest first: an exact name, then the longest suffix, then any host
    /// (Gateway API HTTPRoute: most characters in a matching non-wildcard hostname, then in a matching one).
    pub fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Any => (0, 0),
            Self::Suffix(suffix) => (1, suffix.len()),
            Self::Exact(name) => (2, name.len()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("*"),
            Self::Exact(name) => out.write_str(name),
            Self::Suffix(suffix) => write!(out, "*.{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_any_number_of_labels_but_not_the_bare_suffix() {
        for (pattern, host, covered) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "aexample.com", false),
            ("*.example.com", ".example.com", false),
            ("WWW.Example.com.", "www.example.com", true),
            ("*", "", true),
        ] {
            assert_eq!(
                HostPattern::parse(pattern).matches(host),
                covered,
                "{pattern} {host}"
            );
        }
    }

    #[test]
    fn patterns_intersect_in_the_narrower_one() {
        for (left, right, both) in [
            ("*", "a.com", Some("a.com")),
            ("*.a.com", "x.a.com", Some("x.a.com")),
            ("*.a.com", "a.com", None),
            ("*.a.com", "*.b.a.com", Some("*.b.a.com")),
            ("*.a.com", "*.a.com", Some("*.a.com")),
            ("*.a.com", "*.ba.com", None),
            ("x.com", "y.com", None),
        ] {
            let expected = both.map(HostPattern::parse);
            assert_eq!(
                HostPattern::parse(left).intersect(&HostPattern::parse(right)),
                expected
            );
            assert_eq!(
                HostPattern::parse(right).intersect(&HostPattern::parse(left)),
                expected
            );
        }
    }
}
