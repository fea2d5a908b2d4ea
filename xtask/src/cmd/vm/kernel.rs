//! Debian's cloud kernels, by their series (`6.1`): which release is the newest now, its image, and
//! the few modules that the guest needs.
//!
//! ```text
//! CACHE/cirron-agent/vm/kernels/RELEASE/
//!   vmlinuz      the image
//!   modules/     00-NAME.ko, 01-NAME.ko, ...: unpacked, in the order in which they are loaded
//!   asked-for    the modules that were wanted: fetched again when others are
//! ```
//!
//! A release that is there is kept; which release a series means is asked of the mirror each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::apt::Apt;
use crate::{paths, sh};

/// Where a series is looked for, one after the other: a release's own kernels before those that an
/// older one got later.
const SUITES: [&str; 7] = [
    "trixie-backports",
    "trixie",
    "bookworm-security",
    "bookworm",
    "bullseye-security",
    "bullseye",
    "sid",
];

/// Package of a kernel's image, and what stands behind its release.
const IMAGE: &str = "linux-image-";
const CLOUD: &str = "-cloud-amd64";

/// A list may name what the mirror has no more: this number of releases is tried, newest first.
const TRIES: usize = 4;

/// For the disks that the guest gets, to write on a root that is read-only, and for kernel TLS with AES-GCM.
const MODULES: [&str; 7] = [
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "tls",
    "gcm",
    "ctr",
    "ghash_generic",
];

/// The mirror's suites, each asked once.
#[derive(Default)]
pub(super) struct Kernels {
    asked: Vec<(&'static str, Option<Apt>)>,
}

/// A kernel that is there.
pub(super) struct Kernel {
    /// What `uname -r` will say.
    pub(super) release: String,
    /// Its folder.
    folder: PathBuf,
}

impl Kernel {
    /// The image.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder of its modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.join("modules")
    }
}

impl Kernels {
    /// The newest kernel of `series` that can be fetched.
    pub(super) fn newest(&mut self, series: &str) -> Result<Kernel> {
        let mut why = None;
        for suite in SUITES {
            let Some(apt) = self.suite(suite) else {
                continue;
            };
            for release in releases(&apt.names(IMAGE)?, series).into_iter().take(TRIES) {
                match ensure(apt, &release) {
                    Ok(kernel) => return Ok(kernel),
                    Err(error) => why = Some(error),
                }
            }
        }
        match why {
            Some(error) => Err(error.context(format!("no kernel {series} could be fetched"))),
            None => bail!("Debian has no cloud kernel {series}"),
        }
    }

    fn suite(&mut self, suite: &'static str) -> Option<&Apt> {
        let known = self.asked.iter().position(|(name, _)| *name == suite);
        let at = known.unwrap_or_else(|| {
            let apt = Apt::open(paths::vm().join("apt").join(suite), suite);
            if let Err(error) = &apt {
                super::say(&format!("{suite} is left out: {error:#}"));
            }
            self.asked.push((suite, apt.ok()));
            self.asked.len() - 1
        });
        self.asked.get(at)?.1.as_ref()
    }
}

/// Releases of a series among names of packages, newest first. `6.1` is not `6.18`.
fn releases(names: &[String], series: &str) -> Vec<String> {
    let mut found: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_prefix(IMAGE))
        .filter(|release| release.ends_with(CLOUD))
        .filter(|release| {
            release
                .strip_prefix(series)
                .is_some_and(|rest| rest.starts_with(['.', '-', '+']))
        })
        .collect();
    found.sort_by_key(|release| std::cmp::Reverse(numbers(release)));
    found.into_iter().map(str::to_owned).collect()
}

/// The numbers in a release, to compare by.
fn numbers(release: &str) -> Vec<u64> {
    release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse().ok())
        .collect()
}

fn ensure(apt: &Apt, release: &str) -> Result<Kernel> {
    let folder = paths::vm().join("kernels").join(release);
    let kernel = Kernel {
        release: release.to_owned(),
        folder,
    };
    let asked_for = fs::read_to_string(kernel.folder.join("asked-for"));
    if !asked_for.is_ok_and(|text| text == MODULES.join(" ")) {
        super::say(&format!("will fetch Debian's kernel {release}"));
        fetch(apt, &kernel)?;
    }
    Ok(kernel)
}

