//! The command line as typed. What it means is [`super::hiargs`]'s business.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::text;
use crate::output::OutputKind;

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "cirron-agent",
    version,
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
    /// What applies to all commands.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Without a command: attach.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that more than one command takes.
#[derive(Clone, Debug, Args)]
pub struct CommonArgs {
    /// Leave out the target's children, those that it has and those to come
    #[arg(long, global = true)]
    pub no_children: bool,
    /// End after this time, for example 10s, 500ms, 5m
    #[arg(short, long, value_name = "TIME", global = true)]
    pub duration: Option<String>,
    /// Where the spool is: DIR/spool [default: ./.cirron]
    ///
    /// The environment variable CIRRON_OUTPUT_DIR says the same; the flag wins.
    #[arg(short, long, value_name = "DIR", global = true)]
    pub output_dir: Option<PathBuf>,
    /// Where finished scopes go [default: spool; replay: stdout]
    ///
    /// May be given several times, or as a list: --output spool,stdout. As in the SDK, none
    /// anywhere means none.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        value_delimiter = ',',
        global = true
    )]
    pub output: Vec<OutputKind>,
    /// Write a chunk_ms mark for each streamed token
    ///
    /// A target whose CONFIG says stream_chunk_timing has it without this flag.
    #[arg(long, global = true)]
    pub chunk_timing: bool,
    /// Size of the ring buffer between kernel and agent [default: 32]
    ///
    /// Raise it when the summary says that records were dropped.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1024), global = true)]
    pub ring_mib: Option<u32>,
    /// Record everything captured into FILE, for `cirron-agent replay`
    ///
    /// FILE holds all that passed by, prompts and credentials included: it is created with mode
    /// 0600. It grows as fast as the traffic.
    #[arg(long, value_name = "FILE", global = true)]
    pub record: Option<PathBuf>,
    /// Write all counters to FILE at the end, as JSON
    #[arg(long, value_name = "FILE", global = true)]
    pub summary_json: Option<PathBuf>,
    /// Say more; twice: say much more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// The commands besides attaching.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start a command and watch it from its first byte
    #[command(after_help = text::RUN_AFTER_HELP)]
    Run {
        /// The command and its arguments
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CMD"
        )]
        command: Vec<OsString>,
    },
    /// Feed a recording to the engine again; needs no rights
    #[command(after_help = text::REPLAY_AFTER_HELP)]
    Replay {
        /// What --record wrote
        file: PathBuf,
        /// How ids are made
        #[arg(long, value_enum, default_value = "uuid")]
        ids: IdKind,
    },
    /// Check whether this machine allows attaching, without attaching to anything
    Doctor {
        /// Check this process as well
        #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
        pids: Vec<u32>,
    },
    /// Print the scope tree of a spool
    Tree {
        /// Scopes drawn below each parent, the latest; how many there are before is said
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}

/// How a replay makes ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IdKind {
    /// Random, as in a live run
    Uuid,
    /// 1, 2, 3, ...: the same output each time
    Sequential,
}
