//! Links of probes: detaching leaves no trace in a target, by either kind, however the agent ends;
//! and a place that is refused costs nothing but itself.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::calls::{curl, openai_at};
use cirron_tests::code::altered;
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::stacks;

use crate::tls::{ca, calls};
use crate::tls_shapes::own_libraries;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "detaching_leaves_no_trace_in_the_targets",
        need: Need::Stacks,
        run: no_trace,
    },
    Test {
        name: "an_agent_that_is_killed_leaves_no_trace_in_the_target",
        need: Need::Stacks,
        run: killed,
    },
    Test {
        name: "one_link_for_each_place_sees_the_same_and_leaves_no_trace",
        need: Need::Stacks,
        run: single_links,
    },
    Test {
        name: "a_place_that_the_kernel_refuses_costs_one_function",
        need: Need::Stacks,
        run: refused,
    },
];

/// What the goal is stated for.
const PROBES: usize = 50;

/// A server whose TLS functions are in a file of its own in `dir`: probes are on files, and another
/// agent on this machine is none of our business.
fn own(stack: Stack, dir: &Path) -> Result<Server> {
    let at = dir.to_str().context("path")?;
    if matches!(stack, Stack::NodeTls | Stack::GoTls) {
        let copy = r#"cp "$(command -v "$1")" "$0/program" && shift && exec "$0/program" "$@""#;
        return Server::start_by(stack, &["sh", "-c", copy, at], &[]);
    }
    own_libraries(dir)?;
    Server::start_with(stack, &[("LD_LIBRARY_PATH", at)])
}

fn get(server: &Server) -> Result<()> {
    curl(&["--cacert", &ca()?, "--http1.1", &server.https("/health")]).map(drop)
}

/// Places of the code of `servers` that are not as in their files. One file may be mapped by two.
fn places(servers: &[Server]) -> Result<BTreeSet<(String, u64)>> {
    let mut found = BTreeSet::new();
    for server in servers {
        found.extend(altered(server.pid())?);
    }
    Ok(found)
}

/// The agent's own word on its end: the same number in the log and in the summary.
fn detached(report: &Report, probes: usize) -> Result<(u64, f64)> {
    let detach = &report.summary["detach"];
    ensure!(
        detach["uprobes"] == probes && report.stderr.contains(&format!("detached {probes} probes")),
        "{probes} probes: {}\n{}",
        report.summary,
        report.stderr
    );
    Ok((
        detach["links"].as_u64().context("no links")?,
        detach["ms"].as_f64().context("no time")?,
    ))
}

fn no_trace() -> Result<String> {
    let stacks = [Stack::UvloopTls, Stack::NodeTls, Stack::GoTls];
    let dirs = stacks.map(|_| tempfile::tempdir());
    let mut servers = Vec::new();
    for (stack, dir) in stacks.into_iter().zip(&dirs) {
        let dir = dir.as_ref().ok().context("no directory")?;
        servers.push(own(stack, dir.path())?);
    }
    let pids: Vec<u32> = servers.iter().map(Server::pid).collect();
    ensure!(places(&servers)?.is_empty(), "it is not as in the files");
    let agent = Agent::attach(&pids, &["-v"])?;
    let probes = places(&servers)?.len();
    ensure!(probes >= PROBES, "{probes} probes: {}", agent.stderr());
    for server in &servers {
        get(server)?;
        get(server)?;
    }
    let asked = Instant::now();
    let report = agent.finish()?;
    let took = asked.elapsed();
    let left = places(&servers)?;
    ensure!(left.is_empty(), "of {probes} probes are left: {left:?}");
    ensure!(
        report.spool.requests().len() == 2 * servers.len(),
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    let (links, ms) = detached(&report, probes)?;
    // The servers go on.
    for server in &servers {
        get(server)?;
    }
    Ok(format!(
        "{probes} probes, {links} links, detached in {ms:.0} ms; ended {} ms after the signal",
        took.as_millis()
    ))
}

fn killed() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let servers = [own(Stack::UvloopTls, dir.path())?];
    let agent = Agent::attach(&[servers[0].pid()], &[])?;
    let probes = places(&servers)?.len();
    ensure!(probes > 0, "no probe: {}", agent.stderr());
    agent.kill()?;
    let left = places(&servers)?;
    ensure!(left.is_empty(), "of {probes} probes are left: {left:?}");
    get(&servers[0])?;
    Ok(format!("{probes} probes"))
}

