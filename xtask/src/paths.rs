//! Where things are: the checkout, its target directory, the caches.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The build's output: `CARGO_TARGET_DIR`, else `target` in the root.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The release build of the agent.
pub(crate) fn agent() -> PathBuf {
    target().join("release/cirron-agent")
}

/// Where downloads and installations of ours live; nothing else on the machine is written to
/// without asking its package manager.
pub(crate) fn cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(|| target().join("cache"));
    base.join("cirron-agent")
}

/// The real servers and clients: `CIRRON_STACKS`, else in the cache.
pub(crate) fn stacks() -> PathBuf {
    env::var_os("CIRRON_STACKS").map_or_else(|| cache().join("stacks"), PathBuf::from)
}

/// Kernels and the root file system of `cargo xtask vm`.
pub(crate) fn vm() -> PathBuf {
    cache().join("vm")
}

/// The cargo that runs this command.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// A program's path, if `PATH` has it.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}
