//! Where the parser library's lines are in a text.

use memchr::memchr_iter;

/// The library ends lines as YAML does, also at a carriage return that no line feed follows (YAML 1.2.2 5.4). Editors, and
/// [`super::sections`], end them at line feeds alone, and that is what places are told in.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// For each of the library's lines the line that it is on, and the characters before it there. Empty when the two
    /// count alike.
    starts: Vec<(usize, usize)>,
}

impl Places {
    /// Those of a text.
    pub(super) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let is_alone = |at: usize| bytes.get(at + 1) != Some(&b'\n');
        if !memchr_iter(b'\r', bytes).any(is_alone) {
            return Self::default();
        }
        let mut starts = vec![(1, 0)];
        let (mut line, mut before) = (1, 0);
        for (at, character) in text.char_indices() {
            before += 1;
            match character {
                '\n' => {
                    (line, before) = (line + 1, 0);
                    starts.push((line, before));
                }
                '\r' if is_alone(at) => starts.push((line, before)),
                _ => {}
            }
        }
        Self { starts }
    }

    /// The line, from 1, and the column, from 0, of what the library has at these.
    pub(super) fn find(&self, line: usize, column: usize) -> (usize, usize) {
        match self.starts.get(line.wrapping_sub(1)).or(self.starts.last()) {
            Some((line, before)) => (*line, before + column),
            None => (line, column),
        }
    }
}
