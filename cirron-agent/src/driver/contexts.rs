//! Finds out where a Python process keeps its current context, and has the kernel side tell of it: on a thread of its own. One
//! that runs Go is left to [`super::goroutines`].
//!
//! ```text
//! core: a call of a server is below no request --Contexts--> [asked] --its image exports contexts--> [listed]
//!   [listed] --a thread of it moves bytes--> storage known --its memory--> [calibrated]: probes, and the map says how to read
//!      |--nothing there, or several--> looked at again, up to TRIES
//!      '--it ends--> gone
//! ```
//! A server that calls nobody is never looked at, and pays nothing. Probes are on a file, once, and stay until the end: they cost
//! the programs of other processes that map it a look into a map. It writes nothing to a process.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cirron_common::operand::Register;
use cirron_common::python::Interpreter;

use super::counts::Counts;
use super::goroutines::Goroutines;
use crate::kernel::{Point, UprobeProgram, Uprobes};
use crate::probes::images::{FileId, images};
use crate::probes::python::calibrate::{DEALLOC_AT, Unknown, Way, way};
use crate::probes::python::look::{self, Found};
use crate::probes::python::memory::{Memory as _, ProcessMemory};
use crate::probes::quiet::Quiet;

/// Processes that are asked for or looked at. A server has a few workers.
const MAX_ASKED: usize = 256;
/// Files that are remembered, with an interpreter or without. Past it others are not looked at.
const MAX_KNOWN: usize = 16 * 1_024;
/// Between two looks at a process whose threads have moved no bytes yet, or whose context was not found.
const PAUSE: Duration = Duration::from_millis(20);
/// Looks at a process's memory that found no way, before it is given up.
const TRIES: u32 = 500;

/// Names processes to be looked at. The handle is shared.
#[derive(Clone, Debug, Default)]
pub struct Contexts(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    asked: VecDeque<u32>,
    /// Processes that make too many goroutines.
    crowded: Vec<u32>,
}

impl Contexts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of this process it is wanted in which context it calls. False: too many were named.
    pub fn ask(&self, tgid: u32) -> bool {
        let mut state = self.lock();
        let has_room = state.asked.len() < MAX_ASKED;
        if has_room {
            state.asked.push_back(tgid);
        }
        drop(state);
        self.0.1.notify_all();
        has_room
    }

    /// This process makes too many goroutines.
    pub fn give_up(&self, tgid: u32) {
        // Each is told of at most once a second, and few processes are asked for.
        self.lock().crowded.push(tgid);
        self.0.1.notify_all();
    }

    fn take_crowded(&self) -> Vec<u32> {
        std::mem::take(&mut self.lock().crowded)
    }

    /// The names since the last time; waits for one, or for `at_most`.
    fn take(&self, at_most: Option<Duration>) -> Vec<u32> {
        let mut state = self.lock();
        while state.asked.is_empty() && state.crowded.is_empty() {
            state = match at_most {
                None => self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at_most) => {
                    let waited = self.0.1.wait_timeout(state, at_most);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    break;
                }
            };
        }
        state.asked.drain(..).collect()
    }
}

/// A file with an interpreter, and what is watched of it.
#[derive(Debug)]
struct Watched {
    found: Found,
    /// Where contexts are freed, and attached to.
    is_attached: bool,
}

/// A process that is looked at.
#[derive(Debug)]
struct Asked {
    tgid: u32,
    file: FileId,
    /// By how much its addresses are higher than the file counts.
    bias: u64,
    tries: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Calibrator {
    contexts: Contexts,
    uprobes: Uprobes,
    counts: Arc<Counts>,
    goroutines: Goroutines,
    /// `None`: a file that carries no interpreter.
    files: HashMap<FileId, Option<Watched>>,
    asked: Vec<Asked>,
}

impl Calibrator {
    /// Nothing is looked at yet.
    pub fn new(contexts: Contexts, uprobes: Uprobes, counts: Arc<Counts>) -> Calibrator {
        Calibrator {
            contexts,
            goroutines: Goroutines::new(uprobes.clone()),
            uprobes,
            counts,
            files: HashMap::new(),
            asked: Vec::new(),
        }
    }

    /// Looks at each process that is named. Nobody waits for its end.
    pub fn run(mut self) -> ! {
        loop {
            let pause = (!self.asked.is_empty()).then_some(PAUSE);
            let asked = self.contexts.take(pause);
            for tgid in self.contexts.take_crowded() {
                if self.goroutines.give_up(tgid) {
                    Counts::add(&self.counts.uncalibrated);
                }
            }
            for tgid in asked {
                if self.asked.iter().any(|asked| asked.tgid == tgid) {
                    continue;
                }
                if self.asked.len() < MAX_ASKED {
                    self.begin(tgid);
                } else {
                    Counts::add(&self.counts.uncalibrated);
                }
            }
            for mut asked in std::mem::take(&mut self.asked) {
                if self.look(&mut asked) {
                    self.asked.push(asked);
                }
            }
        }
    }

