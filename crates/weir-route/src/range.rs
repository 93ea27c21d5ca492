//! Parts of lists, in half the space of `std::ops::Range<usize>`.

/// Part of a list: from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Range {
    pub(crate) fn indexes(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Takes in the index `at`, which follows the last one when there is one.
    pub(crate) fn extend_to(&mut self, at: u32) {
        debug_assert!(
            self.is_empty() || self.end == at,
            "{self:?} and {at} are not contiguous"
        );
        if self.is_empty() {
            self.start = at;
        }
        self.end = at + 1;
    }
}
