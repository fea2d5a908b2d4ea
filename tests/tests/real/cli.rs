//! The command line: what is refused and how, whose the files are, when it ends.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, ensure};
use cirron_tests::agent::{self, Agent};
use cirron_tests::calls::curl;
use cirron_tests::process::Guard;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::batches;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "doctor_says_that_all_is_well",
        need: Need::Bpf,
        run: doctor,
    },
    Test {
        name: "no_such_process_is_refused_by_name",
        need: Need::Binary,
        run: no_such_pid,
    },
    Test {
        name: "without_root_every_missing_fact_is_named",
        need: Need::Bpf,
        run: not_root,
    },
    Test {
        name: "under_sudo_the_files_are_the_users",
        need: Need::Bpf,
        run: sudo,
    },
    Test {
        name: "duration_ends_the_run",
        need: Need::Bpf,
        run: duration,
    },
    Test {
        name: "stdout_gets_what_the_sdk_would_print",
        need: Need::Stacks,
        run: stdout,
    },
    Test {
        name: "the_agent_ends_with_its_last_target",
        need: Need::Bpf,
        run: target_ends,
    },
];

fn sleeper() -> Result<Guard> {
    let mut command = Command::new("sleep");
    command.arg("60");
    Guard::spawn(command)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn doctor() -> Result<String> {
    let output = Command::new(agent::binary()).arg("doctor").output()?;
    ensure!(output.status.success(), "{}", text(&output));
    for probe in ["socket_syscall_exit", "loaded          uprobes"] {
        ensure!(
            text(&output).contains(probe),
            "{probe} is not there: {}",
            text(&output)
        );
    }
    Ok(String::new())
}

/// A process id that is free: that of a child that has ended and been reaped.
fn gone() -> Result<u32> {
    let mut child = Command::new("true").spawn()?;
    child.wait()?;
    Ok(child.id())
}

fn no_such_pid() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let (one, two) = (gone()?, gone()?);
    let output = Command::new(agent::binary())
        .args([
            "--pid",
            &one.to_string(),
            "--pid",
            &two.to_string(),
            "--output-dir",
        ])
        .arg(dir.path())
        .output()?;
    let said = text(&output);
    ensure!(
        !output.status.success() && output.status.code().is_some(),
        "exit status {}",
        output.status
    );
    ensure!(
        said.contains(&one.to_string()) && said.contains(&two.to_string()),
        "both are missing, not both are named: {said}"
    );
    ensure!(!said.contains("panicked"), "{said}");
    ensure!(batches(dir.path())?.is_empty(), "a spool of nothing");
    Ok(format!("exit code {}", output.status.code().unwrap_or(-1)))
}

fn not_root() -> Result<String> {
    let target = sleeper()?;
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777))?;
    let copy = dir.path().join("cirron-agent");
    std::fs::copy(agent::binary(), &copy)?;
    let missing = gone()?;
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--no-new-privs",
        ])
        .arg(&copy);
    command
        .args([
            "--pid",
            &target.pid().to_string(),
            "--pid",
            &missing.to_string(),
            "--output-dir",
        ])
        .arg(dir.path().join("out"));
    let output = command.output()?;
    let said = text(&output);
    ensure!(
        !output.status.success() && output.status.code().is_some(),
        "exit status {}: {said}",
        output.status
    );
    let low = said.to_lowercase();
    ensure!(
        low.contains("root") || low.contains("cap_bpf"),
        "the missing right is not named: {said}"
    );
    ensure!(
        said.contains(&missing.to_string()),
        "the missing process is not named in the same breath: {said}"
    );
    Ok(format!("exit code {}", output.status.code().unwrap_or(-1)))
}

fn sudo() -> Result<String> {
    let target = sleeper()?;
    let args = ["--pid".to_owned(), target.pid().to_string()];
    let agent = Agent::start(&args, |c| {
        c.env("SUDO_UID", "12345").env("SUDO_GID", "23456");
    })?;
    let report = agent.finish()?;
    let files = batches(report.dir.path())?;
    ensure!(!files.is_empty(), "no batches");
    for path in files.iter().map(std::path::PathBuf::as_path).chain([report
        .dir
        .path()
        .join("spool")
        .as_path()])
    {
        let meta = std::fs::metadata(path)?;
        ensure!(
            meta.uid() == 12345 && meta.gid() == 23456,
            "{} belongs to {}:{}",
            path.display(),
            meta.uid(),
            meta.gid()
        );
    }
    Ok(String::new())
}

fn duration() -> Result<String> {
    let target = sleeper()?;
    let report =
        Agent::attach(&[target.pid()], &["--duration", "1s"])?.ended(Duration::from_secs(8))?;
    let sessions = report.spool.sessions();
    ensure!(sessions.len() == 1, "{}", report.spool.describe());
    ensure!(
        report.stderr.trim_end().lines().count() >= 2,
        "no summary line: {}",
        report.stderr
    );
    Ok(String::new())
}

fn stdout() -> Result<String> {
    let server = Server::start(Stack::UvicornH11)?;
    let agent = Agent::attach(&[server.pid()], &["--output", "stdout"])?;
    curl(&[&server.url("/health")])?;
    server.truth_of(1)?;
    let report = agent.finish()?;
    ensure!(
        report
            .stdout
            .lines()
            .any(|l| l.starts_with("[cirron] request — ")),
        "{:?}",
        report.stdout
    );
    ensure!(
        batches(report.dir.path())?.is_empty(),
        "a spool all the same"
    );
    Ok(String::new())
}

fn target_ends() -> Result<String> {
    let target = sleeper()?;
    let agent = Agent::attach(&[target.pid()], &[])?;
    target.signal(libc::SIGKILL);
    let mut target = target;
    target.wait(Duration::from_secs(5))?;
    let report = agent.ended(Duration::from_secs(8))?;
    ensure!(
        report.spool.sessions().len() == 1,
        "{}",
        report.spool.describe()
    );
    Ok(String::new())
}
