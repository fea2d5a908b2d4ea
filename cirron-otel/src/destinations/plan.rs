//! What is asked for, by the environment and the command line, and all of it running.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cirron_ship::counts::Counts;
use cirron_ship::destination::Destination;
use cirron_ship::shipper::Make;

use super::{Hub, Push, TraceCounts, Traces, figures};
use crate::otlp::env::{Environment, Settings, Signal, Wrong};
use crate::otlp::send::{Unusable, transport};
use crate::otlp::traces::Also;
use crate::prometheus::Server;

/// The port of OpenTelemetry's own exporter for Prometheus.
pub const DEFAULT_PORT: u16 = 9464;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Where spans go.
    pub traces: Option<Settings>,
    /// Where series are pushed to.
    pub metrics: Option<Settings>,
    /// How often.
    pub interval: Duration,
    /// Where Prometheus may ask.
    pub listen: Option<SocketAddr>,
    /// What every resource has.
    pub also: Also,
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// By these settings.
    #[error(transparent)]
    Settings(#[from] Unusable),
    /// Nobody can ask there.
    #[error(
        "metrics cannot be had at {address}: {error}\ngive another address by --metrics-listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The system refuses a thread.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
}

/// `HOST:PORT`, `:PORT` or `PORT` by their numbers: without a host it is this machine's own address.
///
/// # Errors
/// What is none of these.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let own = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok(own(port));
    }
    text.parse()
        .map_err(|_| "not ADDRESS:PORT, as 127.0.0.1:9464".to_owned())
}

impl Plan {
    /// By the `OTEL_*` variables.
    ///
    /// # Errors
    /// Where one of them means nothing.
    pub fn new(env: &Environment<'_>, listen: Option<SocketAddr>) -> Result<Plan, Wrong> {
        Ok(Plan {
            traces: env.settings(Signal::Traces)?,
            metrics: env.settings(Signal::Metrics)?,
            interval: env.interval()?,
            listen,
            also: Also {
                service: env.service()?,
                attributes: env.resource()?,
            },
        })
    }

    /// Whether nobody asked for anything.
    pub fn is_empty(&self) -> bool {
        self.traces.is_none() && self.metrics.is_none() && self.listen.is_none()
    }

    /// Files that have to be read for it.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let all = [&self.traces, &self.metrics].into_iter().flatten();
        all.flat_map(|settings| {
            let client = settings
                .client
                .iter()
                .flat_map(|(certificate, key)| [certificate, key]);
            let files = settings.certificate.iter().chain(client);
            files.cloned().collect::<Vec<_>>()
        })
    }

    /// Starts what is asked for: gives what makes the destinations of `spool`'s batches, and what runs beside them.
    /// `has_agent`: one that tells its status.
    ///
    /// # Errors
    /// Where something cannot be had; what was begun ends with the process.
    pub fn start(&self, spool: &Path, has_agent: bool) -> Result<(Vec<Make>, Running), Failed> {
        let mut makes: Vec<Make> = Vec::new();
        let start_ns = now_ns();
        let hub = Hub::new(start_ns, self.also.service.as_deref(), has_agent);
        if let Some(settings) = self.traces.clone() {
            let counts = Arc::<TraceCounts>::default();
            let shown = Arc::clone(&counts);
            hub.also(Box::new(move || figures::of_traces(&shown)));
            let (also, spool) = (self.also.clone(), spool.to_owned());
            let make =
                move || Traces::new(&settings, also.clone(), spool.clone(), Arc::clone(&counts));
            // Once here, so that what is wrong is said at the start; after a panic it cannot be wrong in another way.
            make()?;
            makes.push(Box::new(move || match make() {
                Ok(traces) => Box::new(traces) as Box<dyn Destination>,
                Err(e) => panic!("{e}"),
            }));
        }
        let mut push = None;
        if let Some(settings) = &self.metrics {
            let also = self.also.clone();
            let started = Push::start(Arc::clone(&hub), transport(settings)?, also, self.interval);
            let started = started.map_err(Failed::Thread)?;
            let counts = Arc::clone(&started.counts);
            hub.also(Box::new(move || figures::of_push(&counts)));
            push = Some(started);
        }
        let listening = self
            .listen
            .map(|address| listen(address, &hub))
            .transpose()?;
        if self.metrics.is_some() || self.listen.is_some() {
            let (hub, spool) = (Arc::clone(&hub), spool.to_owned());
            makes.push(Box::new(move || Box::new(hub.feed(spool.clone()))));
        }
        let running = Running {
            hub,
            push,
            listening,
        };
        Ok((makes, running))
    }
}

fn listen(address: SocketAddr, hub: &Arc<Hub>) -> Result<SocketAddr, Failed> {
    let wrong = |error| Failed::Listen { address, error };
    let listener = TcpListener::bind(address).map_err(wrong)?;
    let server = Server::start(listener, hub.answer()).map_err(wrong)?;
    let counts = server.counts;
    hub.also(Box::new(move || figures::of_server(&counts)));
    if !server.address.ip().is_loopback() {
        tracing::warn!("metrics can be read by whoever reaches {}", server.address);
    }
    Ok(server.address)
}

/// What runs beside the destinations.
#[derive(Debug)]
pub struct Running {
    hub: Arc<Hub>,
    push: Option<Push>,
    /// Where Prometheus may ask.
    pub listening: Option<SocketAddr>,
}

impl Running {
    /// Shows the counters of these destinations.
    pub fn watch(&self, destinations: impl Iterator<Item = (String, Arc<Counts>)>) {
        for (name, counts) in destinations {
            let figures = move || figures::of_ship(&name, &counts.totals(), now_ns());
            self.hub.also(Box::new(figures));
        }
    }

    /// Takes a line of the agent's status.
    pub fn take_status(&self, line: &str) {
        self.hub.take_status(line.as_bytes());
    }

    /// Pushes once more.
    pub fn end(self) {
        if let Some(push) = self.push {
            push.end();
        }
    }
}

fn now_ns() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_host_is_this_machines_own() {
        for text in ["9464", ":9464", "127.0.0.1:9464"] {
            assert_eq!(
                parse_listen(text).map(|a| a.to_string()).as_deref(),
                Ok("127.0.0.1:9464")
            );
        }
        assert!(parse_listen("[::]:1").is_ok_and(|a| !a.ip().is_loopback()));
        for bad in ["", "localhost:1", "1.2.3.4", "65536"] {
            assert!(parse_listen(bad).is_err(), "{bad}");
        }
    }
}
