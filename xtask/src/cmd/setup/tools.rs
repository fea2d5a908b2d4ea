//! The programs that tests and benchmarks call. None is needed to build the agent or for the demo.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{install_as_root, say};
use crate::host::{Packages, Tool};
use crate::{paths, sh};

/// rustfmt and clippy, which rustup's minimal profile leaves out.
pub(crate) fn ensure_rust_tools() -> Result<()> {
    let missing: Vec<&str> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, subcommand)| !sh::succeeds(&mut sh::cargo([subcommand, "--version"])))
        .map(|(component, _)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!(
        "will install {} with rustup, for the lints",
        missing.join(" and ")
    ));
    sh::run(
        sh::command("rustup")
            .args(["component", "add"])
            .args(missing),
    )
}

/// A target without files, sockets, threads or a clock.
pub(crate) const BARE_TARGET: &str = "wasm32-unknown-unknown";

/// The standard library of [`BARE_TARGET`]; false where nothing here can install it.
pub(crate) fn ensure_bare_target() -> Result<bool> {
    let mut asked = sh::command("rustc");
    asked.args(["--print", "target-libdir", "--target", BARE_TARGET]);
    if Path::new(sh::output(&mut asked)?.trim()).exists() {
        return Ok(true);
    }
    if paths::in_path("rustup").is_none() {
        return Ok(false);
    }
    say(&format!(
        "will install the target {BARE_TARGET} with rustup, to build the core for it"
    ));
    sh::run(sh::command("rustup").args(["target", "add", BARE_TARGET]))?;
    Ok(true)
}

/// Clients, servers and sources that the suites use ([`Tool`]). What cannot be installed is said; the tests that need it
/// skip, naming it, unless `CIRRON_REQUIRE_STACKS` is set.
pub(crate) fn ensure_test_tools() -> Result<()> {
    let packages = Packages::here();
    let missing: Vec<&str> = Tool::ALL
        .iter()
        .filter(|tool| !is_there(**tool))
        .map(|tool| packages.tool(*tool))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let [program, arguments @ ..] = packages.install() else {
        return Ok(());
    };
    let mut install = Command::new(program);
    install
        .args(arguments)
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    if packages == Packages::Unknown {
        say(&format!(
            "the tests want these, from your package manager: {}",
            missing.join(", ")
        ));
        return Ok(());
    }
    if packages == Packages::Apt {
        super::ebpf::refresh_apt(&missing)?;
    }
    if let Err(error) = install_as_root("for the tests with real servers", &install) {
        say(&format!(
            "{error:#}\n  the tests that need {} will be skipped",
            missing.join(", ")
        ));
    }
    Ok(())
}

fn is_there(tool: Tool) -> bool {
    match tool {
        Tool::Curl => paths::in_path("curl").is_some(),
        Tool::Wrk => paths::in_path("wrk").is_some(),
        Tool::Node => paths::in_path("node").is_some(),
        Tool::GoGrpc => go_source("google.golang.org/grpc"),
        Tool::GoProtobuf => {
            go_source("github.com/golang/protobuf/proto/registry.go")
                && go_source("google.golang.org/protobuf")
        }
        Tool::Npm => paths::in_path("npm").is_some(),
        Tool::Nghttp2 => ["nghttp", "h2load"]
            .map(paths::in_path)
            .iter()
            .all(Option::is_some),
        Tool::Nginx => paths::in_path("nginx").is_some(),
        Tool::Caddy => paths::in_path("caddy").is_some(),
        Tool::Prometheus => ["prometheus", "promtool"]
            .map(paths::in_path)
            .iter()
            .all(Option::is_some),
        Tool::Gnutls => paths::in_path("gnutls-serv").is_some(),
        Tool::Openssl => paths::in_path("openssl").is_some(),
        Tool::Runc => paths::in_path("runc").is_some(),
        Tool::Make => paths::in_path("make").is_some(),
        // Debian keeps each version's programs in a folder of its own.
        Tool::Postgres => Path::new("/usr/lib/postgresql").exists(),
        Tool::Redis => paths::in_path("redis-server").is_some(),
        Tool::Mariadb => paths::in_path("mariadbd").is_some(),
        Tool::Tmux => paths::in_path("tmux").is_some(),
        Tool::Chromium => paths::in_path("chromium").is_some(),
        Tool::PythonVenv => {
            sh::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
        }
    }
}

/// Where Debian keeps the sources of Go packages.
fn go_source(package: &str) -> bool {
    Path::new("/usr/share/gocode/src").join(package).exists()
}
