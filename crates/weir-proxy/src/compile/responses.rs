//! What becomes of responses.

use weir_model::{
    Compressor, ReplacedAnswer, Replacement, ResponseOverride, ResponseSource, StatusSet, TrafficSpec,
};
use weir_route::{HeaderConditions, HeaderView};

use super::CompiledRule;
use super::filters::guarded;

/// A rule's say in responses.
#[derive(Debug)]
pub(crate) struct ResponseRules {
    overrides: Vec<CompiledOverride>,
    /// The preferred one first.
    pub(crate) compressors: Vec<Compressor>,
}

#[derive(Debug)]
struct CompiledOverride {
    statuses: StatusSet,
    headers: HeaderConditions,
    source: ResponseSource,
    replacement: Replacement,
}

impl CompiledRule {
    /// The rule's say in responses, if it has one.
    pub(crate) fn responses(&self) -> Option<&ResponseRules> {
        self.traffic.as_ref()?.responses.as_ref()
    }
}

impl ResponseRules {
    /// `None` when `spec` has no say.
    pub(super) fn compile(spec: &TrafficSpec) -> Option<Self> {
        if spec.overrides.is_empty() && spec.compressors.is_empty() {
            return None;
        }
        Some(Self {
            overrides: spec.overrides.iter().map(CompiledOverride::of).collect(),
            compressors: spec.compressors.clone(),
        })
    }

    /// What is sent in place of an answer: what the first override says that applies.
    pub(crate) fn replacement(
        &self,
        status: u16,
        source: ResponseSource,
        headers: &dyn HeaderView,
    ) -> Option<&Replacement> {
        let applies = |one: &&CompiledOverride| {
            (one.source == ResponseSource::All || one.source == source)
                && (one.statuses.is_empty() || one.statuses.contains(status))
                && one.headers.hold(headers)
        };
        self.overrides.iter().find(applies).map(|one| &one.replacement)
    }
}

impl CompiledOverride {
    fn of(one: &ResponseOverride) -> Self {
        Self {
            statuses: one.statuses.clone(),
            headers: HeaderConditions::compile(&one.headers),
            source: one.source,
            replacement: match &one.replacement {
                Replacement::Redirect(redirect) => Replacement::Redirect(redirect.clone()),
                Replacement::Answer(answer) => Replacement::Answer(ReplacedAnswer {
                    headers: guarded(&answer.headers),
                    ..answer.clone()
                }),
            },
        }
    }
}
