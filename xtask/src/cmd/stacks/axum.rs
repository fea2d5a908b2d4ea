//! A server of axum, `tests/servers/rust/axum`, with exactly the versions of its `Cargo.lock`; with its symbols, and stripped.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{say, unless_installed};
use crate::{paths, sh};

/// What it is made of.
const FILES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "src/main.rs"];

/// Builds it, unless it is there as its sources are.
pub(crate) fn ensure() -> Result<()> {
    let from = paths::root().join("tests/servers/rust/axum");
    let mut wanted = String::new();
    for file in FILES {
        wanted += &fs::read_to_string(from.join(file)).with_context(|| file.to_owned())?;
    }
    let directory = paths::stacks().join("axum");
    unless_installed(&directory, &wanted, || {
        say(&format!(
            "will build a server with {} crates from the registry into {}",
            wanted.matches("checksum = ").count(),
            directory.display()
        ));
        fs::create_dir_all(&directory).context("the cache directory")?;
        let target = paths::target().join("axum");
        sh::run(
            sh::cargo(["build", "--release", "--locked", "--manifest-path"])
                .arg(from.join("Cargo.toml"))
                .arg("--target-dir")
                .arg(&target),
        )?;
        let (whole, stripped) = (
            directory.join("scripted-axum"),
            directory.join("stripped-axum"),
        );
        fs::copy(target.join("release/scripted-axum"), &whole).context("scripted-axum")?;
        sh::run(Command::new("strip").arg("-o").arg(stripped).arg(whole))
    })
}
