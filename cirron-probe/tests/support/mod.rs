//! What the tests and the benchmark share: notes of a file, and a tracer by the kernel's own
//! `uprobe_events`, which is a real breakpoint with a real semaphore and needs no program.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test takes what it needs of it, and may panic"
)]

pub(crate) mod notes;
pub(crate) mod tracer;

use std::io::Write as _;
use std::path::PathBuf;

/// The probes that `docs/probes.md` describes, with the number of their arguments.
pub(crate) const PROBES: [(&str, usize); 9] = [
    ("dropped", 2),
    ("mark", 8),
    ("request_begin", 6),
    ("request_open", 6),
    ("scope_begin", 6),
    ("scope_end", 2),
    ("scope_enter", 1),
    ("scope_exit", 1),
    ("scope_open", 6),
];

/// The workspace's root, or that of the unpacked package.
pub(crate) fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A directory for what a test builds; it is kept between runs.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("a directory for the test");
    directory
}

/// The real servers and clients, where the workspace's commands install them.
pub(crate) fn stacks() -> PathBuf {
    if let Some(stacks) = std::env::var_os("CIRRON_STACKS") {
        return PathBuf::from(stacks);
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("cirron-agent/stacks")
}

/// Says that a test cannot run, which is a failure where everything must.
pub(crate) fn skip(name: &str, reason: &str, required: &str) {
    // Not by a macro, whose text a runner of tests keeps for itself.
    let _ = writeln!(std::io::stderr(), "SKIP {name}: {reason}");
    assert!(
        std::env::var_os(required).is_none(),
        "{required} is set, and {name} cannot run: {reason}"
    );
}
