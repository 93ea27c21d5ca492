//! Stops of a request that need no endpoint: listener, route, rule, action.

use weir_config::resource::ResourceSet;
use weir_config::translate::{ConsideredPolicy, Options, PolicyPlace, considered_policies};
use weir_model::{Action, Config, FixedAnswer, Listener, ObjectName, Origin, Redirect, Route, Rule};
use weir_route::{Considered, Hit, Refusal, RequestParts, Router, Verdict};

use super::forward::{Forwarding, forward};
use super::request::ExplainedRequest;
use super::words;

/// Matches that lost, shown at most.
const LOST_MAX: usize = 10;

/// What becomes of a request, and why.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// Where it arrives; `None` when nothing listens there.
    pub(crate) listener: Option<ListenerPart>,
    /// What serves it; `None` when no route does.
    pub(crate) route: Option<RoutePart>,
    /// Matches that do not serve it, the nearest first.
    pub(crate) lost: Vec<LostPart>,
    /// How many more matches the listener has.
    pub(crate) omitted: usize,
    /// Policies with a claim on its rule, those without effect too; by kind, the nearest first.
    pub(crate) policies: Vec<ConsideredPolicy>,
    /// What happens in the end.
    pub(crate) outcome: Outcome,
    /// What was assumed.
    pub(crate) notes: Vec<String>,
}

/// The listener of a request.
#[derive(Clone, Debug)]
pub(crate) struct ListenerPart {
    /// `NAMESPACE/GATEWAY/LISTENER`; empty when no host matches.
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) host: String,
    pub(crate) origin: Origin,
}

/// The match that serves a request.
#[derive(Clone, Debug)]
pub(crate) struct RoutePart {
    pub(crate) object: ObjectName,
    /// As written, from 1.
    pub(crate) rule: u32,
    pub(crate) rule_name: Option<String>,
    pub(crate) condition: String,
    /// Of the rule.
    pub(crate) origin: Origin,
    pub(crate) filters: Vec<String>,
}

/// A match that does not serve it.
#[derive(Clone, Debug)]
pub(crate) struct LostPart {
    pub(crate) object: ObjectName,
    /// As written, from 1.
    pub(crate) rule: u32,
    pub(crate) condition: String,
    pub(crate) why: String,
    /// It would have served the request if the winner were not there.
    pub(crate) matched: bool,
    pub(crate) origin: Origin,
}

/// What happens to a request in the end.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// No listener has the port; these are the addresses that there are.
    NoListener(Vec<String>),
    /// 404, for this reason.
    NoRoute(String),
    /// It is sent elsewhere.
    Redirect(String),
    /// weir answers.
    Answer(FixedAnswer),
    /// It goes to an endpoint.
    Forward(Box<Forwarding>),
}

/// Decides about a request the way the data plane does.
pub(crate) fn decide(config: &Config, request: &ExplainedRequest) -> Decision {
    let mut notes = Vec::new();
    if request.scheme == "https" {
        notes.push("TLS is not served yet: explained as if the request came over plain HTTP".to_owned());
    }
    let Some((listener, router)) = choose_listener(config, request, &mut notes) else {
        let addresses = config
            .listeners
            .iter()
            .map(|listener| listener.key.address.to_string())
            .collect();
        return Decision {
            listener: None,
            route: None,
            lost: Vec::new(),
            omitted: 0,
            policies: Vec::new(),
            outcome: Outcome::NoListener(addresses),
            notes,
        };
    };
    let pairs = request.header_pairs();
    let explanation = router.explain(&parts(request, &pairs));
    let is_served = explanation.outcome.is_ok();
    let near = explanation
        .candidates
        .iter()
        .filter(|one| is_near(&one.verdict, is_served));
    let lost: Vec<_> = near.take(LOST_MAX).map(|one| lost_part(config, one)).collect();
    let others = explanation.candidates.len() - usize::from(is_served) - lost.len();
    let mut decision = Decision {
        listener: Some(listener_part(listener, explanation.sections.first().copied())),
        route: None,
        lost,
        omitted: explanation.omitted + others,
        policies: Vec::new(),
        outcome: Outcome::NoRoute(String::new()),
        notes,
    };
    match explanation.outcome {
        Ok(hit) => {
            decision.listener = Some(listener_part(listener, Some(hit.section)));
            let (route, rule) = rule_of(config, hit);
            decision.route = Some(route_part(route, rule, hit));
            decision.outcome = match &rule.action {
                Action::Answer(answer) => Outcome::Answer(answer.clone()),
                Action::Redirect(redirect) => Outcome::Redirect(redirect_text(redirect)),
                Action::Forward(spec) => {
                    Outcome::Forward(Box::new(forward(config, listener, rule, spec, request)))
                }
            };
        }
        Err(miss) => decision.outcome = Outcome::NoRoute(miss.to_string()),
    }
    decision
}

