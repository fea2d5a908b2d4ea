//! `tree --follow`: a line for each scope below a session as its batch is sealed.
//!
//! ```text
//! pause -> list (where the directory has changed) -> batches that were not there -> rows, marks -> lines
//! ```
//! A line is that of the tree, behind the time at which the scope ended. A scope is told once, when it has ended; what is
//! within another scope is not told. Columns grow with what stands in them, and do not shrink. The directory may be made
//! later, vanish, and come again.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use cirron_spool::read::{Batches, Left, Take, parse};
use cirron_spool::rows::{MarkRow, SpanRow};
use cirron_spool::shown::shown;

use super::cells::{COLUMNS, cells};
use super::rows::{Keep, MAX_ROW_BYTES, Row};
use super::session;
use super::table::Table;
use super::{Drawing, LeftOut};
use crate::figures::date_time;
use crate::filter::Filter;
use crate::key::Key;
use crate::recent::{Placed, Recent};
use crate::request::MAX_TEXT_BYTES;
use crate::session::Session;

/// Scopes that are known to have been told: one that is written again is so within a few batches.
const MAX_TOLD: usize = 65_536;

/// Sessions, and scopes that have others within, that are remembered; the oldest are forgotten.
const MAX_SESSIONS: usize = 10_000;

/// Columns of the time, with the gap behind.
const TIME_COLUMNS: usize = "00:00:00  ".len();

/// What is followed.
#[derive(Debug)]
pub struct Follow {
    filter: Filter,
    drawing: Drawing,
    names: BTreeSet<String>,
    changed: Option<SystemTime>,
    sessions: Recent<String>,
    told: Recent<()>,
    /// Whose scope the last line was.
    last: Option<Key>,
    table: Option<Table>,
    left: Left,
}

impl Follow {
    /// Of a directory whose batches that are there now were drawn (`drawn`), or that is not there.
    pub fn new(filter: Filter, drawing: Drawing, drawn: Option<&Batches>) -> Follow {
        let mut follow = Follow {
            filter,
            drawing,
            names: BTreeSet::new(),
            changed: None,
            sessions: Recent::new(MAX_SESSIONS),
            told: Recent::new(MAX_TOLD),
            last: None,
            table: None,
            left: Left::default(),
        };
        if let Some(batches) = drawn {
            follow.names = batches.names().map(str::to_owned).collect();
            let mut known = Known(&mut follow);
            batches.read_oldest_first(&mut known, |_| {});
        }
        follow
    }

    /// Tells what comes, until `pause` says that it is enough. `pause` waits a moment.
    pub fn run(
        mut self,
        path: &Path,
        out: &mut dyn Write,
        mut pause: impl FnMut() -> bool,
    ) -> io::Result<LeftOut> {
        while pause() {
            self.look(path, out)?;
        }
        Ok(LeftOut {
            files: self.left,
            ..LeftOut::default()
        })
    }

    /// Tells what has come since the last look.
    pub fn look(&mut self, path: &Path, out: &mut dyn Write) -> io::Result<()> {
        // What is read now may miss what is written in the same moment: its time is that of before.
        let changed = std::fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok();
        if changed.is_none() || changed == self.changed {
            return Ok(());
        }
        // It is not there any more, or may not be read: it may come again.
        let Ok(batches) = Batches::list(path) else {
            return Ok(());
        };
        self.changed = changed.filter(|time| is_settled(*time));
        let names: BTreeSet<String> = batches.names().map(str::to_owned).collect();
        let mut bytes = Vec::new();
        for name in names.difference(&std::mem::take(&mut self.names)) {
            if !batches.load(name, &mut bytes, &mut self.left) {
                continue;
            }
            let mut batch = Batch {
                follow: self,
                rows: Vec::new(),
                places: HashMap::new(),
                takes_marks: false,
                room: Keep::new(false, MAX_ROW_BYTES),
            };
            let is_damaged = parse(&bytes, &mut batch).is_err();
            // A file may have its marks before its spans.
            batch.takes_marks = true;
            let _ = parse(&bytes, &mut batch);
            let rows = batch.rows;
            self.left.damaged += usize::from(is_damaged);
            self.tell(rows, out)?;
        }
        self.names = names;
        out.flush()
    }

