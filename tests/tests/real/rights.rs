//! What is seen of TLS with fewer rights, of processes that were made to cost us, and of libraries that
//! cannot be read. By the system's own Python.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, binary};
use cirron_tests::calls::curl;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{certificate, key};
use cirron_tests::wait::{self, pause, until};
use tempfile::TempDir;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "https_without_the_right_to_map_files",
        need: Need::Bpf,
        run: without_map_files,
    },
    Test {
        name: "https_of_another_user_with_few_rights",
        need: Need::Bpf,
        run: of_another_user,
    },
    Test {
        name: "https_whose_library_was_deleted_names_the_right",
        need: Need::Bpf,
        run: deleted,
    },
    Test {
        name: "a_library_that_cannot_be_read_is_named_once_and_only_where_it_may_be_why",
        need: Need::Bpf,
        run: named_once,
    },
    Test {
        name: "a_process_that_maps_in_a_loop_has_its_share",
        need: Need::Bpf,
        run: maps_in_a_loop,
    },
];

const CAP_SYS_PTRACE: libc::c_ulong = 19;
const CAP_PERFMON: libc::c_ulong = 38;
const CAP_BPF: libc::c_ulong = 39;
/// Neither `CAP_CHECKPOINT_RESTORE` nor `CAP_SYS_ADMIN`.
const FEW: [libc::c_ulong; 3] = [CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF];
const NOBODY: u32 = 65534;

const SERVER: &str = "
import http.server, mmap, os, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('content-length', '2'); self.end_headers(); self.wfile.write(b'ok')
    def log_message(self, *what): pass
port, kind, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
if kind == 'tls':
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file + '/cert.pem', file + '/key.pem')
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
else:
    f = os.open(file, os.O_RDONLY)
    mapped = mmap.mmap(f, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
server.serve_forever()
";

const LOOP: &str = "
import mmap, os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
while True:
    mmap.mmap(f, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
";

fn python(code: &str, args: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-c").arg(code).args(args);
    command
}

/// Leaves a command these capabilities, and no others.
fn leave(command: &mut Command, capabilities: &'static [libc::c_ulong]) {
    // SAFETY: prctl is async-signal-safe and takes no pointer here.
    unsafe {
        command.pre_exec(|| {
            for capability in (0..64).filter(|c| !capabilities.contains(c)) {
                // Those that the kernel does not know are refused.
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
            Ok(())
        });
    }
}

struct Server {
    guard: Guard,
    port: u16,
    /// Its certificate; goes with this value.
    dir: TempDir,
}

impl Server {
    fn tls(adapt: impl FnOnce(&mut Command)) -> Result<Server> {
        let dir = tempfile::tempdir()?;
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        for (from, to) in [(certificate(), "cert.pem"), (key(), "key.pem")] {
            let to = dir.path().join(to);
            std::fs::copy(from, &to)?;
            std::fs::set_permissions(to, Permissions::from_mode(0o644))?;
        }
        let port = free_port()?;
        let at = dir.path().to_string_lossy().into_owned();
        let mut command = python(SERVER, &[&port.to_string(), "tls", &at]);
        command.current_dir("/");
        adapt(&mut command);
        Server::listening(Guard::spawn(command)?, port, dir)
    }

    /// One that speaks plain HTTP, and has a file mapped to be executed.
    fn plain(file: &Path) -> Result<Server> {
        let (port, dir) = (free_port()?, tempfile::tempdir()?);
        let file = file.to_string_lossy();
        let command = python(SERVER, &[&port.to_string(), "plain", &file]);
        Server::listening(Guard::spawn(command)?, port, dir)
    }

    fn listening(guard: Guard, port: u16, dir: TempDir) -> Result<Server> {
        wait::listener(port)?;
        Ok(Server { guard, port, dir })
    }

    fn ask(&self) -> Result<()> {
        curl(&["-sk", &format!("https://127.0.0.1:{}/x", self.port)]).map(drop)
    }

    /// The files that it has mapped whose names have one of `parts`.
    fn mapped(&self, parts: &[&str]) -> Result<Vec<PathBuf>> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.guard.pid()))?;
        let mut files: Vec<PathBuf> = maps
            .lines()
            .filter_map(|line| Some(PathBuf::from(line.get(line.find('/')?..)?)))
            .filter(|path| parts.iter().any(|p| path.to_string_lossy().contains(p)))
            .collect();
        files.dedup();
        Ok(files)
    }
}

/// An agent with few rights.
fn attach(server: &Server) -> Result<Agent> {
    let args = ["--pid".to_owned(), server.guard.pid().to_string()];
    Agent::start(&args, |command| leave(command, &FEW))
}

fn doctor(server: &Server) -> Result<String> {
    let mut command = Command::new(binary());
    command.args(["doctor", "--pid", &server.guard.pid().to_string()]);
    leave(&mut command, &FEW);
    Ok(String::from_utf8(command.output()?.stdout)?)
}

