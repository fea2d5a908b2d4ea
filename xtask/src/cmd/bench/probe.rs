//! `cargo xtask bench probe`: what a site of `cirron-probe` costs, untraced and traced.

use anyhow::Result;

use crate::sh;

pub(super) fn run() -> Result<()> {
    sh::run(&mut sh::cargo([
        "bench",
        "--locked",
        "--package",
        "cirron-probe",
        "--bench",
        "sites",
    ]))
}
