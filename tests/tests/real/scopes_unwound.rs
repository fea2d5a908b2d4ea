//! Functions as scopes that are left without their returns: exceptions, panics, `longjmp`, threads and processes that end.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::code::altered;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::stacks;
use cirron_tests::wait::until;

use crate::probes::{PATIENCE, Stepper, compile};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "function_scopes_that_are_unwound_end_there_and_are_around_nothing_later",
        need: Need::Bpf,
        run: unwound,
    },
    Test {
        name: "function_scopes_of_children_are_their_own_through_fork_and_exec",
        need: Need::Bpf,
        run: forked,
    },
];

/// Functions of the C++ program, and of the Rust one.
const OF_CPP: &str = "leaf throws passes catches jumps lands exits around_exit aborts often(n=0)";
const OF_RUST: &str = "leaf panics passes catches";
/// What is left by an exception, a jump or its thread's end is followed by `!`, what its process left open by `?`.
const TREE_OF_CPP: &str = "catches(passes!(throws!) leaf leaf) catches(passes(throws(leaf)) leaf) \
                           lands(jumps! leaf) lands(jumps(leaf) leaf) around_exit!(exits!) leaf";
const TREE_OF_RUST: &str = "catches(passes!(panics!) leaf) catches(passes(panics(leaf)) leaf)";
/// Calls of `often` in one step, one of 64 of which throws.
const OFTEN: u64 = 30_000;

