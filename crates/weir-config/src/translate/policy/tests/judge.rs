//! One policy by itself: what it means, and what is said of it.

use weir_model::{ObjectName, Severity};

use super::super::owner::Owner;
use super::super::spec::settings;
use crate::resource::decode::Decoder;
use crate::translate::effective::PolicySettings;
use crate::yaml::{Node, Parser};

/// The tree of a document.
pub(super) fn tree(text: &str) -> Node {
    Parser::new().parse(text).root.expect(text)
}

/// Decodes a `spec` of a BackendTrafficPolicy (or, when `own`, of a TrafficPolicy). Findings are shown as
/// `CODE line:column message`, without those about what is not in effect yet.
pub(super) fn judge(own: bool, spec: &str) -> (Option<PolicySettings>, Vec<String>) {
    let kind = if own {
        "TrafficPolicy"
    } else {
        "BackendTrafficPolicy"
    };
    let mut decoder = Decoder::default();
    let object = ObjectName::new(kind, "default", "p");
    let found = settings(&mut decoder, &tree(spec), Owner::alone(&object));
    let findings = decoder.into_findings();
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(
        found.is_none(),
        refused,
        "an error refuses the policy, a warning does not:\n{spec}\n{findings:?}"
    );
    let shown = findings.iter().map(|finding| {
        let (line, column) = (finding.span.line, finding.span.column);
        format!("{} {line}:{column} {}", finding.code, finding.message)
    });
    (found, shown.collect())
}

/// What a `spec` without findings means.
pub(super) fn valid(spec: &str) -> PolicySettings {
    let (found, findings) = judge(false, spec);
    assert_eq!(findings, Vec::<String>::new(), "{spec}");
    found.expect(spec)
}

/// The same of weir's own kind.
pub(super) fn valid_own(spec: &str) -> PolicySettings {
    let (found, findings) = judge(true, spec);
    assert_eq!(findings, Vec::<String>::new(), "{spec}");
    found.expect(spec)
}

/// Each `spec` with all that is said of it.
pub(super) fn check(cases: &[(&str, &[&str])]) {
    for (spec, expected) in cases {
        assert_eq!(judge(false, spec).1, *expected, "{spec}");
    }
}

/// A field with a number: the least and the greatest that are taken. `spec` has the number as `N`.
pub(super) fn bounds(spec: &str, least: i64, greatest: i64) {
    for (number, valid) in [
        (least - 1, false),
        (least, true),
        (least + 1, true),
        (greatest - 1, true),
        (greatest, true),
        (greatest + 1, false),
    ] {
        let (found, findings) = judge(true, &spec.replace('N', &number.to_string()));
        assert_eq!(found.is_some(), valid, "{spec} {number}: {findings:?}");
    }
}

/// A field with a time that must not be zero: the least and the greatest that are taken. `spec` has it as `N`.
pub(super) fn period_bounds(spec: &str) {
    for (time, valid) in [
        ("0s", false),
        ("0ms", false),
        ("1ms", true),
        ("2ms", true),
        ("8783h59m59s999ms", true),
        ("8784h", true),
        ("8784h1ms", false),
        ("5", false),
        ("-1s", false),
    ] {
        let (found, findings) = judge(true, &spec.replace('N', time));
        assert_eq!(found.is_some(), valid, "{spec} {time}: {findings:?}");
    }
}
