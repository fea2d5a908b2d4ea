//! `doctor`: every check, and what the kernel says to each program. Attaches to no process.

use cirron_common::operand::Convention;
use cirron_containers::asker::Settings;
use cirron_spool::shown::shown_path;

use crate::cli::exit::Exit;
use crate::cli::{Failed, print};
use crate::containers::check;
use crate::driver::attacher::{unlisted, unopened};
use crate::driver::ruled::{Ruled, Rules};
use crate::driver::specs::Specs;
use crate::kernel::{Kernel, LoadOptions};
use crate::preflight::{self, Subject, report};
use crate::probes::images::images;
use crate::probes::open::Unopened;
use crate::probes::place::Choice;
use crate::probes::plan::{Attach, Means, Plan, plan, summary};
use crate::probes::quiet::Quiet;
use crate::probes::tls::blind;

/// Prints the checks; where the machine lacks nothing, loads the programs (with no target, so
/// nothing is captured) and prints what became of each. What is known of containers, and whether pods are:
/// `asks` is asked. For each of `pids`, where probes in its TLS libraries would sit.
pub fn doctor(
    pids: &[u32],
    asks: Result<Option<Settings>, String>,
    load: &LoadOptions,
    rules: &Rules,
) -> Result<Exit, Failed> {
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
                        "{:15} {:20} {}\n",
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
    out.push_str(&check::containers(asks, pids));
    for pid in pids {
        out.push_str(&tls(*pid));
        out.push_str(&probes(*pid, rules));
    }
    print(&out)?;
    Ok(exit)
}

/// Where probes in the TLS libraries of a process would sit, and what they cost; and the libraries
/// that cannot be read.
fn tls(pid: u32) -> String {
    let mut out = format!("\nTLS in process {pid}:\n");
    let before = out.len();
    let Ok(images) = images(pid) else {
        return out + &unlisted() + "\n";
    };
    let mut missing = Vec::new();
    for image in images {
        let file = match image.open() {
            Ok(file) => file,
            Err(Unopened::Missing(right)) => {
                missing.push((image, right));
                continue;
            }
            Err(Unopened::Gone | Unopened::NoFile) => continue,
        };
        let name = shown_path(&image.name);
        let look = plan(&Quiet::new(&file), Choice::Cheapest);
        let announces = look.plan.announces();
        let blind = match look.plan.by(Means::Auto) {
            Plan::Watch(functions) => {
                for function in &functions {
                    out.push_str(&format!("{name}: {function}\n"));
                }
                out.push_str(&format!("{name}: {}\n", summary(&functions)));
                out.push_str(&format!("{name}: {}\n", means(&functions, announces)));
                None
            }
            Plan::Unfollowed => Some(blind::UNFOLLOWED),
            Plan::Nothing => blind::library(&Quiet::new(&file), &image.name),
        };
        if let Some(library) = blind {
            out.push_str(&format!("{name}: {library}, which cannot be read\n"));
        }
        for refused in &look.refused {
            tracing::info!("{name}: {refused}");
        }
        if look.is_cut {
            out.push_str(&format!("{name}: too large, not all of it is looked at\n"));
        }
    }
    if let Some(unopened) = unopened(&missing) {
        out.push_str(&unopened);
        out.push('\n');
    }
    if out.len() == before {
        out.push_str(
            "no TLS library that we know is mapped now; one that is loaded later is seen then\n",
        );
    }
    out
}

/// What is read of a library, and how its functions were found. `announces`: its secrets could be read.
fn means(functions: &[Attach], announces: bool) -> &'static str {
    let any = |is: fn(&Attach) -> bool| functions.iter().any(is);
    if any(|a| a.function.announces()) {
        "its secrets are read, found by the names that it announces them with"
    } else if any(|a| a.function.convention == Convention::Go) {
        "plaintext is read, found by Go's own table"
    } else if announces {
        "plaintext is read, found by symbols; with --tls secrets its secrets instead"
    } else {
        "plaintext is read, found by symbols"
    }
}

/// Which probes of a process would be told, where they are and what they cost. What cannot be looked at was said.
fn probes(pid: u32, rules: &Rules) -> String {
    let mut out = format!("\nprobes in process {pid}:\n");
    let before = out.len();
    let mut ruled = Ruled::new(rules.clone(), Specs::default());
    for image in images(pid).unwrap_or_default() {
        let Ok(file) = image.open() else {
            continue;
        };
        let name = shown_path(&image.name);
        let found = ruled.look(&Quiet::new(&file), &image.name);
        for planned in &found.planned {
            out.push_str(&format!("{name}: {planned}\n"));
        }
        for refused in &found.refused {
            out.push_str(&format!("{name}: {refused}\n"));
        }
    }
    if out.len() == before {
        out.push_str(
            "none of cirron-probe, and none by --usdt or --scope, in what is mapped now\n",
        );
    }
    out
}