/// The scopes of a process below `parent`, in their order, but for those of `often`.
fn tree(spool: &Spool, pid: u32, parent: &str) -> String {
    let is_below = |span: &&Span| {
        span.pid == pid && span.parent_id.as_deref() == Some(parent) && span.name != "often"
    };
    let mut below: Vec<&Span> = spool.spans.iter().filter(is_below).collect();
    below.sort_by_key(|span| span.start_ns);
    let words = below.iter().map(|span| {
        let end = match span.text("cirron.scope.end") {
            None => "",
            Some("unwound") => "!",
            Some("left_open") => "?",
            Some(other) => other,
        };
        match tree(spool, pid, &span.id).as_str() {
            "" => format!("{}{end}", span.name),
            within => format!("{}{end}({within})", span.name),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_tree(spool: &Spool, pid: u32, expected: &str) -> Result<()> {
    let roots = spool.spans.iter();
    let mut roots = roots.filter(|span| span.pid == pid && span.parent_id.is_none());
    let session = roots.next().context("no session")?;
    let found = tree(spool, pid, &session.id);
    ensure!(found == expected, "{found}\nexpected\n{expected}");
    Ok(())
}

fn unwound() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let at = |name: &str| dir.path().join(name);
    let build = |compiler: &str, args: &[&str], source: &str, out: &str| -> Result<()> {
        let mut command = Command::new(compiler);
        command.args(args).arg("-o").arg(at(out));
        let status = command.arg(stacks::here().join(source)).status();
        ensure!(status.context(compiler.to_owned())?.success(), "{source}");
        Ok(())
    };
    build(
        "g++",
        &["-O2", "-pthread"],
        "servers/c/unwinding.cpp",
        "cpp",
    )?;
    let edition = ["--edition", "2024", "-O"];
    build("rustc", &edition, "servers/rust/unwinding.rs", "rust")?;
    let mut cpp = Stepper::start(Command::new(at("cpp")))?;
    let mut rust = Stepper::start(Command::new(at("rust")))?;
    let rules = |image: &str, functions: &str| -> Vec<String> {
        let each = functions.split(' ').map(|f| format!("{image}:{f}"));
        each.collect()
    };
    let rules = [rules("cpp", OF_CPP), rules("rust", OF_RUST)].concat();
    let mut args = vec!["--scope", "cpp:forever"];
    for rule in ["libstdcxx:throw=mark:thrown", "libstdcxx:catch=mark:caught"] {
        args.extend(["--usdt", rule]);
    }
    for rule in &rules {
        args.extend(["--scope", rule]);
    }
    let agent = Agent::attach(&[cpp.pid(), rust.pid()], &args)?;
    let said = agent.stderr();
    ensure!(
        said.contains("forever is not watched: it never returns"),
        "{said}"
    );
    cpp.step()?;
    rust.step()?;
    rust.step()?;
    cpp.step_with(b"o")?;
    for program in [&cpp, &rust] {
        ensure!(!altered(program.pid())?.is_empty(), "nothing is watched");
    }
    let pid = cpp.pid();
    // It aborts, and answers before.
    cpp.step_with(b"a")?;
    until("the end", PATIENCE, || cpp.has_ended().then_some(()))?;
    let report = agent.finish()?;
    let three = [TREE_OF_CPP; 3].join(" ");
    is_tree(&report.spool, pid, &format!("{three} aborts?"))?;
    is_tree(&report.spool, rust.pid(), &[TREE_OF_RUST; 2].join(" "))?;
    ensure!(altered(rust.pid())?.is_empty(), "code is not as it was");
    // What libstdc++ tells of itself: where it was thrown, and where it was caught.
    for (name, mark, threw) in [("throws", "thrown", "!"), ("catches", "caught", "")] {
        let thrown = report.spool.named(name).filter(|span| span.pid == pid);
        let marked = thrown.filter(|span| span.marks(mark).count() == 1);
        let marked: Vec<&str> = marked
            .map(|span| span.text("cirron.scope.end").map_or("", |_| "!"))
            .collect();
        ensure!(marked == [threw; 3], "{name}: {marked:?}");
    }
    let often: Vec<&Span> = report.spool.named("often").collect();
    for span in &often {
        let threw = span.int("n").context("no number")? % 64 == 1;
        let is_unwound = span.text("cirron.scope.end") == Some("unwound");
        ensure!(threw == is_unwound, "{span:?}");
    }
    let left_out = report.summary["kernel"]["probe_hits_left_out"].as_u64();
    let told = often.len() as u64;
    ensure!(told < OFTEN && left_out > Some(0), "nothing is thinned");
    Ok(format!(
        "{told} of {OFTEN} calls told, {left_out:?} hits left out"
    ))
}

/// Of each process its own calls, each once; what was open where it was forked is its parent's.
fn forked() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("forking");
    let source = stacks::here().join("servers/c/forking.c");
    compile(&source, &[], &program)?;
    let mut stepper = Stepper::start(Command::new(&program))?;
    let rules = ["--scope", "forking:work(n=0)", "--scope", "forking:around"];
    let agent = Agent::attach(&[stepper.pid()], &rules)?;
    stepper.step()?;
    let report = agent.finish()?;
    let spool = &report.spool;
    is_tree(spool, stepper.pid(), "around(work work) around(work work)")?;
    ensure!(spool.named("around").count() == 2, "{}", spool.describe());
    let mut of_children: BTreeMap<u32, Vec<(i64, String)>> = BTreeMap::new();
    for span in &spool.spans {
        let parent = spool
            .spans
            .iter()
            .find(|s| Some(&s.id) == span.parent_id.as_ref());
        if let Some(parent) =
            parent.filter(|_| span.pid != stepper.pid() && span.name != "cirron.session")
        {
            ensure!(
                parent.pid == span.pid && parent.name == "cirron.session",
                "{span:?} is within {parent:?}"
            );
            let number = span.int("n").or(span.int("how")).unwrap_or(0);
            let told = (span.start_ns, format!("{} {number}", span.name));
            of_children.entry(span.pid).or_default().push(told);
        }
    }
    let mut rows: Vec<String> = Vec::new();
    for mut told in of_children.into_values() {
        told.sort_unstable();
        let words = told.into_iter().map(|(_, words)| words);
        rows.push(words.collect::<Vec<_>>().join(", "));
    }
    rows.sort_unstable();
    let expected = ["work 11, work 12", "work 20, told 2, work 30"];
    ensure!(rows == expected, "{rows:#?}");
    Ok(rows.join("; "))
}
