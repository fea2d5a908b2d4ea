//! `--check`: each product is used as whoever gets it would use it.

mod deb;
mod image;
mod lint;
mod root;
mod rpm;
mod sbom;
mod service;

use anyhow::{Context as _, Result};

use super::Work;
use super::binary::Built;
use crate::cmd::setup::programs;

/// Program, and the Debian package that has it.
const TOOLS: [(&str, &str); 5] = [
    ("dpkg", "dpkg"),
    ("rpm", "rpm"),
    ("lintian", "lintian"),
    ("man", "man-db"),
    ("systemd-analyze", "systemd"),
];

/// The version that an upgrade is tried with: later than ours by every packager's order.
const LATER: &str = "99.0.0";

/// One: what it has seen.
type Check = fn(&Work, &Built) -> Result<String>;

/// Every check; the first that fails is the error.
pub(super) fn all(work: &Work, built: &Built) -> Result<()> {
    programs::ensure(&TOOLS, "to check packages")?;
    let checks: [(&str, Check); 6] = [
        ("lint", lint::check),
        ("service", service::check),
        ("image", image::check),
        ("sbom", sbom::check),
        ("deb", deb::check),
        ("rpm", rpm::check),
    ];
    for (name, check) in checks {
        let said = check(work, built).with_context(|| format!("check {name}"))?;
        println!("ok {name}: {said}");
    }
    Ok(())
}
