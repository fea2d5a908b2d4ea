//! The command line as meant: defaults, environment and flags resolved into what to do.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cirron_containers::asker::Settings;
use cirron_core::DEFAULT_MAX_MEMORY_BYTES;
use cirron_core::engine::EngineConfig;
use cirron_core::rules::{Kubernetes, Removed, Ship, TargetRules};
use clap::ValueEnum as _;

use super::before::Group;
use super::environment::Environment;
use super::looking::{self, ExplainPlan, ReportPlan};
use super::lowargs::{
    CaptureArgs, Command, DirArgs, FilterArgs, IdKind, LoadArgs, LowArgs, OutputArgs, ShipArgs,
};
use super::room::room;
use super::top::TopPlan;
use super::values::{SIZE_FORM, TIME_FORM, parse_size, parse_time};
use crate::config::misspelt::{Misspelt, misspelt};
use crate::config::watch::Watch;
use crate::config::{Configuration, Sources, environment};
use crate::containers;
use crate::kernel::{Links, LoadOptions, Policy};
use crate::output::queue::{QUEUE_BYTES, queue_bytes};
use crate::output::sink::{OutputPlan, SinkKind};
use crate::output::stdout::KIND as STDOUT;
use crate::output::table::{KINDS, OutputKind};
use crate::probes::plan::Means;
use crate::probes::scopes::rule::ScopeRule;
use crate::probes::usdt::rule::Rule;
use crate::shipping::plan::ShipPlan;
use crate::shipping::worker::Part;
use crate::spool::sink::KIND as SPOOL;
use crate::spool::{DEFAULT_FLUSH_INTERVAL, DEFAULT_MAX_BYTES};
use cirron_look::export::Kind;
use cirron_look::filter::Filter;
use cirron_look::tree::{Drawing, width};
use cirron_otel::otlp::env::Environment as OtelEnvironment;
use cirron_ship::cirron::Transport;
use cirron_ship::remove::Remove;

/// Bytes of a MiB.
const MIB: u32 = 1024 * 1024;

/// Shortest flush interval. Below it the spool is mostly file names.
const MIN_FLUSH_INTERVAL: Duration = Duration::from_millis(10);

/// Shortest time between two summaries that nobody asked for: each makes the core count.
const MIN_SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// Longest; a reader waits that long for what happened.
const MAX_FLUSH_INTERVAL: Duration = Duration::from_secs(3600);

/// What to do.
#[derive(Clone, Debug)]
pub enum Todo {
    /// Watch running processes.
    Attach {
        /// Which.
        pids: Vec<u32>,
        /// How.
        capture: Capture,
    },
    /// Watch what rules choose, until it is told to end.
    Daemon {
        /// How.
        capture: Capture,
    },
    /// Start a command and watch it.
    Run {
        /// The command and its arguments.
        command: Vec<OsString>,
        /// How.
        capture: Capture,
    },
    /// Feed a recording.
    Replay {
        /// The recording.
        file: PathBuf,
        /// Ids.
        ids: IdKind,
        /// Where to.
        outputs: OutputPlan,
    },
    /// Check.
    Doctor {
        /// Processes to check as well.
        pids: Vec<u32>,
        /// Whom a daemon would ask for pods, or why it could not.
        asks: Result<Option<Settings>, String>,
        /// For the attempt to load.
        load: LoadOptions,
        /// Which probes of others would be told.
        usdt: Vec<Rule>,
        /// Which functions would be scopes.
        scopes: Vec<ScopeRule>,
    },
    /// Ask for pods, for an agent.
    AskPods,
    /// Send a spool's batches on.
    Ship {
        /// Where to.
        plan: ShipPlan,
        /// Which process this is.
        part: Part,
        /// To end when all is sent.
        once: bool,
        /// What was given up is tried again.
        again: bool,
    },
    /// Show what happens now.
    Top(TopPlan),
    /// Draw a spool.
    Tree {
        /// Its directory.
        spool_dir: PathBuf,
        /// How.
        drawing: Drawing,
        /// What of it.
        filter: Filter,
        /// And what comes.
        follow: bool,
    },
    /// Write the scopes of spools in another format.
    Export {
        /// Which.
        kind: Kind,
        /// Their directories.
        spools: Vec<PathBuf>,
        /// Into this file; else to standard output.
        to: Option<PathBuf>,
    },
    /// Write a page about spools.
    Report(ReportPlan),
    /// Explain slow requests.
    Explain(ExplainPlan),
    /// See whether a capture goes on.
    Alive {
        /// Its summary.
        file: PathBuf,
        /// How old that may be.
        within: Duration,
    },
    /// Make the files of the command line that packages have.
    Generate {
        /// Where.
        dir: PathBuf,
    },
}