fn is_read(server: &Server) -> Result<String> {
    let agent = attach(server)?;
    server.ask()?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(
        requests.len() == 1 && requests[0].text("url.scheme") == Some("https"),
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    ensure!(!report.stderr.contains("warning"), "{}", report.stderr);
    let doctor = doctor(server)?;
    ensure!(doctor.contains(" places in "), "{doctor}");
    Ok("1 request".to_owned())
}

fn without_map_files() -> Result<String> {
    is_read(&Server::tls(|_| {})?)
}

fn of_another_user() -> Result<String> {
    is_read(&Server::tls(|command| {
        command.uid(NOBODY).gid(NOBODY);
    })?)
}

/// No path leads to it any more: the right is named, and with it the library is read.
fn deleted() -> Result<String> {
    let files = Server::tls(|_| {})?.mapped(&["libssl", "libcrypto"])?;
    ensure!(!files.is_empty(), "this Python has its TLS inside");
    let copies = tempfile::tempdir()?;
    for file in &files {
        let name = file.file_name().context("a name")?;
        std::fs::copy(file, copies.path().join(name))?;
    }
    let server = Server::tls(|command| {
        command.env("LD_LIBRARY_PATH", copies.path());
    })?;
    let at = copies.path().to_string_lossy().into_owned();
    ensure!(!server.mapped(&[&at])?.is_empty(), "it uses the system's");
    drop(copies);
    let agent = attach(&server)?;
    server.ask()?;
    let report = agent.finish()?;
    let doctor = doctor(&server)?;
    for text in [&report.stderr, &doctor] {
        ensure!(
            text.contains("libssl") && text.contains("grant CAP_CHECKPOINT_RESTORE"),
            "{text}"
        );
        ensure!(!text.contains("no TLS library that we know"), "{text}");
    }
    let unopened = report.summary["libraries"]["files_unopened"].as_u64();
    ensure!(unopened.is_some_and(|n| n > 0), "{}", report.summary);
    ensure!(report.spool.requests().is_empty());
    // With every right.
    let agent = Agent::attach(&[server.guard.pid()], &[])?;
    server.ask()?;
    let report = agent.finish()?;
    ensure!(report.spool.requests().len() == 1, "{}", report.stderr);
    Ok("named, and read with it".to_owned())
}

/// A file that has the text of a TLS library in what is only read.
fn with_text() -> Result<(TempDir, PathBuf)> {
    /// In the first part of the file, which linkers of today let be read only.
    const AT: usize = 0x400;
    let from = Server::tls(|_| {})?.mapped(&["libz.so", "libm.so", "libc.so"])?;
    let mut bytes = std::fs::read(from.first().context("a library")?)?;
    let text = b"ssl/ssl_lib.cc\0";
    bytes[AT..AT + text.len()].copy_from_slice(text);
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("with-text.so");
    std::fs::write(&path, bytes)?;
    Ok((dir, path))
}

fn named_once() -> Result<String> {
    const NAMED: &str = "TLS cannot be read where it uses BoringSSL in with-text.so";
    let (_dir, file) = with_text()?;
    let servers = [Server::plain(&file)?, Server::plain(&file)?];
    let pids = [servers[0].guard.pid(), servers[1].guard.pid()];
    let agent = Agent::attach(&pids, &[])?;
    for server in &servers {
        curl(&["-s", &format!("http://127.0.0.1:{}/x", server.port)])?;
    }
    pause("a name that must not be told", Duration::from_millis(2500));
    ensure!(
        !agent.stderr().contains("cannot be read"),
        "{}",
        agent.stderr()
    );
    let plain = agent.finish()?;
    ensure!(!plain.stderr.contains("cannot be read"), "{}", plain.stderr);
    for session in plain.spool.sessions() {
        ensure!(session.text("cirron.tls.blind").is_none(), "{session:?}");
    }
    let agent = Agent::attach(&pids, &[])?;
    for server in &servers {
        // It does not speak TLS: what is seen is the beginning of a conversation that nobody reads.
        let _ = server.ask();
    }
    until("the library's name", Duration::from_secs(10), || {
        agent.stderr().contains(NAMED).then_some(())
    })
    .with_context(|| agent.stderr())?;
    let report = agent.finish()?;
    ensure!(
        report.stderr.matches(NAMED).count() == 1,
        "{}",
        report.stderr
    );
    let named = report.spool.sessions();
    let named = named.iter().filter(|s| {
        s.text("cirron.tls.blind") == Some("BoringSSL in with-text.so")
            && s.int("cirron.tls.unread_connections") == Some(1)
    });
    ensure!(named.count() == 2, "{}", report.spool.describe());
    drop(servers.map(|server| server.dir));
    Ok("once for two".to_owned())
}

/// Ticks of the processor that the attach thread has had.
fn ticks(pid: u32) -> Result<u64> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        if stat.contains("(cirron-attach)") {
            let fields: Vec<&str> = stat.split_whitespace().collect();
            let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok());
            return Ok(field(13).context("utime")? + field(14).context("stime")?);
        }
    }
    anyhow::bail!("no attach thread")
}

fn maps_in_a_loop() -> Result<String> {
    const WARM: Duration = Duration::from_secs(4);
    const MEASURED: Duration = Duration::from_secs(4);
    let file = Server::tls(|_| {})?.mapped(&["libc.so"])?;
    let file = file
        .first()
        .context("a library")?
        .to_string_lossy()
        .into_owned();
    let looping = Guard::spawn(python(LOOP, &[&file]))?;
    let agent = Agent::attach(&[looping.pid()], &[])?;
    pause("the first looks at it", WARM);
    let before = ticks(agent.pid())?;
    pause("the share that is measured", MEASURED);
    let spent = ticks(agent.pid())? - before;
    let report = agent.finish()?;
    // Of a hundred a second; its share is a twentieth.
    let all = MEASURED.as_secs() * 100;
    ensure!(spent <= all * 15 / 100, "{spent} ticks of {all}");
    let passed_over = &report.summary["libraries"]["processes_passed_over"];
    ensure!(passed_over.as_u64() == Some(0), "{}", report.summary);
    Ok(format!("{spent} ticks of {all}"))
}
