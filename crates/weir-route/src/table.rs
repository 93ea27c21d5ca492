//! An immutable hash table for keys that clients choose.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Above this many keys in one bucket, the bucket is searched by halves.
const BUCKET_SCANNED: usize = 8;

/// Maps a space (a small number that keeps users of one table apart) and a key to a number.
///
/// It needs no secret to withstand chosen keys: clients only look up, the table never grows under them, and every
/// bucket is sorted, so that even a configuration written to make all keys collide costs a search by halves.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    /// Number of buckets, a power of two, minus one.
    mask: u64,
    /// Start of each bucket in `entries`, and the end of the last.
    starts: Box<[u32]>,
    /// By bucket, then space, then key.
    entries: Box<[KeyEntry]>,
    text: Box<[u8]>,
    longest: usize,
}

#[derive(Debug)]
struct KeyEntry {
    space: u32,
    start: u32,
    length: u32,
    value: u32,
}

impl KeyTable {
    /// A table of `(space, key, value)`. No space and key may come twice.
    pub(crate) fn build(mut items: Vec<(u32, &str, u32)>) -> Self {
        if items.is_empty() {
            return Self::default();
        }
        let buckets = (items.len() * 2).next_power_of_two();
        let mask = buckets as u64 - 1;
        items.sort_by_cached_key(|(space, key, _)| (hash(*space, key) & mask, *space, *key));
        let (mut starts, mut entries, mut text) =
            (vec![0; buckets + 1], Vec::with_capacity(items.len()), Vec::new());
        for (space, key, value) in &items {
            starts[(hash(*space, key) & mask) as usize + 1] += 1;
            let (start, length) = (text.len() as u32, key.len() as u32);
            entries.push(KeyEntry {
                space: *space,
                start,
                length,
                value: *value,
            });
            text.extend_from_slice(key.as_bytes());
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let longest = items.iter().map(|(_, key, _)| key.len()).max().unwrap_or(0);
        Self {
            mask,
            starts: starts.into(),
            entries: entries.into(),
            text: text.into(),
            longest,
        }
    }

    /// The value of a key.
    pub(crate) fn find(&self, space: u32, key: &str) -> Option<u32> {
        if self.entries.is_empty() || key.len() > self.longest {
            return None;
        }
        let bucket = (hash(space, key) & self.mask) as usize;
        let entries = &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize];
        if entries.len() > BUCKET_SCANNED {
            let order = |entry: &KeyEntry| (entry.space, self.key(entry)).cmp(&(space, key.as_bytes()));
            return entries.binary_search_by(order).ok().map(|at| entries[at].value);
        }
        let found = entries
            .iter()
            .find(|entry| entry.space == space && self.key(entry) == key.as_bytes());
        found.map(|entry| entry.value)
    }

    fn key(&self, entry: &KeyEntry) -> &[u8] {
        &self.text[entry.start as usize..][..entry.length as usize]
    }
}

fn hash(space: u32, key: &str) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), u64::from(space))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_in_its_space_only() {
        let keys: Vec<String> = (0..5_000).map(|number| format!("key-{number}")).collect();
        let table = KeyTable::build(
            keys.iter()
                .zip(0..)
                .map(|(key, at)| (at % 3, key.as_str(), at))
                .collect(),
        );
        for (key, at) in keys.iter().zip(0..) {
            assert_eq!(table.find(at % 3, key), Some(at));
            assert_eq!(table.find((at + 1) % 3, key), None);
        }
        assert_eq!(table.find(0, "key-5000"), None);
        assert_eq!(table.find(0, &"x".repeat(10_000)), None);
        assert_eq!(KeyTable::build(Vec::new()).find(0, ""), None);
        assert_eq!(KeyTable::build(vec![(0, "", 7)]).find(0, ""), Some(7));
    }

    #[test]
    fn keys_made_to_collide_are_still_found() {
        let mut colliding = (0..)
            .map(|number: u32| number.to_string())
            .filter(|key| hash(0, key) & 63 == 5);
        let keys: Vec<String> = colliding.by_ref().take(30).collect();
        let absent = colliding.next().expect("an endless supply");
        let table = KeyTable::build(
            keys.iter()
                .zip(0..)
                .map(|(key, at)| (0, key.as_str(), at))
                .collect(),
        );
        assert_eq!(table.mask, 63);
        assert!(
            keys.iter()
                .zip(0..)
                .all(|(key, at)| table.find(0, key) == Some(at))
        );
        assert_eq!(table.find(0, &absent), None);
    }
}
