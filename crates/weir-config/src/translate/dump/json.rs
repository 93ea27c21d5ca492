//! A `Config` as JSON for programs, and for people who look at what runs. Origins are shown, secrets are not.

use serde_json::{Value, json};
use weir_model::{
    Action, Attachment, Backend, Config, Destination, Endpoint, EndpointCondition, EndpointSource, Filter,
    HostPattern, Listener, NamedEndpoint, Route, Rule, Section, Target,
};

use super::{
    balance, describe_answer, describe_filter, describe_match, describe_redirect, treatment, upstream,
};

/// The schema's name and version: fields may be added to a version, never removed or changed.
const SCHEMA: &str = "weir.config/v1";

/// The whole `Config`: `schema`, `listeners`, `routes`, `backends`.
pub fn config_json(config: &Config) -> Value {
    let out = Out { config };
    let all = |listener: &std::sync::Arc<Listener>| out.listener(listener);
    json!({
        "schema": SCHEMA,
        "listeners": config.listeners.iter().map(all).collect::<Vec<_>>(),
        "routes": config.routes.iter().map(|route| out.route(route)).collect::<Vec<_>>(),
        "backends": config.backends.iter().map(|one| backend(one)).collect::<Vec<_>>(),
    })
}

/// What a rule matches, one line per match.
pub fn matches(rule: &Rule) -> Vec<String> {
    rule.matches.iter().map(describe_match).collect()
}

/// Where a rule sends requests, one line per destination: its weight and the backend's key, or what it answers.
pub fn destinations(config: &Config, rule: &Rule) -> Vec<String> {
    match &rule.action {
        Action::Answer(answer) => vec![format!("answer {}", describe_answer(answer))],
        Action::Redirect(redirect) => vec![format!("redirect {}", describe_redirect(redirect))],
        Action::Forward(forward) => {
            let one = |destination: &Destination| {
                format!("{} {}", destination.weight.number(), target(config, destination))
            };
            forward.destinations.iter().map(one).collect()
        }
    }
}

struct Out<'c> {
    config: &'c Config,
}

impl Out<'_> {
    fn listener(&self, listener: &Listener) -> Value {
        let route = |attachment: &Attachment| {
            json!({
                "route": self.config.route(attachment.route).object.to_string(),
                "hosts": attachment.hosts.iter().map(HostPattern::to_string).collect::<Vec<_>>(),
            })
        };
        let section = |section: &Section| {
            json!({
                "name": &*section.name,
                "host": section.host.to_string(),
                "port": section.port,
                "origin": section.origin.to_string(),
                "routes": section.attachments.iter().map(route).collect::<Vec<_>>(),
            })
        };
        json!({
            "address": listener.key.address.to_string(),
            "client_ip": format!("{:?}", listener.client_ip),
            "sections": listener.sections.iter().map(section).collect::<Vec<_>>(),
        })
    }

    fn route(&self, route: &Route) -> Value {
        json!({
            "object": route.object.to_string(),
            "origin": route.origin.to_string(),
            "rules": route.rules.iter().map(|rule| self.rule(rule)).collect::<Vec<_>>(),
        })
    }

    fn rule(&self, rule: &Rule) -> Value {
        let filters = |filters: &[Filter]| -> Vec<String> {
            filters
                .iter()
                .map(|filter| describe_filter(self.config, filter))
                .collect()
        };
        let destination = |destination: &Destination| {
            json!({
                "weight": destination.weight.number(),
                "tier": destination.tier.number(),
                "target": target(self.config, destination),
                "filters": filters(&destination.filters),
            })
        };
        let mut value = json!({
            "key": &*rule.key,
            "name": rule.name.as_deref(),
            "origin": rule.origin.to_string(),
            "matches": matches(rule),
            "filters": filters(&rule.filters),
            "treatment": treatment(rule),
        });
        match &rule.action {
            Action::Answer(answer) => value["answer"] = describe_answer(answer).into(),
            Action::Redirect(redirect) => value["redirect"] = describe_redirect(redirect).into(),
            Action::Forward(forward) => {
                value["balance"] = balance::describe(&forward.balance).into();
                if let Some((policy, origin)) = &forward.policy {
                    value["policy"] = json!({"object": policy.to_string(), "origin": origin.to_string()});
                }
                value["destinations"] = forward.destinations.iter().map(destination).collect();
            }
        }
        value
    }
}

fn target(config: &Config, destination: &Destination) -> String {
    match &destination.target {
        Target::Backend(id) => config.backend(*id).key.to_string(),
        Target::Answer(answer) => format!("answer {}", describe_answer(answer)),
    }
}

fn backend(backend: &Backend) -> Value {
    let endpoints: Vec<Value> = match &backend.endpoints {
        EndpointSource::Static(endpoints) => endpoints.iter().map(endpoint).collect(),
        EndpointSource::Names(names) => names.iter().map(named).collect(),
    };
    json!({
        "key": &*backend.key,
        "object": backend.object.to_string(),
        "origin": backend.origin.to_string(),
        "dns": upstream::dns(&backend.dns),
        "endpoints": endpoints,
    })
}

fn endpoint(endpoint: &Endpoint) -> Value {
    json!({
        "address": endpoint.address.to_string(),
        "name": &*endpoint.name,
        "zone": &*endpoint.zone,
        "weight": endpoint.weight.number(),
        "tier": endpoint.tier.number(),
        "draining": endpoint.condition == EndpointCondition::Draining,
    })
}

fn named(named: &NamedEndpoint) -> Value {
    json!({
        "host": &*named.host,
        "port": named.port.number(),
        "name": &*named.name,
        "weight": named.weight.number(),
        "tier": named.tier.number(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ResourceSet;
    use crate::translate::{Options, translate};

    const TEXT: &str = "\
tenants:
  - name: api
    path_prefix: /api/
    services: [{name: s, url: 'http://10.0.0.1:80/v1?token=SECRET1'}]
    filters:
      - type: RequestHeaderModifier
        requestHeaderModifier:
          set: [{name: authorization, value: Bearer SECRET2}, {name: x-tenant, value: seen}]
";

    #[test]
    fn op05_origins_are_shown_and_secrets_are_not() {
        let set = ResourceSet::from_texts([("tenants.yaml", TEXT)]);
        let translation = translate(&set, &Options::files());
        let value = config_json(&translation.config);
        let text = value.to_string();
        assert!(!text.contains("SECRET") && text.contains("(hidden)"), "{text}");
        assert!(text.contains("x-tenant: seen"), "{text}");
        assert_eq!(value["schema"], "weir.config/v1");
        assert_eq!(value["backends"][0]["endpoints"][0]["address"], "10.0.0.1:80");
        let origin = value["routes"][0]["origin"].as_str().expect("an origin");
        assert!(origin.starts_with("tenants.yaml:2:"), "{origin}");
        let rules = translation.config.routes.iter().flat_map(|route| &route.rules);
        let all: Vec<String> = rules
            .flat_map(|rule| destinations(&translation.config, rule))
            .collect();
        assert!(all.iter().any(|one| one.starts_with("1 tenant/api")), "{all:?}");
    }
}
