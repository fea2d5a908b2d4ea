//! Runs tests one after the other and prints one line for each.
//!
//! libtest would run them side by side, where two cores leave no time to be within 2 ms of anything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::expect::Late;
use crate::{agent, coverage, stacks};

/// Number of further runs of a test whose times alone were late.
const LATE_AGAIN: usize = 2;
/// Pause before each of them: what kept the machine busy lasts for seconds.
const LATE_PAUSE: Duration = Duration::from_secs(5);

/// The check behind all tests.
const TABLE: &str = "the_table_of_protocols_is_what_passed";

/// What a test needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing but the agent's binary.
    Binary,
    /// The right to load BPF programs.
    Bpf,
    /// That, and the servers of `cargo xtask stacks`.
    Stacks,
}

/// A test.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Named after the behaviour.
    pub name: &'static str,
    /// What it needs.
    pub need: Need,
    /// The text is printed behind the name: figures worth seeing.
    pub run: fn() -> Result<String>,
}

fn flag(name: &str) -> bool {
    std::env::var(name).is_ok_and(|v| !v.is_empty() && v != "0")
}

fn no_bpf() -> Option<String> {
    // SAFETY: plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Some("needs root".into());
    }
    match Command::new(agent::binary()).arg("doctor").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            Some(format!("doctor says: {}", text.trim().replace('\n', "; ")))
        }
        Err(e) => Some(e.to_string()),
    }
}

fn run(test: &Test) -> Result<String> {
    catch_unwind(AssertUnwindSafe(test.run)).unwrap_or_else(|_| Err(anyhow::anyhow!("panicked")))
}

/// Runs the tests whose name contains one of the arguments (all, without), and says how it went.
/// `--list` prints the names.
pub fn main(tests: &[Test]) -> ExitCode {
    run_all(tests, true)
}

/// The same of tests that a verb of their own runs: the table of protocols is not theirs.
pub fn by_verb(tests: &[Test]) -> ExitCode {
    run_all(tests, false)
}

fn run_all(tests: &[Test], has_table: bool) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--list") {
        tests.iter().for_each(|t| println!("{}: test", t.name));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let no_binary = (!agent::binary().exists()).then(|| {
        format!(
            "{} is not built; cargo build --release",
            agent::binary().display()
        )
    });
    let no_bpf = no_binary.clone().or_else(no_bpf);
    let no_stacks = no_bpf.clone().or_else(stacks::missing);
    let (mut passed, mut skipped, mut failed) = (Vec::new(), 0, Vec::new());
    let began = Instant::now();
    for test in tests {
        if !filters.is_empty() && !filters.iter().any(|f| test.name.contains(f.as_str())) {
            continue;
        }
        let (obstacle, required) = match test.need {
            Need::Binary => (&no_binary, flag("CIRRON_REQUIRE_BPF")),
            Need::Bpf => (&no_bpf, flag("CIRRON_REQUIRE_BPF")),
            Need::Stacks => (
                &no_stacks,
                flag("CIRRON_REQUIRE_BPF") && no_bpf.is_some() || flag("CIRRON_REQUIRE_STACKS"),
            ),
        };
        if let Some(reason) = obstacle {
            if required {
                println!("FAIL {}: {reason}", test.name);
                failed.push(test.name);
            } else {
                println!("SKIP {}: {reason}", test.name);
                skipped += 1;
            }
            continue;
        }
        let start = Instant::now();
        let mut result = run(test);
        // A machine that did something else for a moment gets further chances; wrong figures do not.
        for _ in 0..LATE_AGAIN {
            let Err(e) = &result else { break };
            let Some(late) = e.downcast_ref::<Late>() else {
                break;
            };
            println!("late {}: {late}; again", test.name);
            std::thread::sleep(LATE_PAUSE);
            result = run(test);
        }
        let took = start.elapsed().as_secs_f64();
        match result {
            Ok(figures) if figures.is_empty() => println!("ok   {} ({took:.1} s)", test.name),
            Ok(figures) => println!("ok   {} ({took:.1} s): {figures}", test.name),
            Err(e) => {
                // The cause stands first: the context may be an agent's whole log.
                println!(
                    "FAIL {} ({took:.1} s): {}; {e:#}",
                    test.name,
                    e.root_cause()
                );
                failed.push(test.name);
            }
        }
        if failed.last() != Some(&test.name) {
            passed.push(test.name);
        }
    }
    if has_table {
        match table(tests, &passed, filters.is_empty()) {
            Table::Obstacle(reason) => {
                println!("SKIP {TABLE}: {reason}");
                skipped += 1;
            }
            Table::Checked(Err(e)) => {
                println!("FAIL {TABLE}: {e:#}");
                failed.push(TABLE);
            }
            Table::Checked(Ok(())) => {}
        }
    }
    println!(
        "real: {} passed, {skipped} skipped, {} failed in {:.0} s",
        passed.len(),
        failed.len(),
        began.elapsed().as_secs_f64()
    );
    failed.iter().for_each(|name| println!("  failed: {name}"));
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How the check behind all tests went.
enum Table {
    Obstacle(&'static str),
    Checked(Result<()>),
}

fn table(tests: &[Test], passed: &[&'static str], is_all: bool) -> Table {
    if let Some(reason) = coverage::obstacle() {
        return Table::Obstacle(reason);
    }
    let names: Vec<&str> = tests.iter().map(|t| t.name).collect();
    let mut table = coverage::names_are_known(&names);
    if is_all && passed.len() == tests.len() {
        table = table.and_then(|()| coverage::check(passed));
    }
    Table::Checked(table)
}
