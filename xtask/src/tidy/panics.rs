//! What can panic in production says why it cannot.

use super::report::Violation;
use super::source::Source;
use super::{statement, syntax};

const PANICS: [&str; 7] = [
    ".unwrap()",
    ".expect(",
    ".unwrap_err()",
    ".expect_err(",
    "panic!(",
    "unreachable!(",
    "unimplemented!(",
];

/// The rule on one file.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let code = source.production();
    PANICS
        .iter()
        .flat_map(|panic| syntax::find_words(code, panic).map(move |at| (at, panic)))
        .filter(|(at, _)| !statement::is_justified(source, source.line(*at), "INVARIANT:"))
        .map(|(at, panic)| {
            let advice =
                format!("{panic} needs // INVARIANT: above, saying why it cannot fail; or return an error");
            Violation::new(&source.path, source.line(at), "panic", advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_justified() {
        for (text, count) in [
            ("fn f() { a.unwrap(); }", 1),
            (
                "fn f() {\n    // INVARIANT: checked above.\n    a.unwrap();\n}",
                0,
            ),
            (
                "fn f() {\n    // INVARIANT: checked above.\n    let a = b\n        .c()\n        .expect(\"c\");\n}",
                0,
            ),
            ("fn f() {\n    // because\n    a.expect(\"b\");\n}", 1),
            ("fn f() { a.unwrap_or(1); a.unwrap_or_else(b); }", 0),
            ("fn f() { unreachable!(\"x\") }", 1),
            ("/// x.unwrap()\nfn f() { \".unwrap()\" }", 0),
            ("#[cfg(test)]\nmod tests { fn f() { a.unwrap(); } }", 0),
        ] {
            assert_eq!(
                check(&Source::new("crates/a/src/b.rs", text)).len(),
                count,
                "{text}"
            );
        }
    }
}
