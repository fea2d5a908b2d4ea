//! `cargo xtask stacks`: other people's servers and clients, for the tests and the benchmarks.
//!
//! ```text
//! CACHE/cirron-agent/stacks/
//!   venv/            Python with the packages of tests/stacks.txt, Go among them
//!   litellm/         Python with the packages of tests/litellm.txt
//!   readers/         Python with the packages of tests/readers.txt, which read what `export` writes
//!   node/            the npm packages of tests/clients/node
//!   axum/            a server of axum, with its symbols and stripped
//!   libressl/        LibreSSL's own `openssl` and its libraries
//!   llama-root/      a root directory with llama-server and its libraries, and m/tiny-f16.gguf
//!   python39-root/   another with Python 3.9 and OpenSSL 1.1
//!   python-sid-root/ another with Debian unstable's Python and OpenSSL
//! ```
//!
//! What is there already is kept. What cannot be installed is said, and the tests that need it skip.

mod axum;
mod debian;
mod libressl;
mod llama;
mod node;
mod pythons;
pub(crate) mod venv;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::paths;

/// Installs all of them and fails when one is missing.
pub(crate) fn run() -> Result<ExitCode> {
    super::setup::test_tools()?;
    let complete = ensure();
    println!("{}", paths::stacks().display());
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Installs what is missing. False when something could not be; it was said.
pub(crate) fn ensure() -> bool {
    let mut complete = report(
        "the Python and Go stacks",
        venv::ensure("venv", "stacks.txt"),
    );
    complete &= report("litellm", venv::ensure("litellm", "litellm.txt"));
    complete &= report(
        "the readers of exports",
        venv::ensure("readers", "readers.txt"),
    );
    complete &= report("Node's clients", node::ensure());
    complete &= report("axum's server", axum::ensure());
    complete &= report("llama-server", llama::ensure());
    complete &= report("LibreSSL", libressl::ensure());
    for python in pythons::ALL {
        complete &= report(python.name, python.ensure());
    }
    complete
}

fn report(name: &str, result: Result<()>) -> bool {
    if let Err(error) = &result {
        say(&format!("{name} could not be installed: {error:#}"));
    }
    result.is_ok()
}

/// Makes what is in a folder of the cache, unless it was made of what is `wanted`. What that is, is written last, so that
/// an interrupted installation is seen.
fn unless_installed(
    directory: &Path,
    wanted: &str,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    make()?;
    fs::write(&installed, wanted).context("installed.txt")
}

fn say(text: &str) {
    eprintln!("stacks: {text}");
}
