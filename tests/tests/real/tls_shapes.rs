//! TLS in every shape of process and library: namespaces, overlays, replaced files, forks, filters,
//! resumed connections, objects that are used again.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{curl, openai_at, wrk};
use cirron_tests::expect;
use cirron_tests::process::{children, kill};
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::stacks;
use cirron_tests::wait::{pause, until};

use crate::tls::{ca, calls};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "https_connections_that_are_resumed",
        need: Need::Stacks,
        run: resumed,
    },
    Test {
        name: "https_object_that_is_used_again",
        need: Need::Stacks,
        run: used_again,
    },
    Test {
        name: "https_worker_forked_after_the_attach",
        need: Need::Stacks,
        run: forked,
    },
    Test {
        name: "https_library_replaced_while_it_runs",
        need: Need::Stacks,
        run: || gone(replace),
    },
    Test {
        name: "https_library_deleted_while_it_runs",
        need: Need::Stacks,
        run: || gone(|path| Ok(std::fs::remove_file(path)?)),
    },
    Test {
        name: "https_in_its_own_namespaces_on_an_overlay",
        need: Need::Stacks,
        run: || overlay(&[]),
    },
    Test {
        name: "https_in_its_own_user_namespace_too",
        need: Need::Stacks,
        run: || overlay(&["--user", "--map-root-user"]),
    },
    Test {
        name: "https_under_a_seccomp_filter",
        need: Need::Stacks,
        run: sealed,
    },
    Test {
        name: "https_sockets_of_asyncio_are_right",
        need: Need::Stacks,
        run: || right_sockets(Stack::UvicornTls),
    },
    Test {
        name: "https_sockets_of_uvloop_are_right",
        need: Need::Stacks,
        run: || right_sockets(Stack::UvloopTls),
    },
    Test {
        name: "https_sockets_of_node_are_right",
        need: Need::Stacks,
        run: || right_sockets(Stack::NodeTls),
    },
    Test {
        name: "https_bytes_are_the_same_with_and_without_us",
        need: Need::Stacks,
        run: same_bytes,
    },
    Test {
        name: "https_server_survives_attach_and_detach_under_load",
        need: Need::Stacks,
        run: attach_and_detach,
    },
];

/// The first call of a Python server takes tens of milliseconds before its handler.
fn warm(server: &mut Server) -> Result<()> {
    openai_at(&server.https("/v1"), 1, &calls()[..1])?;
    server.truth_of(1)?;
    server.forget()
}

/// Calls by the official client, and their figures. `pid`: the target's as we see it.
fn figures(server: &Server, pid: u32, agent: Agent) -> Result<String> {
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.extend(openai_at(&server.https("/v1"), 2, &calls())?);
    }
    let mut truth = server.truth_of(16)?;
    for t in &mut truth {
        t.pid = pid;
    }
    let report = agent.finish()?;
    let figures = expect::matches_seen(&report.spool, &truth, &seen)
        .with_context(|| report.stderr.clone())?;
    for span in report.spool.requests() {
        ensure!(span.text("url.scheme") == Some("https"), "{span:?}");
    }
    Ok(figures.summary())
}

fn script(name: &str) -> Result<Command> {
    let mut command = Command::new(stacks::venv("python")?);
    command.arg(stacks::here().join("clients").join(name));
    Ok(command)
}

fn resumed() -> Result<String> {
    const EACH: usize = 4;
    let server = Server::start(Stack::UvloopTls)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let output = script("resume.py")?
        .args([&server.port.to_string(), &ca()?, &EACH.to_string()])
        .output()?;
    let resumed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        resumed == (2 * (EACH - 1)).to_string(),
        "{resumed} resumed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let truth = server.truth_of(2 * EACH)?;
    let report = agent.finish()?;
    expect::matches(&report.spool, &truth)?;
    ensure!(
        report.summary["engine"]["tls_objects"] == 2 * EACH,
        "{}",
        report.summary
    );
    Ok(format!("{resumed} of {} resumed", 2 * EACH))
}

fn used_again() -> Result<String> {
    const CONNECTIONS: usize = 3;
    let server = Server::start(Stack::UvloopTls)?;
    let mut command = script("reuse.py")?;
    command.args([
        "127.0.0.1",
        &server.port.to_string(),
        &CONNECTIONS.to_string(),
    ]);
    let report = Agent::run(&["-v"], &command, |_| {})?.ended(Duration::from_secs(20))?;
    server.truth_of(CONNECTIONS)?;
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == CONNECTIONS,
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    for span in &spans {
        expect::untouched(span)?;
        ensure!(span.status() == Some(200), "{span:?}");
        ensure!(
            span.int("server.port") == Some(i64::from(server.port)),
            "{span:?}"
        );
    }
    let mut ports: Vec<_> = spans.iter().filter_map(|s| s.int("client.port")).collect();
    ports.dedup();
    ensure!(ports.len() == CONNECTIONS, "ports {ports:?}");
    Ok(String::new())
}

