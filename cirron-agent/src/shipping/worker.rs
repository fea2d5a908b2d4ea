//! The process that ships: the agent's worker, or `cirron-agent ship` by hand.
//!
//! By hand it ends by a signal, or with `--once` when all is sent. The agent's ends when the agent does; signals are not its
//! own: Ctrl-C reaches the whole foreground group, and a service manager signals every process of its cgroup.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cirron_otel::destinations::Running;
use cirron_ship::cirron::Transport;
use cirron_ship::cirron::events::Events;
use cirron_ship::cirron::upload::Upload;
use cirron_ship::destination::Destination;
use cirron_ship::http::Network;
use cirron_ship::place::{NoPlace, Place, open_spool};
use cirron_ship::remove::Remove;
use cirron_ship::shipper::{End, Make, Plan, Shipped, Shipper};
use cirron_ship::status::AgentStatus;
use tokio::signal::unix::{SignalKind, signal};

use super::child::END_LIMIT;
use super::plan::ShipPlan;
use crate::cli::exit::Exit;
use crate::cli::{Failed, say};
use crate::privileges::ship::{Left, become_owner, confine, confine_keeper};

/// Between two looks at how things stand.
const TICK: Duration = Duration::from_millis(50);

/// Of the worker at the agent's end: less than the agent waits, so that it says what was sent.
const DRAIN_LIMIT: Duration = END_LIMIT.saturating_sub(Duration::from_millis(500));

/// Who is at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Whoever typed `ship`.
    #[default]
    Hand,
    /// The agent's, which starts the worker.
    Keeper,
    /// The agent's, which ships.
    Worker,
}

/// A process that has given up its rights.
#[derive(Debug)]
pub struct Entered {
    place: Result<Arc<Place>, NoPlace>,
    left: Left,
}

/// Gives up what shipping does not need; before any thread is started.
pub fn enter(output_dir: &std::path::Path, part: Part, removes: bool) -> Entered {
    if part != Part::Hand {
        ignore_signals();
    }
    let spool = open_spool(output_dir);
    let mut left = become_owner(spool.as_ref().ok());
    let place = spool.and_then(|_| Place::open(output_dir)).map(Arc::new);
    match &place {
        _ if part == Part::Keeper => left.extend(confine_keeper()),
        Ok(place) => {
            left.extend(confine(
                place.spool(),
                place.ship(),
                removes,
                &certificates(),
            ));
        }
        // It ends at once.
        Err(_) => {}
    }
    Entered { place, left }
}

/// Files that the environment names for checking certificates.
fn certificates() -> Vec<PathBuf> {
    let otlp = ["", "TRACES_", "METRICS_"].into_iter().flat_map(|signal| {
        let files = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"];
        files.map(|file| format!("OTEL_EXPORTER_OTLP_{signal}{file}"))
    });
    let system = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(str::to_owned);
    let named = system.into_iter().chain(otlp);
    named
        .filter_map(|name| Some(std::env::var_os(name)?.into()))
        .collect()
}

fn ignore_signals() {
    for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1] {
        // SAFETY: ignoring a valid signal involves no handler.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
}

/// Where to, by the plan.
fn destinations(plan: &ShipPlan) -> Vec<Make> {
    let cirron = plan.cirron.clone().map(|transport| {
        let make: Make = Box::new(move || -> Box<dyn Destination> {
            match &transport {
                Transport::Events => Box::new(Events(std::io::stdout())),
                Transport::Upload(account) => {
                    Box::new(Upload::new(account.clone(), Network::new()))
                }
            }
        });
        make
    });
    cirron.into_iter().collect()
}

