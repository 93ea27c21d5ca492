//! What is translated but not yet executed by the data plane. Whoever makes the data plane do one of these deletes
//! its line: then nothing is said any more, and what is written is in effect.

use crate::resource::Finding;
use crate::resource::decode::Decoder;
use crate::yaml::{Node, Span};

/// Field by kind and path, and what happens until it is in effect. `BackendTrafficPolicy` stands for both kinds of
/// policy, `TrafficPolicy` for what only weir's own has.
const PENDING: &[(&str, &str)] = &[];

/// Says of each field of a policy's `spec` that is not in effect yet.
pub(crate) fn report(decoder: &mut Decoder, spec: &Node, kind: &str) {
    let is_own = kind == "TrafficPolicy";
    for (field, effect) in PENDING {
        let Some((owner, path)) = field.split_once('.') else {
            continue;
        };
        let has_field = owner == "BackendTrafficPolicy" || is_own && owner == "TrafficPolicy";
        if let Some(span) = place(spec, path).filter(|_| has_field) {
            decoder.report(finding(path, span, effect));
        }
    }
}

fn finding(path: &str, span: Span, effect: &str) -> Finding {
    Finding::new(
        "W0318",
        span,
        format!("{path} is accepted, but not yet in effect"),
    )
    .label("not yet in effect")
    .effect(effect)
}

/// Where the key at the end of `path` is written.
fn place(spec: &Node, path: &str) -> Option<Span> {
    let (inside, last) = path
        .rsplit_once('.')
        .map_or(("", path), |(inside, last)| (inside, last));
    let mut node = spec;
    for name in inside.split('.').filter(|name| !name.is_empty()) {
        node = node.field(name)?;
    }
    let entry = node.entry(last)?;
    (!entry.node.is_null()).then_some(entry.key_span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Parser;

    #[test]
    fn fields_are_found_where_they_are_written() {
        let tree = |text: &str| Parser::new().parse(text).root.expect(text);
        let spec = tree(
            "connection:\n  bufferLimit: 1Ki\ndns: null\nfailover: {redistribute: true}\nsessionPersistence: {}\n",
        );
        let said = |kind: &str| -> Vec<String> {
            let mut decoder = Decoder::default();
            report(&mut decoder, &spec, kind);
            let findings = decoder.into_findings().into_iter();
            findings
                .map(|finding| {
                    format!(
                        "{}:{} {}",
                        finding.span.line, finding.span.column, finding.message
                    )
                })
                .collect()
        };
        let listed = |field: &str| PENDING.iter().any(|(name, _)| *name == field);
        let mut expected = Vec::new();
        if listed("BackendTrafficPolicy.connection.bufferLimit") {
            expected.push("2:3 connection.bufferLimit is accepted, but not yet in effect".to_owned());
        }
        assert_eq!(said("BackendTrafficPolicy"), expected);
        if listed("TrafficPolicy.sessionPersistence") {
            expected.push("5:1 sessionPersistence is accepted, but not yet in effect".to_owned());
        }
        assert_eq!(said("TrafficPolicy"), expected);
    }
}
