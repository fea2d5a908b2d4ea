//! The command line: what was typed ([`lowargs`]), what is meant ([`hiargs`]), doing it, and how
//! the program ends ([`exit`]).

pub mod attach;
pub mod before;
pub mod command;
pub mod environment;
pub mod exit;
pub mod hiargs;
pub mod log;
pub mod lowargs;
pub mod offline;
pub mod text;
pub mod values;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::exit::Exit;
use self::hiargs::{Resolved, Todo};
use self::lowargs::LowArgs;
use crate::shown::{shown_lines, shown_message};

/// A failure with the code that it ends with.
#[derive(Debug)]
pub struct Failed {
    /// The code.
    pub exit: Exit,
    /// What failed.
    pub error: anyhow::Error,
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Failed {
        Failed {
            exit: Exit::Failure,
            error,
        }
    }
}

/// The program.
pub fn main() -> ExitCode {
    let args = LowArgs::parse();
    init_tracing(args.verbose);
    let todo = match hiargs::resolve(args, &|name| std::env::var_os(name)) {
        Ok(Resolved { todo, warnings }) => {
            for warning in warnings {
                say(&format!("warning: {warning}"));
            }
            todo
        }
        // clap's form, and its exit code.
        Err(text) => LowArgs::command()
            .error(clap::error::ErrorKind::ValueValidation, text)
            .exit(),
    };
    match run(todo) {
        Ok(exit) => exit.into(),
        Err(Failed { exit, error }) => {
            let closed = error.chain().any(|cause| {
                cause
                    .downcast_ref::<io::Error>()
                    .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            });
            if closed {
                return Exit::Ok.into();
            }
            say(&format!("error: {error:#}"));
            exit.into()
        }
    }
}

fn run(todo: Todo) -> Result<Exit, Failed> {
    match todo {
        Todo::Attach { pids, capture } => attach::attach(&pids, &capture),
        Todo::Run { command, capture } => attach::run(&command, &capture),
        Todo::Replay { file, ids, outputs } => offline::replay(&file, ids, &outputs),
        Todo::Doctor { pids, load } => crate::doctor::doctor(&pids, &load),
        Todo::Tree { spool_dir, drawing } => offline::tree(&spool_dir, drawing),
    }
}

/// One message of ours on standard error; whether anybody reads it does not matter.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "cirron-agent: {}", shown_message(text));
}

/// Lines on standard output, with the text of strangers in them made safe.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(shown_lines(text).as_bytes())?;
    Ok(out.flush()?)
}

fn init_tracing(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let made = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(verbose > 1)
        .map_event_format(log::Shown)
        .try_init();
    if let Err(e) = made {
        say(&format!("messages of the log are not shown: {e}"));
    }
}
