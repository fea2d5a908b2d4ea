//! The process that asks a kubelet: this program once more, with a verb that no help shows.
//!
//! It is started before the agent's threads give up the right to start one, and ends with the agent: its standard input
//! does. Why a process: `cirron_containers::asker`.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use cirron_containers::asker::{Asking, run};

/// The verb.
pub const VERB: &str = "ask-pods";

/// The agent's end.
pub type Asker = Asking<ChildStdin, ChildStdout>;

/// Starts it.
///
/// # Errors
/// Where it cannot be started.
pub fn start() -> anyhow::Result<Asker> {
    let what = "the process that asks for pods cannot be started";
    let mut child = Command::new("/proc/self/exe")
        .arg0("cirron-agent")
        .arg(VERB)
        // It needs none, and some hold secrets.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A Ctrl-C is the agent's, which asks until its own end.
        .process_group(0)
        .spawn()
        .context(what)?;
    let ends = child.stdin.take().zip(child.stdout.take());
    let (questions, answers) = ends.context(what)?;
    Ok(Asking::new(questions, answers))
}

/// What that process does.
///
/// # Errors
/// Where its pipes are none.
pub fn answer() -> anyhow::Result<()> {
    crate::privileges::keep_the_network_alone()?;
    Ok(run(io::stdin().lock(), io::stdout().lock())?)
}
