//! What machine this is: who we are on it, and its package manager.

use std::fs;

use crate::paths;

/// Whether this process has root's rights.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        == Some("0")
}

/// A package manager that we know package names for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packages {
    /// Debian, Ubuntu and their descendants.
    Apt,
    /// Fedora, RHEL and theirs.
    Dnf,
    /// Arch and its.
    Pacman,
    /// Alpine.
    Apk,
    /// None of them.
    Unknown,
}

impl Packages {
    /// The one of this machine.
    pub(crate) fn here() -> Self {
        let known = [
            ("apt-get", Self::Apt),
            ("dnf", Self::Dnf),
            ("pacman", Self::Pacman),
            ("apk", Self::Apk),
        ];
        known
            .into_iter()
            .find(|(program, _)| paths::in_path(program).is_some())
            .map_or(Self::Unknown, |(_, packages)| packages)
    }

    /// The command that installs something, up to the names.
    pub(crate) const fn install(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &["apt-get", "install", "-y", "--no-install-recommends"],
            Self::Dnf => &["dnf", "install", "-y"],
            Self::Pacman => &["pacman", "-S", "--noconfirm", "--needed"],
            Self::Apk => &["apk", "add"],
            Self::Unknown => &["install-with-your-package-manager"],
        }
    }

    /// What holds LLVM's library and headers of a major version.
    pub(crate) fn llvm(self, major: u32) -> String {
        match self {
            Self::Apt => format!("llvm-{major}-dev"),
            Self::Dnf => "llvm-devel".to_owned(),
            Self::Pacman => "llvm".to_owned(),
            Self::Apk => format!("llvm{major}-dev"),
            Self::Unknown => format!("the development files of LLVM {major}"),
        }
    }

    /// What holds one of the programs that tests and benchmarks call.
    pub(crate) const fn tool(self, tool: Tool) -> &'static str {
        match (self, tool) {
            (_, Tool::Curl) => "curl",
            (_, Tool::Wrk) => "wrk",
            (Self::Apt, Tool::PythonVenv) => "python3-venv",
            (Self::Pacman, Tool::PythonVenv) => "python",
            (Self::Dnf | Self::Apk | Self::Unknown, Tool::PythonVenv) => "python3",
            (_, Tool::Node) => "nodejs",
            (Self::Apt, Tool::GoGrpc) => "golang-google-grpc-dev",
            (_, Tool::GoGrpc) => "the Go sources of google.golang.org/grpc",
            (Self::Apt, Tool::GoProtobuf) => "golang-github-golang-protobuf-1-5-dev",
            (_, Tool::GoProtobuf) => "the Go sources of github.com/golang/protobuf 1.5",
            (_, Tool::Npm) => "npm",
            (Self::Apt, Tool::Nghttp2) => "nghttp2-client",
            (Self::Dnf | Self::Apk | Self::Pacman | Self::Unknown, Tool::Nghttp2) => "nghttp2",
            (_, Tool::Nginx) => "nginx",
            (_, Tool::Caddy) => "caddy",
            (Self::Dnf, Tool::Prometheus) => "golang-github-prometheus",
            (_, Tool::Prometheus) => "prometheus",
            (Self::Apt, Tool::Gnutls) => "gnutls-bin",
            (Self::Dnf | Self::Apk, Tool::Gnutls) => "gnutls-utils",
            (Self::Pacman | Self::Unknown, Tool::Gnutls) => "gnutls",
            (_, Tool::Openssl) => "openssl",
            (_, Tool::Runc) => "runc",
            (_, Tool::Make) => "make",
            (Self::Apt | Self::Pacman | Self::Apk, Tool::Postgres) => "postgresql",
            (Self::Dnf | Self::Unknown, Tool::Postgres) => "postgresql-server",
            (Self::Apt, Tool::Redis) => "redis-server",
            (_, Tool::Redis) => "redis",
            (Self::Apt, Tool::Mariadb) => "mariadb-server-core",
            (Self::Dnf | Self::Unknown, Tool::Mariadb) => "mariadb-server",
            (Self::Pacman | Self::Apk, Tool::Mariadb) => "mariadb",
            (_, Tool::Tmux) => "tmux",
            (_, Tool::Chromium) => "chromium",
        }
    }
}

/// A program that tests and benchmarks call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// HTTP client.
    Curl,
    /// HTTP load generator.
    Wrk,
    /// Python with its `venv`.
    PythonVenv,
    /// Node.
    Node,
    /// Sources of Go's gRPC, with its own examples.
    GoGrpc,
    /// What they are built with.
    GoProtobuf,
    /// Node's package manager.
    Npm,
    /// HTTP/2's own client and load generator.
    Nghttp2,
    /// The server; never started as a service by us.
    Nginx,
    /// The same.
    Caddy,
    /// The server and its `promtool`; the same.
    Prometheus,
    /// GnuTLS's own server.
    Gnutls,
    /// OpenSSL's own client.
    Openssl,
    /// Makes containers, without a daemon.
    Runc,
    /// What LibreSSL is built with, beside the C compiler that Rust links with.
    Make,
    /// The database's server, with its client library; never started as a service by us.
    Postgres,
    /// The server; never started as a service by us.
    Redis,
    /// The same.
    Mariadb,
    /// A terminal for tests of what is drawn on one.
    Tmux,
    /// A browser, without a screen: for the page of `report`.
    Chromium,
}

impl Tool {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::Curl,
        Self::Wrk,
        Self::PythonVenv,
        Self::Node,
        Self::GoGrpc,
        Self::GoProtobuf,
        Self::Npm,
        Self::Nghttp2,
        Self::Nginx,
        Self::Caddy,
        Self::Prometheus,
        Self::Gnutls,
        Self::Openssl,
        Self::Runc,
        Self::Make,
        Self::Postgres,
        Self::Redis,
        Self::Mariadb,
        Self::Tmux,
        Self::Chromium,
    ];
}
