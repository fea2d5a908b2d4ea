//! Prometheus: series as text, and the small server that is scraped.
//!
//! The text is written here and not by the crate `prometheus-client`: that one holds series itself and shows them in
//! one format; ours are held once for Prometheus and OTLP, are retired with their source, and are shown in the formats
//! that scrapers ask for: two of text, and protobuf, which has native histograms. What is written is read back by `promtool`
//! and a real Prometheus in the suite.

mod figures;
mod format;
mod protobuf;
mod server;
mod text;

pub use figures::{Figure, Kind as FigureKind, MAX_FIGURES, of_status};
pub use format::{Format, write};
pub use server::{Answer, Asked, LIMIT, MAX_CONNECTIONS, Server, ServerCounts};
pub use text::name;