/// The shortest time that `top` shows figures of: a spool has news once a second.
const MIN_WINDOW: Duration = Duration::from_secs(1);

/// How to capture.
#[derive(Clone, Debug)]
pub struct Capture {
    /// For the kernel side.
    pub load: LoadOptions,
    /// What of each target.
    pub policy: Policy,
    /// The configuration file, where one was named.
    pub config_watch: Option<Watch>,
    /// What is written of pods.
    pub kubernetes: Kubernetes,
    /// Who is asked for them, where anybody is.
    pub asks: Option<Settings>,
    /// Which processes are targets; absent where they are named.
    pub targets: Option<TargetRules>,
    /// For the engine.
    pub engine: EngineConfig,
    /// Where scopes go.
    pub outputs: OutputPlan,
    /// What the file says of sending, which holds as it was at the start.
    pub ship_section: Ship,
    /// Where the spool's batches are sent; `None`: nowhere.
    pub ship: Option<ShipPlan>,
    /// How connections inside TLS are read.
    pub tls: Means,
    /// Which probes of others are told.
    pub usdt: Vec<Rule>,
    /// Which functions are scopes.
    pub scopes: Vec<ScopeRule>,
    /// When to end.
    pub duration: Option<Duration>,
    /// The recording.
    pub record: Option<PathBuf>,
    /// The counters.
    pub summary_json: Option<PathBuf>,
    /// How often they are written; `None`: when they are asked for, and at the end.
    pub summary_interval: Option<Duration>,
}

/// What to do, and what has to be said before.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What to do.
    pub todo: Todo,
    /// Values that are not taken as they were given.
    pub warnings: Vec<String>,
}

/// Resolves; an error is one of usage, or of the configuration file, which is read here.
///
/// `names`: of all variables of the environment. `memory`: bytes that this process's cgroup allows, where it has a limit.
pub fn resolve(
    args: LowArgs,
    env: &dyn Fn(&str) -> Option<OsString>,
    names: Vec<String>,
    memory: Option<u64>,
) -> Result<Resolved, String> {
    let mut env = Environment::new(env, memory).with_names(names);
    let todo = todo(args, &mut env)?;
    Ok(Resolved {
        todo,
        warnings: env.into_warnings(),
    })
}

