//! What a spool says, in the words that others read: metrics, Prometheus' formats, OTLP.
//!
//! ```text
//! cirron-spool (rows) -> cirron_look::joined (spans that have ended, with marks and session)
//!                          |-> metrics (series) -> prometheus (text over HTTP)
//!                          |                   \-> otlp::metrics
//!                          \-> otlp::traces -> otlp::send (gRPC, HTTP/protobuf)
//! ```
//! It stands behind the spool and beside `cirron-ship`, whose process follows the directory and hands batches over;
//! it is a crate of its own so that what follows a spool need not be built with a gRPC client to be tested.
//!
//! It promises that an exchange is counted once however often its span is written, that a figure which the spool does
//! not have is in no histogram, and that what strangers choose (names of models, paths) makes a bounded number of
//! series. It reads no clock and no file but where a module says so.

pub mod destinations;
pub mod metrics;
pub mod otlp;
pub mod prometheus;
