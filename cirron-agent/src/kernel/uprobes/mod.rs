//! Probes inside the functions of TLS libraries, and those by rules.
//!
//! A link is on a file, for all processes: which of them are targets is the programs' own filter,
//! so that a second process with the same library costs nothing more. Where the kernel knows links
//! of many places (6.6), all places of a file for one program are one link ([`multi`]); elsewhere
//! each place is one ([`single`]), which does the same and takes longer to close.
//!
//! What was attached to a file is closed when nobody needs it, or with everything at the end. The handle is shared:
//! one thread attaches, another detaches at the end without waiting for it.
//!
//! A semaphore (a count in a program that says whether somebody listens to a probe) is raised by the kernel with the link, in
//! each process that maps the file, also one that maps it later, and lowered with it, also where the agent was killed. It is
//! raised in bystanders too: a link for one process alone would not be one of its children, whose copy of the count is
//! raised and would never be lowered.

mod bpf;
mod multi;
mod numbers;
mod single;
mod stack;

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aya::Ebpf;
use aya::maps::{HashMap as HashMapOf, MapData};
use cirron_common::operand::Register;
use cirron_common::python::Interpreter;
use cirron_common::shape::{Rate, RateKey, cookie as probe_cookie};
use cirron_common::signature::cookie;
use cirron_common::tls::target;
use cirron_common::{Shape, Signature};

use self::multi::{Multi, MultiLink};
pub(super) use self::numbers::Numbered;
use self::single::Single;
use super::targets::{self, Targets};
use super::verdict::{Failure, ProbeVerdict, Verdict};

/// The programs that stand inside functions: a pair for each calling convention; and the one at probes by rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UprobeProgram {
    /// On an exit of a function with C's convention.
    Exit,
    /// On one with Go's.
    GoExit,
    /// On an entry of a function with C's.
    Enter,
    /// On one with Go's.
    GoEnter,
    /// Where Python has made a context.
    ContextMade,
    /// Where it begins to free one.
    ContextEnded,
    /// Where a goroutine of Go's ends.
    GoroutineEnded,
    /// Where its runtime returns one that it has made.
    GoroutineMade,
    /// On a probe by a rule.
    Hit,
}

impl UprobeProgram {
    /// In the order in which they are attached, which is theirs. Exits first: an entry without its
    /// exit would leave a note of a call that never ends.
    const ALL: [UprobeProgram; 9] = [
        UprobeProgram::Exit,
        UprobeProgram::GoExit,
        UprobeProgram::Enter,
        UprobeProgram::GoEnter,
        UprobeProgram::ContextMade,
        UprobeProgram::ContextEnded,
        UprobeProgram::GoroutineEnded,
        UprobeProgram::GoroutineMade,
        UprobeProgram::Hit,
    ];

    /// ELF name of the program.
    pub fn name(self) -> &'static str {
        match self {
            UprobeProgram::Enter => "c_enter",
            UprobeProgram::Exit => "c_exit",
            UprobeProgram::GoEnter => "go_enter",
            UprobeProgram::GoExit => "go_exit",
            UprobeProgram::ContextMade => "context_made",
            UprobeProgram::ContextEnded => "context_ended",
            UprobeProgram::GoroutineEnded => "goroutine_ended",
            UprobeProgram::GoroutineMade => "goroutine_made",
            UprobeProgram::Hit => "probe_hit",
        }
    }
}

/// A place in a file, and what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// It is attached behind all others of the file, and closed before them: it begins what they end.
    pub is_last: bool,
    /// The program.
    pub program: UprobeProgram,
    /// Offset in the file.
    pub offset: u64,
    /// What its program reads there.
    pub reads: Reads,
    /// How deep in the function's frame the place lies, in bytes.
    pub depth: u32,
    /// Offset in the file of the semaphore; 0: it has none.
    pub semaphore: u64,
}

impl Point {
    /// Of a program that tells of an object, which that register points to.
    pub fn at_object(program: UprobeProgram, offset: u64, register: Register) -> Point {
        Point {
            is_last: false,
            program,
            offset,
            reads: Reads::Register(register),
            depth: 0,
            semaphore: 0,
        }
    }
}

