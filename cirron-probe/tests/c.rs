//! `cirron.h`, by every C and C++ compiler that is there: the notes, and a real tracer.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    clippy::unwrap_used,
    clippy::incompatible_msrv,
    reason = "a test may panic, and is built by today's compiler"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::tracer::{Hit, Tracer};
use support::{notes, package, scratch, skip, PROBES};

/// The compilers, with what makes each a different one.
const COMPILERS: [(&str, &[&str]); 8] = [
    ("gcc", &["-O2"]),
    ("gcc", &["-O0", "-std=c99"]),
    ("gcc", &["-O2", "-flto", "-Wl,--gc-sections", "-s"]),
    ("g++", &["-O2", "-x", "c++", "-std=c++11"]),
    ("clang", &["-O2"]),
    ("clang", &["-O0", "-std=c99"]),
    ("clang", &["-O2", "-flto", "-fuse-ld=lld"]),
    ("clang++", &["-O2", "-x", "c++", "-std=c++11"]),
];

fn is_there(compiler: &str) -> bool {
    let version = Command::new(compiler).arg("--version").output();
    version.map_or(false, |output| output.status.success())
}

/// Compiles files of C with all warnings as errors.
fn compile(compiler: &str, arguments: &[&str], sources: &[PathBuf], name: &str) -> PathBuf {
    let program = scratch("c").join(name);
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(package().join("c"))
        .args(arguments)
        .args(sources)
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{compiler} {arguments:?}\n{errors}"
    );
    program
}

fn tour() -> PathBuf {
    package().join("examples/c/tour.c")
}

