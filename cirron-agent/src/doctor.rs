//! `doctor`: every check, and what the kernel says to each program. Attaches to no process.

use crate::cli::exit::Exit;
use crate::cli::{Failed, print};
use crate::kernel::{Kernel, LoadOptions};
use crate::preflight::{self, Subject, report};

/// Prints the checks; where the machine lacks nothing, loads the programs (with no target, so
/// nothing is captured) and prints what became of each.
pub fn doctor(pids: &[u32], load: &LoadOptions) -> Result<Exit, Failed> {
    let checks = preflight::all(pids);
    let mut out = report::table(&checks);
    let host: Vec<_> = checks
        .iter()
        .filter(|check| check.subject == Subject::Host)
        .cloned()
        .collect();
    let mut exit = match (report::missing(&host), report::missing(&checks)) {
        (Some(_), _) => Exit::CannotAttach,
        (None, Some(_)) => Exit::NoSuchProcess,
        (None, None) => Exit::Ok,
    };
    if exit == Exit::CannotAttach {
        out.push_str("\nprograms: not tried, something is missing above\n");
    } else {
        match Kernel::load(load) {
            Ok(kernel) => {
                out.push_str("\nprograms:\n");
                for row in kernel.verdicts() {
                    out.push_str(&format!(
                        "{:11} {:30} {}\n",
                        row.verdict, row.name, row.detail
                    ));
                }
            }
            Err(e) => {
                out.push_str(&format!("\nprograms: refused\n  {e}\n"));
                exit = Exit::CannotAttach;
            }
        }
    }
    print(&out)?;
    Ok(exit)
}
