//! The loader: no panic, bounded work, the same documents whatever was read before, places inside the text, and every
//! problem can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_config::report::{self, SourceTexts, Summary, TextOptions};
use weir_config::resource::{Reader, ResourceSet};
use weir_config::yaml::sections;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let lines = u32::try_from(text.split('\n').count()).unwrap_or(u32::MAX);
    check_sections(text, lines);
    let set = ResourceSet::from_texts([("fuzz.yaml", text)]);
    for problem in &set.problems {
        assert!(
            (1..=lines).contains(&problem.origin.line),
            "line {} of {lines}: {problem:?}",
            problem.origin.line
        );
        assert!(
            !problem.message.is_empty() && report::code(problem.code).is_some(),
            "{problem:?}"
        );
    }
    let mut sources = SourceTexts::new(|_| Some(text.to_owned()));
    let shown = report::text(&set.problems, &mut sources, TextOptions::default());
    assert!(
        !shown.contains('\u{1b}'),
        "an escape code comes through: {shown:?}"
    );
    report::json(
        &set.problems,
        &Summary::new(vec!["fuzz.yaml".into()], set.objects.len(), &set.problems),
        &[],
    );
    report::github(&set.problems);
});

/// The documents are the file cut into pieces, and each reads the same with a fresh reader and a used one.
fn check_sections(text: &str, lines: u32) {
    let mut used = Reader::new();
    let mut end = text.as_ptr() as usize;
    for section in sections(text) {
        assert!(
            section.text.as_ptr() as usize >= end,
            "sections overlap or are out of order"
        );
        end = section.text.as_ptr() as usize + section.text.len();
        assert!((1..=lines).contains(&section.first_line));
        let (left, right) = (used.read(section.text), Reader::new().read(section.text));
        assert_eq!(left.resources, right.resources);
        assert_eq!(left.findings, right.findings);
    }
}
