//! Between stops 8 and 9: what an endpoint says of itself in the head of a response. Costs a look at a length where
//! nothing is checked.

use super::forward::Answered;
use super::pick::Chosen;
use super::{Exchange, Failure};
use crate::Event;
use crate::event::Judge;
use crate::lock::lock;
use crate::upstream::is_withdrawal;

/// Heeds what the response says.
#[inline]
pub(super) fn heed(exchange: &Exchange<'_>, chosen: &Chosen<'_>, tried: &Result<Answered, Failure>) {
    if let Ok(answered) = tried
        && !chosen.balancer.upstream.probed.is_empty()
    {
        heed_withdrawal(exchange, chosen, answered);
    }
}

/// Takes the endpoint out until its probes are good again, if it asks for that.
fn heed_withdrawal(exchange: &Exchange<'_>, chosen: &Chosen<'_>, answered: &Answered) {
    let response = &answered.response;
    if !is_withdrawal(&response.head.fields, response.input.pinned()) {
        return;
    }
    let probed = chosen.balancer.upstream.probed.get(chosen.picked.index as usize);
    let Some(Some(probed)) = probed else {
        return;
    };
    let change = lock(&probed.health).fail_at_once();
    if let Some(change) = change {
        exchange.worker.shared.tell(Event::EndpointChanged {
            endpoint: probed.endpoint.address.clone(),
            judge: Judge::Backend(chosen.balancer.backend.clone()),
            change,
        });
    }
}