fn todo(args: LowArgs, env: &mut Environment<'_>) -> Result<Todo, String> {
    let LowArgs {
        pids,
        capture: before,
        verbose,
        // Answered before anything is resolved.
        version: _,
        command,
    } = args;
    let named = !pids.is_empty();
    let no_pid = |command: &str| {
        if named {
            Err(format!("--pid and `{command}` exclude each other"))
        } else {
            Ok(())
        }
    };
    match command {
        None => {
            if pids.is_empty() {
                return Err(
                    "nothing to watch: name a process with --pid PID, start one with \
                            `run -- CMD`, or look for servers with `daemon`"
                        .to_owned(),
                );
            }
            let pids: BTreeSet<u32> = pids.into_iter().collect();
            if pids.contains(&0) {
                return Err("there is no process 0".to_owned());
            }
            Ok(Todo::Attach {
                pids: pids.into_iter().collect(),
                capture: capture(before, env)?,
            })
        }
        Some(Command::Doctor {
            pids: more,
            config,
            load,
            usdt,
        }) => {
            before.refuse_all_but(&[Group::Load, Group::Probes, Group::Config], "doctor")?;
            let pids: BTreeSet<u32> = pids.into_iter().chain(more).collect();
            let usdt = usdt.or(before.usdt);
            let sources = sources(false, false, config.or(before.config), env)?;
            let configuration = sources.read().map_err(|e| e.to_string())?;
            let its = configuration.sections.kubernetes;
            Ok(Todo::Doctor {
                pids: pids.into_iter().collect(),
                asks: containers::settings::settings(&its, &|name| env.set(name), &is_there),
                load: load_options(&load.or(before.load), None, env).0,
                usdt: usdt.usdt,
                scopes: usdt.scope,
            })
        }
        Some(Command::Run {
            command,
            capture: own,
        }) => {
            no_pid("run")?;
            Ok(Todo::Run {
                command,
                capture: capture(own.or(before), env)?,
            })
        }
        Some(Command::Daemon { capture: own }) => {
            no_pid("daemon")?;
            Ok(Todo::Daemon {
                capture: daemon(own.or(before), env)?,
            })
        }
        Some(Command::AskPods) => Ok(Todo::AskPods),
        Some(Command::Replay { file, ids, output }) => {
            no_pid("replay")?;
            before.refuse_all_but(&[Group::Output, Group::Dir], "replay")?;
            let output = output.or(before.output);
            let outputs = outputs(&output, DEFAULT_FLUSH_INTERVAL, &STDOUT, env);
            Ok(Todo::Replay { file, ids, outputs })
        }
        Some(Command::Alive { file, within }) => {
            no_pid("alive")?;
            before.refuse_all_but(&[], "alive")?;
            Ok(Todo::Alive { file, within })
        }
        Some(Command::Generate { dir }) => {
            no_pid("generate")?;
            before.refuse_all_but(&[], "generate")?;
            Ok(Todo::Generate { dir })
        }
        Some(Command::Ship {
            once,
            again,
            part,
            restarts: _,
            ship,
            dir,
        }) => {
            no_pid("ship")?;
            before.refuse_all_but(&[Group::Dir, Group::Ship], "ship")?;
            let dir = output_dir(&dir.or(before.output.dir), env);
            let plan = ship_plan(dir, &ship.or(before.ship), &Ship::default(), env)?;
            if !plan.has_destination() {
                return Err(
                    "nowhere to ship to: set CIRRON_API_KEY to upload to Cirron, CIRRON_RUN_ID for lines on standard output, or \
                     OTEL_EXPORTER_OTLP_ENDPOINT for a collector; or give --metrics-listen"
                        .to_owned(),
                );
            }
            Ok(Todo::Ship {
                plan,
                part,
                once,
                again,
            })
        }
        Some(Command::Top {
            pids: more,
            window,
            once,
            json,
            dir,
        }) => {
            before.refuse_all_but(&[Group::Dir], "top")?;
            let pids: BTreeSet<u32> = pids.into_iter().chain(more).collect();
            let dir = dir.or(before.output.dir);
            if !pids.is_empty() && dir.output_dir.is_some() {
                return Err("top --pid keeps no spool: leave --output-dir out".to_owned());
            }
            let named = dir.output_dir.is_some();
            let spool_dir = output_dir(&dir, env).join("spool");
            Ok(Todo::Top(TopPlan {
                pids: pids.into_iter().collect(),
                spool_dir: named.then(|| spool_dir.clone()),
                default_dir: spool_dir,
                window: window.max(MIN_WINDOW),
                once,
                json,
                color: env.set("NO_COLOR").is_none()
                    && env.set("TERM").is_some_and(|term| term != "dumb"),
            }))
        }
        Some(Command::Tree {
            limit,
            filter,
            follow,
            dir,
        }) => {
            no_pid("tree")?;
            before.refuse_all_but(&[Group::Dir], "tree")?;
            Ok(Todo::Tree {
                spool_dir: output_dir(&dir.or(before.output.dir), env).join("spool"),
                drawing: Drawing {
                    limit,
                    verbose: verbose > 0,
                    width: width(),
                },
                filter: self::filter(filter),
                follow,
            })
        }
        Some(Command::Report(args)) => {
            no_pid("report")?;
            before.refuse_all_but(&[Group::Dir], "report")?;
            Ok(Todo::Report(args.plan(output_dir(&before.output.dir, env))))
        }
        Some(Command::Explain(args)) => {
            no_pid("explain")?;
            before.refuse_all_but(&[Group::Dir], "explain")?;
            Ok(Todo::Explain(
                args.plan(output_dir(&before.output.dir, env)),
            ))
        }
        Some(Command::Export { format, spools, to }) => {
            no_pid("export")?;
            before.refuse_all_but(&[Group::Dir], "export")?;
            Ok(Todo::Export {
                kind: format,
                spools: looking::spools(spools, output_dir(&before.output.dir, env)),
                to: to.filter(|path| path.as_os_str() != "-"),
            })
        }
    }
}

