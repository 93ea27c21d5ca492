//! No cycles between a crate's top-level modules: they can be read in an order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::report::Violation;
use super::source::Source;
use super::syntax;
use super::tree::Tree;

/// Edges between modules, each with the place where it is first seen.
type Graph = BTreeMap<String, BTreeMap<String, (String, usize)>>;

/// The rule on every package.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.packages
        .iter()
        .flat_map(|package| {
            let folder = format!("{}/src/", package.folder);
            let files: Vec<&Source> = tree
                .sources
                .iter()
                .filter(|source| source.path.starts_with(&folder))
                .collect();
            check_package(&folder, &files)
        })
        .collect()
}

fn check_package(folder: &str, files: &[&Source]) -> Vec<Violation> {
    let graph = graph(folder, files);
    let mut reported = BTreeSet::new();
    let mut violations = Vec::new();
    for module in graph.keys() {
        if reported.contains(module) {
            continue;
        }
        let Some(cycle) = shortest_cycle(&graph, module) else {
            continue;
        };
        let steps: Vec<String> = cycle
            .windows(2)
            .map(|pair| {
                let (path, line) = &graph[&pair[0]][&pair[1]];
                format!("{} uses {} ({path}:{line})", pair[0], pair[1])
            })
            .collect();
        let (path, line) = graph[&cycle[0]][&cycle[1]].clone();
        let advice = format!(
            "a cycle of modules: {}; move what they share to one below",
            steps.join(", ")
        );
        violations.push(Violation::new(&path, line, "module cycle", advice));
        reported.extend(cycle);
    }
    violations
}

fn graph(folder: &str, files: &[&Source]) -> Graph {
    let modules: BTreeSet<String> = files
        .iter()
        .filter_map(|file| place(folder, file))
        .map(|(name, _)| name)
        .collect();
    let exports = exports(folder, files, &modules);
    let mut graph = Graph::new();
    for file in files {
        let Some((module, depth)) = place(folder, file) else {
            continue;
        };
        for (at, name) in root_names(file.production(), depth) {
            let target = if modules.contains(&name) {
                Some(&name)
            } else {
                exports.get(&name)
            };
            if let Some(target) = target.filter(|target| **target != module) {
                let edges = graph.entry(module.clone()).or_default();
                edges
                    .entry(target.clone())
                    .or_insert_with(|| (file.path.clone(), file.line(at)));
            }
        }
    }
    graph
}

/// The top-level module that a file belongs to, and how deep its own module lies; `None` for the root and for
/// programs under `bin/`.
fn place(folder: &str, file: &Source) -> Option<(String, usize)> {
    let inside = file.path.strip_prefix(folder)?.strip_suffix(".rs")?;
    let mut parts: Vec<&str> = inside.split('/').collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    match parts[..] {
        ["lib" | "main"] | ["bin", ..] | [] => None,
        [first, ..] => Some((first.to_owned(), parts.len())),
    }
}

/// Names that the root takes from its modules, and which module each comes from.
fn exports(folder: &str, files: &[&Source], modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    let is_root = |file: &&&Source| {
        ["lib.rs", "main.rs"]
            .iter()
            .any(|name| file.path == format!("{folder}{name}"))
    };
    for root in files.iter().filter(is_root) {
        let code = root.production();
        for at in syntax::find_words(code, "use") {
            let statement = code[at + 3..].split(';').next().unwrap_or_default();
            for path in use_paths(statement) {
                let path: Vec<&str> = path
                    .iter()
                    .map(String::as_str)
                    .filter(|part| *part != "self" && *part != "crate")
                    .collect();
                let [module, .., name] = path[..] else { continue };
                if !modules.contains(module) {
                    continue;
                }
                if name == "*" {
                    let items = files
                        .iter()
                        .filter(|file| place(folder, file).is_some_and(|(of, _)| of == module));
                    exports.extend(
                        items
                            .flat_map(|file| public_items(file))
                            .map(|item| (item, module.to_owned())),
                    );
                } else {
                    exports.insert(name.to_owned(), module.to_owned());
                }
            }
        }
    }
    exports
}

