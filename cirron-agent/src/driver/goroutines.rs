//! Has the kernel side tell of the lives of a Go program's goroutines: who made which, and when they end.
//!
//! ```text
//! [`super::contexts`]: a call of a process is below no request --> its program is one of Go's --> probes, once for a file,
//!     and the process's bits say where numbers lie
//!     '--it makes more than MAX_MADE in a second--> given up: the probes are closed, and the file is not attached to again
//! ```
//! It runs on the thread of [`super::contexts`], which is asked. Probes stay until the end or until a process is given up: they
//! cost other processes of the same file a look into a map.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cirron_common::operand::Register;
use cirron_core::time::MonoNs;

use crate::kernel::{Attachment, Point, UprobeProgram, Uprobes};
use crate::probes::go_lives::{self, GoLives};
use crate::probes::images::{FileId, Image};
use crate::probes::quiet::Quiet;

/// Files that are remembered, of Go or not. Past it others are not looked at.
const MAX_KNOWN: usize = 16 * 1_024;

/// Goroutines that a process makes in a second, past which it is given up. One costs its makers 5 us and more, its record and that of its
/// end included: a server of 2 000 requests a second with a handful of goroutines each is below, one that makes them in a loop is not.
pub const MAX_MADE: u32 = 10_000;
const SECOND_NS: u64 = 1_000_000_000;

/// How many goroutines processes make, by what was told of them.
#[derive(Debug, Default)]
pub struct Made(HashMap<u32, (MonoNs, u32)>);

impl Made {
    /// A goroutine of that process was made. True: it is the one too many of its second.
    pub fn note(&mut self, tgid: u32, ts: MonoNs) -> bool {
        let (since, made) = self.0.entry(tgid).or_insert((ts, 0));
        if ts.since(*since) >= SECOND_NS {
            (*since, *made) = (ts, 0);
        }
        *made = made.saturating_add(1);
        *made == MAX_MADE + 1
    }

    /// That process has ended.
    pub fn forget(&mut self, tgid: u32) {
        self.0.remove(&tgid);
    }
}

/// A file that is attached to.
#[derive(Debug)]
struct Watched {
    maker: u8,
    attachment: Attachment,
    /// Processes of which is told, those that have ended since the last one came left out.
    told: Vec<u32>,
}

/// See the module.
#[derive(Debug)]
pub struct Goroutines {
    uprobes: Uprobes,
    /// `None`: the file is no Go program, or it is not attached to.
    files: HashMap<FileId, Option<Watched>>,
}

impl Goroutines {
    /// Nothing is attached yet.
    pub fn new(uprobes: Uprobes) -> Goroutines {
        Goroutines {
            uprobes,
            files: HashMap::new(),
        }
    }

    /// Of this process, which has mapped these, they are to be told. False: it is no Go program in which that can be.
    pub fn tell(&mut self, tgid: u32, images: &[Image]) -> bool {
        for image in images {
            if !self.files.contains_key(&image.id) {
                if self.files.len() >= MAX_KNOWN {
                    return false;
                }
                let watched = self.watch(image);
                self.files.insert(image.id, watched);
            }
            if let Some(Some(watched)) = self.files.get_mut(&image.id) {
                add_told(&mut watched.told, tgid, |told| {
                    self.uprobes.tells_goroutines(told)
                });
                self.uprobes.set_goroutines(tgid, watched.maker);
                tracing::info!("process {tgid}: the lives of its goroutines are told");
                return true;
            }
        }
        false
    }

    /// This process makes too many of them: what is watched of its program is so no more. False: nothing was, or is any more.
    pub fn give_up(&mut self, tgid: u32) -> bool {
        for file in self.files.values_mut() {
            let Some(watched) = file.take_if(|watched| watched.told.contains(&tgid)) else {
                continue;
            };
            for told in watched.told {
                self.uprobes.unset_goroutines(told);
            }
            self.uprobes.close(vec![watched.attachment]);
            tracing::warn!(
                "process {tgid} makes more than {MAX_MADE} goroutines a second: whose calls those are that a handler \
                 starts is not known any more"
            );
            return true;
        }
        false
    }

    fn watch(&self, image: &Image) -> Option<Watched> {
        let file = image.open().ok()?;
        // A stranger's file: our code may fail over it.
        let looked = catch_unwind(AssertUnwindSafe(|| go_lives::find(&Quiet::new(&file))));
        let lives = looked.ok().flatten()?;
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        let attached = self.uprobes.attach(&path, &points(&lives));
        let said = attached.inspect_err(|why| {
            tracing::info!("goroutines of {}: {why:#}", image.name.display());
        });
        Some(Watched {
            maker: lives.maker,
            attachment: said.ok()?,
            told: Vec::new(),
        })
    }
}

/// One more process of which is told: as many are kept as live, whatever comes and goes.
fn add_told(told: &mut Vec<u32>, tgid: u32, lives: impl Fn(u32) -> bool) {
    told.retain(|before| *before != tgid && lives(*before));
    told.push(tgid);
}

fn points(lives: &GoLives) -> Vec<Point> {
    let made = lives.made.iter();
    let mut points: Vec<Point> = made
        .map(|at| Point::at_object(UprobeProgram::GoroutineMade, *at, Register::Rax))
        .collect();
    points.push(Point::at_object(
        UprobeProgram::GoroutineEnded,
        lives.ended,
        Register::R14,
    ));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_come_and_go_leave_no_numbers() {
        let mut told = Vec::new();
        for tgid in 0..1_000 {
            add_told(&mut told, tgid, |before| before % 100 == 0);
        }
        add_told(&mut told, 900, |_| true);
        assert_eq!(told.len(), 11, "{told:?}");
    }

    #[test]
    fn one_too_many_in_a_second_is_told_once() {
        let mut made = Made::default();
        let most = MAX_MADE;
        for n in 0..2 * most {
            let is_too_many = made.note(7, MonoNs(5 + u64::from(n)));
            assert_eq!(is_too_many, n == most, "{n}");
            // As many, in two seconds each.
            let at = u64::from(n) * (SECOND_NS / u64::from(most) + 1);
            assert!(!made.note(8, MonoNs(5 + at)), "{n}");
        }
        made.forget(7);
        assert!(!made.note(7, MonoNs(5)));
        assert_eq!(made.0.len(), 2);
    }
}
