//! The image: every blob is what it is called, and the program runs in what the layer holds, where nothing else is.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::binary::Built;
use super::super::sums::sha256;
use super::super::{VERSION, Work, image};
use crate::sh;

pub(super) fn check(work: &Work, _: &Built) -> Result<String> {
    let folder = work.scratch.join("image-check");
    let _ = fs::remove_dir_all(&folder);
    let done = reads(work, &folder);
    fs::remove_dir_all(&folder)?;
    done
}

fn reads(work: &Work, folder: &Path) -> Result<String> {
    let root = folder.join("root");
    fs::create_dir_all(&root)?;
    unpack(work, &work.out.join(image::name()), folder)?;
    let index = json(&folder.join("index.json"))?;
    let manifest = blob(folder, &index["manifests"][0])?;
    let manifest_text = json(&manifest)?;
    let config = json(&blob(folder, &manifest_text["config"])?)?;
    let layer = blob(folder, &manifest_text["layers"][0])?;
    let plain = folder.join("layer.tar");
    let mut gunzip = work.command("sh");
    gunzip
        .args(["-c", "gzip -dc \"$0\" > \"$1\""])
        .arg(&layer)
        .arg(&plain);
    sh::run_quietly(&mut gunzip)?;
    let named = config["rootfs"]["diff_ids"][0].as_str().unwrap_or_default();
    ensure!(
        named == format!("sha256:{}", sha256(&plain)?),
        "the layer's unpacked sum"
    );
    unpack(work, &plain, &root)?;
    let entry = config["config"]["Entrypoint"][0]
        .as_str()
        .context("no entry point")?;
    let mut run = Command::new("chroot");
    run.arg(&root).args([entry, "--version"]);
    let said = sh::output(&mut sh::as_root(&run)?)?;
    ensure!(
        said == format!("cirron-agent {VERSION}\n"),
        "the program says {said:?}"
    );
    let digest = index["manifests"][0]["digest"].as_str().unwrap_or_default();
    Ok(format!("{digest}, and its program runs in an empty root"))
}

fn json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Where a descriptor points, if it is what the descriptor says.
fn blob(folder: &Path, descriptor: &Value) -> Result<std::path::PathBuf> {
    let digest = descriptor["digest"].as_str().context("no digest")?;
    let sum = digest.strip_prefix("sha256:").context("no SHA-256")?;
    let path = folder.join("blobs/sha256").join(sum);
    ensure!(sha256(&path)? == sum, "the blob {sum} is something else");
    ensure!(
        descriptor["size"] == fs::metadata(&path)?.len(),
        "the size of {sum}"
    );
    Ok(path)
}

fn unpack(work: &Work, archive: &Path, to: &Path) -> Result<()> {
    let mut tar = work.command("tar");
    sh::run_quietly(tar.arg("-xf").arg(archive).arg("-C").arg(to))
}
