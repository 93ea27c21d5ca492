//! Rules: matches, filters and destinations of an HTTPRoute's rule, before any policy.

mod filters;

use std::sync::Arc;

use weir_model::{
    Action, Destination, Failover, Filter, FixedAnswer, Forward, Match, Rule, Target, Tier, Timeouts, Weight,
};

use super::backend::Backends;
use super::index::{Index, Object};
use super::reference::Unresolved;
use super::reporter::{Reporter, rule_answers, sentence, share_answers};
use crate::resource::{HttpBackendRef, HttpMatch, HttpRoute, HttpRule};
use crate::yaml::{Finding, Span};

/// Reason of an answer for a rule that weir cannot serve as written (Gateway API `UnsupportedValue`).
pub(crate) const UNSUPPORTED_VALUE: &str = "UnsupportedValue";

/// What rules are written with.
pub(crate) struct RuleWriter<'w, 'a> {
    pub(crate) index: &'w Index<'a>,
    pub(crate) backends: &'w mut Backends<'a>,
    pub(crate) reporter: &'w mut Reporter,
    /// Buffer for keys.
    pub(crate) key: String,
    /// The default balance, shared by all rules without a policy.
    pub(crate) balance: Arc<weir_model::BalanceSpec>,
    /// The default treatment of endpoints, shared likewise.
    pub(crate) upstream: Arc<weir_model::UpstreamSpec>,
}

/// The rules of a route as far as they do not depend on policies.
#[derive(Debug, Default)]
pub(crate) struct WrittenRules {
    /// The rules that match something, in the order written.
    pub(crate) rules: Vec<Rule>,
    /// For each of them its place among the rules as written.
    pub(crate) places: Vec<usize>,
    /// Reason and message of the first reference that leads nowhere.
    pub(crate) unresolved: Option<(&'static str, String)>,
    /// Places of the rules that answer 500 because weir cannot serve them as written.
    pub(crate) refused: Vec<usize>,
}

impl WrittenRules {
    /// The same rules for another set of policies.
    pub(crate) fn copy(&self) -> Self {
        Self {
            rules: self.rules.clone(),
            places: self.places.clone(),
            ..Self::default()
        }
    }
}

/// One rule in the making.
struct Draft<'a> {
    route: Object<'a, HttpRoute>,
    rule: &'a HttpRule,
    place: usize,
}

