//! What a client would rather have: `Accept` and `Accept-Encoding` with their weights (RFC 9110 12.4.2, 12.5).
//!
//! Quoted parameters are not understood: a comma in one splits the member, and the pieces name nothing that weir has.

use crate::token::{list, trim};

/// The weight of a member that names none, in thousandths.
pub const WEIGHT_MAX: u16 = 1_000;

/// The members of one such field with their weights in thousandths. A member whose weight cannot be read is left out.
pub fn weighted<'b>(values: impl Iterator<Item = &'b [u8]>) -> impl Iterator<Item = (&'b [u8], u16)> {
    values.flat_map(list).filter_map(|member| {
        let mut parts = member.split(|&byte| byte == b';').map(trim);
        let name = parts.next()?;
        let weight = parts.find_map(|part| {
            let value = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="))?;
            Some(weight_of(value))
        });
        Some((name, weight.unwrap_or(Some(WEIGHT_MAX))?))
    })
}

/// How much the client wants a content coding: what is said of it, else of `*` (RFC 9110 12.5.3). `None`: nothing is said.
pub fn coding_weight<'b>(values: impl Iterator<Item = &'b [u8]>, coding: &str) -> Option<u16> {
    let mut of_any = None;
    for (name, weight) in weighted(values) {
        if name.eq_ignore_ascii_case(coding.as_bytes()) {
            return Some(weight);
        }
        if name == b"*" {
            of_any = Some(weight);
        }
    }
    of_any
}

/// Would the client rather read JSON than plain text? The most specific range that covers a type counts for it
/// (RFC 9110 12.5.1).
pub fn prefers_json<'b>(values: impl Iterator<Item = &'b [u8]> + Clone) -> bool {
    let weight_of = |kind: &str, subtype: &str| {
        let ranges = [format!("{kind}/{subtype}"), format!("{kind}/*"), "*/*".to_owned()];
        let found = ranges.iter().find_map(|range| {
            let mut members = weighted(values.clone());
            members.find(|(name, _)| name.eq_ignore_ascii_case(range.as_bytes()))
        });
        found.map_or(0, |(_, weight)| weight)
    };
    weight_of("application", "json") > weight_of("text", "plain")
}

/// `qvalue` of RFC 9110 12.4.2: 0 or 1 with up to three decimals.
fn weight_of(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut weight = u16::from(whole - b'0') * WEIGHT_MAX;
    for (digit, place) in decimals.iter().zip([100, 10, 1]) {
        weight += u16::from(digit - b'0') * place;
    }
    (weight <= WEIGHT_MAX).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &str) -> impl Iterator<Item = &[u8]> + Clone {
        std::iter::once(value.as_bytes())
    }

    #[test]
    fn kt23_weights_of_codings() {
        // (field, gzip, br)
        for (value, gzip, br) in [
            ("", None, None),
            ("gzip", Some(1000), None),
            ("GZIP;q=0.5, br;q=0.25", Some(500), Some(250)),
            ("gzip ; Q=0.001", Some(1), None),
            ("*", Some(1000), Some(1000)),
            ("*;q=0.3, br;q=0", Some(300), Some(0)),
            ("br;q=0, *;q=0.3", Some(300), Some(0)),
            ("gzip;q=1.000", Some(1000), None),
            ("gzip;q=1.001", None, None),
            ("gzip;q=2", None, None),
            ("gzip;q=0.5555", None, None),
            ("gzip;q=-1, br", None, Some(1000)),
            ("gzip;q=", None, None),
            ("gzip;q=0.", Some(0), None),
            ("xgzip, gzipx", None, None),
            (",, ,gzip,", Some(1000), None),
            ("gzip;x=1;q=0.2", Some(200), None),
        ] {
            assert_eq!(coding_weight(one(value), "gzip"), gzip, "{value}: gzip");
            assert_eq!(coding_weight(one(value), "br"), br, "{value}: br");
        }
    }

    #[test]
    fn kt18_who_reads_json() {
        for (value, expected) in [
            ("", false),
            ("*/*", false),
            ("application/json", true),
            ("Application/JSON", true),
            ("application/json, text/plain, */*", false),
            ("application/json, text/plain;q=0.9", true),
            ("application/json;q=0.5, */*;q=0.1", true),
            ("application/*", true),
            ("text/html, application/xhtml+xml, */*;q=0.8", false),
            ("text/html", false),
            ("*/*, application/json;q=0", false),
            ("text/*;q=0.1, application/json;q=0.2", true),
        ] {
            assert_eq!(prefers_json(one(value)), expected, "{value}");
        }
    }
}
