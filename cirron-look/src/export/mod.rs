//! `export`: the requests of spools in the formats of others.
//!
//! ```text
//! Requests (one by one) --Format::take--> bytes --> Target (a file that appears whole, or standard output)
//! ```
//! A format is a module here and a row in [`Kind::open`]. All of them stream: what is held is a row group, a line, or
//! what a format's own header names. A value that is not known is empty or null, never 0.

pub mod columns;
mod counters;
mod csv;
mod json;
mod lanes;
mod otlp;
mod parquet;
mod perfetto;
mod proto;
pub mod target;

use std::io::{self, Write};

use crate::request::{Detail, Request};
use crate::requests::{Lost, Requests, Spools};

/// What requests are written as.
pub trait Format {
    /// One more.
    fn take(&mut self, request: &Request) -> io::Result<()>;
    /// All have come; writes what is held.
    fn end(&mut self) -> io::Result<Vec<String>>;
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A trace for <https://ui.perfetto.dev>, in its binary format.
    Perfetto,
    /// A line for each scope, with a head.
    Csv,
    /// Columns, compressed.
    Parquet,
    /// An object for each scope, with all that the spool has of it.
    Jsonl,
    /// OTLP/JSON: lines of `TracesData`.
    Otlp,
}

impl Kind {
    /// All, with the names that a command line has for them.
    pub const ALL: [(&'static str, Kind); 5] = [
        ("perfetto", Kind::Perfetto),
        ("csv", Kind::Csv),
        ("parquet", Kind::Parquet),
        ("jsonl", Kind::Jsonl),
        ("otlp", Kind::Otlp),
    ];

    /// Whether it is nothing for a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Kind::Perfetto | Kind::Parquet)
    }

    fn detail(self) -> Detail {
        match self {
            Kind::Perfetto | Kind::Csv | Kind::Parquet => Detail::Fields,
            Kind::Jsonl | Kind::Otlp => Detail::All,
        }
    }

    /// Begins writing it.
    pub fn open<'w>(self, out: Box<dyn Write + Send + 'w>) -> io::Result<Box<dyn Format + 'w>> {
        Ok(match self {
            Kind::Perfetto => Box::new(perfetto::Perfetto::new(out)?),
            Kind::Csv => Box::new(csv::Csv::new(out)?),
            Kind::Parquet => Box::new(parquet::Parquet::new(out)?),
            Kind::Jsonl => Box::new(json::Jsonl::new(out)),
            Kind::Otlp => Box::new(otlp::Otlp::new(out)),
        })
    }
}

/// What was exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Scopes that were given to the format.
    pub scopes: usize,
    /// What could not be, and what should be known of the rest.
    pub sentences: Vec<String>,
}

/// Writes all scopes of `spools`.
pub fn export(
    spools: &Spools,
    kind: Kind,
    out: Box<dyn Write + Send + '_>,
) -> io::Result<Exported> {
    let mut format = kind.open(out)?;
    let mut requests = match kind {
        Kind::Perfetto => Requests::index_grouped(spools),
        Kind::Csv | Kind::Parquet | Kind::Jsonl | Kind::Otlp => Requests::index(spools),
    };
    let mut exported = Exported::default();
    let mut failed = None;
    requests.each(spools, kind.detail(), |request| {
        if failed.is_none() {
            exported.scopes += 1 + below(&request);
            failed = format.take(&request).err();
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    exported.sentences = format.end()?;
    let lost: Lost = requests.lost();
    exported.sentences.extend(lost.sentences());
    Ok(exported)
}

fn below(request: &Request) -> usize {
    request.children.iter().map(|child| 1 + below(child)).sum()
}

#[cfg(test)]
mod tests;
