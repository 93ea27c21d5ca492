//! Environment variables in values: `${VAR}` and `${VAR:-default}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::nearest::nearest;
use crate::resource::decode::Decoder;
use crate::yaml::{Entry, Finding, Node, Scalar, ScalarStyle, Span, Value};

/// The variables that a tenants file may refer to. Given as an argument, so that reading stays pure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<Arc<str>, Arc<str>>);

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// A variable is not set and has no default.
    Missing(String),
    /// `${` without `}`, or something between them that is no name.
    Malformed,
}

impl Environment {
    /// Variables by name; of equal names the last one counts.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs = variables.into_iter();
        Self(pairs.map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&Arc<str>> {
        self.0.get(name)
    }

    /// The text with every reference replaced. `$$` before `{` stands for `$`, so that `$${X}` stays `${X}`.
    fn expand(&self, text: &str) -> Result<String, Fault> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let before = &rest[..start];
            let inner = &rest[start + 2..];
            if let Some(literal) = before.strip_suffix('$') {
                out.push_str(literal);
                out.push_str("${");
                rest = inner;
                continue;
            }
            out.push_str(before);
            let end = inner.find('}').ok_or(Fault::Malformed)?;
            out.push_str(&self.reference(&inner[..end])?);
            rest = &inner[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What stands between the braces: a name, and perhaps `:-` (also for an empty variable) or `-` and a default.
    fn reference(&self, inner: &str) -> Result<Arc<str>, Fault> {
        let end = inner
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Fault::Malformed);
        }
        let value = self.value(name);
        match (rest.strip_prefix(":-"), rest.strip_prefix('-')) {
            (Some(default), _) => Ok(value
                .filter(|value| !value.is_empty())
                .map_or_else(|| default.into(), Arc::clone)),
            (None, Some(default)) => Ok(value.map_or_else(|| default.into(), Arc::clone)),
            (None, None) if rest.is_empty() => value.cloned().ok_or_else(|| Fault::Missing(name.to_owned())),
            (None, None) => Err(Fault::Malformed),
        }
    }
}

/// The tree with its references replaced, or `None` when it has none. Values that cannot be expanded stay as they
/// are; their places are added to `failed`, and what is wrong is reported.
pub(super) fn expanded(
    node: &Node,
    environment: &Environment,
    decoder: &mut Decoder,
    failed: &mut Vec<Span>,
) -> Option<Node> {
    let value = match &node.value {
        Value::Null => return None,
        Value::Scalar(scalar) => {
            if !scalar.text.contains("${") {
                return None;
            }
            match environment.expand(&scalar.text) {
                Ok(text) => Value::Scalar(Scalar {
                    text: text.into(),
                    style: ScalarStyle::Expanded,
                }),
                Err(fault) => {
                    decoder.report(finding(fault, node.span, environment));
                    failed.push(node.span);
                    return None;
                }
            }
        }
        Value::Sequence(items) => {
            let mut one = |item: &Node| expanded(item, environment, decoder, failed);
            let changed: Vec<Option<Node>> = items.iter().map(&mut one).collect();
            if changed.iter().all(Option::is_none) {
                return None;
            }
            let pairs = changed.into_iter().zip(items);
            Value::Sequence(
                pairs
                    .map(|(new, old)| new.unwrap_or_else(|| old.clone()))
                    .collect(),
            )
        }
        Value::Mapping(entries) => {
            let mut one = |entry: &Entry| expanded(&entry.node, environment, decoder, failed);
            let changed: Vec<Option<Node>> = entries.iter().map(&mut one).collect();
            if changed.iter().all(Option::is_none) {
                return None;
            }
            let pairs = changed.into_iter().zip(entries);
            let entry = |(new, old): (Option<Node>, &Entry)| match new {
                Some(node) => Entry {
                    key: old.key.clone(),
                    key_span: old.key_span,
                    node,
                },
                None => old.clone(),
            };
            Value::Mapping(pairs.map(entry).collect())
        }
    };
    Some(Node {
        value,
        span: node.span,
    })
}

fn finding(fault: Fault, span: Span, environment: &Environment) -> Finding {
    match fault {
        Fault::Missing(name) => {
            let message = format!("the environment variable {name} is not set");
            let near = nearest(&name, environment.0.keys().map(|name| &**name));
            let help = match near {
                Some(near) => format!("did you mean {near}? Or give it a default: ${{{name}:-value}}"),
                None => format!("set it, or give it a default: ${{{name}:-value}}"),
            };
            Finding::new("E0407", span, message)
                .label("cannot be expanded")
                .help(help)
        }
        Fault::Malformed => Finding::new(
            "E0407",
            span,
            "this is not a reference to an environment variable",
        )
        .label("cannot be expanded")
        .help("write ${VAR} or ${VAR:-default}; for a plain ${ write $${"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kt29_references_are_replaced() {
        let environment = Environment::new([("HOST", "api.example.com"), ("PORT", "3001"), ("EMPTY", "")]);
        for (text, expected) in [
            ("http://${HOST}:${PORT}", Ok("http://api.example.com:3001")),
            ("${NONE:-x}", Ok("x")),
            ("${NONE:-}", Ok("")),
            ("${EMPTY:-x}", Ok("x")),
            ("${EMPTY-x}", Ok("")),
            ("${NONE-x}", Ok("x")),
            ("${EMPTY}", Ok("")),
            ("${HOST:-x}", Ok("api.example.com")),
            ("$${HOST}", Ok("${HOST}")),
            ("$HOST and {x}", Ok("$HOST and {x}")),
            ("${NONE}", Err(Fault::Missing("NONE".to_owned()))),
            ("a ${HOST", Err(Fault::Malformed)),
            ("${}", Err(Fault::Malformed)),
            ("${1A}", Err(Fault::Malformed)),
            ("${HOST?x}", Err(Fault::Malformed)),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(environment.expand(text), expected, "{text}");
        }
    }
}
