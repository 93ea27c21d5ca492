//! Header and trailer fields of one message, as offsets into the caller's buffer.

use crate::{Known, KnownSet, Span};

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
    has_uncanonical: bool,
}

/// Room that a head's list of fields begins with; most heads fit.
pub(crate) const FIELDS_USUAL: usize = 16;

impl Fields {
    /// No fields, with room for the usual number.
    pub(crate) fn roomy() -> Self {
        Self {
            list: Vec::with_capacity(FIELDS_USUAL),
            ..Self::default()
        }
    }

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

    /// Are all lines written as weir writes them ([`Field::is_canonical`])? Then they are one piece.
    #[inline]
    #[must_use]
    pub fn are_canonical(&self) -> bool {
        !self.has_uncanonical
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
        self.has_uncanonical = false;
    }

    #[inline]
    pub(crate) fn push(&mut self, field: Field) {
        let set = field.known.set();
        if self.present.intersects(set) {
            self.repeated = self.repeated.union(set);
        }
        self.present = self.present.union(set);
        self.has_uncanonical |= !field.is_canonical;
        self.list.push(field);
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
