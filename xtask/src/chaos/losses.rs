//! What clients lost in a fault, and whether anything was done twice.

use peers::pace::Outcome;

use super::report::{Limit, Section};
use super::stage::Journal;

/// Tells of it; GETs lost are judged where the policy promises that there are none.
pub(crate) fn tell(
    mut section: Section<'_>,
    outcome: &Outcome,
    journal: &Journal,
    is_judged: bool,
) -> Result<(), String> {
    let losses = outcome.losses();
    if !losses.is_empty() {
        eprintln!("  lost: {losses}");
    }
    section.tell("GETs", outcome.count(false) as f64);
    let lost = outcome.lost(false) as f64;
    match is_judged {
        true => section.judge("GETs lost", lost, Limit::Most(0.0)),
        false => section.tell("GETs lost", lost),
    }
    section.tell("POSTs", outcome.count(true) as f64);
    section.tell("POSTs lost", outcome.lost(true) as f64);
    let twice = journal.posts_served_twice()?;
    section.judge("POSTs served twice", twice as f64, Limit::Most(0.0));
    section.tell("p99, ms", outcome.latency(0.99).as_secs_f64() * 1e3);
    section.tell("longest, ms", outcome.latency(1.0).as_secs_f64() * 1e3);
    Ok(())
}
