//! The Go package: built by a real toolchain with cgo, and a real tracer on the program.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    clippy::unwrap_used,
    clippy::incompatible_msrv,
    reason = "a test may panic, and is built by today's compiler"
)]

mod support;

use std::path::PathBuf;
use std::process::Command;

use support::tracer::{Hit, Tracer};
use support::{notes, package, scratch, skip, stacks, PROBES};

/// Go of the search path, or that of the real servers' folder.
fn go() -> Option<PathBuf> {
    let candidates = [PathBuf::from("go"), stacks().join("venv/bin/go")];
    candidates.into_iter().find(|go| {
        let version = Command::new(go).arg("version").output();
        version.map_or(false, |output| output.status.success())
    })
}

#[test]
fn the_header_is_the_same() {
    let read = |path: &str| std::fs::read_to_string(package().join(path)).unwrap();
    // A module of Go is fetched without what lies beside it, so that it has a copy.
    assert!(
        read("c/cirron.h") == read("go/cirron.h"),
        "copy c/cirron.h to go/"
    );
}

#[test]
fn goroutines_are_children_of_their_context() {
    let Some(go) = go() else {
        return skip("the Go package", "no go", "CIRRON_REQUIRE_STACKS");
    };
    if Command::new("cc").arg("--version").output().is_err() {
        return skip("the Go package", "no cc", "CIRRON_REQUIRE_COMPILERS");
    }
    let program = scratch("go").join("example");
    let build = Command::new(go)
        .current_dir(package().join("go"))
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg("./example")
        .env("CGO_ENABLED", "1")
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOCACHE", scratch("go").join("cache"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&build.stderr);
    assert!(build.status.success(), "{errors}");
    notes::check(&program, &PROBES);
    let Some(tracer) = Tracer::new("go", &program) else {
        return;
    };
    tracer.listen();
    assert!(Command::new(&program).status().unwrap().success());
    tracer.stop();
    check(&tracer.hits());
}

fn check(hits: &[Hit]) {
    let opened = |name: &str| -> Vec<&Hit> {
        let named = |hit: &&Hit| hit.probe == "scope_open" && hit.text(2) == name;
        hits.iter().filter(named).collect()
    };
    let request = &hits[0];
    assert_eq!(
        (request.probe.as_str(), request.text(2)),
        ("request_open", "job-7")
    );
    assert_eq!(request.bytes(4), b"\x04\x05\x04\x00modeltiny");
    let (shards, parses) = (opened("shard"), opened("parse"));
    assert_eq!((shards.len(), parses.len()), (4, 4));
    assert!(shards
        .iter()
        .all(|shard| shard.number(1) == request.number(0)));
    for shard in &shards {
        let below = |hit: &&&Hit| hit.number(1) == shard.number(0);
        assert_eq!(parses.iter().filter(below).count(), 1);
    }
    let marks: Vec<_> = hits.iter().filter(|hit| hit.probe == "mark").collect();
    let of_shards = marks.iter().filter(|mark| mark.text(1) == "bytes");
    for mark in of_shards.clone() {
        let shard = shards
            .iter()
            .find(|shard| shard.number(0) == mark.number(0))
            .unwrap();
        // Its index is behind the head of the first entry.
        assert_eq!(mark.number(4), 42 + u64::from(shard.bytes(4)[4]));
    }
    assert_eq!(of_shards.count(), 4);
    let loss = marks.iter().find(|mark| mark.text(1) == "loss").unwrap();
    assert_eq!(
        (loss.number(0), loss.number(3)),
        (request.number(0), 2 | 1 << 8)
    );
    assert_eq!(loss.number(4), 0.25_f64.to_bits());
    assert_eq!(loss.bytes(6), b"\x03\x05\x01\x00final\x01");
    let finish = marks.iter().find(|mark| mark.text(1) == "finish").unwrap();
    assert_eq!((finish.number(3), finish.number(5)), (4 | 1 << 9, 255));
    // The request is the first of 64.
    let dropped = hits.iter().rfind(|hit| hit.probe == "dropped").unwrap();
    assert_eq!(
        (opened("deep").len(), dropped.number(0), dropped.number(1)),
        (63, 1, 2)
    );
    let ends = hits.iter().filter(|hit| hit.probe == "scope_end").count();
    assert_eq!(ends, 1 + 4 + 4 + 63);
}
