//! The agent, attached for one round with everything on, and what it cost.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::server::cpu_seconds;
use crate::{paths, sh};

pub(super) struct Agent {
    child: Child,
    dir: PathBuf,
}

/// Where its probes in TLS libraries sit.
#[derive(Clone, Copy)]
pub(super) enum Places {
    /// On the functions' first instructions and returns.
    Symbol,
    /// Where it puts them by itself.
    Computed,
    /// There, each by a link of its own, as on kernels before 6.6.
    ComputedSingle,
    /// In no call: it reads the secrets that libraries announce.
    Secrets,
}

/// Of one round.
pub(super) struct Cost {
    pub(super) cpu_s: f64,
    pub(super) peak_mib: f64,
    pub(super) recorded: f64,
    /// `net.client` scopes.
    pub(super) net_scopes: f64,
    pub(super) lost_records: f64,
    pub(super) lost_bytes: f64,
    /// Until the probes were gone, at the end.
    pub(super) detach_ms: f64,
}

impl Agent {
    /// Attaches to `pid` and waits until it says so.
    pub(super) fn attach(pid: u32, places: Places) -> Result<Agent> {
        Agent::attach_build(&paths::agent(), pid, places)
    }

    /// The same with more flags.
    pub(super) fn attach_asking(pid: u32, flags: &[&str]) -> Result<Agent> {
        Agent::start(&paths::agent(), pid, Places::Computed, flags, None)
    }

    /// The same, which ships to a platform of this machine at that port.
    pub(super) fn attach_shipping(pid: u32, platform: Option<u16>) -> Result<Agent> {
        Agent::start(&paths::agent(), pid, Places::Computed, &[], platform)
    }

    /// The same of another build of the agent: `program` is its path.
    pub(super) fn attach_build(program: &Path, pid: u32, places: Places) -> Result<Agent> {
        Agent::start(program, pid, places, &[], None)
    }

    fn start(
        program: &Path,
        pid: u32,
        places: Places,
        flags: &[&str],
        platform: Option<u16>,
    ) -> Result<Agent> {
        let dir = paths::target().join("bench-overhead");
        // What the last round left would be evicted within this one.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let mut command = sh::command(program);
        command
            .env_remove("CIRRON_TLS_PLACES")
            .env_remove("CIRRON_TLS")
            .env_remove("CIRRON_UPROBE_LINKS");
        for name in [
            "CIRRON_RUN_ID",
            "CIRRON_API_KEY",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ] {
            command.env_remove(name);
        }
        if let Some(port) = platform {
            command
                .env("CIRRON_API_KEY", "bench")
                .env("CIRRON_API_ENDPOINT", format!("http://127.0.0.1:{port}"));
        }
        match places {
            Places::Symbol => {
                command.env("CIRRON_TLS_PLACES", "symbol");
            }
            Places::Computed => {}
            Places::ComputedSingle => {
                command.env("CIRRON_UPROBE_LINKS", "single");
            }
            Places::Secrets => {
                command.env("CIRRON_TLS", "secrets");
            }
        }
        command
            .args(["--pid", &pid.to_string(), "--output-dir"])
            .arg(&dir);
        command.arg("--summary-json").arg(dir.join("summary.json"));
        command.args(flags);
        let mut child = sh::as_root(&command)?
            .stderr(Stdio::piped())
            .spawn()
            .context("the agent")?;
        let mut lines = BufReader::new(child.stderr.take().context("stderr")?);
        let mut said = String::new();
        while lines.read_line(&mut said)? > 0 {
            if said.contains("attached to") {
                // Its summary line must find somebody who reads.
                std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return Ok(Agent { child, dir });
            }
        }
        bail!("the agent did not attach: {said}")
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> Result<Cost> {
        // What the last requests left is flushed within the second.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let pid = self.child.id();
        let cpu_s = cpu_seconds(pid)?;
        let peak_mib = peak_mib(pid)?;
        sh::signal("INT", pid)?;
        self.child.wait()?;
        let text = std::fs::read_to_string(self.dir.join("summary.json")).context("summary")?;
        let summary: Value = serde_json::from_str(&text)?;
        let number = |pointer: &str| {
            summary
                .pointer(pointer)
                .and_then(Value::as_f64)
                .unwrap_or(f64::NAN)
        };
        Ok(Cost {
            cpu_s,
            peak_mib,
            recorded: number("/engine/requests"),
            net_scopes: number("/engine/net_scopes"),
            lost_records: number("/kernel/ring_full_records") + number("/kernel/events_lost"),
            lost_bytes: number("/engine/lost_bytes"),
            detach_ms: number("/detach/ms"),
        })
    }
}

/// `VmHWM`: the ring's pages are among it, as far as they were touched.
fn peak_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.trim().split(' ').next())
        .context("VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
