//! `cirron-probe` and its examples on the oldest compiler that its manifest promises.
//!
//! By `rustc` alone: the workspace's manifests are of a later edition than that compiler's cargo reads, and without features
//! the package has no dependencies. That it compiles so shows, too, that it stands alone.

use std::fs;

use anyhow::{Context as _, Result};

use crate::cmd::setup::say;
use crate::{paths, sh};

/// Installed where it is missing; `None`: nothing here can.
pub(crate) fn toolchain() -> Result<Option<String>> {
    if paths::in_path("rustup").is_none() {
        return Ok(None);
    }
    let version = promised()?;
    let mut asked = sh::command("rustup");
    asked.args(["run", &version, "rustc", "--version"]);
    if !sh::succeeds(&mut asked) {
        say(&format!(
            "will install Rust {version} with rustup, to build cirron-probe with it"
        ));
        let mut install = sh::command("rustup");
        install.args(["toolchain", "install", &version]);
        sh::run(install.args(["--profile", "minimal", "--no-self-update"]))?;
    }
    Ok(Some(version))
}

/// `rust-version` of the package.
fn promised() -> Result<String> {
    let path = paths::root().join("cirron-probe/Cargo.toml");
    let manifest = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let line = manifest
        .lines()
        .find_map(|l| l.strip_prefix("rust-version = "));
    let version = line.context("cirron-probe says no rust-version")?;
    Ok(version.trim_matches('"').to_owned())
}

/// Builds the library and the examples that need no feature.
pub(crate) fn check(version: &str) -> Result<()> {
    let package = paths::root().join("cirron-probe");
    let out = paths::target().join("oldest");
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let rustc = |source: &str| {
        let mut rustc = sh::command("rustup");
        rustc.args(["run", version, "rustc", "--edition", "2021"]);
        rustc.arg(package.join(source)).arg("--out-dir").arg(&out);
        rustc
    };
    let mut library = rustc("src/lib.rs");
    sh::run(library.args(["--crate-name", "cirron_probe", "--crate-type", "lib"]))?;
    let library = format!(
        "cirron_probe={}",
        out.join("libcirron_probe.rlib").display()
    );
    for example in ["examples/scope.rs", "examples/tour.rs"] {
        sh::run(rustc(example).args(["--extern", &library]))?;
    }
    Ok(())
}
