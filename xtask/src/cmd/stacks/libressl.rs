//! LibreSSL's own `openssl`, built from source: nobody ships a build of it for these machines.
//!
//! Of all registries only crates.io has it: as the sources of a release of 2015 inside an old crate.
//! Nothing of the crate's own is built.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::say;
use crate::{paths, sh};

/// The crate and its version; the checksum is the registry's.
const CRATE: &str = "libressl-pnacl-sys";
const VERSION: &str = "=2.1.6";

/// Makes it, unless it is there.
pub(crate) fn ensure() -> Result<()> {
    let root = paths::stacks().join("libressl");
    if root.join("bin/openssl").exists() {
        return Ok(());
    }
    say(&format!(
        "will build LibreSSL (from the sources in the crate {CRATE}, a minute) into {}",
        root.display()
    ));
    // Built beside, then renamed: an interrupted run leaves no half of it.
    let fresh = root.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("the remains of an earlier run")?;
    }
    fs::create_dir_all(&fresh)?;
    vendor(&fresh)?;
    let source = fresh.join("vendor").join(CRATE).join("libressl");
    build(&source, &root.join("lib"))?;
    for (folder, names) in [
        ("bin", &["apps/.libs/openssl"][..]),
        (
            "lib",
            &["ssl/.libs/libssl.so.26", "crypto/.libs/libcrypto.so.29"],
        ),
    ] {
        fs::create_dir(fresh.join(folder))?;
        for name in names {
            let from = source.join(name);
            let to = fresh
                .join(folder)
                .join(from.file_name().unwrap_or_default());
            fs::copy(&from, to).with_context(|| from.display().to_string())?;
        }
    }
    fs::remove_dir_all(fresh.join("vendor"))?;
    fs::rename(&fresh, &root).context("the finished build")
}

/// Puts the crate's sources into `folder/vendor`.
fn vendor(folder: &Path) -> Result<()> {
    let manifest = format!(
        "[package]\nname = \"sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[dependencies]\n{CRATE} = \"{VERSION}\"\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("lib.rs"), "")?;
    let mut cargo = sh::cargo(["vendor", "--quiet", "vendor"]);
    sh::run(cargo.current_dir(folder).stdout(Stdio::null()))
}

/// Configures and builds its libraries and its program, which will find them in `libraries`.
fn build(source: &Path, libraries: &Path) -> Result<()> {
    let in_source = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(source);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    // Its warnings are errors, and compilers warn more today; it has variables in headers.
    let rpath = format!("LDFLAGS=-Wl,-rpath,{}", libraries.display());
    let configure = [
        "./configure",
        "CC=cc -w -fcommon",
        &rpath,
        "--enable-shared",
        "--disable-static",
    ];
    sh::run(&mut in_source("sh", &configure))?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = format!("-j{jobs}");
    for folder in ["crypto", "ssl", "apps"] {
        // The times of files from a registry would have it make its own makefiles anew.
        let make = [
            "-C",
            folder,
            &jobs,
            "ACLOCAL=:",
            "AUTOMAKE=:",
            "AUTOCONF=:",
            "AUTOHEADER=:",
        ];
        sh::run(&mut in_source("make", &make))?;
    }
    Ok(())
}
