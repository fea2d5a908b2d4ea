//! Attaches inside TLS libraries, on a thread of its own: reading an ELF file of 100 MB must not
//! keep the core waiting.
//!
//! A process is looked at when it becomes a target, when it calls exec and when it maps something
//! executable. A file is attached to once, whoever maps it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};

use cirron_common::tls::cookie;
use cirron_core::time::MonoNs;

use crate::clock;
use crate::kernel::{UprobeProgram, Uprobes};
use crate::tls::blind;
use crate::tls::functions::Abi;
use crate::tls::images::images;
use crate::tls::place::{Choice, Place};
use crate::tls::plan::{Attach, Exit, plan};
use crate::tls::upcoming;

/// A process has mapped something executable.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    /// The process.
    pub tgid: u32,
    /// When.
    pub at: MonoNs,
}

/// Keeps the programs.
#[derive(Debug)]
pub struct Attacher {
    uprobes: Uprobes,
    /// Files that were looked at, with the library in them that cannot be read.
    known: HashMap<(u64, u64), Option<&'static str>>,
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

    /// Attaches to what `pid` has mapped and no process had before.
    ///
    /// A file is opened once and attached to by its open descriptor: the process may be gone in the
    /// middle of it. One that cannot be opened is tried again with the next process that has it.
    ///
    /// Gives the TLS libraries of the process that cannot be read.
    pub fn look(&mut self, pid: u32) -> Vec<String> {
        let mut blind = Vec::new();
        let number = i32::try_from(pid).unwrap_or_default();
        for image in images(number) {
            if let Some(known) = self.known.get(&image.id) {
                blind.extend(known.map(|library| (library, image.name)));
            } else if let Ok(file) = File::open(&image.open) {
                let library = self.attach(image.id, &image.name, &file);
                blind.extend(library.map(|library| (library, image.name)));
            }
        }
        let blind: Vec<String> = blind
            .into_iter()
            .map(|(library, file)| {
                let name = file.file_name().unwrap_or(file.as_os_str());
                format!("{library} in {}", name.to_string_lossy())
            })
            .collect();
        if !blind.is_empty() {
            // Whoever asked for it may have ended.
            let _ = self.blind.send((pid, blind.clone()));
        }
        blind
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

    fn attach(&mut self, id: (u64, u64), name: &Path, file: &File) -> Option<&'static str> {
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        let functions = plan(file, name, self.choice);
        let blind = if functions.is_empty() {
            blind::library(file, name)
        } else {
            self.attached += attach_image(&mut self.uprobes, name, file, &functions);
            None
        };
        self.known.insert(id, blind);
        blind
    }

    /// Looks at each process that is named, until nobody can name one any more.
    pub fn run(mut self, processes: &Receiver<Mapped>) {
        while let Ok(Mapped { tgid, at }) = processes.recv() {
            let before = self.attached;
            self.look(tgid);
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

/// Gives the number of functions that are watched now.
fn attach_image(uprobes: &mut Uprobes, name: &Path, file: &File, functions: &[Attach]) -> usize {
    let mut attached = 0;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if !uprobes.is_loaded() {
        // It was said when they were refused.
        return attached;
    }
    for function in functions {
        match attach_function(uprobes, &path, function) {
            Ok(()) => {
                attached += 1;
                tracing::info!("{}: {function}", name.display());
            }
            Err(e) => tracing::warn!(
                "{}: {} is not watched: {e:#}",
                name.display(),
                function.function.name
            ),
        }
    }
    attached
}

/// Exits first: an entry without its exit would leave a note of a call that never ends.
fn attach_function(uprobes: &mut Uprobes, path: &Path, attach: &Attach) -> anyhow::Result<()> {
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
    let mut put = |program, place: &Place| {
        let at = offset.wrapping_add_signed(place.offset);
        uprobes.attach(program, path, at, cookie::of(function.op, place.depth))
    };
    match exit {
        Exit::None => {}
        Exit::Places(places) => {
            for place in places {
                put(leave, place)?;
            }
        }
    }
    put(enter, entry)
}
