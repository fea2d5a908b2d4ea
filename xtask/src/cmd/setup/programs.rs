//! Programs that one command needs of the machine, by the names of Debian's packages.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::{ebpf::refresh_apt, install_as_root};
use crate::host::Packages;

/// `PATH`, with the folders of system programs, which a user's lacks on Debian.
pub(crate) fn path() -> OsString {
    let mut folders: Vec<PathBuf> =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    env::join_paths(folders).unwrap_or_default()
}

/// Installs what is missing of `tools` (program, and the Debian package that has it), saying so first, and `why`.
pub(crate) fn ensure(tools: &[(&str, &'static str)], why: &str) -> Result<()> {
    let missing: Vec<&str> = tools
        .iter()
        .filter(|(program, _)| !env::split_paths(&path()).any(|d| d.join(program).is_file()))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = Packages::here();
    let [program, arguments @ ..] = packages.install() else {
        return Ok(());
    };
    if packages != Packages::Apt {
        bail!(
            "missing here, by the names of Debian's packages: {}\n  \
             install them with your package manager",
            missing.join(", ")
        );
    }
    refresh_apt(&missing)?;
    let mut install = Command::new(program);
    install
        .args(arguments)
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    install_as_root(why, &install)
}
