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

/// The offset in the file of a symbol, by its address, which `nm` gives, and the part of the file that is loaded there.
pub(crate) fn offset(program: &Path, symbol: &str) -> Result<String> {
    let output = |tool: &str, args: &[&str]| -> Result<String> {
        let output = Command::new(tool).args(args).arg(program).output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
    let symbols = output("nm", &[])?;
    let line = symbols
        .lines()
        .find(|line| line.ends_with(&format!(" {symbol}")));
    let address = line.and_then(|line| line.split(' ').next());
    let address = hex(address.context("no such symbol")?)?;
    // LOAD offset, address, physical address, bytes of the file, of memory.
    for line in output("readelf", &["-lW"])?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let ["LOAD", offset, at, _, size, ..] = fields[..] {
            let (offset, at, size) = (hex(offset)?, hex(at)?, hex(size)?);
            if let Some(behind) = address.checked_sub(at).filter(|behind| *behind < size) {
                return Ok(format!("+{:#x}", offset + behind));
            }
        }
    }
    anyhow::bail!("{symbol} is not in the file")
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
