//! `cargo xtask demo`: the agent's whole job, on a server of ours, on any machine that builds it.
//!
//! ```text
//! demo-client ──HTTP──▶ demo-server ◀──watched by── cirron-agent --pid ──▶ .cirron-demo/spool
//! ```
//! Three processes: the server and the client know nothing of the agent. The server answers at a
//! scripted pace and the client times what it sees, so that the agent's figures can be compared.

pub(crate) mod client;
pub(crate) mod server;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::setup;
use crate::{host, paths, sh};

/// Where the demo writes, in the current directory. Named so that removing it harms nobody.
const OUTPUT: &str = ".cirron-demo";

/// Loading, verifying and attaching takes well under a second; a slow machine gets time.
const ATTACH_LIMIT: Duration = Duration::from_secs(30);

/// The demo has nothing to choose.
#[derive(clap::Args)]
pub(crate) struct Options {}

/// Builds, serves, attaches, prints.
pub(crate) fn run(_: &Options) -> Result<()> {
    if !host::is_root() && paths::in_path("sudo").is_none() {
        bail!(
            "attaching to a process needs root, and there is no sudo\n  run as root: cargo xtask demo"
        );
    }
    setup::ebpf_toolchain()?;
    say("building the agent");
    sh::build_agent()?;

    let output = std::env::current_dir()
        .context("the current directory")?
        .join(OUTPUT);
    if output.exists() {
        fs::remove_dir_all(&output).context("the output of an earlier demo")?;
    }

    let own = std::env::current_exe().context("this program")?;
    let mut server = Guard(
        Command::new(&own)
            .arg("demo-server")
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the demo's server")?,
    );
    let address = first_line(&mut server.0)?;
    say(&format!(
        "a model server is up on {address}, pid {}",
        server.0.id()
    ));

    let mut attach = Command::new(paths::agent());
    attach
        .arg("--pid")
        .arg(server.0.id().to_string())
        .arg("--output-dir")
        .arg(&output);
    let mut agent = sh::as_root(&attach)?;
    say(&format!("attaching to it: {}", sh::shown(&agent)));
    let mut agent = Guard(
        agent
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the agent")?,
    );
    let lines = relay_stderr(&mut agent.0)?;
    wait_for_attach(&lines)?;

    let client = Command::new(&own).arg("demo-client").arg(&address).output();
    let client = client.context("cannot run the demo's client")?;
    print!("{}", String::from_utf8_lossy(&client.stdout));
    if !client.status.success() {
        bail!(
            "the client failed: {}",
            String::from_utf8_lossy(&client.stderr)
        );
    }

    sh::signal("INT", agent_pid(agent.0.id()))?;
    let status = agent.0.wait().context("the agent's end")?;
    if !status.success() {
        bail!("the agent failed: {status}");
    }

    let tree = sh::output(
        Command::new(paths::agent())
            .arg("tree")
            .arg("--output-dir")
            .arg(&output),
    )?;
    println!("\n{tree}");
    println!("spool: {}", output.join("spool").display());
    let served = tree
        .lines()
        .filter(|line| line.trim_start().starts_with("request "))
        .count();
    if served != client::REQUESTS {
        bail!(
            "{} requests were made, and the spool shows {served}",
            client::REQUESTS
        );
    }
    Ok(())
}

/// Ends its process when it goes.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended already, which is the usual case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line that a server prints: its address.
pub(crate) fn first_line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("the server's output")?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .context("the server's address")?;
    if line.trim().is_empty() {
        bail!("the server ended before it listened");
    }
    Ok(line.trim().to_owned())
}

/// Shows what a process says, and hands each line on.
pub(crate) fn relay_stderr(child: &mut Child) -> Result<mpsc::Receiver<String>> {
    let stderr = child.stderr.take().context("the agent's messages")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("agent: {line}");
            // Nobody listens any more once it is attached.
            let _ = sender.send(line);
        }
    });
    Ok(lines)
}

/// Waits for the line that says that the agent captures.
pub(crate) fn wait_for_attach(lines: &mpsc::Receiver<String>) -> Result<()> {
    loop {
        match lines.recv_timeout(ATTACH_LIMIT) {
            Ok(line) if line.contains("attached to") => return Ok(()),
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("the agent did not attach"),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the agent ended without attaching"),
        }
    }
}

/// The agent itself where sudo stands between: sudo's last descendant.
pub(crate) fn agent_pid(spawned: u32) -> u32 {
    let mut pid = spawned;
    while let Some(child) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
    {
        pid = child;
    }
    pid
}

fn say(text: &str) {
    eprintln!("demo: {text}");
}
