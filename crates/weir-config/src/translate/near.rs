//! "Did you mean": the name that somebody probably meant to write.

/// The candidate that differs least from `name`, when it differs little enough to be a slip: at most a third of
/// its characters inserted, dropped, replaced or swapped with a neighbour.
pub(crate) fn nearest<'n>(name: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    let similar = candidates.filter(|candidate| candidate.len().abs_diff(name.len()) <= allowed);
    let (distance, candidate) = similar.map(|candidate| (distance(name, candidate), candidate)).min()?;
    (distance > 0 && distance <= allowed).then_some(candidate)
}

/// Number of single-character edits between two names; swapping two neighbours counts as one
/// (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut current = vec![row; right.len() + 1];
        for column in 1..=right.len() {
            let replaced = above[column - 1] + usize::from(left[row - 1] != right[column - 1]);
            let mut best = replaced.min(above[column] + 1).min(current[column - 1] + 1);
            let swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if swapped {
                best = best.min(before[column - 2] + 1);
            }
            current[column] = best;
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_different_name_is_not() {
        for (name, candidates, expected) in [
            ("bakend", &["backend", "frontend"][..], Some("backend")),
            ("backedn", &["backend"], Some("backend")),
            ("web", &["api", "web2"], Some("web2")),
            ("web", &["api"], None),
            ("web", &["web"], None),
            ("orders", &[], None),
            ("payments-v1", &["payments-v2", "payments"], Some("payments-v2")),
        ] {
            assert_eq!(nearest(name, candidates.iter().copied()), expected, "{name}");
        }
    }
}
