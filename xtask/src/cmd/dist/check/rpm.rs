//! The `.rpm` by rpm itself: installed, upgraded and erased, in a root of its own. Whether Fedora's rpm does the same
//! nobody looks at here.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::super::binary::Built;
use super::super::{VERSION, Work, rpm};
use super::LATER;
use super::root::Root;
use crate::sh;

const PROGRAM: &str = "usr/bin/cirron-agent";
const CONFIG: &str = "etc/cirron-agent/cirron-agent.toml";
const UNIT: &str = "usr/lib/systemd/system/cirron-agent.service";

pub(super) fn check(work: &Work, built: &Built) -> Result<String> {
    let now = work
        .out
        .join(format!("cirron-agent-{VERSION}-1.x86_64.rpm"));
    let later = rpm::make(work, built, LATER)?;
    let done = lives(work, &now, &later);
    fs::remove_file(later)?;
    let needs = sh::output(work.command("rpm").args(["-qp", "--requires"]).arg(&now))?;
    let strange: Vec<&str> = needs
        .lines()
        .filter(|need| {
            !need.starts_with("rpmlib(") && !need.starts_with("config(") && *need != "/bin/sh"
        })
        .collect();
    ensure!(strange.is_empty(), "it needs {strange:?}");
    done?;
    Ok("installed, upgraded and erased; the file that was edited is kept as .rpmsave".into())
}

fn lives(work: &Work, now: &Path, later: &Path) -> Result<()> {
    let root = Root::make(work, "rpm-root")?;
    let at = root.path().display().to_string();
    // /bin/sh is there, and its database does not know.
    let rpm = |what: &str, more: &[&str], file: Option<&Path>| {
        let mut arguments = vec!["--root", at.as_str(), "--nodeps", what];
        arguments.extend(more);
        root.run("rpm", &arguments, file)
    };
    rpm("--install", &[], Some(now))?;
    root.has(&[PROGRAM, CONFIG, UNIT], true)?;
    let version = root.output(&["/usr/bin/cirron-agent", "--version"])?;
    ensure!(
        version == format!("cirron-agent {VERSION}\n"),
        "the program does not run"
    );
    root.edit(CONFIG, "# edited\n")?;
    rpm("--upgrade", &[], Some(later))?;
    ensure!(
        root.has_line(CONFIG, "# edited")?,
        "an upgrade took what was edited"
    );
    rpm("--erase", &["cirron-agent"], None)?;
    root.has(&[PROGRAM, CONFIG, UNIT], false)?;
    let saved = format!("{CONFIG}.rpmsave");
    ensure!(
        root.has_line(&saved, "# edited")?,
        "an erasure took what was edited"
    );
    Ok(())
}
