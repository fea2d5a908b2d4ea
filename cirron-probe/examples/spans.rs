//! Spans of `tracing` as scopes. It needs the feature `tracing`.

use tracing_subscriber::prelude::*;

fn main() {
    let layer = cirron_probe::ScopeLayer::new(["spans"]);
    tracing_subscriber::registry().with(layer).init();
    preprocess(3);
}

fn preprocess(rows: u64) {
    let span = tracing::info_span!("preprocess", rows, tokens = tracing::field::Empty);
    let _entered = span.enter();
    span.record("tokens", 17);
}
