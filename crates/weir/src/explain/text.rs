//! A decision for people.

use std::fmt::Write as _;

use weir_config::translate::PolicyVerdict;
use weir_model::{Origin, Tier};

use super::decision::{Decision, Outcome};
use super::forward::{DestinationPart, EndpointPart, Forwarding};
use super::request::ExplainedRequest;
use super::simulation::{Plan, Prediction};
use super::words;

/// Lines of labels and values. Writing into the string cannot fail.
struct Page {
    out: String,
    bold: &'static str,
    plain: &'static str,
}

/// The decision as text; `simulated` is what [`Forwarding::simulate`] predicted.
pub(crate) fn to_text(
    request: &ExplainedRequest,
    decision: &Decision,
    simulated: Option<(Plan, &Prediction)>,
    color: bool,
) -> String {
    let (bold, plain) = if color { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let mut page = Page {
        out: String::new(),
        bold,
        plain,
    };
    page.arrival(request, decision);
    page.lost(decision);
    for filter in decision.route.iter().flat_map(|route| &route.filters) {
        page.line("filter", filter);
    }
    match &decision.outcome {
        Outcome::NoListener(addresses) => {
            let others = if addresses.is_empty() {
                "nothing".to_owned()
            } else {
                addresses.join(", ")
            };
            page.line(
                "listener",
                &format!("none on this port; the configuration listens on {others}"),
            );
        }
        Outcome::NoRoute(why) => page.line("answer", &format!("404: {why}")),
        Outcome::Redirect(target) => page.line("redirect", target),
        Outcome::Answer(answer) => page.line("answer", &format!("{}: {}", answer.status, answer.reason)),
        Outcome::Forward(forwarding) => {
            page.policy(forwarding);
            page.policies(decision);
            for (place, line) in forwarding.treatment.iter().enumerate() {
                page.line(if place == 0 { "treatment" } else { "" }, line);
            }
            page.forwarding(forwarding, simulated);
        }
    }
    if !matches!(decision.outcome, Outcome::Forward(_)) {
        page.policies(decision);
    }
    page.out
}

impl Page {
    /// The request, its listener and its route.
    fn arrival(&mut self, request: &ExplainedRequest, decision: &Decision) {
        let query = after("?", request.query.as_deref().unwrap_or_default());
        let (method, host, path) = (&request.method, &request.host, &request.path);
        self.line(
            "request",
            &format!("{method} {host}{path}{query} from {}", request.peer),
        );
        for note in &decision.notes {
            self.line("note", note);
        }
        if let Some(listener) = &decision.listener {
            let host = after("   host ", &listener.host);
            let name = if listener.name.is_empty() {
                "(none)"
            } else {
                &listener.name
            };
            self.placed(
                "listener",
                &format!("{name} on {}{host}", listener.address),
                &listener.origin,
            );
        }
        if let Some(route) = &decision.route {
            let name = route
                .rule_name
                .as_ref()
                .map(|name| format!(" ({name})"))
                .unwrap_or_default();
            let text = format!("{} rule {}{name}   {}", route.object, route.rule, route.condition);
            self.placed("route", &text, &route.origin);
        }
    }

    fn line(&mut self, label: &str, text: &str) {
        let (bold, plain) = (self.bold, self.plain);
        let _written = writeln!(self.out, "{bold}{label:<9}{plain} {text}");
    }

    fn placed(&mut self, label: &str, text: &str, origin: &Origin) {
        match &origin.file {
            Some(_) => self.line(label, &format!("{text}   ({origin})")),
            None => self.line(label, text),
        }
    }

    fn lost(&mut self, decision: &Decision) {
        for lost in &decision.lost {
            let verb = if lost.matched { "beat" } else { "not" };
            let text = format!(
                "{verb} {} rule {}   {}: {}",
                lost.object, lost.rule, lost.condition, lost.why
            );
            self.placed("", &text, &lost.origin);
        }
        if decision.omitted > 0 {
            self.line(
                "",
                &format!("and {} more matches that do not apply", decision.omitted),
            );
        }
    }

    /// Policies with a claim, those that lost too. The one that forwards has a line of its own.
    fn policies(&mut self, decision: &Decision) {
        let forwards = match &decision.outcome {
            Outcome::Forward(forwarding) => forwarding.policy.as_ref().map(|(object, _)| object),
            _ => None,
        };
        for considered in &decision.policies {
            let is_shown = forwards == Some(&considered.object);
            if is_shown && considered.verdict == PolicyVerdict::Applies {
                continue;
            }
            let label = match (considered.verdict.has_effect(), &*considered.object.kind) {
                (true, "ClientTrafficPolicy") => "client",
                (true, _) if forwards.is_none() => "policy",
                _ => "",
            };
            let verb = match (label, considered.verdict.has_effect()) {
                ("", true) => "with ",
                ("", false) => "not ",
                _ => "",
            };
            let text = format!("{verb}{} {}", considered.object, words::policy_reason(considered));
            self.placed(label, &text, &considered.origin);
        }
    }

    fn policy(&mut self, forwarding: &Forwarding) {
        match &forwarding.policy {
            Some((object, origin)) => {
                self.placed("policy", &format!("{object}   {}", forwarding.algorithm), origin);
            }
            None => self.line(
                "policy",
                &format!("none attached   {} (the default)", forwarding.algorithm),
            ),
        }
    }

    fn forwarding(&mut self, forwarding: &Forwarding, simulated: Option<(Plan, &Prediction)>) {
        let several = forwarding.destinations.len() > 1;
        for (index, destination) in forwarding.destinations.iter().enumerate() {
            let share = if several {
                format!("{:.1}% of the requests to ", destination.share * 100.0)
            } else {
                String::new()
            };
            let chosen = if several && forwarding.destination == Some(index) {
                "   <- this request"
            } else {
                ""
            };
            match destination.answer {
                Some(status) => self.line(
                    "answer",
                    &format!("{share}{status}: {}{chosen}", destination.name),
                ),
                None => {
                    let text = format!(
                        "{share}{}   {}{}{chosen}",
                        destination.name,
                        endpoint_count(destination),
                        tier(destination.tier)
                    );
                    self.placed("backend", &text, &destination.origin);
                }
            }
            for endpoint in &destination.endpoints {
                self.endpoint(endpoint, forwarding);
            }
        }
        for (label, text) in &forwarding.besides {
            self.line(label, text);
        }
        self.line("pick", &forwarding.pick);
        if let Some(endpoint) = &forwarding.endpoint {
            let key = forwarding
                .key
                .map(|key| format!("   (key {key:016x})"))
                .unwrap_or_default();
            self.line("", &format!("{endpoint}{key}"));
        }
        if let Some((plan, prediction)) = simulated {
            self.prediction(forwarding, plan, prediction);
        }
    }

    fn endpoint(&mut self, endpoint: &EndpointPart, forwarding: &Forwarding) {
        let (name, zone) = (after("   ", &endpoint.name), after("   zone ", &endpoint.zone));
        let weight = if endpoint.weight == 1 {
            String::new()
        } else {
            format!("   weight {}", endpoint.weight)
        };
        let tier = tier(endpoint.tier);
        let state = if endpoint.ready { "" } else { "   not ready" };
        let chosen = if forwarding.endpoint.as_ref() == Some(&endpoint.address) {
            "   <- this request"
        } else {
            ""
        };
        self.line(
            "",
            &format!("{}{name}{zone}{weight}{tier}{state}{chosen}", endpoint.address),
        );
    }

    fn prediction(&mut self, forwarding: &Forwarding, plan: Plan, prediction: &Prediction) {
        let total = u64::from(plan.requests).max(1);
        self.line(
            "predicted",
            &format!(
                "{} requests like this one, {} at a time, seed {}",
                plan.requests, plan.concurrency, plan.seed
            ),
        );
        self.line(
            "",
            "assumed: all endpoints healthy and equally fast, no slow start, one connection each",
        );
        let share = |count: u64| format!("{count:>9}  {:5.1}%", count as f64 * 100.0 / total as f64);
        for (index, destination) in forwarding.destinations.iter().enumerate() {
            for (endpoint, count) in destination.endpoints.iter().zip(&prediction.picked[index]) {
                self.line("", &format!("{}  {}", share(*count), endpoint.address));
            }
            let answered = prediction.answered[index];
            if answered > 0 {
                let status = destination.answer.unwrap_or(503);
                self.line("", &format!("{}  answered {status} by weir", share(answered)));
            }
        }
    }
}

fn endpoint_count(destination: &DestinationPart) -> String {
    let (count, ready) = (
        destination.endpoints.len(),
        destination.endpoints.iter().filter(|one| one.ready).count(),
    );
    match (destination.names, count - ready) {
        (0, 0) => format!("{count} {}", if count == 1 { "endpoint" } else { "endpoints" }),
        (0, unready) => format!("{count} endpoints, {unready} not ready"),
        (names, _) => format!("{names} names, resolved when weir runs"),
    }
}

/// `label` and `text`, or nothing when there is no text.
/// Said of what serves only when others cannot.
fn tier(tier: Tier) -> String {
    match tier {
        Tier::FIRST => String::new(),
        later => format!("   tier {}", later.number()),
    }
}

fn after(label: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{label}{text}")
    }
}
