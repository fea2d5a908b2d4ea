//! The `.deb` by dpkg itself: installed, upgraded, removed, purged, in a root of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Result, ensure};

use super::super::binary::Built;
use super::super::{VERSION, Work, deb};
use super::LATER;
use super::root::Root;

const PROGRAM: &str = "usr/bin/cirron-agent";
const CONFIG: &str = "etc/cirron-agent/cirron-agent.toml";
const UNIT: &str = "usr/lib/systemd/system/cirron-agent.service";
const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/cirron-agent.service";
const STATE: &str = "var/lib/cirron-agent";

pub(super) fn check(work: &Work, built: &Built) -> Result<String> {
    let now = work.out.join(format!("cirron-agent_{VERSION}_amd64.deb"));
    let later = deb::make(work, built, LATER)?;
    let done = lives(work, &now, &later);
    fs::remove_file(later)?;
    done?;
    Ok("installed, configured, upgraded, removed and purged; the file that was edited outlived all but the purge".into())
}

fn lives(work: &Work, now: &Path, later: &Path) -> Result<()> {
    let root = Root::make(work, "deb-root")?;
    let at = root.path().display().to_string();
    let in_root = format!("--root={at}");
    let dpkg = |what: &str, file: Option<&Path>, more: &[&str]| {
        let mut arguments = vec![in_root.as_str(), "--force-confold"];
        arguments.push(what);
        arguments.extend(more);
        root.run("dpkg", &arguments, file)
    };
    let version = || root.output(&["/usr/bin/cirron-agent", "--version"]);

    dpkg("--install", Some(now), &[])?;
    root.has(&[PROGRAM, CONFIG, UNIT], true)?;
    // It is whoever installs it that begins to watch.
    root.has(&[ENABLED], false)?;
    let program = fs::metadata(root.at(PROGRAM))?;
    ensure!(
        program.permissions().mode() & 0o7777 == 0o755 && program.uid() == 0 && program.gid() == 0,
        "the program's mode or owner"
    );
    ensure!(
        version()? == format!("cirron-agent {VERSION}\n"),
        "the program does not run"
    );

    root.edit(CONFIG, "# edited\n")?;
    fs::create_dir_all(root.at(STATE).join("spool"))?;
    // As an administrator enables it; this machine's systemctl does, in that root.
    root.run(
        "systemctl",
        &["--root", &at, "enable", "cirron-agent.service"],
        None,
    )?;
    root.has(&[ENABLED], true)?;
    dpkg("--install", Some(later), &[])?;
    root.has(&[PROGRAM, UNIT, ENABLED, STATE], true)?;
    ensure!(
        root.has_line(CONFIG, "# edited")?,
        "an upgrade took what was edited"
    );

    dpkg("--remove", None, &["cirron-agent"])?;
    root.has(&[PROGRAM, UNIT], false)?;
    root.has(&[CONFIG, STATE], true)?;
    // And is as it was when it comes back.
    dpkg("--install", Some(later), &[])?;
    root.has(&[PROGRAM, ENABLED], true)?;
    ensure!(
        root.has_line(CONFIG, "# edited")?,
        "a removal took what was edited"
    );

    dpkg("--purge", None, &["cirron-agent"])?;
    let left = root.ours()?;
    ensure!(left.is_empty(), "behind a purge there are {left:?}");
    Ok(())
}
