//! A function that is called all the time: it is detached, and its process is as fast as before; others stay.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_common::shape::{BUSY_SECONDS, HITS_A_SECOND};
use cirron_tests::agent::Agent;
use cirron_tests::code::altered;
use cirron_tests::runner::{Need, Test};

use crate::probes::{Stepper, compile};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "a_function_that_is_called_all_the_time_is_detached_and_others_are_not",
    need: Need::Bpf,
    run: hot,
}];

/// Calls `hot` for some seconds, by `round`, and says how often in the first of its rounds and in the last.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
__attribute__((noipa)) long hot(long n) { __asm__ volatile("" : "+r"(n)); return n + 1; }
__attribute__((noipa)) long rounded(long n) {
    double until = now() + 0.2;
    while (now() < until)
        for (int i = 0; i < 100; i++) n = hot(n);
    __asm__ volatile("" : "+r"(n));
    return n;
}
int main(void) {
    char go;
    puts("ready"); fflush(stdout);
    while (read(0, &go, 1) == 1) {
        long first = rounded(0), last = 0;
        for (int i = 1; i < ROUNDS; i++) last = rounded(0);
        printf("%ld %ld\n", first, last); fflush(stdout);
    }
    return 0;
}
"#;
/// Of 0.2 s each: a second more than it takes to be detached.
const ROUNDS: usize = 20;

fn hot() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let (source, program) = (dir.path().join("a.c"), dir.path().join("program"));
    std::fs::write(&source, PROGRAM)?;
    compile(&source, &[&format!("-DROUNDS={ROUNDS}")], &program)?;
    let mut stepper = Stepper::start(Command::new(&program))?;
    let rules = ["--scope", "program:hot", "--scope", "program:rounded"];
    let agent = Agent::attach(&[stepper.pid()], &rules)?;
    let said = stepper.step()?;
    let places = altered(stepper.pid())?;
    let said_meanwhile = agent.stderr();
    let report = agent.finish()?;
    let (first, last) = said.split_once(' ').context("no counts")?;
    let (first, last) = (first.parse::<u64>()?, last.parse::<u64>()?);
    ensure!(
        last > 20 * first,
        "{first} calls first, {last} last: {said_meanwhile}"
    );
    let expected = format!("process {} hits hot ", stepper.pid());
    ensure!(said_meanwhile.contains(&expected), "{said_meanwhile}");
    ensure!(
        report.stderr.matches(&expected).count() == 1,
        "said twice: {}",
        report.stderr
    );
    let detached = report.summary["libraries"]["probes_detached"].as_u64();
    ensure!(detached == Some(1), "{}", report.summary);
    ensure!(
        report.spool.named("rounded").count() == ROUNDS,
        "{}",
        report.spool.describe()
    );
    let told = report.spool.named("hot").count() as u64;
    ensure!(
        (1..=HITS_A_SECOND * (BUSY_SECONDS + 2)).contains(&told),
        "{told}"
    );
    Ok(format!(
        "{first} calls in the first 0.2 s, {last} in the last; {told} told; {} places left",
        places.len()
    ))
}
