//! Has the kernel side tell of the lives of a Go program's goroutines: who made which, and when they end.
//!
//! ```text
//! [`super::contexts`]: a call of a process is below no request --> its program is one of Go's --> probes, once for a file, and the
//! process's bits say where numbers lie
//! ```
//! It runs on the thread of [`super::contexts`], which is asked. Probes stay until the end: they cost other processes of the same file a
//! look into a map.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::kernel::{Point, UprobeProgram, Uprobes};
use crate::probes::go_lives::{self, GoLives};
use crate::probes::images::{FileId, Image, images};
use crate::probes::quiet::Quiet;

/// Files that are remembered, of Go or not. Past it others are not looked at.
const MAX_KNOWN: usize = 16 * 1_024;

/// See the module.
#[derive(Debug)]
pub struct Goroutines {
    uprobes: Uprobes,
    /// Where goroutines have the numbers of those that made them; `None`: the file is no Go program, or it is not attached to.
    files: HashMap<FileId, Option<u8>>,
}

impl Goroutines {
    /// Nothing is attached yet.
    pub fn new(uprobes: Uprobes) -> Goroutines {
        Goroutines {
            uprobes,
            files: HashMap::new(),
        }
    }

    /// Of this process they are to be told. False: it is no Go program in which that can be.
    pub fn tell(&mut self, tgid: u32) -> bool {
        let mut images = images(tgid).unwrap_or_default().into_iter();
        let Some(maker) = images.find_map(|image| self.maker(&image)) else {
            return false;
        };
        self.uprobes.set_goroutines(tgid, maker);
        tracing::info!("process {tgid}: the lives of its goroutines are told");
        true
    }

    fn maker(&mut self, image: &Image) -> Option<u8> {
        if let Some(known) = self.files.get(&image.id) {
            return *known;
        }
        if self.files.len() >= MAX_KNOWN {
            return None;
        }
        let file = image.open().ok()?;
        // A stranger's file: our code may fail over it.
        let looked = catch_unwind(AssertUnwindSafe(|| go_lives::find(&Quiet::new(&file))));
        let maker = looked.ok().flatten().and_then(|lives| {
            let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
            match self.uprobes.attach(&path, &points(&lives)) {
                Ok(_) => Some(lives.maker),
                Err(why) => {
                    tracing::info!("goroutines of {}: {why:#}", image.name.display());
                    None
                }
            }
        });
        self.files.insert(image.id, maker);
        maker
    }
}

fn points(lives: &GoLives) -> Vec<Point> {
    let made = lives.made.iter();
    let mut points: Vec<Point> = made
        .map(|at| Point::usual(UprobeProgram::GoroutineMade, *at))
        .collect();
    points.push(Point::usual(UprobeProgram::GoroutineEnded, lives.ended));
    points
}
