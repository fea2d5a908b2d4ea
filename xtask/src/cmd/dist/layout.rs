//! Directories as they are packed: every file with the mode that is said, whatever the mask here is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Work;
use super::binary::{Built, NAME};
use crate::{paths, sh};

/// One that is filled.
pub(super) struct Layout<'w> {
    work: &'w Work,
    root: PathBuf,
}

impl Layout<'_> {
    /// An empty one, `name` in the scratch directory.
    pub(super) fn new<'w>(work: &'w Work, name: &str) -> Result<Layout<'w>> {
        let root = work.scratch.join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        fs::set_permissions(&root, Permissions::from_mode(0o755))?;
        Ok(Layout { work, root })
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A directory and those above it.
    pub(super) fn directory(&self, at: &str, mode: u32) -> Result<PathBuf> {
        let mut path = self.root.clone();
        for name in Path::new(at) {
            path.push(name);
            if !path.exists() {
                fs::create_dir(&path).with_context(|| path.display().to_string())?;
                fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            }
        }
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }

    /// A file of these bytes.
    pub(super) fn bytes(&self, at: &str, bytes: &[u8], mode: u32) -> Result<PathBuf> {
        if let Some(parent) = Path::new(at).parent().and_then(Path::to_str) {
            self.directory(parent, 0o755)?;
        }
        let path = self.root.join(at);
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }

    /// A copy.
    pub(super) fn copy(&self, at: &str, from: &Path, mode: u32) -> Result<PathBuf> {
        let bytes = fs::read(from).with_context(|| from.display().to_string())?;
        self.bytes(at, &bytes, mode)
    }

    /// A copy of a file of the workspace.
    pub(super) fn ours(&self, at: &str, from: &str) -> Result<PathBuf> {
        self.copy(at, &paths::root().join(from), 0o644)
    }

    /// The same, compressed in place, as manuals and changelogs are: `at` without its `.gz`.
    pub(super) fn compressed(&self, at: &str, from: &Path) -> Result<()> {
        let path = self.copy(at, from, 0o644)?;
        sh::run_quietly(self.work.command("gzip").args(["-9n"]).arg(path))
    }
}

/// What both packages have at the same places. `zsh`: the folder of the distribution's completions.
pub(super) fn installed<'w>(
    work: &'w Work,
    built: &Built,
    name: &str,
    zsh: &str,
) -> Result<Layout<'w>> {
    let layout = Layout::new(work, name)?;
    layout.copy(&format!("usr/bin/{NAME}"), &built.program, 0o755)?;
    layout.ours(
        "usr/lib/systemd/system/cirron-agent.service",
        "deploy/packages/cirron-agent.service",
    )?;
    layout.ours(
        "etc/cirron-agent/cirron-agent.toml",
        "deploy/packages/cirron-agent.toml",
    )?;
    let completions = built.generated.join("completions");
    for (at, from) in [
        (
            "usr/share/bash-completion/completions/cirron-agent",
            "cirron-agent.bash",
        ),
        (&format!("{zsh}/_cirron-agent"), "_cirron-agent"),
        (
            "usr/share/fish/vendor_completions.d/cirron-agent.fish",
            "cirron-agent.fish",
        ),
    ] {
        layout.copy(at, &completions.join(from), 0o644)?;
    }
    for page in files(&built.generated.join("man"))? {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        layout.compressed(&format!("usr/share/man/man1/{name}"), &page)?;
    }
    layout.ours(
        "usr/share/doc/cirron-agent/cirron-agent.toml",
        "docs/cirron-agent.toml",
    )?;
    Ok(layout)
}

/// The files of a folder, sorted.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// Packs a directory; the same files give the same bytes.
pub(super) fn tar(work: &Work, from: &Path, to: &Path) -> Result<()> {
    let mut tar = work.command("tar");
    tar.args(["--create", "--format=ustar", "--sort=name"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", work.epoch))
        .arg("--file")
        .arg(to)
        .arg("--directory")
        .arg(from)
        .arg("--");
    let mut names: Vec<_> = fs::read_dir(from)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    names.sort();
    sh::run_quietly(tar.args(names))
}

/// Compresses a file in place, to `.gz`.
pub(super) fn gzip(work: &Work, path: &Path) -> Result<PathBuf> {
    sh::run_quietly(work.command("gzip").args(["-9nf"]).arg(path))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    Ok(name.into())
}
