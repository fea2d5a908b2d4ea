//! The SBOM against CycloneDX's own schema, by the library of its authors for Python, and against the lock file.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::binary::Built;
use super::super::{Work, sbom};
use crate::{paths, sh};

/// The library, which has the published schemas in it.
const LIBRARY: &str = "cyclonedx-python-lib[json-validation]==11.12.0";

const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(f'{wrong!r}' if wrong else 0)
";

pub(super) fn check(work: &Work, _: &Built) -> Result<String> {
    let path = work.out.join(sbom::name());
    let python = paths::cache().join("dist/venv/bin/python");
    if !python.exists() {
        let venv = paths::cache().join("dist/venv");
        sh::run(work.command("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let mut install = work.command(&python.to_string_lossy());
    sh::run(install.args(["-m", "pip", "install", "--quiet", LIBRARY]))?;
    let mut validate = work.command(&python.to_string_lossy());
    sh::run_quietly(validate.args(["-c", VALIDATE]).arg(&path))?;

    let document: Value = serde_json::from_slice(&fs::read(&path)?)?;
    let components = document["components"].as_array().context("no components")?;
    for name in [
        "aya",
        "cirron-core",
        "cirron-ebpf",
        "aya-ebpf",
        "zstd-sys",
        "glibc",
    ] {
        ensure!(
            components.iter().any(|c| c["name"] == name),
            "{name} is not in it"
        );
    }
    for component in components {
        ensure!(
            component["licenses"].is_array(),
            "{} has no licence",
            component["name"]
        );
    }
    // What only tests or builds need is not shipped.
    for name in ["proptest", "tempfile", "cc"] {
        ensure!(
            !components.iter().any(|c| c["name"] == name),
            "{name} is in it"
        );
    }
    Ok(format!(
        "{} components, valid by CycloneDX 1.6",
        components.len()
    ))
}
