//! A few lines of a terminal that are drawn over and over.

use std::io::{self, Write};

/// Cursor off, and lines cut at the margin instead of wrapped: the number of rows stays known.
const BEGIN: &str = "\x1b[?25l\x1b[?7l";
/// Back to what terminals do.
const END: &str = "\x1b[?7h\x1b[?25h";

/// The lines; the terminal is as before when this is dropped.
#[derive(Debug)]
pub(crate) struct Screen<W: Write> {
    out: W,
    lines: usize,
}

impl<W: Write> Screen<W> {
    /// Begins below what is there.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(BEGIN.as_bytes())?;
        Ok(Self { out, lines: 0 })
    }

    /// Draws `text`, which ends with a line end, over what was drawn before.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn draw(&mut self, text: &str) -> io::Result<()> {
        let mut drawn = String::with_capacity(text.len() + 16);
        if self.lines > 0 {
            drawn.push_str(&format!("\x1b[{}A", self.lines));
        }
        drawn.push_str("\r\x1b[J");
        drawn.push_str(text);
        self.lines = text.matches('\n').count();
        self.out.write_all(drawn.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that is gone.
        let _gone = self.out.write_all(END.as_bytes()).and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_restored_and_only_own_lines_are_drawn_over() {
        let mut out = Vec::new();
        {
            let mut screen = Screen::new(&mut out).expect("memory");
            screen.draw("a\nb\n").expect("memory");
            screen.draw("c\n").expect("memory");
        }
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text, format!("{BEGIN}\r\x1b[Ja\nb\n\x1b[2A\r\x1b[Jc\n{END}"));
    }
}
