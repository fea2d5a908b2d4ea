//! An apt of our own for one suite of Debian: what it has, and its packages unpacked.
//!
//! Its state is in a folder of the cache; the machine's apt and dpkg stay as they are. The mirror is the one
//! that the machine's own apt uses, and so are apt's network settings. Nothing is installed: a
//! package is fetched and its files are unpacked, no script of it runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::sh;

/// What signs Debian's suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An error that says that `what` cannot be had, where this machine is no Debian.
pub(crate) fn must_be_debian(what: &str) -> Result<()> {
    if !Path::new(KEYRING).exists() {
        bail!(
            "{what} is Debian's, and {KEYRING} is not here\n  \
             install debian-archive-keyring, on Debian or a descendant with a Debian mirror"
        );
    }
    Ok(())
}

/// The suite of this machine, where it is a Debian. Of another machine's nothing is known, and unstable has the newest.
pub(crate) fn suite() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
    };
    match value("ID").as_deref() {
        Some("debian") => value("VERSION_CODENAME").unwrap_or_else(|| "sid".to_owned()),
        _ => "sid".to_owned(),
    }
}

/// Begins a root directory for packages to be unpacked into: Debian has merged its /bin, /lib and so
/// on into /usr, and packages expect the links. `more`: further directories.
pub(crate) fn lay_out(root: &Path, more: &[&str]) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    for name in more {
        fs::create_dir_all(root.join(name))?;
    }
    Ok(())
}

/// One suite, with its lists as of now.
pub(crate) struct Apt {
    state: PathBuf,
    config: PathBuf,
}

impl Apt {
    /// Fetches the lists of `suite`, or what changed in them. `state`: its folder. What is downloaded
    /// there is unpacked: one for each use.
    pub(crate) fn open(state: PathBuf, suite: &str) -> Result<Apt> {
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
        let archive = if suite.ends_with("-security") {
            "/debian-security"
        } else {
            "/debian"
        };
        let mirror = mirror(archive).with_context(|| {
            format!("no mirror that ends in {archive} in this machine's apt configuration")
        })?;
        fs::write(
            state.join("etc/sources.list"),
            format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n"),
        )?;
        let config = state.join("apt.conf");
        fs::write(&config, configuration(&state)?)?;
        let apt = Apt { state, config };
        sh::run_quietly(apt.command("apt-get").args(["-qq", "update"]))
            .with_context(|| format!("the package lists of {suite}"))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config);
        command
    }

    /// Names of packages that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = sh::output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Fetches `packages` alone and unpacks them into `root`. An error where the mirror does not
    /// have what its list says, which happens.
    pub(crate) fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        let folder = self.empty("download")?;
        let mut download = self.command("apt-get");
        download.args(["-qq", "download"]).args(packages);
        sh::run(download.current_dir(&folder))?;
        unpack_all(&folder, root)
    }

    /// The same with everything that they need.
    pub(crate) fn unpack_with_needs(&self, packages: &[&str], root: &Path) -> Result<()> {
        let folder = self.empty("cache/archives")?;
        fs::create_dir_all(folder.join("partial"))?;
        let mut download = self.command("apt-get");
        download.args(["-qq", "-y", "--download-only", "install"]);
        sh::run(download.args(packages))?;
        unpack_all(&folder, root)
    }

    fn empty(&self, name: &str) -> Result<PathBuf> {
        let folder = self.state.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).context("the private apt's directories")?;
        Ok(folder)
    }
}

fn configuration(state: &Path) -> Result<String> {
    let dump = sh::output(Command::new("apt-config").arg("dump"))?;
    let network: String = dump
        .lines()
        .filter(|line| line.starts_with("Acquire::"))
        .map(|line| format!("{line}\n"))
        .collect();
    let at = state.display();
    Ok(format!(
        "{network}\
         APT::Architecture \"amd64\";\n\
         Dir::State \"{at}\";\n\
         Dir::State::lists \"{at}/lists\";\n\
         Dir::State::status \"{at}/status\";\n\
         Dir::Cache \"{at}/cache\";\n\
         Dir::Etc \"{at}/etc\";\n\
         Dir::Etc::sourcelist \"{at}/etc/sources.list\";\n\
         Dir::Etc::sourceparts \"-\";\n\
         Dir::Etc::netrcparts \"/etc/apt/auth.conf.d\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Check-Valid-Until \"false\";\n\
         APT::Sandbox::User \"\";\n\
         APT::Install-Recommends \"false\";\n"
    ))
}

/// The mirror of an archive that this machine uses, by the end of its address.
fn mirror(archive: &str) -> Option<String> {
    let lists = fs::read_dir("/etc/apt/sources.list.d");
    let more = lists.into_iter().flatten().flatten().map(|e| e.path());
    std::iter::once(PathBuf::from("/etc/apt/sources.list"))
        .chain(more)
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| mirror_in(&text, archive))
}

/// Both formats of apt: `URIs: ...` and `deb [options] URI suite component`.
fn mirror_in(text: &str, archive: &str) -> Option<String> {
    text.lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with(archive))
        .map(str::to_owned)
}

fn unpack_all(folder: &Path, root: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    let mut any = false;
    for entry in fs::read_dir(folder).context("the downloaded packages")? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "deb") {
            unpack_one(&path, root)?;
            fs::remove_file(&path)?;
            any = true;
        }
    }
    if !any {
        bail!("apt downloaded no package");
    }
    Ok(())
}

fn unpack_one(archive: &Path, root: &Path) -> Result<()> {
    let mut files = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run dpkg-deb")?;
    let stream = files.stdout.take().context("dpkg-deb's output")?;
    // Owners cannot be kept without root, and are not needed.
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
    fn the_mirror_is_that_of_the_archive_which_is_asked_for() {
        let text = "URIs: http://m.example/debian\nSuites: bookworm\n\
                    URIs: http://m.example/debian-security\n";
        assert_eq!(
            mirror_in(text, "/debian").as_deref(),
            Some("http://m.example/debian")
        );
        assert_eq!(
            mirror_in(text, "/debian-security").as_deref(),
            Some("http://m.example/debian-security")
        );
        let list = "# x\ndeb [arch=amd64] http://m.example/debian/ bookworm main\n";
        assert_eq!(
            mirror_in(list, "/debian").as_deref(),
            Some("http://m.example/debian/")
        );
        assert_eq!(mirror_in(list, "/debian-security"), None);
    }
}
