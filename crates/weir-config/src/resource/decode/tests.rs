//! Tests of decoding: each value with what is said about it.

use std::sync::Arc;

use super::*;
use crate::yaml::Parser;

/// Decodes the field `f` of a document and shows the value and what was found.
fn check<T: std::fmt::Debug>(
    text: &str,
    decode: impl Fn(&mut Decoder, Field<'_>) -> Option<T>,
    expected: &str,
) {
    let document = Parser::new().parse(text);
    let root = document.root.expect(text);
    let mut decoder = Decoder::default();
    let fields = decoder
        .fields(Field::new("object", &root), &["f", "filters"])
        .expect(text);
    let value = fields
        .required(&mut decoder, "f")
        .and_then(|field| decode(&mut decoder, field));
    let mut shown = format!("{value:?}");
    for finding in decoder.into_findings() {
        shown += &format!(
            " | {} {}: {}",
            finding.code,
            finding.message,
            finding.help.unwrap_or(finding.label)
        );
    }
    assert_eq!(shown, expected, "{text}");
}

fn text(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    decoder.text(field).map(|text| text.value)
}

fn port(decoder: &mut Decoder, field: Field<'_>) -> Option<u16> {
    decoder.port(field).map(|port| port.number())
}

#[test]
fn values_are_read_as_meant_and_reported() {
    check("f: x", text, r#"Some("x")"#);
    check(
        "f: 1",
        text,
        r#"Some("1") | W0102 "f" is text, found a number: put it in quotes: "1""#,
    );
    check(
        "f: true",
        text,
        r#"Some("true") | W0102 "f" is text, found true or false: put it in quotes: "true""#,
    );
    check(
        "f: [x]",
        text,
        r#"None | E0101 "f" must be text, found a list: expected text"#,
    );
    check(
        "f: null",
        text,
        r#"None | E0102 object has no "f": "f" is required"#,
    );
    check("f: 80", port, "Some(80)");
    check(
        "f: '80'",
        port,
        r#"Some(80) | W0102 "f" is a number, found text: remove the quotes: 80"#,
    );
    check(
        "f: 0",
        port,
        r#"None | E0103 "f" is 0, which is out of range: must be from 1 to 65535"#,
    );
    check(
        "f: http",
        port,
        r#"None | E0101 "f" must be a whole number from 1 to 65535, found text: expected a whole number from 1 to 65535"#,
    );
}

#[test]
fn unknown_fields_are_warned_about_with_a_hint() {
    check(
        "f: x\nfilter: y",
        text,
        r#"Some("x") | W0101 object has no field "filter": did you mean "filters"?"#,
    );
    check(
        "f: x\nzzz: y",
        text,
        r#"Some("x") | W0101 object has no field "zzz": known fields are f, filters"#,
    );
}

#[test]
fn durations_and_choices_say_how_to_write_them() {
    let duration = |decoder: &mut Decoder, field: Field<'_>| decoder.duration(field).map(|found| found.value);
    check("f: 1m30s", duration, "Some(90s)");
    check(
        "f: 10",
        duration,
        r#"None | E0103 "f" is not a duration: "10": add a unit: 10s or 10ms"#,
    );
    check(
        "f: 1.5s",
        duration,
        r#"None | E0103 "f" is not a duration: "1.5s": write up to four whole numbers with h, m, s or ms, such as 1m30s or 250ms"#,
    );
    let choice = |decoder: &mut Decoder, field: Field<'_>| {
        decoder
            .choice(field, &[("Exact", 1), ("PathPrefix", 2)])
            .map(|found| found.value)
    };
    check("f: Exact", choice, "Some(1)");
    check(
        "f: Prefix",
        choice,
        r#"None | E0104 "f" cannot be "Prefix": possible are Exact, PathPrefix"#,
    );
    check(
        "f: exact",
        choice,
        r#"None | E0104 "f" cannot be "exact": did you mean Exact? Possible are Exact, PathPrefix"#,
    );
}

#[test]
fn long_lists_are_kept_and_warned_about() {
    let items = |decoder: &mut Decoder, field: Field<'_>| Some(decoder.items(field, 2).len());
    check("f: [a, b]", items, "Some(2)");
    check(
        "f: [a, b, c]",
        items,
        r#"Some(3) | W0102 "f" has 3 entries; Kubernetes accepts 2: "#,
    );
    check(
        "f: [a, null]",
        items,
        r#"Some(1) | E0101 an entry of "f" must be a value, found null: expected a value"#,
    );
    check(
        "f: {}",
        items,
        r#"Some(0) | E0101 "f" must be a list, found a mapping: expected a list"#,
    );
}
