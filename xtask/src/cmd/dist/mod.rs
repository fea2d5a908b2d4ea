//! `cargo xtask dist`: what is given away, in `target/dist`. One file makes one product.
//!
//! ```text
//! binary ─▶ static, stripped │ .debug beside it
//!   ├─▶ generate ─▶ manual pages, completions
//!   ├─▶ layout ──▶ .tar.gz │ .deb │ .rpm
//!   ├─▶ image  ──▶ an OCI archive, from scratch
//!   └─▶ sbom   ──▶ CycloneDX
//! sums ─▶ SHA256SUMS of all of them        --check ─▶ each is used as its receiver would
//! ```
//!
//! The same commit gives the same bytes: times are the commit's (`SOURCE_DATE_EPOCH`), owners are root, names are sorted.
//! Nothing needs root or the network but `--check` and the programs that are missing here, which are installed and said.

mod archive;
mod binary;
mod check;
mod deb;
mod image;
mod layout;
mod rpm;
mod sbom;
mod sums;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use super::setup;
use crate::{paths, sh};

/// The version of all that is made.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Program, and the Debian package that has it.
const TOOLS: [(&str, &str); 5] = [
    ("objcopy", "binutils"),
    ("dpkg-deb", "dpkg"),
    ("rpmbuild", "rpm"),
    ("tar", "tar"),
    ("gzip", "gzip"),
];

/// What to make.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Use each product as its receiver would: install, upgrade and remove the packages in roots of their own, read the
    /// image, validate the SBOM. Needs root, a Debian mirror and the Python index
    #[arg(long)]
    check: bool,
    /// Pack this program, which was built so before, in place of a new one
    #[arg(long, value_name = "FILE", conflicts_with = "twice")]
    built: Option<PathBuf>,
    /// Make all of it a second time, the binary in another directory, and compare byte for byte
    #[arg(long)]
    twice: bool,
}

/// Where a product is made, and of what.
struct Work {
    /// Files on the way.
    scratch: PathBuf,
    /// The products.
    out: PathBuf,
    /// Seconds since 1970 that all times are.
    epoch: u64,
}

impl Work {
    /// An empty one.
    fn begin(folder: &Path) -> Result<Work> {
        let work = Work {
            scratch: folder.join("work"),
            out: folder.join("out"),
            epoch: epoch()?,
        };
        for made in [&work.scratch, &work.out] {
            let _ = fs::remove_dir_all(made);
            fs::create_dir_all(made).with_context(|| made.display().to_string())?;
        }
        Ok(work)
    }

    /// A command whose times are ours, whatever the mask of whoever calls it.
    fn command(&self, program: &str) -> Command {
        let mut command = sh::command(program);
        command.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        command.env("LC_ALL", "C").env("TZ", "UTC");
        command
    }
}

/// Makes them.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::programs::ensure(&TOOLS, "to make packages")?;
    let folder = paths::target().join("dist");
    let work = Work::begin(&folder)?;
    let whole = match &options.built {
        Some(file) => file
            .canonicalize()
            .with_context(|| file.display().to_string())?,
        None => binary::build(&paths::target())?,
    };
    let built = binary::split(&work, &whole)?;
    make(&work, &built)?;
    if options.twice {
        again(&folder, &work)?;
    }
    if options.check {
        check::all(&work, &built)?;
    }
    report(&work.out)?;
    Ok(ExitCode::SUCCESS)
}

/// All products of one binary.
fn make(work: &Work, built: &binary::Built) -> Result<()> {
    binary::generate(work, built)?;
    archive::make(work, built)?;
    deb::make(work, built, VERSION)?;
    rpm::make(work, built, VERSION)?;
    image::make(work, built)?;
    sbom::make(work, built)?;
    sums::make(&work.out)
}

/// Makes all of it again, from a target directory of its own.
fn again(folder: &Path, first: &Work) -> Result<()> {
    let second = Work::begin(&folder.join("again"))?;
    let whole = binary::build(&folder.join("again/target"))?;
    let built = binary::split(&second, &whole)?;
    make(&second, &built)?;
    let sums = |work: &Work| fs::read_to_string(work.out.join(sums::NAME)).context(sums::NAME);
    let (one, other) = (sums(first)?, sums(&second)?);
    let different: Vec<&str> = one
        .lines()
        .filter(|line| !other.lines().any(|l| l == *line))
        .collect();
    if !different.is_empty() {
        anyhow::bail!("made twice, and not the same:\n{}", different.join("\n"));
    }
    println!("made twice: {} files, the same bytes", one.lines().count());
    Ok(())
}

/// `SOURCE_DATE_EPOCH`, else when the commit was made.
fn epoch() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => sh::output(sh::command("git").args(["log", "-1", "--format=%ct"]))?,
    };
    let text = text.trim();
    text.parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH is seconds since 1970, not {text}"))
}

/// Each product with its size.
fn report(out: &Path) -> Result<()> {
    println!("in {}:", out.display());
    let mut names: Vec<PathBuf> = fs::read_dir(out)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    names.sort();
    for path in names {
        let bytes = fs::metadata(&path)?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("  {:>7.2} MiB  {name}", bytes as f64 / f64::from(1 << 20));
    }
    Ok(())
}
