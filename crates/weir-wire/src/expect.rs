//! `Expect` (RFC 9110 10.1.1).

use crate::{Known, RequestHead, Version};

/// What a client expects before it sends the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    None,
    /// A 100 (Continue) or a final answer.
    Continue,
    /// Something else, a list, or several fields: answer 417 and close.
    Unknown,
}

/// Classifies the `Expect` of a request. HTTP/1.0 has none, so there it is ignored (RFC 9110 10.1.1).
#[inline]
#[must_use]
pub fn expectation(head: &RequestHead, bytes: &[u8]) -> Expectation {
    let Some(value) = head.fields.value(Known::Expect, bytes) else {
        return Expectation::None;
    };
    if head.version == Version::Http10 {
        return Expectation::None;
    }
    // Exactly the one token, in any case. Looser readings let two hops disagree on who sends first.
    if value.eq_ignore_ascii_case(b"100-continue") && !head.fields.is_repeated(Known::Expect) {
        Expectation::Continue
    } else {
        Expectation::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::request;

    #[test]
    fn row09_only_the_exact_token_is_an_expectation_that_is_met() {
        for (version, lines, expected) in [
            ("1.1", "", Expectation::None),
            ("1.1", "Expect: 100-continue\r\n", Expectation::Continue),
            ("1.1", "eXpect:100-Continue \r\n", Expectation::Continue),
            (
                "1.1",
                "Expect: 100-continue\r\nExpect: 100-continue\r\n",
                Expectation::Unknown,
            ),
            (
                "1.1",
                "Expect: 100-continue, 100-continue\r\n",
                Expectation::Unknown,
            ),
            ("1.1", "Expect: 100-continue;q=1\r\n", Expectation::Unknown),
            ("1.1", "Expect: y 100-continue\r\n", Expectation::Unknown),
            ("1.1", "Expect:\r\n", Expectation::Unknown),
            ("1.1", "Expect: 100 -continue\r\n", Expectation::Unknown),
            ("1.0", "Expect: 100-continue\r\n", Expectation::None),
            ("1.0", "Expect: other\r\n", Expectation::None),
        ] {
            let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
            let head = request(text.as_bytes()).unwrap();
            assert_eq!(expectation(&head, text.as_bytes()), expected, "{text}");
        }
    }
}
