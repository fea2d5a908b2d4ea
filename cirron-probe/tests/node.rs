//! The Node package: its addon by the system's compiler, and a real tracer on it.

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

/// The folder with the addon beside a copy of the script, or why there is none.
fn build() -> Result<PathBuf, &'static str> {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !is_there("node") || !is_there("cc") {
        return Err("no node or no cc");
    }
    let directory = scratch("node");
    let addon = directory.join("cirron_probe.node");
    let _ = std::fs::remove_file(&addon);
    let build = Command::new("node")
        .arg(package().join("node/build.js"))
        .arg(&addon)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&build.stderr);
    assert!(build.status.success(), "{errors}");
    std::fs::copy(package().join("node/index.js"), directory.join("index.js")).unwrap();
    if addon.exists() {
        Ok(directory)
    } else {
        Err("no headers of node")
    }
}

fn run(index: &Path) {
    let output = Command::new("node")
        .arg(package().join("node/example.js"))
        .arg(index)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}

#[test]
fn what_runs_at_the_same_time_keeps_its_own_scopes() {
    let directory = match build() {
        Ok(directory) => directory,
        Err(reason) => return skip("the Node package", reason, "CIRRON_REQUIRE_COMPILERS"),
    };
    let addon = directory.join("cirron_probe.node");
    notes::check(&addon, &PROBES);
    let Some(tracer) = Tracer::new("node", &addon) else {
        return;
    };
    tracer.listen();
    run(&directory.join("index.js"));
    tracer.stop();
    check(&tracer.hits());
}

fn check(hits: &[Hit]) {
    let opened = |name: &str| -> Vec<&Hit> {
        let named = |hit: &&Hit| hit.probe == "scope_open" && hit.text(2) == name;
        hits.iter().filter(named).collect()
    };
    let marks = |name: &str| -> Vec<&Hit> {
        let named = |hit: &&Hit| hit.probe == "mark" && hit.text(1) == name;
        hits.iter().filter(named).collect()
    };
    let outcome = |id: u64| {
        let end = hits
            .iter()
            .find(|hit| hit.probe == "scope_end" && hit.number(0) == id);
        end.unwrap().number(1)
    };
    let request = hits.iter().find(|hit| hit.probe == "request_open").unwrap();
    assert_eq!((request.text(2), request.number(1)), ("job-7", 0));
    let (shards, parses) = (opened("shard"), opened("parse"));
    assert_eq!((shards.len(), parses.len()), (4, 4));
    for (i, shard) in shards.iter().enumerate() {
        assert_eq!(shard.number(1), request.number(0));
        let mut attributes = b"\x06\x00\x08\x00".to_vec();
        attributes.extend(i.to_ne_bytes());
        attributes.extend(b"\x01\x04\x08\x00rows\x03\0\0\0\0\0\0\0");
        assert_eq!(shard.bytes(4), attributes);
        let parse = parses
            .iter()
            .find(|parse| parse.number(1) == shard.number(0))
            .unwrap();
        let bytes = marks("bytes");
        let bytes = bytes
            .iter()
            .find(|mark| mark.number(0) == parse.number(0))
            .unwrap();
        assert_eq!((bytes.number(3), bytes.number(4)), (1, 42 + i as u64));
        let late = marks("late");
        let late = late
            .iter()
            .find(|mark| mark.number(0) == shard.number(0))
            .unwrap();
        assert_eq!(late.text(4), format!("shard {i}"));
        assert_eq!(outcome(shard.number(0)), 0);
    }
    let loss = marks("loss")[0];
    assert_eq!(
        (loss.number(0), loss.number(3)),
        (request.number(0), 2 | 1 << 8)
    );
    assert_eq!(
        (loss.number(4), loss.bytes(6)),
        (0.25_f64.to_bits(), &b"\x03\x05\x01\x00final\x01"[..])
    );
    assert_eq!(
        (marks("big")[0].number(3), marks("big")[0].number(4)),
        (5, u64::MAX)
    );
    assert!(marks("odd").is_empty());
    let dropped = hits.iter().find(|hit| hit.probe == "dropped").unwrap();
    assert_eq!((dropped.number(0), dropped.number(1)), (2, 1));
    assert_eq!(outcome(opened("fails")[0].number(0)), 1);
    assert_eq!(outcome(opened("rejects")[0].number(0)), 1);
    assert_eq!(outcome(request.number(0)), 0);
}

#[test]
fn without_its_addon_the_package_tells_nothing() {
    if Command::new("node").arg("--version").output().is_err() {
        return skip(
            "the Node package without its addon",
            "no node",
            "CIRRON_REQUIRE_STACKS",
        );
    }
    run(&package().join("node/index.js"));
}
