//! The `.tar.gz`: everything in one folder, for whoever has no package manager, or another one.

use std::fs;

use anyhow::Result;

use super::binary::{Built, NAME};
use super::layout::{Layout, files, gzip, tar};
use super::{VERSION, Work};
use crate::paths;

/// The archive's name.
pub(super) fn name() -> String {
    format!("{NAME}-{VERSION}-x86_64-linux")
}

/// Makes it.
pub(super) fn make(work: &Work, built: &Built) -> Result<()> {
    let name = name();
    let outer = Layout::new(work, "archive")?;
    let at = |path: &str| format!("{name}/{path}");
    outer.copy(&at(NAME), &built.program, 0o755)?;
    for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        outer.ours(&at(file), file)?;
    }
    for file in ["cirron-agent.service", "cirron-agent.toml"] {
        outer.ours(&at(file), &format!("deploy/packages/{file}"))?;
    }
    for folder in ["man", "completions"] {
        for file in files(&built.generated.join(folder))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            outer.copy(&at(&format!("{folder}/{name}")), &file, 0o644)?;
        }
    }
    for file in files(&paths::root().join("docs"))? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        outer.copy(&at(&format!("docs/{name}")), &file, 0o644)?;
    }
    let packed = work.out.join(format!("{name}.tar"));
    tar(work, outer.root(), &packed)?;
    gzip(work, &packed)?;
    fs::remove_dir_all(outer.root())?;
    Ok(())
}
