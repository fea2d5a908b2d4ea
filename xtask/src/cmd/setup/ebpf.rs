//! A toolchain for the eBPF programs: a compiler with its library's sources, and a bpf-linker
//! built on an LLVM that is not older than the compiler's.
//!
//! ```text
//! find ──found──────────────────────────────────────────────▶ done
//!   │ no sources anywhere: the pinned nightly + rust-src, else the distribution's
//!   │ no linker that fits: LLVM's development files, then cargo install bpf-linker
//!   └───────────────────────────── look again ◀──────────────┘   (at most MAX_ROUNDS times)
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use super::{install_as_root, say};
use crate::host::Packages;
use crate::toolchain::{self, Missing, Toolchain, pinned};
use crate::{paths, sh};

/// Each round installs one thing; sources by rustup, sources by apt, linker: more is going in
/// circles.
const MAX_ROUNDS: usize = 4;

/// The LLVM majors that the linker can be built on.
fn linker_llvm() -> std::ops::RangeInclusive<u32> {
    let majors: Vec<u32> = pinned("llvm").iter().flat_map(|m| m.parse()).collect();
    let (oldest, newest) = (majors.first(), majors.last());
    oldest.copied().unwrap_or_default()..=newest.copied().unwrap_or_default()
}

/// Makes sure that `cirron-agent/build.rs` will find what it needs.
pub(crate) fn ensure() -> Result<()> {
    let mut distribution_is_there = false;
    for _ in 0..MAX_ROUNDS {
        let missing = match toolchain::find(&paths::cargo()) {
            Ok(_) => return Ok(()),
            Err(missing) => missing,
        };
        if missing.without_linker.is_empty() {
            say("no Rust toolchain here has the standard library's sources, which the BPF target");
            say("is built from (there is no prebuilt core for it)");
            if !distribution_is_there && install_nightly() {
                continue;
            }
            install_distribution(&missing)?;
            distribution_is_there = true;
        } else if !install_linker(&missing.without_linker)? {
            if distribution_is_there {
                return Err(by_hand(&missing));
            }
            install_distribution(&missing)?;
            distribution_is_there = true;
        }
    }
    match toolchain::find(&paths::cargo()) {
        Ok(_) => Ok(()),
        Err(missing) => Err(by_hand(&missing)),
    }
}

/// Whether a nightly with sources is there afterwards.
fn install_nightly() -> bool {
    if std::env::var_os(toolchain::OVERRIDE).is_some() || paths::in_path("rustup").is_none() {
        return false;
    }
    let mut install = Command::new("rustup");
    let nightly = pinned("nightly").concat();
    install.args(["toolchain", "install", &nightly, "--profile", "minimal"]);
    install.args(["--component", "rust-src", "--component", "clippy"]);
    say(&format!(
        "will install them with a nightly, by rustup:\n    {}",
        sh::shown(&install)
    ));
    match sh::run_quietly(&mut install) {
        Ok(()) => true,
        Err(error) => {
            say(&format!("{error:#}; trying the distribution's packages"));
            false
        }
    }
}

/// Debian's own compiler and its sources.
fn install_distribution(missing: &Missing) -> Result<()> {
    if Packages::here() != Packages::Apt || std::env::var_os(toolchain::OVERRIDE).is_some() {
        return Err(by_hand(missing));
    }
    let packages = pinned("debian");
    refresh_apt(&packages)?;
    if !packages.iter().all(|name| apt_has(name)) {
        return Err(by_hand(missing));
    }
    let install = install_command(Packages::Apt, &packages);
    install_as_root("for a Rust compiler with its library's sources", &install)
}

/// Builds a linker for the first toolchain whose LLVM can be had. False when there is none.
fn install_linker(toolchains: &[Toolchain]) -> Result<bool> {
    let packages = Packages::here();
    for toolchain in toolchains {
        let major = toolchain.llvm;
        let prefix = match llvm_prefix(major) {
            Some(prefix) => prefix,
            None if packages == Packages::Apt => {
                let name = packages.llvm(major);
                refresh_apt(&[&name])?;
                if !apt_has(&name) {
                    continue;
                }
                let install = install_command(packages, &[&name]);
                let why = format!(
                    "for building bpf-linker, as {} uses LLVM {major}",
                    toolchain.name
                );
                install_as_root(&why, &install)?;
                match llvm_prefix(major) {
                    Some(prefix) => prefix,
                    None => continue,
                }
            }
            None => continue,
        };
        let built_on = llvm_major(&prefix).unwrap_or(major);
        if !linker_llvm().contains(&built_on) {
            continue;
        }
        build_linker(&prefix, built_on)?;
        return Ok(true);
    }
    Ok(false)
}

