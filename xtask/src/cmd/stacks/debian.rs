//! Packages of another suite of Debian, in a root directory of their own.
//!
//! They are fetched with an apt state of our own, unpacked and never installed, and run by chroot.
//! The machine's apt and dpkg stay as they are. The mirror is the one that the machine's own apt uses,
//! and so are apt's network settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{paths, sh};

/// What a root directory needs to run a program at all.
const BASE: [&str; 4] = ["base-files", "libc-bin", "bash", "coreutils"];

/// What signs Debian's suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An error that says what cannot be had where this machine is no Debian.
pub(crate) fn must_be_here(what: &str) -> Result<()> {
    if !Path::new(KEYRING).exists() {
        bail!("{what} comes from a suite of Debian, and this machine is not a Debian");
    }
    Ok(())
}

/// Unpacks `packages` of `suite`, and all they need, into the new directory `root`.
pub(crate) fn unpack(suite: &str, packages: &[&str], root: &Path) -> Result<()> {
    // One for each root: what is downloaded there is unpacked.
    let name = root.file_name().context("a root directory has a name")?;
    let state = paths::cache().join("apt").join(name);
    let config = private_apt(&state, suite)?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("APT_CONFIG", &config).args(arguments);
        command
    };
    sh::run(&mut apt(&["-qq", "update"]))?;
    let mut download = apt(&["-qq", "-y", "--download-only", "install"]);
    sh::run(download.args(packages).args(BASE))?;

    // Unpacked beside, then renamed: an interrupted run leaves no half of a root.
    let fresh = root.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("the remains of an earlier run")?;
    }
    // Debian has merged its /bin, /lib and so on into /usr; packages expect the links.
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(fresh.join("usr").join(name))?;
        std::os::unix::fs::symlink(format!("usr/{name}"), fresh.join(name))?;
    }
    for name in ["proc", "dev", "tmp", "sys"] {
        fs::create_dir_all(fresh.join(name))?;
    }
    for archive in archives(&state)? {
        unpack_one(&archive, &fresh)?;
    }
    let mut ldconfig = Command::new("chroot");
    ldconfig.arg(&fresh).arg("/sbin/ldconfig");
    sh::quiet(&mut sh::as_root(&ldconfig)?)?;
    fs::rename(&fresh, root).context("putting the root directory in place")
}

/// The configuration of an apt for `suite` whose state is under `state`.
fn private_apt(state: &Path, suite: &str) -> Result<PathBuf> {
    for directory in [
        "lists/partial",
        "cache/archives/partial",
        "etc/preferences.d",
        "etc/apt.conf.d",
    ] {
        fs::create_dir_all(state.join(directory)).context("the private apt's directories")?;
    }
    // Nothing is installed as far as it knows: so it fetches all that is needed.
    fs::write(state.join("status"), "")?;
    let sources = state.join("etc/sources.list");
    let mirror = mirror().context("no Debian mirror in this machine's apt configuration")?;
    fs::write(
        &sources,
        format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"),
    )?;

    let dump = sh::output(Command::new("apt-config").arg("dump"))?;
    let network: String = dump
        .lines()
        .filter(|line| line.starts_with("Acquire::"))
        .map(|line| format!("{line}\n"))
        .collect();
    let at = state.display();
    let config = state.join("apt.conf");
    let text = format!(
        "{network}\
         Dir::State \"{at}\";\n\
         Dir::State::lists \"{at}/lists\";\n\
         Dir::State::status \"{at}/status\";\n\
         Dir::Cache \"{at}/cache\";\n\
         Dir::Etc \"{at}/etc\";\n\
         Dir::Etc::sourcelist \"{}\";\n\
         Dir::Etc::sourceparts \"-\";\n\
         Dir::Etc::netrcparts \"/etc/apt/auth.conf.d\";\n\
         Acquire::Languages \"none\";\n\
         APT::Sandbox::User \"\";\n\
         APT::Install-Recommends \"false\";\n",
        sources.display()
    );
    fs::write(&config, text)?;
    Ok(config)
}

/// The mirror of Debian's main archive that this machine uses.
fn mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(
        fs::read_dir("/etc/apt/sources.list.d")
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path()),
    );
    files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| mirror_in(&text))
}

/// Both formats of apt: `URIs: ...` and `deb [options] URI suite component`.
fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

fn archives(state: &Path) -> Result<Vec<PathBuf>> {
    let directory = state.join("cache/archives");
    let mut found: Vec<PathBuf> = fs::read_dir(&directory)
        .context("the downloaded packages")?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    if found.is_empty() {
        bail!("apt downloaded no package");
    }
    found.sort();
    Ok(found)
}

fn unpack_one(archive: &Path, root: &Path) -> Result<()> {
    let mut files = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("cannot run dpkg-deb")?;
    let stream = files.stdout.take().context("dpkg-deb's output")?;
    // Device nodes and owners cannot be kept without root, and are not needed.
    let unpacked = Command::new("tar")
        .args(["-x", "--keep-directory-symlink", "--no-same-owner", "-C"])
        .arg(root)
        .stdin(stream)
        .status()
        .context("cannot run tar")?;
    let read = files.wait().context("dpkg-deb")?;
    if !unpacked.success() || !read.success() {
        bail!("{} could not be unpacked", archive.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn the_mirror_is_found_in_both_formats() {
        let deb822 = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(
            mirror_in(deb822).as_deref(),
            Some("http://mirror.example/debian")
        );
        let list = "# x\ndeb [arch=amd64] http://mirror.example/debian/ bookworm main\n";
        assert_eq!(
            mirror_in(list).as_deref(),
            Some("http://mirror.example/debian/")
        );
    }

    #[test]
    fn another_archive_is_not_taken_for_the_main_one() {
        assert_eq!(
            mirror_in("URIs: http://mirror.example/debian-security\n"),
            None
        );
        assert_eq!(
            mirror_in("deb http://mirror.example/ubuntu noble main\n"),
            None
        );
    }
}
