//! The spine: the stops of a translation in their order.

use std::sync::Arc;

use weir_model::{BackendId, Config, Problem};

use super::attach;
use super::backend::Backends;
use super::change::Previous;
use super::class::Classes;
use super::condition::{self, RouteConditions};
use super::index::Index;
use super::options::Options;
use super::policy::PolicyIndex;
use super::reporter::{self, Reporter};
use super::route::{self, RouteInputs};
use super::{backend_object, gateway, lint, listener, number, tenants};
use crate::resource::ResourceSet;
use crate::status::Status;

/// What a set of resources means.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    /// What the data plane does.
    pub config: Arc<Config>,
    /// What is said about each object; ordered by kind, namespace and name.
    pub statuses: Vec<Status>,
    /// What is wrong, in the order of the files. Problems of reading and decoding are not among them: they are
    /// in [`ResourceSet::problems`].
    pub problems: Vec<Problem>,
    /// The problems that endpoints have, by backend: they are replaced when endpoints change.
    pub(crate) endpoint_problems: Vec<(BackendId, Vec<Problem>)>,
    /// All other problems.
    pub(crate) lasting_problems: Vec<Problem>,
}

/// Gives resources their meaning. Pure: equal arguments give equal results, and nothing else is looked at.
///
/// One object that is not valid costs what depends on it and no more.
pub fn translate(set: &ResourceSet, options: &Options) -> Translation {
    translate_after(set, options, None)
}

/// Like [`translate`], but takes from the last translation what is still true. The result is the same.
pub(crate) fn translate_after(
    set: &ResourceSet,
    options: &Options,
    previous: Option<Previous<'_>>,
) -> Translation {
    let mut reporter = Reporter::default();
    let mut statuses = Vec::with_capacity(set.objects.len() / 2);
    let index = Index::build(set);
    let classes = Classes::judge(&index, options, &mut statuses, &mut reporter);
    let mut gateways = gateway::judge(&index, &classes, options, &mut reporter);
    let mut table = attach::attach(&index, &mut gateways, &mut reporter);
    let mut hosts = std::mem::take(&mut table.hosts);
    let policies = PolicyIndex::build(&index, &table.attached, options);
    let refused = backend_object::judge(&index, options, &mut statuses, &mut reporter);
    let mut backends = Backends::new(&index, refused, previous.as_ref());
    let before = previous.as_ref().map(Previous::translation);
    // Known routes speak of backends by the numbers that they had.
    let previous = previous.filter(|previous| backends.count() == previous.backends().len());

    let inputs = RouteInputs {
        index: &index,
        gateways: &gateways,
        policies: &policies,
        table: &table,
    };
    let mut written = route::write(&inputs, previous, &mut hosts, &mut backends, &mut reporter);
    let used = number::used(&written.routes, backends.count());
    let finished = backends.finish(&index, options, &used);
    let routes = number::numbered(written.routes, &finished.ids);
    let attachments = std::mem::take(&mut written.attachments);
    let mut listeners = listener::write(&gateways, attachments, &policies, &mut reporter);
    if !before.is_some_and(|before| lint::hides_nothing_still(before, &listeners, &routes)) {
        lint::report_shadowed(&listeners, &routes, &written.sources, &mut reporter);
    }
    let (mut routes, mut backends) = (routes, finished.backends);
    let parts = tenants::Parts {
        listeners: &mut listeners,
        routes: &mut routes,
        backends: &mut backends,
    };
    tenants::write(&index, options, parts, &mut reporter);

    statuses.extend(gateways.iter().map(condition::of_gateway));
    let conditions = RouteConditions::new();
    let outcomes = table.routes.iter().zip(&written.outcomes);
    statuses.extend(outcomes.filter_map(|(route, outcome)| conditions.of(&table, route, outcome, &gateways)));
    let (policy_statuses, policy_problems) = policies.into_report();
    statuses.extend(policy_statuses);
    statuses.sort_by(|left, right| left.object.cmp(&right.object));
    reporter.extend(policy_problems);

    let config = Config {
        listeners,
        routes,
        backends,
    };
    let mut translation = Translation {
        config: Arc::new(config),
        statuses,
        problems: Vec::new(),
        endpoint_problems: finished.problems,
        lasting_problems: reporter.into_problems(),
    };
    translation.collect_problems();
    translation
}

impl Translation {
    /// Puts all problems together again after some of them changed.
    pub(crate) fn collect_problems(&mut self) {
        let of_endpoints = self.endpoint_problems.iter().flat_map(|(_, problems)| problems);
        self.problems = self
            .lasting_problems
            .iter()
            .chain(of_endpoints)
            .cloned()
            .collect();
        reporter::sort(&mut self.problems);
    }
}
