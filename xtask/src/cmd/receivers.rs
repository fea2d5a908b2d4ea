//! `cargo xtask receivers`: traces at receivers that are too large for the suite, Arize Phoenix and MLflow.
//!
//! ```text
//! CACHE/cirron-agent/stacks/
//!   phoenix/   Python with the packages of tests/phoenix.txt
//!   mlflow/    Python with the packages of tests/mlflow.txt
//! ```
//! Together they take 2 GB. The tests are `tests/tests/receivers`; they need root and the stacks.

use std::process::ExitCode;

use anyhow::Result;

use super::stacks::venv;
use super::{setup, stacks, test};
use crate::sh;

/// Their names: of the folder and of the file with the packages.
const RECEIVERS: [&str; 2] = ["phoenix", "mlflow"];

/// Installs what is missing, builds the agent and the tests, and runs them.
pub(crate) fn run() -> Result<ExitCode> {
    setup::ebpf_toolchain()?;
    setup::test_tools()?;
    stacks::ensure();
    for name in RECEIVERS {
        venv::ensure(name, &format!("{name}.txt"))?;
    }
    sh::build_agent()?;
    let passed = test::run_suite("receivers")?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
