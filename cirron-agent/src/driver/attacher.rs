//! Attaches inside TLS libraries, on a thread of its own: reading an ELF file of 100 MB must not
//! keep the core waiting.
//!
//! A process is looked at when it becomes a target, when it calls exec and when it maps something
//! executable. A file is attached to once, whoever maps it.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use crate::kernel::{UprobeProgram, Uprobes};
use crate::tls::images::{Image, images};
use crate::tls::plan::{Attach, Exit, plan};

/// Keeps the programs.
#[derive(Debug)]
pub struct Attacher {
    uprobes: Uprobes,
    known: HashSet<(i32, i32, u64)>,
}

impl Attacher {
    /// Nothing is attached yet.
    pub fn new(uprobes: Uprobes) -> Attacher {
        Attacher {
            uprobes,
            known: HashSet::new(),
        }
    }

    /// Attaches to what `pid` has mapped and no process had before.
    ///
    /// A file is opened once and attached to by its open descriptor: the process may be gone in the
    /// middle of it. One that cannot be opened is tried again with the next process that has it.
    pub fn look(&mut self, pid: u32) {
        let Ok(pid) = i32::try_from(pid) else { return };
        for image in images(pid) {
            if self.known.contains(&image.id) {
                continue;
            }
            let Ok(file) = File::open(&image.open) else {
                continue;
            };
            self.known.insert(image.id);
            let functions = plan(&file, &image.name);
            if !functions.is_empty() {
                attach_image(&mut self.uprobes, &image, &file, &functions);
            }
        }
    }

    /// Looks at each process that is named, until nobody can name one any more.
    pub fn run(mut self, processes: &Receiver<u32>) {
        while let Ok(pid) = processes.recv() {
            self.look(pid);
        }
    }
}

fn attach_image(uprobes: &mut Uprobes, image: &Image, file: &File, functions: &[Attach]) {
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if let Err(e) = uprobes.load() {
        tracing::warn!(
            "{} is a TLS library, and the kernel refuses to look inside: {e:#}",
            image.name.display()
        );
        return;
    }
    for function in functions {
        match attach_function(uprobes, &path, function) {
            Ok(()) => tracing::info!("{}: {function}", image.name.display()),
            Err(e) => tracing::warn!(
                "{}: {} is not watched: {e:#}",
                image.name.display(),
                function.function.name
            ),
        }
    }
}

/// Exits first: an entry without its exit would leave a note of a call that never ends.
fn attach_function(uprobes: &mut Uprobes, path: &Path, attach: &Attach) -> anyhow::Result<()> {
    let Attach {
        function,
        offset,
        entry,
        exit,
    } = attach;
    let mut put = |program, at| uprobes.attach(program, path, offset + at, function.op);
    match exit {
        Exit::None => {}
        Exit::Places(places) => {
            for place in places {
                put(UprobeProgram::Exit, place.offset)?;
            }
        }
    }
    put(UprobeProgram::Enter, entry.offset)
}
