//! `replay` and `tree`: what works on files alone, without rights.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context, anyhow};
use cirron_core::id::{IdSource, SequentialIds};

use super::attach::{StdoutReader, open_outputs};
use super::exit::Exit;
use super::hiargs::OutputPlan;
use super::lowargs::IdKind;
use super::{Failed, say};
use crate::discovery::owner::Owner;
use crate::driver::summary::engine_counters;
use crate::driver::words::captured;
use crate::ids::Uuid4Ids;
use crate::output::tree::{Drawing, draw};
use crate::record::reader::RecordingReader;
use crate::record::replay::replay as feed;
use crate::spool::read::Batches;
use crate::spool::stamp::{CountingStamp, LiveStamp, Stamp};

/// Feeds a recording to an engine.
pub fn replay(file: &Path, ids: IdKind, plan: &OutputPlan) -> Result<Exit, Failed> {
    let name = file.display();
    let from = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    let mut reader = RecordingReader::new(BufReader::with_capacity(1 << 20, from))
        .with_context(|| name.to_string())?;
    let (ids, stamp): (Box<dyn IdSource + Send>, Box<dyn Stamp>) = match ids {
        IdKind::Uuid => (Box::new(Uuid4Ids), Box::new(LiveStamp)),
        IdKind::Sequential => (
            Box::new(SequentialIds::default()),
            Box::new(CountingStamp::new(0)),
        ),
    };
    let mut outputs = open_outputs(plan, Owner::of_this_process(), stamp, StdoutReader::Waited)?;
    let done = feed(&mut reader, ids, |scope| outputs.accept(&scope));
    outputs.finish();
    let seen = captured(&engine_counters(&done.engine));
    say(&format!("replayed {} records: {seen}", done.records));
    match done.damage {
        None => Ok(Exit::Ok),
        Some(damage) => Err(anyhow::Error::new(damage).context(name.to_string()).into()),
    }
}

/// Draws a spool.
pub fn tree(spool_dir: &Path, drawing: Drawing) -> Result<Exit, Failed> {
    let batches = Batches::list(spool_dir).map_err(|e| {
        let path = spool_dir.display();
        anyhow!("there is no spool in {path}: {e}\n  name its place with --output-dir DIR")
    })?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let left_out = draw(&batches, drawing, &mut out).context("standard output")?;
    out.flush().context("standard output")?;
    for sentence in left_out.sentences() {
        say(&sentence);
    }
    Ok(Exit::Ok)
}
