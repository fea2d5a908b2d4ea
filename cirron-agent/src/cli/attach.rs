//! `--pid` and `run`: preflight, load, attach, capture, summary.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use cirron_core::engine::ProcessFacts;
use rustix::process::Pid;

use super::command::Held;
use super::exit::Exit;
use super::hiargs::Capture;
use super::status::{SoFar, Status};
use super::summary_file::SummaryFile;
use super::{Failed, open_scopes, say};
use crate::clock;
use crate::discovery::facts::{base_name, wanted};
use crate::discovery::owner::Owner;
use crate::discovery::{Procfs, facts, short_name};
use crate::driver;
use crate::driver::Report;
use crate::driver::attacher::Attacher;
use crate::driver::core::{Core, Idle};
use crate::driver::counts::Counts;
use crate::driver::helper::Helper;
use crate::driver::leases::Leases;
use crate::driver::pending::{Mapped, Pending};
use crate::driver::searcher::{MAX_ASKED, Searcher};
use crate::driver::summary::{Detach, Summary};
use crate::driver::supervise::{Supervisor, restore_signals};
use crate::driver::unread::Unread;
use crate::files::Users;
use crate::files::place::Place;
use crate::ids::Uuid4Ids;
use crate::kernel::{Kernel, Reader, Uprobes};
use crate::output::outputs::Outputs;
use crate::output::sink::Opening;
use crate::preflight::{self, report};
use crate::privileges::Rights;
use crate::probes::place::Choice;
use crate::record::writer::Recorder;
use crate::spool::stamp::LiveStamp;

/// Watches running processes.
pub fn attach(pids: &[u32], capture: &Capture) -> Result<Exit, Failed> {
    check(pids)?;
    let mut session = OpenCapture::open(capture, rights(capture, false))?;
    let explicit: Vec<ProcessFacts> = pids
        .iter()
        .map(|pid| facts(*pid).ok_or_else(|| gone(*pid)))
        .collect::<Result<_, _>>()?;
    let children = session
        .core
        .attach(&explicit, &Procfs)
        .map_err(|e| match pids {
            // Of several that may be any; the kernel side says which.
            [pid] if facts(*pid).is_none() => gone(*pid),
            _ => Failed {
                exit: Exit::CannotAttach,
                error: e,
            },
        })?;
    session.look_into_libraries();
    let names: Vec<String> = pids.iter().map(|pid| named(*pid)).collect();
    session.say_attached(&names.join(", "), children, "Ctrl-C stops");
    session.capture(None)?;
    Ok(Exit::Ok)
}

/// Starts a command and watches it.
pub fn run(command: &[OsString], capture: &Capture) -> Result<Exit, Failed> {
    check(&[])?;
    let mut session = OpenCapture::open(capture, rights(capture, true))?;
    let name = command
        .first()
        .map(|program| program.to_string_lossy())
        .unwrap_or_default();
    let held = Held::fork(command)?;
    let pid = held.pid();
    // What it will be after its exec: the environment is ours, the program the command's.
    let own = std::fs::read("/proc/self/environ").unwrap_or_default();
    let facts = ProcessFacts {
        tgid: pid,
        explicit: true,
        env: wanted(&own),
        exe: base_name(&name),
        blind: Vec::new(),
    };
    session
        .core
        .attach(&[facts], &Procfs)
        .map_err(|error| Failed {
            exit: Exit::CannotAttach,
            error,
        })?;
    // It may be over in a moment: what it will map is looked at before.
    if let Some(program) = command.first() {
        session.attacher.look_ahead(pid, program);
    }
    session.say_attached(
        &format!("pid {pid} ({name})"),
        0,
        "it ends with the command",
    );
    let started = held.release()?;
    session.capture(i32::try_from(pid).ok().and_then(Pid::from_raw))?;
    if !started.has_ended() {
        // A second Ctrl-C or --duration ended the capture; the command goes on without us.
        restore_signals();
        say(&format!("pid {pid} still runs, and is waited for"));
    }
    Ok(started.exit(&name)?)
}

/// `CIRRON_TLS_PLACES=symbol` puts the probes in TLS libraries where others put them: for
/// `cargo xtask bench overhead --tls`, and no option of ours.
fn choice() -> Choice {
    match std::env::var_os("CIRRON_TLS_PLACES") {
        Some(value) if value == "symbol" => Choice::Plain,
        Some(_) | None => Choice::Cheapest,
    }
}

