//! Header and trailer fields of one message, as offsets into the caller's buffer.

use std::ops::Range;

use crate::{HeadError, Known, KnownSet, Span};

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name, in the sender's spelling; a token.
    pub name: Span,
    /// The value without spaces and tabs around it; visible bytes, spaces, tabs and bytes from 0x80.
    pub value: Span,
    /// Which name it is, if weir looks for it.
    pub known: Known,
    /// Is the line written exactly as weir writes it, `name: value CR LF`? Then it is copied whole.
    pub is_canonical: bool,
}

/// The fields of one message in the order they came. Reused from message to message.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
    present: KnownSet,
    repeated: KnownSet,
}

impl Fields {
    /// All fields, in order.
    #[inline]
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.list.iter()
    }

    /// All fields, in order.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[Field] {
        &self.list
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Are there none?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The known names that occur.
    #[inline]
    #[must_use]
    pub fn present(&self) -> KnownSet {
        self.present
    }

    /// Does `name` occur? One bit test.
    #[inline]
    #[must_use]
    pub fn has(&self, name: Known) -> bool {
        self.present.contains(name)
    }

    /// Does `name` occur on more than one line?
    #[inline]
    #[must_use]
    pub fn is_repeated(&self, name: Known) -> bool {
        self.repeated.contains(name)
    }

    /// The first value of `name`.
    #[inline]
    #[must_use]
    pub fn value<'b>(&self, name: Known, bytes: &'b [u8]) -> Option<&'b [u8]> {
        if !self.has(name) {
            return None;
        }
        self.list
            .iter()
            .find(|field| field.known == name)
            .map(|field| field.value.of(bytes))
    }

    /// All values of `name`, in order.
    #[inline]
    pub fn values<'b>(
        &'b self,
        name: Known,
        bytes: &'b [u8],
    ) -> impl DoubleEndedIterator<Item = &'b [u8]> + Clone {
        let list = if self.has(name) { &self.list[..] } else { &[] };
        list.iter()
            .filter(move |field| field.known == name)
            .map(move |field| field.value.of(bytes))
    }

    /// All values of a name that need not be a known one, in order; any case (RFC 9110 5.1).
    #[inline]
    pub fn values_named<'b>(
        &'b self,
        name: &'b str,
        bytes: &'b [u8],
    ) -> impl DoubleEndedIterator<Item = &'b [u8]> + Clone {
        self.list
            .iter()
            .filter(move |field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(move |field| field.value.of(bytes))
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.present = KnownSet::EMPTY;
        self.repeated = KnownSet::EMPTY;
    }

    #[inline]
    pub(crate) fn push(&mut self, field: Field) {
        let set = field.known.set();
        if self.present.intersects(set) {
            self.repeated = self.repeated.union(set);
        }
        self.present = self.present.union(set);
        self.list.push(field);
    }

    /// Takes what httparse found in `bytes`, a whole section with its empty line; the lines begin at `line_start`.
    ///
    /// Every byte is accounted for: a line is name, colon, OWS, value, OWS, CR LF (RFC 9112 5), and then the next
    /// one begins. httparse also takes bare LF.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        bytes: &[u8],
        mut line_start: usize,
        parsed: &[httparse::Header<'_>],
        field_bytes_max: usize,
    ) -> Result<(), HeadError> {
        let base = bytes.as_ptr() as usize;
        let fields_end = bytes.len().saturating_sub(2);
        self.list.reserve(parsed.len());
        for (index, header) in parsed.iter().enumerate() {
            let name = header.name.as_bytes();
            if name.len() + header.value.len() > field_bytes_max {
                return Err(HeadError::FieldTooLarge);
            }
            let name_end = line_start + name.len();
            // httparse may point an empty value anywhere.
            let value_start = match header.value {
                [] => name_end + 1,
                value => value.as_ptr() as usize - base,
            };
            let value_end = value_start + header.value.len();
            let line_end = parsed
                .get(index + 1)
                .map_or(fields_end, |next| next.name.as_ptr() as usize - base);
            let is_plain = value_start == name_end + 2
                && value_end + 2 == line_end
                && bytes.get(name_end..value_start) == Some(b": ")
                && bytes.get(value_end..line_end) == Some(b"\r\n");
            let is_odd = !is_plain && !is_line(bytes, name_end..value_start, value_end..line_end);
            if is_odd || name.as_ptr() as usize - base != line_start {
                return Err(HeadError::LineEnding);
            }
            self.push(Field {
                name: Span::new(line_start, name_end),
                value: Span::new(value_start, value_end),
                known: Known::of(name),
                is_canonical: is_plain,
            });
            line_start = line_end;
        }
        if line_start == fields_end && bytes.ends_with(b"\r\n") {
            Ok(())
        } else {
            Err(HeadError::LineEnding)
        }
    }
}

/// Are the bytes around a value a colon with OWS behind it, and OWS with CR LF behind it?
#[cold]
fn is_line(bytes: &[u8], before: Range<usize>, after: Range<usize>) -> bool {
    let (Some([b':', before @ ..]), Some([after @ .., b'\r', b'\n'])) = (bytes.get(before), bytes.get(after))
    else {
        return false;
    };
    before
        .iter()
        .chain(after)
        .all(|byte| matches!(byte, b' ' | b'\t'))
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
