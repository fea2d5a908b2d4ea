//! `cargo xtask bench overhead --tls`: servers over HTTPS in five states, in turns: without the agent, with its probes on the
//! plain symbols, with them on the places that it computes, there by a link for each place, and by secrets.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::super::stats::spread;
use super::Options;
use super::agent::{Agent, Cost, Places};
use super::load::{self, Load};
use super::server::cpu_seconds;
use crate::{paths, sh};

/// A server over HTTPS.
#[derive(Clone, Copy)]
enum Https {
    /// One worker, a file of 1 kB.
    Nginx,
    /// FastAPI on one worker with uvloop, small POSTs.
    Uvicorn,
}

/// States of a round, in order.
const STATES: [Option<Places>; 5] = [
    None,
    Some(Places::Symbol),
    Some(Places::Computed),
    Some(Places::ComputedSingle),
    Some(Places::Secrets),
];

/// The states whose exchanges are compared with what wrk saw.
const COMPARED: [usize; 2] = [2, 4];

pub(super) fn run(options: &Options) -> Result<()> {
    for https in [Https::Nginx, Https::Uvicorn] {
        rounds(https, options).with_context(|| https.title())?;
    }
    Ok(())
}

fn rounds(https: Https, options: &Options) -> Result<()> {
    let server = Server::start(https)?;
    let warm_up = server.load(3)?;
    eprintln!("warm-up: {warm_up}");
    let mut loads: [Vec<Load>; STATES.len()] = Default::default();
    let mut costs: [Vec<Cost>; STATES.len()] = Default::default();
    for round in 0..options.rounds as usize {
        // Whatever drifts on the machine hits all; who is first turns from round to round.
        for at in 0..STATES.len() {
            let state = (at + round) % STATES.len();
            let agent = match STATES[state] {
                Some(places) => Some(Agent::attach(server.child.id(), places)?),
                None => None,
            };
            let load = server.load(options.seconds)?;
            eprintln!("{}: {load}", name(STATES[state]));
            loads[state].push(load);
            if let Some(agent) = agent {
                costs[state].push(agent.stop()?);
            }
        }
    }
    println!("\n### {}\n", https.title());
    println!(
        "| probes | requests a second | of without, by round | server's CPU, µs a request | p50, ms | p99, ms | agent's CPU, s a round | detached in, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let column =
        |state: usize, of: fn(&Load) -> f64| -> Vec<f64> { loads[state].iter().map(of).collect() };
    let without = column(0, |l| l.per_second);
    for (state, places) in STATES.into_iter().enumerate() {
        let rate = column(state, |l| l.per_second);
        let ratios: Vec<f64> = rate.iter().zip(&without).map(|(a, b)| a / b).collect();
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            name(places),
            spread(&rate, 0),
            spread(&ratios, 3),
            spread(&column(state, |l| l.cpu_us_per_request), 1),
            spread(&column(state, |l| l.p50_ms), 2),
            spread(&column(state, |l| l.p99_ms), 2),
            of_agent(&costs[state], |c| c.cpu_s, 2),
            of_agent(&costs[state], |c| c.detach_ms, 0),
        );
    }
    for state in COMPARED {
        let sum = |of: fn(&Cost) -> f64| costs[state].iter().map(of).sum::<f64>();
        println!(
            "\n{}: {:.0} exchanges recorded, wrk saw {:.0} to their end; {:.0} records and {:.0} bytes lost.",
            name(STATES[state]),
            sum(|c| c.recorded),
            loads[state].iter().map(|l| l.requests).sum::<f64>(),
            sum(|c| c.lost_records),
            sum(|c| c.lost_bytes),
        );
    }
    Ok(())
}

fn of_agent(costs: &[Cost], of: fn(&Cost) -> f64, digits: usize) -> String {
    let all: Vec<f64> = costs.iter().map(of).collect();
    match all.is_empty() {
        true => String::new(),
        false => spread(&all, digits),
    }
}

