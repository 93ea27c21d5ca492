//! What clients would rather have: no panic, and a second, simple reading finds the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_wire::accept::{WEIGHT_MAX, coding_weight, prefers_json, weighted};

fuzz_target!(|input: &[u8]| {
    // Several fields of one name.
    let fields: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let members = simply(&fields);
    let found: Vec<(Vec<u8>, u16)> = weighted(fields.iter().copied())
        .map(|(name, weight)| (name.to_vec(), weight))
        .collect();
    assert_eq!(found, members);
    assert!(members.iter().all(|(_, weight)| *weight <= WEIGHT_MAX));

    let of = |wanted: &str| {
        let named = members
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        named.map(|(_, weight)| *weight)
    };
    let of_any = members.iter().rev().find(|(name, _)| name == b"*");
    for coding in ["gzip", "br", "zstd", "identity"] {
        let expected = of(coding).or(of_any.map(|(_, weight)| *weight));
        assert_eq!(
            coding_weight(fields.iter().copied(), coding),
            expected,
            "{coding}"
        );
    }
    let most_specific = |ranges: [&str; 3]| ranges.into_iter().find_map(of).unwrap_or(0);
    let json = most_specific(["application/json", "application/*", "*/*"]);
    let text = most_specific(["text/plain", "text/*", "*/*"]);
    assert_eq!(prefers_json(fields.iter().copied()), json > text);
});

/// Names and weights, read character by character as text.
fn simply(fields: &[&[u8]]) -> Vec<(Vec<u8>, u16)> {
    // Latin-1, so that any byte is a character.
    let text = |bytes: &[u8]| -> String { bytes.iter().map(|byte| char::from(*byte)).collect() };
    let mut members = Vec::new();
    for member in fields
        .iter()
        .flat_map(|field| text(field).split(',').map(str::to_owned).collect::<Vec<_>>())
    {
        let parts: Vec<&str> = member
            .split(';')
            .map(|part| part.trim_matches([' ', '\t']))
            .collect();
        if parts == [""] {
            continue;
        }
        let named = parts[1..]
            .iter()
            .find(|part| part.starts_with("q=") || part.starts_with("Q="));
        let weight = match named {
            None => 1_000,
            Some(part) => match weight_of(&part[2..]) {
                Some(weight) => weight,
                None => continue,
            },
        };
        members.push((parts[0].chars().map(|one| one as u8).collect(), weight));
    }
    members
}

/// RFC 9110 12.4.2 through a number: what prints as at most three decimals and is at most one.
fn weight_of(text: &str) -> Option<u16> {
    let is_plain = !text.is_empty()
        && text.len() <= 5
        && text.chars().all(|one| one.is_ascii_digit() || one == '.')
        && matches!(text.find('.'), None | Some(1))
        && (text.contains('.') || text.len() == 1);
    let number: f64 = is_plain.then(|| text.parse().ok())??;
    (number <= 1.0).then(|| (number * 1_000.0).round() as u16)
}
