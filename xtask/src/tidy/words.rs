//! Words that no file of the repository holds: promises for later, and paths of one person's machine.

use super::report::Violation;
use super::syntax;
use super::tree::Text;

/// Written in two parts, so that this file keeps the rule too.
const FORBIDDEN: [(&str, &str); 6] = [
    (concat!("TO", "DO"), "do it now or open an issue"),
    (concat!("FIX", "ME"), "fix it now or open an issue"),
    (concat!("XX", "X"), "do it now or open an issue"),
    (concat!("/wo", "rk/"), "a path of one machine: make it relative"),
    (concat!("/tm", "p/w/"), "a path of one machine: make it relative"),
    (concat!("/ho", "me/"), "a path of one machine: make it relative"),
];

/// The rule on all files.
pub(crate) fn check(texts: &[Text]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for text in texts {
        for (index, line) in text.text.lines().enumerate() {
            for (word, advice) in FORBIDDEN {
                if syntax::find_words(line, word).next().is_some() {
                    violations.push(Violation::new(
                        &text.path,
                        index + 1,
                        "words",
                        format!("{word}: {advice}"),
                    ));
                }
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_and_private_paths_are_found() {
        for (line, count) in [
            (format!("// {}: later", FORBIDDEN[0].0), 1),
            (format!("see {}notes", FORBIDDEN[3].0), 1),
            ("a Todo list, path/to/homework".to_owned(), 0),
        ] {
            let text = Text {
                path: "docs/a.md".to_owned(),
                text: format!("a\n{line}\n"),
            };
            let found = check(&[text]);
            assert_eq!(found.len(), count, "{line}");
            assert!(found.iter().all(|violation| violation.line == 2));
        }
    }
}
