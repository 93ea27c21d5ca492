//! Durations and numbers of bytes as configurations write them: no panic, and a second reading finds the same.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use weir_config::resource::decode::{Decoder, Field};
use weir_config::resource::format;
use weir_config::yaml::{Node, Scalar, ScalarStyle, Span, Value};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let duration = simple_duration(text);
    assert_eq!(format::duration(text), duration, "{text:?}");
    let node = Node {
        value: Value::Scalar(Scalar {
            text: text.into(),
            style: ScalarStyle::Quoted,
        }),
        span: Span::NONE,
    };
    let field = Field::new("limit", &node);
    let mut decoder = Decoder::default();
    let bytes = decoder.quantity(field, 1..=u64::MAX).map(|found| found.value);
    assert_eq!(bytes, simple_quantity(text), "{text:?}");
    assert_eq!(decoder.duration(field).map(|found| found.value), duration);
    // Whoever finds nothing says why, once each.
    let findings = decoder.into_findings();
    let failures = usize::from(bytes.is_none()) + usize::from(duration.is_none());
    assert_eq!(findings.len(), failures, "{findings:?}");
});

/// GEP-2257, one character at a time.
fn simple_duration(text: &str) -> Option<Duration> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for one in text.chars() {
        match parts.last_mut() {
            Some((_, unit)) if one.is_ascii_lowercase() => unit.push(one),
            Some((number, unit)) if one.is_ascii_digit() && unit.is_empty() => number.push(one),
            _ if one.is_ascii_digit() => parts.push((one.into(), String::new())),
            _ => return None,
        }
    }
    if !(1..=4).contains(&parts.len()) {
        return None;
    }
    let mut sum = Duration::ZERO;
    for (number, unit) in &parts {
        let one = match unit.as_str() {
            "h" => Duration::from_secs(3_600),
            "m" => Duration::from_secs(60),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return None,
        };
        if number.len() > 5 {
            return None;
        }
        sum += one * number.parse::<u32>().ok()?;
    }
    Some(sum)
}

/// A whole number and a suffix, in more bits than are needed.
fn simple_quantity(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let power = |suffixes: &str, suffix: char| suffixes.find(suffix).map(|at| at as u32 + 1);
    let mut suffix = text[digits.len()..].chars();
    let factor: u128 = match (suffix.next(), suffix.next(), suffix.next()) {
        (None, ..) => 1,
        (Some('K' | 'k'), None, _) => 1_000,
        (Some(letter), None, _) => 1_000u128.pow(power("KMGTPE", letter)?),
        (Some(letter), Some('i'), None) => 1_024u128.pow(power("KMGTPE", letter)?),
        _ => return None,
    };
    let significant = digits.trim_start_matches('0');
    if digits.is_empty() || significant.len() > 20 {
        return None;
    }
    let number: u128 = if significant.is_empty() {
        0
    } else {
        significant.parse().ok()?
    };
    u64::try_from(number * factor).ok().filter(|bytes| *bytes > 0)
}
