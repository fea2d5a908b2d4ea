//! The SDK's own examples, each run with the SDK, with the probes of cirron-probe under the agent (one line of the program
//! is another), and with both at once: the same tree, the same marks, and times within [`NEAR_US`] of one another.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::below::at_once;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::{calls, stacks, wait};
use serde_json::{Value, json};

use crate::probes::python_site;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "a_script_is_told_as_the_sdk_tells_it",
        need: Need::Stacks,
        run: || script("script.py"),
    },
    Test {
        name: "a_streaming_script_is_told_as_the_sdk_tells_it",
        need: Need::Stacks,
        run: || script("streamed.py"),
    },
    Test {
        name: "a_script_by_its_config_is_told_as_the_sdk_tells_it",
        need: Need::Stacks,
        run: || script("configured.py"),
    },
    Test {
        name: "coroutines_that_fetch_are_told_as_the_sdk_tells_them",
        need: Need::Stacks,
        run: fetching,
    },
    Test {
        name: "coroutines_of_fastapi_are_told_as_the_sdk_tells_them",
        need: Need::Stacks,
        run: fastapi,
    },
    Test {
        name: "handlers_of_flask_are_told_as_the_sdk_tells_them",
        need: Need::Stacks,
        run: flask,
    },
];

/// Half of the times are nearer than that; the SDK's own scope takes some of it.
const NEAR_US: i64 = 200;

/// For a program to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines that are given to a script, and requests of each handler.
const LINES: usize = 20;

/// Seconds between two writes of the SDK.
const OFTEN: &str = "0.02";
/// It writes at its end: while it writes it loses scopes of coroutines that end (2 of 192 requests).
const AT_END: &str = "100";

/// For the SDK to have written what it has.
const FLUSHED: Duration = Duration::from_millis(100);

/// How the program is run.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Sdk,
    Probes,
    Both,
}

/// Writes the programs to a folder, each with the import of what tells of them, and gives that folder.
fn programs(by: By, at: &Path) -> Result<PathBuf> {
    let module = match by {
        By::Sdk => "cirron",
        By::Probes => "cirron_probe",
        By::Both => "told_twice",
    };
    let out = at.join(module);
    std::fs::create_dir_all(&out)?;
    for entry in std::fs::read_dir(probe("examples/python/seed"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let line = format!("import {module} as ci\n");
        ensure!(text.contains("import cirron as ci\n"), "{}", path.display());
        let text = text.replace("import cirron as ci\n", &line);
        std::fs::write(out.join(path.file_name().context("a name")?), text)?;
    }
    Ok(out)
}

fn probe(path: &str) -> PathBuf {
    stacks::here().join("../cirron-probe").join(path)
}

/// The command that runs `args` (a program, or `-m` and a module) in the folder `programs`.
fn python(
    by: By,
    programs: &Path,
    site: &Path,
    (args, flush_s): (&[&str], &str),
    sdk_out: &Path,
) -> Result<Command> {
    let mut command = Command::new(stacks::venv("python")?);
    if by != By::Probes {
        command.arg(probe("tests/python/sdk_on.py"));
    }
    let path = std::env::join_paths([programs, site, &probe("tests/python")])?;
    command
        .args(args)
        .current_dir(programs)
        .env("PYTHONPATH", path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CIRRON_OUTPUT_DIR", sdk_out)
        .env("CIRRON_FLUSH_INTERVAL", flush_s)
        .env("CIRRON_DEPLOYMENT_ID", "deployment-1")
        .env(
            "CONFIG",
            r#"{"threshold": 0.2, "capture_embeddings": true}"#,
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Ok(command)
}

/// Runs of an example in which the SDK may lose scopes: it does so in one of some thirty.
const TRIES: usize = 3;

/// What differs between two spools. `None`: the SDK lost scopes, and nothing can be compared.
fn compare(sdk: &Path, agent: &Path) -> Result<Option<Value>> {
    let output = Command::new(stacks::venv("python")?)
        .arg(probe("tests/python/sdk_compare.py"))
        .args([sdk, agent])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    let differs: Value = serde_json::from_slice(&output.stdout)?;
    Ok(Some(differs).filter(|differs| differs.get("sdk_lost").is_none()))
}

/// An example: its arguments, and what is done with it once it is ready.
struct Example<'a> {
    args: &'a [&'a str],
    /// Seconds after which the SDK writes what it has.
    flush_s: &'a str,
    /// It serves there; else it reads lines.
    port: Option<u16>,
    drive: &'a dyn Fn(&mut Guard) -> Result<()>,
}

impl Example<'_> {
    /// Runs it in each way and compares. Figures worth seeing.
    fn run(&self) -> Result<String> {
        for _ in 0..TRIES {
            if let Some(figures) = self.compared()? {
                return Ok(figures);
            }
        }
        bail!("the SDK lost scopes in each of {TRIES} runs")
    }

    /// The same; `None`: the SDK lost scopes.
    fn compared(&self) -> Result<Option<String>> {
        let dir = tempfile::tempdir()?;
        let site = python_site(dir.path())?;
        let (sdk, twice) = (dir.path().join("sdk"), dir.path().join("twice"));
        let told = |by: By, sdk_out: &Path| {
            let programs = programs(by, dir.path())?;
            self.told(
                by,
                python(by, &programs, &site, (self.args, self.flush_s), sdk_out)?,
            )
        };
        told(By::Sdk, &sdk)?;
        let probes = told(By::Probes, &sdk)?.context("a report")?;
        let both = told(By::Both, &twice)?.context("a report")?;
        let (Some(apart), Some(twice)) = (
            compare(&sdk, probes.dir.path())?,
            compare(&twice, both.dir.path())?,
        ) else {
            return Ok(None);
        };
        same(&apart)?;
        same(&twice)?;
        let times = |name: &str| -> Vec<i64> {
            let all = twice[name].as_array().into_iter().flatten();
            all.filter_map(Value::as_i64).collect()
        };
        let (median, worst) = spread(&[times("start_us"), times("end_us")].concat())?;
        ensure!(median <= NEAR_US, "{twice}");
        let lines = &twice["lines"];
        Ok(Some(format!(
            "{lines} lines; times differ by {median} us (median), {worst} us (worst)"
        )))
    }

    /// One run of it. What the agent wrote, where it watched.
    fn told(&self, by: By, command: Command) -> Result<Option<Report>> {
        let mut program = Guard::spawn(command)?;
        match self.port {
            Some(port) => wait::listener(port)?,
            None => ensure!(line(&mut program)? == "ready"),
        }
        let agent = match by {
            By::Sdk => None,
            By::Probes | By::Both => Some(Agent::attach(&[program.pid()], &[])?),
        };
        (self.drive)(&mut program)?;
        let report = agent.map(Agent::finish).transpose()?;
        // The SDK writes at its end.
        drop(program.child().stdin.take());
        if self.port.is_some() {
            program.signal(libc::SIGINT);
        }
        program.wait(PATIENCE)?;
        Ok(report)
    }
}

