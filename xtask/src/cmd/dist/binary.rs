//! The binary: static, so that it runs on every distribution and in an image without one; stripped, with what debuggers
//! want in a file of its own.
//!
//! Linked with glibc and not with musl, which was tried: a replay of 160 000 exchanges took 1.9 times the processor's time
//! with musl (5.8 s, not 3.0 s), and 1.7 times with mimalloc in place of its allocator. A capture pays that on the
//! server's own cores. What glibc asks in return: that names of hosts are resolved by files and DNS alone
//! (`cirron-agent/src/main.rs`), and that whoever gets the binary can link it anew, which this command does.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Work;
use crate::cmd::setup;
use crate::{paths, sh};

/// What it is built for.
///
/// It is the machine's own, and named all the same: so cargo keeps the flags from build scripts and macros.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The program's name, and that of all products.
pub(super) const NAME: &str = "cirron-agent";

/// What was built.
pub(super) struct Built {
    /// The stripped program.
    pub(super) program: PathBuf,
    /// Its manual pages and completions, once they are generated.
    pub(super) generated: PathBuf,
}

/// Builds it below `target`; where it is, with all that debuggers want.
pub(super) fn build(target: &Path) -> Result<PathBuf> {
    setup::ebpf_toolchain()?;
    let mut cargo = sh::cargo(["build", "--release", "--locked", "--package", NAME]);
    cargo.args(["--target", TARGET, "--target-dir"]).arg(target);
    cargo.arg("--config").arg(flags()?);
    // What the machine's user sets for other builds is none of this one's.
    cargo.env_remove("RUSTFLAGS").env("CARGO_INCREMENTAL", "0");
    sh::run(&mut cargo)?;
    Ok(target.join(TARGET).join("release").join(NAME))
}

/// Puts program and debug information into the products.
pub(super) fn split(work: &Work, whole: &Path) -> Result<Built> {
    let program = work.scratch.join(NAME);
    let debug = work.out.join(format!("{NAME}.debug"));
    let mut keep = work.command("objcopy");
    keep.args(["--only-keep-debug", "--compress-debug-sections"]);
    sh::run(keep.arg(whole).arg(&debug))?;
    let mut strip = work.command("objcopy");
    strip.arg("--strip-all");
    sh::run(strip.arg(whole).arg(&program))?;
    // The link holds the file's name and sum, so it is made where the file is.
    let mut link = work.command("objcopy");
    link.current_dir(&work.out)
        .arg(format!("--add-gnu-debuglink={NAME}.debug"));
    sh::run(link.arg(&program))?;
    must_be_static(work, &program)?;
    Ok(Built {
        program,
        generated: work.scratch.join("generated"),
    })
}

/// Lets the program write its own manual pages and completions.
pub(super) fn generate(work: &Work, built: &Built) -> Result<()> {
    let mut generate = work.command(&built.program.to_string_lossy());
    sh::run(generate.arg("generate").arg(&built.generated))
}

/// Short names for the directories of this machine, so that the program does not depend on them; and an id by which
/// debuggers find the other half.
fn flags() -> Result<OsString> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("'--remap-path-prefix={}={to}'", from.display());
    let flags = [
        remap(&paths::root(), "/cirron"),
        remap(&home, "/cargo"),
        "'-C', 'target-feature=+crt-static'".to_owned(),
        // By the system call: else it looks for the C library's function at run time, which a static program has not, and
        // takes /dev/urandom.
        r#"'--cfg', 'getrandom_backend="linux_getrandom"'"#.to_owned(),
        "'-C', 'link-arg=-Wl,--build-id=sha1'".to_owned(),
    ];
    Ok(format!("target.{TARGET}.rustflags=[{}]", flags.join(", ")).into())
}

/// A program that asks for a loader or a library would not run in an image that has none.
fn must_be_static(work: &Work, program: &Path) -> Result<()> {
    let headers = sh::output(work.command("objdump").arg("-p").arg(program))?;
    if let Some(line) = headers
        .lines()
        .find(|line| line.contains("INTERP") || line.contains("NEEDED"))
    {
        bail!("{} is not static: {}", program.display(), line.trim());
    }
    let bytes = fs::read(program)?;
    for path in [paths::root(), std::env::home_dir().unwrap_or_default()] {
        let path = path.to_string_lossy().into_owned();
        // `/root` is a word of other texts too.
        if path.len() > 6 && bytes.windows(path.len()).any(|w| w == path.as_bytes()) {
            bail!(
                "{} names {path}, a directory of this machine",
                program.display()
            );
        }
    }
    Ok(())
}