fn fetch(apt: &Apt, kernel: &Kernel) -> Result<()> {
    let release = &kernel.release;
    // Made beside, then renamed: an interrupted run leaves no half of a kernel.
    let kernels = paths::vm().join("kernels");
    let [fresh, tree] = ["new", "tree"].map(|what| kernels.join(format!(".{what}-{release}")));
    for folder in [&fresh, &tree] {
        let _ = fs::remove_dir_all(folder);
    }
    // From 6.19 on the image's package is empty, and two others hold the files.
    let split = ["linux-binary-", "linux-modules-"].map(|name| format!("{name}{release}"));
    let whole = format!("{IMAGE}{release}");
    if apt.names(&split[0])?.contains(&split[0]) {
        apt.unpack(&split, &tree)?;
    } else if apt.unpack(std::slice::from_ref(&whole), &tree).is_err() {
        apt.unpack(&[format!("{whole}-unsigned")], &tree)?;
    }
    if !tree.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", tree.join("lib"))?;
    }
    let image = [
        tree.join("boot").join(format!("vmlinuz-{release}")),
        tree.join("lib/modules").join(release).join("vmlinuz"),
    ];
    let image = image
        .iter()
        .find(|path| path.exists())
        .context("the package has no kernel image")?;
    fs::create_dir_all(fresh.join("modules"))?;
    fs::copy(image, fresh.join("vmlinuz"))?;
    // It warns of lists of what is built in, which newer packages do not have.
    if !sh::succeeds(Command::new("depmod").arg("-b").arg(&tree).arg(release)) {
        bail!("depmod failed on the modules of {release}");
    }
    let files = with_needs(&tree, release)?;
    for (at, file) in files.iter().enumerate() {
        unpack_module(file, &fresh.join("modules"), at)?;
    }
    fs::write(fresh.join("asked-for"), MODULES.join(" "))?;
    fs::remove_dir_all(&tree)?;
    let _ = fs::remove_dir_all(&kernel.folder);
    fs::rename(&fresh, &kernel.folder).context("putting the kernel in place")
}

/// The files of [`MODULES`] with those that they need, in the order of loading. One that is not there
/// is built in, which not every package says, or the kernel goes without: then the guest does not get to its
/// disks, or says that it has no kernel TLS.
fn with_needs(tree: &Path, release: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for module in MODULES {
        let mut ask = Command::new("modprobe");
        ask.arg("-d").arg(tree).args(["-S", release]);
        ask.args(["-D", "--ignore-install", module]);
        let answer = ask.output().context("cannot run modprobe")?.stdout;
        // `insmod PATH`, or `builtin NAME`.
        let answer = String::from_utf8_lossy(&answer);
        for path in answer.lines().filter_map(|l| l.strip_prefix("insmod ")) {
            let path = PathBuf::from(path.trim());
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// busybox loads plain modules only.
fn unpack_module(file: &Path, folder: &Path, at: usize) -> Result<()> {
    let name = file.file_name().context("a module's name")?;
    let name = name.to_string_lossy();
    let plain = name.trim_end_matches(".xz").trim_end_matches(".zst");
    let to = fs::File::create(folder.join(format!("{at:02}-{plain}")))?;
    let program = match file.extension().and_then(|e| e.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => "cat",
    };
    let mut unpack = Command::new(program);
    if program != "cat" {
        unpack.args(["-q", "-d", "-c"]);
    }
    sh::run_quietly(unpack.arg(file).stdin(Stdio::null()).stdout(to))
}

#[cfg(test)]
mod tests {
    use super::releases;

    #[test]
    fn the_newest_cloud_kernel_of_the_series_comes_first() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.18.15+deb13-cloud-amd64",
            "linux-image-6.12.117+deb13-cloud-amd64",
            "linux-image-6.12.107+deb13-cloud-amd64",
            "linux-image-6.1.0-57-cloud-amd64-unsigned",
        ]
        .map(str::to_owned);
        assert_eq!(
            releases(&names, "6.1"),
            ["6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64"]
        );
        assert_eq!(
            releases(&names, "6.12"),
            ["6.12.117+deb13-cloud-amd64", "6.12.107+deb13-cloud-amd64"]
        );
        assert!(releases(&names, "5.10").is_empty());
    }
}
