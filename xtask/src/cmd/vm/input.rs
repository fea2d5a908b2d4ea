//! What goes into the guest, as one tar: the agent as it is released, the real-server suite, the
//! suites' servers, and the script that runs them.
//!
//! ```text
//! cirron-agent, real, zoo    programs of this build
//! zoo-path                   where `real` looks for `zoo`: its path at build time
//! servers/, guest.py         from tests/
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{paths, sh};

/// What was built.
pub(super) struct Input {
    /// The tar.
    pub(super) tar: PathBuf,
    /// The program that judges what comes out.
    pub(super) judge: PathBuf,
}

/// Builds all of it, and puts the tar into `folder`.
pub(super) fn build(folder: &Path) -> Result<Input> {
    sh::build_agent()?;
    let built = suite()?;
    let program = |name: &str| {
        let found = built.iter().find(|(of, _)| of == name);
        found
            .map(|(_, path)| path.clone())
            .with_context(|| format!("cargo says of no program {name}"))
    };
    let stage = folder.join("in");
    let _ = fs::remove_dir_all(&stage);
    fs::create_dir_all(&stage)?;
    fs::copy(paths::agent(), stage.join("cirron-agent"))?;
    fs::copy(program("real")?, stage.join("real"))?;
    let zoo = program("zoo")?;
    fs::copy(&zoo, stage.join("zoo"))?;
    fs::write(stage.join("zoo-path"), zoo.as_os_str().as_encoded_bytes())?;
    let tests = paths::root().join("tests");
    fs::copy(tests.join("vm/guest.py"), stage.join("guest.py"))?;
    let tar = folder.join("in.tar");
    let mut pack = Command::new("tar");
    pack.args(["--exclude", "__pycache__", "-c", "-f"])
        .arg(&tar);
    pack.arg("-C").arg(&stage).arg(".");
    pack.arg("-C").arg(&tests);
    sh::run_quietly(pack.args(["servers/python", "servers/tls"]))?;
    fs::remove_dir_all(&stage)?;
    Ok(Input {
        tar,
        judge: program("vm-judge")?,
    })
}

/// Builds the suite with the package's programs: the name of each, and where it is.
fn suite() -> Result<Vec<(String, PathBuf)>> {
    let mut build = sh::cargo(["test", "--package", "cirron-tests", "--locked", "--no-run"]);
    build.args(["--test", "real", "--message-format"]);
    build.arg("json-render-diagnostics");
    eprintln!("$ {}", sh::shown(&build));
    let messages = sh::output(&mut build)?;
    Ok(messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let path = message.get("executable")?.as_str()?;
            let name = message.pointer("/target/name")?.as_str()?;
            Some((name.to_owned(), PathBuf::from(path)))
        })
        .collect())
}