    fn tell(&mut self, mut rows: Vec<Told>, out: &mut dyn Write) -> io::Result<()> {
        rows.sort_by_key(|told| told.row.end_ns);
        let lines: Vec<[String; COLUMNS]> = rows
            .iter()
            .map(|told| cells(&told.row, told.session.is_none(), None))
            .collect();
        let width = match self.drawing.verbose {
            true => usize::MAX,
            false => self.drawing.width.saturating_sub(TIME_COLUMNS),
        };
        let table = Table::grown(self.table.take(), lines.iter(), width);
        for (told, line) in rows.iter().zip(&lines) {
            if self.last != Some(told.parent) {
                self.last = Some(told.parent);
                let who = told
                    .session
                    .as_deref()
                    .unwrap_or("(its session is not in the spool)");
                writeln!(out, "{}", shown(who))?;
                if let Some(titles) = table.titles() {
                    writeln!(out, "{}{titles}", " ".repeat(TIME_COLUMNS))?;
                }
            }
            let time = date_time(told.row.end_ns.unwrap_or_default());
            let time = time.get("2026-11-27 ".len()..).unwrap_or_default();
            writeln!(out, "{time}  {}", table.line(line))?;
        }
        self.table = Some(table);
        Ok(())
    }

    fn note_session(&mut self, row: &SpanRow<'_>) {
        let who = session::who(|name| Some(row.attrs.get(name)?.kept(MAX_TEXT_BYTES).to_string()));
        self.sessions.put(Key::new(&row.id.0), who);
    }
}

/// Whether a time of a directory is so long ago that a later change has another one.
fn is_settled(time: SystemTime) -> bool {
    // The kernel's clock for files ticks each 10 ms at most.
    SystemTime::now()
        .duration_since(time)
        .is_ok_and(|age| age.as_millis() > 50)
}

/// A scope that is told.
struct Told {
    parent: Key,
    session: Option<String>,
    row: Row,
}

/// What was there before: its sessions, and that it was told.
struct Known<'f>(&'f mut Follow);

impl Take for Known<'_> {
    fn span(&mut self, row: &SpanRow<'_>) {
        if Session::is_one(row) {
            self.0.note_session(row);
        } else if row.end_ns.is_some() {
            self.0.told.put(Key::new(&row.id.0), ());
        }
    }

    fn mark(&mut self, _: &MarkRow<'_>) {}
}

/// A batch that has come.
struct Batch<'f> {
    follow: &'f mut Follow,
    rows: Vec<Told>,
    places: HashMap<Key, usize>,
    /// The second reading, for what spans have been found.
    takes_marks: bool,
    room: Keep,
}

impl Take for Batch<'_> {
    fn span(&mut self, row: &SpanRow<'_>) {
        if self.takes_marks {
            return;
        }
        let key = Key::new(&row.id.0);
        if Session::is_one(row) {
            self.follow.note_session(row);
            return;
        }
        let parent = row
            .parent_id
            .as_ref()
            .map(|id| Key::new(&id.0))
            .unwrap_or_default();
        let session = self.follow.sessions.get(&parent).cloned();
        // Where the session is gone, a request of the agent's is below none all the same.
        let is_top = session.is_some() || row.parent_id.is_none() || row.name.0 == "request";
        if !is_top || row.end_ns.is_none() || self.follow.told.put(key, ()) == Placed::Again {
            return;
        }
        if self.follow.filter.wants(row) {
            let row = self.room.row(row);
            self.places.insert(key, self.rows.len());
            self.rows.push(Told {
                parent,
                session,
                row,
            });
        }
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        let key = Key::new(&row.span_id.0);
        let at = self.places.get(&key).filter(|_| self.takes_marks);
        if let Some(told) = at.and_then(|at| self.rows.get_mut(*at)) {
            self.room.mark(&mut told.row, row);
        }
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
