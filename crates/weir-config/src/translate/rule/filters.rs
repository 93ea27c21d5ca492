//! The filters of a rule and of its backendRefs. One that cannot be served costs the requests that it is for.

use weir_model::{Filter, Redirect, Target};

use super::{Draft, RuleWriter, UNSUPPORTED_VALUE, WrittenRules, fixed};
use crate::resource::{BackendReference, HttpBackendRef, HttpFilter};
use crate::translate::filter::{self, FilterOutcome};
use crate::translate::reporter::rule_answers;
use crate::yaml::{Finding, Spanned};

impl<'a> RuleWriter<'_, 'a> {
    /// The filters of a rule, its redirect, and whether one of them cannot be served.
    pub(super) fn rule_filters(
        &mut self,
        draft: &Draft<'a>,
        written: &mut WrittenRules,
    ) -> (Vec<Filter>, Option<Redirect>, bool) {
        let mut filters = Vec::with_capacity(draft.rule.filters.len());
        let mut redirect = None;
        let mut refused = false;
        for filter in &draft.rule.filters {
            match filter::write(&filter.value) {
                FilterOutcome::Filter(filter) => filters.push(filter),
                FilterOutcome::Redirect(found) => redirect = Some(found),
                FilterOutcome::Mirror(mirror) => {
                    filters.extend(self.mirror(draft, &mirror.backend, mirror.fraction, written));
                }
                FilterOutcome::Unserved { what, help } => {
                    refused = true;
                    let effect = rule_answers(draft.place, draft.route.spec.rules.len());
                    self.report_filter(draft, filter, what, help, effect);
                }
            }
        }
        (filters, redirect, refused)
    }

    fn report_filter(
        &mut self,
        draft: &Draft<'a>,
        filter: &Spanned<HttpFilter>,
        what: String,
        help: &str,
        effect: String,
    ) {
        let finding = Finding::new("E0250", filter.span, what)
            .label("a filter must not be skipped")
            .help(help)
            .effect(effect);
        self.reporter.add(draft.route.placed, finding);
    }

    /// A mirror whose backend cannot be found is dropped; the requests themselves are served.
    fn mirror(
        &mut self,
        draft: &Draft<'a>,
        reference: &'a BackendReference,
        fraction: weir_model::Fraction,
        written: &mut WrittenRules,
    ) -> Option<Filter> {
        match self.backends.resolve(self.index, draft.route.placed, reference) {
            Ok(backend) => Some(filter::mirror(backend, fraction)),
            Err(unresolved) => {
                let effect = "nothing is mirrored there; the requests themselves are served".to_string();
                self.report_unresolved(draft, *unresolved, effect, written);
                None
            }
        }
    }

    /// The filters of one backendRef; one that cannot be served costs the destination its share.
    pub(super) fn destination_filters(
        &mut self,
        draft: &Draft<'a>,
        reference: &'a HttpBackendRef,
        mut target: Target,
        weights: u64,
        written: &mut WrittenRules,
    ) -> (Vec<Filter>, Target) {
        let mut filters = Vec::with_capacity(reference.filters.len());
        for filter in &reference.filters {
            let (what, help) = match filter::write(&filter.value) {
                FilterOutcome::Filter(filter) => {
                    filters.push(filter);
                    continue;
                }
                FilterOutcome::Mirror(mirror) => {
                    filters.extend(self.mirror(draft, &mirror.backend, mirror.fraction, written));
                    continue;
                }
                FilterOutcome::Redirect(_) => (
                    "RequestRedirect in a backendRef is not served".to_string(),
                    "put it into the rule's filters",
                ),
                FilterOutcome::Unserved { what, help } => (what, help),
            };
            let effect = self.share(draft, reference.weight.value, weights);
            self.report_filter(draft, filter, what, help, effect);
            written.refused.push(draft.place);
            target = Target::Answer(fixed(UNSUPPORTED_VALUE));
        }
        (filters, target)
    }
}
