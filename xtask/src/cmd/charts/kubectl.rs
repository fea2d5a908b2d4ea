//! `kubectl create --dry-run=client` of what the chart gives, by the real kubectl.
//!
//! Even so kubectl asks a server which kinds there are: `assets/charts/discovery.py` is that much of one. Fields are not
//! looked at here: that server has no schemas, the check before this one has.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::Tools;
use crate::paths;

/// Every file; and that one of a kind that there is not is refused.
pub(super) fn dry_run(tools: &Tools, files: &[PathBuf], folder: &Path) -> Result<()> {
    let server = Server::start(tools)?;
    for file in files {
        let (is_taken, said) = server.create(tools, file, folder)?;
        ensure!(is_taken, "{}: kubectl says {said}", file.display());
        // What it would create, one a line.
        let text = std::fs::read_to_string(file)?;
        let wanted = text
            .lines()
            .filter(|line| line.starts_with("kind:"))
            .count();
        ensure!(
            wanted > 0 && said.lines().count() == wanted,
            "{} has {wanted} objects, and kubectl would create\n{said}",
            file.display()
        );
    }
    let wrong = folder.join("wrong-kind.yaml");
    let text = std::fs::read_to_string(files.last().context("no file")?)?;
    std::fs::write(&wrong, text.replace("kind: DaemonSet", "kind: DemonSet"))?;
    let (is_taken, said) = server.create(tools, &wrong, folder)?;
    ensure!(
        !is_taken && said.contains("DemonSet"),
        "kubectl takes a kind that does not exist: {said}"
    );
    Ok(())
}

/// What kubectl asks.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(tools: &Tools) -> Result<Server> {
        let mut child = Command::new(&tools.python)
            .arg(paths::root().join("xtask/assets/charts/discovery.py"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut port = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut port)?;
        }
        let port = port.trim().to_owned();
        Ok(Server { child, port })
    }

    /// Whether kubectl would create what a file has, and what it says.
    fn create(&self, tools: &Tools, file: &Path, folder: &Path) -> Result<(bool, String)> {
        let mut kubectl = Command::new(&tools.kubectl);
        // No configuration and no cache of whoever runs this.
        kubectl.env_clear().env("HOME", folder);
        kubectl.args([
            "create",
            "--dry-run=client",
            "--validate=false",
            "--output=name",
        ]);
        kubectl.arg(format!("--server=http://127.0.0.1:{}", self.port));
        let output = kubectl.arg("--filename").arg(file).output()?;
        let said = match output.status.success() {
            true => output.stdout,
            false => output.stderr,
        };
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
