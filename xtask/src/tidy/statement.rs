//! Comments that justify a statement: `// SAFETY:` and `// INVARIANT:`.

use super::source::Source;

/// Whether a comment with `marker` stands directly above the statement that `line` belongs to, or beside it.
pub(crate) fn is_justified(source: &Source, line: usize, marker: &str) -> bool {
    let mut first = line;
    // A statement that was broken over lines begins below the last line that ends one.
    while first > 1 && continues(source.code_line(first - 1)) {
        first -= 1;
    }
    if (first..=line).any(|line| source.comment_line(line).contains(marker)) {
        return true;
    }
    let above = (1..first).rev();
    above
        .take_while(|line| {
            let code = source.code_line(*line).trim();
            let is_attribute = code.starts_with("#[") && code.ends_with(']');
            is_attribute || (code.is_empty() && !source.comment_line(*line).trim().is_empty())
        })
        .any(|line| source.comment_line(line).contains(marker))
}

/// Whether the statement goes on below a line of code.
fn continues(code: &str) -> bool {
    let code = code.trim_end();
    !code.trim().is_empty() && !code.ends_with([';', '{', '}', ',', ']']) && !code.ends_with("=>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_stands_above_the_statement() {
        for (text, line, justified) in [
            ("// WHY: x\na.b();", 2, true),
            ("// WHY: x\n// more\nlet a = b\n    .c()\n    .d();", 5, true),
            ("// WHY: x\nlet a = 1;\nlet b = 2;", 3, false),
            ("// WHY: x\n\nlet a = 1;", 3, false),
            ("let a = 1; // WHY: x", 1, true),
            ("// because\nlet a = 1;", 2, false),
            ("// WHY: x\n#[allow(y)]\nlet a = 1;", 3, true),
            ("f(\n    // WHY: x\n    a,\n    b,\n)", 4, false),
            ("let s = \"WHY:\";\nb();", 2, false),
        ] {
            let source = Source::new("crates/a/src/b.rs", text);
            assert_eq!(is_justified(&source, line, "WHY:"), justified, "{text}");
        }
    }
}
