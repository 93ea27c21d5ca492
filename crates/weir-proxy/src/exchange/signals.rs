//! Between stops 8 and 9: what an endpoint says of itself in the head of a response. Costs a look at a length and at a
//! pointer where nothing is checked and nothing reported.

use weir_balance::capacity_percent;
use weir_model::LoadReport;
use weir_wire::Known;

use super::forward::Answered;
use super::pick::Chosen;
use super::route::Way;
use super::{Exchange, Failure};
use crate::Event;
use crate::event::Judge;
use crate::lock::lock;
use crate::upstream::is_withdrawal;

/// Heeds what the response says.
#[inline]
pub(super) fn heed(
    exchange: &Exchange<'_>,
    way: &Way<'_>,
    chosen: &Chosen<'_>,
    tried: &Result<Answered, Failure>,
) {
    let Ok(answered) = tried else {
        return;
    };
    if !chosen.balancer.upstream.probed.is_empty() {
        heed_withdrawal(exchange, chosen, answered);
    }
    if let Some(report) = &way.forward.spec.load_report {
        heed_load(exchange, report, chosen, answered);
    }
}

/// Remembers how much the endpoint can still take, if it says so (row HC15).
fn heed_load(exchange: &Exchange<'_>, report: &LoadReport, chosen: &Chosen<'_>, answered: &Answered) {
    let response = &answered.response;
    let bytes = response.input.pinned();
    let mut others = response
        .head
        .fields
        .iter()
        .filter(|field| field.known == Known::Other);
    let field = others.find(|field| {
        field
            .name
            .of(bytes)
            .eq_ignore_ascii_case(report.header.as_bytes())
    });
    let percent = field.and_then(|field| capacity_percent(field.value.of(bytes)));
    if let (Some(percent), Some(member)) = (percent, chosen.balancer.balancer.member(chosen.picked.index)) {
        let now_ms = exchange.worker.clock.read_ms();
        let until_ms = now_ms.saturating_add(report.expiry.milliseconds());
        member.state.report_capacity(percent, until_ms);
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
