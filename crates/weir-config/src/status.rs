//! What weir says about each object: the Kubernetes `status` that a cluster would see.
//!
//! A translation yields statuses; a renderer turns them into JSON for `weir check -o json`, and the Kubernetes
//! side (when there is one) into patches. Times of transition are missing on purpose: translation has no clock.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use weir_model::{ObjectName, Port};

/// The status of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The object.
    pub object: ObjectName,
    /// `metadata.generation` of the object that was judged; every condition carries it.
    pub generation: i64,
    /// What is said about it.
    pub body: StatusBody,
}

/// What is said about one object, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusBody {
    /// GatewayClass and Envoy Gateway's Backend: conditions only.
    Conditions(Vec<Condition>),
    /// Gateway.
    Gateway {
        /// Conditions of the Gateway as a whole.
        conditions: Vec<Condition>,
        /// One entry per listener, in the order written.
        listeners: Vec<ListenerStatus>,
    },
    /// A route: one entry per parentRef that names a Gateway of ours.
    Route(Vec<ParentStatus>),
    /// A policy: one entry per ancestor.
    Policy(Vec<ParentStatus>),
}

/// `status.listeners[]` of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    /// The listener's name.
    pub name: Arc<str>,
    /// Kinds of route that it serves, all of group `gateway.networking.k8s.io`.
    pub supported_kinds: Vec<&'static str>,
    /// Accepted routes that select this listener, also when the listener itself is not valid.
    pub attached_routes: u32,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// `status.parents[]` of a route, or `status.ancestors[]` of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    /// The reference as written, defaults applied.
    pub parent: ParentName,
    /// The controller that says so.
    pub controller: Arc<str>,
    /// What it says. Shared: most routes get the same.
    pub conditions: Arc<[Condition]>,
}

/// A `ParentReference` as statuses repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentName {
    /// API group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Namespace, only when the reference names one.
    pub namespace: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// Listener name, only when the reference names one.
    pub section_name: Option<Arc<str>>,
    /// Port, only when the reference names one.
    pub port: Option<Port>,
}

/// One condition. Its `observedGeneration` is [`Status::generation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`, for example `Accepted`.
    pub kind: &'static str,
    /// `status`: `True` or `False`.
    pub holds: bool,
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

impl Status {
    /// The object as JSON: kind, namespace, name, and `status` in the shape of the Kubernetes API.
    pub fn to_json(&self) -> Value {
        let status = match &self.body {
            StatusBody::Conditions(conditions) => json!({ "conditions": self.conditions(conditions) }),
            StatusBody::Gateway {
                conditions,
                listeners,
            } => json!({
                "conditions": self.conditions(conditions),
                "listeners": listeners.iter().map(|listener| self.listener(listener)).collect::<Vec<_>>(),
            }),
            StatusBody::Route(parents) => json!({ "parents": self.parents(parents, "parentRef") }),
            StatusBody::Policy(ancestors) => json!({ "ancestors": self.parents(ancestors, "ancestorRef") }),
        };
        let mut object = Map::new();
        object.insert("kind".into(), json!(&*self.object.kind));
        if !self.object.namespace.is_empty() {
            object.insert("namespace".into(), json!(&*self.object.namespace));
        }
        object.insert("name".into(), json!(&*self.object.name));
        object.insert("status".into(), status);
        Value::Object(object)
    }

    fn conditions(&self, conditions: &[Condition]) -> Vec<Value> {
        conditions
            .iter()
            .map(|condition| condition.to_json(self.generation))
            .collect()
    }

    fn listener(&self, listener: &ListenerStatus) -> Value {
        let kinds = listener.supported_kinds.iter();
        let kinds: Vec<Value> = kinds
            .map(|kind| json!({ "group": "gateway.networking.k8s.io", "kind": kind }))
            .collect();
        json!({
            "name": &*listener.name,
            "supportedKinds": kinds,
            "attachedRoutes": listener.attached_routes,
            "conditions": self.conditions(&listener.conditions),
        })
    }

    fn parents(&self, parents: &[ParentStatus], field: &str) -> Vec<Value> {
        let one = |parent: &ParentStatus| {
            let mut entry = Map::new();
            entry.insert(field.into(), parent.parent.to_json());
            entry.insert("controllerName".into(), json!(&*parent.controller));
            entry.insert(
                "conditions".into(),
                Value::Array(self.conditions(&parent.conditions)),
            );
            Value::Object(entry)
        };
        parents.iter().map(one).collect()
    }
}

/// Several lines: one for the object, then one per condition.
impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.object)?;
        match &self.body {
            StatusBody::Conditions(conditions) => write_conditions(out, "  ", conditions),
            StatusBody::Gateway {
                conditions,
                listeners,
            } => {
                write_conditions(out, "  ", conditions)?;
                listeners.iter().try_for_each(|listener| {
                    let kinds = listener.supported_kinds.join(", ");
                    let routes = listener.attached_routes;
                    writeln!(
                        out,
                        "  listener {} takes [{kinds}] attached {routes}",
                        listener.name
                    )?;
                    write_conditions(out, "    ", &listener.conditions)
                })
            }
            StatusBody::Route(parents) | StatusBody::Policy(parents) => {
                parents.iter().try_for_each(|parent| {
                    writeln!(out, "  {} by {}", parent.parent, parent.controller)?;
                    write_conditions(out, "    ", &parent.conditions)
                })
            }
        }
    }
}

fn write_conditions(out: &mut fmt::Formatter<'_>, indent: &str, conditions: &[Condition]) -> fmt::Result {
    conditions.iter().try_for_each(|condition| {
        let Condition {
            kind,
            holds,
            reason,
            message,
        } = condition;
        writeln!(
            out,
            "{indent}{kind}={} {reason}: {message}",
            if *holds { "True" } else { "False" }
        )
    })
}

impl fmt::Display for ParentName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(out, "{namespace}/")?;
        }
        write!(out, "{}", self.name)?;
        if let Some(section) = &self.section_name {
            write!(out, " section {section}")?;
        }
        match self.port {
            Some(port) => write!(out, " port {}", port.number()),
            None => Ok(()),
        }
    }
}

impl ParentName {
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("group".into(), json!(&*self.group));
        object.insert("kind".into(), json!(&*self.kind));
        if let Some(namespace) = &self.namespace {
            object.insert("namespace".into(), json!(&**namespace));
        }
        object.insert("name".into(), json!(&*self.name));
        if let Some(section) = &self.section_name {
            object.insert("sectionName".into(), json!(&**section));
        }
        if let Some(port) = self.port {
            object.insert("port".into(), json!(port.number()));
        }
        Value::Object(object)
    }
}

impl Condition {
    /// A condition that holds.
    pub fn yes(kind: &'static str, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            holds: true,
            reason,
            message: message.into(),
        }
    }

    /// A condition that does not hold.
    pub fn no(kind: &'static str, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            holds: false,
            reason,
            message: message.into(),
        }
    }

    fn to_json(&self, generation: i64) -> Value {
        json!({
            "type": self.kind,
            "status": if self.holds { "True" } else { "False" },
            "observedGeneration": generation,
            "reason": self.reason,
            "message": &*self.message,
        })
    }
}

/// Statuses as one JSON list, in their order.
pub fn to_json(statuses: &[Status]) -> Value {
    Value::Array(statuses.iter().map(Status::to_json).collect())
}
