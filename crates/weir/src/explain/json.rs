//! A decision for programs.

use serde_json::{Map, Value, json};
use weir_config::translate::ConsideredPolicy;
use weir_model::Origin;

use super::decision::{Decision, LostPart, Outcome};
use super::forward::{DestinationPart, Forwarding};
use super::request::ExplainedRequest;
use super::simulation::{Plan, Prediction};
use super::words;

/// The decision as one JSON document, schema `weir.explain/v1`.
pub(crate) fn to_json(
    request: &ExplainedRequest,
    decision: &Decision,
    simulated: Option<(Plan, &Prediction)>,
) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("schema", json!("weir.explain/v1"));
    put(
        "request",
        json!({
            "method": request.method, "host": request.host, "path": request.path, "query": request.query,
            "from": request.peer.to_string(),
        }),
    );
    put("notes", json!(decision.notes));
    if let Some(listener) = &decision.listener {
        put(
            "listener",
            json!({
                "name": listener.name, "address": listener.address, "host": listener.host,
                "origin": origin(&listener.origin),
            }),
        );
    }
    if let Some(route) = &decision.route {
        put(
            "route",
            json!({
                "object": route.object.to_string(), "rule": route.rule, "rule_name": route.rule_name,
                "match": route.condition, "origin": origin(&route.origin), "filters": route.filters,
            }),
        );
    }
    put("lost", Value::Array(decision.lost.iter().map(lost).collect()));
    put("matches_omitted", json!(decision.omitted));
    put(
        "policies",
        Value::Array(decision.policies.iter().map(policy).collect()),
    );
    match &decision.outcome {
        Outcome::NoListener(addresses) => put("no_listener", json!({"listening": addresses})),
        Outcome::NoRoute(why) => put("answer", json!({"status": 404, "reason": why})),
        Outcome::Redirect(target) => put("redirect", json!(target)),
        Outcome::Answer(answer) => put(
            "answer",
            json!({"status": answer.status, "reason": &*answer.reason}),
        ),
        Outcome::Forward(forwarding) => put("forward", forward(forwarding, simulated)),
    };
    Value::Object(object)
}

fn lost(lost: &LostPart) -> Value {
    json!({
        "object": lost.object.to_string(), "rule": lost.rule, "match": lost.condition, "why": lost.why,
        "would_serve": lost.matched, "origin": origin(&lost.origin),
    })
}

fn policy(considered: &ConsideredPolicy) -> Value {
    let (verdict, other) = words::policy_verdict(&considered.verdict);
    json!({
        "object": considered.object.to_string(), "level": words::policy_level(considered.level),
        "verdict": verdict, "other": other.map(ToString::to_string),
        "has_effect": considered.verdict.has_effect(), "why": words::policy_reason(considered),
        "fault": considered.fault, "origin": origin(&considered.origin),
    })
}

fn forward(forwarding: &Forwarding, simulated: Option<(Plan, &Prediction)>) -> Value {
    let policy = forwarding.policy.as_ref();
    let besides = |label: &str| {
        let mut all = forwarding.besides.iter();
        all.find_map(|(other, text)| (*other == label).then_some(text))
    };
    let mut value = json!({
        "policy": policy.map(|(object, place)| json!({"object": object.to_string(), "origin": origin(place)})),
        "algorithm": forwarding.algorithm,
        "treatment": forwarding.treatment,
        "destinations": forwarding.destinations.iter().map(destination).collect::<Vec<_>>(),
        "destination": forwarding.destination,
        "sessions": besides("sessions"),
        "load_bound": besides("load"),
        "tiers": besides("tiers"),
        "retries": besides("retries"),
        "pick": forwarding.pick,
        "endpoint": forwarding.endpoint,
        "key": forwarding.key.map(|key| format!("{key:016x}")),
    });
    if let Some((plan, prediction)) = simulated {
        value["predicted"] = json!({
            "requests": plan.requests, "concurrency": plan.concurrency, "seed": plan.seed,
            "picked": prediction.picked, "answered": prediction.answered,
        });
    }
    value
}

fn destination(destination: &DestinationPart) -> Value {
    let endpoints = destination.endpoints.iter().map(|endpoint| {
        json!({
            "address": endpoint.address, "name": endpoint.name, "zone": endpoint.zone,
            "weight": endpoint.weight, "tier": endpoint.tier.number(), "ready": endpoint.ready,
        })
    });
    json!({
        "name": destination.name, "share": destination.share, "tier": destination.tier.number(), "answer": destination.answer,
        "origin": origin(&destination.origin), "endpoints": endpoints.collect::<Vec<_>>(),
    })
}

/// `null` for something that no file holds.
fn origin(origin: &Origin) -> Value {
    match &origin.file {
        Some(file) => json!({"file": &**file, "line": origin.line, "column": origin.column}),
        None => Value::Null,
    }
}
