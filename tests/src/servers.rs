//! Starts the servers, each the way its own documentation says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::Guard;
use crate::raw::{Raw, free_port};
use crate::stacks;
use crate::truth::{self, Truth};
use crate::wait::{self, until, until_every};

/// A server and the way it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// FastAPI on uvicorn: h11 on asyncio.
    UvicornH11,
    /// FastAPI on uvicorn: httptools on uvloop.
    UvicornHttptools,
    /// The same with two worker processes.
    UvicornWorkers,
    /// FastAPI on uvicorn over a Unix socket.
    UvicornUnix,
    /// FastAPI on uvicorn over IPv6.
    UvicornIpv6,
    /// FastAPI on uvicorn over HTTPS: asyncio, whose TLS has no socket of its own.
    UvicornTls,
    /// The same on uvloop.
    UvloopTls,
    /// Flask on gunicorn's sync worker over HTTPS: TLS on the socket itself.
    GunicornTls,
    /// The same on its thread worker.
    GunicornThreadsTls,
    /// The same on two sync workers.
    GunicornWorkersTls,
    /// FastAPI on hypercorn: HTTP/1, and HTTP/2 by prior knowledge.
    Hypercorn,
    /// FastAPI on hypercorn over HTTPS, HTTP/1 only.
    HypercornTls,
    /// FastAPI on hypercorn over HTTPS, HTTP/2 if the client can.
    HypercornTlsH2,
    /// aiohttp's own server over HTTPS.
    AiohttpTls,
    /// The standard library's own server over HTTPS: Python 3.9 with OpenSSL 1.1, in a root directory
    /// of its own.
    Python39Tls,
    /// The same with Debian unstable's Python and OpenSSL, which is later than 3.3.
    PythonSidTls,
    /// FastAPI on granian over HTTPS, whose library is rustls.
    GranianTls,
    /// Node's https module, OpenSSL inside the executable.
    NodeTls,
    /// FastAPI on uvicorn with its gzip middleware.
    UvicornGzip,
    /// A gateway on uvicorn; needs `UPSTREAM`.
    Gateway,
    /// Flask's threaded development server.
    Flask,
    /// Flask on gunicorn's sync worker.
    GunicornSync,
    /// Flask on gunicorn's thread worker.
    GunicornThreads,
    /// aiohttp's own server.
    Aiohttp,
    /// Node's http module.
    Node,
    /// Node's cluster of two workers over a Unix socket: connections are passed to them.
    NodeClusterUnix,
    /// The standard library's own server over a Unix socket, a process for each connection.
    ForkingUnix,
    /// Node's http2 module, by prior knowledge only; every frame that may be padded is.
    NodeH2,
    /// The same over HTTPS.
    NodeTlsH2,
    /// Go's net/http.
    Go,
    /// The same, HTTP/2 too by prior knowledge.
    GoH2,
    /// Go's net/http over HTTPS.
    GoTls,
    /// The same without symbols.
    GoTlsStripped,
    /// FastAPI on uvicorn, which gives the documented responses of the dialects.
    Documented,
    /// FastAPI on uvicorn, which speaks OpenAI's Realtime API over WebSocket: by websockets.
    Realtime,
    /// The same over HTTPS: by wsproto.
    RealtimeTls,
    /// llama.cpp's server with a tiny model.
    Llama,
    /// The same over HTTPS.
    LlamaTls,
}

impl Stack {
    /// It speaks HTTPS, with the certificate of [`certificate`].
    pub fn is_tls(self) -> bool {
        matches!(
            self,
            Stack::UvicornTls
                | Stack::UvloopTls
                | Stack::GunicornTls
                | Stack::GunicornThreadsTls
                | Stack::GunicornWorkersTls
                | Stack::HypercornTls
                | Stack::HypercornTlsH2
                | Stack::AiohttpTls
                | Stack::Python39Tls
                | Stack::PythonSidTls
                | Stack::GranianTls
                | Stack::NodeTls
                | Stack::NodeTlsH2
                | Stack::GoTls
                | Stack::GoTlsStripped
                | Stack::RealtimeTls
                | Stack::LlamaTls
        )
    }
}

impl Stack {
    /// It listens on [`Server::socket`].
    fn is_unix(self) -> bool {
        matches!(
            self,
            Stack::UvicornUnix | Stack::NodeClusterUnix | Stack::ForkingUnix
        )
    }
}

/// The certificate of the HTTPS servers, and its authority.
pub fn certificate() -> PathBuf {
    stacks::here().join("servers/tls/cert.pem")
}

/// Its private key.
pub fn key() -> PathBuf {
    stacks::here().join("servers/tls/key.pem")
}