/// A line that the program prints, and no byte more.
fn line(program: &mut Guard) -> Result<String> {
    let out = program.child().stdout.as_mut().context("stdout")?;
    let mut line = Vec::new();
    let mut byte = [0];
    while out.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    Ok(String::from_utf8(line)?)
}

fn lines_to(program: &mut Guard, text: &str) -> Result<()> {
    for _ in 0..LINES {
        let to = program.child().stdin.as_mut().context("stdin")?;
        writeln!(to, "{text}")?;
        ensure!(!line(program)?.is_empty());
    }
    Ok(())
}

fn script(name: &str) -> Result<String> {
    Example {
        args: &[name],
        flush_s: OFTEN,
        port: None,
        drive: &|program| lines_to(program, "some words of which one is longest"),
    }
    .run()
}

fn fetching() -> Result<String> {
    let dir = tempfile::tempdir()?;
    for name in ["a", "b"] {
        std::fs::write(dir.path().join(name), name.repeat(100))?;
    }
    let port = free_port()?;
    let mut files = Command::new("/usr/bin/python3");
    files.args(["-m", "http.server", "-b", "127.0.0.1", &port.to_string()]);
    files.current_dir(dir.path()).stderr(Stdio::null());
    let _files = Guard::spawn(files)?;
    wait::listener(port)?;
    Example {
        args: &["fetching.py"],
        flush_s: OFTEN,
        port: None,
        drive: &|program| lines_to(program, &format!("http://127.0.0.1:{port}")),
    }
    .run()
}

fn flask() -> Result<String> {
    let port = free_port()?;
    Example {
        args: &[
            "-m",
            "flask",
            "--app",
            "flask_app",
            "run",
            "-p",
            &port.to_string(),
        ],
        flush_s: OFTEN,
        port: Some(port),
        drive: &|_| asked(port, &["predict"]),
    }
    .run()
}

/// Requests at once, each of a client of its own, and how many each client has in all.
const AT_ONCE: usize = 64;
const EACH: usize = 3;

/// Requests before that, so that the agent finds out where contexts are, and the time between them.
const WARMING: usize = 4;
const WARMED: Duration = Duration::from_millis(300);

fn fastapi() -> Result<String> {
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}");
    Example {
        args: &[
            "-m",
            "uvicorn",
            "fastapi_app:app",
            "--port",
            &port.to_string(),
        ],
        flush_s: AT_END,
        port: Some(port),
        drive: &|_| {
            for _ in 0..WARMING {
                calls::curl(&[&format!("{url}/warm/{port}")])?;
                std::thread::sleep(WARMED);
            }
            at_once(AT_ONCE, |client| {
                let first = client * EACH;
                let urls = (first..first + EACH).map(|n| format!("{url}/predict/{n}"));
                let urls: Vec<String> = urls.collect();
                let body = json!({"text": "some words of which one is longest"}).to_string();
                let mut all = vec!["--json", &body];
                all.extend(urls.iter().map(String::as_str));
                calls::curl(&all).map(drop)
            })?;
            // Requests are held until the contexts that they made have ended.
            std::thread::sleep(REST);
            Ok(())
        },
    }
    .run()
}

/// For that.
const REST: Duration = Duration::from_millis(1_500);

fn asked(port: u16, paths: &[&str]) -> Result<()> {
    let body = json!({"text": "some words of which one is longest"}).to_string();
    for path in paths {
        let url = format!("http://127.0.0.1:{port}/{path}");
        for _ in 0..LINES {
            calls::curl(&["--json", &body, &url])?;
            // The SDK loses the marks of a thread whose number is given again before it has written them.
            std::thread::sleep(FLUSHED);
        }
    }
    Ok(())
}

fn same(found: &Value) -> Result<()> {
    let is_none = |name: &str| found[name].as_array().is_some_and(Vec::is_empty);
    ensure!(is_none("missing") && is_none("more"), "{found:#}");
    ensure!(found["lines"].as_u64().is_some_and(|n| n > 3), "{found}");
    Ok(())
}

/// Median and largest distance.
fn spread(all: &[i64]) -> Result<(i64, i64)> {
    let mut all: Vec<i64> = all.iter().map(|us| us.abs()).collect();
    all.sort_unstable();
    let median = all.get(all.len() / 2).context("no times")?;
    Ok((*median, *all.last().context("no times")?))
}
