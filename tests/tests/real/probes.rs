//! USDT probes: those of cirron-probe by themselves, those of others by `--usdt`; their semaphores, their arguments, and what
//! becomes of one that is hit all the time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cirron_common::hit::role;
use cirron_common::shape::HITS_A_SECOND;
use cirron_tests::agent::{Agent, Report};
use cirron_tests::code::altered;
use cirron_tests::process::Guard;
use cirron_tests::runner::{Need, Test};
use cirron_tests::stacks;
use cirron_tests::wait::until;
use tempfile::TempDir;

use crate::hits::{ToldHit, hits};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "usdt_probes_of_others_are_told_with_their_arguments",
        need: Need::Bpf,
        run: || arguments(&[]),
    },
    Test {
        name: "usdt_probes_by_one_link_for_each_place_are_told_the_same",
        need: Need::Bpf,
        run: || arguments(&[("CIRRON_UPROBE_LINKS", "single")]),
    },
    Test {
        name: "usdt_semaphores_are_raised_with_the_agent_and_lowered_also_when_it_is_killed",
        need: Need::Bpf,
        run: semaphores,
    },
    Test {
        name: "usdt_probes_of_a_library_that_is_loaded_late_are_told",
        need: Need::Bpf,
        run: late,
    },
    Test {
        name: "a_usdt_probe_that_is_hit_all_the_time_is_thinned_and_counted",
        need: Need::Bpf,
        run: often,
    },
    Test {
        name: "probes_of_cirron_probe_are_told_of_a_c_program",
        need: Need::Bpf,
        run: tour,
    },
    Test {
        name: "probes_of_cirron_probe_are_told_of_a_python_program",
        need: Need::Bpf,
        run: python_module,
    },
    Test {
        name: "a_scope_of_a_second_has_its_thread_s_processor_time",
        need: Need::Bpf,
        run: processor_time,
    },
    Test {
        name: "a_usdt_rule_that_matches_nothing_is_said",
        need: Need::Bpf,
        run: unmatched,
    },
    Test {
        name: "usdt_probes_of_debian_s_python_are_told",
        need: Need::Bpf,
        run: python,
    },
];

/// Until a program has answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn file(path: &str) -> PathBuf {
    stacks::here().join(path)
}

/// Compiles a C program.
pub(crate) fn compile(source: &Path, args: &[&str], out: &Path) -> Result<()> {
    let status = Command::new("cc")
        .args(["-O2", "-pthread", "-o"])
        .arg(out)
        .arg(source)
        .arg("-I")
        .arg(file("../cirron-probe/c"))
        .args(args)
        .status()
        .context("no C compiler")?;
    ensure!(status.success(), "{} does not compile", source.display());
    Ok(())
}

/// A program that does something for each byte that it reads, and then says what its semaphore is.
pub(crate) struct Stepper {
    guard: Guard,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Stepper {
    pub(crate) fn start(mut command: Command) -> Result<Stepper> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = Guard::spawn(command)?;
        let to = guard.child().stdin.take().context("stdin")?;
        let from = BufReader::new(guard.child().stdout.take().context("stdout")?);
        let mut stepper = Stepper { guard, to, from };
        stepper.line()?;
        Ok(stepper)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// One step; gives the semaphore behind it.
    pub(crate) fn step(&mut self) -> Result<String> {
        self.step_with(b"x")
    }

    /// The same by another byte.
    pub(crate) fn step_with(&mut self, byte: &[u8; 1]) -> Result<String> {
        self.to.write_all(byte)?;
        self.line()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.guard.child().try_wait(), Ok(Some(_)))
    }

