//! The documentation's own examples: every YAML block is accepted as it stands, and what the README shows of a command
//! is what the command prints.

use std::path::Path;

use crate::harness::{Folder, weir, weir_in};

/// The blocks of one language in a Markdown text, with the line each starts on.
pub(crate) fn blocks<'t>(text: &'t str, language: &str) -> Vec<(usize, &'t str)> {
    let opening = format!("```{language}\n");
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(&opening) {
        let start = from + start + opening.len();
        let end = start + text[start..].find("\n```").expect("a block that begins ends") + 1;
        found.push((text[..start].lines().count() + 1, &text[start..end]));
        from = end;
    }
    found
}

/// The text of a document, by its path in the repository.
pub(crate) fn documentation(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The YAML block of a document that contains `text`.
pub(crate) fn yaml_block(name: &str, text: &str) -> String {
    let document = documentation(name);
    let mut found = blocks(&document, "yaml")
        .into_iter()
        .filter(|(_, block)| block.contains(text));
    let (_, block) = found
        .next()
        .unwrap_or_else(|| panic!("{name} has a block with {text}"));
    assert!(found.next().is_none(), "{name} has one block with {text}");
    block.to_owned()
}

/// The first YAML block under a heading of a document.
pub(crate) fn policy_under(name: &str, heading: &str) -> String {
    let text = documentation(name);
    let from = text
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("{name} has no heading {heading:?}"));
    let (_, block) = blocks(&text[from..], "yaml")[0];
    block.to_owned()
}

#[test]
fn every_yaml_block_of_the_documentation_is_accepted() {
    let mut checked = 0;
    for name in [
        "README.md",
        "docs/load-balancing.md",
        "docs/affinity.md",
        "docs/health.md",
        "docs/failover.md",
        "docs/resilience.md",
        "docs/traffic.md",
        "docs/names.md",
        "docs/responses.md",
    ] {
        for (line, block) in blocks(&documentation(name), "yaml") {
            let finished = weir(&["check", "-o", "json", "-"], block);
            let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
            for problem in report["problems"].as_array().expect("a list") {
                // A block shows one object: what it refers to stands elsewhere. Or a whole configuration, of a class that
                // nobody has to define, or of tenants without a word about health.
                let code = problem["code"].as_str().expect("a code");
                assert!(
                    ["W0311", "N0201", "E0211", "E0222", "W0417"].contains(&code),
                    "{name}:{line}: {problem:#}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked} blocks were found");
}

#[test]
fn every_tenants_file_of_the_documentation_is_accepted() {
    let documented = documentation("docs/tenants.md");
    let example = documentation("examples/tenants.yaml");
    let mut files = blocks(&documented, "yaml");
    assert!(files.len() >= 6, "{} blocks were found", files.len());
    files.push((0, &example));
    for (line, block) in files {
        let finished = weir(&["check", "-o", "json", "-"], block);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let mut problems = report["problems"].as_array().expect("a list").clone();
        // Most examples are about something else than health.
        problems.retain(|problem| problem["code"] != "W0417");
        assert!(problems.is_empty(), "line {line}: {problems:#?}");
    }
}

#[test]
fn the_readme_shows_what_the_commands_print() {
    let folder = Folder::new();
    let folder = folder.path();
    let wrote = weir_in(folder, &["demo", "--write", "shop"]);
    let readme = documentation("README.md");
    let shown: Vec<&str> = blocks(&readme, "text")
        .into_iter()
        .map(|(_, block)| block)
        .collect();
    assert_eq!(wrote.stdout, shown[0], "demo --write");

    let explain = [
        "-c",
        "shop",
        "explain",
        "GET",
        "http://www.example.com:8080/header",
        "-H",
        "FooBar: 1.2.3.4",
    ];
    let explained = weir_in(folder, &explain);
    let (_, expected) = shown[2].split_once('\n').expect("the command line comes first");
    assert_eq!(explained.stdout, expected, "explain");

    let file = folder.join("shop/weir.yaml");
    let text = std::fs::read_to_string(&file).expect("written");
    let (before, after) = text
        .split_once("backendRefs:\n        - name: backend\n")
        .expect("a backendRef");
    std::fs::write(
        &file,
        format!("{before}backendRefs:\n        - name: backnd\n{after}"),
    )
    .expect("writable");
    let checked = weir_in(folder, &["check", "shop/weir.yaml"]);
    let (_, expected) = shown[1].split_once('\n').expect("the command line comes first");
    assert_eq!(checked.stdout, expected, "check");
    assert_eq!(checked.code, Some(3));
}
