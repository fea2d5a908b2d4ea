//! Running other programs, with errors that say which one and why.

use std::ffi::OsStr;
use std::io::Read as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{host, paths};

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A command that runs in the workspace's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(paths::root());
    command
}

/// Cargo in the workspace's root.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = command(paths::cargo());
    command.args(arguments);
    // Tells the inner cargo that it runs inside a package, which it does not.
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

/// Builds the agent as it is released.
pub(crate) fn build_agent() -> Result<()> {
    run(&mut cargo([
        "build",
        "--release",
        "--locked",
        "--package",
        "cirron-agent",
    ]))
}

/// Says what runs and runs it; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    run_quietly(command)
}

/// Runs it; anything but success is an error.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", shown(command));
    }
    Ok(())
}

/// What it prints on standard output, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether it succeeds; what it prints is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs it, shows what it prints on standard output as it comes, and returns that as well.
/// The flag is whether it succeeded.
pub(crate) fn tee(command: &mut Command) -> Result<(bool, String)> {
    eprintln!("$ {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    let mut all = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        let mut piece = [0; 8192];
        loop {
            let n = stdout.read(&mut piece).context("the output of a command")?;
            if n == 0 {
                break;
            }
            all.extend_from_slice(&piece[..n]);
            print!("{}", String::from_utf8_lossy(&piece[..n]));
        }
    }
    let status = child.wait().context("the end of a command")?;
    Ok((status.success(), String::from_utf8_lossy(&all).into_owned()))
}

/// The same command with root's rights: as it is for root, else through sudo. Variables that were
/// set on it are kept.
pub(crate) fn as_root(command: &Command) -> Result<Command> {
    let mut elevated = if host::is_root() {
        Command::new(command.get_program())
    } else if paths::in_path("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        // sudo clears the environment; `env` sets again what the command was given.
        sudo.arg("env");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                let mut setting = name.to_os_string();
                setting.push("=");
                setting.push(value);
                sudo.arg(setting);
            }
        }
        sudo.arg(command.get_program());
        sudo
    } else {
        bail!(
            "this needs root, and there is no sudo\n  run as root: {}",
            shown(command)
        );
    };
    elevated.args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        elevated.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => elevated.env(name, value),
            None => elevated.env_remove(name),
        };
    }
    Ok(elevated)
}

/// Sends a signal, by its name without SIG.
pub(crate) fn signal(name: &str, pid: u32) -> Result<()> {
    let mut kill = Command::new("sh");
    kill.args(["-c", &format!("kill -{name} {pid}")]);
    run_quietly(&mut as_root(&kill)?)
}
