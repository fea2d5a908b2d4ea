//! The I/O shell of cirron-agent: everything that touches the system.
//!
//! `cirron-core` turns captured bytes into spans and knows no clock, file or thread; this crate
//! gives it records from the kernel ([`kernel`]), facts from procfs ([`discovery`]), the time
//! ([`clock`]), and carries what comes out to the spool ([`spool`]) and the other outputs
//! ([`output`]). [`driver`] ties them together on three threads; [`cli`] is the way in.
//!
//! It is the binary's library, and closed but for what stands here: the way in, and what the fuzz targets and the tests
//! beside it use. So the compiler sees what nobody calls.
#![allow(
    unreachable_pub,
    reason = "every module is private: `pub` in one means for the others of this crate"
)]

mod cli;
mod clock;
mod config;
mod containers;
mod control;
mod discovery;
mod doctor;
mod driver;
mod files;
mod ids;
mod inherited;
mod kernel;
mod output;
mod preflight;
mod privileges;
mod probes;
mod record;
mod shipping;
mod spool;
mod targets;
#[cfg(test)]
mod testing;
mod unseal;

pub use cli::main;
pub use output::Finished;
pub use probes::place::{Choice, Class, Place};
pub use probes::plan::{Attach, Exit, Look, Plan, plan};
pub use probes::quiet::Quiet;
pub use probes::source::{MAX_READ_BYTES, ReadAt};
pub use probes::tls::blind::library as blind_library;
pub use record::Input;
pub use record::reader::RecordingReader;
pub use record::replay::replay;
pub use record::{MAGIC, VERSION};
pub use spool::DEFAULT_MAX_BYTES;
pub use spool::batch::Batch;
pub use spool::json::WallTimes;