/// Ships. `once`, `again`: as typed.
///
/// # Errors
/// Where there is no spool, another process ships it to the same place, or it is gone.
pub fn ship(
    plan: &ShipPlan,
    part: Part,
    once: bool,
    again: bool,
    entered: Entered,
) -> Result<Exit, Failed> {
    for left in &entered.left {
        tracing::info!("{left}");
    }
    let place = entered.place.map_err(anyhow::Error::from)?;
    let mut destinations = destinations(plan);
    let spool = plan.output_dir.join("spool");
    let (more, otel) = plan
        .otel
        .start(&spool, part == Part::Worker)
        .map_err(anyhow::Error::from)?;
    destinations.extend(more);
    let removes = plan.remove != Remove::Never;
    let mut shipper = Shipper::start(
        Plan {
            output_dir: plan.output_dir.clone(),
            destinations,
            remove: plan.remove,
            again,
            once,
        },
        &place,
    )
    .map_err(anyhow::Error::from)?;
    let counts = |one: &Shipped| (one.name.clone(), Arc::clone(&one.counts));
    otel.watch(shipper.shipped().iter().map(counts));
    let to: Vec<&str> = shipper
        .shipped()
        .iter()
        .map(|one| one.place.as_str())
        .collect();
    let begun = format!(
        "shipping {} to {}",
        plan.output_dir.join("spool").display(),
        to.join(", ")
    );
    let status = match part {
        Part::Worker => Some(AgentStatus::read(std::io::stdin()).context("standard input")?),
        Part::Hand | Part::Keeper => None,
    };
    match part {
        Part::Worker => tracing::info!("{begun}"),
        Part::Hand | Part::Keeper if once => say(&format!("{begun}; it ends when all is sent")),
        Part::Hand | Part::Keeper => say(&format!("{begun}; Ctrl-C stops")),
    }
    wait(&shipper, status.as_deref(), &otel).context("signals cannot be waited for")?;
    let ended = shipper.finish();
    otel.end();
    say(&summary(&shipper, removes));
    ended.map_err(anyhow::Error::from)?;
    Ok(Exit::Ok)
}

/// Until it is over.
fn wait(shipper: &Shipper, agent: Option<&AgentStatus>, otel: &Running) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // The agent's child ignores them, and so does whoever was started so.
        let mut interrupt = signal_of(agent, SignalKind::interrupt())?;
        let mut terminate = signal_of(agent, SignalKind::terminate())?;
        let mut until: Option<Instant> = None;
        let mut said = None;
        loop {
            let status = agent.and_then(AgentStatus::last);
            if let Some(line) = status.as_ref().filter(|_| status != said) {
                otel.take_status(line);
                said = status;
            }
            let signalled = tokio::select! {
                () = received(&mut interrupt) => true,
                () = received(&mut terminate) => true,
                () = tokio::time::sleep(TICK) => false,
            };
            let is_told = signalled || agent.is_some_and(AgentStatus::has_gone);
            match until {
                None if is_told => {
                    shipper.end(End::Drain);
                    until = Some(Instant::now() + DRAIN_LIMIT);
                }
                Some(at) if signalled || Instant::now() >= at => {
                    shipper.end(End::Now);
                    return Ok(());
                }
                None | Some(_) => {}
            }
            if shipper.is_over() || shipper.has_failed() {
                return Ok(());
            }
        }
    })
}

type Signal = Option<tokio::signal::unix::Signal>;

fn signal_of(agent: Option<&AgentStatus>, kind: SignalKind) -> std::io::Result<Signal> {
    match agent {
        Some(_) => Ok(None),
        None => signal(kind).map(Some),
    }
}

async fn received(signal: &mut Signal) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// What was sent, in a line, and every way in which something was not.
fn summary(shipper: &Shipper, removes: bool) -> String {
    let mut line = String::new();
    for one in shipper.shipped() {
        let totals = one.counts.totals();
        if !line.is_empty() {
            line.push_str("; ");
        }
        let batches = match totals.batches_sent {
            1 => "1 batch".to_owned(),
            n => format!("{n} batches"),
        };
        let _ = write!(line, "{batches} sent to {}", one.place);
        let losses = [
            (totals.behind_batches, "wait in the spool"),
            (
                totals.batches_vanished,
                "were removed before they were sent",
            ),
            (totals.restarts, "times its thread had to be started again"),
            (
                totals.ledger_errors,
                "times its ledger could not be written",
            ),
        ];
        for (many, what) in losses.iter().filter(|(many, _)| *many > 0) {
            let _ = write!(line, ", {many} {what}");
        }
        for (reason, many) in &totals.given_up {
            let _ = write!(line, ", {many} given up ({})", reason.replace('_', " "));
        }
    }
    if removes {
        let _ = write!(line, "; {} removed that were sent", shipper.removed());
    }
    line
}