fn check(pids: &[u32]) -> Result<(), Failed> {
    let checks = preflight::all(pids);
    let Some(text) = report::missing(&checks) else {
        return Ok(());
    };
    let exit = if report::only_targets_missing(&checks) {
        Exit::NoSuchProcess
    } else {
        Exit::CannotAttach
    };
    Err(Failed {
        exit,
        error: anyhow!(text),
    })
}

fn gone(pid: u32) -> Failed {
    Failed {
        exit: Exit::NoSuchProcess,
        error: anyhow!("process {pid} ended before it could be attached to"),
    }
}

fn named(pid: u32) -> String {
    short_name(pid).map_or_else(
        || format!("pid {pid}"),
        |name| format!("pid {pid} ({name})"),
    )
}

/// What the threads that look into libraries share with the others.
#[derive(Default)]
struct Libraries {
    leases: Leases,
    counts: Arc<Counts>,
    pending: Pending,
}

impl Libraries {
    /// Of a report, with what was not done with the files of targets.
    fn summary(&self, report: &Report, duration_s: f64, spool_dir: Option<&Path>) -> Summary {
        let mut summary = Summary::from_report(report, duration_s, spool_dir);
        summary.take_libraries(&self.counts, &self.pending);
        summary
    }

    /// The thread that searches for libraries that cannot be read, and who asks it.
    fn search(&self) -> (Unread, Helper) {
        let (ask, asked) = std::sync::mpsc::sync_channel(MAX_ASKED);
        let (tell, found) = std::sync::mpsc::channel();
        let searcher = Searcher::new(self.leases.clone(), Arc::clone(&self.counts), tell);
        let helper = Helper::new("search", move || searcher.run(&asked));
        (Unread::new(ask, found, Arc::clone(&self.counts)), helper)
    }
}

/// What is kept while a capture runs.
fn rights(capture: &Capture, command: bool) -> Rights {
    let paths = [&capture.outputs.spool_dir, &capture.summary_json];
    let paths: Vec<&Path> = paths
        .into_iter()
        .filter_map(|path| path.as_deref())
        .collect();
    Rights::needed(&paths, Users::of_this_process(), command)
}

/// Everything that is needed to capture, opened.
struct OpenCapture<'a> {
    capture: &'a Capture,
    supervisor: Supervisor,
    core: Core,
    attacher: Attacher,
    libraries: Libraries,
    uprobes: Uprobes,
    reader: Reader,
    outputs: Outputs,
    rights: Rights,
    summary_file: Option<SummaryFile>,
}