    /// A process was named. One that has no interpreter is not looked at again.
    fn begin(&mut self, tgid: u32) {
        if self.uprobes.interpreter(tgid).is_some() {
            return;
        }
        let images = images(tgid).unwrap_or_default();
        if self.goroutines.tell(tgid, &images) {
            return;
        }
        for image in images {
            let is_other = self.files.get(&image.id).is_some_and(Option::is_none);
            if is_other || self.files.len() >= MAX_KNOWN {
                continue;
            }
            let Ok(file) = image.open() else { continue };
            let quiet = Quiet::new(&file);
            // A stranger's file: our code may fail over it.
            let looked = catch_unwind(AssertUnwindSafe(|| {
                let found = look::interpreter(&quiet)?;
                let bias = look::bias(&quiet, image.range.0, image.offset)?;
                Some((found, bias))
            }));
            let Some((found, bias)) = looked.ok().flatten() else {
                self.files.insert(image.id, None);
                continue;
            };
            self.files.entry(image.id).or_insert(Some(Watched {
                found,
                is_attached: false,
            }));
            self.uprobes.set_python(tgid, Interpreter::default());
            self.asked.push(Asked {
                tgid,
                file: image.id,
                bias,
                tries: 0,
            });
            return;
        }
    }

    /// True: it is to be looked at again.
    fn look(&mut self, asked: &mut Asked) -> bool {
        let tgid = asked.tgid;
        let Some(before) = self.uprobes.interpreter(tgid) else {
            // It has ended, or is another program.
            return false;
        };
        if before.thread == 0 {
            return true;
        }
        match self.calibrate(asked, before.thread) {
            Ok(way) => {
                tracing::info!("process {tgid}: its Python's contexts are told, {way:?}");
                false
            }
            Err(why) => {
                asked.tries += 1;
                if asked.tries >= TRIES {
                    tracing::info!("process {tgid}: its Python's contexts are not told: {why:#}");
                    self.uprobes.unset_python(tgid);
                    Counts::add(&self.counts.uncalibrated);
                    return false;
                }
                // Another thread's turn.
                self.uprobes.set_python(tgid, Interpreter::default());
                true
            }
        }
    }

    fn calibrate(&mut self, asked: &Asked, thread: u64) -> anyhow::Result<Way> {
        let memory = ProcessMemory::open(asked.tgid).ok_or(Unknown::Nowhere)?;
        let watched = self.files.get_mut(&asked.file).and_then(Option::as_mut);
        let watched = watched.ok_or(Unknown::Nowhere)?;
        let kind = watched.found.kind.wrapping_add(asked.bias);
        let way = way(&memory, thread, kind)?;
        if !watched.is_attached {
            let free = memory.word(kind + DEALLOC_AT).ok_or(Unknown::Nowhere)?;
            attach(&self.uprobes, asked, &watched.found, free)?;
            watched.is_attached = true;
        }
        self.uprobes.set_python(
            asked.tgid,
            Interpreter {
                slot: way.slot,
                context: way.context,
                kind,
                thread,
                told: 0,
            },
        );
        Ok(way)
    }
}

fn attach(uprobes: &Uprobes, asked: &Asked, found: &Found, free: u64) -> anyhow::Result<()> {
    let image = images(asked.tgid)?.into_iter().find(|i| i.id == asked.file);
    let file: File = image
        .and_then(|image| image.open().ok())
        .ok_or_else(|| anyhow::anyhow!("it has unmapped its interpreter"))?;
    let ended = look::entry(&Quiet::new(&file), free.wrapping_sub(asked.bias))
        .ok_or_else(|| anyhow::anyhow!("the function that frees contexts has no place"))?;
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let made = found.made.iter();
    let mut points: Vec<Point> = made
        .map(|(at, holds)| Point::at_object(UprobeProgram::ContextMade, *at, *holds))
        .collect();
    points.push(Point::at_object(
        UprobeProgram::ContextEnded,
        ended,
        Register::Rdi,
    ));
    // It stays until the end.
    uprobes.attach(&path, &points)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_most_a_process_is_not_asked_for_until_others_were_taken() {
        let contexts = Contexts::default();
        let most = MAX_ASKED as u32;
        assert!((0..most).all(|tgid| contexts.ask(tgid)));
        assert!(!contexts.ask(most));
        let taken = contexts.take(None);
        assert_eq!(taken, (0..most).collect::<Vec<_>>());
        assert!(contexts.ask(most));
        assert_eq!(contexts.take(Some(Duration::ZERO)), [most]);
        assert!(contexts.take(Some(Duration::ZERO)).is_empty());
    }
}
