//! Translation: no panic whatever is written, the same meaning each time, problems at places of the text, and tenants whose
//! rates are what the text says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_config::check::check_resources;
use weir_config::report::{self, TextOptions};
use weir_config::resource::ResourceSet;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let lines = u32::try_from(text.split('\n').count()).unwrap_or(u32::MAX);
    let set = ResourceSet::from_texts([("fuzz.yaml", text)]);
    let found = check_resources(&set, vec!["fuzz.yaml".into()]);
    for problem in &found.problems {
        assert!(
            problem.origin.line <= lines,
            "line {} of {lines}: {problem:?}",
            problem.origin.line
        );
        assert!(
            !problem.message.is_empty() && report::code(problem.code).is_some(),
            "{problem:?}"
        );
    }
    assert!(!found.text(TextOptions::default()).contains('\u{1b}'));
    found.json();
    found.github();
    let again = check_resources(
        &ResourceSet::from_texts([("fuzz.yaml", text)]),
        vec!["fuzz.yaml".into()],
    );
    assert_eq!(again.translation.config, found.translation.config);
    assert_eq!(again.problems, found.problems);
});
