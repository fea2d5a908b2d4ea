//! The command line as typed. What it means is [`super::hiargs`]'s business.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use cirron_core::rules::Glob;
use cirron_look::export::Kind;
use cirron_look::filter::Status;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::looking::{ExplainArgs, ReportArgs};
use super::values::When;
use super::{text, values};
use crate::output::table::{self, OutputKind};
use crate::probes::plan::Means;
use crate::probes::scopes::rule::ScopeRule;
use crate::probes::usdt::rule::Rule;
use crate::shipping::plan::parse_remove;
use crate::shipping::worker::Part;
use cirron_otel::destinations::parse_listen;
use cirron_ship::remove::Remove;

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "cirron-agent",
    disable_version_flag = true,
    about = text::ABOUT,
    long_about = text::LONG_ABOUT,
    after_help = text::AFTER_HELP,
    after_long_help = text::AFTER_LONG_HELP,
    override_usage = text::USAGE,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct LowArgs {
    /// Watch this process, and its children
    ///
    /// May be given several times, or as a list: --pid 1,2. Numbers are those of the initial pid
    /// namespace (of the host, not of a container).
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// Of the capture.
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// Say more; twice: say much more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Print the version; with -v what the programs in it are
    #[arg(short = 'V', long)]
    pub version: bool,
    /// Without a command: attach.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Where the spool is.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct DirArgs {
    /// Where the spool is: DIR/spool [default: ./.cirron]
    ///
    /// The environment variable CIRRON_OUTPUT_DIR says the same; the flag wins.
    #[arg(short, long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

/// Where scopes go.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct OutputArgs {
    /// The spool's place.
    #[command(flatten)]
    pub dir: DirArgs,
    /// Where finished scopes go [default: spool; replay: stdout]
    ///
    /// May be given several times, or as a list: --output spool,stdout. As in the SDK, none
    /// anywhere means none.
    #[arg(long, value_name = "KIND", value_parser = table::parser(), value_delimiter = ',')]
    pub output: Vec<OutputKind>,
    /// What the spool may hold; its oldest batches go first [default: 1GB]
    ///
    /// The environment variable CIRRON_SPOOL_MAX_BYTES says the same; the flag wins.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub spool_max_bytes: Option<u64>,
}

/// What the kernel side is loaded with.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct LoadArgs {
    /// Size of the ring buffer between kernel and agent: a power of two [default: 32]
    ///
    /// Raise it when the summary says that records were dropped; lower it where memory is short.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub ring_mib: Option<u32>,
}

/// Which probes of others are told.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct UsdtArgs {
    /// Make a scope or a mark of a USDT probe: PROVIDER:PROBE=begin|end|mark[:NAME][(ARGUMENTS)]
    ///
    /// May be given several times. A `*` in PROVIDER or PROBE stands for any text. NAME is that of the scope or mark,
    /// by default the probe's. ARGUMENTS are told as attributes: a list of [ATTRIBUTE=]N[:FORM], where N is the number
    /// of the argument from 0 on, and FORM int, uint, float, bool or str (by default the number that the probe says). A
    /// mark's value is its first argument, or 1. Examples: python:gc__start=begin:gc and python:gc__done=end:gc(0);
    /// postgresql:query__start=mark:query(sql=0:str). Of each probe a process has 10000 hits a second at most; what is left
    /// out is counted. Probes of cirron-probe need no flag.
    #[arg(long, value_name = "RULE")]
    pub usdt: Vec<Rule>,
    /// Make a scope of each call of a function: IMAGE:FUNCTION[(ARGUMENTS)][=NAME]
    ///
    /// May be given several times. IMAGE is the name of the program or library, or its path; FUNCTION a symbol, a name
    /// as Rust demangles it, or +0xOFFSET in the file, of C, C++ or Rust. A `*` stands for any text. ARGUMENTS as for
    /// --usdt, by the C convention. It ends at whichever exit it takes; a function of which one is not known is refused,
    /// and that is said. Example: 'llama-server:llama_decode=decode'.
    #[arg(long, value_name = "RULE")]
    pub scope: Vec<ScopeRule>,
}

/// Where batches are sent to.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct ShipArgs {
    /// Remove batches that every destination has: never, sent, or after=TIME since they were made [default: never]
    ///
    /// One that a destination will not have stays, and whatever --spool-max-bytes says goes at any time.
    #[arg(long, value_name = "WHEN", value_parser = parse_remove)]
    pub ship_remove: Option<Remove>,
    /// Let Prometheus read metrics at this address: ADDRESS:PORT, or a port of this machine's own [default: nowhere]
    ///
    /// At /metrics; docs/metrics.md says what there is. Whoever reaches the address can read them.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_listen)]
    pub metrics_listen: Option<std::net::SocketAddr>,
}

