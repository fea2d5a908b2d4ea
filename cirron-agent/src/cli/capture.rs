//! A capture from its opening to its summary: what `--pid` and `run` have in common.
//!
//! ```text
//! open: programs, files, outputs --start()--> threads run, no target yet --add(), add_held()--> targets
//!                                                  | give_up(): refused          | finish(): signals, end, summary
//! ```
//! Nothing is captured before a process is a target, and no process becomes one but by the commands of the core
//! ([`crate::driver::command`]). Which processes those are is [`super::attach`]'s matter.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use cirron_core::engine::ProcessFacts;
use cirron_top::live::MAX_OPEN;
use rustix::process::Pid;
use serde::Serialize;

use super::exit::Exit;
use super::hiargs::Capture;
use super::status::Status;
use super::summary_file::SummaryFile;
use super::{Failed, open_scopes, say};
use crate::clock;
use crate::containers::helper::Finding;
use crate::containers::settings::change;
use crate::containers::{Containers, asker};
use crate::control::{self, Control};
use crate::discovery::Procfs;
use crate::discovery::owner::Owner;
use crate::driver::attacher::Attacher;
use crate::driver::command::{Commands, Unanswered};
use crate::driver::contexts::{Calibrator, Contexts};
use crate::driver::core::Core;
use crate::driver::counts::Counts;
use crate::driver::helper::Helper;
use crate::driver::leases::Leases;
use crate::driver::listeners::listeners;
use crate::driver::pending::Pending;
use crate::driver::ruled::{Ruled, Rules};
use crate::driver::searcher::{MAX_ASKED, Searcher};
use crate::driver::specs::Specs;
use crate::driver::stop::Reason;
use crate::driver::summary::{Detach, SoFar, Summary};
use crate::driver::supervise::{Asks, Hangup, Supervisor};
use crate::driver::unread::Unread;
use crate::driver::{self, Inquiry, Report, Running};
use crate::files::Users;
use crate::files::place::Place;
use crate::ids::Uuid4Ids;
use crate::kernel::{Kernel, Reader, Uprobes};
use crate::output::outputs::Outputs;
use crate::output::sink::Opening;
use crate::privileges::Rights;
use crate::probes::place::Choice;
use crate::record::writer::Recorder;
use crate::shipping::child::{Feed, ShipChild};
use crate::spool::stamp::LiveStamp;
use crate::targets::finder::Finder;

/// Time until we say that we are attached, though a library is still looked at: a process is looked at for two seconds
/// at once, and most for a tenth of one.
const FIRST_LOOKS: Duration = Duration::from_secs(20);

/// `CIRRON_TLS_PLACES=symbol` puts the probes in TLS libraries where others put them: for
/// `cargo xtask bench overhead --tls`, and no option of ours.
fn choice() -> Choice {
    match std::env::var_os("CIRRON_TLS_PLACES") {
        Some(value) if value == "symbol" => Choice::Plain,
        Some(_) | None => Choice::Cheapest,
    }
}

/// What the threads that look into libraries share with the others.
#[derive(Default)]
struct Libraries {
    leases: Leases,
    counts: Arc<Counts>,
    pending: Pending,
    rules: Rules,
}

impl Libraries {
    /// Of a report, with what was not done with the files of targets.
    fn summary(&self, report: &Report, duration_s: f64, spool_dir: Option<&Path>) -> Summary {
        let mut summary = Summary::from_report(report, duration_s, spool_dir);
        summary.take_libraries(&self.counts, &self.pending);
        summary
    }

