//! Attaches inside TLS libraries, on a thread of its own: reading an ELF file of 100 MB must not
//! keep the core waiting.
//!
//! A process is looked at when it becomes a target, when it calls exec and when it maps something
//! executable. A file is attached to once, whoever maps it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use cirron_common::tls::cookie;
use cirron_core::time::MonoNs;

use crate::clock;
use crate::kernel::{Point, UprobeProgram, Uprobes};
use crate::tls::blind;
use crate::tls::functions::Abi;
use crate::tls::images::{Image, images};
use crate::tls::place::{Choice, Place};
use crate::tls::plan::{Attach, Exit, Plan, plan, summary};
use crate::tls::quiet::Quiet;
use crate::tls::upcoming;

/// A process has mapped something executable.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    /// The process.
    pub tgid: u32,
    /// When.
    pub at: MonoNs,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// No function of the tables is in it; whether a library that cannot be read is, is not known.
    Unsearched,
    /// Such a library is.
    Blind(&'static str),
    /// It is watched, or nothing is in it.
    Done,
}

/// Keeps the programs.
#[derive(Debug)]
pub struct Attacher {
    uprobes: Uprobes,
    /// Files that were looked at.
    known: HashMap<(u64, u64), Seen>,
    blind: Sender<(u32, Vec<String>)>,
    choice: Choice,
    /// Functions so far.
    attached: usize,
}

impl Attacher {
    /// Nothing is attached yet. `blind`: takes, by process, the libraries that cannot be read.
    pub fn new(uprobes: Uprobes, blind: Sender<(u32, Vec<String>)>, choice: Choice) -> Attacher {
        Attacher {
            uprobes,
            known: HashMap::new(),
            blind,
            choice,
            attached: 0,
        }
    }

    /// Attaches to what `pid` has mapped and no process had before, and gives the TLS libraries of
    /// the process that cannot be read.
    pub fn look(&mut self, pid: u32) -> Vec<String> {
        self.attach_to(pid);
        loop {
            if let Some(blind) = self.search(pid) {
                return blind;
            }
        }
    }

    /// A file is opened once and attached to by its open descriptor: the process may be gone in the
    /// middle of it. One that cannot be opened is tried again with the next process that has it.
    fn attach_to(&mut self, pid: u32) {
        for image in of(pid) {
            if !self.known.contains_key(&image.id)
                && let Ok(file) = File::open(&image.open)
            {
                self.attach(image.id, &image.name, &file);
            }
        }
    }

    /// Searches one more file of `pid` for a library that cannot be read. When all have been: gives
    /// what was found, and tells it.
    fn search(&mut self, pid: u32) -> Option<Vec<String>> {
        let mut blind = Vec::new();
        for image in of(pid) {
            match self.known.get(&image.id) {
                Some(Seen::Unsearched) => {
                    let library = File::open(&image.open)
                        .ok()
                        .and_then(|file| blind::library(&Quiet::new(&file), &image.name));
                    let seen = library.map_or(Seen::Done, Seen::Blind);
                    self.known.insert(image.id, seen);
                    return None;
                }
                Some(Seen::Blind(library)) => {
                    let name = image.name.file_name().unwrap_or(image.name.as_os_str());
                    blind.push(format!("{library} in {}", name.to_string_lossy()));
                }
                Some(Seen::Done) | None => {}
            }
        }
        if !blind.is_empty() {
            // Whoever asked for it may have ended.
            let _ = self.blind.send((pid, blind.clone()));
        }
        Some(blind)
    }

    /// Attaches to what a command will map: it is about to start.
    pub fn look_ahead(&mut self, program: &OsStr) {
        for path in upcoming::files(program) {
            let Ok(file) = File::open(&path) else {
                continue;
            };
            if let Ok(meta) = file.metadata() {
                self.attach((meta.dev(), meta.ino()), &path, &file);
            }
        }
    }

    fn attach(&mut self, id: (u64, u64), name: &Path, file: &File) {
        if self.known.contains_key(&id) {
            return;
        }
        let seen = match plan(&Quiet::new(file), self.choice).plan {
            Plan::Nothing => Seen::Unsearched,
            Plan::Unfollowed => Seen::Blind(blind::UNFOLLOWED),
            Plan::Watch(functions) => {
                self.attached += attach_image(&self.uprobes, name, file, &functions);
                Seen::Done
            }
        };
        self.known.insert(id, seen);
    }

    /// Looks at each process that is named, until nobody can name one any more. Searching files for
    /// what cannot be read waits for moments in which nobody is named.
    pub fn run(mut self, processes: &Receiver<Mapped>) {
        let mut unsearched = BTreeSet::new();
        loop {
            let next = match unsearched.first() {
                None => processes.recv().ok(),
                Some(&pid) => match processes.try_recv() {
                    Ok(mapped) => Some(mapped),
                    Err(TryRecvError::Empty) => {
                        if self.search(pid).is_some() {
                            unsearched.remove(&pid);
                        }
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => None,
                },
            };
            let Some(Mapped { tgid, at }) = next else {
                return;
            };
            let before = self.attached;
            self.attach_to(tgid);
            unsearched.insert(tgid);
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

/// The images of a process.
fn of(pid: u32) -> Vec<Image> {
    i32::try_from(pid).map_or_else(|_| Vec::new(), images)
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
