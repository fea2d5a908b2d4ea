//! Attaches inside TLS libraries, on a thread of its own: reading an ELF file of 100 MB must not
//! keep the core waiting.
//!
//! A process is looked at when it becomes a target, when it calls exec and when it maps something
//! executable. A file is attached to once, whoever maps it, and its probes are closed when nobody has for a while
//! ([`super::leases`]).
//!
//! A late attach needs `CAP_BPF` and `CAP_PERFMON` for the probes; of processes of other users
//! `CAP_SYS_PTRACE` for their mappings, `CAP_CHECKPOINT_RESTORE` for the mapped files themselves
//! (without it they are opened by their paths, [`crate::probes::open`]), and `CAP_DAC_READ_SEARCH` for
//! those whose mode keeps others out.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cirron_common::operand::Convention;

use super::counts::Counts;
use super::leases::{Known, Leases, Seen};
use super::pending::{Mapped, Pending, Todo};
use super::ruled::Ruled;
use crate::clock;
use crate::kernel::{Attachment, Point, Reads, UprobeProgram, Uprobes};
use crate::probes::identity::FileKey;
use crate::probes::images::{FileId, Image, images};
use crate::probes::open::{Right, Unopened, identity};
use crate::probes::place::{Choice, Place};
use crate::probes::plan::{Attach, Exit, Means, Plan, plan, summary};
use crate::probes::quiet::Quiet;
use crate::probes::source::Source;
use crate::probes::tls::blind;
use crate::probes::upcoming;
use cirron_spool::shown::{shown, shown_path};

/// Time that a process is looked at before others have their turn; what is left of it comes later.
const MAX_LOOK: Duration = Duration::from_secs(2);
/// Time between two looks for files that nobody maps.
const TICK: Duration = Duration::from_secs(1);
/// Warnings because a right is missing. Behind it files are counted.
const MAX_WARNINGS: usize = 16;
/// Names in such a warning.
const MAX_NAMES: usize = 3;

