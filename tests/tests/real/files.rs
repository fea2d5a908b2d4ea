//! What the agent is pointed at stays as it is, and links of others lead it nowhere.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use cirron_tests::agent::{self, Agent};
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::{Spool, batches};
use cirron_tests::wait::pause;

use crate::plain::Plain;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "devices_and_pipes_are_written_to_and_not_changed",
        need: Need::Bpf,
        run: streams,
    },
    Test {
        name: "links_are_refused_before_anything_is_attached",
        need: Need::Bpf,
        run: links,
    },
    Test {
        name: "a_spool_that_is_swapped_leads_nowhere",
        need: Need::Bpf,
        run: swapped,
    },
    Test {
        name: "a_mounted_file_stays_as_it_is_and_says_what_to_do",
        need: Need::Bpf,
        run: mounted,
    },
    Test {
        name: "whatever_the_mask_files_are_their_owner_s",
        need: Need::Bpf,
        run: mask,
    },
];

/// How an agent ended, and what it said.
struct Ended {
    status: ExitStatus,
    said: String,
}

/// Watches `server` for a second with these arguments, and three requests.
fn attach(server: &Plain, dir: &Path, args: &[&str], stdout: Stdio) -> Result<Ended> {
    let mut child = Command::new(agent::binary())
        .args(["--pid", &server.pid().to_string(), "--duration", "1s"])
        .arg("--output-dir")
        .arg(dir)
        .args(args)
        .env("SUDO_UID", "12345")
        .env("SUDO_GID", "12345")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if line.contains("attached to") {
                server.call(3)?;
            }
            said.push_str(&line);
            said.push('\n');
        }
    }
    let status = child.wait()?;
    Ok(Ended { status, said })
}

/// As a container's engine mounts one file: nothing can take its place. A mounted directory is as any.
fn mounted() -> Result<String> {
    let server = Plain::start(&[])?;
    let tmp = tempfile::tempdir()?;
    let [source, target] = ["source", "target"].map(|name| tmp.path().join(name));
    fs::write(&source, "kept")?;
    fs::write(&target, "")?;
    let mount = Mount::bind(&source, &target)?;
    let record = ["--record", target.to_str().unwrap_or_default()];
    let ended = attach(&server, tmp.path(), &record, Stdio::null())?;
    drop(mount);
    ensure!(ended.status.code() == Some(1), "{}", ended.said);
    let says = "target is a mount point by itself\n  name another file beside it";
    ensure!(ended.said.contains(says), "{}", ended.said);
    ensure!(fs::read_to_string(&source)? == "kept", "it was changed");
    let [source, target] = ["sources", "targets"].map(|name| tmp.path().join(name));
    fs::create_dir(&source)?;
    fs::create_dir(&target)?;
    let mount = Mount::bind(&source, &target)?;
    let file = target.join("r.recording");
    let record = ["--record", file.to_str().unwrap_or_default()];
    let ended = attach(&server, tmp.path(), &record, Stdio::null())?;
    drop(mount);
    ensure!(ended.status.success(), "{}", ended.said);
    ensure!(source.join("r.recording").exists(), "it was not written");
    Ok(String::new())
}

/// Undone with this value.
struct Mount<'p>(&'p Path);

impl Mount<'_> {
    fn bind<'p>(source: &Path, target: &'p Path) -> Result<Mount<'p>> {
        let mut mount = Command::new("mount");
        let status = mount.arg("--bind").args([source, target]).status()?;
        ensure!(status.success(), "mount: {status}");
        Ok(Mount(target))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        // What is still in use goes away with its last user.
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