/// The paths of a `use` tree; an alias takes the place of the name it stands for.
fn use_paths(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix: Vec<String> = segments(&tree[..open]);
        let inner = &tree[open + 1..syntax::closing(tree, open) - 1];
        return split_list(inner)
            .into_iter()
            .flat_map(use_paths)
            .map(|rest| prefix.iter().cloned().chain(rest).collect())
            .collect();
    }
    let (path, alias) = tree
        .split_once(" as ")
        .map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let mut path = segments(path);
    if let (Some(last), Some(alias)) = (path.last_mut(), alias) {
        *last = alias.trim().to_owned();
    }
    if path.is_empty() { Vec::new() } else { vec![path] }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The parts of a list between commas that stand in no inner braces.
fn split_list(list: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0_usize, 0, Vec::new());
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    parts
}

/// Names of the root that code in a module `depth` below it mentions, as `crate::NAME` or by as many `super::`.
fn root_names(code: &str, depth: usize) -> Vec<(usize, String)> {
    let climb = "super::".repeat(depth);
    let mut names = Vec::new();
    for prefix in ["crate::", climb.as_str()] {
        for at in syntax::find_words(code, prefix) {
            // A longer climb leads elsewhere.
            if code[..at].ends_with("::") {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            let tree = if rest.starts_with('{') {
                &rest[..syntax::closing(rest, 0)]
            } else {
                first_path(rest)
            };
            names.extend(
                use_paths(tree)
                    .into_iter()
                    .filter_map(|path| path.into_iter().next())
                    .map(|name| (at, name)),
            );
        }
    }
    names
}

fn first_path(rest: &str) -> &str {
    let end = rest
        .bytes()
        .position(|byte| !syntax::is_word(byte))
        .unwrap_or(rest.len());
    &rest[..end]
}

/// Names of items that a file declares with some visibility.
fn public_items(file: &Source) -> Vec<String> {
    let code = file.production();
    [
        "struct", "enum", "trait", "type", "fn", "const", "static", "union",
    ]
    .iter()
    .flat_map(|keyword| syntax::find_words(code, keyword).map(move |at| at + keyword.len()))
    .map(|at| first_path(code[at..].trim_start()).to_owned())
    .filter(|name| !name.is_empty())
    .collect()
}

/// The shortest way from a module back to itself, both ends included.
fn shortest_cycle(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut open = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop_front() {
        for next in graph.get(path.last()?).into_iter().flat_map(BTreeMap::keys) {
            let mut longer = path.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                open.push_back(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<Violation> {
        let files: Vec<Source> = files
            .iter()
            .map(|(name, text)| Source::new(&format!("crates/x/src/{name}"), text))
            .collect();
        check_package("crates/x/src/", &files.iter().collect::<Vec<_>>())
    }

    #[test]
    fn cycles_are_found_however_they_are_written() {
        let root = (
            "lib.rs",
            "mod a;\nmod b;\npub use a::{One, Two as Three};\npub use b::*;\n",
        );
        for (a, b, count) in [
            ("use crate::b::Four;", "pub struct Four;", 0),
            ("use crate::b::Four;", "use crate::a::One;", 1),
            ("use crate::b::Four;", "use crate::One;", 1),
            ("use crate::b::Four;", "use crate::{Three, other::X};", 1),
            ("use crate::Four;", "pub struct Four;\nfn f() -> crate::One {}", 1),
            ("use super::b::Four;", "use super::a::One;", 1),
            (
                "use crate::b::Four;",
                "// crate::a\n#[cfg(test)]\nmod tests { use crate::a::One; }",
                0,
            ),
            ("use crate::a::One;", "", 0),
        ] {
            assert_eq!(check(&[root, ("a.rs", a), ("b.rs", b)]).len(), count, "{a} {b}");
        }
    }

    #[test]
    fn folders_are_one_module() {
        let inner = [
            ("a/mod.rs", "mod c;\nmod d;"),
            ("a/c.rs", "use super::d::X;"),
            ("a/d.rs", "use super::c::Y;"),
        ];
        assert_eq!(check(&inner).len(), 0);
        let outer = [
            ("a/mod.rs", "mod c;"),
            ("a/c.rs", "use super::super::b::X;"),
            ("b.rs", "use crate::a::c;"),
        ];
        let found = check(&outer);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].advice.contains("b uses a (crates/x/src/b.rs:1)"),
            "{}",
            found[0].advice
        );
    }
}