/// What a program reads at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reads {
    /// What the function does, and where its values stand.
    Function(Signature),
    /// The object that it tells of, which this register points to.
    Register(Register),
    /// The values of a probe by a rule.
    Probe {
        /// Its number, which its hits have.
        probe: u32,
        /// Where its values stand.
        shape: Shape,
    },
}

/// A [`Point`] as the kernel takes it.
#[derive(Clone, Copy)]
struct Probe {
    program: UprobeProgram,
    offset: u64,
    /// One of `cirron_common::signature::cookie`'s, or of `cirron_common::shape::cookie`'s, or a register's number.
    cookie: u64,
    /// As of the [`Point`].
    semaphore: u64,
    /// As of the [`Point`].
    is_last: bool,
}

/// Which links to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// Of many places, where the kernel knows them.
    #[default]
    Fewest,
    /// One for each place.
    Single,
}

/// What was detached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detached {
    /// Probes that were attached.
    pub probes: usize,
    /// Links that held them.
    pub links: usize,
    /// How long it took.
    pub took: Duration,
}

/// What was attached to one file. To be given back to [`Uprobes::close`]; dropped, it stays until the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Attachment {
    id: u64,
    go: Option<u8>,
    announces: bool,
}

impl Attachment {
    /// `announces`: the file's library announces its secrets, and they are read.
    #[must_use]
    pub fn of_announcer(self, announces: bool) -> Attachment {
        Attachment { announces, ..self }
    }

    /// See [`Attachment::of_announcer`].
    pub fn announces(&self) -> bool {
        self.announces
    }

    /// The file is a Go program. `goid`: as `probes::go_build` says.
    #[must_use]
    pub fn of_go(self, goid: u8) -> Attachment {
        Attachment {
            go: Some(goid),
            ..self
        }
    }

    /// Another handle of it: who closes one first closes it.
    #[must_use]
    pub fn handle(&self) -> Attachment {
        let Attachment { id, go, announces } = *self;
        Attachment { id, go, announces }
    }

    /// Of a Go program, where its goroutines have their numbers.
    pub fn go(&self) -> Option<u8> {
        self.go
    }
}

#[cfg(test)]
impl Attachment {
    /// Of no programs.
    pub fn for_test(id: u64) -> Attachment {
        Attachment {
            id,
            go: None,
            announces: false,
        }
    }
}

/// The links of one file.
enum FileLinks {
    Multi(Vec<MultiLink>),
    Single(Vec<OwnedFd>),
}

/// What is there of an [`Attachment`].
struct Held {
    links: FileLinks,
    probes: usize,
}

enum Attached {
    Multi(Multi),
    Single(Single),
}

struct State {
    /// Owns the programs that are no uprobes, which dropping it detaches, and with one link for each place the uprobes
    /// as well.
    ebpf: Ebpf,
    /// `None` where the kernel refuses the programs.
    attached: Option<Attached>,
    described: DescribedMaps,
    held: HashMap<u64, Held>,
    next: u64,
}

/// What programs read by numbers.
pub(super) struct DescribedMaps {
    pub(super) signatures: Numbered<Signature>,
    pub(super) shapes: Numbered<Shape>,
    /// How often probes are hit.
    pub(super) rates: HashMapOf<MapData, RateKey, Rate>,
    /// How contexts of Python's are reached.
    pub(super) interpreters: HashMapOf<MapData, u32, Interpreter>,
}

impl DescribedMaps {
    /// A point as the kernel takes it.
    fn probe(&mut self, point: &Point) -> anyhow::Result<Probe> {
        let cookie = match &point.reads {
            Reads::Function(signature) => {
                cookie::pack(self.signatures.number(signature)?, point.depth)
            }
            Reads::Register(register) => *register as u64,
            Reads::Probe { probe, shape } => {
                let shape = self.shapes.number(shape)?;
                probe_cookie::pack(shape, point.depth, *probe)
                    .context("it lies too deep in the frame of its function")?
            }
        };
        Ok(Probe {
            program: point.program,
            offset: point.offset,
            cookie,
            semaphore: point.semaphore,
            is_last: point.is_last,
        })
    }
}

/// Attaches and detaches. Owns all programs of the kernel side: dropping the last one detaches.
#[derive(Clone)]
pub struct Uprobes {
    state: Arc<Mutex<Option<State>>>,
    targets: Targets,
}

impl std::fmt::Debug for Uprobes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Uprobes")
    }
}

