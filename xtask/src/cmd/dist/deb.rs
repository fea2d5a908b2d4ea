//! The `.deb`, by dpkg-deb, which needs no root for it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Work;
use super::binary::{Built, NAME};
use super::layout::{Layout, files, installed};
use crate::{paths, sh};

/// Whom its users may write to: the address of Cirron's SDK.
const MAINTAINER: &str = "Cirron <dx@cirron.com>";

/// The first line of its description, and the rest.
const DESCRIPTION: &str = "profiles LLM and ML servers without touching them
 One binary attaches to running processes with eBPF, puts their HTTP exchanges
 and token streams back together, and writes time to first token, tokens per
 second and token counts of each request.
 .
 Prompts, completions, header values and query strings are not written. The
 server needs no change, no restart and no symbols.";

/// Makes it, called `version`; where it is.
pub(super) fn make(work: &Work, built: &Built, version: &str) -> Result<PathBuf> {
    let zsh = "usr/share/zsh/vendor-completions";
    let layout = installed(work, built, "deb", zsh)?;
    let doc = "usr/share/doc/cirron-agent";
    layout.bytes(&format!("{doc}/copyright"), copyright()?.as_bytes(), 0o644)?;
    let changes = work.scratch.join("changelog");
    fs::write(&changes, changelog(work, version)?)?;
    layout.compressed(&format!("{doc}/changelog"), &changes)?;
    layout.compressed(&format!("{doc}/NEWS"), &paths::root().join("CHANGELOG.md"))?;
    layout.ours(
        "usr/share/lintian/overrides/cirron-agent",
        "deploy/packages/debian/lintian-overrides",
    )?;
    control(work, &layout, version)?;
    let to = work.out.join(format!("{NAME}_{version}_amd64.deb"));
    let mut build = work.command("dpkg-deb");
    build.args(["--root-owner-group", "-Zxz", "--build"]);
    sh::run(build.arg(layout.root()).arg(&to))?;
    fs::remove_dir_all(layout.root())?;
    Ok(to)
}

/// `DEBIAN/`: what dpkg reads.
fn control(work: &Work, layout: &Layout, version: &str) -> Result<()> {
    let used = sh::output(
        work.command("du")
            .args(["-s", "-k", "--apparent-size"])
            .arg(layout.root()),
    )?;
    let used = used.split_whitespace().next().context("du's output")?;
    let mut sum = work.command("sh");
    sum.current_dir(layout.root()).args([
        "-c",
        "find . -type f -printf '%P\\0' | sort -z | xargs -0 md5sum",
    ]);
    let sums: String = sh::output(&mut sum)?
        .lines()
        .filter(|line| !line.contains("  etc/"))
        .map(|line| format!("{line}\n"))
        .collect();
    let text = format!(
        "Package: {NAME}\nVersion: {version}\nSection: admin\nPriority: optional\nArchitecture: amd64\n\
         Maintainer: {MAINTAINER}\nInstalled-Size: {used}\nHomepage: {}\nDescription: {DESCRIPTION}\n",
        env!("CARGO_PKG_REPOSITORY")
    );
    layout.bytes("DEBIAN/control", text.as_bytes(), 0o644)?;
    layout.bytes("DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
    let conffiles = b"/etc/cirron-agent/cirron-agent.toml\n";
    layout.bytes("DEBIAN/conffiles", conffiles, 0o644)?;
    for script in files(&paths::root().join("deploy/packages/debian"))? {
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        if matches!(&*name, "postinst" | "prerm" | "postrm") {
            layout.copy(&format!("DEBIAN/{name}"), &script, 0o755)?;
        }
    }
    Ok(())
}

/// The machine-readable copyright, with the text of the licence that Debian has no copy of.
fn copyright() -> Result<String> {
    let at = |path: &str| fs::read_to_string(paths::root().join(path)).context(path.to_owned());
    let licence: String = at("LICENSE-MIT")?
        .lines()
        .map(|line| match line.trim() {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        })
        .collect();
    Ok(at("deploy/packages/debian/copyright")?.replace("@MIT@\n", &licence))
}

/// Debian's own changelog, of which this package has an entry a version; what changed is in NEWS.
fn changelog(work: &Work, version: &str) -> Result<String> {
    let date = sh::output(
        work.command("date")
            .args(["-R", "-u", "-d"])
            .arg(format!("@{}", work.epoch)),
    )?;
    Ok(format!(
        "{NAME} ({version}) unstable; urgency=medium\n\n  * See NEWS.gz.\n\n -- {MAINTAINER}  {}\n",
        date.trim()
    ))
}
