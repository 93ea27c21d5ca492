//! Documents can be found, their links lead somewhere, and every module says what it is.

use std::collections::BTreeSet;

use super::report::Violation;
use super::source::Source;
use super::tree::Text;
use crate::repository;

/// Where readers begin.
const ENTRANCES: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/// The rule on one Rust file: it opens with its own documentation.
pub(crate) fn check_source(source: &Source) -> Vec<Violation> {
    let is_ours = source.path.contains("/src/") && source.production_lines() > 0;
    let first = source
        .text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    if !is_ours || first.starts_with("//!") {
        return Vec::new();
    }
    let advice = "open the file with //! and say what it owns";
    vec![Violation::new(&source.path, 1, "module docs", advice)]
}

/// Rules on all documents.
pub(crate) fn check(texts: &[Text]) -> Vec<Violation> {
    let root = repository::root();
    check_links(texts, &|path| root.join(path).exists())
}

fn check_links(texts: &[Text], exists: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = ENTRANCES.iter().map(|name| (*name).to_owned()).collect();
    while let Some(path) = open.pop() {
        let Some(text) = texts.iter().find(|text| text.path == path) else {
            continue;
        };
        if found.insert(path.clone()) {
            open.extend(links(text).into_iter().map(|(_, target)| target));
        }
    }
    for text in texts.iter().filter(|text| text.path.ends_with(".md")) {
        for (line, target) in links(text) {
            if !exists(&target) {
                let advice = format!("there is no {target}");
                violations.push(Violation::new(&text.path, line, "links", advice));
            }
        }
        if text.path.starts_with("docs/") && !found.contains(&text.path) {
            let advice = format!(
                "no way leads here: link it from {} or from a page they link",
                ENTRANCES.join(", ")
            );
            violations.push(Violation::new(&text.path, 1, "links", advice));
        }
    }
    violations
}

/// Links to files of the repository, with their lines, as paths from the root.
fn links(text: &Text) -> Vec<(usize, String)> {
    let folder = text.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut in_code = false;
    let mut links = Vec::new();
    for (index, line) in text.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every other part between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for part in prose.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                links.push((index + 1, resolve(folder, target)));
            }
        }
    }
    links
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, text: &str) -> Text {
        Text {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn every_document_is_linked_and_every_link_leads_somewhere() {
        let pages = [
            text(
                "README.md",
                "[a](docs/a.md) [b](https://x.org/c.md) `[c](no.md)`\n```\n[d](no.md)\n```",
            ),
            text("docs/a.md", "[up](../README.md#top) [b](decisions/b.md)"),
            text("docs/decisions/b.md", "[lost](lost.md)"),
            text("docs/lonely.md", ""),
        ];
        let exists = |path: &str| pages.iter().any(|page| page.path == path);
        let found: Vec<_> = check_links(&pages, &exists)
            .into_iter()
            .map(|violation| (violation.path, violation.line))
            .collect();
        assert_eq!(
            found,
            [
                ("docs/decisions/b.md".to_owned(), 1),
                ("docs/lonely.md".to_owned(), 1)
            ]
        );
    }

    #[test]
    fn modules_open_with_their_documentation() {
        for (path, text, count) in [
            ("crates/a/src/b.rs", "//! What it owns.\n", 0),
            ("crates/a/src/b.rs", "// No.\nuse c;\n", 1),
            ("crates/a/tests/it/main.rs", "mod b;\n", 0),
        ] {
            assert_eq!(
                check_source(&Source::new(path, text)).len(),
                count,
                "{path} {text}"
            );
        }
    }
}