fn forked() -> Result<String> {
    let server = Server::start(Stack::GunicornWorkersTls)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let old = children(server.pid())?;
    for pid in &old {
        kill(*pid, libc::SIGTERM);
    }
    until("new workers", Duration::from_secs(10), || {
        let new = children(server.pid()).ok()?;
        (new.len() == 2 && new.iter().all(|pid| !old.contains(pid))).then_some(())
    })?;
    // They import the application before they answer.
    curl(&[
        "--cacert",
        &ca()?,
        "--retry",
        "20",
        "--retry-all-errors",
        &server.https("/health"),
    ])?;
    // The first call of each worker takes some milliseconds before its handler.
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(openai_at(&server.https("/v1"), 1, &calls())?);
    }
    let truth = server.truth_of(25)?;
    let report = agent.finish()?;
    let figures = expect::matches_seen(&report.spool, &truth, &seen)
        .with_context(|| report.stderr.clone())?;
    Ok(figures.summary())
}

/// A copy of the libraries that Python's `ssl` is linked to, in `dir`.
pub(crate) fn own_libraries(dir: &Path) -> Result<()> {
    let output = Command::new(stacks::venv("python")?)
        .args(["-c", "import ssl; print(*{l.split()[-1] for l in open('/proc/self/maps') if 'libssl' in l or 'libcrypto' in l})"])
        .output()?;
    let paths = String::from_utf8(output.stdout)?;
    ensure!(paths.contains("libssl"), "Python has no libssl: {paths}");
    for path in paths.split_whitespace() {
        let name = Path::new(path).file_name().context("name")?;
        std::fs::copy(path, dir.join(name)).with_context(|| path.to_owned())?;
    }
    Ok(())
}

fn mapped(pid: u32, what: &str) -> Result<bool> {
    Ok(std::fs::read_to_string(format!("/proc/{pid}/maps"))?.contains(what))
}

/// As a package manager does: a new file takes the name.
fn replace(path: &Path) -> Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, "another file")?;
    Ok(std::fs::rename(&new, path)?)
}

/// Its library's name is another file's, or nobody's, before the agent comes.
fn gone(make: fn(&Path) -> Result<()>) -> Result<String> {
    let dir = tempfile::tempdir()?;
    own_libraries(dir.path())?;
    let at = dir.path().to_str().context("path")?;
    let mut server = Server::start_with(Stack::UvicornTls, &[("LD_LIBRARY_PATH", at)])?;
    ensure!(mapped(server.pid(), at)?, "it does not use its own library");
    for entry in std::fs::read_dir(dir.path())? {
        make(&entry?.path())?;
    }
    ensure!(mapped(server.pid(), "(deleted)")?, "it is still there");
    warm(&mut server)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    figures(&server, server.pid(), agent)
}

/// `more`: further namespaces, as `unshare` names them.
fn overlay(more: &[&str]) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let at = dir.path().to_str().context("path")?;
    let lower = dir.path().join("lower");
    std::fs::create_dir(&lower)?;
    own_libraries(&lower)?;
    // Nothing of it is there outside of its mount namespace.
    let enter = format!(
        "cd {at} && mkdir upper merged && mount -t tmpfs none upper && mkdir upper/u upper/w && mount -t overlay overlay -o lowerdir={at}/lower,upperdir={at}/upper/u,workdir={at}/upper/w merged && cd \"$OLDPWD\" && LD_LIBRARY_PATH={at}/merged exec \"$@\""
    );
    let mut by = vec![
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    by.extend(more);
    by.extend(["sh", "-c", &enter, "sh"]);
    let mut server = Server::start_by(Stack::UvicornTls, &by, &[])?;
    let inner = children(server.pid())?;
    let [inner] = inner[..] else {
        anyhow::bail!("{inner:?}")
    };
    let namespace_of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user"));
    ensure!(
        (namespace_of(&inner.to_string())? == namespace_of("self")?) == more.is_empty(),
        "not in the user namespace that was asked for"
    );
    ensure!(
        mapped(inner, "merged/libssl")?,
        "it does not use its own library"
    );
    ensure!(
        !dir.path().join("merged/libssl.so.3").exists(),
        "its mount is seen from here"
    );
    warm(&mut server)?;
    let agent = Agent::attach(&[inner], &["-v"])?;
    figures(&server, inner, agent)
}

fn sealed() -> Result<String> {
    let python = stacks::venv("python")?;
    let wrapper = stacks::here().join("servers/python/sealed.py");
    let by = [
        python.to_str().context("path")?,
        wrapper.to_str().context("path")?,
    ];
    let mut server = Server::start_by(Stack::UvicornTls, &by, &[])?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    ensure!(status.contains("Seccomp:\t2"), "it has no filter");
    warm(&mut server)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    figures(&server, server.pid(), agent)
}

