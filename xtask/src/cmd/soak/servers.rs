//! The servers: Python's own, which know nothing of the agent.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Between listening and the first request. The kernel tells of a listener at once, and the daemon looks at it then.
const FOUND_WITHIN: Duration = Duration::from_millis(500);

/// The variable that the rule asks for.
const MARK: &str = "CIRRON_SOAK";

const SERVER: &str = r#"
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// All of them.
pub(super) struct Servers {
    script: PathBuf,
    mark: String,
    all: VecDeque<Server>,
}

struct Server {
    child: Child,
    port: u16,
    listens_since: Instant,
}

impl Servers {
    pub(super) fn start(dir: &Path, count: usize) -> Result<Servers> {
        let script = dir.join("server.py");
        std::fs::write(&script, SERVER)?;
        let mut servers = Servers {
            script,
            mark: std::process::id().to_string(),
            all: VecDeque::new(),
        };
        // All start at once, and each is waited for.
        let started: Result<Vec<Child>> = (0..count).map(|_| servers.spawn()).collect();
        for child in started? {
            servers.all.push_back(Server::listening(child)?);
        }
        Ok(servers)
    }

    /// The rule that chooses them.
    pub(super) fn rule(&self) -> String {
        let mark = &self.mark;
        format!(
            "shipped_targets = false\n[[targets]]\nname = 'soak'\nenv = {{ {MARK} = '{mark}' }}\n"
        )
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = Command::new("python3");
        command.arg(&self.script).env(MARK, &self.mark);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.spawn().context("python3 cannot be started")
    }

    /// The oldest one gives way to a new one.
    pub(super) fn restart(&mut self) -> Result<()> {
        if let Some(mut old) = self.all.pop_front() {
            old.child.kill()?;
            old.child.wait()?;
        }
        self.all.push_back(Server::listening(self.spawn()?)?);
        Ok(())
    }

    /// Asks one of them, and gives the path, where it was answered. A new one is spared for a moment.
    pub(super) fn ask(&mut self, n: usize) -> Result<Option<String>> {
        let at = n % self.all.len().max(1);
        let Some(server) = self
            .all
            .get(at)
            .filter(|s| s.listens_since.elapsed() > FOUND_WITHIN)
        else {
            return Ok(None);
        };
        let path = format!("/{n}");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if !answer.ends_with("ok") {
            bail!("a server answered {answer:?}");
        }
        Ok(Some(path))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.all {
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
    }
}

impl Server {
    /// One that says its port, which the kernel chose, once it listens. A port that we chose might be another's by then.
    fn listening(mut child: Child) -> Result<Server> {
        let said = child.stdout.take().context("a server's output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let port = line
            .trim()
            .parse()
            .context("a server ended before it listened")?;
        Ok(Server {
            child,
            port,
            listens_since: Instant::now(),
        })
    }
}
