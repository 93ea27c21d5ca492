//! Kubernetes label selectors.

use std::sync::Arc;

use super::decode::{Decoder, Field, Fields};
use super::{Labels, metadata};
use crate::yaml::Span;

/// All conditions must hold; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// `matchExpressions`.
    pub expressions: Vec<LabelExpression>,
    /// Where it was written.
    pub span: Span,
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .expressions
                .iter()
                .all(|expression| expression.matches(labels))
    }
}

/// One entry of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelExpression {
    /// The label.
    pub key: Arc<str>,
    /// The condition.
    pub operator: LabelOperator,
    /// Its operands; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<Arc<str>>,
}

impl LabelExpression {
    /// `NotIn` and `DoesNotExist` also hold for an object without the label, as in Kubernetes.
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            LabelOperator::In => value.is_some_and(|value| self.values.contains(value)),
            LabelOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// `matchExpressions[].operator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// The value is one of the operands.
    In,
    /// The value is none of the operands, or the label is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

const OPERATORS: &[(&str, LabelOperator)] = &[
    ("In", LabelOperator::In),
    ("NotIn", LabelOperator::NotIn),
    ("Exists", LabelOperator::Exists),
    ("DoesNotExist", LabelOperator::DoesNotExist),
];

/// The fields of a label selector, where they stand among others.
pub(super) const SELECTOR_FIELDS: [&str; 2] = ["matchLabels", "matchExpressions"];

/// Reads a label selector; `None` when a condition of it is unusable.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<LabelSelector> {
    let fields = decoder.fields_with_vital(field, &SELECTOR_FIELDS, SELECTOR_FIELDS)?;
    from_fields(decoder, &fields)
}

/// Reads `matchLabels` and `matchExpressions` among other fields.
pub(super) fn from_fields(decoder: &mut Decoder, fields: &Fields<'_>) -> Option<LabelSelector> {
    let mark = decoder.mark();
    let labels = fields
        .optional("matchLabels")
        .map(|field| metadata::labels(decoder, field))
        .unwrap_or_default();
    let mut expressions = Vec::new();
    if let Some(field) = fields.optional("matchExpressions") {
        for item in decoder.items(field, usize::MAX) {
            expressions.extend(expression(decoder, item));
        }
    }
    let selector = LabelSelector {
        labels: labels.into_iter().collect(),
        expressions,
        span: fields.span(),
    };
    (!decoder.failed_since(mark) && !fields.has_misspelt()).then_some(selector)
}

fn expression(decoder: &mut Decoder, field: Field<'_>) -> Option<LabelExpression> {
    let fields = decoder.fields(field, &["key", "operator", "values"])?;
    let key = fields
        .required(decoder, "key")
        .and_then(|field| decoder.nonempty(field));
    let operator = fields
        .required(decoder, "operator")
        .and_then(|field| decoder.choice(field, OPERATORS));
    let mut values = Vec::new();
    if let Some(field) = fields.optional("values") {
        for item in decoder.items(field, usize::MAX) {
            values.extend(decoder.text(item).map(|text| text.value));
        }
    }
    let (key, operator) = (key?, operator?);
    let takes_values = matches!(operator.value, LabelOperator::In | LabelOperator::NotIn);
    if takes_values == values.is_empty() {
        let (message, help) = if takes_values {
            ("In and NotIn need \"values\"", "list at least one value")
        } else {
            ("Exists and DoesNotExist take no \"values\"", "remove \"values\"")
        };
        decoder.conflict(operator.span, message, help);
        return None;
    }
    Some(LabelExpression {
        key: key.value,
        operator: operator.value,
        values,
    })
}