/// The programs as the kernel took them, still without the object that they come from.
pub(super) struct Loaded {
    attached: Option<Attached>,
    /// What became of them.
    pub(super) verdict: ProbeVerdict,
}

/// Loads the programs. Must come before maps are taken out of `ebpf`, which they share.
///
/// Loaded now, and not when the first library is found: it takes the verifier a tenth of a second.
pub(super) fn load(ebpf: &mut Ebpf, links: Links) -> Loaded {
    let why_single = match links {
        Links::Fewest => match Multi::load(ebpf) {
            Ok(multi) => {
                return Loaded {
                    verdict: loaded(multi.detail()),
                    attached: Some(Attached::Multi(multi)),
                };
            }
            Err(e) => format!("{e:#}"),
        },
        Links::Single => "as asked for".to_owned(),
    };
    match Single::load(ebpf) {
        Ok(single) => Loaded {
            attached: Some(Attached::Single(single)),
            verdict: loaded(format!("one link for each place: {why_single}")),
        },
        Err(e) => Loaded {
            attached: None,
            verdict: refused(&e),
        },
    }
}

/// In the table all of them are one.
const NAME: &str = "uprobes";

fn refused(error: &anyhow::Error) -> ProbeVerdict {
    if aya::features().bpf_cookie() {
        return Failure::from_error(error.as_ref()).on(NAME);
    }
    ProbeVerdict {
        name: NAME,
        verdict: Verdict::Unsupported,
        detail: "no TLS is read: this kernel has no cookies for probes (from Linux 5.15)"
            .to_owned(),
    }
}

fn loaded(detail: String) -> ProbeVerdict {
    ProbeVerdict {
        name: NAME,
        verdict: Verdict::Loaded,
        detail,
    }
}

