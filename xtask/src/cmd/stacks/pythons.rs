//! Pythons with other OpenSSLs than the machine's, each in a root directory of its own.
//!
//! Their `ssl` calls `SSL_read` and `SSL_write` up to 3.9, the `_ex` pair later; `SSL_write_ex` ends in
//! `SSL_write_ex2` from OpenSSL 3.3 on.

use anyhow::{Result, bail};

use super::{debian, say};
use crate::{apt, paths};

/// One of them.
pub(crate) struct Python {
    /// To show.
    pub(crate) name: &'static str,
    suite: &'static str,
    root: &'static str,
    /// The interpreter, its library's `http` and `ssl`, and the link `python3`.
    packages: &'static [&'static str],
}

/// The oldest and the newest.
pub(crate) const ALL: [Python; 2] = [
    Python {
        name: "Python 3.9 with OpenSSL 1.1",
        suite: "bullseye",
        root: "python39-root",
        packages: &["python3-minimal", "libpython3-stdlib", "libssl1.1"],
    },
    Python {
        name: "the newest Python and OpenSSL",
        suite: "sid",
        root: "python-sid-root",
        packages: &["python3-minimal", "libpython3-stdlib"],
    },
];

impl Python {
    /// Makes it, unless it is there.
    pub(crate) fn ensure(&self) -> Result<()> {
        let root = paths::stacks().join(self.root);
        let python = root.join("usr/bin/python3");
        if python.exists() {
            return Ok(());
        }
        apt::must_be_debian(self.name)?;
        say(&format!(
            "will unpack {}, of Debian {} (25 MB), into {}",
            self.name,
            self.suite,
            root.display()
        ));
        debian::unpack(self.suite, self.packages, &root)?;
        if !python.exists() {
            bail!("{} is not in the packages", python.display());
        }
        Ok(())
    }
}
