//! Where finished scopes go: the spool, standard output, or nowhere; and the tree of a spool.

pub mod figures;
pub mod line;
pub mod lossy;
pub mod outputs;
pub mod stdout;
pub mod tree;

use cirron_core::scope::{Mark, Span};

use crate::clock::Anchor;

/// A session root (without marks), or a finished scope with its marks, and the anchor that turns
/// its times into wall-clock times.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The span.
    pub span: Span,
    /// Its marks.
    pub marks: Vec<Mark>,
    /// The clocks when it came out of the engine.
    pub anchor: Anchor,
}

/// An output that a user can ask for, by the SDK's name (`output=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputKind {
    /// JSON batches in `<output-dir>/spool`
    Spool,
    /// One line for each finished scope on standard output
    Stdout,
    /// Nothing is written; the summary still is
    None,
}
