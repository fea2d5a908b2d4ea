//! `--check`: each product is used as whoever gets it would use it.

mod deb;
mod image;
mod lint;
mod root;
mod rpm;
mod sbom;
mod service;

use anyhow::{Result, ensure};

use super::Work;
use super::binary::Built;
use crate::cmd::setup::programs;

/// Program, and the Debian package that has it.
const TOOLS: [(&str, &str); 5] = [
    ("dpkg", "dpkg"),
    ("rpm", "rpm"),
    ("lintian", "lintian"),
    ("man", "man-db"),
    ("systemctl", "systemd"),
];

/// The version that an upgrade is tried with: later than ours by every packager's order.
const LATER: &str = "99.0.0";

/// One: what it has seen.
type Check = fn(&Work, &Built) -> Result<String>;

/// Every check; one that fails does not hide the next one's result.
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
    let mut failed = Vec::new();
    for (name, check) in checks {
        match check(work, built) {
            Ok(said) => println!("ok {name}: {said}"),
            Err(error) => {
                println!("FAILED {name}: {error:#}");
                failed.push(name);
            }
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}
