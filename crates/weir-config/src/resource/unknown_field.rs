//! Fields that an object does not have: what they were meant to be.

use crate::nearest::{nearest, shares_start};
use crate::yaml::{Entry, Finding};

/// Whether an unknown field stands for the `vital` one rather than for another that is `known`.
pub(super) fn is_meant(word: &str, vital: &str, known: &[&'static str]) -> bool {
    match nearest(word, known.iter().copied()) {
        Some(nearest) => nearest == vital,
        None => shares_start(word, vital),
    }
}

/// The field stands for a vital one.
pub(super) fn misspelt(holder: &str, entry: &Entry, vital: &str) -> Finding {
    let help = format!("did you mean \"{vital}\"? Leaving it out would widen or redirect what is served");
    unknown("E0114", holder, entry).label("misspelt").help(help)
}

/// The field is ignored.
pub(super) fn ignored(holder: &str, entry: &Entry, known: &[&'static str]) -> Finding {
    let finding = unknown("W0101", holder, entry).label("the field is ignored");
    match nearest(&entry.key, known.iter().copied()) {
        Some(meant) => finding.help(format!("did you mean \"{meant}\"?")),
        None if known.len() <= 12 => finding.help(format!("known fields are {}", known.join(", "))),
        None => finding,
    }
}

fn unknown(code: &'static str, holder: &str, entry: &Entry) -> Finding {
    let message = format!("{holder} has no field \"{}\"", entry.key);
    Finding::new(code, entry.key_span, message)
}
