//! The image: an OCI archive (image layout 1.0, packed by tar) of one layer, from scratch.
//!
//! ```text
//! index.json ─▶ manifest ─▶ config
//!                      └──▶ layer: the program, the default configuration, an empty state directory
//! ```
//! `skopeo copy oci-archive:FILE docker://REGISTRY/NAME` puts it into a registry; `podman load`, `docker load` (25 or
//! later) and `ctr images import` take it as it is. The same files give the same digest.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::binary::{Built, NAME};
use super::layout::{Layout, gzip, tar};
use super::sums::sha256;
use super::{VERSION, Work};
use crate::sh;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Where the program writes; a volume belongs there.
const STATE: &str = "/var/lib/cirron-agent";

/// The archive's name.
pub(super) fn name() -> String {
    format!("{NAME}-{VERSION}-x86_64-image.tar")
}

/// Makes it.
pub(super) fn make(work: &Work, built: &Built) -> Result<()> {
    let files = Layout::new(work, "image-files")?;
    files.copy(&format!("usr/bin/{NAME}"), &built.program, 0o755)?;
    files.ours(
        "etc/cirron-agent/cirron-agent.toml",
        "deploy/packages/cirron-agent.toml",
    )?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        files.ours(
            &format!("usr/share/licenses/cirron-agent/{licence}"),
            licence,
        )?;
    }
    files.directory(STATE.trim_start_matches('/'), 0o700)?;
    let layer = work.scratch.join("layer.tar");
    tar(work, files.root(), &layer)?;
    let unpacked = sha256(&layer)?;
    let layer = gzip(work, &layer)?;
    fs::remove_dir_all(files.root())?;

    let layout = Layout::new(work, "image")?;
    let created = created(work)?;
    let blobs = Blobs { layout: &layout };
    let layer = blobs.file(LAYER, &layer)?;
    let config = blobs.json(CONFIG, &config(&created, &unpacked))?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blobs.json(MANIFEST, &manifest)?;
    manifest["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    manifest["annotations"] = json!({
        "org.opencontainers.image.ref.name": VERSION,
        "io.containerd.image.name": format!("{NAME}:{VERSION}"),
    });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    layout.bytes("index.json", &serde_json::to_vec(&index)?, 0o644)?;
    layout.bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    tar(work, layout.root(), &work.out.join(name()))?;
    fs::remove_dir_all(layout.root())?;
    Ok(())
}

/// How it is run: as a container it finds servers by the rules of its file.
fn config(created: &str, unpacked: &str) -> Value {
    json!({
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": [format!("/usr/bin/{NAME}")],
            "Cmd": ["daemon", "--config", "/etc/cirron-agent/cirron-agent.toml"],
            "Env": ["PATH=/usr/bin", format!("CIRRON_OUTPUT_DIR={STATE}")],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": NAME,
                "org.opencontainers.image.version": VERSION,
                "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{unpacked}")] },
        "history": [{ "created": created, "created_by": "cargo xtask dist" }],
    })
}

fn created(work: &Work) -> Result<String> {
    let mut date = work.command("date");
    date.args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"]);
    Ok(sh::output(date.arg(format!("@{}", work.epoch)))?
        .trim()
        .to_owned())
}

/// Files that are called what they hold.
struct Blobs<'l> {
    layout: &'l Layout<'l>,
}

impl Blobs<'_> {
    /// Puts a file there; its descriptor.
    fn file(&self, kind: &str, from: &Path) -> Result<Value> {
        let sum = sha256(from)?;
        let at: PathBuf = self
            .layout
            .copy(&format!("blobs/sha256/{sum}"), from, 0o644)?;
        let size = fs::metadata(&at).context("a blob")?.len();
        Ok(json!({ "mediaType": kind, "digest": format!("sha256:{sum}"), "size": size }))
    }

    /// The same of a document.
    fn json(&self, kind: &str, value: &Value) -> Result<Value> {
        let draft = self
            .layout
            .bytes("draft", &serde_json::to_vec(value)?, 0o644)?;
        let descriptor = self.file(kind, &draft)?;
        fs::remove_file(draft)?;
        Ok(descriptor)
    }
}
