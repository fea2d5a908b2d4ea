//! llama.cpp's server with a tiny model, in a root directory of its own.
//!
//! Debian's unstable suite packages it, on a newer libc than the machine may have. That suite moves:
//! the version is whatever it has today.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{debian, say};
use crate::{apt, paths, sh};

/// The suite that has llama.cpp.
const SUITE: &str = "sid";

/// The server, and a compute backend.
const PACKAGES: [&str; 2] = ["llama.cpp-tools", "libggml0-backend-blas"];

/// Makes it, unless it is there.
pub(crate) fn ensure() -> Result<()> {
    let root = paths::stacks().join("llama-root");
    let server = root.join("usr/bin/llama-server");
    let model = root.join("m/tiny-f16.gguf");
    if !server.exists() {
        apt::must_be_debian("llama-server")?;
        say(&format!(
            "will unpack Debian {SUITE}'s llama-server (26 MB) into {}",
            root.display()
        ));
        debian::unpack(SUITE, &PACKAGES, &root)?;
        if !server.exists() {
            bail!("{} is not in the packages", server.display());
        }
    }
    if !model.exists() {
        say("will make a random model of two million parameters");
        let script = paths::root().join("xtask/assets/make_model.py");
        let python = paths::stacks().join("venv/bin/python");
        fs::create_dir_all(root.join("m")).context("the model's directory")?;
        sh::run(Command::new(python).arg(script).arg(&model))?;
    }
    Ok(())
}
