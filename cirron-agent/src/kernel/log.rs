//! What the programs themselves have to say, with `-vv`: rare events only, never one for each call.
//!
//! The level is a constant to the verifier, so that without `-vv` the programs carry none of it.

use aya::Ebpf;
use aya_log::{EbpfLogger, LEVEL, Level};
use log::{Log, Metadata, Record};

/// The level to load the programs with; 0 is none.
pub(super) fn level() -> u8 {
    if tracing::enabled!(tracing::Level::DEBUG) {
        Level::Debug as u8
    } else {
        0
    }
}

/// The global that holds the level.
pub(super) const LEVEL_GLOBAL: &str = LEVEL;

/// Hands the lines on to the agent's own log.
pub(super) struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        tracing::debug!("programs: {}", record.args());
    }

    fn flush(&self) {}
}

/// The reader of the lines; `None` where nothing is to be said.
pub(super) fn reader(ebpf: &mut Ebpf) -> Option<EbpfLogger<ToTracing>> {
    if level() == 0 {
        return None;
    }
    EbpfLogger::init_with_logger(ebpf, ToTracing)
        .inspect_err(|e| tracing::warn!("the programs' own log cannot be read: {e}"))
        .ok()
}