/// How to capture.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct CaptureArgs {
    /// Leave out the target's children, those that it has and those to come
    #[arg(long)]
    pub no_children: bool,
    /// End after this time, for example 10s, 500ms, 5m, 1h30m
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// Where scopes go.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Time between two batches, or two writes of lines [default: 1s]
    ///
    /// The environment variable CIRRON_FLUSH_INTERVAL says the same; the flag wins.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub flush_interval: Option<Duration>,
    /// Read rules from FILE: what is ignored, sampled, named, and written besides
    ///
    /// TOML; docs/cirron-agent.toml has every key. They come before the rules in a target's CONFIG. A file that changes is
    /// read again within a second, and at SIGHUP; what is wrong in it is said with its line.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write a chunk_ms mark for each streamed token
    ///
    /// Whatever --config says. A target whose CONFIG says stream_chunk_timing has it without this flag.
    #[arg(long)]
    pub chunk_timing: bool,
    /// Write a net.client scope for what is done on connections that carry no HTTP: databases, caches
    ///
    /// Of connections that the target makes while it is watched: who asked, how many bytes went each way, how long it
    /// took. Contents are neither kept nor written. A rule of --config or CONFIG with net_scopes says the same of some
    /// processes.
    #[arg(long)]
    pub net_scopes: bool,
    /// How connections inside TLS are read [default: auto]
    ///
    /// By plaintext, with probes at each call of the library; or by the secrets that most libraries announce once for each
    /// connection, which cost the target nothing a call and open what its sockets carry. A connection that began before
    /// the attach is not read by secrets. `auto` takes plaintext where a library's functions have names, and secrets where
    /// they have none. docs/security.md says what is read, and what becomes of it.
    #[arg(long, value_name = "MEANS", value_enum)]
    pub tls: Option<Means>,
    /// What connections, open scopes and sessions may hold in sum [default: 64MiB]
    ///
    /// Past it, what holds much or is of least use is given up; its scope says so, and the summary counts it. What
    /// waits for an output has room for half as much, and no more than 32MiB, for each of them. The ring buffer
    /// (--ring-mib), 16 MiB of batches, and 96 MiB for the maps in the kernel and the program come on top: all in
    /// all 240 MiB by default, 144 MiB with --max-memory 16MiB --ring-mib 8. Where the cgroup allows less, the defaults
    /// are smaller, and are said.
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub max_memory: Option<u64>,
    /// The kernel side.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Send nothing anywhere, whatever the environment says
    ///
    /// Else batches are uploaded to Cirron where CIRRON_API_KEY is set, or go to standard output as lines where
    /// CIRRON_RUN_ID is, as the SDK does. A process of its own sends them; docs/shipping.md has the rest.
    #[arg(long)]
    pub no_ship: bool,
    /// What is sent.
    #[command(flatten)]
    pub ship: ShipArgs,
    /// Probes.
    #[command(flatten)]
    pub usdt: UsdtArgs,
    /// Record everything captured into FILE, for `cirron-agent replay`
    ///
    /// FILE holds all that passed by, prompts and credentials included: it is created with mode
    /// 0600. It grows as fast as the traffic.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write all counters to FILE at the end, as JSON
    ///
    /// SIGUSR1 writes those so far, in place of what is there, and says them in a line.
    #[arg(long, value_name = "FILE")]
    pub summary_json: Option<PathBuf>,
    /// Write --summary-json's file that often as well, for `cirron-agent alive`
    ///
    /// Each says what the core answers, so that an old file tells of a capture that stands still.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "summary_json")]
    pub summary_interval: Option<Duration>,
}