    /// What is known of containers, and the thread that finds it out. The process that asks for pods is started here.
    fn containers(&self, capture: &Capture) -> anyhow::Result<(Containers, Helper)> {
        let containers = Containers::new(capture.kubernetes.clone(), Arc::clone(&self.counts));
        // A configuration that changes may name somebody later on, when no process may be started any more.
        let asks = capture.asks.as_ref();
        let may_ask = asks.is_some() || capture.config_watch.is_some();
        let asker = may_ask.then(asker::start).transpose()?;
        let finding = Finding::new(containers.clone(), asker, asks, Arc::clone(&self.counts));
        Ok((containers, Helper::new("containers", move || finding.run())))
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

impl Capture {
    /// Says what is done, where to, and how it ends.
    pub fn say_begun(&self, what: &str, how_it_ends: &str) {
        let to = self.outputs.spool_dir.as_ref().map_or_else(
            || "no spool".to_owned(),
            |path| format!("writing {}", path.display()),
        );
        say(&format!("{what}; {to}; {how_it_ends}"));
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
pub struct OpenCapture<'a> {
    capture: &'a Capture,
    supervisor: Supervisor,
    core: Core,
    attacher: Attacher,
    libraries: Libraries,
    uprobes: Uprobes,
    reader: Reader,
    outputs: Outputs,
    ship: Option<ShipChild>,
    rights: Rights,
    summary_file: Option<SummaryFile>,
    containers: Containers,
    find_containers: Helper,
    control: Option<Control>,
}

impl<'a> OpenCapture<'a> {
    /// The programs first, which capture nothing without a target: where they are refused, no file
    /// is made and none is emptied. `command`: one is to be started.
    pub fn open(capture: &'a Capture, command: bool) -> Result<OpenCapture<'a>, Failed> {
        let rights = rights(capture, command);
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
        let rights = match uprobes.opens_events() {
            true => rights.with_events(),
            false => rights,
        };
        let outputs = Outputs::open(&Opening {
            plan: &capture.outputs,
            owner: Owner::of_this_process(),
            stamp: || Box::new(LiveStamp),
        })?;
        // There is a spool now, and programs may be started still.
        let ship = capture.ship.as_ref().map(ShipChild::start).transpose();
        let ship = ship.context("the process that ships cannot be started")?;
        let recorder = capture
            .record
            .as_deref()
            .zip(record_at)
            .map(|(path, place)| {
                Recorder::create(&place).with_context(|| cannot("recording", path, "made"))
            })
            .transpose()?;
        let supervisor = Supervisor::new()?;
        let control = Control::open(&control::dir())
            .inspect_err(|e| tracing::info!("no socket for `top`: {e}"))
            .ok();
        let libraries = Libraries {
            rules: Rules::new(capture.usdt.clone(), capture.scopes.clone()),
            ..Libraries::default()
        };
        let (containers, find_containers) = libraries.containers(capture)?;
        let specs = Specs::default();
        let mut core = Core::new(
            capture.engine.clone(),
            Box::new(Uuid4Ids),
            Box::new(kernel),
            Arc::clone(&libraries.counts),
            recorder,
        );
        core.set_containers(containers.clone());
        core.set_attacher(
            libraries.pending.clone(),
            libraries.leases.clone(),
            specs.clone(),
        );
        Ok(OpenCapture {
            capture,
            supervisor,
            core,
            attacher: Attacher::new(
                uprobes.clone(),
                libraries.leases.clone(),
                Arc::clone(&libraries.counts),
                (choice(), capture.tls),
                Ruled::new(libraries.rules.clone(), specs),
            ),
            libraries,
            uprobes,
            reader,
            outputs,
            ship,
            rights,
            summary_file,
            containers,
            find_containers,
            control,
        })
    }

    /// Looks at what a command will map that is about to start as process `pid`.
    pub fn look_ahead(&mut self, pid: u32, program: &OsStr) {
        self.attacher.look_ahead(pid, program);
    }

    /// Starts the threads. There is no target yet.
    pub fn start(self) -> anyhow::Result<Capturing<'a>> {
        let OpenCapture {
            capture,
            supervisor,
            mut core,
            attacher,
            libraries,
            uprobes,
            reader,
            outputs,
            ship,
            rights,
            summary_file,
            containers,
            find_containers,
            control,
        } = self;
        let heard = capture.targets.as_ref().map(|rules| {
            let (listeners, heard) = listeners();
            core.set_listeners(listeners);
            (heard, rules.clone())
        });
        let (unread, search) = libraries.search();
        core.set_unread(unread);
        let pending = libraries.pending.clone();
        let attach = Helper::new("attach", move || attacher.run(&pending));
        let contexts = Contexts::default();
        core.set_contexts(contexts.clone());
        let calibrator = Calibrator::new(contexts, uprobes.clone(), Arc::clone(&libraries.counts));
        let calibrate = Helper::new("contexts", move || calibrator.run());
        let running = driver::start(
            core,
            Box::new(reader),
            Box::new(Procfs),
            outputs,
            capture.outputs.flush_interval,
            rights,
            vec![attach, search, calibrate, find_containers],
        )?;
        let new_targets = match heard {
            None => None,
            Some((heard, rules)) => {
                let (commands, counts) = (running.commands(), Arc::clone(&libraries.counts));
                let known = containers.clone();
                let (finder, new_rules) =
                    Finder::new(commands, capture.policy, rules, heard, known, counts);
                Helper::new("find", move || finder.run()).start(&running.stop(), rights)?;
                Some(new_rules)
            }
        };
        let reload = match capture.config_watch.clone() {
            None => None,
            Some(watch) => {
                let commands = running.commands();
                let kubernetes = Mutex::new(capture.kubernetes.clone());
                let ship_section = capture.ship_section.clone();
                let (helper, reload) = watch.helper(move |configuration| {
                    if configuration.sections.ship != ship_section {
                        say("warning: [ship] is read at the start, and holds as it was
  start the agent again");
                    }
                    commands.set_rules(configuration.rules)?;
                    change(configuration.sections.kubernetes, &kubernetes, &containers);
                    if let Some(targets) = &new_targets {
                        targets.set(configuration.targets);
                    }
                    Ok(())
                });
                helper.start(&running.stop(), rights)?;
                Some(Hangup::new(reload))
            }
        };
        Ok(Capturing {
            capture,
            supervisor,
            reload,
            commands: running.commands(),
            running,
            libraries: Arc::new(libraries),
            uprobes,
            ship,
            rights,
            summary_file,
            control,
        })
    }
}

/// Asks a capture that runs how it stands, for whoever tells it: the log, the socket, the process that ships.
#[derive(Clone)]
struct Standing {
    inquiry: Inquiry,
    libraries: Arc<Libraries>,
    began: Instant,
}

impl Standing {
    fn summary(&self, spool_dir: Option<&Path>) -> Result<Summary, Unanswered> {
        let report = self.inquiry.report()?;
        let duration_s = self.began.elapsed().as_secs_f64();
        Ok(self.libraries.summary(&report, duration_s, spool_dir))
    }

    /// For the process that ships; none where the core does not answer.
    fn status(&self) -> Option<ShipStatus> {
        let open = self.inquiry.open_scopes(0).ok()?;
        Some(ShipStatus {
            summary: self.summary(None).ok()?,
            open: OpenCounts {
                requests: open.served,
                client_calls: open.made,
            },
        })
    }

    /// With the oldest `at_most` exchanges that go on.
    fn so_far(&self, spool_dir: Option<&Path>, at_most: usize) -> Result<SoFar, Unanswered> {
        Ok(SoFar {
            summary: self.summary(spool_dir)?,
            targets: self.inquiry.targets()?.len(),
            open: self.inquiry.open_scopes(at_most)?,
            at: clock::now(),
        })
    }
}

/// What the process that ships is told once a second.
#[derive(Serialize)]
struct ShipStatus {
    #[serde(flatten)]
    summary: Summary,
    /// What goes on.
    open: OpenCounts,
}

/// Exchanges that go on.
#[derive(Serialize)]
struct OpenCounts {
    /// Those that targets serve.
    requests: usize,
    /// Those that targets make.
    client_calls: usize,
}

/// A capture whose threads run.
pub struct Capturing<'a> {
    capture: &'a Capture,
    supervisor: Supervisor,
    reload: Option<Hangup>,
    commands: Commands,
    running: Running,
    libraries: Arc<Libraries>,
    uprobes: Uprobes,
    ship: Option<ShipChild>,
    rights: Rights,
    summary_file: Option<SummaryFile>,
    control: Option<Control>,
}

impl Capturing<'_> {
    /// Makes processes targets, and their descendants where children are followed; gives the number of those. Their
    /// libraries have been looked at when it returns; what takes long is done later. It ends with the last of them.
    pub fn add(&self, named: Vec<ProcessFacts>) -> anyhow::Result<usize> {
        let mut tgids: BTreeSet<u32> = named.iter().map(|facts| facts.tgid).collect();
        let children = self.commands.add(named, self.capture.policy, &Procfs)?;
        tgids.extend(&children);
        if !self.libraries.pending.wait_for(&tgids, FIRST_LOOKS) {
            tracing::info!("libraries are still looked at");
        }
        self.say_unmatched();
        self.commands.end_with_last_target()?;
        Ok(children.len())
    }

    /// The same of a command that is held before its exec.
    pub fn add_held(&self, facts: ProcessFacts) -> anyhow::Result<()> {
        self.commands.add_held(facts, self.capture.policy)?;
        Ok(self.commands.end_with_last_target()?)
    }

    /// Ends it before anything was captured. Gives the cause: `error`, unless a thread has failed.
    pub fn give_up(self, error: anyhow::Error) -> anyhow::Error {
        self.running.stop().request(Reason::Failure);
        let report = self.running.join();
        self.uprobes.detach();
        report.failure.unwrap_or(error)
    }

    fn say_unmatched(&self) {
        if let Some(unmatched) = self.libraries.rules.unmatched() {
            say(&format!("warning: {unmatched}"));
        }
    }

    /// Says so.
    pub fn say_attached(&self, whom: &str, children: usize, how_it_ends: &str) {
        let children = match children {
            0 => String::new(),
            1 => ", 1 child".to_owned(),
            n => format!(", {n} children"),
        };
        self.capture
            .say_begun(&format!("attached to {whom}{children}"), how_it_ends);
    }

    /// Waits for its end, and says what was captured. `command`: one that was started, which gets the signals.
    pub fn finish(self, command: Option<Pid>) -> anyhow::Result<()> {
        let Capturing {
            capture,
            supervisor,
            reload,
            commands: _,
            running,
            libraries,
            uprobes,
            ship,
            rights,
            summary_file,
            control,
        } = self;
        let began = Instant::now();
        let standing = Standing {
            inquiry: running.inquiry(),
            libraries: Arc::clone(&libraries),
            began,
        };
        let feed = match ship {
            None => None,
            Some(child) => {
                let standing = standing.clone();
                let so_far = move || serde_json::to_vec(&standing.status()?).ok();
                Some(Feed::start(child, so_far, rights).context("the status thread")?)
            }
        };
        let status = {
            let (standing, spool_dir) = (standing.clone(), capture.outputs.spool_dir.clone());
            let so_far = move || standing.so_far(spool_dir.as_deref(), open_scopes::MAX_LINES);
            let every = capture.summary_interval;
            Status::start(so_far, summary_file.clone(), every, rights)
                .context("the status thread cannot be started")?
        };
        let accepts_on = match &control {
            None => None,
            Some(control) => {
                // Whoever asks stands elsewhere.
                let spool_dir = capture.outputs.spool_dir.as_deref();
                let spool_dir = spool_dir.and_then(|path| std::path::absolute(path).ok());
                let so_far = move || standing.so_far(spool_dir.as_deref(), MAX_OPEN);
                let started = control.start(so_far, rights);
                Some(started.context("the thread of the socket cannot be started")?)
            }
        };
        rights.settle(accepts_on);
        let asks = Asks {
            status: &|| status.ask(),
            hangup: reload.as_ref(),
        };
        let watched = supervisor.watch(running, capture.duration, command, asks)?;
        let Some(report) = watched else {
            // By us, all at the same time: at our exit the kernel closes one link after the other.
            uprobes.detach();
            return Err(anyhow!("the threads did not end; what they held is lost"));
        };
        // Every batch is sealed by now.
        let shipper = feed.map(Feed::finish);
        let spool_dir = capture.outputs.spool_dir.as_deref();
        let duration_s = began.elapsed().as_secs_f64();
        // Said first: on kernels before 6.6 detaching takes seconds.
        let mut summary = libraries.summary(&report, duration_s, spool_dir);
        summary.shipper = shipper;
        say(&summary.line());
        let left_out = libraries.rules.left_out(uprobes.left_out().into_iter());
        left_out.iter().for_each(|left_out| say(left_out));
        if command.is_some()
            && let Some(unmatched) = libraries.rules.unmatched()
        {
            say(&format!("warning: {unmatched}"));
        }
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
