//! Files and functions of a size that fits a head; `lib.rs` and `mod.rs` as tables of contents.

use super::ratchet::{self, Exception};
use super::report::Violation;
use super::source::Source;

const FILE_WARN_LINES: usize = 400;
const FILE_FAIL_LINES: usize = 700;
const FUNCTION_LINES: usize = 70;
const CONTENTS_LINES: usize = 150;

/// Rules on one file.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let lines = source.production_lines();
    let mut violations = Vec::new();
    if lines > FILE_WARN_LINES {
        let limit = if lines > FILE_FAIL_LINES {
            FILE_FAIL_LINES
        } else {
            FILE_WARN_LINES
        };
        let advice = format!("{lines} lines before the tests, over {limit}: split it by what it owns");
        let mut violation = Violation::new(&source.path, 1, "file length", advice);
        violation.is_warning = lines <= FILE_FAIL_LINES;
        violations.push(violation);
    }
    if source.is_table_of_contents() {
        if lines > CONTENTS_LINES {
            let advice = format!("{lines} lines, over {CONTENTS_LINES}: a table of contents is short");
            violations.push(Violation::new(&source.path, 1, "table of contents", advice));
        }
        violations.extend(source.functions().into_iter().map(|function| {
            let advice = format!(
                "move fn {} to a file of its own: only docs, mod and use stand here",
                function.name
            );
            Violation::new(&source.path, function.line, "table of contents", advice)
        }));
    }
    violations
}

/// The rule on functions, with its list of exceptions.
pub(crate) fn check_functions(sources: &[Source], exceptions: &[Exception]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut used = vec![false; exceptions.len()];
    for source in sources {
        for function in source
            .functions()
            .into_iter()
            .filter(|function| function.lines > FUNCTION_LINES)
        {
            let listed = exceptions
                .iter()
                .position(|exception| exception.path == source.path && exception.function == function.name);
            let limit = listed.map_or(FUNCTION_LINES, |index| exceptions[index].lines);
            if let Some(index) = listed {
                used[index] = true;
            }
            if function.lines > limit {
                let advice = format!(
                    "fn {} has {} lines, over {limit}: split it",
                    function.name, function.lines
                );
                violations.push(Violation::new(
                    &source.path,
                    function.line,
                    "function length",
                    advice,
                ));
            }
        }
    }
    let stale = exceptions.iter().zip(used).filter(|(_, used)| !used);
    violations.extend(stale.map(|(exception, _)| {
        let advice = format!("{} is short now or gone: remove the line", exception.function);
        Violation::new(ratchet::PATH, exception.listed_at, "function length", advice)
    }));
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, lines: usize) -> String {
        format!("fn {name}() {{\n{}}}\n", "    a();\n".repeat(lines - 2))
    }

    #[test]
    fn long_files_warn_then_fail() {
        for (lines, found) in [
            (400, None),
            (401, Some(true)),
            (700, Some(true)),
            (701, Some(false)),
        ] {
            let text = format!(
                "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
                "x;\n".repeat(lines),
                "y;\n".repeat(900)
            );
            let violations = check(&Source::new("crates/a/src/b.rs", &text));
            assert_eq!(
                violations.first().map(|violation| violation.is_warning),
                found,
                "{lines}"
            );
        }
    }

    #[test]
    fn tables_of_contents_hold_no_logic() {
        for (path, text, count) in [
            ("crates/a/src/lib.rs", "mod b;\npub use b::C;\n".to_owned(), 0),
            ("crates/a/src/lib.rs", "fn f() {}\n".to_owned(), 1),
            ("crates/a/src/b/mod.rs", "mod b;\n".repeat(151), 1),
            ("crates/a/src/b/c.rs", "fn f() {}\n".to_owned(), 0),
        ] {
            assert_eq!(check(&Source::new(path, &text)).len(), count, "{path}");
        }
    }

    #[test]
    fn long_functions_need_an_exception_and_exceptions_a_long_function() {
        let sources = [
            Source::new("a.rs", &function("long", 71)),
            Source::new("b.rs", &function("short", 70)),
        ];
        let exception = |path: &str, function: &str, lines| Exception {
            path: path.to_owned(),
            function: function.to_owned(),
            lines,
            listed_at: 1,
        };
        for (exceptions, count) in [
            (vec![], 1),
            (vec![exception("a.rs", "long", 71)], 0),
            (vec![exception("a.rs", "long", 70)], 1),
            (
                vec![exception("a.rs", "long", 71), exception("b.rs", "short", 99)],
                1,
            ),
        ] {
            assert_eq!(
                check_functions(&sources, &exceptions).len(),
                count,
                "{exceptions:?}"
            );
        }
    }
}
