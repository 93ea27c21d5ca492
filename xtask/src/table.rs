//! Tables that read well in a terminal and in Markdown.

/// Aligns columns: numbers to the right, the first column and columns of words to the left.
pub(crate) fn text(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let is_left = |column: usize| column == 0 || !rows.iter().any(|row| is_number(row.get(column)));
    let line = |cells: &[String]| {
        let cells = widths.iter().enumerate().map(|(column, width)| {
            let cell = cells.get(column).map_or("", String::as_str);
            if is_left(column) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match is_left(column) {
            true => "-".repeat(*width),
            false => format!("{}:", "-".repeat(width - 1)),
        });
    let head: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{}{body}", line(&head), line(&rule.collect::<Vec<_>>()))
}

fn is_number(cell: Option<&String>) -> bool {
    cell.is_some_and(|cell| cell.starts_with(|letter: char| letter.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let cells = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [cells(["floor", "10.1", "recv 2"]), cells(["nginx", "9", ""])];
        let expected = "\
| peer  |   µs | calls  |
| ----- | ---: | ------ |
| floor | 10.1 | recv 2 |
| nginx |    9 |        |
";
        assert_eq!(super::text(&["peer", "µs", "calls"], &rows), expected);
    }
}