fn streams() -> Result<String> {
    let server = Plain::start(&[])?;
    let dir = tempfile::tempdir()?;
    let null = |path: &str| -> Result<(u32, u32, u64)> {
        let meta = fs::metadata(path)?;
        Ok((meta.mode(), meta.uid(), meta.rdev()))
    };
    let before = null("/dev/null")?;
    let args = ["--record", "/dev/null", "--summary-json", "/dev/null"];
    let output = attach(&server, dir.path(), &args, Stdio::null())?;
    ensure!(output.status.success(), "{}", output.said);
    ensure!(null("/dev/null")? == before, "/dev/null was changed");

    // Standard output, by its name, into a file that somebody else made.
    let file = dir.path().join("out");
    fs::write(&file, "before\n")?;
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    let stdout = File::options().append(true).open(&file)?;
    let args = ["--summary-json", "/dev/stdout"];
    let output = attach(&server, dir.path(), &args, stdout.into())?;
    ensure!(output.status.success(), "{}", output.said);
    let text = fs::read_to_string(&file)?;
    ensure!(text.starts_with("before\n{"), "{text}");
    let meta = fs::metadata(&file)?;
    ensure!(meta.mode() & 0o777 == 0o644 && meta.uid() == 0, "{meta:?}");

    // A pipe without a reader is an error, at once or at the end, and never a wait.
    let pipe = dir.path().join("pipe");
    ensure!(
        Command::new("mkfifo").arg(&pipe).status()?.success(),
        "mkfifo"
    );
    let name = pipe.to_string_lossy();
    for option in ["--record", "--summary-json"] {
        let output = attach(&server, dir.path(), &[option, &name], Stdio::null())?;
        ensure!(
            output.status.code() == Some(1),
            "{option}: {}",
            output.status
        );
        ensure!(
            output.said.contains("start its reader first"),
            "{}",
            output.said
        );
    }
    let mut reader = Command::new("cat")
        .arg(&pipe)
        .stdout(File::create(dir.path().join("recording"))?)
        .spawn()?;
    let output = attach(&server, dir.path(), &["--record", &name], Stdio::null())?;
    ensure!(output.status.success(), "{}", output.said);
    reader.wait()?;
    let replayed = Command::new(agent::binary())
        .args(["replay", "--output", "none"])
        .arg(dir.path().join("recording"))
        .output()?;
    ensure!(
        replayed.status.success()
            && String::from_utf8_lossy(&replayed.stderr).contains("3 exchanges"),
        "{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
    Ok(String::new())
}

fn links() -> Result<String> {
    let server = Plain::start(&[])?;
    let dir = tempfile::tempdir()?;
    let victim = dir.path().join("victim");
    fs::write(&victim, "kept")?;
    fs::set_permissions(&victim, Permissions::from_mode(0o644))?;
    let link = dir.path().join("link");
    symlink(&victim, &link)?;
    let out = dir.path().join("out");
    for uid in [0, 65534] {
        std::os::unix::fs::lchown(&link, Some(uid), Some(uid))?;
        for option in ["--record", "--summary-json"] {
            let output = attach(
                &server,
                &out,
                &[option, &link.to_string_lossy()],
                Stdio::null(),
            )?;
            ensure!(
                output.status.code() == Some(1),
                "{option}: {}",
                output.status
            );
            ensure!(
                output.said.contains("is a symbolic link"),
                "{}",
                output.said
            );
            let meta = fs::metadata(&victim)?;
            ensure!(fs::read_to_string(&victim)? == "kept", "{option}");
            ensure!(meta.mode() & 0o777 == 0o644 && meta.uid() == 0, "{meta:?}");
            ensure!(!out.exists(), "a spool of nothing");
        }
    }
    // Of a directory: another user's is refused, one's own is followed.
    let (there, away) = (dir.path().join("there"), dir.path().join("away"));
    fs::create_dir(&there)?;
    symlink(&there, &away)?;
    std::os::unix::fs::lchown(&away, Some(65534), Some(65534))?;
    let output = attach(&server, &away, &[], Stdio::null())?;
    ensure!(
        output.said.contains("symbolic link of another user"),
        "{}",
        output.said
    );
    ensure!(fs::read_dir(&there)?.count() == 0, "written through it");
    std::os::unix::fs::lchown(&away, Some(0), Some(0))?;
    let output = attach(&server, &away, &[], Stdio::null())?;
    ensure!(output.status.success(), "{}", output.said);
    ensure!(!batches(&there)?.is_empty(), "not followed");

    fs::set_permissions(&there, Permissions::from_mode(0o777))?;
    let output = attach(&server, &there, &[], Stdio::null())?;
    ensure!(
        output.status.code() == Some(1) && output.said.contains("chmod o-w"),
        "{}",
        output.said
    );
    Ok(String::new())
}

fn swapped() -> Result<String> {
    let server = Plain::start(&[])?;
    let dir = tempfile::tempdir()?;
    let victim = dir.path().join("victim");
    fs::create_dir(&victim)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    agent.spool_until("a session", |spool| {
        (!spool.sessions().is_empty()).then_some(())
    })?;
    let spool = agent.dir().join("spool");
    // In the output directory, so that the test reads it back by the same way.
    let away = agent.dir().join("away");
    fs::create_dir(&away)?;
    fs::rename(&spool, away.join("spool"))?;
    symlink(&victim, &spool)?;
    std::os::unix::fs::lchown(&spool, Some(65534), Some(65534))?;
    server.call(3)?;
    pause("several flushes", Duration::from_millis(1500));
    ensure!(
        fs::read_dir(&victim)?.count() == 0,
        "written through the link"
    );
    fs::remove_file(&spool)?;
    fs::rename(away.join("spool"), &spool)?;
    server.call(3)?;
    let report = agent.finish()?;
    ensure!(
        report.spool.requests().len() == 6,
        "{}",
        report.spool.describe()
    );
    ensure!(
        report
            .stderr
            .contains("does not lead to the spool any more"),
        "{}",
        report.stderr
    );
    Ok(String::new())
}

fn mask() -> Result<String> {
    for mask in [0, 0o22, 0o777] {
        let server = Plain::start(&[])?;
        let dir = tempfile::tempdir()?;
        let record = dir.path().join("recording");
        let args = [
            "--pid",
            &server.pid().to_string(),
            "--record",
            &record.to_string_lossy(),
        ];
        let agent = Agent::start(&args.map(str::to_owned), |command| {
            use std::os::unix::process::CommandExt as _;
            // SAFETY: `umask` is async-signal-safe.
            unsafe {
                command.pre_exec(move || {
                    libc::umask(mask);
                    Ok(())
                });
            }
        })?;
        server.call(3)?;
        let report = agent.finish()?;
        let mode = |path: &Path| fs::metadata(path).map(|meta| meta.mode() & 0o7777);
        let spool = report.dir.path().join("spool");
        ensure!(mode(&spool)? == 0o700, "{:o}", mode(&spool)?);
        let mut files = batches(report.dir.path())?;
        files.extend([record, report.dir.path().join("summary.json")]);
        for file in files {
            ensure!(
                mode(&file)? == 0o600,
                "{} {:o}",
                file.display(),
                mode(&file)?
            );
        }
        ensure!(
            Spool::read(report.dir.path())?.requests().len() == 3,
            "requests"
        );
    }
    Ok(String::new())
}
