//! Golden tests. What comes of `tests/golden/FOLDER/NAME.in.yaml` must be what the file beside it says:
//! in `read` the problems of reading as people see them (`NAME.problems.txt`), in `translate` the problems, `Config`
//! and statuses (`NAME.out.txt`). `WEIR_BLESS=1 cargo test -p weir-config --test golden` writes the files anew; read
//! the difference before committing it.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use weir_config::report::{self, SourceTexts, Summary, TextOptions};
use weir_config::resource::ResourceSet;
use weir_config::status::Status;
use weir_config::translate::{Options, dump, translate};
use weir_model::Problem;

#[test]
fn what_comes_of_each_input_is_as_written() {
    check("translate", ".out.txt", outcome);
}

#[test]
fn lb18_each_mistake_is_shown_as_written() {
    check("read", ".problems.txt", problems);
}

fn check(folder: &str, ending: &str, outcome: impl Fn(&str, &str) -> String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(folder);
    let mut inputs = Vec::new();
    collect(&root, &mut inputs);
    inputs.sort();
    assert!(!inputs.is_empty(), "no inputs under {}", root.display());
    let mut differing = Vec::new();
    for input in &inputs {
        let text = std::fs::read_to_string(input).expect("readable input");
        let name = input
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a UTF-8 file name");
        let actual = outcome(name, &text);
        let golden = input.with_file_name(name.replace(".in.yaml", ending));
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(&golden, &actual).expect("writable golden file");
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&*actual) {
            differing.push(format!(
                "{}: {}",
                golden.display(),
                first_difference(&golden, &actual)
            ));
        }
    }
    assert!(
        differing.is_empty(),
        "WEIR_BLESS=1 writes what is found:\n{}",
        differing.join("\n")
    );
}

/// The problems of reading one file, as people see them, and the objects that are left.
fn problems(name: &str, text: &str) -> String {
    let set = ResourceSet::from_texts([(name, text)]);
    let mut sources = SourceTexts::new(|_| Some(text.to_owned()));
    let summary = Summary::new(vec![name.into()], set.objects.len(), &set.problems);
    let mut out = report::text(&set.problems, &mut sources, TextOptions::default());
    writeln!(out, "{summary}").expect("a String");
    for placed in set.objects.iter() {
        let resource = &placed.resource;
        let faulty = if resource.faulty { " (faulty)" } else { "" };
        writeln!(out, "  {}{faulty}", resource.object).expect("a String");
    }
    out
}

/// Everything that comes of one file, as text.
fn outcome(name: &str, text: &str) -> String {
    let set = ResourceSet::from_texts([(name, text)]);
    let translation = translate(&set, &Options::files());
    let mut out = String::from("# problems of reading\n");
    set.problems
        .iter()
        .for_each(|problem| write_problem(&mut out, problem));
    out += "\n# problems of translating\n";
    translation
        .problems
        .iter()
        .for_each(|problem| write_problem(&mut out, problem));
    out += "\n# config\n";
    out += &dump(&translation.config);
    out += "\n# statuses\n";
    translation
        .statuses
        .iter()
        .map(Status::to_string)
        .for_each(|status| out += &status);
    out
}

fn write_problem(out: &mut String, problem: &Problem) {
    let Problem {
        code,
        message,
        origin,
        span_length,
        label,
        help,
        effect,
        ..
    } = problem;
    writeln!(
        out,
        "{code} {}:{} +{span_length} {message}",
        origin.line, origin.column
    )
    .expect("a String");
    if !label.is_empty() {
        writeln!(out, "    label: {label}").expect("a String");
    }
    for (word, text) in [("help", help), ("effect", effect)] {
        if let Some(text) = text {
            writeln!(out, "    {word}: {text}").expect("a String");
        }
    }
}

fn collect(folder: &Path, inputs: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        if path.is_dir() {
            collect(&path, inputs);
        } else if path.to_string_lossy().ends_with(".in.yaml") {
            inputs.push(path);
        }
    }
}

fn first_difference(golden: &Path, actual: &str) -> String {
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    let (mut expected, mut actual) = (expected.lines(), actual.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (expected.next(), actual.next()) {
            (None, None) => return "only line endings differ".to_string(),
            (left, right) if left == right => {}
            (left, right) => return format!("line {number}\n  expected {left:?}\n  found    {right:?}"),
        }
    }
}
