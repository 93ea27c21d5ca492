//! What a policy means for one rule, and applying it: the seam between routes and policies.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{Action, BalanceSpec, FixedAnswer, ObjectName, Origin, Rule, Timeouts};

use crate::resource::{HttpRule, Placed};

/// A rule as reached through one listener: what a policy may apply to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PolicyPoint<'a> {
    /// The route.
    pub(crate) route: &'a Placed,
    /// `rules[].name`.
    pub(crate) rule: Option<&'a str>,
    /// The Gateway.
    pub(crate) gateway: &'a Placed,
    /// Name of its listener.
    pub(crate) listener: &'a str,
}

/// The policy of one rule, after precedence and merging.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EffectivePolicy {
    /// The policy; the most specific one when several are merged.
    pub(crate) object: ObjectName,
    /// Where it is written.
    pub(crate) origin: Origin,
    /// What it says. `Err` is the reason why it is not valid: every rule under it answers 500, as Envoy
    /// Gateway's do.
    pub(crate) outcome: Result<PolicySettings, &'static str>,
}

/// What a valid policy says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicySettings {
    /// How endpoints are picked.
    pub(crate) balance: Arc<BalanceSpec>,
    /// Time to connect to an endpoint.
    pub(crate) connect_timeout: Option<Duration>,
    /// Time for a whole exchange; `Some(None)` switches the bound off. The route's own `timeouts` win.
    pub(crate) request_timeout: Option<Option<Duration>>,
}

/// Makes a rule do what its policy says.
pub(crate) fn apply(policy: Option<&EffectivePolicy>, written: &HttpRule, rule: &mut Rule) {
    let settings = match policy.map(|policy| &policy.outcome) {
        None => None,
        Some(Ok(settings)) => Some(settings),
        Some(Err(reason)) => {
            rule.action = Action::Answer(FixedAnswer {
                status: 500,
                reason: (*reason).into(),
                allow: None,
            });
            None
        }
    };
    rule.timeouts = timeouts(written, settings);
    if let (Action::Forward(forward), Some(settings), Some(policy)) = (&mut rule.action, settings, policy) {
        forward.balance = settings.balance.clone();
        forward.policy = Some((policy.object.clone(), policy.origin.clone()));
    }
}

/// The rule's own bounds win over the policy's, which win over the defaults. Zero switches a bound off.
fn timeouts(written: &HttpRule, settings: Option<&PolicySettings>) -> Timeouts {
    let own = &written.timeouts;
    let bound = |written: Duration| (!written.is_zero()).then_some(written);
    let backend_request = own.backend_request.and_then(|written| bound(written.value));
    let request = match (
        own.request,
        settings.and_then(|settings| settings.request_timeout),
    ) {
        (Some(written), _) => bound(written.value),
        (None, Some(policy)) => policy,
        // A try that is given longer than the default must not be cut short by it.
        (None, None) => Timeouts::default().request.max(backend_request),
    };
    let connect = settings.and_then(|settings| settings.connect_timeout);
    Timeouts {
        request,
        backend_request,
        connect: connect.unwrap_or(weir_model::limits::CONNECT_TIMEOUT),
        ..Timeouts::default()
    }
}
