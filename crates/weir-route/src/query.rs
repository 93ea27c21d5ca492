//! Conditions on query parameters.
//!
//! Parameters are separated by `&`. Gateway API compares names and values exactly and does not say before or after
//! percent-decoding; here either counts: `a%20b` as sent satisfies the value `a%20b` as well as `a b`. `+` is itself.

use std::borrow::Cow;

/// The first value of the parameter `name`, as sent; empty for a parameter without `=`.
pub(crate) fn first_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .into_iter()
        .find(|(key, _)| equals(key, name))
        .map(|(_, value)| value)
}

/// Whether `sent`, as sent or percent-decoded, is `expected`.
pub(crate) fn equals(sent: &str, expected: &str) -> bool {
    sent == expected || (sent.len() > expected.len() && sent.contains('%') && decoded(sent) == expected)
}

/// `sent` percent-decoded. What is no valid escape, or would not be UTF-8, stays as sent.
pub(crate) fn decoded(sent: &str) -> Cow<'_, str> {
    if !sent.contains('%') {
        return Cow::Borrowed(sent);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(sent.len()), sent.as_bytes());
    while let [first, tail @ ..] = rest {
        let escaped = if *first == b'%' { escape(tail) } else { None };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(sent), Cow::Owned)
}

/// The byte that the two hexadecimal digits at the start of `digits` stand for.
fn escape(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_of_a_parameter_decides() {
        for (query, name, expected) in [
            ("a=1&b=2", "b", Some("2")),
            ("a=1&a=2", "a", Some("1")),
            ("A=1&a=2", "a", Some("2")),
            ("a", "a", Some("")),
            ("a=", "a", Some("")),
            ("a=b=c", "a", Some("b=c")),
            ("&&a=1", "a", Some("1")),
            ("ab=1", "a", None),
            ("", "a", None),
            ("%61=1", "a", Some("1")),
            ("a;b=1", "b", None),
        ] {
            assert_eq!(first_value(query, name), expected, "{query} {name}");
        }
    }

    #[test]
    fn a_value_counts_as_sent_and_decoded() {
        for (sent, expected, equal) in [
            ("a%20b", "a b", true),
            ("a%20b", "a%20b", true),
            ("a+b", "a b", false),
            ("a+b", "a+b", true),
            ("%4A%4a", "JJ", true),
            ("100%", "100%", true),
            ("%zz%41", "%zzA", true),
            ("%4", "%4", true),
            ("%+1", "\u{1}", false),
            ("%ff", "\u{ff}", false),
            ("%c3%a9", "é", true),
            ("Orange", "orange", false),
        ] {
            assert_eq!(equals(sent, expected), equal, "{sent} {expected}");
        }
    }
}
