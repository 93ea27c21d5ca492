//! Names that say something, and few type parameters.

use super::report::Violation;
use super::source::Source;
use super::syntax;

/// Last words of type names that say nothing.
const EMPTY_NAMES: [&str; 11] = [
    "Context", "Manager", "Helper", "Helpers", "Util", "Utils", "Session", "Handler", "Data", "Info", "Misc",
];
const TYPE_PARAMETERS: usize = 2;

/// Rules on one file.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let code = source.production();
    let mut violations = Vec::new();
    for keyword in ["struct", "enum", "trait", "type", "union"] {
        for at in syntax::find_words(code, keyword) {
            let name = word(&code[at + keyword.len()..]);
            // An associated type is called what its trait says.
            if keyword == "type" && code[..at].ends_with([' ', '\t']) && !is_public(code, at) {
                continue;
            }
            if EMPTY_NAMES.contains(&last_word(name)) {
                let advice = format!("{name}: name what it is; docs/lexicon.md has the words");
                violations.push(Violation::new(&source.path, source.line(at), "type name", advice));
            }
        }
    }
    for at in syntax::find_words(code, "fn") {
        let after = code[at + 2..].trim_start();
        let name = word(after);
        if name.starts_with("get_") {
            let advice = format!("{name}: drop the get_");
            violations.push(Violation::new(
                &source.path,
                source.line(at),
                "function name",
                advice,
            ));
        }
        let count = type_parameters(&after[name.len()..]);
        if is_public(code, at) && count > TYPE_PARAMETERS {
            let advice =
                format!("{name} has {count} type parameters, over {TYPE_PARAMETERS}: use an enum or dyn");
            violations.push(Violation::new(
                &source.path,
                source.line(at),
                "type parameters",
                advice,
            ));
        }
    }
    violations
}

fn word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text
        .bytes()
        .position(|byte| !syntax::is_word(byte))
        .unwrap_or(text.len());
    &text[..end]
}

/// The last word of a name in camel case.
fn last_word(name: &str) -> &str {
    name.rfind(|letter: char| letter.is_uppercase())
        .map_or(name, |at| &name[at..])
}

/// Whether `pub` stands before the `fn` at `at`, in its line.
fn is_public(code: &str, at: usize) -> bool {
    let line = code[..at].rsplit('\n').next().unwrap_or_default();
    syntax::find_words(line, "pub").next().is_some()
}

/// Type parameters of a generic list that `text` begins with; lifetimes and constants do not count.
fn type_parameters(text: &str) -> usize {
    let Some(list) = text.strip_prefix('<') else {
        return 0;
    };
    let (mut depth, mut begin, mut count) = (1_usize, 0, 0);
    let mut add = |parameter: &str| {
        let parameter = parameter.trim();
        count += usize::from(
            !parameter.is_empty() && !parameter.starts_with('\'') && !parameter.starts_with("const "),
        );
    };
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            // The arrow of `Fn() -> T` closes nothing.
            b'>' if at > 0 && list.as_bytes()[at - 1] == b'-' => {}
            b'>' | b')' | b']' => depth -= 1,
            b',' if depth == 1 => {
                add(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            add(&list[begin..at]);
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_are_found() {
        for (text, rule) in [
            ("pub struct RequestContext;", Some("type name")),
            ("enum Info { A }", Some("type name")),
            ("type ConnectionManager = u8;", Some("type name")),
            ("pub type ConnectionManager = u8;", Some("type name")),
            ("impl Body for Text {\n    type Data = Bytes;\n}", None),
            ("struct Database;", None),
            ("struct SessionPersistence;", None),
            ("// struct Helper", None),
            ("fn get_port() {}", Some("function name")),
            ("fn target() {}", None),
            (
                "pub fn a<A, B: Fn(u8, u8) -> u8, C>(a: A) {}",
                Some("type parameters"),
            ),
            (
                "pub fn a<'a, A, B: Into<Vec<(u8, u8)>>, const N: usize>(a: A) {}",
                None,
            ),
            ("fn a<A, B, C>(a: A) {}", None),
            ("#[cfg(test)]\nmod tests { struct Helper; }", None),
        ] {
            let found = check(&Source::new("crates/a/src/b.rs", text));
            assert_eq!(found.first().map(|violation| violation.rule), rule, "{text}");
        }
    }
}
