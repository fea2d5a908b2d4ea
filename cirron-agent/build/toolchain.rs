//! Which Rust toolchain can build the eBPF programs, and how it is called.
//!
//! Shared by `cirron-agent/build.rs` and by xtask (`#[path]`), so that what `cargo xtask setup`
//! promises is what the build finds. It looks and it builds; it installs nothing.
//!
//! The BPF target has no prebuilt `core`, so a toolchain fits when it has the standard library's
//! sources beside it and a `bpf-linker` that reads its LLVM's bitcode. Tried in this order:
//!
//! 1. what `CIRRON_EBPF_TOOLCHAIN` names: a rustup toolchain, or the path of a `rustc`
//! 2. rustup's nightly of `cirron-ebpf/toolchain.txt`, with the component `rust-src`
//! 3. the toolchain of this build, with `rust-src` and `RUSTC_BOOTSTRAP=1`
//! 4. the distribution's `/usr/bin/rustc` with its sources (Debian: `rustc-web`, `rust-web-src`)
//!    and `RUSTC_BOOTSTRAP=1`, driven by the cargo of this build

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the programs are to be built with.
const PINNED: &str = include_str!("../../cirron-ebpf/toolchain.txt");

/// The words behind `key` in [`PINNED`]; none where it is missing.
pub(crate) fn pinned(key: &str) -> Vec<&'static str> {
    let words = |line: &'static str| line.split_whitespace();
    let mut lines = PINNED.lines().map(words);
    let line = lines.find_map(|mut words| (words.next() == Some(key)).then_some(words));
    line.map(Iterator::collect).unwrap_or_default()
}

/// Names the toolchain to use: a rustup toolchain or the path of a `rustc`.
pub(crate) const OVERRIDE: &str = "CIRRON_EBPF_TOOLCHAIN";

/// Minor version of the oldest compiler that is accepted.
fn oldest_minor() -> Option<u32> {
    let version = pinned("oldest-rust");
    version.first()?.split('.').nth(1)?.parse().ok()
}

/// Where a distribution's own compiler is.
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

/// The flags of the BPF build: debug information, and BTF made from it, which the kernel's
/// verifier and the loader need.
const RUSTFLAGS: [&str; 4] = ["-C", "debuginfo=2", "-C", "link-arg=--btf"];

/// The flags, and short names for the directories of this machine, so that the object does not depend on them.
fn rustflags(ebpf_dir: &Path) -> String {
    let mut flags: Vec<String> = RUSTFLAGS.map(str::to_owned).to_vec();
    let sources = ebpf_dir.canonicalize().ok();
    let root = sources.as_deref().and_then(Path::parent);
    for (directory, name) in [(root, "cirron"), (Some(cargo_home().as_path()), "cargo")] {
        if let Some(directory) = directory {
            flags.push(format!(
                "--remap-path-prefix={}=/{name}",
                directory.display()
            ));
        }
    }
    flags.join("\x1f")
}

/// A compiler with its standard library's sources.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// What to call it in messages, and the name of its build directory.
    pub(crate) name: String,
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// The cargo that drives it.
    cargo: PathBuf,
    /// Unstable flags work without `RUSTC_BOOTSTRAP`.
    nightly: bool,
    /// Major version of its LLVM.
    pub(crate) llvm: u32,
    /// What it calls itself: `rustc 1.96.0 (ac68faa20 2026-05-25)`.
    #[allow(dead_code, reason = "the build script embeds it, xtask does not")]
    pub(crate) version: String,
}

/// The linker that turns LLVM bitcode into a BPF object.
#[derive(Debug, Clone)]
pub(crate) struct Linker {
    /// The executable.
    pub(crate) path: PathBuf,
    /// Major version of the LLVM that it is linked to; `None` when it is linked statically.
    llvm: Option<u32>,
}

/// A toolchain and a linker that work together.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The compiler.
    pub(crate) toolchain: Toolchain,
    /// The linker.
    pub(crate) linker: Linker,
}

/// Nothing fits; says what is missing.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// The toolchains that would do if only there were a linker for them, best first.
    pub(crate) without_linker: Vec<Toolchain>,
    /// What was looked at, and why it does not do.
    facts: Vec<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no toolchain here can build the eBPF programs:")?;
        for fact in &self.facts {
            writeln!(f, "  - {fact}")?;
        }
        write!(f, "run: cargo xtask setup")
    }
}

