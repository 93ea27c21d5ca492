//! An immutable hash table for keys that clients choose.

use std::cmp::Ordering;

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
    /// By bucket, then space, then key; one more at the end, which ends the last key.
    entries: Box<[KeyEntry]>,
    /// The keys in the order of `entries`.
    text: Box<[u8]>,
    longest: usize,
}

#[derive(Debug)]
struct KeyEntry {
    /// The half of the hash that does not choose the bucket: tells almost all other keys apart.
    tag: u32,
    space: u32,
    /// Start of the key in `text`; the next entry's start ends it.
    start: u32,
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
        let (mut starts, mut entries, mut text) = (
            vec![0; buckets + 1],
            Vec::with_capacity(items.len() + 1),
            Vec::new(),
        );
        for (space, key, value) in &items {
            let hash = hash(*space, key);
            starts[(hash & mask) as usize + 1] += 1;
            entries.push(KeyEntry {
                tag: tag(hash),
                space: *space,
                start: text.len() as u32,
                value: *value,
            });
            text.extend_from_slice(key.as_bytes());
        }
        entries.push(KeyEntry {
            tag: 0,
            space: 0,
            start: text.len() as u32,
            value: 0,
        });
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
        let hash = hash(space, key);
        let bucket = (hash & self.mask) as usize;
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        if range.len() > BUCKET_SCANNED {
            return self.find_by_halves(range, space, key.as_bytes());
        }
        for at in range {
            let entry = &self.entries[at];
            if entry.tag == tag(hash) && entry.space == space && self.key(at) == key.as_bytes() {
                return Some(entry.value);
            }
        }
        None
    }

    #[cold]
    fn find_by_halves(&self, range: std::ops::Range<usize>, space: u32, key: &[u8]) -> Option<u32> {
        let mut range = range;
        while !range.is_empty() {
            let middle = range.start + range.len() / 2;
            match (self.entries[middle].space, self.key(middle)).cmp(&(space, key)) {
                Ordering::Less => range.start = middle + 1,
                Ordering::Equal => return Some(self.entries[middle].value),
                Ordering::Greater => range.end = middle,
            }
        }
        None
    }

    fn key(&self, at: usize) -> &[u8] {
        &self.text[self.entries[at].start as usize..self.entries[at + 1].start as usize]
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn hash(space: u32, key: &str) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), u64::from(space))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    #[test]
    fn keys_of_one_tag_are_not_confused() {
        let mut seen = BTreeMap::new();
        let mut keys = (0_u32..).map(|number| number.to_string());
        let (left, right) = keys
            .find_map(|key| {
                // Two keys make four buckets.
                let hash = hash(0, &key);
                seen.insert((tag(hash), hash & 3), key.clone())
                    .map(|other| (other, key))
            })
            .expect("an endless supply");
        let table = KeyTable::build(vec![(0, &left, 1), (0, "another", 2)]);
        assert_eq!((table.find(0, &left), table.find(0, &right)), (Some(1), None));
        let table = KeyTable::build(vec![(0, &left, 1), (0, &right, 2)]);
        assert_eq!((table.find(0, &left), table.find(0, &right)), (Some(1), Some(2)));
    }
}
