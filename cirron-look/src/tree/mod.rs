//! The scope tree of a spool, for people.
//!
//! ```text
//! batches -> Index (where each span hangs) -> Plan (what is drawn) -> Rows (read again) -> lines
//! ```
//! A spool is larger than what anybody looks at: it is read twice, and of each span that is not drawn only
//! [`index::Entry`] is kept. Lines, depth, spans and text are bounded, and what is left out is said. A line shows
//! what a person looks for in the width of the terminal; `-v` shows all that the spool has.

mod cells;
pub mod follow;
mod index;
mod plan;
mod rows;
mod session;
mod table;

use std::io::{self, Write};

use self::cells::{COLUMNS, cells};
use self::index::{At, Index, MAX_SPANS};
use self::plan::{DrawStep, MAX_LINES, Plan, Tree, plan};
use self::rows::{Keep, MAX_ROW_BYTES, Row, Rows};
use self::table::Table;
use crate::figures::{columns, date_time};
use crate::filter::Filter;
use cirron_spool::read::{Batches, Left};
use cirron_spool::rows::Scalar;
use cirron_spool::shown::shown;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// Number of the latest children that are shown of each list.
    pub limit: usize,
    /// All attributes and marks, and sessions in which nothing happened.
    pub verbose: bool,
    /// Columns of a line.
    pub width: usize,
}

/// What was left out of the drawing, and is no choice of the user's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Files.
    pub files: Left,
    /// Spans that hang on one another in a circle.
    pub circling: usize,
    /// Spans past the most that are kept, the oldest ones.
    pub old: usize,
    /// Spans past the most lines.
    pub past: usize,
}

/// Draws a spool.
pub fn draw(
    batches: &Batches,
    filter: Filter,
    drawing: Drawing,
    out: &mut dyn Write,
) -> io::Result<LeftOut> {
    let index = Index::new(MAX_SPANS, filter);
    draw_within(batches, index, drawing, out, MAX_ROW_BYTES)
}

fn draw_within(
    batches: &Batches,
    mut index: Index,
    drawing: Drawing,
    out: &mut dyn Write,
    max_row_bytes: usize,
) -> io::Result<LeftOut> {
    let files = batches.read_newest_first(&mut index, Index::begin);
    let left = draw_indexed(batches, &index, drawing, out, max_row_bytes)?;
    Ok(LeftOut { files, ..left })
}

fn draw_indexed(
    batches: &Batches,
    index: &Index,
    drawing: Drawing,
    out: &mut dyn Write,
    max_row_bytes: usize,
) -> io::Result<LeftOut> {
    let tree = Tree::new(index);
    let plan = plan(index, &tree, drawing.limit, drawing.verbose);
    let planned = plan.steps.iter().filter_map(|step| match step {
        DrawStep::Span(_, at) => Some(*at),
        DrawStep::Group(_)
        | DrawStep::Elsewhere(..)
        | DrawStep::Earlier(..)
        | DrawStep::Below(..) => None,
    });
    // Of what stands below a call of another process the session is said.
    let planned = planned.flat_map(|at| std::iter::once(at).chain(index.session_elsewhere(at)));
    let mut rows = Rows::new(index, planned, Keep::new(drawing.verbose, max_row_bytes));
    batches.read_newest_first(&mut rows, Rows::begin);
    let page = Page {
        index,
        tree: &tree,
        rows: &rows,
        drawing,
    };
    page.write(&plan, out)?;
    Ok(LeftOut {
        files: Left::default(),
        circling: plan.circling,
        old: index.past,
        past: plan.past,
    })
}

struct Page<'p> {
    index: &'p Index,
    tree: &'p Tree,
    rows: &'p Rows<'p>,
    drawing: Drawing,
}

