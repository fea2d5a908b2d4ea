//! A page about a spool: one HTML file that loads nothing, for a browser, a mail or a printer.
//!
//! ```text
//! spools -> survey (one reading) -> stats -> charts, tables, sentences -> page
//!                    '-> the slowest calls, read again -> waterfalls
//! ```
//! It promises that every figure on it was measured (percentiles are exact, by nearest rank), that what is not known is
//! left out or said, and that text of the spool is never markup. It reads without a script; one of 30 lines sorts
//! tables. It judges by the bounds that it is given, and names no causes: that is [`crate::explain`]'s part, which
//! names none either, but where the time of one call went.

mod charts;
mod html;
mod page;
mod quality;
mod slo;
mod tables;
mod waterfall;
mod window;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

pub use slo::{SloError, Slos};

use crate::requests::Spools;
use crate::survey;
use crate::survey::calls::Call;
use crate::survey::chosen::chosen;

/// Calls that are drawn as waterfalls, the slowest.
const SLOWEST: usize = 10;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bounds to judge by.
    pub slos: Slos,
    /// What the spools are called, for the foot of the page.
    pub spools: Vec<String>,
    /// Who made the page: name and version.
    pub maker: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Exchanges that were read.
    pub calls: usize,
    /// What of the spool was not read, a sentence each.
    pub left_out: Vec<String>,
}

/// Writes the page.
pub fn report(spools: &Spools, options: &Options, out: &mut dyn Write) -> io::Result<Made> {
    let (all, left) = survey::read(spools);
    let population = survey::Population::from_collected(&all);
    let mut calls: Vec<&Call> = all
        .calls
        .iter()
        .filter(|call| population.has(call))
        .collect();
    calls.sort_unstable_by_key(|call| (call.start_ns, call.key));
    let mut slowest: Vec<&Call> = calls
        .iter()
        .copied()
        .filter(|call| call.latency_ms().is_some())
        .collect();
    let latency = |call: &Call| call.latency_ms().unwrap_or(0.0);
    slowest.sort_by(|a, b| latency(b).total_cmp(&latency(a)));
    slowest.truncate(SLOWEST);
    let drawn = chosen(spools, &all, &slowest);
    let left_out = left.sentences();
    let page = page::Page {
        all: &all,
        population,
        calls: &calls,
        slowest: &drawn,
        left_out: &left_out,
        options,
    };
    page.write(out)?;
    Ok(Made {
        calls: all.calls.len(),
        left_out,
    })
}