impl<'a> RuleWriter<'_, 'a> {
    /// Writes all rules of a route.
    pub(crate) fn write(&mut self, route: Object<'a, HttpRoute>) -> WrittenRules {
        let count = route.spec.rules.len();
        let mut written = WrittenRules {
            rules: Vec::with_capacity(count),
            places: Vec::with_capacity(count),
            ..WrittenRules::default()
        };
        for (place, rule) in route.spec.rules.iter().enumerate() {
            let draft = Draft { route, rule, place };
            let (filters, mut action) = self.action(&draft, &mut written);
            // A rule whose matches were all refused matches nothing; it must not match everything.
            if rule.matches.is_empty() {
                written.refused.push(place);
                continue;
            }
            if self.has_two_affinities(&draft, &action) {
                written.refused.push(place);
                action = answer(UNSUPPORTED_VALUE);
            }
            let key = self.key(route, place);
            if let (Action::Forward(forward), Some(found)) = (&mut action, &rule.session_persistence) {
                forward.persistence = Some(found.value.for_rule(&key));
            }
            written.places.push(place);
            written.rules.push(Rule {
                key,
                name: rule.name.as_ref().map(|name| name.value.clone()),
                matches: rule.matches.iter().map(write_match).collect(),
                filters,
                action,
                timeouts: Timeouts::default(),
                traffic: None,
                origin: route.origin(rule.span),
            });
        }
        written
    }

    /// Whether the rule keeps sessions over a Service that keeps clients by their address: the two may name different
    /// endpoints, and such a rule is to be rejected (GEP-1619).
    fn has_two_affinities(&mut self, draft: &Draft<'a>, action: &Action) -> bool {
        let (Action::Forward(forward), Some(persistence)) = (action, &draft.rule.session_persistence) else {
            return false;
        };
        let mut backends = forward.destinations.iter().filter_map(|one| match one.target {
            Target::Backend(backend) => Some(backend),
            Target::Answer(_) => None,
        });
        let Some(service) = backends.find_map(|backend| self.backends.service_with_affinity(backend)) else {
            return false;
        };
        let message = format!(
            "sessionPersistence does not go with the sessionAffinity of {}",
            service.id()
        );
        let finding = Finding::new("E0253", persistence.span, message)
            .label("the two may name different endpoints (GEP-1619)")
            .help("remove sessionAffinity from the Service, or sessionPersistence from the rule")
            .effect(rule_answers(draft.place, draft.route.spec.rules.len()));
        self.reporter.add(draft.route.placed, finding);
        true
    }

    /// Envoy Gateway's name for the rule's cluster.
    fn key(&mut self, route: Object<'_, HttpRoute>, place: usize) -> Arc<str> {
        let key = &mut self.key;
        key.clear();
        for part in ["httproute/", route.namespace(), "/", route.name(), "/rule/"] {
            key.push_str(part);
        }
        // Formatting is slow, and most routes have few rules.
        match u8::try_from(place) {
            Ok(digit @ 0..=9) => key.push(char::from(b'0' + digit)),
            _ => key.push_str(&place.to_string()),
        }
        key.as_str().into()
    }

    fn action(&mut self, draft: &Draft<'a>, written: &mut WrittenRules) -> (Vec<Filter>, Action) {
        let (filters, redirect, mut refused) = self.rule_filters(draft, written);
        refused |= draft.rule.refused;
        let forward = self.forward(draft, redirect.is_some(), written);
        if refused {
            written.refused.push(draft.place);
            return (Vec::new(), answer(UNSUPPORTED_VALUE));
        }
        (filters, redirect.map_or(forward, Action::Redirect))
    }

    fn report_unresolved(
        &mut self,
        draft: &Draft<'a>,
        unresolved: Unresolved,
        effect: String,
        written: &mut WrittenRules,
    ) {
        let Unresolved { reason, finding } = unresolved;
        written
            .unresolved
            .get_or_insert_with(|| (reason, sentence(&finding.message)));
        self.reporter.add(draft.route.placed, finding.effect(effect));
    }

    /// Where the requests of a rule go. A redirect needs no destinations.
    fn forward(&mut self, draft: &Draft<'a>, redirected: bool, written: &mut WrittenRules) -> Action {
        let references = &draft.rule.backends;
        let weights: u64 = references
            .iter()
            .map(|reference| u64::from(reference.weight.number()))
            .sum();
        let mut destinations = Vec::with_capacity(references.len());
        for reference in references {
            let target = self.target(draft, reference, weights, written);
            let (filters, target) = self.destination_filters(draft, reference, target, weights, written);
            destinations.push(Destination {
                weight: reference.weight.value,
                tier: self.tier(reference, &target),
                target,
                filters,
            });
        }
        if redirected {
            return answer(UNSUPPORTED_VALUE);
        }
        if destinations.is_empty() {
            self.report_nowhere(
                draft,
                draft.rule.span,
                "has no backendRefs",
                "add backendRefs or a RequestRedirect",
            );
            return answer("NoBackendRefs");
        }
        if weights == 0 {
            let span = references[0].weight.span;
            self.report_nowhere(
                draft,
                span,
                "gives all its backendRefs the weight 0",
                "give one of them a weight",
            );
            return answer("AllWeightsZero");
        }
        Action::Forward(Forward {
            destinations,
            balance: self.balance.clone(),
            upstream: self.upstream.clone(),
            failover: Failover::default(),
            retry: draft
                .rule
                .retry
                .as_ref()
                .map(|retry| Arc::new(retry.value.clone())),
            persistence: None,
            policy: None,
        })
    }

    /// What is written beside the reference counts; without it, what the Backend itself says.
    fn tier(&self, reference: &HttpBackendRef, target: &Target) -> Tier {
        let own = reference.priority.map(|priority| priority.value);
        own.unwrap_or_else(|| match target {
            Target::Backend(backend) if self.backends.is_fallback(*backend) => Tier::FALLBACK,
            Target::Backend(_) | Target::Answer(_) => Tier::FIRST,
        })
    }

    fn report_nowhere(&mut self, draft: &Draft<'a>, span: Span, what: &str, help: &str) {
        // A refused rule answers 500 for another reason, which has been given.
        if draft.rule.refused || draft.rule.matches.is_empty() {
            return;
        }
        let count = draft.route.spec.rules.len();
        let finding = Finding::new(
            "W0254",
            span,
            format!("rule {} of {} {what}", draft.place + 1, draft.route.id()),
        )
        .help(help)
        .effect(rule_answers(draft.place, count));
        self.reporter.add(draft.route.placed, finding);
    }

    /// What a backendRef leads to. A bad one costs its share of the requests and no more.
    fn target(
        &mut self,
        draft: &Draft<'a>,
        reference: &'a HttpBackendRef,
        weights: u64,
        written: &mut WrittenRules,
    ) -> Target {
        if reference.refused {
            let reason = "InvalidBackendRef";
            written
                .unresolved
                .get_or_insert_with(|| (reason, "A backendRef is not valid.".to_string()));
            return Target::Answer(fixed(reason));
        }
        match self
            .backends
            .resolve(self.index, draft.route.placed, &reference.backend)
        {
            Ok(backend) => Target::Backend(backend),
            Err(unresolved) => {
                let reason = unresolved.reason;
                let effect = self.share(draft, reference.weight.value, weights);
                self.report_unresolved(draft, *unresolved, effect, written);
                Target::Answer(fixed(reason))
            }
        }
    }

    fn share(&self, draft: &Draft<'a>, weight: Weight, weights: u64) -> String {
        share_answers(
            draft.place,
            draft.route.spec.rules.len(),
            weight.number(),
            weights,
        )
    }
}

fn write_match(written: &HttpMatch) -> Match {
    Match {
        path: written.path.value.clone(),
        method: written.method.as_ref().map(|method| method.value.clone()),
        headers: written
            .headers
            .iter()
            .map(|header| header.value.clone())
            .collect(),
        query: written
            .query
            .iter()
            .map(|parameter| parameter.value.clone())
            .collect(),
    }
}

fn answer(reason: &str) -> Action {
    Action::Answer(fixed(reason))
}

fn fixed(reason: &str) -> FixedAnswer {
    FixedAnswer {
        status: 500,
        reason: reason.into(),
        allow: None,
    }
}