    /// Steps until its semaphore is that.
    fn until(&mut self, semaphore: &str) -> Result<()> {
        let what = format!("a semaphore of {semaphore}");
        until(&what, PATIENCE, || {
            (self.step().ok()? == semaphore).then_some(())
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }
}

/// `usdt_zoo.c` in a directory of its own.
struct Zoo {
    dir: TempDir,
}

impl Zoo {
    fn build() -> Result<Zoo> {
        let dir = tempfile::tempdir()?;
        compile(&file("servers/c/usdt_zoo.c"), &[], &dir.path().join("zoo"))?;
        Ok(Zoo { dir })
    }

    fn start(&self, times: u32) -> Result<Stepper> {
        let mut command = Command::new(self.dir.path().join("zoo"));
        command.arg(times.to_string());
        Stepper::start(command)
    }
}

const RULES: [&str; 8] = [
    "--usdt",
    "zoo:step__start=begin:step(n=0,text=1:str)",
    "--usdt",
    "zoo:step__done=end:step(0:int)",
    "--usdt",
    "zoo:forms=mark(minus=0,flag=1,five=2:int,low=3,half=4)",
    "--usdt",
    "zoo:odd=mark(0)",
];

/// Attaches with `rules`, and a recording at the place that is given back.
pub(crate) fn attach(
    pids: &[u32],
    rules: &[&str],
    env: &[(&str, &str)],
    dir: &Path,
) -> Result<(Agent, PathBuf)> {
    let recording = dir.join("recording");
    let mut args: Vec<String> = Vec::new();
    for pid in pids {
        args.extend(["--pid".to_owned(), pid.to_string()]);
    }
    args.extend(rules.iter().map(|rule| (*rule).to_owned()));
    args.extend(["--record".to_owned(), recording.display().to_string()]);
    let agent = Agent::start(&args, |command| {
        command.envs(env.iter().copied());
    })?;
    Ok((agent, recording))
}

fn arguments(env: &[(&str, &str)]) -> Result<String> {
    let zoo = Zoo::build()?;
    let mut stepper = zoo.start(3)?;
    let dir = tempfile::tempdir()?;
    let (agent, recording) = attach(&[stepper.pid()], &RULES, env, dir.path())?;
    ensure!(stepper.step()? == "1", "the semaphore is not raised");
    let report = agent.finish()?;
    stepper.until("0")?;
    ensure!(altered(stepper.pid())?.is_empty(), "code is not as it was");
    let all = hits(&recording)?;
    ensure!(all.len() == 12, "{all:#?}");
    for (n, four) in all.chunks(4).enumerate() {
        let [begin, forms, odd, end] = four else {
            unreachable!()
        };
        let number = Some((n as i64 - 1).cast_unsigned());
        ensure!((begin.role, begin.name.as_str()) == (role::BEGIN, "step"));
        ensure!(begin.value_names == ["n", "text"], "{begin:?}");
        ensure!(begin.values[0] == number, "{begin:?}");
        let text = format!("text of {}", stepper.pid());
        ensure!(begin.texts == [Some(text)], "{begin:?}");
        let low = number.map(|n| (n as u8 as i8 as i64).cast_unsigned());
        let half = Some(0.5_f64.to_bits());
        let known = [
            Some(-7_i64 as u64),
            Some(77),
            Some(-5_i64 as u64),
            low,
            half,
        ];
        ensure!(forms.values == known, "{forms:?}");
        ensure!(odd.values == [None], "{odd:?}");
        ensure!(
            (end.role, &end.values) == (role::END, &vec![number]),
            "{end:?}"
        );
        ensure!(four.windows(2).all(|two| two[0].ts_ns < two[1].ts_ns));
        ensure!(
            four.iter()
                .all(|hit| (hit.pid, hit.tid) == (stepper.pid(), stepper.pid()))
        );
    }
    kernel_count(&report, "probe_faults", 0)?;
    Ok(format!("{} hits", all.len()))
}

fn kernel_count(report: &Report, name: &str, is: u64) -> Result<()> {
    let count = report.summary["kernel"][name].as_u64();
    ensure!(count == Some(is), "{name}: {count:?}");
    Ok(())
}

/// The kernel lowers what it has raised. Bystanders with the same file are raised as well, and told of by nobody.
fn semaphores() -> Result<String> {
    let zoo = Zoo::build()?;
    let (mut target, mut bystander) = (zoo.start(1)?, zoo.start(1)?);
    let dir = tempfile::tempdir()?;
    ensure!(target.step()? == "0");
    let (agent, _) = attach(&[target.pid()], &RULES, &[], dir.path())?;
    ensure!(target.step()? == "1", "not raised");
    ensure!(
        bystander.step()? == "1",
        "the document says that bystanders are raised as well"
    );
    // A process that begins later, of the same file.
    let mut later = zoo.start(1)?;
    ensure!(later.step()? == "1");
    let other_dir = tempfile::tempdir()?;
    let (second, _) = attach(&[target.pid()], &RULES, &[], other_dir.path())?;
    ensure!(
        target.step()? == "1",
        "two agents listen to one probe of the kernel's"
    );
    agent.kill()?;
    target.until("1")?;
    second.kill()?;
    for stepper in [&mut target, &mut bystander, &mut later] {
        stepper.until("0")?;
    }
    let (third, recording) = attach(&[target.pid()], &RULES, &[], dir.path())?;
    ensure!(target.step()? == "1" && bystander.step()? == "1");
    third.finish()?;
    for stepper in [&mut target, &mut bystander, &mut later] {
        stepper.until("0")?;
        ensure!(altered(stepper.pid())?.is_empty(), "code is not as it was");
    }
    let all = hits(&recording)?;
    ensure!(all.len() == 4, "{all:#?}");
    Ok("killed, started again, ended".to_owned())
}

const LOADER: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char go;
    int (*work)(void) = 0;
    puts("ready"); fflush(stdout);
    while (read(0, &go, 1) == 1) {
        if (!work) work = (int (*)(void))dlsym(dlopen(argv[1], RTLD_NOW), "work");
        printf("%d\n", work()); fflush(stdout);
    }
    return 0;
}
"#;

const LIBRARY: &str = r#"
#include "cirron.h"
int work(void) {
    int evaluated = 0;
    cirron_scope scope = CIRRON_BEGIN("late", cirron_int("evaluated", ++evaluated));
    cirron_end(scope);
    return evaluated;
}
"#;

fn late() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("loader.c"), LOADER)?;
    std::fs::write(at("library.c"), LIBRARY)?;
    compile(&at("loader.c"), &["-ldl"], &at("loader"))?;
    compile(&at("library.c"), &["-shared", "-fPIC"], &at("library.so"))?;
    let mut command = Command::new(at("loader"));
    command.arg(at("library.so"));
    let mut stepper = Stepper::start(command)?;
    let (agent, recording) = attach(&[stepper.pid()], &[], &[], dir.path())?;
    let began = Instant::now();
    // It is loaded with the first.
    stepper.step()?;
    stepper.until("1")?;
    let took = began.elapsed();
    agent.finish()?;
    let all = hits(&recording)?;
    let is_late = |hit: &&ToldHit| hit.name == "scope_begin" && hit.text(0) == "late";
    ensure!(all.iter().any(|hit| is_late(&hit)), "{all:?}");
    Ok(format!("told {} ms behind its loading", took.as_millis()))
}

