//! The command line: what was typed ([`lowargs`]), what is meant ([`hiargs`]), doing it, and how
//! the program ends ([`exit`]).

pub mod alive;
pub mod attach;
pub mod before;
pub mod capture;
pub mod command;
pub mod environment;
pub mod exit;
pub mod generate;
pub mod hiargs;
pub mod log;
pub mod looking;
pub mod lowargs;
pub mod messages;
pub mod offline;
pub mod open_scopes;
pub mod reading;
pub mod room;
pub mod status;
pub mod summary_file;
pub mod text;
mod top;
pub mod values;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};

use self::exit::Exit;
use self::hiargs::{Resolved, Todo};
use self::lowargs::{Command, LowArgs};
pub use self::messages::say;
use crate::driver::ruled::Rules;
use crate::kernel::memory_limit;
use crate::shipping::keeper;
use crate::shipping::worker::{self, Entered, Part};
use cirron_spool::shown::shown_lines;

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
    crate::inherited::settle();
    let args = typed();
    // Before there is a thread.
    let entered = enter(&args);
    messages::start(args.verbose);
    if args.version {
        let printed = print(&version(args.verbose > 0));
        messages::finish();
        return printed.map_or_else(|_| Exit::Failure.into(), |()| Exit::Ok.into());
    }
    // Names that are no text are none of ours.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let env = |name: &str| std::env::var_os(name);
    let todo = match hiargs::resolve(args, &env, names.collect(), memory_limit()) {
        Ok(Resolved { todo, warnings }) => {
            for warning in warnings {
                say(&format!("warning: {warning}"));
            }
            todo
        }
        // clap's form, and its exit code.
        Err(text) => LowArgs::command()
            .color(colours(&|name| std::env::var_os(name)))
            .error(clap::error::ErrorKind::ValueValidation, text)
            .exit(),
    };
    let exit = run(todo, entered).unwrap_or_else(|Failed { exit, error }| {
        if is_closed_pipe(&error) {
            return Exit::Ok;
        }
        say(&format!("error: {error:#}"));
        exit
    });
    messages::finish();
    exit.into()
}

/// What was typed; help and errors of the command line are printed here.
fn typed() -> LowArgs {
    let mut command = LowArgs::command().color(colours(&|name| std::env::var_os(name)));
    let matches = command.clone().get_matches();
    LowArgs::from_arg_matches(&matches).unwrap_or_else(|e| e.format(&mut command).exit())
}

/// None where `NO_COLOR` says so, or the terminal is not known to have any: `TERM` is missing, empty or `dumb`. Else as
/// clap decides, which looks at where the text goes.
fn colours(env: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> ColorChoice {
    let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
    let has_terminal = is_set("TERM") && env("TERM").is_none_or(|term| term != "dumb");
    match has_terminal && !is_set("NO_COLOR") {
        true => ColorChoice::Auto,
        false => ColorChoice::Never,
    }
}

/// What this is; `whole`: and the programs that are in it.
fn version(whole: bool) -> String {
    let mut text = format!("cirron-agent {}\n", env!("CARGO_PKG_VERSION"));
    if whole {
        let programs = crate::kernel::Programs::embedded();
        text.push_str(&format!(
            "programs: sha256 {}\n  by {}, records of version {}\n",
            programs.sha256, programs.compiler, programs.abi
        ));
    }
    text
}

/// Nobody reads standard output any more: no failure of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// A process that ships gives up its rights.
fn enter(args: &LowArgs) -> Option<Entered> {
    let Some(Command::Ship {
        part, ship, dir, ..
    }) = &args.command
    else {
        return None;
    };
    let env = |name: &str| std::env::var_os(name);
    let dir = hiargs::output_dir_of(args, dir, &env);
    let removes = ship
        .clone()
        .or(args.capture.ship.clone())
        .ship_remove
        .is_some();
    Some(worker::enter(&dir, *part, removes))
}

fn run(todo: Todo, entered: Option<Entered>) -> Result<Exit, Failed> {
    match todo {
        Todo::Ship {
            plan,
            part,
            once,
            again,
        } => match (part, entered) {
            (Part::Keeper, _) => keeper::keep(&plan),
            (Part::Hand | Part::Worker, Some(entered)) => {
                worker::ship(&plan, part, once, again, entered)
            }
            (Part::Hand | Part::Worker, None) => Ok(Exit::Failure),
        },
        Todo::Attach { pids, capture } => attach::attach(&pids, &capture),
        Todo::Run { command, capture } => attach::run(&command, &capture),
        Todo::Daemon { capture } => attach::daemon(&capture),
        Todo::AskPods => {
            crate::containers::asker::answer()?;
            Ok(Exit::Ok)
        }
        Todo::Replay { file, ids, outputs } => offline::replay(&file, ids, &outputs),
        Todo::Doctor {
            pids,
            asks,
            load,
            usdt,
            scopes,
        } => crate::doctor::doctor(&pids, asks, &load, &Rules::new(usdt, scopes)),
        Todo::Top(plan) => top::top(&plan),
        Todo::Report(plan) => plan.run(),
        Todo::Explain(plan) => plan.run(),
        Todo::Alive { file, within } => alive::alive(&file, within),
        Todo::Generate { dir } => generate::generate(&dir),
        Todo::Tree {
            spool_dir,
            drawing,
            filter,
            follow,
        } => reading::tree(&spool_dir, filter, drawing, follow),
        Todo::Export { kind, spools, to } => reading::export(kind, &spools, to.as_deref()),
    }
}

/// Lines on standard output, with the text of strangers in them made safe.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(shown_lines(text).as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_have_them_and_people_who_want_them() {
        for (term, no_color, want) in [
            (Some("xterm"), None, ColorChoice::Auto),
            (Some("xterm"), Some(""), ColorChoice::Auto),
            (Some("xterm"), Some("1"), ColorChoice::Never),
            (Some("dumb"), None, ColorChoice::Never),
            (Some(""), None, ColorChoice::Never),
            (None, None, ColorChoice::Never),
        ] {
            let got = colours(&|name| match name {
                "TERM" => term.map(Into::into),
                "NO_COLOR" => no_color.map(Into::into),
                _ => None,
            });
            assert_eq!(got, want, "{term:?} {no_color:?}");
        }
    }
}
