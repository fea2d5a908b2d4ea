//! `cargo xtask bench probe`: what a site of `cirron-probe` costs, untraced and traced, in Rust and
//! in Python.

use anyhow::Result;

use crate::{paths, sh};

pub(super) fn run() -> Result<()> {
    sh::run(&mut sh::cargo([
        "bench",
        "--locked",
        "--package",
        "cirron-probe",
        "--bench",
        "sites",
    ]))?;
    if paths::in_path("python3").is_none() {
        eprintln!("SKIP the Python module: no python3");
        return Ok(());
    }
    sh::run(sh::command("python3").arg("cirron-probe/benches/python.py"))
}
