//! The words of a policy on which the rest of their blocks depends. They are looked at while reading, though whole policies
//! are decoded later: with one that is unknown weir does not start, and over a reload the object is not taken (row OP14).

use super::decode::{Decoder, Field, unknown_word};
use crate::yaml::{Finding, Node, Value};

/// The code of what is said of such a word.
pub const UNKNOWN_TYPE: &str = "E0320";

/// Whose policy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Envoy Gateway's.
    Envoy,
    /// weir's own, which knows more words.
    Weir,
}

/// `loadBalancer.type` in Envoy Gateway's policies.
const BALANCERS: [&str; 6] = [
    "ConsistentHash",
    "LeastRequest",
    "Random",
    "RoundRobin",
    "BackendUtilization",
    "DynamicModule",
];
/// And what weir's have besides (rows BX01, LB08).
const OWN_BALANCERS: [&str; 2] = ["Adaptive", "PeakEwma"];
/// `loadBalancer.consistentHash.type`.
const HASHES: [&str; 5] = ["SourceIP", "Header", "Headers", "Cookie", "QueryParams"];
/// `healthCheck.active.type`.
const CHECKS: [&str; 3] = ["HTTP", "TCP", "GRPC"];

/// Reports every type in the `spec` of a policy that is unknown.
pub(super) fn check(decoder: &mut Decoder, spec: &Node, origin: Origin) {
    let mut balancers = BALANCERS.to_vec();
    if origin == Origin::Weir {
        balancers.extend(OWN_BALANCERS);
    }
    let at = |path: &[&str]| path.iter().try_fold(spec, |node, key| node.field(key));
    check_block(decoder, at(&["loadBalancer"]), &balancers);
    check_block(decoder, at(&["loadBalancer", "consistentHash"]), &HASHES);
    check_block(decoder, at(&["healthCheck", "active"]), &CHECKS);
    let fallbacks = at(&["loadBalancer", "consistentHash", "fallbacks"]);
    if let Some(Value::Sequence(items)) = fallbacks.map(|node| &node.value)
        && origin == Origin::Weir
    {
        for item in items {
            check_block(decoder, Some(item), &HASHES);
        }
    }
}

fn check_block(decoder: &mut Decoder, block: Option<&Node>, words: &[&'static str]) {
    let Some(node) = block.and_then(|block| block.field("type")) else {
        return;
    };
    let field = Field::new("type", node);
    // What is no word at all is said when the policy is decoded.
    if let Some(scalar) = node.scalar()
        && !words.contains(&&*scalar.text)
    {
        decoder.report(unknown(field, words));
    }
}

/// Reads such a word when the policy is decoded. [`check`] has reported the same of one that is unknown.
pub(crate) fn choice<T: Copy>(
    decoder: &mut Decoder,
    field: Field<'_>,
    choices: &[(&'static str, T)],
) -> Option<T> {
    let is_known = |text: &str| choices.iter().any(|(word, _)| *word == text);
    if field.node.scalar().is_none_or(|scalar| is_known(&scalar.text)) {
        return decoder.choice(field, choices).map(|word| word.value);
    }
    let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
    decoder.report(unknown(field, &words));
    None
}

/// Whether a word stands where a block with a type belongs, such as `load_balancer: least-connections`; that is reported.
pub(super) fn is_bare(decoder: &mut Decoder, field: Field<'_>) -> bool {
    let Some(scalar) = field.node.scalar() else {
        return false;
    };
    let mut words = BALANCERS.iter().chain(&OWN_BALANCERS);
    let meant = words.find(|word| scalar.text.eq_ignore_ascii_case(word));
    let words = [&BALANCERS[..], &OWN_BALANCERS].concat();
    let help = match meant {
        Some(word) => format!("write {{type: {word}}}"),
        None => format!("write {{type: TYPE}}, one of {}", words.join(", ")),
    };
    decoder.report(unknown(field, &words).help(help));
    true
}

fn unknown(field: Field<'_>, words: &[&'static str]) -> Finding {
    unknown_word(UNKNOWN_TYPE, field, words)
        .effect("weir does not start with this; while it runs, what is in force stays")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Parser;

    fn found(spec: &str, origin: Origin) -> Vec<String> {
        let document = Parser::default().parse(spec);
        let mut decoder = Decoder::default();
        check(&mut decoder, &document.root.expect("a mapping"), origin);
        let text = |finding: Finding| format!("{} {}", finding.code, finding.message);
        decoder.into_findings().into_iter().map(text).collect()
    }

    #[test]
    fn op14_types_of_policies_are_known_or_reported() {
        let cannot = |word: &str| vec![format!("E0320 \"type\" cannot be \"{word}\"")];
        for (spec, envoy, weir) in [
            ("loadBalancer: {type: RoundRobin}", vec![], vec![]),
            ("loadBalancer: {type: Adaptive}", cannot("Adaptive"), vec![]),
            (
                "loadBalancer: {type: round_robin}",
                cannot("round_robin"),
                cannot("round_robin"),
            ),
            ("loadBalancer: {type: 7}", cannot("7"), cannot("7")),
            (
                "loadBalancer: {type: ConsistentHash, consistentHash: {type: Url}}",
                cannot("Url"),
                cannot("Url"),
            ),
            (
                "loadBalancer: {type: ConsistentHash, consistentHash: {type: Cookie, fallbacks: [{type: IP}]}}",
                vec![],
                cannot("IP"),
            ),
            (
                "healthCheck: {active: {type: http}}",
                cannot("http"),
                cannot("http"),
            ),
            ("healthCheck: {active: {type: GRPC}, passive: {}}", vec![], vec![]),
            // Not this module's to say.
            ("loadBalancer: {type: [Random]}", vec![], vec![]),
            ("loadBalancer: {}", vec![], vec![]),
            ("loadBalancer: Random", vec![], vec![]),
            ("loadBalanser: {type: Nonsense}", vec![], vec![]),
        ] {
            assert_eq!(found(spec, Origin::Envoy), envoy, "{spec}");
            assert_eq!(found(spec, Origin::Weir), weir, "{spec}");
        }
    }
}
