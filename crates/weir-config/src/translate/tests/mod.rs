//! Tests of whole translations: tables of reasons, properties, and following changes.

mod excerpts;
mod isolation;
mod reasons;
mod updates;

use crate::resource::ResourceSet;
use crate::status::{Condition, Status, StatusBody};
use crate::translate::{Options, Translation, translate};

/// A Gateway `default/edge` with one listener, a Service `web` with one endpoint and one without any.
const BASE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: weir
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 9000}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: idle}
spec: {ports: [{name: http, port: 80}]}
";

fn set(texts: &[&str]) -> ResourceSet {
    ResourceSet::from_texts([("test.yaml", texts.join("\n---\n").as_str())])
}

fn translated(texts: &[&str]) -> Translation {
    translate(&set(texts), &Options::files())
}

/// An HTTPRoute `default/it` on the base Gateway with these rules.
fn route(rules: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: it, generation: 5}}
spec:
  parentRefs: [{{name: edge}}]
  rules: [{rules}]
"
    )
}

fn status<'t>(translation: &'t Translation, kind: &str, name: &str) -> &'t Status {
    let mut statuses = translation.statuses.iter();
    statuses
        .find(|status| &*status.object.kind == kind && &*status.object.name == name)
        .unwrap_or_else(|| panic!("no status of {kind} {name}"))
}

/// The conditions of a status as `Type=True/Reason`, of the first parent or of the object itself.
fn words(status: &Status) -> Vec<String> {
    let conditions: &[Condition] = match &status.body {
        StatusBody::Conditions(conditions) | StatusBody::Gateway { conditions, .. } => conditions,
        StatusBody::Route(parents) | StatusBody::Policy(parents) => &parents[0].conditions,
    };
    let word = |condition: &Condition| {
        let holds = if condition.holds { "True" } else { "False" };
        format!("{}={holds}/{}", condition.kind, condition.reason)
    };
    conditions.iter().map(word).collect()
}