/// A model's server with a thread for each connection, over HTTPS if `tls`; and its port.
///
/// # Errors
/// When it does not listen.
pub fn model_threads(tls: bool) -> Result<(Guard, u16)> {
    let port = free_port()?;
    let mut command = Command::new("/usr/bin/python3");
    command.arg(stacks::here().join("servers/python/model_threads.py"));
    command.arg(port.to_string());
    if tls {
        command.env("TLS_KEY", key()).env("TLS_CERT", certificate());
    }
    let guard = Guard::spawn(command)?;
    wait::listener(port)?;
    Ok((guard, port))
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    guard: Guard,
    /// Where it listens.
    pub port: u16,
    /// Its working files: truth, log, socket.
    pub dir: TempDir,
    before: usize,
}

impl Server {
    /// Starts `stack` and waits until it answers.
    pub fn start(stack: Stack) -> Result<Server> {
        Server::start_with(stack, &[])
    }

    /// The same, with more environment.
    pub fn start_with(stack: Stack, env: &[(&str, &str)]) -> Result<Server> {
        Server::start_by(stack, &[], env)
    }

    /// The same, by another program that gets the server's command behind its own arguments.
    pub fn start_by(stack: Stack, by: &[&str], env: &[(&str, &str)]) -> Result<Server> {
        // Its working files are where it can see them.
        let root = own_root(stack)?;
        let dir = match &root {
            Some(root) => tempfile::tempdir_in(root.join("tmp"))?,
            None => tempfile::tempdir()?,
        };
        let port = free_port()?;
        let mut command = command(stack, port, dir.path())?;
        if let [program, arguments @ ..] = by {
            let mut outer = Command::new(program);
            outer
                .args(arguments)
                .arg(command.get_program())
                .args(command.get_args());
            if let Some(dir) = command.get_current_dir() {
                outer.current_dir(dir);
            }
            for (name, value) in command.get_envs() {
                if let Some(value) = value {
                    outer.env(name, value);
                }
            }
            command = outer;
        }
        let truth = seen_in(root.as_deref(), dir.path().join("truth.jsonl"))?;
        command.env("TRUTH_FILE", truth).envs(env.iter().copied());
        let guard = Guard::spawn_logged(command, &dir.path().join("server.log"))?;
        let mut server = Server {
            guard,
            port,
            dir,
            before: 0,
        };
        server
            .wait_ready(stack)
            .with_context(|| format!("{stack:?} did not start: {}", server.log()))?;
        Ok(server)
    }

    fn wait_ready(&mut self, stack: Stack) -> Result<()> {
        let limit = Duration::from_secs(20);
        let socket = self.socket();
        let pace = Duration::from_millis(30);
        until_every(pace, "answer to GET /health", limit, || {
            let answer = if stack.is_unix() {
                curl_status(&["--unix-socket", socket.to_str()?, "http://unix/health"])
            } else if stack.is_tls() {
                curl_status(&["-k", &self.https("/health")])
            } else if stack == Stack::NodeH2 {
                curl_status(&["--http2-prior-knowledge", &self.url("/health")])
            } else if stack == Stack::UvicornIpv6 {
                curl_status(&[&format!("http://[::1]:{}/health", self.port)])
            } else {
                self.health()
            };
            answer.filter(|ok| *ok)
        })?;
        if !matches!(stack, Stack::Llama | Stack::LlamaTls) {
            until("first truth line", limit, || {
                truth::read(&self.truth_path())
                    .ok()
                    .filter(|t| !t.is_empty())
            })?;
        }
        self.forget()
    }

    fn health(&self) -> Option<bool> {
        let head = format!(
            "GET /health HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.port
        );
        let mut raw = Raw::send(self.port, head.as_bytes()).ok()?;
        raw.read_to_end(Duration::from_secs(5)).ok()?;
        Some(raw.got.starts_with(b"HTTP/1.1 200"))
    }

    /// What was served until now is not of interest.
    pub fn forget(&mut self) -> Result<()> {
        self.before = self.lines_at_rest()?;
        Ok(())
    }

    /// Number of lines of its truth when no more are added: the last is written behind the answer.
    fn lines_at_rest(&self) -> Result<usize> {
        let mut before = None;
        let pace = Duration::from_millis(50);
        until_every(pace, "a truth that rests", Duration::from_secs(10), || {
            let now = truth::read(&self.truth_path()).ok()?.len();
            (before.replace(now) == Some(now)).then_some(now)
        })
    }

    /// What it says it served, when it has no connection any more.
    pub fn truth_at_rest(&self) -> Result<Vec<Truth>> {
        wait::closed_to(0, self.port)?;
        self.lines_at_rest()?;
        self.truth()
    }

    /// What the server says it served since it was ready.
    pub fn truth(&self) -> Result<Vec<Truth>> {
        let mut all = truth::read(&self.truth_path())?;
        Ok(all.split_off(self.before))
    }

