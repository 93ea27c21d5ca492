//! Changes to the fields of a head that is still only offsets: what to leave out and what to add.

use std::ops::Range;

use weir_model::limits;
use weir_wire::Fields;

const _: () = assert!(
    limits::HEAD_FIELDS <= u128::BITS as usize,
    "one bit for each field"
);

/// Reused from exchange to exchange; allocates nothing once it has grown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    dropped: u128,
    added: Vec<Added>,
    text: Vec<u8>,
}

/// A field to add, as ranges of [`Edits::text`].
#[derive(Clone, Debug)]
struct Added {
    name: Range<usize>,
    value: Range<usize>,
}

impl Edits {
    pub(crate) fn clear(&mut self) {
        self.dropped = 0;
        self.added.clear();
        self.text.clear();
    }

    /// Whether no field is left out.
    pub(crate) fn keep_all(&self) -> bool {
        self.dropped == 0
    }

    /// Whether the field at `index` is left out.
    pub(crate) fn is_dropped(&self, index: usize) -> bool {
        self.dropped >> index & 1 == 1
    }

    /// Leaves the field at `index` out.
    pub(crate) fn drop_field(&mut self, index: usize) {
        self.dropped |= 1 << index;
    }

    /// Adds a field after all others.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        let value = self.store(value);
        self.added.push(Added { name, value });
    }

    /// Adds a field whose value `fill` appends.
    pub(crate) fn add_with(&mut self, name: &[u8], fill: impl FnOnce(&mut Vec<u8>)) {
        let name = self.store(name);
        let start = self.text.len();
        fill(&mut self.text);
        self.added.push(Added {
            name,
            value: start..self.text.len(),
        });
    }

    /// The added fields in order.
    pub(crate) fn added(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.added
            .iter()
            .map(|added| (&self.text[added.name.clone()], &self.text[added.value.clone()]))
    }

    /// Takes every field of that name away, from the head and from the additions.
    pub(crate) fn remove(&mut self, name: &str, fields: &Fields, bytes: &[u8]) {
        for (index, field) in fields.iter().enumerate() {
            if field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()) {
                self.drop_field(index);
            }
        }
        let text = &self.text;
        self.added
            .retain(|added| !text[added.name.clone()].eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Makes `value` the only value of that name.
    pub(crate) fn set(&mut self, name: &str, value: &[u8], fields: &Fields, bytes: &[u8]) {
        self.remove(name, fields, bytes);
        self.add(name.as_bytes(), value);
    }

    /// Appends `value` to the values of that name, joined with a comma (Gateway API `HTTPHeaderFilter.add`).
    /// `Set-Cookie` is no list (RFC 9110 5.3), so there it becomes one more field.
    pub(crate) fn append(&mut self, name: &str, value: &[u8], fields: &Fields, bytes: &[u8]) {
        if name.eq_ignore_ascii_case("set-cookie") {
            return self.add(name.as_bytes(), value);
        }
        let start = self.text.len();
        for (index, field) in fields.iter().enumerate() {
            if !self.is_dropped(index) && field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()) {
                self.text.extend_from_slice(field.value.of(bytes));
                self.text.push(b',');
                self.drop_field(index);
            }
        }
        while let Some(place) = self.place_of(name) {
            let added = self.added.remove(place);
            self.text.extend_from_within(added.value);
            self.text.push(b',');
        }
        self.text.extend_from_slice(value);
        let value = start..self.text.len();
        let name = self.store(name.as_bytes());
        self.added.push(Added { name, value });
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.added
            .iter()
            .position(|added| self.text[added.name.clone()].eq_ignore_ascii_case(name.as_bytes()))
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_wire::{HeadLimits, RequestHead};

    type Change = fn(&mut Edits, &Fields, &[u8]);

    fn check(lines: &str, change: Change, expected: &[(&str, &str)]) {
        let bytes = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let bytes = bytes.as_bytes();
        let limits = HeadLimits {
            head_bytes: 4096,
            fields: 100,
            field_bytes: 1024,
            target_bytes: 100,
        };
        let mut head = RequestHead::new(limits);
        head.parse(bytes).expect("good head");
        let mut edits = Edits::default();
        change(&mut edits, &head.fields, bytes);
        let kept = head
            .fields
            .iter()
            .enumerate()
            .filter(|(index, _)| !edits.is_dropped(*index));
        let mut found: Vec<(String, String)> = kept
            .map(|(_, field)| (text(field.name.of(bytes)), text(field.value.of(bytes))))
            .chain(edits.added().map(|(name, value)| (text(name), text(value))))
            .collect();
        found.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(found, expected, "{lines}");
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn gateway_api_header_changes() {
        check(
            "A: 1\r\nb: 2\r\nB: 3\r\n",
            |edits, f, b| edits.remove("b", f, b),
            &[("a", "1")],
        );
        check(
            "B: 2\r\nb: 3\r\n",
            |edits, f, b| edits.set("b", b"9", f, b),
            &[("b", "9")],
        );
        check("", |edits, f, b| edits.set("b", b"9", f, b), &[("b", "9")]);
        check(
            "B: 2\r\nb: 3\r\n",
            |edits, f, b| edits.append("b", b"9", f, b),
            &[("b", "2,3,9")],
        );
        check("", |edits, f, b| edits.append("b", b"9", f, b), &[("b", "9")]);
        check(
            "set-cookie: a\r\n",
            |edits, f, b| edits.append("set-cookie", b"c", f, b),
            &[("set-cookie", "a"), ("set-cookie", "c")],
        );
        check(
            "b: 1\r\n",
            |edits, f, b| {
                edits.set("b", b"2", f, b);
                edits.append("b", b"3", f, b);
                edits.add(b"c", b"4");
                edits.remove("c", f, b);
            },
            &[("b", "2,3")],
        );
    }
}