fn name(state: Option<Places>) -> &'static str {
    match state {
        None => "none",
        Some(Places::Symbol) => "on symbols and returns",
        Some(Places::Computed) => "on computed places",
        Some(Places::ComputedSingle) => "there, a link for each",
        Some(Places::Secrets) => "by secrets",
    }
}

impl Https {
    fn title(self) -> &'static str {
        match self {
            Https::Nginx => "nginx over HTTPS, one worker, a file of 1 kB, 8 connections",
            Https::Uvicorn => "uvicorn over HTTPS, one worker, small POSTs, 8 connections",
        }
    }
}

/// A server that runs throughout.
struct Server {
    https: Https,
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Server {
    fn start(https: Https) -> Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let dir = paths::target().join("bench-tls");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let pair = paths::root().join("tests/servers/tls");
        let mut command = match https {
            Https::Nginx => nginx(&dir, &pair, port)?,
            Https::Uvicorn => uvicorn(&pair, port),
        };
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .context("the server\n  `cargo xtask stacks` installs it")?;
        let server = Server {
            https,
            child,
            port,
            dir,
        };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end {
                bail!("it did not listen within 20 s");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn load(&self, seconds: u32) -> Result<Load> {
        let mut wrk = sh::command("wrk");
        wrk.args(["-t1", "-c8", &format!("-d{seconds}s"), "--latency"]);
        let path = match self.https {
            Https::Nginx => "file",
            Https::Uvicorn => {
                let script = self.dir.join("post.lua");
                std::fs::write(
                    &script,
                    "wrk.method = \"POST\"\nwrk.body = '{\"model\": \"m\", \"messages\": []}'\nwrk.headers[\"Content-Type\"] = \"application/json\"\n",
                )?;
                wrk.arg("-s").arg(script);
                "small"
            }
        };
        wrk.arg(format!("https://127.0.0.1:{}/{path}", self.port));
        let before = self.cpu_seconds()?;
        let said = sh::output(&mut wrk)?;
        let cpu = self.cpu_seconds()? - before;
        let load = load::parse(&said).with_context(|| format!("wrk said:\n{said}"))?;
        Ok(Load {
            cpu_us_per_request: cpu * 1e6 / load.requests.max(1.0),
            ..load
        })
    }

    /// Of the server and its worker, which nginx's is a child.
    fn cpu_seconds(&self) -> Result<f64> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let mut sum = cpu_seconds(pid)?;
        for child in children.split_whitespace() {
            sum += cpu_seconds(child.parse()?)?;
        }
        Ok(sum)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's master ends its workers only when it is asked.
        let _ = sh::signal("TERM", self.child.id());
        let _ = self.child.wait();
    }
}

fn nginx(dir: &Path, pair: &Path, port: u16) -> Result<Command> {
    let (at, pair) = (dir.display(), pair.display());
    std::fs::write(dir.join("file"), "x".repeat(1024))?;
    let config = dir.join("nginx.conf");
    std::fs::write(
        &config,
        format!(
            "daemon off; worker_processes 1; user root; pid {at}/pid; error_log {at}/error.log;\nevents {{ }}\nhttp {{ access_log off; keepalive_requests 100000000; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {pair}/cert.pem; ssl_certificate_key {pair}/key.pem; root {at}; }} }}\n"
        ),
    )?;
    let mut command = sh::command("nginx");
    command.arg("-p").arg(dir).arg("-c").arg(config);
    Ok(command)
}

fn uvicorn(pair: &Path, port: u16) -> Command {
    let mut command = sh::command(paths::stacks().join("venv/bin/uvicorn"));
    command.args([
        "app_fastapi:app",
        "--host",
        "127.0.0.1",
        "--port",
        &port.to_string(),
    ]);
    command.args([
        "--http",
        "httptools",
        "--loop",
        "uvloop",
        "--log-level",
        "warning",
    ]);
    command.arg("--ssl-keyfile").arg(pair.join("key.pem"));
    command.arg("--ssl-certfile").arg(pair.join("cert.pem"));
    command
        .current_dir(paths::root().join("tests/servers/python"))
        .env("TRUTH_FILE", "/dev/null")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
