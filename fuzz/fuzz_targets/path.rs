//! Paths, hosts, queries and cookies: no panic, normal forms are normal, and nothing hides in them.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use weir_wire::h1::encode;
use weir_wire::{cookie, host, path, query};

fuzz_target!(|input: &[u8]| {
    check_path(input);
    if let Ok(parsed) = host::parse(input) {
        let again = host::parse(parsed.name.as_bytes()).expect("a normal host is a host");
        assert_eq!((&again.name, again.port), (&parsed.name, None));
        assert!(matches!(again.name, Cow::Borrowed(_)));
    }
    for (name, value) in cookie::pairs([input].into_iter()) {
        assert_ne!(cookie::value([input].into_iter(), name), None);
        assert!(!value.contains(&b';'));
    }
});

fn check_path(input: &[u8]) {
    let Ok(normal) = path::normalise(input) else {
        return;
    };
    let text = &*normal.path;
    let again = path::normalise(text.as_bytes()).expect("a normal path is a path");
    assert_eq!(
        (&*again.path, again.query),
        (text, None),
        "normalising is idempotent"
    );
    assert!(text.starts_with('/') && !text.contains("//") && !text.contains(['?', '\\']));
    assert!(encode::is_target(text.as_bytes()));
    assert!(text.len() <= input.len().max(1));
    if let Cow::Borrowed(_) = normal.path {
        assert!(input.is_empty() || input.starts_with(b"?") || input.starts_with(text.as_bytes()));
    }
    // What a backend may make of it: decoded once, it has the same segments and none of them is a dot segment.
    let decoded = decode(text.as_bytes());
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    assert_eq!(slashes(&decoded), slashes(text.as_bytes()));
    assert!(!decoded.contains(&0) && !decoded.contains(&b'\\'));
    for segment in decoded.split(|byte| *byte == b'/') {
        let plain = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        let is_decoded_parameter = segment.len() > plain.len() && plain.starts_with(b".");
        assert!(segment != b"." && segment != b"..");
        assert!(!is_decoded_parameter || text.contains("%3B") || !matches!(plain, b"." | b".."));
    }
    if let Some(raw) = normal.query {
        let mark = input
            .iter()
            .position(|byte| *byte == b'?')
            .expect("a query follows a mark");
        assert_eq!(raw.as_bytes(), &input[mark + 1..]);
        for (name, _) in query::pairs(raw) {
            assert!(query::value(raw, name).is_some());
        }
    } else {
        assert!(!input.contains(&b'?'));
    }
}

fn decode(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [byte, rest @ ..] = text {
        text = rest;
        if *byte == b'%' {
            let digits = str::from_utf8(&text[..2]).expect("two digits");
            out.push(u8::from_str_radix(digits, 16).expect("hex"));
            text = &text[2..];
        } else {
            out.push(*byte);
        }
    }
    out
}