fn filter(args: FilterArgs) -> Filter {
    let now = crate::clock::wall_now_ns();
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Filter {
        slower_than_ns: args.slow.map(ns),
        status: args.status,
        model: args.model,
        since_ns: args.since.map(|when| when.wall_ns(now)),
    }
}

/// What `CIRRON_TLS` says.
fn tls_means(env: &mut Environment<'_>) -> Means {
    let parse = |text: &str| Means::from_str(text, false).ok();
    let form = "auto, plaintext or secrets";
    env.parsed("CIRRON_TLS", parse, form, (Means::default(), "auto"))
}

/// One whose targets are found.
fn daemon(args: CaptureArgs, env: &mut Environment<'_>) -> Result<Capture, String> {
    let (capture, targets) = configured(args, env)?;
    Ok(Capture {
        targets: Some(targets),
        load: LoadOptions {
            tells_listeners: true,
            ..capture.load
        },
        ..capture
    })
}

/// One whose targets are named.
fn capture(args: CaptureArgs, env: &mut Environment<'_>) -> Result<Capture, String> {
    Ok(configured(args, env)?.0)
}

fn is_there(path: &Path) -> bool {
    path.exists()
}

/// What is configured, unless a variable looks like a key and is none.
fn sources(
    chunk_timing: bool,
    net_scopes: bool,
    file: Option<PathBuf>,
    env: &mut Environment<'_>,
) -> Result<Sources, String> {
    let Misspelt { refused, warnings } = misspelt(env.names());
    warnings.into_iter().for_each(|text| env.warn(text));
    if !refused.is_empty() {
        return Err(refused.join("\n"));
    }
    Ok(Sources {
        chunk_timing,
        net_scopes,
        environment: environment::layer(&|name| env.set(name)),
        file,
    })
}

/// And which processes would be targets, where nobody named any.
fn configured(
    args: CaptureArgs,
    env: &mut Environment<'_>,
) -> Result<(Capture, TargetRules), String> {
    let sources = sources(args.chunk_timing, args.net_scopes, args.config, env)?;
    let config_watch = Watch::new(&sources);
    let Configuration {
        rules,
        targets,
        sections,
    } = sources.read().map_err(|e| e.to_string())?;
    let asked =
        containers::settings::settings(&sections.kubernetes, &|name| env.set(name), &is_there)?;
    let interval = flush_interval(args.flush_interval, env);
    let max_memory = args
        .max_memory
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let (load, max_memory) = load_options(&args.load, max_memory, env);
    let outputs = OutputPlan {
        queue_bytes: queue_bytes(max_memory.unwrap_or(DEFAULT_MAX_MEMORY_BYTES)),
        ..outputs(&args.output, interval, &SPOOL, env)
    };
    let capture = Capture {
        load,
        ship: match args.no_ship || sections.ship.enabled == Some(false) {
            true => None,
            false => {
                let args = (&args.output.dir, &args.ship);
                shipped_by_the_agent(&outputs, args, &sections.ship, env)
            }
        },
        ship_section: sections.ship,
        config_watch,
        kubernetes: sections.kubernetes,
        asks: asked,
        targets: None,
        policy: Policy {
            children: !args.no_children,
            ..Policy::default()
        },
        engine: EngineConfig {
            rules,
            max_memory_bytes: max_memory,
        },
        outputs,
        tls: args.tls.unwrap_or_else(|| tls_means(env)),
        usdt: args.usdt.usdt,
        scopes: args.usdt.scope,
        duration: args.duration,
        record: args.record,
        summary_json: args.summary_json,
        summary_interval: args.summary_interval.map(|t| t.max(MIN_SUMMARY_INTERVAL)),
    };
    Ok((capture, targets))
}