/// Keeps the programs.
#[derive(Debug)]
pub struct Attacher {
    uprobes: Uprobes,
    leases: Leases,
    counts: Arc<Counts>,
    choice: Choice,
    means: Means,
    ruled: Ruled,
    /// Functions so far.
    attached: usize,
    /// What was warned of: a server's workers lack the same.
    warned: HashSet<String>,
    /// Closes what is idle.
    closer: Option<JoinHandle<()>>,
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
    pub fn new(
        uprobes: Uprobes,
        leases: Leases,
        counts: Arc<Counts>,
        (choice, means): (Choice, Means),
        ruled: Ruled,
    ) -> Attacher {
        Attacher {
            uprobes,
            leases,
            counts,
            choice,
            means,
            ruled,
            attached: 0,
            warned: HashSet::new(),
            closer: None,
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
        let names: Vec<FileId> = images.iter().map(|image| image.id).collect();
        let mut missing = Vec::new();
        let mut looked = Looked::default();
        self.leases.begin(pid);
        for image in images {
            if self.leases.hold(pid, image.id) == Known::Held {
                continue;
            }
            if began.elapsed() > MAX_LOOK {
                looked.is_cut = true;
                break;
            }
            match image.open() {
                Ok(file) => self.attach(pid, image.id, &image.name, &file),
                Err(Unopened::Missing(right)) => missing.push((image, right)),
                Err(Unopened::NoFile) => self.pass_over(pid, image.id),
                Err(Unopened::Gone) => {}
            }
        }
        // An empty list is that of a process that has ended.
        let names = Some(names).filter(|names| !names.is_empty());
        self.leases.end(pid, names.as_deref(), Instant::now());
        if let Some(goid) = self.leases.go(pid) {
            self.uprobes.set_go(pid, goid);
        }
        for _ in &missing {
            Counts::add(&self.counts.unopened);
        }
        looked.warning = unopened(&missing);
        looked
    }

    /// Attaches to what a command will map: it is about to start as process `pid`.
    pub fn look_ahead(&mut self, pid: u32, program: &OsStr) {
        for path in upcoming::files(program) {
            let Ok(file) = File::open(&path) else {
                continue;
            };
            let by_stat = || file.metadata().ok().map(|m| (m.dev(), m.ino()));
            if let Some(id) = identity(&file).or_else(by_stat) {
                self.attach(pid, id, &path, &file);
            }
        }
    }

    /// Nothing can be read of it.
    fn pass_over(&self, pid: u32, id: FileId) {
        let key = FileKey::of_name(id);
        if !self.leases.hold_opened(pid, id, &key) {
            self.leases.add(pid, id, key, Seen::Nothing, Vec::new());
        }
    }

    fn attach(&mut self, pid: u32, id: FileId, name: &Path, file: &File) {
        let quiet = Quiet::new(file);
        // A stranger's file: where our code fails over it, the others are looked at all the same.
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let key = FileKey::read(file, id, &Source::new(&quiet));
            let is_known = self.leases.hold_opened(pid, id, &key);
            (!is_known).then(|| {
                (
                    key,
                    plan(&quiet, self.choice),
                    self.ruled.look(&quiet, name),
                )
            })
        }));
        let Ok(looked) = looked else {
            Counts::add(&self.counts.panicked);
            tracing::warn!("{}: looking at it failed; report it", shown_path(name));
            self.pass_over(pid, id);
            return;
        };
        let Some((key, look, probes)) = looked else {
            return;
        };
        self.ruled.note(name, &probes);
        for refused in &look.refused {
            tracing::info!("{}: {refused}", name.display());
        }
        if look.is_cut || probes.is_cut {
            Counts::add(&self.counts.cut);
            tracing::warn!("{}: not all of it is looked at", shown_path(name));
        }
        let plan = look.plan.by(self.means);
        let is_wanted = matches!(plan, Plan::Watch(_)) || !probes.planned.is_empty();
        let is_watched = is_wanted && self.may_watch();
        let (seen, mut attachments) = match plan {
            Plan::Nothing => (Seen::Unsearched, Vec::new()),
            Plan::Unfollowed => (Seen::Blind(blind::UNFOLLOWED), Vec::new()),
            Plan::Watch(functions) if is_watched => {
                let announces = functions.iter().any(|a| a.function.announces());
                let (watched, made) = attach_image(&self.uprobes, name, file, &functions);
                self.attached += watched;
                let made = made.into_iter().map(|a| a.of_announcer(announces));
                (Seen::Watched, made.collect())
            }
            Plan::Watch(_) => (Seen::Blind(blind::TOO_MANY), Vec::new()),
        };
        if is_watched && !probes.planned.is_empty() {
            let (uprobes, planned) = (&self.uprobes, &probes.planned);
            attachments.extend(self.ruled.attach(uprobes, name, file, planned));
        }
        if let Some(goid) = look.go {
            let of_go = |attachment: Attachment| attachment.of_go(goid);
            attachments = attachments.into_iter().map(of_go).collect();
        }
        if let Some(surplus) = self.leases.add(pid, id, key, seen, attachments) {
            self.uprobes.close(surplus);
            Counts::add(&self.counts.unwatched);
        }
    }

    /// Whether there is room for one more file that is watched; counts it if not.
    fn may_watch(&self) -> bool {
        let (may, idle) = self.leases.may_watch();
        self.uprobes.close(idle);
        if !may {
            Counts::add(&self.counts.unwatched);
        }
        may
    }

    /// Closes what nobody has mapped for a while, in a thread of its own: it waits for the kernel.
    fn close_idle(&mut self) {
        if self.closer.as_ref().is_some_and(|c| !c.is_finished()) {
            return;
        }
        let idle = self.leases.take_idle(Instant::now());
        if idle.is_empty() {
            return;
        }
        tracing::info!(
            "probes of {} files are closed: nobody has them mapped",
            idle.len()
        );
        let uprobes = self.uprobes.clone();
        let close = move || uprobes.close(idle);
        let closer = std::thread::Builder::new().name("cirron-detach".into());
        // Where no thread can be started they stay until the end.
        self.closer = closer.spawn(close).ok();
    }

    /// Detaches what a process hits too often, from its file: nothing more of it is told of any process.
    fn detach_busy(&mut self) {
        let mut busy = Vec::new();
        for (attachment, words) in self.ruled.take_busy(&self.uprobes.too_busy()) {
            tracing::warn!("{words}");
            Counts::add(&self.counts.detached);
            busy.push(attachment);
        }
        if !busy.is_empty() {
            self.uprobes.close(busy);
        }
    }

    /// Looks at each process that is named, until the end.
    pub fn run(mut self, pending: &Pending) {
        // Also where this thread fails: who names a process then is told.
        let _close = Close(pending);
        loop {
            let is_ticking = self.leases.has_idle() || self.ruled.is_busy();
            let tick = is_ticking.then_some(TICK);
            let mapped = match pending.pop(tick) {
                None => break,
                Some(Todo::Look(mapped)) => mapped,
                Some(Todo::LetGo(tgid)) => {
                    self.leases.end(tgid, None, Instant::now());
                    continue;
                }
                Some(Todo::Tick) => {
                    self.close_idle();
                    self.detach_busy();
                    continue;
                }
            };
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

/// Gives the number of functions that are watched now, and what was attached.
///
/// All at once: where the kernel refuses one place it refuses all, and then each function is tried
/// by itself.
fn attach_image(
    uprobes: &Uprobes,
    name: &Path,
    file: &File,
    functions: &[Attach],
) -> (usize, Vec<Attachment>) {
    if !uprobes.is_loaded() {
        // It was said when they were refused.
        return (0, Vec::new());
    }
    let Ok(path) = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
        return (0, Vec::new());
    };
    tracing::info!("{}: {}", name.display(), summary(functions));
    let mut made = Vec::new();
    let mut put = |functions: &[Attach]| {
        let points: Vec<Point> = functions.iter().flat_map(points).collect();
        made.push(uprobes.attach(&path, &points)?);
        anyhow::Ok(())
    };
    let mut watched: Vec<&Attach> = functions.iter().collect();
    if put(functions).is_err() {
        if !uprobes.is_loaded() {
            // We are at the end.
            return (0, Vec::new());
        }
        watched.retain(|function| {
            put(std::slice::from_ref(*function))
                .inspect_err(|e| {
                    tracing::warn!(
                        "{}: {} is not watched: {e:#}{}",
                        name.display(),
                        function.function.name,
                        fix(e)
                    );
                })
                .is_ok()
        });
    }
    for function in &watched {
        tracing::info!("{}: {function}", name.display());
    }
    (watched.len(), made)
}

/// What to do about a place that the kernel refuses, on a line of its own: one for want of a right is the event of a probe
/// on kernels before 6.6, which some open for `CAP_SYS_ADMIN` alone.
fn fix(refusal: &anyhow::Error) -> &'static str {
    let is_for_want_of_a_right = refusal.chain().any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
    });
    match is_for_want_of_a_right {
        true => "\n  grant CAP_SYS_ADMIN: this kernel opens probes for nobody else",
        false => "",
    }
}

