//! The guest's root file system: a small Debian with Python, its servers, OpenSSL and curl, as an
//! ext4 image, and the static busybox that begins the guest.
//!
//! ```text
//! CACHE/cirron-agent/vm/root/
//!   image     ext4; mounted read-only, below a file system in memory
//!   busybox   the same binary that is in it
//!   made-of   the suite and the packages: made again when they differ
//! ```
//!
//! It holds nothing of this project: the agent and the checks come on a disk of their own, so that
//! the image outlives them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::apt::{self, Apt};
use crate::{paths, sh};

/// The packages, with all that they need: the server of the standard library, and uvicorn with the
/// parser and the event loop that it is run with.
const PACKAGES: [&str; 13] = [
    "base-files",
    "libc-bin",
    "bash",
    "coreutils",
    "busybox-static",
    "openssl",
    "curl",
    "python3",
    "python3-fastapi",
    "python3-uvicorn",
    "python3-uvloop",
    "python3-httptools",
    // `setpriv`
    "util-linux",
];

/// What the packages' files expect, and what the guest mounts on.
const DIRECTORIES: [&str; 9] = [
    "proc", "dev", "tmp", "sys", "run", "root", "etc", "in", "out",
];

/// Room in the image beside its files, in MiB; a hole in the file, not used.
const SPARE_MIB: u64 = 64;

/// What there is of it.
pub(super) struct Root {
    folder: PathBuf,
}

impl Root {
    /// The ext4 image.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// The static busybox.
    pub(super) fn busybox(&self) -> PathBuf {
        self.folder.join("busybox")
    }
}

/// Makes it, where it is not there or is made of something else.
pub(super) fn ensure() -> Result<Root> {
    // The suite that is built here is linked with this machine's C library: a Debian's own suite has it.
    let suite = apt::suite();
    let made_of = format!("{suite}: {}\n", PACKAGES.join(" "));
    let root = Root {
        folder: paths::vm().join("root"),
    };
    if fs::read_to_string(root.folder.join("made-of")).is_ok_and(|text| text == made_of) {
        return Ok(root);
    }
    super::say(&format!(
        "will fetch and unpack, into {}, packages of Debian {suite} with what they need: {}",
        root.folder.display(),
        PACKAGES.join(" ")
    ));
    let fresh = root.folder.with_extension("new");
    let tree = fresh.join("tree");
    remove(&fresh)?;
    apt::lay_out(&tree, &DIRECTORIES)?;
    Apt::open(paths::vm().join("apt").join(&suite), &suite)?.unpack_with_needs(&PACKAGES, &tree)?;
    finish(&tree)?;
    fs::copy(tree.join("usr/bin/busybox"), fresh.join("busybox"))?;
    pack(&tree, &fresh.join("image"))?;
    remove(&tree)?;
    fs::write(fresh.join("made-of"), made_of)?;
    remove(&root.folder)?;
    fs::rename(&fresh, &root.folder).context("putting the root file system in place")?;
    Ok(root)
}

/// What the packages' own scripts would have done, as far as it matters here.
fn finish(tree: &Path) -> Result<()> {
    let etc = tree.join("etc");
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    fs::write(etc.join("passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(etc.join("group"), "root:x:0:\n")?;
    // Without compiled modules Python compiles them in the guest, on an emulated processor.
    let compile = "ldconfig && (python3 -m compileall -q /usr/lib/python3* >/dev/null || true)";
    let mut chroot = Command::new("chroot");
    chroot.arg(tree).args(["/bin/bash", "-c", compile]);
    chroot.env("PATH", "/usr/sbin:/usr/bin");
    sh::run_quietly(&mut sh::as_root(&chroot)?).context("setting up the root file system")
}

fn pack(tree: &Path, image: &Path) -> Result<()> {
    let used = sh::output(Command::new("du").args(["-s", "-m"]).arg(tree))?;
    let used: u64 = used
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .context("du's output")?;
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-q", "-t", "ext4", "-d"])
        .arg(tree)
        .arg(image);
    make.arg(format!("{}M", used + used / 4 + SPARE_MIB));
    make.env("PATH", crate::cmd::setup::programs::path());
    sh::run_quietly(&mut sh::as_root(&make)?)
}

/// Some of it may be root's.
fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        sh::run_quietly(&mut sh::as_root(Command::new("rm").arg("-rf").arg(path))?)?;
    }
    Ok(())
}
