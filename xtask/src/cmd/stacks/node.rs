//! Node's official clients, with exactly the versions of `tests/clients/node/package-lock.json`. Their
//! install scripts are not run.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{say, unless_installed};
use crate::{paths, sh};

/// What npm reads.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs them, unless they are there with these versions.
pub(crate) fn ensure() -> Result<()> {
    let from = paths::root().join("tests/clients/node");
    let wanted = fs::read_to_string(from.join("package-lock.json")).context("package-lock.json")?;
    let directory = paths::stacks().join("node");
    unless_installed(&directory, &wanted, || {
        say(&format!(
            "will install {} npm packages (official clients) into {}",
            wanted.matches("\"integrity\"").count(),
            directory.display()
        ));
        fs::create_dir_all(&directory).context("the cache directory")?;
        for file in FILES {
            fs::copy(from.join(file), directory.join(file)).with_context(|| file.to_owned())?;
        }
        sh::run(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(&directory),
        )
    })
}
