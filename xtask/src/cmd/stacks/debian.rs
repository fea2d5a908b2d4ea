//! Packages of another suite of Debian, in a root directory of their own.
//!
//! They are fetched by an apt of our own ([`crate::apt`]), unpacked and never installed, and run by chroot.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::apt::{self, Apt};
use crate::{paths, sh};

/// What a root directory needs to run a program at all.
const BASE: [&str; 4] = ["base-files", "libc-bin", "bash", "coreutils"];

/// Unpacks `packages` of `suite`, and all they need, into the new directory `root`.
pub(crate) fn unpack(suite: &str, packages: &[&str], root: &Path) -> Result<()> {
    let name = root.file_name().context("a root directory has a name")?;
    let apt = Apt::open(paths::cache().join("apt").join(name), suite)?;

    // Unpacked beside, then renamed: an interrupted run leaves no half of a root.
    let fresh = root.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("the remains of an earlier run")?;
    }
    apt::lay_out(&fresh, &["proc", "dev", "tmp", "sys"])?;
    apt.unpack_with_needs(&[packages, &BASE].concat(), &fresh)?;
    let mut ldconfig = Command::new("chroot");
    ldconfig.arg(&fresh).arg("/sbin/ldconfig");
    sh::run_quietly(&mut sh::as_root(&ldconfig)?)?;
    fs::rename(&fresh, root).context("putting the root directory in place")
}