impl Uprobes {
    pub(super) fn new(
        ebpf: Ebpf,
        loaded: Loaded,
        described: DescribedMaps,
        targets: Targets,
    ) -> Uprobes {
        Uprobes {
            targets,
            state: Arc::new(Mutex::new(Some(State {
                ebpf,
                attached: loaded.attached,
                described,
                held: HashMap::new(),
                next: 0,
            }))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something can be attached: the programs are loaded, and we are not at the end.
    pub fn is_loaded(&self) -> bool {
        self.lock().as_ref().is_some_and(|s| s.attached.is_some())
    }

    /// Whether attaching opens perf events: where each place is a link of its own.
    pub fn opens_events(&self) -> bool {
        let state = self.lock();
        let attached = state.as_ref().and_then(|s| s.attached.as_ref());
        attached.is_some_and(|attached| matches!(attached, Attached::Single(_)))
    }

    /// Puts the programs at all `points` of the file `path`, or at none.
    ///
    /// # Errors
    /// Where the kernel refuses one of them, what they read is of too many kinds, or the end has begun.
    pub fn attach(&self, path: &CStr, points: &[Point]) -> anyhow::Result<Attachment> {
        let mut points = points.to_vec();
        // Two symbols of one function, two functions that end in a third.
        points.sort_unstable();
        points.dedup();
        let mut state = self.lock();
        let state = state.as_mut().context("the agent is ending")?;
        let described = &mut state.described;
        let probes = points.iter().map(|point| described.probe(point));
        let probes: Vec<Probe> = probes.collect::<anyhow::Result<_>>()?;
        let links = match &mut state.attached {
            Some(Attached::Multi(multi)) => FileLinks::Multi(multi.attach(path, &probes)?),
            Some(Attached::Single(single)) => {
                FileLinks::Single(single.attach(&mut state.ebpf, path, &probes)?)
            }
            None => bail!("the programs were refused"),
        };
        let (id, probes) = (state.next, points.len());
        state.next += 1;
        state.held.insert(id, Held { links, probes });
        Ok(Attachment {
            id,
            go: None,
            announces: false,
        })
    }

    /// This process runs Go: its records say which goroutine moved their bytes. `goid`: where these have their numbers.
    pub fn set_go(&self, tgid: u32, goid: u8) {
        self.targets.set_runtime(tgid, targets::go(goid));
    }

    /// What makes and ends goroutines of this process is attached to. `maker`: as `probes::go_build` says.
    pub fn set_goroutines(&self, tgid: u32, maker: u8) {
        self.targets.set_runtime(tgid, targets::goroutines(maker));
    }

    /// The lives of its goroutines are told. False: it has ended, too.
    pub fn tells_goroutines(&self, tgid: u32) -> bool {
        self.targets.tells_goroutines(tgid)
    }

    /// The lives of its goroutines are told no more.
    pub fn unset_goroutines(&self, tgid: u32) {
        self.targets.unset_goroutines(tgid);
    }

    /// This process runs Python: how its contexts are reached, or, all 0, that this is to be found out.
    pub fn set_python(&self, tgid: u32, interpreter: Interpreter) {
        if let Some(state) = self.lock().as_mut() {
            // Without room its contexts are not told.
            let _ = state.described.interpreters.insert(tgid, interpreter, 0);
        }
        self.targets.set_runtime(tgid, target::PYTHON);
    }

    /// Its contexts are not to be told.
    pub fn unset_python(&self, tgid: u32) {
        if let Some(state) = self.lock().as_mut() {
            let _ = state.described.interpreters.remove(&tgid);
        }
    }

    /// What was said so of a process, and what the programs wrote to it; `None`: nothing, or it has ended.
    pub fn interpreter(&self, tgid: u32) -> Option<Interpreter> {
        let state = self.lock();
        state.as_ref()?.described.interpreters.get(&tgid, 0).ok()
    }

    /// By number of a probe: its hits in a process that were left out. Of those of which the kernel side knows it still.
    pub fn left_out(&self) -> Vec<(u32, u64)> {
        let state = self.lock();
        let rates = state.as_ref().map(|state| state.described.rates.iter());
        let counts = rates.into_iter().flatten().filter_map(Result::ok);
        counts
            .map(|(key, rate)| (key.probe, rate.left_out))
            .collect()
    }

    /// Probes that a process hits too often to be left where they are: number of the probe, the process, hits in a second. The
    /// same.
    pub fn too_busy(&self) -> Vec<(u32, u32, u64)> {
        let state = self.lock();
        let rates = state.as_ref().map(|state| state.described.rates.iter());
        let busy = rates.into_iter().flatten().filter_map(Result::ok);
        busy.filter(|(_, rate)| rate.is_too_busy != 0)
            .map(|(key, rate)| (key.probe, key.tgid, rate.busiest))
            .collect()
    }

    /// Takes the programs out of files that nobody needs any more. Waits for a grace period of the kernel's at
    /// least; others may attach meanwhile. At the end there is nothing left to close.
    pub fn close(&self, attachments: Vec<Attachment>) {
        let mut closed = Vec::new();
        let mut single = Vec::new();
        if let Some(state) = self.lock().as_mut() {
            for Attachment { id, .. } in attachments {
                match state.held.remove(&id).map(|held| held.links) {
                    Some(FileLinks::Multi(links)) => closed.extend(links),
                    Some(FileLinks::Single(links)) => single.push(links),
                    None => {}
                }
            }
        }
        single.into_iter().for_each(single::close);
        multi::close(closed);
    }

    /// Detaches everything, the tracepoints too; nothing can be attached any more. `None` the
    /// second time.
    pub fn detach(&self) -> Option<Detached> {
        let state = self.lock().take()?;
        let began = Instant::now();
        let probes = state.held.values().map(|held| held.probes).sum();
        let mut many = Vec::new();
        let mut links = 0;
        for held in state.held.into_values() {
            match held.links {
                FileLinks::Multi(links) => many.extend(links),
                FileLinks::Single(single) => {
                    links += single.len();
                    single::close(single);
                }
            }
        }
        links += multi::close(many);
        drop(state.ebpf);
        Some(Detached {
            probes,
            links,
            took: began.elapsed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_stand_before_entries_in_either_order() {
        assert!(UprobeProgram::ALL.is_sorted());
        let is_entry = |p: &UprobeProgram| match p {
            UprobeProgram::Enter | UprobeProgram::GoEnter => true,
            UprobeProgram::Exit | UprobeProgram::GoExit => false,
            // Which of them begin something, each says itself.
            UprobeProgram::Hit => true,
            // Each stands by itself.
            UprobeProgram::ContextMade | UprobeProgram::ContextEnded => true,
            UprobeProgram::GoroutineMade | UprobeProgram::GoroutineEnded => true,
        };
        assert!(UprobeProgram::ALL.is_sorted_by_key(is_entry));
    }
}
