//! What a rule does to requests and responses besides routing and filters, compiled.

use std::sync::Arc;

use weir_balance::Counters;
use weir_model::{
    ClientSelector, FaultInjection, HeaderSelector, MethodSelector, QuerySelector, RateLimitRule,
    RequestLimits, SourceSelector, TrafficSpec,
};
use weir_route::Criterion;

use super::limits::{Limits, LiveLimit};
use super::responses::ResponseRules;

/// All of it.
#[derive(Debug)]
pub(crate) struct CompiledTraffic {
    pub(crate) spec: Arc<TrafficSpec>,
    /// What stands before requests, if anything does.
    pub(crate) admission: Option<Admission>,
    /// What becomes of responses, if the rule has a say in it.
    pub(crate) responses: Option<ResponseRules>,
}

/// What stands before requests, besides what is in the specification.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The counter of requests in flight, and how many there may be.
    pub(crate) parallel: Option<(Arc<Counters>, u32)>,
    /// Rules of the rate limit.
    pub(crate) limits: Vec<CompiledLimit>,
}

/// One rule of a rate limit.
#[derive(Debug)]
pub(crate) struct CompiledLimit {
    pub(crate) live: Arc<LiveLimit>,
    pub(crate) selectors: Vec<CompiledSelector>,
}

/// Which requests a rule counts, and what tells their clients apart.
#[derive(Debug)]
pub(crate) struct CompiledSelector {
    /// Each with what it must come to.
    pub(crate) criteria: Vec<(Criterion, bool)>,
    pub(crate) methods: Vec<MethodSelector>,
    pub(crate) source: Option<SourceSelector>,
    /// Headers whose values have a bucket each.
    pub(crate) distinct_headers: Vec<Arc<str>>,
    /// The same for query parameters.
    pub(crate) distinct_query: Vec<Arc<str>>,
}

impl CompiledTraffic {
    /// Compiles `spec`; what it counts with lives on in `limits`.
    pub(crate) fn new(spec: &Arc<TrafficSpec>, limits: &mut Limits) -> Self {
        let admits_all = spec.request_limits == RequestLimits::default()
            && spec.basic_auth.is_none()
            && spec.fault == FaultInjection::default()
            && spec.rate_limit.is_none()
            && spec.request_buffer_bytes.is_none();
        let admission = || {
            let parallel = spec.request_limits.parallel.as_ref();
            let rules = spec.rate_limit.iter().flat_map(|limit| &limit.rules);
            Admission {
                parallel: parallel.map(|limit| (limits.parallel(limit), limit.requests)),
                limits: rules.map(|rule| CompiledLimit::new(rule, limits)).collect(),
            }
        };
        Self {
            spec: Arc::clone(spec),
            admission: (!admits_all).then(admission),
            responses: ResponseRules::compile(spec),
        }
    }
}

impl CompiledLimit {
    fn new(rule: &RateLimitRule, limits: &mut Limits) -> Self {
        Self {
            live: limits.rate(rule),
            selectors: rule.selectors.iter().map(CompiledSelector::new).collect(),
        }
    }
}

impl CompiledSelector {
    fn new(selector: &ClientSelector) -> Self {
        let mut compiled = Self {
            criteria: Vec::new(),
            methods: selector.methods.clone(),
            source: selector.source,
            distinct_headers: Vec::new(),
            distinct_query: Vec::new(),
        };
        for header in &selector.headers {
            match header {
                HeaderSelector::Distinct(name) => compiled.distinct_headers.push(Arc::clone(name)),
                HeaderSelector::Value { condition, invert } => {
                    let criterion = Criterion::of_header(condition);
                    compiled.criteria.push((criterion, !invert));
                }
            }
        }
        for query in &selector.query {
            match query {
                QuerySelector::Distinct(name) => compiled.distinct_query.push(Arc::clone(name)),
                QuerySelector::Value { condition, invert } => {
                    compiled.criteria.push((Criterion::of_query(condition), !invert));
                }
            }
        }
        if let Some(path) = &selector.path {
            let criterion = Criterion::of_path(&path.path);
            compiled.criteria.push((criterion, !path.invert));
        }
        compiled
    }
}
