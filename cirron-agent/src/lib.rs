//! The I/O shell of cirron-agent: everything that touches the system.
//!
//! `cirron-core` turns captured bytes into spans and knows no clock, file or thread; this crate
//! gives it records from the kernel ([`kernel`]), facts from procfs ([`discovery`]), the time
//! ([`clock`]), and carries what comes out to the spool ([`spool`]) and the other outputs
//! ([`output`]). [`driver`] ties them together on three threads; [`cli`] is the way in.

pub mod cli;
pub mod clock;
pub mod discovery;
pub mod doctor;
pub mod driver;
pub mod files;
pub mod ids;
pub mod inherited;
pub mod kernel;
pub mod output;
pub mod preflight;
pub mod privileges;
pub mod probes;
pub mod record;
pub mod shown;
pub mod spool;
#[cfg(test)]
mod testing;
