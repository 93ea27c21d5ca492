//! What `promtool check metrics` would say, and a little more: an independent reader of the text format. The tests of the
//! binary read what it serves with the same.

use std::collections::{HashMap, HashSet};

/// What is wrong with a text.
pub(crate) fn lint(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut types: HashMap<&str, &str> = HashMap::new();
    let mut helped: HashSet<&str> = HashSet::new();
    let mut closed: HashSet<&str> = HashSet::new();
    let mut current = "";
    let mut series: HashSet<&str> = HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            if help.is_empty() || !helped.insert(name) {
                problems.push(format!("{name}: one help text"));
            }
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
            if types.insert(name, kind).is_some() || !helped.contains(name) {
                problems.push(format!("{name}: one type, after its help"));
            }
            if (kind == "counter") != name.ends_with("_total") {
                problems.push(format!("{name}: counters and nothing else end in _total"));
            }
            closed.insert(current);
            current = name;
            continue;
        }
        let Some((sample, value)) = line.rsplit_once(' ') else {
            problems.push(format!("not a sample: {line}"));
            continue;
        };
        if value.parse::<f64>().is_err() {
            problems.push(format!("not a number: {line}"));
        }
        if !series.insert(sample) {
            problems.push(format!("twice: {sample}"));
        }
        let name = sample.split('{').next().unwrap_or_default();
        let family = match types.get(current) {
            Some(&("histogram" | "summary")) => ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name),
            _ => name,
        };
        if family != current || closed.contains(family) {
            problems.push(format!("outside its family: {line}"));
        }
        let is_name = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if !is_name(name) {
            problems.push(format!("not a name: {name}"));
        }
        for unit in ["_ms", "_us", "_milliseconds", "_bytes_total_"] {
            if name.contains(unit) {
                problems.push(format!("not a base unit: {name}"));
            }
        }
    }
    problems
}
