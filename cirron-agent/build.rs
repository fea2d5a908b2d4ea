//! Builds the eBPF programs from source and puts the object where the agent embeds it from:
//! `$OUT_DIR/cirron-ebpf.o`, with its hash and what built it. Any build of the agent does it (check, clippy, doc, test), with
//! whichever toolchain is there; see `build/toolchain.rs`. Nothing is installed or prebuilt.

#[path = "build/toolchain.rs"]
mod toolchain;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sha2::{Digest as _, Sha256};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let cargo = PathBuf::from(variable("CARGO")?);
    let ebpf_dir = manifest_dir.join("../cirron-ebpf");

    for path in [
        "build.rs",
        "build",
        "../cirron-ebpf/src",
        "../cirron-ebpf/Cargo.toml",
        "../cirron-ebpf/toolchain.txt",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    for path in [
        "../cirron-ebpf/Cargo.lock",
        "../cirron-common/src",
        "../cirron-common/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed={}", toolchain::OVERRIDE);

    let found = toolchain::find(&cargo).map_err(|missing| missing.to_string())?;
    eprintln!(
        "building the eBPF programs with {} ({}) and {}",
        found.toolchain.name,
        found.toolchain.rustc.display(),
        found.linker.path.display()
    );
    let object = toolchain::build(&found, &ebpf_dir, &target_root(&out_dir))?;
    let bytes = fs::read(&object).map_err(|error| format!("{}: {error}", object.display()))?;
    println!(
        "cargo::rustc-env=CIRRON_OBJECT_SHA256={:x}",
        Sha256::digest(&bytes)
    );
    println!(
        "cargo::rustc-env=CIRRON_OBJECT_COMPILER={}",
        found.toolchain.version
    );
    let embedded = out_dir.join("cirron-ebpf.o");
    // An unchanged object must not make the agent compile again.
    if fs::read(&embedded).ok().as_deref() != Some(&bytes) {
        fs::write(&embedded, &bytes).map_err(|error| format!("{}: {error}", embedded.display()))?;
    }
    Ok(())
}

/// The outer build's target directory, recognised by the tag that cargo puts there.
fn target_root(out_dir: &Path) -> PathBuf {
    out_dir
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .unwrap_or(out_dir)
        .to_path_buf()
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