/// The places of a function.
pub fn points(attach: &Attach) -> Vec<Point> {
    let Attach {
        function,
        offset,
        signature,
        entry,
        exit,
    } = attach;
    let (enter, leave) = match function.convention {
        Convention::SystemV => (UprobeProgram::Enter, UprobeProgram::Exit),
        Convention::Go => (UprobeProgram::GoEnter, UprobeProgram::GoExit),
    };
    let point = |program, place: &Place| Point {
        is_last: false,
        program,
        offset: offset.wrapping_add_signed(place.offset),
        reads: Reads::Function(*signature),
        depth: place.depth,
        semaphore: 0,
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

    #[test]
    fn a_place_that_is_refused_for_want_of_a_right_has_the_right_behind_it() {
        let refusal = |errno| {
            let e = anyhow::Error::new(std::io::Error::from_raw_os_error(errno));
            e.context("at 0x10")
        };
        for errno in [libc::EACCES, libc::EPERM] {
            assert!(fix(&refusal(errno)).starts_with("\n  grant CAP_SYS_ADMIN"));
        }
        assert_eq!(fix(&refusal(libc::EINVAL)), "");
    }

    fn image(name: &str) -> Image {
        Image {
            id: (1, 1),
            name: name.into(),
            pid: 1,
            range: (0, 1),
            offset: 0,
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
