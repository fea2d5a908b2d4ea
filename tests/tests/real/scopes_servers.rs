//! Functions of servers as scopes, by `--scope`, many requests at once, against what each program counts of its own calls.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::at_once;
use cirron_tests::code::altered;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::{calls, stacks, wait};

use crate::probes::compile;
use crate::scopes::offset;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "function_scopes_of_a_c_server_are_below_their_requests_and_as_many_as_it_counts",
        need: Need::Bpf,
        run: of_c,
    },
    Test {
        name: "function_scopes_of_an_axum_server_are_below_their_requests_and_as_many_as_it_counts",
        need: Need::Stacks,
        run: of_axum,
    },
];

/// Requests at once, of each server.
const AT_ONCE: usize = 32;
/// Functions that count themselves.
const COUNTED: [&str; 4] = ["answer", "prepare", "compute", "respond"];

/// What the server says of itself: each function, and how often it was called.
fn counted(port: u16) -> Result<BTreeMap<String, usize>> {
    let output = calls::curl(&[&format!("http://127.0.0.1:{port}/counts")])?;
    let text = String::from_utf8(output.stdout)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let (pairs, _) = words.as_chunks();
    let read = |[name, count]: &[&str; 2]| Ok(((*name).to_owned(), count.parse()?));
    pairs.iter().map(read).collect()
}

fn of_c() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let (whole, stripped) = (dir.path().join("counted"), dir.path().join("bare"));
    let source = stacks::here().join("servers/c/counted.c");
    compile(&source, &[], &whole)?;
    compile(&source, &["-s"], &stripped)?;
    let mut rules = Vec::new();
    for name in COUNTED {
        rules.push(format!("counted:{name}"));
        rules.push(format!("bare:{}={name}", offset(&whole, name)?));
    }
    // `answer` ends in `respond`, which is beside it then.
    let tree = |compute: &str| format!("answer(prepare {compute}) respond");
    served(&[&whole, &stripped], &rules, &tree)
}

/// Its functions end in none of the others. A worker may read several requests before it answers one: whose what it calls
/// then is, is not known.
fn of_axum() -> Result<String> {
    let (whole, stripped) = stacks::axum()?;
    let mut rules = Vec::new();
    for name in COUNTED {
        rules.push(format!("scripted-axum:scripted_axum::{name}={name}"));
        let symbol = symbol_of(&whole, &format!("scripted_axum::{name}"))?;
        rules.push(format!("stripped-axum:{}={name}", offset(&whole, &symbol)?));
    }
    let tree = |compute: &str| format!("answer(prepare {compute} respond)");
    served(&[&whole, &stripped], &rules, &tree)
}

/// The symbol that is demangled to this, but for the hash behind it.
fn symbol_of(program: &Path, name: &str) -> Result<String> {
    let list = |args: &[&str]| -> Result<Vec<String>> {
        let output = Command::new("nm").args(args).arg(program).output()?;
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let lines = list(&["-p"])?.into_iter().zip(list(&["-p", "-C"])?);
    let mut found = lines.filter(|(_, shown)| {
        shown.get(19..).is_some_and(|shown| {
            let shown = shown.split("::h").next().unwrap_or(shown);
            shown == name
        })
    });
    let (line, _) = found.next().with_context(|| format!("no {name}"))?;
    Ok(line.get(19..).context("no symbol")?.to_owned())
}

/// With its symbols, and one without by offsets; both at once. `tree`: the functions below a request, by those of `compute`.
fn served(
    programs: &[&Path; 2],
    rules: &[String],
    tree: &dyn Fn(&str) -> String,
) -> Result<String> {
    let servers = [start(programs[0])?, start(programs[1])?];
    let pids = servers.each_ref().map(|(server, _)| server.pid());
    let mut args = Vec::new();
    for rule in rules {
        args.extend(["--scope", rule]);
    }
    let agent = Agent::attach(&pids, &args)?;
    at_once(AT_ONCE, |n| {
        let url = |port: u16| format!("http://127.0.0.1:{port}/work/{n}");
        servers
            .iter()
            .try_for_each(|(_, port)| calls::curl(&[&url(*port)]).map(drop))
    })?;
    let counts: Vec<_> = servers.iter().map(|(_, port)| counted(*port)).collect();
    let report = agent.finish()?;
    let (mut all, mut of_known) = (0, 0);
    for (pid, counts) in pids.into_iter().zip(counts) {
        let (told, known) = judge(&report.spool, pid, &counts?, tree)?;
        (all, of_known) = (all + told, of_known + known);
        ensure!(altered(pid)?.is_empty(), "code is not as it was");
    }
    Ok(format!(
        "{all} scopes; of {of_known} of {} requests it is known which are theirs",
        2 * AT_ONCE
    ))
}

fn start(program: &Path) -> Result<(Guard, u16)> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command.arg(port.to_string());
    let server = Guard::spawn(command)?;
    wait::listener(port)?;
    Ok((server, port))
}

/// Below each request are its own functions, or, where that is not sure, none; in sum as many as the program has counted.
fn judge(
    spool: &Spool,
    pid: u32,
    counts: &BTreeMap<String, usize>,
    tree: &dyn Fn(&str) -> String,
) -> Result<(usize, usize)> {
    let of_process = |span: &&Span| span.pid == pid;
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for span in spool.spans.iter().filter(of_process) {
        if COUNTED.contains(&span.name.as_str()) {
            *told.entry(span.name.clone()).or_default() += 1;
            let end = span.text("cirron.scope.end");
            ensure!(end.is_none(), "{span:?}");
        }
    }
    ensure!(&told == counts, "{told:?} are told, {counts:?} counted");
    let (mut requests, mut known) = (0, 0);
    for request in spool.requests().into_iter().filter(|r| r.pid == pid) {
        let Some(n) = request.path().strip_prefix("/work/") else {
            continue;
        };
        requests += 1;
        let deep = n.parse::<usize>()? % 4;
        let compute = (0..deep).fold("compute".to_owned(), |within, _| {
            format!("compute({within})")
        });
        let expected = tree(&compute);
        match below(spool, &request.id) {
            found if found == expected => known += 1,
            found => ensure!(found.is_empty(), "{found} below {request:?}"),
        }
    }
    // Whose the others are is not known, and said.
    let why = |span: &Span| span.text("cirron.parent.unknown").map(str::to_owned);
    let answers = spool.spans.iter().filter(of_process);
    let unknown: Vec<String> = answers
        .filter(|span| span.name == "answer")
        .filter_map(why)
        .collect();
    ensure!(
        known + unknown.len() == AT_ONCE,
        "{known} known, unknown: {unknown:?}"
    );
    ensure!(requests == AT_ONCE, "{}", spool.describe());
    Ok((told.values().sum(), known))
}

fn below(spool: &Spool, parent: &str) -> String {
    let is_below = |span: &&Span| span.parent_id.as_deref() == Some(parent);
    let mut spans: Vec<&Span> = spool.spans.iter().filter(is_below).collect();
    spans.sort_by_key(|span| span.start_ns);
    let words = spans.iter().map(|span| match below(spool, &span.id) {
        within if within.is_empty() => span.name.clone(),
        within => format!("{}({within})", span.name),
    });
    words.collect::<Vec<_>>().join(" ")
}
