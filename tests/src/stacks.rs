//! Where the servers and clients of others are: the folder that `cargo xtask stacks` makes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The folder: `CIRRON_STACKS`, else `cirron-agent/stacks` under the user's cache.
pub fn root() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CIRRON_STACKS") {
        return Some(path.into());
    }
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    Some(cache.join("cirron-agent/stacks"))
}

/// A program of the Python environment.
pub fn venv(program: &str) -> Result<PathBuf> {
    let path = root()
        .context("no home directory")?
        .join("venv/bin")
        .join(program);
    if !path.exists() {
        bail!("{program} is missing from the stacks\n  cargo xtask stacks");
    }
    Ok(path)
}

/// The root directory in which llama-server runs.
pub fn llama_root() -> Result<PathBuf> {
    let path = root().context("no home directory")?.join("llama-root");
    if !path.join("usr/bin/llama-server").exists() || !path.join("m/tiny-f16.gguf").exists() {
        bail!("llama-server or its model is missing from the stacks\n  cargo xtask stacks");
    }
    Ok(path)
}

/// The interpreter in the root directories that have a Python of their own.
pub const PYTHON: &str = "/usr/bin/python3";

/// The root directory `name`, which has a Python and an OpenSSL of its own.
pub fn python_root(name: &str) -> Result<PathBuf> {
    let path = root().context("no home directory")?.join(name);
    if !path.join(PYTHON.trim_start_matches('/')).exists() {
        bail!("{name} is missing from the stacks\n  cargo xtask stacks");
    }
    Ok(path)
}

/// Why the stacks cannot be used, if they cannot.
pub fn missing() -> Option<String> {
    for program in ["python", "uvicorn", "flask", "gunicorn", "go"] {
        if let Err(e) = venv(program) {
            return Some(e.to_string().replace('\n', ";"));
        }
    }
    for tool in [
        "node",
        "curl",
        "wrk",
        "nginx",
        "caddy",
        "gnutls-serv",
        "openssl",
    ] {
        let found = std::env::var_os("PATH")
            .is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(tool).exists()));
        if !found {
            return Some(format!("no {tool} on the path; cargo xtask stacks"));
        }
    }
    None
}

/// This package's folder.
pub fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the Go server and gives its path. `stripped`: without symbols.
pub fn go_server(stripped: bool) -> Result<PathBuf> {
    let target = here().join("../target/tests");
    std::fs::create_dir_all(&target)?;
    let (name, flags) = match stripped {
        true => ("scripted-go-stripped", "-s -w"),
        false => ("scripted-go", ""),
    };
    let program = target.canonicalize()?.join(name);
    let output = Command::new(venv("go")?)
        .args(["build", "-ldflags", flags, "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(here().join("servers/go"))
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOFLAGS", "-mod=mod")
        .output()?;
    if !output.status.success() {
        bail!(
            "go build failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(program)
}
