//! `cargo xtask test`: everything that must be true, in one command.
//!
//! ```text
//! setup ─▶ fmt, clippy, dependencies, purity, wasm32, oldest compiler ─▶ unit tests, corpora ─▶ agent ─▶ real servers
//! ```
//!
//! A failing phase does not hide the next one's result. The last line is the sum:
//! `N passed, N failed, N skipped`, where a phase that is not a test run counts as one.

mod oldest;
mod purity;
mod tally;
mod unused;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use super::deny::{self, Advisories};
use super::{charts, setup, stacks};
use crate::{paths, sh, toolchain};
use tally::Tally;

/// What of `cirron-probe` is off by default, and tested as well.
const PROBE_FEATURES: &str = "cirron-probe/tracing";

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what needs neither root nor real servers
    #[arg(long)]
    unit: bool,
    /// Only tests whose name contains this; no lints
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// Runs the phases. The exit code is a failure when anything failed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ebpf_toolchain()?;
    setup::rust_tools()?;
    if !options.unit {
        setup::test_tools()?;
        // What is missing was said; its tests skip, or fail where CIRRON_REQUIRE_STACKS is set.
        stacks::ensure();
    }
    let mut phases = Phases::default();
    if options.filter.is_none() {
        phases.check("fmt", || {
            sh::run(&mut sh::cargo(["fmt", "--all", "--", "--check"]))
        });
        phases.check("fmt of the eBPF programs", || {
            let manifest = [
                "fmt",
                "--manifest-path",
                "cirron-ebpf/Cargo.toml",
                "--",
                "--check",
            ];
            sh::run(&mut sh::cargo(manifest))
        });
        phases.check("clippy", || {
            let mut clippy = sh::cargo(["clippy", "--workspace", "--all-targets", "--locked"]);
            clippy.args(["--features", PROBE_FEATURES]);
            // The runner of `cargo xtask fuzz` compiles libFuzzer.
            if paths::in_path("c++").is_some() {
                clippy.args(["--features", "cirron-fuzz/guided"]);
            }
            sh::run(clippy.args(["--", "-D", "warnings"]))
        });
        phases.clippy_of_ebpf();
        phases.check("deny licences, bans, sources", deny::policy);
        phases.check("deny advisories can fail", deny::can_fail);
        phases.advisories();
        phases.check("unused dependencies", unused::check);
        phases.charts();
        phases.check("purity of the core", purity::check);
        phases.bare_core();
        phases.oldest_compiler();
    }
    phases.tests("unit tests", || {
        let mut tests = sh::cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
        tests.args(["--exclude", "cirron-tests"]);
        tests.args(["--features", PROBE_FEATURES]);
        tests.args(options.filter.iter());
        sh::tee(&mut tests)
    });
    phases.tests("unit tests of the suites", || {
        let mut tests = sh::cargo(["test", "--package", "cirron-tests", "--lib", "--locked"]);
        tests.args(options.filter.iter());
        sh::tee(&mut tests)
    });
    if !options.unit {
        phases.check("release build of the agent", sh::build_agent);
        match suites("real") {
            Ok(suites) => {
                for suite in suites {
                    let filter = options.filter.as_deref();
                    phases.tests(&suite.name, || sh::tee(&mut suite.command(filter, &[])?));
                }
            }
            Err(error) => phases.check("build of the suites", || Err(error)),
        }
    }
    Ok(phases.finish())
}

/// Runs the tests of real servers whose names have one of these in them, with so many requests of each client.
pub(crate) fn real(names: &[&str], each: u32) -> Result<()> {
    let suites = suites("real")?;
    let suite = suites.iter().find(|suite| suite.name == "real");
    let suite = suite.context("no suite of real servers")?;
    let variables = [("CIRRON_EACH", each.to_string())];
    sh::run(&mut suite.command(names.iter().copied(), &variables)?)
}

/// A test executable of the package `cirron-tests`, which runs as root.
struct Suite {
    name: String,
    executable: String,
}

impl Suite {
    fn command<'f>(
        &self,
        filters: impl IntoIterator<Item = &'f str>,
        variables: &[(&str, String)],
    ) -> Result<Command> {
        let mut command = sh::command(&self.executable);
        command.args(filters).envs(variables.iter().cloned());
        // Through sudo these would be lost.
        for name in [
            "PATH",
            "HOME",
            "XDG_CACHE_HOME",
            "CIRRON_REQUIRE_BPF",
            "CIRRON_REQUIRE_STACKS",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("CIRRON_STACKS", paths::stacks());
        command.env("CIRRON_AGENT_BIN", paths::agent());
        match sh::as_root(&command) {
            Ok(elevated) => Ok(elevated),
            // Without root each test says that it skips, and why.
            Err(_) => Ok(command),
        }
    }
}

/// Builds the suite of that name and runs it; false where something failed.
pub(crate) fn run_suite(name: &str) -> Result<bool> {
    let mut passed = true;
    for suite in suites(name)? {
        passed &= sh::tee(&mut suite.command([], &[])?)?.0;
    }
    Ok(passed)
}