/// Finds a toolchain and a linker. `cargo` is the one that runs this build.
pub(crate) fn find(cargo: &Path) -> Result<Found, Missing> {
    let mut missing = Missing::default();
    let linker = find_linker();
    if linker.is_none() {
        missing
            .facts
            .push("bpf-linker is neither in PATH nor in cargo's bin directory".to_owned());
    }
    for candidate in candidates(cargo) {
        let toolchain = match candidate.inspect() {
            Ok(toolchain) => toolchain,
            Err(fact) => {
                missing.facts.push(fact);
                continue;
            }
        };
        match &linker {
            Some(linker) if linker.llvm.is_none_or(|llvm| llvm >= toolchain.llvm) => {
                return Ok(Found {
                    toolchain,
                    linker: linker.clone(),
                });
            }
            Some(linker) => missing.facts.push(format!(
                "{} uses LLVM {}, which {} (LLVM {}) cannot read",
                toolchain.name,
                toolchain.llvm,
                linker.path.display(),
                linker.llvm.unwrap_or_default(),
            )),
            None => {}
        }
        missing.without_linker.push(toolchain);
    }
    Err(missing)
}

/// Builds `ebpf_dir` with what was found and returns the object's path.
pub(crate) fn build(found: &Found, ebpf_dir: &Path, target_root: &Path) -> Result<PathBuf, String> {
    let toolchain = &found.toolchain;
    let target_dir = target_root.join("ebpf").join(&toolchain.name);
    let mut command = Command::new(&toolchain.cargo);
    isolate(&mut command);
    command.arg("build");
    for_bpf(&mut command, found, ebpf_dir, &target_dir);
    let status = command
        .status()
        .map_err(|error| format!("cannot run {}: {error}", toolchain.cargo.display()))?;
    if !status.success() {
        return Err(format!(
            "building the eBPF programs with {} failed: {status}\n\
             see above; to use another toolchain set {OVERRIDE}",
            toolchain.name
        ));
    }
    Ok(target_dir.join("bpfel-unknown-none/release/cirron-ebpf"))
}

/// The command that lints `ebpf_dir` as [`build`] builds it, where the toolchain came with clippy.
#[allow(dead_code, reason = "xtask lints, the build script does not")]
pub(crate) fn clippy(found: &Found, ebpf_dir: &Path, target_root: &Path) -> Option<Command> {
    let toolchain = &found.toolchain;
    // The one beside this compiler: the one in PATH may be rustup's, which takes the default's.
    let program = toolchain.rustc.with_file_name("cargo-clippy");
    if !program.is_file() {
        return None;
    }
    // Not the directory of the build: clippy's results and rustc's would drive each other out.
    let target_dir = target_root
        .join("ebpf")
        .join(format!("{}-clippy", toolchain.name));
    let mut command = Command::new(program);
    isolate(&mut command);
    command.arg("clippy").env("CARGO", &toolchain.cargo);
    for_bpf(&mut command, found, ebpf_dir, &target_dir);
    command.args(["--", "-D", "warnings"]);
    Some(command)
}

/// The arguments and the environment of a cargo command on the programs.
///
/// There is one directory for each toolchain, shared by all profiles of the agent: the object does
/// not depend on them. Its lock is never held by the outer cargo, so the two cannot deadlock.
fn for_bpf(command: &mut Command, found: &Found, ebpf_dir: &Path, target_dir: &Path) {
    let toolchain = &found.toolchain;
    command
        .current_dir(ebpf_dir)
        .args(["--release", "-Z", "build-std=core"])
        .args(["--target", "bpfel-unknown-none", "--target-dir"])
        .arg(target_dir)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(ebpf_dir))
        .env("PATH", search_path(found));
    if ebpf_dir.join("Cargo.lock").exists() {
        command.arg("--locked");
    }
    if !toolchain.nightly {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
}

/// The outer build's settings must not reach the inner one: its flags and wrappers (clippy's among
/// them) are for the host, and its library path leads to another compiler's LLVM.
fn isolate(command: &mut Command) {
    const KEPT: [&str; 5] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    const CUT: [&str; 6] = [
        "CARGO",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "CLIPPY_",
        "RUST_RECURSION",
    ];
    const DROPPED: [&str; 11] = [
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
        "MAKEFLAGS",
        "MFLAGS",
        "TARGET",
        "HOST",
        "PROFILE",
        "DEBUG",
        "OPT_LEVEL",
        "NUM_JOBS",
        "OUT_DIR",
    ];
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let kept = KEPT.iter().any(|prefix| text.starts_with(prefix));
        let cut = CUT.iter().any(|prefix| text.starts_with(prefix)) || DROPPED.contains(&text);
        if cut && !kept {
            command.env_remove(&name);
        }
    }
}

/// `PATH` with the linker's directory first: the BPF target calls it by name.
fn search_path(found: &Found) -> std::ffi::OsString {
    let mut directories: Vec<PathBuf> = Vec::new();
    directories.extend(found.linker.path.parent().map(Path::to_path_buf));
    directories.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    env::join_paths(directories).unwrap_or_else(|_| env::var_os("PATH").unwrap_or_default())
}

/// A place where a toolchain may be.
struct Candidate {
    name: String,
    rustc: PathBuf,
    cargo: PathBuf,
}

