//! The table of sinks: adding one is a row here and a module of its own.

use clap::builder::{PossibleValue, TypedValueParser};

use super::sink::SinkKind;
use super::stdout;
use crate::spool;

/// Every kind, in the order of `--help`.
pub const KINDS: &[&SinkKind] = &[
    &spool::sink::KIND,
    &stdout::KIND,
    #[cfg(test)]
    &super::testing::SLEEPER,
    #[cfg(test)]
    &super::testing::NEEDED,
];

/// What `--output` may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutputKind {
    /// A sink.
    Sink(&'static SinkKind),
    /// None at all, by the SDK's name.
    None,
}

/// The SDK's name for no output.
const NONE: &str = "none";

/// The values of `--output`.
pub fn parser() -> impl TypedValueParser<Value = OutputKind> {
    let sinks = KINDS
        .iter()
        .map(|kind| PossibleValue::new(kind.name).help(kind.help));
    let none = PossibleValue::new(NONE).help("Nothing is written; the summary still is");
    clap::builder::PossibleValuesParser::new(sinks.chain([none])).map(|name| {
        KINDS
            .iter()
            .find(|kind| kind.name == name)
            .map_or(OutputKind::None, |kind| OutputKind::Sink(kind))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_one_sink_s_and_no_other_word_of_the_summary() {
        let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert!(!names.contains(NONE));
    }
}