/// Many steps at once: of each probe a bounded number is told a second, and of a pair both or neither.
fn often() -> Result<String> {
    // Fewer than two seconds of them: past that it would be taken out.
    const STEPS: u32 = 80_000;
    let zoo = Zoo::build()?;
    let mut stepper = zoo.start(STEPS)?;
    let began = Instant::now();
    stepper.step()?;
    let alone = began.elapsed();
    let dir = tempfile::tempdir()?;
    let pair = &RULES[..4];
    let (agent, recording) = attach(&[stepper.pid()], pair, &[], dir.path())?;
    let began = Instant::now();
    stepper.step()?;
    let took = began.elapsed();
    let report = agent.finish()?;
    let all = hits(&recording)?;
    let of = |role: u8| all.iter().filter(|hit| hit.role == role).count() as u64;
    let (begins, ends) = (of(role::BEGIN), of(role::END));
    let most = HITS_A_SECOND * (took.as_secs() + 2);
    ensure!(begins == ends, "{begins} beginnings, {ends} ends");
    ensure!(
        begins >= HITS_A_SECOND && begins <= most,
        "{begins} in {took:?}"
    );
    ensure!(is_paired(&all), "a beginning is told without its end");
    let left_out = report.summary["kernel"]["probe_hits_left_out"].as_u64();
    let lost = report.summary["kernel"]["probe_hits_lost"].as_u64();
    let whole = begins + ends + left_out.unwrap_or(0) + lost.unwrap_or(0);
    ensure!(
        whole == 2 * u64::from(STEPS),
        "{whole}: {left_out:?} left out, {lost:?} lost"
    );
    let said = format!(
        "hits of zoo:step__start were left out: of each probe a process has {HITS_A_SECOND}"
    );
    ensure!(report.stderr.contains(&said), "{}", report.stderr);
    let each = (took.saturating_sub(alone)).as_nanos() / u128::from(2 * STEPS);
    Ok(format!(
        "{begins} of {STEPS} told, {} ms instead of {} ms: {each} ns for each hit",
        took.as_millis(),
        alone.as_millis()
    ))
}

