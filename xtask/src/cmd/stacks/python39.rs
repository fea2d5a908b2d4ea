//! Python 3.9 with OpenSSL 1.1, in a root directory of its own: Debian 11's.
//!
//! Python calls `SSL_read` and `SSL_write` up to 3.9, and the `_ex` pair later.

use anyhow::{Result, bail};

use super::{debian, say};
use crate::paths;

/// The last suite that has OpenSSL 1.1.
const SUITE: &str = "bullseye";

/// The interpreter, its library's `http` and `ssl`, and what those link to.
const PACKAGES: [&str; 3] = ["python3.9-minimal", "libpython3.9-stdlib", "libssl1.1"];

/// Makes it, unless it is there.
pub(crate) fn ensure() -> Result<()> {
    let root = paths::stacks().join("python39-root");
    let python = root.join("usr/bin/python3.9");
    if python.exists() {
        return Ok(());
    }
    debian::must_be_here("Python 3.9")?;
    say(&format!(
        "will unpack Debian {SUITE}'s Python 3.9 and OpenSSL 1.1 (25 MB) into {}",
        root.display()
    ));
    debian::unpack(SUITE, &PACKAGES, &root)?;
    if !python.exists() {
        bail!("{} is not in the packages", python.display());
    }
    Ok(())
}
