//! Attaches inside TLS libraries, on a thread of its own: reading an ELF file of 100 MB must not
//! keep the core waiting.
//!
//! A process is looked at when it becomes a target, when it calls exec and when it maps something
//! executable. A file is attached to once, whoever maps it.
//!
//! A late attach needs `CAP_BPF` and `CAP_PERFMON` for the probes; of processes of other users
//! `CAP_SYS_PTRACE` for their mappings, `CAP_CHECKPOINT_RESTORE` for the mapped files themselves
//! (without it they are opened by their paths, [`crate::tls::open`]), and `CAP_DAC_READ_SEARCH` for
//! those whose mode keeps others out.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cirron_common::tls::cookie;

use super::files::{Counts, Files, Seen};
use super::pending::{Mapped, Pending};
use crate::clock;
use crate::kernel::{Point, UprobeProgram, Uprobes};
use crate::shown::{shown, shown_path};
use crate::tls::blind;
use crate::tls::functions::Abi;
use crate::tls::images::{FileId, Image, images};
use crate::tls::open::{Right, Unopened, identity};
use crate::tls::place::{Choice, Place};
use crate::tls::plan::{Attach, Exit, Look, Plan, plan, summary};
use crate::tls::quiet::Quiet;
use crate::tls::upcoming;

/// Time that a process is looked at before others have their turn; what is left of it comes later.
const MAX_LOOK: Duration = Duration::from_secs(2);
/// Warnings because a right is missing. Behind it files are counted.
const MAX_WARNINGS: usize = 16;
/// Names in such a warning.
const MAX_NAMES: usize = 3;

/// Keeps the programs.
#[derive(Debug)]
pub struct Attacher {
    uprobes: Uprobes,
    files: Files,
    counts: Arc<Counts>,
    choice: Choice,
    /// Functions so far.
    attached: usize,
    /// What was warned of: a server's workers lack the same.
    warned: HashSet<String>,
}

/// What looking at a process gave.
#[derive(Debug, Default, PartialEq, Eq)]
struct Looked {
    /// There are files left to look at.
    is_cut: bool,
    /// What could not be looked at, in words.
    warning: Option<String>,
}

impl Attacher {
    /// Nothing is attached yet.
    pub fn new(uprobes: Uprobes, files: Files, counts: Arc<Counts>, choice: Choice) -> Attacher {
        Attacher {
            uprobes,
            files,
            counts,
            choice,
            attached: 0,
            warned: HashSet::new(),
        }
    }

    /// Attaches to what `pid` has mapped and no process had before. Says what it may not look at.
    pub fn look(&mut self, pid: u32) -> bool {
        let looked = self.attach_to(pid);
        if let Some(warning) = looked.warning
            && self.warned.len() < MAX_WARNINGS
            && self.warned.insert(warning.clone())
        {
            crate::cli::say(&format!("warning: process {pid}: {warning}"));
        }
        !looked.is_cut
    }

    /// A file is opened once and attached to by its open descriptor: the process may be gone in the
    /// middle of it. One that cannot be opened is tried again with the next process that has it.
    fn attach_to(&mut self, pid: u32) -> Looked {
        let images = match images(pid) {
            Ok(images) => images,
            Err(_) => {
                Counts::add(&self.counts.unlisted);
                return Looked {
                    is_cut: false,
                    warning: Some(unlisted()),
                };
            }
        };
        let began = Instant::now();
        let mut missing = Vec::new();
        let mut looked = Looked::default();
        for image in images {
            if self.files.get(image.id).is_some() {
                continue;
            }
            if began.elapsed() > MAX_LOOK {
                looked.is_cut = true;
                break;
            }
            match image.open() {
                Ok(file) => self.attach(image.id, &image.name, &file),
                Err(Unopened::Missing(right)) => missing.push((image, right)),
                Err(Unopened::NoFile) => self.files.set(image.id, Seen::Nothing),
                Err(Unopened::Gone) => {}
            }
        }
        for _ in &missing {
            Counts::add(&self.counts.unopened);
        }
        looked.warning = unopened(&missing);
        looked
    }

    /// Attaches to what a command will map: it is about to start.
    pub fn look_ahead(&mut self, program: &OsStr) {
        for path in upcoming::files(program) {
            let Ok(file) = File::open(&path) else {
                continue;
            };
            let by_stat = || file.metadata().ok().map(|m| (m.dev(), m.ino()));
            if let Some(id) = identity(&file).or_else(by_stat) {
                self.attach(id, &path, &file);
            }
        }
    }

