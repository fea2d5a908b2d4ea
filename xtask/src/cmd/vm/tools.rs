//! The programs that this command needs of the machine, and their packages.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cmd::setup;
use crate::host::Packages;

/// Program, and the Debian package that has it.
const TOOLS: [(&str, &str); 7] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("mke2fs", "e2fsprogs"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("tar", "tar"),
];

/// `PATH`, with the folders of system programs, which a user's lacks on Debian.
pub(super) fn path() -> OsString {
    let mut folders: Vec<PathBuf> =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    env::join_paths(folders).unwrap_or_default()
}

/// Installs what is missing, saying so first.
pub(super) fn ensure() -> Result<()> {
    let missing: Vec<&str> = TOOLS
        .into_iter()
        .filter(|(program, _)| !env::split_paths(&path()).any(|d| d.join(program).is_file()))
        .map(|(_, package)| package)
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
    setup::refresh_apt(&missing)?;
    let mut install = Command::new(program);
    install
        .args(arguments)
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    setup::install_as_root("to boot other kernels in an emulator", &install)
}
