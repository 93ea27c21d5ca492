//! A tenant's own words for what it does not have.

use std::sync::Arc;

use weir_model::{Action, Replacement, ResponseOverride, ResponseSource, Rule, StatusSet};

use crate::resource::Tenant;

/// Gives rules that answer for a path or method that there is not the tenant's words.
pub(super) fn apply(tenant: &Tenant, rule: &mut Rule) {
    let Action::Answer(answer) = &rule.action else {
        return;
    };
    let handler = match answer.status {
        404 => &tenant.error_handlers.not_found,
        405 => &tenant.error_handlers.method_not_allowed,
        _ => &None,
    };
    let (Some(handler), Some(statuses)) = (handler, StatusSet::one(answer.status)) else {
        return;
    };
    let traffic = rule.traffic.get_or_insert_default();
    Arc::make_mut(traffic).overrides.push(ResponseOverride {
        statuses,
        headers: Vec::new(),
        source: ResponseSource::Local,
        replacement: Replacement::Answer(handler.clone()),
    });
}
