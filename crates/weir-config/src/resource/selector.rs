//! Kubernetes label selectors.

use std::sync::Arc;

use super::Labels;
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
