//! Every dependency that a manifest declares is named somewhere in the package's sources.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::purity::has_word;
use crate::{paths, sh};

/// Checks the workspace and the eBPF programs.
pub(crate) fn check() -> Result<()> {
    let mut unused = Vec::new();
    for manifest in ["Cargo.toml", "cirron-ebpf/Cargo.toml"] {
        let mut metadata =
            sh::cargo(["metadata", "--no-deps", "--locked", "--format-version", "1"]);
        let metadata = sh::output(metadata.args(["--manifest-path", manifest]))?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
        let packages = metadata.get("packages").and_then(Value::as_array);
        for package in packages.context("cargo metadata lists no packages")? {
            let text = |key: &str| package.get(key).and_then(Value::as_str);
            let name = text("name").unwrap_or("a package without a name");
            let directory = Path::new(text("manifest_path").unwrap_or("")).parent();
            let sources = all_sources(directory.context("a package without a directory")?)?;
            let dependencies = package.get("dependencies").and_then(Value::as_array);
            for dependency in dependencies.into_iter().flatten() {
                let called = ["rename", "name"]
                    .iter()
                    .find_map(|key| dependency.get(key)?.as_str())
                    .context("a dependency without a name")?;
                if !has_word(&sources, &called.replace('-', "_")) {
                    unused.push(format!("{name}: {called}"));
                }
            }
        }
    }
    unused.sort();
    unused.dedup();
    if !unused.is_empty() {
        bail!("dependencies that nothing uses:\n  {}", unused.join("\n  "));
    }
    Ok(())
}

/// All Rust of a package, tests and benchmarks included; comments are not code.
fn all_sources(directory: &Path) -> Result<String> {
    let mut all = String::new();
    let mut directories = vec![directory.to_path_buf()];
    // Not the packages inside the root, should it ever be one itself.
    let skipped = [paths::target(), paths::root().join("target")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && !skipped.contains(&path) {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                for line in text.lines() {
                    all.push_str(line.split("//").next().unwrap_or(""));
                    all.push('\n');
                }
            }
        }
    }
    Ok(all)
}