/// The commands besides attaching.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start a command and watch it from its first byte
    #[command(after_help = text::RUN_AFTER_HELP)]
    Run {
        /// Of the capture.
        #[command(flatten)]
        capture: Box<CaptureArgs>,
        /// The command and its arguments
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CMD"
        )]
        command: Vec<OsString>,
    },
    /// Find servers by rules and watch them, until it is told to end
    #[command(after_help = text::DAEMON_AFTER_HELP)]
    Daemon {
        /// Of the capture.
        #[command(flatten)]
        capture: Box<CaptureArgs>,
    },
    /// Feed a recording to the engine again; needs no rights
    #[command(after_help = text::REPLAY_AFTER_HELP)]
    Replay {
        /// What --record wrote
        file: PathBuf,
        /// How ids are made
        #[arg(long, value_enum, default_value = "uuid")]
        ids: IdKind,
        /// Where scopes go.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Check whether this machine allows attaching, without attaching to anything
    Doctor {
        /// Check this process as well
        #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
        pids: Vec<u32>,
        /// Whom a daemon with this configuration would ask for pods
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The kernel side.
        #[command(flatten)]
        load: LoadArgs,
        /// Probes.
        #[command(flatten)]
        usdt: UsdtArgs,
    },
    /// What an agent starts to ask for pods; no command of anybody else's
    #[command(name = crate::containers::asker::VERB, hide = true)]
    AskPods,
    /// Send the batches of a spool on: those that are there, and those to come
    #[command(after_help = text::SHIP_AFTER_HELP)]
    Ship {
        /// End when all is sent
        #[arg(long)]
        once: bool,
        /// Try again what a destination would not have
        #[arg(long)]
        again: bool,
        /// The agent's own: which of its processes this is
        #[arg(long, hide = true, value_enum, default_value = "hand")]
        part: Part,
        /// The agent's own: how often this one was started before
        #[arg(long, hide = true, default_value_t = 0)]
        restarts: u64,
        /// What is sent.
        #[command(flatten)]
        ship: ShipArgs,
        /// The spool's place.
        #[command(flatten)]
        dir: DirArgs,
    },
    /// Show endpoints and models as they are now, in a terminal
    #[command(after_help = text::TOP_AFTER_HELP)]
    Top {
        /// Capture this process for as long as it is looked at
        #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
        pids: Vec<u32>,
        /// How long the figures reach back
        #[arg(short, long, value_name = "TIME", value_parser = time, default_value = "60s")]
        window: Duration,
        /// Print it once, as text; with --pid after the window
        #[arg(long)]
        once: bool,
        /// As JSON
        #[arg(long, requires = "once")]
        json: bool,
        /// The spool's place.
        #[command(flatten)]
        dir: DirArgs,
    },
    /// Print the scope tree of a spool; with -v all that it holds
    Tree {
        /// Scopes drawn below each parent, the latest; how many there are before is said
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Which scopes below a session.
        #[command(flatten)]
        filter: FilterArgs,
        /// Go on: print each scope below a session as it is sealed, until Ctrl-C
        #[arg(short, long)]
        follow: bool,
        /// The spool's place.
        #[command(flatten)]
        dir: DirArgs,
    },
    /// Write a page about spools: figures, charts, the slowest calls
    #[command(after_help = text::REPORT_AFTER_HELP)]
    Report(ReportArgs),
    /// Say where the time of slow requests went
    #[command(after_help = text::EXPLAIN_AFTER_HELP)]
    Explain(ExplainArgs),
    /// Check whether a capture is going on, by the file that it renews: --summary-json with --summary-interval
    ///
    /// Exit code 0: it is. 1: the file is missing, too old, or says that the capture has ended. Needs no rights but to
    /// read the file.
    Alive {
        /// What --summary-json names
        file: PathBuf,
        /// How old the file may be
        #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
        within: Duration,
    },
    /// Make the manual pages and the shells' completions, for packages
    #[command(hide = true)]
    Generate {
        /// Where: DIR/man and DIR/completions
        dir: PathBuf,
    },
    /// Write the scopes of spools in another format; needs no rights
    #[command(after_help = text::EXPORT_AFTER_HELP)]
    Export {
        /// What to write
        #[arg(short, long, value_name = "FORMAT", value_parser = export_kind())]
        format: Kind,
        /// Directories of batches, or what holds a directory `spool` [default: $CIRRON_OUTPUT_DIR, else ./.cirron]
        #[arg(value_name = "SPOOL")]
        spools: Vec<PathBuf>,
        /// Write into FILE, which appears whole or not at all; `-` is standard output [default: -]
        #[arg(short = 'o', long = "to", value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// Which of a spool's scopes are drawn.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct FilterArgs {
    /// Only scopes that took longer than this, for example 500ms or 2s
    ///
    /// Filters are combined by and. They choose among what stands directly below a session; what is within a chosen one
    /// is drawn with it. How many were left out is said.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub slow: Option<Duration>,
    /// Only those with this status: 404, 5xx, error (an error, or 400 and above), or a name of gRPC's
    #[arg(long)]
    pub status: Option<Status>,
    /// Only calls of this model, asked for or answering; a `*` stands for any text
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    pub model: Option<Glob>,
    /// Only those that began within this time, or since a moment such as 2026-11-28T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = values::parse_when)]
    pub since: Option<When>,
}

/// How a replay makes ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IdKind {
    /// Random, as in a live run
    Uuid,
    /// 1, 2, 3, ...: the same output each time
    Sequential,
}

/// A length of time.
pub fn time(text: &str) -> Result<Duration, String> {
    values::parse_time(text).ok_or_else(|| format!("not {}", values::TIME_FORM))
}

/// A size that the core can work with.
fn memory(text: &str) -> Result<u64, String> {
    let least = cirron_core::MIN_MAX_MEMORY_BYTES as u64;
    size(text).and_then(|bytes| match bytes {
        bytes if bytes < least => Err(format!("less than {} MiB", least >> 20)),
        bytes => Ok(bytes),
    })
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::of_text(text).ok_or_else(|| "not a text of 1 to 256 bytes".to_owned())
}

/// Of the names of formats.
fn export_kind() -> impl TypedValueParser<Value = Kind> {
    let names = PossibleValuesParser::new(Kind::ALL.map(|(name, _)| name));
    names.map(|name| {
        let mut all = Kind::ALL.into_iter();
        let found = all.find_map(|(known, kind)| (known == name).then_some(kind));
        // The parser before lets no other name pass.
        found.unwrap_or(Kind::Jsonl)
    })
}

fn size(text: &str) -> Result<u64, String> {
    values::parse_size(text).ok_or_else(|| format!("not {}", values::SIZE_FORM))
}