    /// Waits until `count` requests have been served, and gives them.
    pub fn truth_of(&self, count: usize) -> Result<Vec<Truth>> {
        until(
            &format!("{count} requests served"),
            Duration::from_secs(15),
            || self.truth().ok().filter(|t| t.len() >= count),
        )?;
        self.truth()
    }

    fn truth_path(&self) -> PathBuf {
        self.dir.path().join("truth.jsonl")
    }

    /// Its Unix socket, where it has one.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("server.sock")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Its process, to signal and to wait for.
    pub fn process(&mut self) -> &mut Guard {
        &mut self.guard
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    /// `https://127.0.0.1:PORT` and `path`.
    pub fn https(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// `http://127.0.0.1:PORT` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// The root directory of its own that a server runs in.
fn own_root(stack: Stack) -> Result<Option<PathBuf>> {
    if stack == Stack::Python39Tls {
        return stacks::python_root("python39-root").map(Some);
    }
    if stack == Stack::PythonSidTls {
        return stacks::python_root("python-sid-root").map(Some);
    }
    Ok(None)
}

/// The name that a server in `root` knows a file by.
fn seen_in(root: Option<&Path>, file: PathBuf) -> Result<PathBuf> {
    root.map_or(Ok(file.clone()), |root| {
        Ok(Path::new("/").join(file.strip_prefix(root)?))
    })
}

fn curl_status(args: &[&str]) -> Option<bool> {
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
        .args(args)
        .output()
        .ok()?;
    Some(output.stdout == b"200")
}

fn command(stack: Stack, port: u16, dir: &Path) -> Result<Command> {
    let python = stacks::here().join("servers/python");
    let port = port.to_string();
    let uvicorn = |app: &str, more: &[&str]| -> Result<Command> {
        let mut c = Command::new(stacks::venv("uvicorn")?);
        c.args([app, "--log-level", "warning"])
            .args(more)
            .current_dir(&python);
        Ok(c)
    };
    let tcp = ["--host", "127.0.0.1", "--port", &port];
    let with = |more: &[&'static str]| -> Vec<String> {
        tcp.iter()
            .map(|s| (*s).to_owned())
            .chain(more.iter().map(|s| (*s).to_owned()))
            .collect()
    };
    let uvicorn_tcp = |app: &str, more: &[&'static str]| -> Result<Command> {
        let args = with(more);
        uvicorn(app, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut command = match stack {
        Stack::UvicornH11 => {
            uvicorn_tcp("app_fastapi:app", &["--http", "h11", "--loop", "asyncio"])?
        }
        Stack::UvicornHttptools => uvicorn_tcp(
            "app_fastapi:app",
            &["--http", "httptools", "--loop", "uvloop"],
        )?,
        Stack::UvicornWorkers => uvicorn_tcp(
            "app_fastapi:app",
            &["--http", "httptools", "--workers", "2"],
        )?,
        Stack::UvicornUnix => uvicorn(
            "app_fastapi:app",
            &["--uds", dir.join("server.sock").to_str().context("path")?],
        )?,
        Stack::UvicornIpv6 => uvicorn("app_fastapi:app", &["--host", "::1", "--port", &port])?,
        Stack::UvicornTls | Stack::UvloopTls => {
            let mut c = uvicorn_tcp("app_fastapi:app", &[])?;
            c.args([
                "--loop",
                if stack == Stack::UvloopTls {
                    "uvloop"
                } else {
                    "asyncio"
                },
            ]);
            c.arg("--ssl-keyfile").arg(key());
            c.arg("--ssl-certfile").arg(certificate());
            c
        }
        Stack::UvicornGzip => {
            let mut c = uvicorn_tcp("app_fastapi:app", &[])?;
            c.env("GZIP", "1");
            c
        }
        Stack::Gateway => uvicorn_tcp("app_gateway:app", &[])?,
        Stack::Documented => {
            let mut c = uvicorn_tcp("app_documented:app", &[])?;
            c.env("GOLDENS", stacks::here().join("../cirron-core/goldens"));
            c
        }
        Stack::Realtime => uvicorn_tcp("app_realtime:app", &["--ws", "websockets"])?,
        Stack::RealtimeTls => {
            let mut c = uvicorn_tcp("app_realtime:app", &["--ws", "wsproto"])?;
            c.arg("--ssl-keyfile").arg(key());
            c.arg("--ssl-certfile").arg(certificate());
            c
        }
        Stack::Flask => {
            let mut c = Command::new(stacks::venv("flask")?);
            c.args([
                "--app",
                "app_flask",
                "run",
                "--host",
                "127.0.0.1",
                "--port",
                &port,
            ])
            .current_dir(&python);
            c
        }
        Stack::GunicornSync
        | Stack::GunicornThreads
        | Stack::GunicornTls
        | Stack::GunicornThreadsTls
        | Stack::GunicornWorkersTls => {
            let mut c = Command::new(stacks::venv("gunicorn")?);
            c.args(["app_flask:app", "--bind", &format!("127.0.0.1:{port}")])
                .current_dir(&python);
            if stack.is_tls() {
                c.arg("--keyfile").arg(key());
                c.arg("--certfile").arg(certificate());
            }
            if matches!(stack, Stack::GunicornThreads | Stack::GunicornThreadsTls) {
                c.args(["--worker-class", "gthread", "--threads", "8"]);
            }
            if stack == Stack::GunicornWorkersTls {
                c.args(["--workers", "2"]);
            }
            c
        }
        Stack::Hypercorn | Stack::HypercornTls | Stack::HypercornTlsH2 => {
            let mut c = Command::new(stacks::venv("python")?);
            c.args(["run_hypercorn.py", "127.0.0.1", &port])
                .current_dir(&python);
            if stack.is_tls() {
                c.env("TLS_KEY", key()).env("TLS_CERT", certificate());
            }
            if stack != Stack::HypercornTls {
                c.env("HTTP2", "1");
            }
            c
        }
        Stack::GranianTls => {
            let mut c = Command::new(stacks::venv("granian")?);
            c.args([
                "--interface",
                "asgi",
                "--host",
                "127.0.0.1",
                "--port",
                &port,
            ])
            .arg("--ssl-certificate")
            .arg(certificate())
            .arg("--ssl-keyfile")
            .arg(key())
            .arg("app_fastapi:app")
            .current_dir(&python);
            c
        }
        Stack::Aiohttp | Stack::AiohttpTls => {
            let mut c = Command::new(stacks::venv("python")?);
            c.args(["app_aiohttp.py", "127.0.0.1", &port])
                .current_dir(&python);
            if stack.is_tls() {
                c.env("TLS_KEY", key()).env("TLS_CERT", certificate());
            }
            c
        }
        Stack::Python39Tls | Stack::PythonSidTls => {
            let root = own_root(stack)?.context("no root directory")?;
            let inside = |name: &str| seen_in(Some(&root), dir.join(name));
            let app = python.join("app_stdlib.py");
            for file in [app, python.join("script.py"), key(), certificate()] {
                std::fs::copy(&file, dir.join(file.file_name().context("name")?))?;
            }
            let mut c = Command::new("chroot");
            c.arg(&root)
                .arg(stacks::PYTHON)
                .arg(inside("app_stdlib.py")?)
                .args(["127.0.0.1", &port])
                .env("TLS_KEY", inside("key.pem")?)
                .env("TLS_CERT", inside("cert.pem")?);
            c
        }
        Stack::Node | Stack::NodeTls | Stack::NodeH2 | Stack::NodeTlsH2 => {
            let mut c = Command::new("node");
            c.arg(stacks::here().join("servers/node/server.js"))
                .args(["127.0.0.1", &port]);
            if matches!(stack, Stack::NodeH2 | Stack::NodeTlsH2) {
                c.env("HTTP2", "1");
            }
            if stack.is_tls() {
                c.env("TLS_KEY", key()).env("TLS_CERT", certificate());
            }
            c
        }
        Stack::NodeClusterUnix => {
            let mut c = Command::new("node");
            c.arg(stacks::here().join("servers/node/server.js"))
                .arg(dir.join("server.sock"))
                .env("CLUSTER", "1");
            c
        }
        Stack::ForkingUnix => {
            let mut c = Command::new("python3");
            c.arg(python.join("app_stdlib.py"))
                .arg(dir.join("server.sock"));
            c
        }
        Stack::Go | Stack::GoH2 | Stack::GoTls | Stack::GoTlsStripped => {
            let mut c = Command::new(stacks::go_server(stack == Stack::GoTlsStripped)?);
            c.arg(format!("127.0.0.1:{port}"));
            if stack == Stack::GoH2 {
                c.env("HTTP2", "1");
            }
            if stack.is_tls() {
                c.env("TLS_KEY", key()).env("TLS_CERT", certificate());
            }
            c
        }
        Stack::Llama | Stack::LlamaTls => {
            let root = stacks::llama_root()?;
            let mut c = Command::new("chroot");
            c.arg(&root);
            c.args([
                "/usr/bin/llama-server",
                "-m",
                "/m/tiny-f16.gguf",
                "--host",
                "127.0.0.1",
                "--port",
                &port,
            ]);
            c.args(["-t", "1", "-c", "4096", "-np", "2", "--no-warmup"]);
            if stack.is_tls() {
                // It sees its own root only.
                for file in [key(), certificate()] {
                    let name = file.file_name().context("name")?;
                    std::fs::copy(&file, root.join("m").join(name))?;
                }
                c.args([
                    "--ssl-key-file",
                    "/m/key.pem",
                    "--ssl-cert-file",
                    "/m/cert.pem",
                ]);
            }
            c
        }
    };
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
