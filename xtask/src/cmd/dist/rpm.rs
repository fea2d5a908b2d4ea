//! The `.rpm`, by rpmbuild, of files that are laid out already.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Work;
use super::binary::{Built, NAME};
use super::layout::{files, installed};
use crate::{paths, sh};

/// Makes it, called `version`; where it is.
pub(super) fn make(work: &Work, built: &Built, version: &str) -> Result<PathBuf> {
    let layout = installed(work, built, "rpm", "usr/share/zsh/site-functions")?;
    layout.ours("usr/share/doc/cirron-agent/CHANGELOG.md", "CHANGELOG.md")?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        layout.ours(
            &format!("usr/share/licenses/cirron-agent/{licence}"),
            licence,
        )?;
    }
    let folder = work.scratch.join("rpmbuild");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut build = work.command("rpmbuild");
    build.args(["-bb", "--quiet", "--target", "x86_64-linux"]);
    for (name, value) in [
        ("_topdir", folder.display().to_string()),
        ("agent_version", version.to_owned()),
        ("agent_tree", layout.root().display().to_string()),
        // The same files give the same package.
        ("_buildhost", "localhost".to_owned()),
        ("use_source_date_epoch_as_buildtime", "1".to_owned()),
        ("clamp_mtime_to_source_date_epoch", "1".to_owned()),
        (
            "build_mtime_policy",
            "clamp_to_source_date_epoch".to_owned(),
        ),
        ("_binary_payload", "w9.xzdio".to_owned()),
    ] {
        build.args(["--define", &format!("{name} {value}")]);
    }
    sh::run(build.arg(paths::root().join("deploy/packages/rpm/cirron-agent.spec")))?;
    let made = files(&folder.join("RPMS/x86_64"))?;
    let made = made.first().context("rpmbuild made no package")?;
    let to = work.out.join(format!("{NAME}-{version}-1.x86_64.rpm"));
    fs::copy(made, &to)?;
    fs::remove_dir_all(layout.root())?;
    fs::remove_dir_all(folder)?;
    Ok(to)
}
