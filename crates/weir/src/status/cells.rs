//! Tables whose columns are as wide as what is in them.

/// One cell: text, and how it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    paint: Option<Paint>,
    is_right: bool,
}

/// How a cell is shown on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Good,
    Bad,
    Doubtful,
    Faint,
    Strong,
}

impl Paint {
    /// `text` in this paint.
    pub(super) fn on(self, text: &str, color: bool) -> String {
        let code = match self {
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Doubtful => "33",
            Self::Faint => "2",
            Self::Strong => "1",
        };
        if color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Cell {
    /// Words.
    pub(super) fn words(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A number or time, which stands at the right.
    pub(super) fn number(text: impl Into<String>) -> Self {
        Self {
            is_right: true,
            ..Self::words(text)
        }
    }

    /// The same, painted.
    pub(super) fn painted(mut self, paint: Paint) -> Self {
        self.paint = Some(paint);
        self
    }
}

/// The rows as lines, each after `indent`; no spaces stand at their ends.
pub(super) fn lines(rows: &[Vec<Cell>], indent: &str, color: bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        let mut gap = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let space = " ".repeat(width - cell.text.chars().count());
            let shown = match cell.paint {
                Some(paint) => paint.on(&cell.text, color),
                None => cell.text.clone(),
            };
            let (before, after) = if cell.is_right {
                (space, String::new())
            } else {
                (String::new(), space)
            };
            if !cell.text.is_empty() {
                line.push_str(&gap);
                line.push_str(&before);
                line.push_str(&shown);
                gap = after;
            } else {
                gap.push_str(&" ".repeat(*width));
            }
            gap.push_str("  ");
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_end_of_spaces() {
        let rows = vec![
            vec![Cell::words("a"), Cell::number("1"), Cell::words("x")],
            vec![Cell::words("long"), Cell::number("100"), Cell::words("")],
            vec![Cell::words(""), Cell::number("7").painted(Paint::Good)],
        ];
        assert_eq!(
            lines(&rows, "  ", false),
            "  a       1  x\n  long  100\n          7\n"
        );
        assert!(lines(&rows, "", true).contains("\x1b[32m7\x1b[0m"));
    }
}