fn build_linker(prefix: &Path, major: u32) -> Result<()> {
    let bin = prefix.join("bin");
    let directories =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let path =
        std::env::join_paths(std::iter::once(bin).chain(directories)).context("the search path")?;
    let mut install = sh::cargo(["install", "--locked", "--force", "--no-default-features"]);
    install
        .args([
            "--features",
            &format!("llvm-{major}"),
            "--version",
            &pinned("bpf-linker").concat(),
            "bpf-linker",
        ])
        .env("PATH", path)
        .env("LLVM_PREFIX", prefix)
        .env(format!("LLVM_SYS_{major}0_PREFIX"), prefix)
        .env_remove("CARGO_TARGET_DIR");
    say(&format!(
        "will build bpf-linker on LLVM {major} into cargo's bin directory (about a minute):\n    {}",
        sh::shown(&install)
    ));
    sh::run_quietly(&mut install)
}

/// Where an LLVM not older than `major` is, with its development files.
fn llvm_prefix(major: u32) -> Option<PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/llvm-{major}"));
    if debian.join("include/llvm-c/Core.h").exists() {
        return Some(debian);
    }
    let prefix = PathBuf::from(llvm_config("llvm-config", "--prefix")?);
    let fits = llvm_major(&prefix).is_some_and(|found| found >= major);
    (fits && prefix.join("include/llvm-c/Core.h").exists()).then_some(prefix)
}

fn llvm_major(prefix: &Path) -> Option<u32> {
    let program = prefix.join("bin/llvm-config");
    llvm_config(program.to_str()?, "--version")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn llvm_config(program: &str, question: &str) -> Option<String> {
    let output = Command::new(program).arg(question).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn install_command(packages: Packages, names: &[&str]) -> Command {
    let (program, arguments) = packages.install().split_first().unwrap_or((&"true", &[]));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Fetches apt's package lists where they do not know one of the names.
pub(crate) fn refresh_apt(names: &[&str]) -> Result<()> {
    if names.iter().all(|name| apt_has(name)) {
        return Ok(());
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "-q"]);
    install_as_root(&format!("to learn about {}", names.join(", ")), &update)
}

fn apt_has(name: &str) -> bool {
    let policy = Command::new("apt-cache").args(["policy", name]).output();
    policy.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|line| line.trim().starts_with("Candidate:") && !line.contains("(none)"))
    })
}

/// What to do where we cannot: the facts, and the commands for this package manager.
fn by_hand(missing: &Missing) -> anyhow::Error {
    let packages = Packages::here();
    let mut lines = Vec::new();
    let llvm = match missing.without_linker.first() {
        Some(toolchain) => toolchain.llvm,
        None => {
            lines.push(format!(
                "rustup toolchain install {} --component rust-src",
                pinned("nightly").concat()
            ));
            *linker_llvm().end()
        }
    };
    lines.push(format!(
        "{} {}",
        packages.install().join(" "),
        packages.llvm(llvm)
    ));
    lines.push(format!(
        "cargo install bpf-linker --no-default-features --features llvm-{llvm}   (or take the \
         prebuilt one that its project publishes, and put it into PATH)"
    ));
    anyhow!(
        "{missing}\ncould not be set up from here; by hand:\n  {}",
        lines.join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_name_what_is_missing_and_how_to_get_it() {
        let text = by_hand(&Missing::default()).to_string();
        assert!(text.contains("rust-src"), "{text}");
        assert!(text.contains("cargo install bpf-linker"), "{text}");
    }

    #[test]
    fn each_part_of_the_toolchain_is_pinned() {
        assert!(pinned("nightly").concat().starts_with("nightly-20"));
        assert_eq!(pinned("debian").len(), 2);
        assert_eq!(pinned("bpf-linker").concat().split('.').count(), 3);
        assert!(linker_llvm().contains(&22));
        let oldest = format!("rust-version = \"{}\"", pinned("oldest-rust").concat());
        let workspace = include_str!("../../../../Cargo.toml");
        assert!(workspace.contains(&oldest), "cirron-common's is {oldest}");
    }
}
