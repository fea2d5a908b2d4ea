//! `cargo xtask vm`: the agent on other kernels than this machine's. Debian's are booted in QEMU, one
//! after the other; in each servers of others are attached to, called by curl, over HTTP and HTTPS, and
//! the part of the real-server suite runs that needs no installed servers.
//!
//! ```text
//! tools ─▶ root file system ─▶ agent, suite, judge ─▶ for each series: fetch ─▶ boot ─▶ judge what came out
//! ```
//!
//! `tests/vm` runs in the guest and judges nothing; `cirron_tests::vm` judges what it brings out. What
//! is kept of each boot is in `target/vm/RELEASE`. A kernel that cannot be had is a `SKIP`; a boot
//! that does not come to its end fails. It is no part of `cargo xtask test`: minutes, and a mirror.

mod input;
mod kernel;
mod qemu;
mod rootfs;
mod tools;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{apt, paths, sh};

/// What is booted where nothing is asked for.
const SERIES: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7"];

/// Which kernels.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Series of kernels, such as 6.1; 7 is the newest 7.x
    #[arg(long, value_name = "SERIES", num_args = 1.., default_values = SERIES)]
    kernel: Vec<String>,
    /// Seconds that one boot may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    limit: u64,
}

/// Boots each. The exit code is a failure when a check failed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    apt::must_be_debian("a kernel of `vm`")?;
    tools::ensure()?;
    super::setup::ebpf_toolchain()?;
    let root = rootfs::ensure()?;
    let folder = paths::target().join("vm");
    fs::create_dir_all(&folder)?;
    let input = input::build(&folder)?;
    let mut kernels = kernel::Kernels::default();
    let mut results = Results::default();
    for series in &options.kernel {
        let kernel = match kernels.newest(series) {
            Ok(kernel) => kernel,
            Err(error) => {
                results.line("SKIP", series, &format!("{error:#}"));
                continue;
            }
        };
        let began = Instant::now();
        let here = folder.join(&kernel.release);
        let _ = fs::remove_dir_all(&here);
        fs::create_dir_all(&here)?;
        let boot = qemu::Boot {
            kernel: &kernel,
            root: &root,
            init: &paths::root().join("tests/vm/init"),
            input: &input.tar,
            folder: &here,
            limit: Duration::from_secs(options.limit),
        };
        match boot.run() {
            Ok(out) => results.judge(&kernel.release, &input.judge, &out)?,
            Err(error) => results.line(
                "FAILED",
                &format!("{} boot", kernel.release),
                &format!("{error:#}"),
            ),
        }
        println!(
            "     {}: {:.0} s, kept in {}",
            kernel.release,
            began.elapsed().as_secs_f64(),
            here.display()
        );
    }
    Ok(results.finish())
}

/// A line to the user that begins with where it comes from.
fn say(text: &str) {
    eprintln!("vm: {text}");
}

/// What was printed so far.
#[derive(Default)]
struct Results {
    passed: usize,
    skipped: usize,
    failed: Vec<String>,
}

impl Results {
    fn line(&mut self, verdict: &str, name: &str, text: &str) {
        match verdict {
            "ok" => self.passed += 1,
            "SKIP" => self.skipped += 1,
            _ => self.failed.push(name.to_owned()),
        }
        println!("{verdict:6} {name}: {text}");
    }

    /// The judge's lines, `VERDICT<tab>NAME<tab>TEXT`, as ours.
    fn judge(&mut self, release: &str, judge: &Path, out: &Path) -> Result<()> {
        let text = sh::output(Command::new(judge).arg(out))?;
        for line in text.lines() {
            let mut parts = line.splitn(3, '\t');
            if let (Some(verdict), Some(name), Some(text)) =
                (parts.next(), parts.next(), parts.next())
            {
                self.line(verdict, &format!("{release} {name}"), text);
            }
        }
        Ok(())
    }

    fn finish(self) -> ExitCode {
        for name in &self.failed {
            println!("  failed: {name}");
        }
        println!(
            "vm: {} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped
        );
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
