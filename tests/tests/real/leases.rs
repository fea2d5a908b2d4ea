//! Probes are leased by file: processes and libraries come and go, and what they cost goes with them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::runner::{Need, Test};
use cirron_tests::stacks::PYTHON;
use cirron_tests::wait::{pause, until};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "a_thousand_processes_over_two_hundred_libraries_leave_nothing",
        need: Need::Bpf,
        run: churn,
    },
    Test {
        name: "one_file_of_an_image_under_two_overlays_is_watched_once",
        need: Need::Bpf,
        run: overlays,
    },
];

/// Files, processes at a time, rounds.
const FILES: usize = 200;
const AT_ONCE: usize = 200;
const ROUNDS: usize = 5;
/// Files that each process maps.
const EACH: usize = 5;
/// A library that is watched has a link for its entries and one for its exits, where the kernel knows such links.
const LINKS: usize = 2;
/// What is closed a while after the last process has gone is gone by then.
const LIMIT: Duration = Duration::from_secs(60);

/// Forks children that map libraries and wait; `load COUNT EACH` and `end` on its input.
const TARGET: &str = r#"
import ctypes, os, signal, sys
files, children = sys.argv[1:], []
for line in sys.stdin:
    word, *numbers = line.split()
    if word == "load":
        count, each = map(int, numbers)
        told, tell = os.pipe()
        for i in range(count):
            child = os.fork()
            if child == 0:
                for j in range(each):
                    ctypes.CDLL(files[(i * each + j) % len(files)])
                os.write(tell, b".")
                signal.pause()
            children.append(child)
        for _ in range(count):
            assert os.read(told, 1) == b"."
        os.close(told), os.close(tell)
    else:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        children = []
    print(word, flush=True)
"#;

struct Target {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Target {
    fn start(files: &[PathBuf]) -> Result<Target> {
        let mut child = Command::new(PYTHON)
            .args(["-c", TARGET])
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Target { child, said })
    }

    fn ask(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no input")?;
        writeln!(input, "{line}")?;
        let mut said = String::new();
        self.said.read_line(&mut said)?;
        ensure!(
            line.starts_with(said.trim()) && !said.is_empty(),
            "{line}: {said}"
        );
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Its children are killed with `end`; where the test failed, they go with it.
        let _ = self.ask("end");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn library() -> Result<PathBuf> {
    let output = Command::new(PYTHON)
        .args([
            "-c",
            "import ssl; print(*{l.split()[-1] for l in open('/proc/self/maps') if 'libssl' in l})",
        ])
        .output()?;
    let path = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    ensure!(path.exists(), "Python has no libssl: {}", path.display());
    Ok(path)
}

/// What an agent holds.
#[derive(Clone, Copy, Debug)]
struct Holds {
    links: usize,
    descriptors: usize,
    kib: u64,
}

fn holds(pid: u32) -> Result<Holds> {
    let (mut links, mut descriptors) = (0, 0);
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that is closed while they are listed is held no more.
        let Ok(to) = std::fs::read_link(entry?.path()) else {
            continue;
        };
        descriptors += 1;
        links += usize::from(to == Path::new("anon_inode:bpf_link"));
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = kib.and_then(|l| l.trim().split(' ').next()?.parse().ok());
    Ok(Holds {
        links,
        descriptors,
        kib: kib.context("no VmRSS")?,
    })
}

/// Descriptors that may be open at any moment beside those of links: a file that is looked at, one that is written.
const OPEN_FOR_A_MOMENT: usize = 2;

/// Waits until the agent holds that number of links more than `base`, and as many descriptors.
fn links(agent: &Agent, base: Holds, more: usize) -> Result<Holds> {
    let mut last = None;
    let found = until("links", LIMIT, || {
        last = holds(agent.pid()).ok();
        let descriptors = base.descriptors + more + OPEN_FOR_A_MOMENT;
        last.filter(|h| h.links == base.links + more && h.descriptors <= descriptors)
    });
    found.with_context(|| format!("{more} links and descriptors more than {base:?}, not {last:?}"))
}

fn churn() -> Result<String> {
    let (dir, library) = (tempfile::tempdir()?, library()?);
    let files: Vec<PathBuf> = (0..FILES)
        .map(|n| dir.path().join(format!("libssl-{n}.so")))
        .collect();
    for file in &files {
        std::fs::copy(&library, file)?;
    }
    let mut target = Target::start(&files)?;
    let agent = Agent::attach(&[target.child.id()], &["-v"])?;
    let base = holds(agent.pid())?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        target.ask(&format!("load {AT_ONCE} {EACH}"))?;
        // Each file once, however many map it, and however often.
        rounds.push(links(&agent, base, FILES * LINKS)?);
        target.ask("end")?;
    }
    let end = links(&agent, base, 0)?;
    let last = rounds[ROUNDS - 1];
    // The first round fills what is kept for reuse; the last one takes no more than that.
    ensure!(
        last.kib <= rounds[1].kib + rounds[1].kib / 10,
        "memory: {base:?} {rounds:?} {end:?}"
    );
    let report = agent.finish()?;
    ensure!(
        report.summary["libraries"]["files_unwatched"] == 0,
        "{}",
        report.summary
    );
    Ok(format!(
        "links {} {} {}, descriptors {} {} {}, MiB {} {} {}",
        base.links,
        last.links,
        end.links,
        base.descriptors,
        last.descriptors,
        end.descriptors,
        base.kib / 1024,
        last.kib / 1024,
        end.kib / 1024
    ))
}

/// An overlay above `lower`, unmounted at the end.
struct Overlay(PathBuf);

impl Overlay {
    fn mount(dir: &Path, name: &str, lower: &Path) -> Result<Overlay> {
        let at = |part: &str| dir.join(format!("{name}-{part}"));
        for part in ["upper", "work", "merged"] {
            std::fs::create_dir(at(part))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            at("upper").display(),
            at("work").display()
        );
        let status = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(at("merged"))
            .status()?;
        ensure!(status.success(), "no overlay: {options}");
        Ok(Overlay(at("merged")))
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn overlays() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let lower = dir.path().join("lower");
    std::fs::create_dir(&lower)?;
    std::fs::copy(library()?, lower.join("libssl-image.so"))?;
    let one = Overlay::mount(dir.path(), "one", &lower)?;
    let two = Overlay::mount(dir.path(), "two", &lower)?;
    let at = |dir: &Path| dir.join("libssl-image.so");
    let files = [at(&one.0), at(&two.0), at(&lower)];
    let mut target = Target::start(&files)?;
    let agent = Agent::attach(&[target.child.id()], &["-v"])?;
    let base = holds(agent.pid())?;
    target.ask("load 3 1")?;
    links(&agent, base, LINKS)?;
    // Were it another file to us, it would be attached to by now.
    pause("links that must not be made", Duration::from_millis(500));
    links(&agent, base, LINKS)?;
    target.ask("end")?;
    links(&agent, base, 0)?;
    // No probe keeps it busy, once the kernel has let go of the last one.
    for overlay in [&one.0, &two.0] {
        let busy = format!("{} to be busy no more", overlay.display());
        until(&busy, LIMIT, || {
            let status = Command::new("umount").arg(overlay).status().ok()?;
            status.success().then_some(())
        })?;
    }
    agent.finish()?;
    Ok(String::new())
}
