//! Plain text tables.

/// Aligns columns: the first row is the heading; cells that begin with a digit go to the right.
pub(crate) fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| align(cell, *width));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn align(cell: &str, width: usize) -> String {
    if cell.starts_with(|first: char| first.is_ascii_digit()) {
        format!("{cell:>width$}")
    } else {
        format!("{cell:<width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_to_the_right() {
        let rows = [["name", "n"], ["a", "10"], ["bcdef", "7"]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        assert_eq!(render(&rows), "name   n\na      10\nbcdef   7\n");
    }
}
