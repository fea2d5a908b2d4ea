//! Functions as scopes, by `--scope`: each call has an entry and an exit of the same frame.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_common::hit::role;
use cirron_tests::code::altered;
use cirron_tests::runner::{Need, Test};

use crate::hits::hits;
use crate::probes::{Stepper, attach, compile};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "function_scopes_of_a_c_program_name_their_frames",
        need: Need::Bpf,
        run: || functions(&[], "program:fact(n=0,text=1:str)=work"),
    },
    Test {
        name: "function_scopes_of_a_stripped_program_are_told_by_offset",
        need: Need::Bpf,
        run: || functions(&["-s"], "offset"),
    },
];

const RECURSIVE: &str = r#"
#include <stdio.h>
#include <unistd.h>
__attribute__((noipa)) long fact(int n, const char *text) {
    if (n < 2) return text[0];
    long rest = fact(n - 1, text);
    /* Else the compiler makes a loop of it. */
    __asm__ volatile("" : "+r"(rest));
    return n + 3 * rest;
}
int main(void) {
    char go, text[] = "told";
    puts("ready"); fflush(stdout);
    while (read(0, &go, 1) == 1) { printf("%ld\n", fact(4, text)); fflush(stdout); }
    return 0;
}
"#;

/// The offset of a symbol of the file, as `nm` gives it: the linker puts code at its address.
fn offset(program: &Path, symbol: &str) -> Result<String> {
    let output = Command::new("nm").arg(program).output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text
        .lines()
        .find(|line| line.ends_with(&format!(" {symbol}")));
    let address = line.and_then(|line| line.split(' ').next());
    let address = u64::from_str_radix(address.context("no such symbol")?, 16)?;
    Ok(format!("+{address:#x}"))
}

/// A function that calls itself: each call has an entry with its values and an exit of the same frame.
fn functions(args: &[&str], rule: &str) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let (source, program) = (dir.path().join("a.c"), dir.path().join("program"));
    std::fs::write(&source, RECURSIVE)?;
    compile(&source, &[], &program)?;
    let rule = match rule {
        "offset" => format!("program:{}(n=0,text=1:str)=work", offset(&program, "fact")?),
        rule => rule.to_owned(),
    };
    compile(&source, args, &program)?;
    let mut stepper = Stepper::start(Command::new(&program))?;
    let (agent, recording) = attach(&[stepper.pid()], &["--scope", &rule], &[], dir.path())?;
    stepper.step()?;
    agent.finish()?;
    let all = hits(&recording)?;
    let (enters, exits) = all.split_at_checked(4).context("too few")?;
    ensure!(exits.len() == 4, "{all:#?}");
    let numbers: Vec<Option<u64>> = enters.iter().map(|hit| hit.values[0]).collect();
    ensure!(
        numbers == [Some(4), Some(3), Some(2), Some(1)],
        "{numbers:?}"
    );
    ensure!(
        enters
            .iter()
            .all(|hit| hit.role == role::ENTER && hit.text(0) == "told"),
        "{all:#?}"
    );
    ensure!(
        exits
            .iter()
            .all(|hit| hit.role == role::EXIT && hit.name == "work"),
        "{all:#?}"
    );
    ensure!(
        enters.windows(2).all(|two| two[0].stack > two[1].stack),
        "{all:#?}"
    );
    let left = exits.iter().rev().map(|hit| hit.stack);
    ensure!(enters.iter().map(|hit| hit.stack).eq(left), "{all:#?}");
    ensure!(altered(stepper.pid())?.is_empty(), "code is not as it was");
    Ok(format!("{} hits", all.len()))
}