impl Candidate {
    /// Checks the version and the sources. The error is a line for the user.
    fn inspect(self) -> Result<Toolchain, String> {
        let Self { name, rustc, cargo } = self;
        if !rustc.exists() {
            return Err(format!(
                "{name}: not installed ({} does not exist)",
                rustc.display()
            ));
        }
        let version = stdout_of(&rustc, &["-vV"])
            .ok_or_else(|| format!("{name}: {} does not run", rustc.display()))?;
        let field = |key: &str| {
            version
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(|value| value.trim())
        };
        let release = field("release:").unwrap_or("unknown");
        let minor = release
            .split('.')
            .nth(1)
            .and_then(|minor| minor.parse::<u32>().ok());
        if minor.is_none() || minor < oldest_minor() {
            return Err(format!(
                "{name}: version {release} is older than {}",
                pinned("oldest-rust").join(" ")
            ));
        }
        let llvm = field("LLVM version:")
            .and_then(|text| text.split('.').next())
            .and_then(|major| major.parse().ok())
            .ok_or_else(|| format!("{name}: does not say which LLVM it uses"))?;
        let sysroot = stdout_of(&rustc, &["--print", "sysroot"])
            .ok_or_else(|| format!("{name}: has no sysroot"))?;
        let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
        if !sources.exists() {
            return Err(format!(
                "{name}: has no standard library sources (rust-src)"
            ));
        }
        let nightly = release.contains("nightly") || release.contains("dev");
        Ok(Toolchain {
            name,
            rustc,
            cargo,
            nightly,
            llvm,
            version: version.lines().next().unwrap_or_default().to_owned(),
        })
    }
}

/// The places to look at, best first.
fn candidates(cargo: &Path) -> Vec<Candidate> {
    let toolchains = rustup_home().join("toolchains");
    let in_rustup = |name: &str| Candidate {
        name: name.to_owned(),
        rustc: toolchains.join(name).join("bin/rustc"),
        cargo: toolchains.join(name).join("bin/cargo"),
    };
    if let Some(wanted) = env::var(OVERRIDE).ok().filter(|wanted| !wanted.is_empty()) {
        if wanted.contains('/') {
            let name = wanted.trim_matches('/').replace('/', "-");
            let rustc = PathBuf::from(&wanted);
            // The one that came with it knows its flags, where there is one.
            let beside = rustc.with_file_name("cargo");
            let cargo = match beside.is_file() {
                true => beside,
                false => cargo.to_path_buf(),
            };
            return vec![Candidate { name, rustc, cargo }];
        }
        let full = rustup_names(&toolchains)
            .into_iter()
            .find(|name| *name == wanted || name.starts_with(&format!("{wanted}-")));
        return vec![in_rustup(full.as_deref().unwrap_or(&wanted))];
    }
    let nightly = pinned("nightly").concat();
    let installed = rustup_names(&toolchains)
        .into_iter()
        .find(|name| name.starts_with(&nightly));
    let mut found = vec![in_rustup(installed.as_deref().unwrap_or(&nightly))];
    if let Some(rustc) = cargo.parent().map(|bin| bin.join("rustc")) {
        let name = cargo
            .ancestors()
            .nth(2)
            .and_then(Path::file_name)
            .map_or_else(
                || "current".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            );
        found.push(Candidate {
            name,
            rustc,
            cargo: cargo.to_path_buf(),
        });
    }
    found.push(Candidate {
        name: "distribution".to_owned(),
        rustc: PathBuf::from(DISTRIBUTION_RUSTC),
        cargo: cargo.to_path_buf(),
    });
    found
}

/// Installed rustup toolchains: undated before dated, newest dated first.
fn rustup_names(toolchains: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(toolchains)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    // `nightly-x86_64…` sorts after `nightly-2026-…`, so descending order does both.
    names.sort_by(|a, b| b.cmp(a));
    names
}

fn find_linker() -> Option<Linker> {
    let mut directories: Vec<PathBuf> =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    directories.push(cargo_home().join("bin"));
    let path = directories
        .into_iter()
        .map(|directory| directory.join("bpf-linker"))
        .find(|path| path.is_file())?;
    let llvm = fs::read(&path).ok().and_then(|image| linked_llvm(&image));
    Some(Linker { path, llvm })
}

/// The major version in the name of the LLVM library that an executable asks for:
/// `libLLVM.so.22.1` or `libLLVM-22.so`.
fn linked_llvm(image: &[u8]) -> Option<u32> {
    ["libLLVM.so.", "libLLVM-"].iter().find_map(|prefix| {
        image
            .windows(prefix.len())
            .enumerate()
            .filter(|(_, window)| *window == prefix.as_bytes())
            .find_map(|(at, _)| {
                let digits: String = image[at + prefix.len()..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .map(|byte| char::from(*byte))
                    .collect();
                digits.parse().ok()
            })
    })
}

fn stdout_of(program: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    isolate(&mut command);
    let output = command.args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn rustup_home() -> PathBuf {
    env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from)
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}
