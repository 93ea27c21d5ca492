//! Stop 4, the spine: one request through stops 5 to 10, in order.

use std::rc::Rc;

use super::failover::Detour;
use super::pick::Tries;
use super::respond::Reply;
use super::route::Found;
use super::{
    Client, Exchange, Failure, Next, account, feedback, forward, passive, pending, pick, policy, replace,
    request, respond, retry, route, signals,
};
use crate::compile::Snapshot;
use crate::transit::RequestScratch;
use crate::worker::Worker;

/// Serves one request. `head` says whether stop 3 found one: a parsed head in `scratch`, or why not.
pub(crate) async fn handle(
    worker: &Rc<Worker>,
    client: &mut Client,
    scratch: &mut RequestScratch,
    head: Result<(), Failure>,
) -> Next {
    let view = worker.view();
    let mut exchange = Exchange::begin(worker, client, scratch);
    let mut found = None;
    let served = match head {
        Ok(()) => serve(&mut exchange, &view, &mut found).await,
        Err(failure) => Err(failure),
    };
    let next = match served {
        Ok(next) => next,
        Err(failure) => Box::pin(respond::fail(&mut exchange, failure, found.as_ref())).await,
    };
    account::account(&exchange, found.as_ref());
    next
}

async fn serve<'v>(
    exchange: &mut Exchange<'_>,
    snapshot: &'v Snapshot,
    found: &mut Option<Found<'v>>,
) -> Result<Next, Failure> {
    request::examine(exchange)?;
    let found = found.insert(route::find(exchange, snapshot)?);
    if let Some(traffic) = &found.rule.traffic
        && let Some(admission) = &traffic.admission
    {
        Box::pin(policy::admit(exchange, found, traffic, admission)).await?;
    }
    if let Some(answer) = policy::answer_early(exchange, found) {
        return Box::pin(respond::answer(exchange, answer)).await;
    }
    let mut way = route::choose(exchange, snapshot, found)?;
    policy::prepare(exchange, found, &way)?;
    policy::mirror(exchange, snapshot, &way);
    let mut tries = Tries::begin(exchange.worker.index, &way)?;
    if pending::is_to_wait(exchange, snapshot, &way) {
        Box::pin(pending::wait(exchange, snapshot, &way)).await;
        way = Detour::from(exchange, snapshot, found, &mut tries).choose_again(way)?;
    }
    let (chosen, answered) = loop {
        // In a scope of its own, so that what waits for the next try does not hold the last one.
        let waiting = {
            let mut chosen = pick::pick(exchange, snapshot, &way, &mut tries)?;
            let tried = forward::forward(exchange, found, &way, &mut chosen).await;
            feedback::tell(exchange, &mut chosen, &tried);
            passive::tell(exchange, &chosen, &tried);
            signals::heed(exchange, &way, &chosen, &tried);
            exchange.note_answer(&tried);
            match retry::next(exchange, snapshot, &way, &mut tries, &chosen, &tried) {
                None => break (chosen, tried?),
                Some(follow) => Box::pin(retry::prepare(exchange, &mut tries, chosen, tried, follow)),
            }
        };
        waiting.await?;
        way = Detour::from(exchange, snapshot, found, &mut tries).move_on(way)?;
    };
    if let Some(rules) = found.rule.responses() {
        return Box::pin(replace::relay(exchange, found, rules, (&way, chosen), answered)).await;
    }
    respond::relay(exchange, Reply { way: &way, chosen }, answered).await
}
