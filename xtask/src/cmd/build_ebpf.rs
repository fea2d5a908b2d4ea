//! `cargo xtask build-ebpf`: the kernel side alone, as `cirron-agent/build.rs` builds it.

use anyhow::{Result, anyhow};

use crate::{paths, toolchain};

/// Builds and says where the object is.
pub(crate) fn run() -> Result<()> {
    super::setup::ebpf_toolchain()?;
    let found = toolchain::find(&paths::cargo()).map_err(|missing| anyhow!("{missing}"))?;
    let object = toolchain::build(&found, &paths::root().join("cirron-ebpf"), &paths::target())
        .map_err(|error| anyhow!("{error}"))?;
    println!("{} (with {})", object.display(), found.toolchain.name);
    Ok(())
}