impl Page<'_> {
    fn write(&self, plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
        // By depth: the columns of what is drawn there, and the depth at which they begin.
        let mut tables: Vec<(usize, Table)> = Vec::new();
        let mut last = None;
        for (index, step) in plan.steps.iter().enumerate() {
            match step {
                DrawStep::Group(depth) => {
                    let around = last.filter(|at| *depth > 0 && !self.is_session(*at));
                    let same = around.and_then(|_| tables.get(depth.checked_sub(1)?).cloned());
                    tables.truncate(*depth);
                    tables.resize(*depth, (*depth, Table::default()));
                    tables.push(match same {
                        Some(table) => table,
                        None => {
                            let table = self.table(*depth, plan.steps.get(index + 1..));
                            if let Some(titles) = table.titles() {
                                writeln!(out, "{}{titles}", indent(*depth))?;
                            }
                            (*depth, table)
                        }
                    });
                }
                DrawStep::Span(depth, at) => {
                    last = Some(*at);
                    let Some(row) = self.rows.get(*at) else {
                        continue;
                    };
                    if !row.is_read {
                        writeln!(out, "{}(evicted meanwhile)", indent(*depth))?;
                        continue;
                    }
                    if self.is_session(*at) {
                        self.write_session(*at, row, out)?;
                    } else if let Some((base, table)) = tables.get(*depth) {
                        let line = table.line(&self.cells((*base, *depth), *at, row));
                        writeln!(out, "{}{line}", indent(*base))?;
                    }
                    if self.drawing.verbose {
                        self.write_facts(*depth, row, out)?;
                    }
                }
                DrawStep::Elsewhere(depth, n) => {
                    let (s, they) = match n {
                        1 => ("", "it answers"),
                        _ => ("s", "they answer"),
                    };
                    let indent = indent(*depth);
                    writeln!(
                        out,
                        "{indent}({n} request{s} below the call{s} that {they})"
                    )?;
                }
                DrawStep::Earlier(depth, n) => writeln!(out, "{}... {n} earlier", indent(*depth))?,
                DrawStep::Below(depth, n) => {
                    writeln!(out, "{}... {n} spans below", indent(*depth))?
                }
            }
        }
        match plan.left_out {
            0 if plan.steps.is_empty() => writeln!(out, "(no spans)")?,
            0 => {}
            1 => writeln!(out, "(1 scope that the filter leaves out)")?,
            n => writeln!(out, "({n} scopes that the filter leaves out)")?,
        }
        if plan.idle > 0 {
            let (n, s) = (plan.idle, if plan.idle == 1 { "" } else { "s" });
            writeln!(out, "({n} session{s} in which nothing was seen: -v shows)")?;
        }
        Ok(())
    }

    fn is_session(&self, at: At) -> bool {
        self.index
            .spans
            .get(at as usize)
            .is_some_and(|span| span.is_session)
    }

    /// Of a line at `depth`, in columns that begin at `base`.
    fn cells(&self, (base, depth): (usize, usize), at: At, row: &Row) -> [String; COLUMNS] {
        let is_orphan = depth == 0
            && self
                .index
                .spans
                .get(at as usize)
                .is_some_and(|span| span.parent.is_some());
        let session = self.index.session_elsewhere(at);
        let session = session.and_then(|at| self.rows.get(at));
        let process = session
            .map(|session| session::process(|name| session.attr(name).map(Scalar::to_string)));
        let mut cells = cells(row, is_orphan, process.as_deref());
        if let Some(name) = cells.first_mut() {
            name.insert_str(0, &indent(depth - base));
        }
        cells
    }

    /// The columns of all that is drawn from here at `depth` and below, sessions and what is below them left out.
    fn table(&self, depth: usize, steps: Option<&[DrawStep]>) -> Table {
        let width = if self.drawing.verbose {
            usize::MAX
        } else {
            self.drawing.width.saturating_sub(2 * depth)
        };
        let mut lines = Vec::new();
        let mut is_in_session = false;
        for step in steps.unwrap_or_default() {
            let (DrawStep::Group(at)
            | DrawStep::Span(at, _)
            | DrawStep::Elsewhere(at, _)
            | DrawStep::Earlier(at, _)
            | DrawStep::Below(at, _)) = step;
            if *at < depth {
                break;
            }
            let DrawStep::Span(at_depth, at) = step else {
                continue;
            };
            if *at_depth == depth {
                is_in_session = self.is_session(*at);
            }
            if let Some(row) = self.rows.get(*at).filter(|_| !is_in_session) {
                lines.push(self.cells((depth, *at_depth), *at, row));
            }
        }
        Table::new(lines.iter(), width)
    }

    fn write_session(&self, at: At, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let all = [self.tree.children(at), self.tree.elsewhere(at)];
        let called = session::called(self.index, all.into_iter().flatten());
        if !self.drawing.verbose {
            for line in session::lines(row, &called, self.drawing.width) {
                writeln!(out, "{line}")?;
            }
            return Ok(());
        }
        writeln!(out, "{}", session::head(row))?;
        for line in session::list(&called) {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }

    /// Everything that the spool has, as many facts on a line as it holds.
    fn write_facts(&self, depth: usize, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let mut facts = vec![format!("start={}Z", time_with_ms(row.start_ns))];
        let attrs = row.attrs.iter();
        facts.extend(attrs.map(|(name, value)| format!("{name}={value}")));
        facts.extend(row.marks.iter().map(|mark| {
            let about = if mark.is_estimated { "~" } else { "" };
            let more = if mark.is_partial { "+" } else { "" };
            format!("{}={about}{}{more}", mark.name, mark.value)
        }));
        if row.points > 0 {
            facts.push(format!("({} marks that are points)", row.points));
        }
        if row.left_out > 0 {
            facts.push(format!(
                "({} more, for which there is no room)",
                row.left_out
            ));
        }
        let indent = format!("{}    ", indent(depth));
        let width = self.drawing.width.saturating_sub(indent.len());
        let mut line = String::new();
        for fact in facts {
            let fact = shown(&fact).into_owned();
            if !line.is_empty() && columns(&line) + 2 + columns(&fact) > width {
                writeln!(out, "{indent}{line}")?;
                line.clear();
            }
            line.push_str(if line.is_empty() { "" } else { "  " });
            line.push_str(&fact);
        }
        writeln!(out, "{indent}{line}")
    }
}

fn time_with_ms(ns: u64) -> String {
    let ms = ns / 1_000_000 % 1_000;
    format!("{}.{ms:03}", date_time(ns).replace(' ', "T"))
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// What was left out, in words; nothing where nothing was.
impl LeftOut {
    /// A sentence for each.
    pub fn sentences(&self) -> Vec<String> {
        let left = |what: &str| format!("left out: {what}");
        let own = [
            (
                self.old,
                left(&format!("spans older than the newest {MAX_SPANS}")),
            ),
            (
                self.past,
                left(&format!(
                    "spans behind the first {MAX_LINES} that are drawn (--limit draws fewer below each)"
                )),
            ),
            (
                self.circling,
                left("spans that hang on one another in a circle"),
            ),
        ];
        let own = own.into_iter().filter(|(count, _)| *count > 0);
        let mut sentences = self.files.sentences();
        sentences.extend(own.map(|(count, what)| format!("{what}: {count}")));
        sentences
    }
}

/// Columns where the terminal does not say: what fits beside something else.
pub const DEFAULT_WIDTH: usize = 120;

/// Least width: narrower lines say nothing.
const MIN_WIDTH: usize = 60;

/// Columns of the terminal on standard output.
pub fn width() -> usize {
    rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .map_or(DEFAULT_WIDTH, |columns| columns.max(MIN_WIDTH))
}

#[cfg(test)]
mod tests;