    fn attach(&mut self, id: FileId, name: &Path, file: &File) {
        if self.files.get(id).is_some() {
            return;
        }
        // A stranger's file: where our code fails over it, the others are looked at all the same.
        let looked = catch_unwind(AssertUnwindSafe(|| plan(&Quiet::new(file), self.choice)));
        let Ok(Look { plan, is_cut }) = looked else {
            Counts::add(&self.counts.panicked);
            tracing::warn!("{}: looking at it failed; report it", shown_path(name));
            self.files.set(id, Seen::Nothing);
            return;
        };
        if is_cut {
            Counts::add(&self.counts.cut);
            tracing::warn!("{}: not all of it is looked at", shown_path(name));
        }
        let seen = match plan {
            Plan::Nothing => Seen::Unsearched,
            Plan::Unfollowed => Seen::Blind(blind::UNFOLLOWED),
            Plan::Watch(_) if !self.files.may_watch() => {
                Counts::add(&self.counts.unwatched);
                Seen::Blind(blind::TOO_MANY)
            }
            Plan::Watch(functions) => {
                self.attached += attach_image(&self.uprobes, name, file, &functions);
                Seen::Watched
            }
        };
        self.files.set(id, seen);
    }

    /// Looks at each process that is named, until the end.
    pub fn run(mut self, pending: &Pending) {
        // Also where this thread fails: who names a process then is told.
        let _close = Close(pending);
        while let Some(mapped) = pending.pop() {
            let Mapped { tgid, at } = mapped;
            let (before, began) = (self.attached, Instant::now());
            let is_whole = self.look(tgid);
            pending.spent(tgid, began.elapsed());
            if !is_whole {
                pending.push(mapped);
            }
            if self.attached > before {
                tracing::info!(
                    "process {tgid}: {} functions watched, the last of them {:.1} ms after the mapping",
                    self.attached - before,
                    clock::now().ms_since(at)
                );
            }
        }
    }
}

struct Close<'p>(&'p Pending);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Why nothing of a process is looked at.
pub fn unlisted() -> String {
    format!(
        "its libraries cannot be listed, HTTPS is not read\n  grant {} or run it with sudo",
        Right::Ptrace
    )
}

/// Which files of a process are not looked at, and what would help.
pub fn unopened(missing: &[(Image, Right)]) -> Option<String> {
    let (_, right) = missing.first()?;
    let names: Vec<String> = missing
        .iter()
        .take(MAX_NAMES)
        .map(|(image, _)| {
            let name = image.name.file_name().unwrap_or(image.name.as_os_str());
            shown(&name.to_string_lossy()).into_owned()
        })
        .collect();
    let more = match missing.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Some(format!(
        "HTTPS is not read where it uses {}{more}, which cannot be opened\n  grant {right} or run it with sudo",
        names.join(", ")
    ))
}

/// Gives the number of functions that are watched now.
///
/// All at once: where the kernel refuses one place it refuses all, and then each function is tried
/// by itself.
fn attach_image(uprobes: &Uprobes, name: &Path, file: &File, functions: &[Attach]) -> usize {
    if !uprobes.is_loaded() {
        // It was said when they were refused.
        return 0;
    }
    let Ok(path) = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
        return 0;
    };
    tracing::info!("{}: {}", name.display(), summary(functions));
    let put = |functions: &[Attach]| {
        let points: Vec<Point> = functions.iter().flat_map(points).collect();
        uprobes.attach(&path, &points)
    };
    let mut watched: Vec<&Attach> = functions.iter().collect();
    if put(functions).is_err() {
        if !uprobes.is_loaded() {
            // We are at the end.
            return 0;
        }
        watched.retain(|function| {
            put(std::slice::from_ref(*function))
                .inspect_err(|e| {
                    tracing::warn!(
                        "{}: {} is not watched: {e:#}",
                        name.display(),
                        function.function.name
                    );
                })
                .is_ok()
        });
    }
    for function in &watched {
        tracing::info!("{}: {function}", name.display());
    }
    watched.len()
}

/// The places of a function.
fn points(attach: &Attach) -> Vec<Point> {
    let Attach {
        function,
        offset,
        entry,
        exit,
    } = attach;
    let (enter, leave) = match function.abi {
        Abi::SystemV => (UprobeProgram::Enter, UprobeProgram::Exit),
        Abi::Go => (UprobeProgram::GoEnter, UprobeProgram::GoExit),
    };
    let point = |program, place: &Place| Point {
        program,
        offset: offset.wrapping_add_signed(place.offset),
        cookie: cookie::of(function.op, place.depth),
    };
    let mut points = match exit {
        Exit::None => Vec::new(),
        Exit::Places(places) => places.iter().map(|place| point(leave, place)).collect(),
    };
    points.push(point(enter, entry));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> Image {
        Image {
            id: (1, 1),
            name: name.into(),
            pid: 1,
            range: (0, 1),
        }
    }

    #[test]
    fn what_cannot_be_opened_is_named_with_the_right_that_would_help() {
        assert_eq!(unopened(&[]), None);
        let names = [
            "/a/libssl.so.3 (deleted)",
            "/b\u{1b}[2J.so",
            "/c.so",
            "/d.so",
            "/e.so",
        ];
        let missing = names.map(|name| (image(name), Right::CheckpointRestore));
        let said = unopened(&missing).unwrap_or_default();
        assert!(
            said.contains("libssl.so.3 (deleted), b\\u{1b}[2J.so, c.so and 2 more,"),
            "{said}"
        );
        assert!(said.contains("\n  grant CAP_CHECKPOINT_RESTORE"), "{said}");
    }
}
