//! Text formats of the Kubernetes and Gateway APIs.

use std::time::Duration;

/// A DNS-1123 subdomain: labels joined by dots, at most 253 characters. Labels inside may be any length, as
/// the API's pattern has it.
pub(crate) fn is_subdomain(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= 253
        && text.split('.').all(|label| {
            let bytes = label.as_bytes();
            edge(bytes.first())
                && edge(bytes.last())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        })
}

/// An HTTP token (RFC 9110 5.6.2): header names, methods, cookie names.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A path of an URI: `pchar` and `/` (RFC 3986 3.3).
pub(crate) fn is_path(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let valid = match byte {
            b'%' => {
                bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte),
        };
        if !valid {
            return false;
        }
    }
    true
}

/// A field value that can be sent: visible characters, spaces and tabs inside, bytes over 0x7f (RFC 9110 5.5).
pub(crate) fn is_field_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| !matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f))
}

/// A duration as Gateway API writes it: one to four of `<up to 5 digits><h|m|s|ms>` (GEP-2257).
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut milliseconds = 0u64;
    for part in 0.. {
        if rest.is_empty() {
            return (part > 0).then(|| Duration::from_millis(milliseconds));
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if part == 4 || !(1..=5).contains(&digits) {
            return None;
        }
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let factor = match &rest[digits..digits + unit] {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        // At most four parts of five digits: no overflow.
        milliseconds += number * factor;
        rest = &rest[digits + unit..];
    }
    None
}

/// Seconds since the epoch of an RFC 3339 time such as `2024-01-31T12:00:00Z`; fractions are cut off.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if bytes.len() < 20
        || !text.is_ascii()
        || !separators
            .iter()
            .all(|(at, set)| set.contains(bytes[*at] as char))
    {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = &text[from..to];
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let in_range = (1..=12).contains(&month) && (1..=days_in_month).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut zone = &text[19..];
    if let Some(fraction) = zone.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        zone = if digits > 0 {
            &fraction[digits..]
        } else {
            return None;
        };
    }
    let at_zone = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(at_zone - zone_offset(zone)?)
}

/// Seconds east of UTC of `Z`, `+02:00` or `-02:30`.
fn zone_offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two_digits = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then_some(());
    two_digits(hours).and(two_digits(minutes))?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that the leap day is
/// the last day of a year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_gep_2257() {
        for (text, milliseconds) in [
            ("0s", Some(0)),
            ("10s", Some(10_000)),
            ("1h30m", Some(5_400_000)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("99999h", Some(99_999 * 3_600_000)),
            ("100000s", None),
            ("1h1h1h1h1h", None),
            ("", None),
            ("10", None),
            ("1.5s", None),
            ("-1s", None),
            ("5sec", None),
            ("1d", None),
            ("s", None),
            ("1s ", None),
        ] {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn timestamps_follow_rfc_3339() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:34:56Z", Some(1_709_210_096)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096)),
            ("2024-02-29T14:34:56+02:00", Some(1_709_210_096)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2023-02-29T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-01-01", None),
            ("2023-01-01T00:00:00", None),
            ("2023-01-01T00:00:00+2:00", None),
            ("2023-01-01T00:00:0éZ", None),
            ("+023-01-01T00:00:00Z", None),
        ] {
            assert_eq!(timestamp(text), seconds, "{text}");
        }
    }

    #[test]
    fn names_follow_dns_1123() {
        for (text, valid) in [
            ("a", true),
            ("a-1", true),
            ("a.b", true),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("a..b", false),
            ("a_b", false),
            ("", false),
        ] {
            assert_eq!(is_subdomain(text), valid, "{text}");
        }
        assert!(is_subdomain(&"a".repeat(253)) && !is_subdomain(&"a".repeat(254)));
    }
}