impl<'a> OpenCapture<'a> {
    /// The programs first, which capture nothing without a target: where they are refused, no file
    /// is made and none is emptied.
    fn open(capture: &'a Capture, rights: Rights) -> Result<OpenCapture<'a>, Failed> {
        let users = Users::of_this_process();
        let at = |path| Place::look(path, users).with_context(|| cannot("recording", path, "made"));
        let record_at = capture.record.as_deref().map(at).transpose()?;
        let prepare = |path| {
            SummaryFile::prepare(path, users, rights)
                .with_context(|| cannot("summary", path, "written"))
        };
        let summary_file = capture.summary_json.as_deref().map(prepare).transpose()?;
        let mut kernel = Kernel::load(&capture.load).map_err(|e| Failed {
            exit: Exit::CannotAttach,
            error: anyhow!("cannot attach: {e}"),
        })?;
        for row in kernel.verdicts() {
            tracing::info!("probe {}: {} {}", row.name, row.verdict, row.detail);
        }
        let reader = kernel.take_reader().context("the ring has no reader")?;
        let uprobes = kernel.take_uprobes().context("the programs are gone")?;
        if !uprobes.is_loaded() {
            let why = kernel.verdicts().iter().find(|row| row.name == "uprobes");
            say(&format!(
                "warning: the kernel refuses to look inside TLS libraries, HTTPS is not read: {}",
                why.map_or("", |row| &row.detail)
            ));
        }
        let outputs = Outputs::open(&Opening {
            plan: &capture.outputs,
            owner: Owner::of_this_process(),
            stamp: || Box::new(LiveStamp),
        })?;
        let recorder = capture
            .record
            .as_deref()
            .zip(record_at)
            .map(|(path, place)| {
                Recorder::create(&place).with_context(|| cannot("recording", path, "made"))
            })
            .transpose()?;
        let supervisor = Supervisor::new()?;
        let libraries = Libraries::default();
        let mut core = Core::new(
            capture.engine.clone(),
            Box::new(Uuid4Ids),
            Box::new(kernel),
            Arc::clone(&libraries.counts),
            capture.policy,
            Idle::Ends,
            recorder,
        );
        core.set_attacher(libraries.pending.clone(), libraries.leases.clone());
        Ok(OpenCapture {
            capture,
            supervisor,
            core,
            attacher: Attacher::new(
                uprobes.clone(),
                libraries.leases.clone(),
                Arc::clone(&libraries.counts),
                choice(),
            ),
            libraries,
            uprobes,
            reader,
            outputs,
            rights,
            summary_file,
        })
    }

    /// Before anybody is told that we are attached. What takes long is left to the attach thread.
    fn look_into_libraries(&mut self) {
        for tgid in self.core.targets() {
            if !self.attacher.look(tgid) {
                let at = clock::now();
                self.libraries.pending.push(Mapped { tgid, at });
            }
        }
    }

    fn say_attached(&self, whom: &str, children: usize, how_it_ends: &str) {
        let children = match children {
            0 => String::new(),
            1 => ", 1 child".to_owned(),
            n => format!(", {n} children"),
        };
        let to = self.capture.outputs.spool_dir.as_ref().map_or_else(
            || "no spool".to_owned(),
            |path| format!("writing {}", path.display()),
        );
        say(&format!(
            "attached to {whom}{children}; {to}; {how_it_ends}"
        ));
    }

    fn capture(self, command: Option<Pid>) -> anyhow::Result<()> {
        let OpenCapture {
            capture,
            supervisor,
            mut core,
            attacher,
            libraries,
            uprobes,
            reader,
            outputs,
            rights,
            summary_file,
        } = self;
        // No thread of ours runs while a command is forked.
        let (unread, search) = libraries.search();
        core.set_unread(unread);
        let pending = libraries.pending.clone();
        let attach = Helper::new("attach", move || attacher.run(&pending));
        let began = Instant::now();
        let running = driver::start(
            core,
            Box::new(reader),
            Box::new(Procfs),
            outputs,
            capture.outputs.flush_interval,
            rights,
            vec![attach, search],
        )?;
        let libraries = Arc::new(libraries);
        let status = {
            let inquiry = running.inquiry();
            let libraries = Arc::clone(&libraries);
            let spool_dir = capture.outputs.spool_dir.clone();
            let so_far = move || {
                let report = inquiry.report()?;
                let duration_s = began.elapsed().as_secs_f64();
                Ok(SoFar {
                    summary: libraries.summary(&report, duration_s, spool_dir.as_deref()),
                    open: inquiry.open_scopes(open_scopes::MAX_LINES)?,
                    at: clock::now(),
                })
            };
            Status::start(so_far, summary_file.clone(), rights)
                .context("the status thread cannot be started")?
        };
        rights.settle();
        let watched = supervisor.watch(running, capture.duration, command, || status.ask())?;
        let Some(report) = watched else {
            // By us, all at the same time: at our exit the kernel closes one link after the other.
            uprobes.detach();
            return Err(anyhow!("the threads did not end; what they held is lost"));
        };
        let spool_dir = capture.outputs.spool_dir.as_deref();
        let duration_s = began.elapsed().as_secs_f64();
        // Said first: on kernels before 6.6 detaching takes seconds.
        let mut summary = libraries.summary(&report, duration_s, spool_dir);
        say(&summary.line());
        summary.detach = uprobes.detach().map(Detach::new);
        if let Some(detach) = &summary.detach {
            tracing::info!("{detach}");
        }
        if let Some((file, path)) = summary_file.zip(capture.summary_json.as_deref()) {
            file.write(&summary)
                .with_context(|| cannot("summary", path, "written"))?;
        }
        report.failure.map_or(Ok(()), Err)
    }
}

fn cannot(what: &str, path: &Path, done: &str) -> String {
    format!("the {what} {} cannot be {done}", path.display())
}