/// As on kernels before 6.6, and as on later ones.
fn single_links() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let mut servers = [own(Stack::UvloopTls, dir.path())?];
    let args = ["-v", "--pid", &servers[0].pid().to_string()].map(str::to_owned);
    let mut seen = Vec::new();
    let mut out = Vec::new();
    for asked in ["single", ""] {
        let agent = Agent::start(&args, |command| {
            command.env("CIRRON_UPROBE_LINKS", asked);
        })?;
        let probes = places(&servers)?;
        let clients = openai_at(&servers[0].https("/v1"), 2, &calls())?;
        let truth = servers[0].truth_of(8)?;
        servers[0].forget()?;
        let report = agent.finish()?;
        let left = places(&servers)?;
        ensure!(left.is_empty(), "are left: {left:?}");
        let figures = expect::matches_seen(&report.spool, &truth, &clients)
            .with_context(|| report.stderr.clone())?;
        let (links, ms) = detached(&report, probes.len())?;
        if asked == "single" {
            ensure!(
                report.stderr.contains("one link for each place")
                    && usize::try_from(links)? == probes.len(),
                "{links} links: {}",
                report.stderr
            );
        }
        out.push(format!(
            "{} probes, {links} links, detached in {ms:.0} ms ({})",
            probes.len(),
            figures.summary()
        ));
        seen.push(probes);
    }
    ensure!(seen[0] == seen[1], "not the same places: {seen:?}");
    Ok(out.join("; "))
}

/// The kernel puts no probe on a locked instruction. The server never calls this function.
fn refused() -> Result<String> {
    const FUNCTION: &str = "SSL_sendfile";
    // lock xadd %rdi, (%rdi): the argument is gone behind it, so that no later place will do.
    const LOCKED: [u8; 5] = [0xf0, 0x48, 0x0f, 0xc1, 0x3f];
    let dir = tempfile::tempdir()?;
    own_libraries(dir.path())?;
    let library = dir.path().join("libssl.so.3");
    let at = offset(&library, FUNCTION)?;
    std::fs::File::options()
        .write(true)
        .open(&library)?
        .write_all_at(&LOCKED, at)?;
    let ours = dir.path().to_str().context("path")?;
    let servers = [Server::start_with(
        Stack::UvloopTls,
        &[("LD_LIBRARY_PATH", ours)],
    )?];
    let agent = Agent::attach(&[servers[0].pid()], &["-v"])?;
    let probes = places(&servers)?;
    ensure!(
        !probes.is_empty() && probes.iter().all(|(_, place)| *place != at),
        "{probes:?}"
    );
    get(&servers[0])?;
    get(&servers[0])?;
    let report = agent.finish()?;
    detached(&report, probes.len())?;
    let unwatched: Vec<&str> = report
        .stderr
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("is not watched"))
        .collect();
    ensure!(
        unwatched.len() == 1 && unwatched[0].contains(FUNCTION),
        "{}",
        report.stderr
    );
    ensure!(
        report.spool.requests().len() == 2,
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    ensure!(places(&servers)?.is_empty(), "probes are left");
    Ok(format!("{} probes", probes.len()))
}

/// Where a function stands in its file.
fn offset(library: &Path, function: &str) -> Result<u64> {
    let code = "import ctypes, sys\n\
        at = ctypes.cast(ctypes.CDLL(sys.argv[1])[sys.argv[2]], ctypes.c_void_p).value\n\
        for line in open('/proc/self/maps'):\n    \
            area, _, offset = line.split()[:3]\n    \
            start, end = (int(x, 16) for x in area.split('-'))\n    \
            if start <= at < end: print(at - start + int(offset, 16))\n";
    let output = Command::new(stacks::venv("python")?)
        .args(["-c", code])
        .arg(library)
        .arg(function)
        .output()?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
