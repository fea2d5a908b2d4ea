//! Where the servers and clients of others are: the folder that `cargo xtask stacks` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

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

/// litellm's proxy, in an environment of its own.
pub fn litellm() -> Result<PathBuf> {
    let path = root()
        .context("no home directory")?
        .join("litellm/bin/litellm");
    if !path.exists() {
        bail!("litellm is missing from the stacks\n  cargo xtask stacks");
    }
    Ok(path)
}

/// The Python whose libraries read what `export` writes.
pub fn readers() -> Result<PathBuf> {
    let path = root()
        .context("no home directory")?
        .join("readers/bin/python");
    if !path.exists() {
        bail!("the readers of exports are missing from the stacks\n  cargo xtask stacks");
    }
    Ok(path)
}

/// A program of a receiver that `cargo xtask receivers` installs, in an environment of its own.
pub fn receiver(name: &str, program: &str) -> Result<PathBuf> {
    let bin = root().context("no home directory")?.join(name).join("bin");
    let path = bin.join(program);
    if !path.exists() {
        bail!("{name} is not installed\n  cargo xtask receivers");
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

/// LibreSSL's own `openssl`.
pub fn libressl() -> Result<PathBuf> {
    let program = root()
        .context("no home directory")?
        .join("libressl/bin/openssl");
    if !program.exists() {
        bail!("LibreSSL is missing from the stacks\n  cargo xtask stacks");
    }
    Ok(program)
}

/// The folder of Node's official clients.
pub fn node_clients() -> Result<PathBuf> {
    let path = root().context("no home directory")?.join("node");
    if !path.join("node_modules/openai").exists() {
        bail!("Node's clients are missing from the stacks\n  cargo xtask stacks");
    }
    Ok(path)
}

/// The server of axum: with its symbols, and stripped.
pub fn axum() -> Result<(PathBuf, PathBuf)> {
    let path = root().context("no home directory")?.join("axum");
    if !path.join("installed.txt").exists() {
        bail!("axum's server is missing from the stacks\n  cargo xtask stacks");
    }
    Ok((path.join("scripted-axum"), path.join("stripped-axum")))
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
    let errors = [node_clients().err(), libressl().err(), axum().err()];
    if let Some(e) = errors.into_iter().flatten().next() {
        return Some(e.to_string().replace('\n', ";"));
    }
    for tool in [
        "node",
        "nghttp",
        "h2load",
        "curl",
        "wrk",
        "nginx",
        "caddy",
        "nghttp",
        "gnutls-serv",
        "openssl",
        "runc",
        "prometheus",
        "promtool",
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

/// Builds a program of the examples that come with Go's gRPC, as it is there, and gives its path.
pub fn go_grpc_example(example: &str, program: &str) -> Result<PathBuf> {
    const SOURCES: &str = "/usr/share/gocode";
    const EXAMPLES: &str = "/usr/share/doc/golang-google-grpc-dev/examples";
    const MODULE: &str = "src/google.golang.org/grpc";
    let target = here().join("../target/tests");
    std::fs::create_dir_all(&target)?;
    let target = target.canonicalize()?;
    // The examples import each other by the module's name: it is laid out as its authors have it.
    let path = target.join("gopath");
    let module = path.join(MODULE);
    if !module.exists() {
        let laid = target.join("gopath.new");
        let _ = std::fs::remove_dir_all(&laid);
        std::fs::create_dir_all(laid.join(MODULE))?;
        let sources = Path::new(SOURCES).join(MODULE);
        let found =
            std::fs::read_dir(sources).context("no Go sources of gRPC\n  cargo xtask setup")?;
        for entry in found {
            let entry = entry?;
            let link = laid.join(MODULE).join(entry.file_name());
            std::os::unix::fs::symlink(entry.path(), link)?;
        }
        std::os::unix::fs::symlink(EXAMPLES, laid.join(MODULE).join("examples"))?;
        std::fs::rename(laid, &path)?;
    }
    let built = target.join(format!("grpc-go-{example}-{program}"));
    let output = Command::new(venv("go")?)
        .arg("build")
        .arg("-o")
        .arg(&built)
        .arg(format!(
            "google.golang.org/grpc/examples/{example}/{program}"
        ))
        .env("GOTOOLCHAIN", "local")
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOPATH", format!("{}:{SOURCES}", path.display()))
        .output()?;
    ensure!(
        output.status.success(),
        "go build failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(built)
}