fn is_paired(all: &[ToldHit]) -> bool {
    all.chunks(2).all(|two| match two {
        [begin, end] => {
            begin.role == role::BEGIN && end.role == role::END && begin.values[0] == end.values[0]
        }
        _ => false,
    })
}

fn tour() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("tour");
    compile(&file("../cirron-probe/examples/c/tour.c"), &[], &program)?;
    let recording = dir.path().join("recording");
    let agent = Agent::run(
        &["--record", recording.to_str().context("path")?],
        &Command::new(&program),
        |_| {},
    )?;
    let report = agent.ended(PATIENCE)?;
    ensure!(report.stdout.contains("evaluated 1"), "{}", report.stdout);
    let all = hits(&recording)?;
    let words: Vec<String> = all
        .iter()
        .map(|hit| match hit.role {
            role::SCOPE_BEGIN | role::SCOPE_OPEN | role::REQUEST_BEGIN => {
                format!("{} {}", hit.name, hit.text(0))
            }
            role::MARK => format!("mark {}", hit.text(0)),
            _ => hit.name.clone(),
        })
        .collect();
    let expected = [
        "request_begin job-7",
        "scope_begin preprocess",
        "mark evaluated",
        "mark tokens",
        "mark loss",
        "mark cached",
        "mark finish",
        "scope_end",
        "scope_open fetch",
        "scope_enter",
        "scope_begin parse",
        "scope_end",
        "scope_exit",
        "scope_end",
        "scope_end",
        "request_open",
        "scope_end",
    ];
    ensure!(words == expected, "{words:#?}");
    let scope = &all[1];
    // The id and its parent, of the same file.
    ensure!(scope.values[1] == all[0].values[0] && scope.image == all[0].image);
    ensure!(
        scope.text(1).contains("model") && scope.text(1).contains("tiny"),
        "{scope:?}"
    );
    let finish = &all[6];
    ensure!(
        finish.values[0] == all[0].values[0],
        "a mark on the request"
    );
    ensure!(finish.text(1) == "stop", "{finish:?}");
    let parse = &all[10];
    ensure!(parse.tid != all[0].tid, "it is of another thread");
    Ok(format!("{} hits", all.len()))
}

/// The Python module, unpacked from its wheel.
/// Builds the Python module and unpacks it below `dir`: the folder to be imported from.
pub(crate) fn python_site(dir: &Path) -> Result<PathBuf> {
    let at = |name: &str| dir.join(name);
    let built = Command::new("/usr/bin/python3")
        .arg(file("../cirron-probe/python/build_backend.py"))
        .arg(at("wheels"))
        .output()?;
    ensure!(built.status.success(), "{built:?}");
    let wheel = String::from_utf8(built.stdout)?;
    let unpacked = Command::new("/usr/bin/python3")
        .args(["-m", "zipfile", "-e", wheel.trim()])
        .arg(at("site"))
        .status()?;
    ensure!(unpacked.success());
    Ok(at("site"))
}