/// `CIRRON_UPROBE_LINKS=single` makes one link for each place, as on kernels that know no other:
/// for the tests and for comparing, and no option of ours.
///
/// With them, what the core may hold: both are made to fit into what the cgroup allows.
fn load_options(
    args: &LoadArgs,
    max_memory: Option<usize>,
    env: &mut Environment<'_>,
) -> (LoadOptions, Option<usize>) {
    let links = env.parsed(
        "CIRRON_UPROBE_LINKS",
        |text| (text == "single").then_some(Links::Single),
        "single",
        (Links::Fewest, "the fewest links"),
    );
    // Read where the probes are put; what it is not is said here.
    let places = |text: &str| (text == "symbol").then_some(());
    env.parsed(
        "CIRRON_TLS_PLACES",
        places,
        "symbol",
        ((), "the cheapest place"),
    );
    let ring = args.ring_mib.map(|mib| {
        let taken = mib.next_power_of_two();
        if taken != mib {
            env.warn(format!(
                "--ring-mib {mib}: the size of a ring is a power of two; {taken} is taken"
            ));
        }
        taken.saturating_mul(MIB)
    });
    let (room, said) = room(env.memory(), ring, max_memory);
    said.into_iter().for_each(|said| env.warn(said));
    let load = LoadOptions {
        ring_bytes: room.ring_bytes,
        halvings: room.halvings,
        links,
        tells_listeners: false,
    };
    (load, room.max_memory)
}

