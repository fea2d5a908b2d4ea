//! Cells in columns, in the width of a terminal.

use super::cells::{COLUMNS, FIGURES, MODEL, NAME, TITLES};
use crate::figures::{columns, ended, squeezed};

/// Between two columns.
const GAP: usize = 2;

/// Columns in which something stands at the left; figures stand at the right.
const LEFT: [usize; 4] = [NAME, 1, MODEL, COLUMNS - 1];

/// Columns that a name or a model keeps, however little room there is.
const MIN_NAME: usize = 24;
const MIN_MODEL: usize = 12;

/// Columns that other lines are filled up with for one that is long, where lines may have any width: a path of
/// some kilobytes would put all figures out of sight.
const MAX_FILLED: usize = 80;

/// How wide the columns of sibling lines are.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    widths: [usize; COLUMNS],
    width: usize,
}

impl Table {
    /// For these lines, in this number of columns.
    pub(super) fn new<'c>(
        lines: impl Iterator<Item = &'c [String; COLUMNS]>,
        width: usize,
    ) -> Table {
        Table::grown(None, lines, width)
    }

    /// For these lines, no column narrower than it was before.
    pub(super) fn grown<'c>(
        before: Option<Table>,
        lines: impl Iterator<Item = &'c [String; COLUMNS]>,
        width: usize,
    ) -> Table {
        let mut widths = before.unwrap_or_default().widths;
        for line in lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = columns(cell).max(*width);
            }
        }
        for at in FIGURES {
            if widths[at] > 0 {
                widths[at] = widths[at].max(TITLES[at].len());
            }
        }
        if width == usize::MAX {
            for width in &mut widths {
                *width = MAX_FILLED.min(*width);
            }
        }
        let mut table = Table { widths, width };
        table.give_way(NAME, MIN_NAME);
        table.give_way(MODEL, MIN_MODEL);
        table
    }

    /// Makes a column smaller where the whole is too wide.
    fn give_way(&mut self, column: usize, min: usize) {
        let used: usize = self
            .widths
            .iter()
            .filter(|width| **width > 0)
            .map(|width| width + GAP)
            .sum();
        let over = used.saturating_sub(GAP).saturating_sub(self.width);
        let width = &mut self.widths[column];
        *width = width.saturating_sub(over).max(min.min(*width));
    }

    /// The titles, where there are figures to be told apart.
    pub(super) fn titles(&self) -> Option<String> {
        let has_figures = FIGURES.into_iter().any(|at| self.widths[at] > 0);
        has_figures.then(|| self.line(&TITLES.map(str::to_owned)))
    }

    /// A line.
    pub(super) fn line(&self, cells: &[String; COLUMNS]) -> String {
        let mut out = String::new();
        for (at, (cell, width)) in cells.iter().zip(self.widths).enumerate() {
            if width == 0 {
                continue;
            }
            if at > 0 {
                out.push_str("  ");
            }
            let is_free = at == COLUMNS - 1 || self.width == usize::MAX;
            let cell = squeezed(cell, if is_free { usize::MAX } else { width });
            let pad = " ".repeat(width.saturating_sub(columns(&cell)));
            let (before, after) = if LEFT.contains(&at) {
                ("", pad.as_str())
            } else {
                (pad.as_str(), "")
            };
            out.push_str(before);
            out.push_str(&cell);
            out.push_str(after);
        }
        ended(out.trim_end(), self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cells: [&str; COLUMNS]) -> [String; COLUMNS] {
        cells.map(str::to_owned)
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_empty_ones_are_none() {
        let lines = [
            line([
                "request POST /v1/chat",
                "200",
                "1.23s",
                "101ms",
                "48.1",
                "12",
                "50",
                "m-1",
                "",
            ]),
            line([
                "request GET /health",
                "200",
                "850us",
                "",
                "",
                "",
                "",
                "",
                "partial",
            ]),
        ];
        let table = Table::new(lines.iter(), 120);
        let text: Vec<String> = table
            .titles()
            .into_iter()
            .chain(lines.iter().map(|line| table.line(line)))
            .collect();
        assert_eq!(
            text,
            [
                "                             time  1st token  tok/s  tok in  out  model",
                "request POST /v1/chat  200  1.23s      101ms   48.1      12   50  m-1",
                "request GET /health    200  850us                                        partial",
            ]
        );
        assert_eq!(Table::new(lines[1..].iter(), 120).titles(), None);
    }

    #[test]
    fn no_line_is_wider_than_its_width() {
        let path = format!("request POST /{}", "very/long/".repeat(30));
        let long = line([
            &path,
            "200",
            "1.23s",
            "101ms",
            "48.1",
            "12",
            "50",
            &"m".repeat(90),
            "a note",
        ]);
        let short = line([
            "request",
            "",
            "open",
            "",
            "",
            "",
            "",
            "",
            &"note ".repeat(40),
        ]);
        for width in [20, 60, 80, 120, 200] {
            let table = Table::new([&long, &short].into_iter(), width);
            for cells in [&long, &short] {
                assert!(columns(&table.line(cells)) <= width, "{width}");
            }
        }
        let text = Table::new([&long].into_iter(), 120).line(&long);
        assert!(text.ends_with("a note") && text.contains("101ms"), "{text}");
    }

    #[test]
    fn where_lines_may_have_any_width_a_long_name_moves_no_other_line() {
        let path = format!("request POST /{}", "very/long/".repeat(30));
        let [long, short] = [path.as_str(), "request GET /health"]
            .map(|name| line([name, "200", "1.23s", "", "", "", "", "m-1", ""]));
        let table = Table::new([&long, &short].into_iter(), usize::MAX);
        assert!(table.line(&long).starts_with(&path));
        assert!(columns(&table.line(&short)) < MAX_FILLED + 30);
        assert!(
            table
                .titles()
                .is_some_and(|t| columns(&t) < MAX_FILLED + 30)
        );
    }
}
