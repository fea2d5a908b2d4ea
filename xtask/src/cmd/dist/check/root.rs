//! A root directory in which packages are installed: a shell, the tools of a maintainer's script, and nothing of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::super::Work;
use crate::apt::{self, Apt};
use crate::{paths, sh};

/// What the scripts call. There is no systemd to be asked: that part is `service`'s.
const PACKAGES: [&str; 4] = ["dash", "coreutils", "init-system-helpers", "findutils"];

/// One that is used and thrown away.
pub(super) struct Root {
    path: PathBuf,
}

impl Root {
    /// A fresh one.
    pub(super) fn make(work: &Work, name: &str) -> Result<Root> {
        let path = work.scratch.join(name);
        remove(&path)?;
        apt::lay_out(
            &path,
            &["etc", "var/lib/dpkg/info", "var/lib/rpm", "tmp", "dev"],
        )?;
        for file in ["status", "available"] {
            fs::write(path.join("var/lib/dpkg").join(file), "")?;
        }
        let suite = apt::suite();
        let state = paths::cache().join("dist/apt");
        Apt::open(state, &suite)?.unpack_with_needs(&PACKAGES, &path)?;
        Ok(Root { path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What lies in it.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Runs a packager's command, as root.
    pub(super) fn run(&self, program: &str, arguments: &[&str], file: Option<&Path>) -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments).args(file);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        sh::run(&mut sh::as_root(&command)?)
    }

    /// What a program of it prints.
    pub(super) fn output(&self, arguments: &[&str]) -> Result<String> {
        let mut chroot = Command::new("chroot");
        chroot.arg(&self.path).args(arguments);
        chroot.env("PATH", "/usr/sbin:/usr/bin");
        sh::output(&mut sh::as_root(&chroot)?)
    }

    /// Paths of ours that are there, below `etc`, `usr` and `var/lib/cirron-agent`.
    pub(super) fn ours(&self) -> Result<Vec<String>> {
        let text = self.output(&["find", "/etc", "/usr", "/var", "-name", "*cirron*"])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// An error unless all, or none, of these are there.
    pub(super) fn has(&self, names: &[&str], there: bool) -> Result<()> {
        for name in names {
            let is = fs::symlink_metadata(self.at(name)).is_ok();
            ensure!(
                is == there,
                "/{name} is {}there",
                if is { "" } else { "not " }
            );
        }
        Ok(())
    }

    /// Appends a line, as an administrator does.
    pub(super) fn edit(&self, name: &str, line: &str) -> Result<()> {
        let mut text = fs::read_to_string(self.at(name)).context(name.to_owned())?;
        text.push_str(line);
        Ok(fs::write(self.at(name), text)?)
    }

    /// Whether a file has the line.
    pub(super) fn has_line(&self, name: &str, line: &str) -> Result<bool> {
        Ok(fs::read_to_string(self.at(name))
            .context(name.to_owned())?
            .contains(line))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        sh::run_quietly(&mut sh::as_root(Command::new("rm").arg("-rf").arg(path))?)?;
    }
    Ok(())
}