/// Where to ship to from `output_dir`: by flags, variables and the file's `section`, in this order.
fn ship_plan(
    output_dir: PathBuf,
    args: &ShipArgs,
    section: &Ship,
    env: &Environment<'_>,
) -> Result<ShipPlan, String> {
    let said: Vec<(&'static str, String)> = section
        .variables()
        .filter(|(name, _)| env.set(name).is_none())
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    let text = |name: &str| match env.set(name) {
        // A key that is no text is none that a header may have; what else is wrong with it is said.
        Some(value) => Some(value.to_string_lossy().into_owned()),
        None => said
            .iter()
            .find(|(its, _)| *its == name)
            .map(|(_, value)| value.clone()),
    };
    let listen = match (args.metrics_listen, &section.metrics_listen) {
        (Some(address), _) => Some(address),
        (None, Some(address)) => Some(cirron_otel::destinations::parse_listen(address)?),
        (None, None) => None,
    };
    let remove = args
        .ship_remove
        .or(section.remove.map(|removed| match removed {
            Removed::Never => Remove::Never,
            Removed::AfterSeconds(seconds) => Remove::After(Duration::from_secs(seconds)),
        }));
    Ok(ShipPlan {
        output_dir,
        cirron: Transport::choose(&text).map_err(|e| e.to_string())?,
        otel: cirron_otel::destinations::Plan::new(&OtelEnvironment(&text), listen)
            .map_err(|e| e.to_string())?,
        remove: remove.unwrap_or_default(),
        variables: said,
    })
}

/// The same, of a capture: what is wrong with the environment is said, and nothing is shipped.
fn shipped_by_the_agent(
    outputs: &OutputPlan,
    (dir, args): (&DirArgs, &ShipArgs),
    section: &Ship,
    env: &mut Environment<'_>,
) -> Option<ShipPlan> {
    let plan = ship_plan(output_dir(dir, env), args, section, env);
    match plan {
        Ok(plan) if !plan.has_destination() => None,
        Ok(_) if outputs.spool_dir.is_none() => {
            env.warn("nothing is shipped without a spool; --output spool makes one".to_owned());
            None
        }
        Ok(plan) => Some(plan),
        Err(e) => {
            env.warn(format!("nothing is shipped: {e}"));
            None
        }
    }
}

/// Where the spool is, as typed before or behind a command.
pub fn output_dir_of(
    args: &LowArgs,
    dir: &DirArgs,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> PathBuf {
    let dir = dir.clone().or(args.capture.output.dir.clone());
    output_dir(&dir, &Environment::new(env, None))
}

fn output_dir(args: &DirArgs, env: &Environment<'_>) -> PathBuf {
    args.output_dir
        .clone()
        .or_else(|| env.set("CIRRON_OUTPUT_DIR").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("./.cirron"))
}

/// The SDK takes a number of seconds as Python writes them; we take a time as well.
fn flush_interval(flag: Option<Duration>, env: &mut Environment<'_>) -> Duration {
    let name = "CIRRON_FLUSH_INTERVAL";
    let python = |text: &str| {
        let seconds = text
            .parse::<f64>()
            .ok()
            .filter(|s| s.is_finite() && *s > 0.0)?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    };
    let parse = |text: &str| python(text).or_else(|| parse_time(text));
    let (asked, name) = match flag {
        Some(asked) => (asked, "--flush-interval"),
        None => {
            let default = (DEFAULT_FLUSH_INTERVAL, "1s");
            (env.parsed(name, parse, TIME_FORM, default), name)
        }
    };
    let taken = asked.clamp(MIN_FLUSH_INTERVAL, MAX_FLUSH_INTERVAL);
    if taken != asked {
        env.warn(format!(
            "{name} is not from {MIN_FLUSH_INTERVAL:?} to {MAX_FLUSH_INTERVAL:?}; {taken:?} is taken"
        ));
    }
    taken
}

/// Says which values of sudo's tell no user: then files stay the agent's.
fn check_owner(env: &mut Environment<'_>) {
    let number = |text: &str| text.parse::<u32>().ok().map(drop);
    for name in ["SUDO_UID", "SUDO_GID"] {
        env.parsed(name, number, "a number", ((), "the agent's own user"));
    }
}

fn outputs(
    args: &OutputArgs,
    flush_interval: Duration,
    default: &'static SinkKind,
    env: &mut Environment<'_>,
) -> OutputPlan {
    let asked = if args.output.is_empty() {
        &[OutputKind::Sink(default)][..]
    } else {
        &args.output
    };
    let none = asked.contains(&OutputKind::None);
    let has = |kind: &&'static SinkKind| !none && asked.contains(&OutputKind::Sink(kind));
    let kinds: Vec<_> = KINDS.iter().copied().filter(has).collect();
    let has_spool = kinds.contains(&&SPOOL);
    if has_spool {
        check_owner(env);
    }
    OutputPlan {
        spool_dir: has_spool.then(|| output_dir(&args.dir, env).join("spool")),
        kinds,
        flush_interval,
        queue_bytes: QUEUE_BYTES,
        spool_max_bytes: match args.spool_max_bytes {
            Some(bytes) => bytes,
            // Where there is no spool, there is nothing to say of its size.
            None if !has_spool => DEFAULT_MAX_BYTES,
            None => env.parsed(
                "CIRRON_SPOOL_MAX_BYTES",
                parse_size,
                SIZE_FORM,
                (DEFAULT_MAX_BYTES, "1GB"),
            ),
        },
    }
}

#[cfg(test)]
#[path = "hiargs_tests.rs"]
mod tests;
