//! "Did you mean": the candidate that a misspelt word stands for.

/// The candidate closest to `word`, when it is close enough to be what was meant: the same letters in another
/// case, another ending, or at most one mistake per three letters (a wrong, missing, extra or swapped letter).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Bounds the work for absurd words; no name that anyone refers to is longer.
    if word.is_empty() || word.len() > 253 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate == word || candidate.len().abs_diff(word.len()) > 4 * limit {
            continue;
        }
        let distance = match candidate {
            _ if candidate.eq_ignore_ascii_case(word) => 0,
            _ if is_plural(word, candidate) => 1,
            _ => distance(word, candidate),
        };
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Whether one is the other with an ending of at most three letters, as singular and plural are.
fn is_plural(left: &str, right: &str) -> bool {
    let (short, long) = if left.len() < right.len() {
        (left, right)
    } else {
        (right, left)
    };
    short.len() >= 4 && long.strip_prefix(short).is_some_and(|ending| ending.len() <= 3)
}

/// Whether one is the start of the other, without regard to case and to an `s` at the end of `word`: `host`,
/// `query`, `backends`, `pathPrefix`.
pub fn shares_start(word: &str, candidate: &str) -> bool {
    let (word, candidate) = (word.to_ascii_lowercase(), candidate.to_ascii_lowercase());
    let stem = word.strip_suffix('s').unwrap_or(&word);
    stem.len().min(candidate.len()) >= 4 && (candidate.starts_with(stem) || word.starts_with(&*candidate))
}

/// Optimal string alignment distance over characters.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut current = vec![row + 1; right.len() + 1];
        for (column, &b) in right.iter().enumerate() {
            let replace = last[column] + usize::from(a != b);
            let mut least = replace.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && a == right[column - 1] && left[row - 1] == b {
                least = least.min(before_last[column - 1] + 1);
            }
            current[column + 1] = least;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_shared_from_four_letters_on() {
        for (word, candidate, expected) in [
            ("host", "hostnames", true),
            ("hosts", "hostnames", true),
            ("query", "queryParams", true),
            ("backends", "backendRefs", true),
            ("pathPrefix", "path", true),
            ("Parents", "parentRefs", true),
            ("s", "sectionName", false),
            ("raw", "rules", false),
            ("headings", "headers", false),
        ] {
            assert_eq!(shares_start(word, candidate), expected, "{word}");
        }
    }

    #[test]
    fn the_nearest_candidate_is_what_was_meant() {
        let fields = ["matches", "filters", "backendRefs", "timeouts", "name"];
        for (word, expected) in [
            ("backendRef", Some("backendRefs")),
            ("backendrefs", Some("backendRefs")),
            ("match", Some("matches")),
            ("timeout", Some("timeouts")),
            ("filtres", Some("filters")),
            ("nmae", Some("name")),
            ("weight", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, fields), expected, "{word}");
        }
        assert_eq!(nearest("cart", ["carts", "card", "shop"]), Some("carts"));
        assert_eq!(
            nearest("cart", ["cart"]),
            None,
            "the word itself is no correction"
        );
    }
}