/// Share of requests whose socket must be known.
const KNOWN_PERCENT: usize = 90;

/// Clients that get answers of the same length at the same time: no socket is another's, and at least this share is
/// known.
fn right_sockets(stack: Stack) -> Result<String> {
    const CLIENTS: usize = 8;
    const CALLS: usize = 4;
    let mut server = Server::start(stack)?;
    warm(&mut server)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let url = server.https("/v1/chat/completions");
    let ca = ca()?;
    let client = |client: usize| -> Result<String> {
        let body = format!(
            r#"{{"model":"c{client}","stream":true,"messages":[],"x_tokens":12,"x_ttft_ms":20,"x_interval_ms":3,"x_usage":true}}"#
        );
        let mut args = vec![
            "--http1.1",
            "--cacert",
            &ca,
            "-H",
            "Content-Type: application/json",
            "-d",
            &body,
            "-w",
            "\nport %{local_port}\n",
        ];
        args.extend([url.as_str(); CALLS]);
        let output = String::from_utf8(curl(&args)?.stdout)?;
        let port = output.lines().rev().find_map(|l| l.strip_prefix("port "));
        Ok(port.context("no port")?.to_owned())
    };
    let ports: Vec<Result<String>> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..CLIENTS)
            .map(|c| {
                scope.spawn({
                    let client = &client;
                    move || client(c)
                })
            })
            .collect();
        all.into_iter()
            .map(|t| {
                t.join()
                    .unwrap_or_else(|_| anyhow::bail!("a client panicked"))
            })
            .collect()
    });
    let ports: Vec<String> = ports.into_iter().collect::<Result<_>>()?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(
        requests.len() == CLIENTS * CALLS,
        "{}",
        report.spool.describe()
    );
    let mut known = 0;
    for span in &requests {
        let model = span.text("gen_ai.request.model").context("no model")?;
        let client: usize = model.trim_start_matches('c').parse()?;
        if let Some(port) = span.int("client.port") {
            known += 1;
            ensure!(
                port.to_string() == ports[client],
                "client {client}: {span:?}"
            );
        }
    }
    let all = requests.len();
    ensure!(
        known * 100 >= all * KNOWN_PERCENT,
        "{known} of {all} known, less than {KNOWN_PERCENT} %"
    );
    Ok(format!("{known} of {all} known, all right"))
}

/// What a client gets, without what differs from one answer to the next by itself.
fn answer(server: &Server) -> Result<Vec<u8>> {
    let body = r#"{"model":"m","stream":true,"messages":[],"x_tokens":200,"x_ttft_ms":1,"x_interval_ms":0,"x_usage":true}"#;
    let url = server.https("/v1/chat/completions");
    let output = curl(&[
        "--cacert",
        &ca()?,
        "-i",
        "-H",
        "Content-Type: application/json",
        "-d",
        body,
        &url,
    ])?;
    let text = String::from_utf8(output.stdout)?;
    let mut out = String::new();
    for line in text.lines().filter(|l| !l.starts_with("date:")) {
        match line.split_once("\"id\"") {
            // The id is another each time, and of the same length.
            Some((before, after)) => {
                let (_, rest) = after.split_once(',').context("id")?;
                out += &format!("{before}{rest}\n");
            }
            None => out += &format!("{line}\n"),
        }
    }
    Ok(out.into_bytes())
}

fn same_bytes() -> Result<String> {
    let server = Server::start(Stack::UvicornTls)?;
    let before = answer(&server)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let during = answer(&server)?;
    agent.finish()?;
    let after = answer(&server)?;
    ensure!(
        before.len() > 10_000 && before == during && before == after,
        "{} bytes before, {} during, {} after",
        before.len(),
        during.len(),
        after.len()
    );
    Ok(format!("{} bytes", before.len()))
}

fn attach_and_detach() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let url = server.https("/health");
    let load = std::thread::spawn(move || wrk(&["-t1", "-c8", "-d15s", &url]));
    let mut took = Vec::new();
    while !load.is_finished() {
        let agent = Agent::attach(&[server.pid()], &[])?;
        pause("the load, attached to", Duration::from_millis(300));
        let asked = Instant::now();
        let report = agent.finish()?;
        took.push(asked.elapsed().as_millis());
        ensure!(
            load.is_finished() || !report.spool.requests().is_empty(),
            "nothing was seen: {} {}",
            report.stderr,
            report.summary
        );
    }
    let output = load.join().ok().context("the load panicked")??;
    ensure!(
        !output.contains("Socket errors") && !output.contains("Non-2xx"),
        "{output}"
    );
    took.sort_unstable();
    Ok(format!(
        "{} times; asked to end, it had detached and written in {took:?} ms",
        took.len()
    ))
}