/// A thread that is busy, and one that sleeps, against what the program itself reads of its clock. No neighbour can disturb
/// it: the kernel's figure is a tick old at most, at both ends.
fn processor_time() -> Result<String> {
    const TICK_NS: i64 = 10_000_000;
    let dir = tempfile::tempdir()?;
    let site = python_site(dir.path())?;
    let program = "import cirron_probe as ci, sys, time\n\
                   def work(name, do):\n \
                    began = time.thread_time_ns()\n \
                    with ci.scope(name): do()\n \
                    return time.thread_time_ns() - began\n\
                   def busy():\n \
                    until = time.time() + 1.5\n \
                    while time.time() < until: pass\n\
                   print('ready', flush=True)\n\
                   for _ in sys.stdin: print(work('busy', busy), work('asleep', lambda: time.sleep(1.1)), flush=True)";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", program]).env("PYTHONPATH", site);
    let mut stepper = Stepper::start(command)?;
    let agent = Agent::attach(&[stepper.pid()], &[])?;
    stepper.to.write_all(b"x\n")?;
    let said = stepper.line()?;
    let report = agent.finish()?;
    let mut told = Vec::new();
    for (name, said) in ["busy", "asleep"].into_iter().zip(said.split(' ')) {
        let span = report.spool.named(name).next().context("no scope")?;
        let (is, said) = (span.cpu_ns.context("no time")?, said.parse::<i64>()?);
        ensure!(
            (is - said).abs() <= 2 * TICK_NS,
            "{name}: {is} ns, {said} ns"
        );
        told.push(format!("{name}: {is} ns, by the program itself {said} ns"));
    }
    Ok(told.join("; "))
}

fn python_module() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let site = python_site(dir.path())?;
    let program = "import cirron_probe as ci, sys\n\
                   @ci.inference\n\
                   def predict():\n with ci.scope('preprocess', rows=3): ci.mark('bytes', 42)\n\
                   print('ready', flush=True)\n\
                   for _ in sys.stdin: predict(); print('done', flush=True)";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", program]).env("PYTHONPATH", site);
    let mut stepper = Stepper::start(command)?;
    let (agent, recording) = attach(&[stepper.pid()], &[], &[], dir.path())?;
    stepper.to.write_all(b"x\n")?;
    stepper.line()?;
    agent.finish()?;
    let all = hits(&recording)?;
    let names: Vec<&str> = all.iter().map(|hit| hit.name.as_str()).collect();
    let expected = [
        "request_begin",
        "scope_begin",
        "mark",
        "scope_end",
        "scope_end",
    ];
    ensure!(names == expected, "{all:#?}");
    let (scope, mark) = (&all[1], &all[2]);
    ensure!(
        scope.text(0) == "preprocess" && scope.text(1).contains("rows"),
        "{scope:?}"
    );
    ensure!(
        scope.values[1] == all[0].values[0],
        "its parent is the request"
    );
    ensure!(
        mark.text(0) == "bytes" && mark.values[4] == Some(42),
        "{mark:?}"
    );
    Ok(format!("{} hits", all.len()))
}

fn unmatched() -> Result<String> {
    let zoo = Zoo::build()?;
    let stepper = zoo.start(1)?;
    let dir = tempfile::tempdir()?;
    let rules = ["--usdt", "zoo:step__start=mark", "--usdt", "zoo:no__*=mark"];
    let (agent, _) = attach(&[stepper.pid()], &rules, &[], dir.path())?;
    let said = agent.stderr();
    agent.finish()?;
    let warning = "warning: no probe so far for --usdt zoo:no__*=mark\n";
    ensure!(said.contains(warning) && said.contains("/zoo"), "{said}");
    Ok(String::new())
}

fn python() -> Result<String> {
    let python = Path::new("/usr/bin/python3");
    let source = "import gc, sys\nprint('ready', flush=True)\n\
                  for _ in sys.stdin: gc.collect(); print('done', flush=True)";
    let mut command = Command::new(python);
    command.args(["-c", source]);
    let mut stepper = Stepper::start(command)?;
    let dir = tempfile::tempdir()?;
    let rules = [
        "--usdt",
        "python:gc__start=begin:gc(generation=0)",
        "--usdt",
        "python:gc__done=end:gc(freed=0)",
    ];
    let (agent, recording) = attach(&[stepper.pid()], &rules, &[], dir.path())?;
    if agent.stderr().contains("no probe so far") {
        agent.finish()?;
        return Ok("this Python has no probes".to_owned());
    }
    stepper.to.write_all(b"x\n")?;
    stepper.line()?;
    agent.finish()?;
    let all = hits(&recording)?;
    let [begin, end, ..] = &all[..] else {
        anyhow::bail!("{all:?}")
    };
    ensure!(
        (begin.role, end.role) == (role::BEGIN, role::END),
        "{all:?}"
    );
    ensure!(begin.values[0] == Some(2), "{begin:?}");
    Ok(format!("{} hits", all.len()))
}
