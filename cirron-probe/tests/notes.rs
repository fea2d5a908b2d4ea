//! The notes are in what is linked, in debug and release, stripped, and by link-time optimisation.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use support::{notes, package, scratch, PROBES};

/// Builds the example that uses every probe, with a target directory of its own: the other one may
/// be locked by whoever runs the tests.
fn build(kind: &str, arguments: &[&str], flags: &str) -> PathBuf {
    let target = scratch("notes");
    let status = Command::new(env!("CARGO"))
        .current_dir(package())
        .args(["rustc", "--quiet", "--example", "tour", "--target-dir"])
        .arg(&target)
        .args(arguments)
        .args(["--"])
        .args(flags.split_whitespace())
        .env_remove("CARGO_MANIFEST_DIR")
        .status()
        .expect("cargo");
    assert!(status.success());
    target.join(kind).join("examples/tour")
}

/// It runs, and says so.
fn runs(path: &Path) {
    let output = Command::new(path).output().expect("the example");
    assert!(output.status.success());
}

/// Both build the same example.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn debug() {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let tour = build("debug", &[], "");
    notes::check(&tour, &PROBES);
    runs(&tour);
}

#[test]
fn release_stripped_and_optimised_by_the_linker() {
    let tour = build(
        "release",
        &["--release"],
        "-C strip=symbols -C lto=fat -C codegen-units=1 -C panic=abort",
    );
    notes::check(&tour, &PROBES);
    runs(&tour);
}

#[test]
fn a_probe_that_is_not_used_leaves_nothing() {
    let minimal = build_minimal();
    let names: Vec<String> = notes::by_name(&minimal).into_keys().collect();
    assert_eq!(names, ["dropped", "scope_begin", "scope_end"]);
    notes::check(
        &minimal,
        &PROBES
            .iter()
            .copied()
            .filter(|(name, _)| names.iter().any(|n| n == name))
            .collect::<Vec<_>>(),
    );
}

/// A file of C that is linked into a program of Rust brings the same probes: each is once there.
#[test]
fn c_and_rust_share_their_probes() {
    let object = scratch("notes").join("tour.o");
    let compiled = Command::new("cc")
        .args(["-O2", "-c", "-Dmain=tour_in_c", "-I"])
        .arg(package().join("c"))
        .arg(package().join("examples/c/tour.c"))
        .arg("-o")
        .arg(&object)
        .status();
    if !compiled.map_or(false, |status| status.success()) {
        return support::skip("C and Rust", "no cc", "CIRRON_REQUIRE_COMPILERS");
    }
    // The symbol keeps what it calls from being dropped as unused.
    let flags = format!(
        "-C link-arg={} -C link-arg=-Wl,--undefined=tour_in_c",
        object.display()
    );
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let both = build("debug", &[], &flags);
    let bytes = std::fs::read(&both).expect("the program");
    let symbol = b"tour_in_c";
    assert!(bytes.windows(symbol.len()).any(|window| window == symbol));
    notes::check(&both, &PROBES);
    runs(&both);
}

/// An example with one scope, in release: there the linker drops what nobody calls.
fn build_minimal() -> PathBuf {
    let target = scratch("notes");
    let status = Command::new(env!("CARGO"))
        .current_dir(package())
        .args([
            "build",
            "--quiet",
            "--release",
            "--example",
            "scope",
            "--target-dir",
        ])
        .arg(&target)
        .env_remove("CARGO_MANIFEST_DIR")
        .status()
        .expect("cargo");
    assert!(status.success());
    target.join("release/examples/scope")
}