impl Decision {
    /// Adds the policies that were considered for the rule, from the resources that the configuration came from.
    pub(crate) fn consider_policies(&mut self, set: &ResourceSet, options: &Options) {
        let (Some(listener), Some(route)) = (&self.listener, &self.route) else {
            return;
        };
        let mut parts = listener.name.splitn(3, '/');
        let (Some(namespace), Some(name), Some(section)) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let place = PolicyPlace {
            route: &route.object,
            rule: route.rule.saturating_sub(1) as usize,
            gateway: &ObjectName::new("Gateway", namespace, name),
            listener: section,
        };
        self.policies = considered_policies(set, options, place);
    }
}

/// The listener on the URL's port. Without a port: port 80, else the first that has a route for the request,
/// else the first.
fn choose_listener<'c>(
    config: &'c Config,
    request: &ExplainedRequest,
    notes: &mut Vec<String>,
) -> Option<(&'c Listener, Router)> {
    let compiled = |listener: &'c Listener| (listener, Router::build(listener, &config.routes));
    let on = |port: u16| {
        config
            .listeners
            .iter()
            .find(|listener| listener.key.address.port() == port)
    };
    let default_port = if request.scheme == "https" { 443 } else { 80 };
    if let Some(port) = request.port {
        return on(port).map(|listener| compiled(listener));
    }
    if let Some(listener) = on(default_port) {
        return Some(compiled(listener));
    }
    let pairs = request.header_pairs();
    let serves = |listener: &&std::sync::Arc<Listener>| {
        Router::build(listener, &config.routes)
            .find(&parts(request, &pairs))
            .is_ok()
    };
    let listener = config
        .listeners
        .iter()
        .find(serves)
        .or_else(|| config.listeners.first())?;
    let port = listener.key.address.port();
    notes.push(format!(
        "the URL names no port and nothing listens on {default_port}: explained on port {port}"
    ));
    Some(compiled(listener))
}

fn parts<'a>(request: &'a ExplainedRequest, pairs: &'a Vec<(&'a str, &'a str)>) -> RequestParts<'a> {
    RequestParts {
        host: &request.host,
        path: &request.path,
        query: request.query.as_deref(),
        method: &request.method,
        headers: pairs,
    }
}

fn rule_of(config: &Config, hit: Hit) -> (&Route, &Rule) {
    let route = config.route(hit.route);
    (route, &route.rules[hit.rule as usize])
}

/// The rule's number in its file, from 1: rules that match nothing are written there too, but not served. The key of
/// a rule ends in its place.
fn number_as_written(rule: &Rule, hit: Hit) -> u32 {
    let place = rule.key.rsplit('/').next().and_then(|place| place.parse().ok());
    place.unwrap_or(hit.rule) + 1
}

fn listener_part(listener: &Listener, section: Option<u32>) -> ListenerPart {
    let section = section.and_then(|section| listener.sections.get(section as usize));
    ListenerPart {
        name: section
            .map(|section| section.name.to_string())
            .unwrap_or_default(),
        address: listener.key.address.to_string(),
        host: section
            .map(|section| section.host.to_string())
            .unwrap_or_default(),
        origin: section.map(|section| section.origin.clone()).unwrap_or_default(),
    }
}

fn route_part(route: &Route, rule: &Rule, hit: Hit) -> RoutePart {
    RoutePart {
        object: route.object.clone(),
        rule: number_as_written(rule, hit),
        rule_name: rule.name.as_ref().map(|name| name.to_string()),
        condition: words::condition(&rule.matches[hit.match_index as usize]),
        origin: rule.origin.clone(),
        filters: rule.filters.iter().map(words::filter).collect(),
    }
}

/// Whether a match that lost is worth showing: when something serves the request, those for other hosts and paths
/// are not.
fn is_near(verdict: &Verdict, is_served: bool) -> bool {
    let elsewhere = |refusal: &Refusal| matches!(refusal, Refusal::Host | Refusal::Path | Refusal::Isolated);
    match verdict {
        Verdict::Chosen => false,
        Verdict::Outranked(_) => true,
        Verdict::Refused(refusals) => !is_served || !refusals.iter().any(elsewhere),
    }
}

fn lost_part(config: &Config, considered: &Considered) -> LostPart {
    let (route, rule) = rule_of(config, considered.at);
    let why = match &considered.verdict {
        Verdict::Chosen => String::new(),
        Verdict::Outranked(outranked) => words::outranked(*outranked).to_owned(),
        Verdict::Refused(refusals) => refusals.iter().map(words::refusal).collect::<Vec<_>>().join(", "),
    };
    LostPart {
        object: route.object.clone(),
        rule: number_as_written(rule, considered.at),
        condition: words::condition(&rule.matches[considered.at.match_index as usize]),
        why,
        matched: matches!(considered.verdict, Verdict::Outranked(_)),
        origin: rule.origin.clone(),
    }
}

fn redirect_text(redirect: &Redirect) -> String {
    format!("{} to {}", redirect.status, words::redirect_target(redirect))
}