/// Builds the suites of that name and says where their executables are.
fn suites(name: &str) -> Result<Vec<Suite>> {
    let mut build = sh::cargo(["test", "--package", "cirron-tests", "--locked", "--no-run"]);
    build.args([
        "--test",
        name,
        "--message-format",
        "json-render-diagnostics",
    ]);
    eprintln!("$ {}", sh::shown(&build));
    let messages = sh::output(&mut build)?;
    let suites = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/kind/0").and_then(Value::as_str) == Some("test"))
        .filter_map(|message| {
            Some(Suite {
                executable: message.get("executable")?.as_str()?.to_owned(),
                name: message.get("target")?.get("name")?.as_str()?.to_owned(),
            })
        })
        .collect();
    Ok(suites)
}

/// What happened so far.
#[derive(Default)]
struct Phases {
    tally: Tally,
    failed: Vec<String>,
}

impl Phases {
    /// A phase that is one check.
    fn check(&mut self, name: &str, phase: impl FnOnce() -> Result<()>) {
        let began = start(name);
        let mut tally = Tally::default();
        match phase() {
            Ok(()) => tally.passed = 1,
            Err(error) => {
                eprintln!("{error:#}");
                tally.failed = 1;
            }
        }
        self.end(name, began, tally);
    }

    /// The core builds for a target that has neither files nor sockets, threads or a clock, and the
    /// probes' crate for one that has no probes.
    fn bare_core(&mut self) {
        const NAME: &str = "build of the core and the probes' crate for wasm32";
        match setup::bare_target() {
            Err(error) => self.check(NAME, || Err(error)),
            Ok(true) => self.check(NAME, || {
                let mut build = sh::cargo(["check", "--package", "cirron-core", "--locked"]);
                build.args(["--no-default-features", "--target", setup::BARE_TARGET]);
                sh::run(&mut build)?;
                let mut build = sh::cargo(["check", "--package", "cirron-probe", "--locked"]);
                sh::run(build.args(["--target", setup::BARE_TARGET]))
            }),
            Ok(false) => self.skip(NAME, "no rustup to install the target's library"),
        }
    }

    /// The probes' crate on the oldest compiler that it promises.
    fn oldest_compiler(&mut self) {
        const NAME: &str = "build of the probes' crate by its oldest compiler";
        match oldest::toolchain() {
            Err(error) => self.check(NAME, || Err(error)),
            Ok(Some(version)) => self.check(NAME, || oldest::check(&version)),
            Ok(None) => self.skip(NAME, "no rustup to install it"),
        }
    }

    /// Known faults of the dependencies, where their database can be had.
    fn advisories(&mut self) {
        const NAME: &str = "deny advisories";
        match deny::advisories() {
            Err(error) => self.check(NAME, || Err(error)),
            Ok(Advisories::Checked) => self.check(NAME, || Ok(())),
            Ok(Advisories::Skipped(reason)) => self.skip(NAME, &reason),
        }
    }

    /// The Helm chart, where helm and Kubernetes' schemas can be had.
    fn charts(&mut self) {
        const NAME: &str = "charts";
        match charts::Tools::ensure() {
            Ok(tools) => self.check(NAME, || charts::check(&tools, false)),
            Err(error) => self.skip(NAME, &format!("{error:#}")),
        }
    }

    /// A phase that cannot run here.
    fn skip(&mut self, name: &str, reason: &str) {
        let began = start(name);
        eprintln!("SKIP {name}: {reason}");
        let skipped = Tally {
            skipped: 1,
            ..Tally::default()
        };
        self.end(name, began, skipped);
    }

    /// Clippy on the eBPF programs, where the toolchain that builds them came with it.
    fn clippy_of_ebpf(&mut self) {
        const NAME: &str = "clippy of the eBPF programs";
        let programs = paths::root().join("cirron-ebpf");
        match toolchain::find(&paths::cargo()) {
            Err(missing) => self.check(NAME, || Err(anyhow!("{missing}"))),
            Ok(found) => match toolchain::clippy(&found, &programs, &paths::target()) {
                Some(mut clippy) => self.check(NAME, || sh::run(&mut clippy)),
                None => self.skip(NAME, &format!("{} has no clippy", found.toolchain.name)),
            },
        }
    }

    /// A phase that runs tests and prints their results.
    fn tests(&mut self, name: &str, phase: impl FnOnce() -> Result<(bool, String)>) {
        let began = start(name);
        let mut tally = Tally::default();
        match phase() {
            Ok((success, printed)) => {
                tally = Tally::read(&printed);
                // It did not even build, or crashed before it could count.
                if !success && tally.failed == 0 {
                    tally.failed = 1;
                }
            }
            Err(error) => {
                eprintln!("{error:#}");
                tally.failed = 1;
            }
        }
        self.end(name, began, tally);
    }

    fn end(&mut self, name: &str, began: Instant, tally: Tally) {
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        eprintln!(
            "== {name}: {verdict} ({:.0} s)",
            began.elapsed().as_secs_f64()
        );
        if tally.failed > 0 {
            self.failed.push(name.to_owned());
        }
        self.tally.add(tally);
    }

    fn finish(self) -> ExitCode {
        println!();
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("{}", self.tally);
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn start(name: &str) -> Instant {
    eprintln!("== {name}");
    Instant::now()
}
