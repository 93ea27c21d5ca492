//! Looking up host patterns by a request's host.

use weir_model::HostPattern;

use crate::table::KeyTable;

/// Which pattern of a family covers a host most specifically: an exact name, else the longest wildcard, else any
/// host. Families keep users of one index apart.
#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    /// Space `2 * family` holds exact names, the next one the suffixes of wildcards.
    names: KeyTable,
    /// Bit `n` tells that a wildcard with a suffix of `n` labels exists; bit 63 stands for more. A host of a
    /// hundred labels costs no more lookups than there are bits.
    suffix_labels: u64,
    /// By family: what [`HostPattern::Any`] stands for.
    any: Box<[Option<u32>]>,
}

impl HostIndex {
    /// An index of `(family, pattern, value)` over families `0..families`; no pattern twice in one family.
    pub(crate) fn build<'a>(families: u32, items: impl Iterator<Item = (u32, &'a HostPattern, u32)>) -> Self {
        let (mut names, mut suffix_labels, mut any) = (Vec::new(), 0, vec![None; families as usize]);
        for (family, pattern, value) in items {
            match pattern {
                HostPattern::Any => any[family as usize] = Some(value),
                HostPattern::Exact(name) => names.push((family * 2, &**name, value)),
                HostPattern::Suffix(suffix) => {
                    names.push((family * 2 + 1, suffix, value));
                    suffix_labels |= label_bit(labels(suffix));
                }
            }
        }
        Self {
            names: KeyTable::build(names),
            suffix_labels,
            any: any.into(),
        }
    }

    /// The value of the most specific pattern that covers `host`.
    pub(crate) fn find(&self, family: u32, host: &str) -> Option<u32> {
        self.names
            .find(family * 2, host)
            .or_else(|| self.find_wider(family, host))
    }

    /// The value of the most specific pattern that covers `name` and is not the exact name. For the suffix of a
    /// wildcard this is the next wider wildcard.
    pub(crate) fn find_wider(&self, family: u32, name: &str) -> Option<u32> {
        self.find_suffix(family, name)
            .or_else(|| self.any.get(family as usize).copied().flatten())
    }

    fn find_suffix(&self, family: u32, name: &str) -> Option<u32> {
        if self.suffix_labels == 0 {
            return None;
        }
        let (mut rest, mut left) = (name, labels(name));
        while let Some((label, suffix)) = rest.split_once('.') {
            left -= 1;
            // A name that starts with a dot has nothing before its first suffix.
            let covers = rest.len() < name.len() || !label.is_empty();
            let known = covers && self.suffix_labels & label_bit(left) != 0;
            if known && let Some(value) = self.names.find(family * 2 + 1, suffix) {
                return Some(value);
            }
            rest = suffix;
        }
        None
    }
}

fn labels(name: &str) -> usize {
    name.bytes().filter(|byte| *byte == b'.').count() + 1
}

fn label_bit(labels: usize) -> u64 {
    1 << labels.min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_is_found_in_its_family() {
        let deep = format!("*.{}x", "y.".repeat(70));
        let patterns = [
            "*",
            "*.com",
            "*.example.com",
            "a.example.com",
            "*.a.example.com",
            &deep,
        ];
        let parsed: Vec<HostPattern> = patterns.iter().map(|text| HostPattern::parse(text)).collect();
        let first = parsed.iter().zip(0..).map(|(pattern, value)| (0, pattern, value));
        let second = parsed
            .iter()
            .zip(10..)
            .skip(2)
            .map(|(pattern, value)| (1, pattern, value));
        let index = HostIndex::build(2, first.chain(second));
        for (host, in_first, in_second) in [
            ("a.example.com", Some(3), Some(13)),
            ("b.example.com", Some(2), Some(12)),
            ("b.a.example.com", Some(4), Some(14)),
            ("c.b.a.example.com", Some(4), Some(14)),
            ("x.b.example.com", Some(2), Some(12)),
            ("example.com", Some(1), None),
            ("com", Some(0), None),
            (".com", Some(0), None),
            ("..com", Some(1), None),
            ("", Some(0), None),
            (&deep[2..], Some(0), None),
            (&format!("y.y.{}", &deep[2..]), Some(5), Some(15)),
        ] {
            assert_eq!(
                (index.find(0, host), index.find(1, host)),
                (in_first, in_second),
                "{host}"
            );
            let covering = parsed
                .iter()
                .zip(0..)
                .filter(|(pattern, _)| pattern.matches(host));
            assert_eq!(
                index.find(0, host),
                covering.max_by_key(|(at, _)| at.specificity()).map(|at| at.1),
                "{host}"
            );
        }
        assert_eq!(index.find_wider(0, "a.example.com"), Some(2));
        assert_eq!(index.find_wider(0, "example.com"), Some(1));
    }
}
