//! The last hosts that requests named, already validated and normalised.
//!
//! Clients name the same few hosts over and over. A small table turns checking one again into a comparison; what is
//! not in it is checked as ever, so that the table decides nothing.

use weir_wire::host::{self, HostError};

const PLACES: usize = 64;
/// Longer ones are not kept.
const RAW_BYTES_MAX: usize = 128;

/// One worker's table.
#[derive(Debug)]
pub(crate) struct HostCache {
    places: Vec<Place>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    raw: Vec<u8>,
    name: String,
}

impl HostCache {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![Place::default(); PLACES],
        }
    }

    /// The normalised name of a `Host` value.
    pub(crate) fn name(&mut self, raw: &[u8]) -> Result<&str, HostError> {
        let place = &mut self.places[place_of(raw)];
        if place.raw != raw || raw.is_empty() {
            let host = host::parse(raw)?;
            place.name.clear();
            place.name.push_str(&host.name);
            place.raw.clear();
            // An empty value never matches.
            place
                .raw
                .extend_from_slice(if raw.len() <= RAW_BYTES_MAX { raw } else { &[] });
        }
        Ok(&place.name)
    }
}

fn place_of(raw: &[u8]) -> usize {
    let at = |index: usize| raw.get(index).copied().map_or(0, usize::from);
    (raw.len() * 7 + at(0) + at(raw.len() / 2) * 5 + at(raw.len().wrapping_sub(1)) * 3) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_same_from_the_table_and_a_bad_one_never_enters_it() {
        let mut cache = HostCache::new();
        let long = format!("{}com", "a.".repeat(100));
        for _ in 0..3 {
            for (raw, name) in [
                ("Example.COM:80", Some("example.com")),
                ("example.com", Some("example.com")),
                ("[::1]:8080", Some("[::1]")),
                (&*long, Some(&*long)),
                ("a b", None),
                ("", None),
                ("user@a", None),
            ] {
                assert_eq!(cache.name(raw.as_bytes()).ok(), name, "{raw}");
            }
        }
        for number in 0..1000 {
            let name = format!("h{number}.test");
            assert_eq!(cache.name(name.as_bytes()), Ok(&*name));
        }
    }
}