/// Runs it, and returns what it printed.
fn run(program: &Path) -> String {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_compiler_writes_the_notes() {
    for (i, (compiler, arguments)) in COMPILERS.iter().enumerate() {
        let test = format!("c with {compiler} {}", arguments.join(" "));
        if !is_there(compiler) {
            skip(&test, "no such compiler", "CIRRON_REQUIRE_COMPILERS");
            continue;
        }
        let lld = arguments.contains(&"-fuse-ld=lld");
        if lld && !is_there("ld.lld") {
            skip(&test, "no ld.lld", "CIRRON_REQUIRE_COMPILERS");
            continue;
        }
        let program = compile(compiler, arguments, &[tour()], &format!("tour-{i}"));
        notes::check(&program, &PROBES);
        assert_eq!(run(&program), "evaluated 0\n");
    }
}

/// On another system the header compiles to nothing.
#[test]
fn elsewhere_there_is_nothing() {
    for (compiler, arguments) in [COMPILERS[0], COMPILERS[3]] {
        if !is_there(compiler) {
            skip("C elsewhere", compiler, "CIRRON_REQUIRE_COMPILERS");
            continue;
        }
        let elsewhere = [arguments, &["-U__linux__", "-Wno-unused-value"]].concat();
        let program = compile(compiler, &elsewhere, &[tour()], "elsewhere");
        assert!(notes::read(&program).is_empty());
        assert_eq!(run(&program), "evaluated 0\n");
    }
}

#[test]
fn two_files_share_their_probes_and_their_state() {
    if !is_there("gcc") {
        return skip("two files of C", "no gcc", "CIRRON_REQUIRE_COMPILERS");
    }
    let directory = scratch("c");
    let (first, second) = (directory.join("first.c"), directory.join("second.c"));
    std::fs::write(
        &first,
        "#include \"cirron.h\"\nvoid inner(void);\n\
         int main(void) { cirron_scope outer = CIRRON_BEGIN(\"outer\"); inner(); cirron_end(outer); return 0; }\n",
    )
    .unwrap();
    std::fs::write(
        &second,
        "#include \"cirron.h\"\nvoid inner(void);\n\
         void inner(void) { cirron_end(CIRRON_BEGIN(\"inner\")); }\n",
    )
    .unwrap();
    let program = compile("gcc", &["-O2"], &[first, second], "two-files");
    notes::check(&program, &PROBES);
    let Some(hits) = traced("two", &program) else {
        return;
    };
    let begun: Vec<_> = hits
        .iter()
        .filter(|hit| hit.probe == "scope_begin")
        .collect();
    assert_eq!(
        [begun[0].number(0), begun[1].number(0), begun[1].number(1)],
        [1, 2, 1]
    );
}

fn traced(test: &str, program: &Path) -> Option<Vec<Hit>> {
    let tracer = Tracer::new(test, program)?;
    tracer.listen();
    run(program);
    tracer.stop();
    Some(tracer.hits())
}

#[test]
fn what_c_tells_is_what_rust_tells() {
    if !is_there("gcc") {
        return skip("the tour in C", "no gcc", "CIRRON_REQUIRE_COMPILERS");
    }
    let program = compile("gcc", &["-O2"], &[tour()], "tour");
    let Some(hits) = traced("c", &program) else {
        return;
    };
    let seen: Vec<_> = hits
        .iter()
        .map(|hit| (hit.probe.as_str(), hit.number(0)))
        .collect();
    assert_eq!(
        seen,
        [
            ("request_begin", 1),
            ("scope_begin", 2),
            ("mark", 2),
            ("mark", 2),
            ("mark", 2),
            ("mark", 2),
            ("mark", 1),
            ("scope_end", 2),
            ("scope_open", 3),
            ("scope_enter", 3),
            ("scope_begin", 4),
            ("scope_end", 4),
            ("scope_exit", 3),
            ("scope_end", 3),
            ("scope_end", 1),
            ("request_open", 5),
            ("scope_end", 5),
        ]
    );
    assert_eq!((hits[0].number(1), hits[0].text(2)), (0, "job-7"));
    assert_eq!((hits[1].number(1), hits[1].text(2)), (1, "preprocess"));
    let mut attributes = vec![6, 0, 8, 0];
    attributes.extend(7_i64.to_ne_bytes());
    attributes.extend(*b"\x01\x04\x08\x00rows");
    attributes.extend((-3_i64).to_ne_bytes());
    attributes.extend(*b"\x04\x05\x04\x00modeltiny");
    assert_eq!(hits[1].bytes(4), attributes);
    let marks: Vec<_> = hits[2..7]
        .iter()
        .map(|hit| (hit.text(1), hit.number(3), hit.number(4)))
        .collect();
    assert_eq!(
        marks[..4],
        [
            ("evaluated", 1, 1),
            ("tokens", 5 | 1 << 8, u64::MAX),
            ("loss", 2, 0.25_f64.to_bits()),
            ("cached", 3, 1),
        ]
    );
    assert_eq!(hits[3].bytes(6), b"\x04\x06\x05\x00sourcemodel");
    assert_eq!(
        (marks[4].0, marks[4].1, hits[6].text(4)),
        ("finish", 4, "stop")
    );
    // The thread's scope has the handle as its parent, and the handle failed.
    assert_eq!(hits[10].number(1), 3);
    assert_eq!(hits[13].number(1), 1);
    assert_eq!(hits[15].number(3), 0);
}

#[test]
fn limits_are_those_of_rust() {
    if !is_there("gcc") {
        return skip("the limits in C", "no gcc", "CIRRON_REQUIRE_COMPILERS");
    }
    let source = scratch("c").join("limits.c");
    std::fs::write(
        &source,
        r#"#include "cirron.h"
        int main(void) {
            cirron_scope scopes[67];
            char text[1000];
            memset(text, 'x', sizeof text);
            memcpy(text + 255, "\xe2\x82\xac", 3);
            for (int i = 0; i < 67; i++) scopes[i] = CIRRON_BEGIN("deep");
            for (int i = 0; i < 67; i++) cirron_end(scopes[i]);
            CIRRON_MARK(CIRRON_POINT, cirron_bytes("long", text, sizeof text),
                        cirron_bytes("a", text, sizeof text), cirron_bytes("b", text, sizeof text));
            cirron_end(CIRRON_BEGIN("after"));
            return 0;
        }"#,
    )
    .unwrap();
    let program = compile("gcc", &["-O2"], &[source], "limits");
    let Some(hits) = traced("limits", &program) else {
        return;
    };
    let count = |probe: &str| hits.iter().filter(|hit| hit.probe == probe).count();
    assert_eq!((count("scope_begin"), count("scope_end")), (65, 65));
    let dropped = hits.iter().rfind(|hit| hit.probe == "dropped").unwrap();
    assert_eq!((dropped.number(0), dropped.number(1)), (1, 3));
    let mark = hits.iter().find(|hit| hit.probe == "mark").unwrap();
    // The character that crosses 256 bytes is not there at all.
    assert_eq!((mark.number(3), mark.number(5)), (4 | 1 << 9, 255));
    // One attribute of 255 bytes, and an entry that one is missing.
    assert_eq!(mark.number(7), (4 + 1 + 255) + 8);
    let after = hits.iter().rfind(|hit| hit.probe == "scope_begin").unwrap();
    assert_eq!((after.text(2), after.number(1)), ("after", 0));
}
