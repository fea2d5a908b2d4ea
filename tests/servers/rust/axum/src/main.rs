//! A server of axum, whose functions count themselves: `scripted-axum PORT`.
//! GET /work/N answers; GET /counts says how often each function was called.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;

static ANSWERED: AtomicU64 = AtomicU64::new(0);
static PREPARED: AtomicU64 = AtomicU64::new(0);
static COMPUTED: AtomicU64 = AtomicU64::new(0);
static RESPONDED: AtomicU64 = AtomicU64::new(0);

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[inline(never)]
fn prepare(n: u64) -> Vec<u64> {
    count(&PREPARED);
    (0..black_box(n)).collect()
}

/// Calls itself `n` times more.
#[inline(never)]
fn compute(n: u64) -> u64 {
    count(&COMPUTED);
    match black_box(n) {
        0 => 1,
        n => black_box(compute(n - 1)) + n,
    }
}

#[inline(never)]
fn respond(total: u64) -> String {
    count(&RESPONDED);
    format!("{}\n", black_box(total))
}

#[inline(never)]
fn answer(n: u64) -> String {
    count(&ANSWERED);
    let prepared = prepare(n % 4);
    let total = compute(n % 4) + prepared.len() as u64;
    respond(total)
}

fn counts() -> String {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "answer {} prepare {} compute {} respond {}\n",
        of(&ANSWERED),
        of(&PREPARED),
        of(&COMPUTED),
        of(&RESPONDED)
    )
}

fn main() {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let router = Router::new()
        .route("/work/{n}", get(async |Path(n): Path<u64>| answer(n)))
        .route("/counts", get(async || counts()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let at = (Ipv4Addr::LOCALHOST, port);
        let listener = tokio::net::TcpListener::bind(at).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}
