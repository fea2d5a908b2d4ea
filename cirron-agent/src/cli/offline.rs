//! `replay`: a recording, without rights.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, anyhow};
use cirron_core::id::{IdSource, SequentialIds};

use super::exit::Exit;
use super::lowargs::IdKind;
use super::{Failed, say};
use crate::discovery::owner::Owner;
use crate::driver::summary::engine_counters;
use crate::driver::words::captured;
use crate::ids::Uuid4Ids;
use crate::output::outputs::{Outputs, Pace};
use crate::output::sink::{Opening, OutputPlan};
use crate::privileges::Rights;
use crate::record::reader::RecordingReader;
use crate::record::replay::replay as feed;
use crate::spool::stamp::{CountingStamp, LiveStamp, MakeStamp};

/// Feeds a recording to an engine.
pub fn replay(file: &Path, ids: IdKind, plan: &OutputPlan) -> Result<Exit, Failed> {
    let name = file.display();
    let from = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    let mut reader = RecordingReader::new(BufReader::with_capacity(1 << 20, from))
        .with_context(|| name.to_string())?;
    let (ids, stamp): (Box<dyn IdSource + Send>, MakeStamp) = match ids {
        IdKind::Uuid => (Box::new(Uuid4Ids), || Box::new(LiveStamp)),
        IdKind::Sequential => (Box::new(SequentialIds::default()), || {
            Box::new(CountingStamp::new(0))
        }),
    };
    let outputs = Outputs::open(&Opening {
        plan,
        owner: Owner::of_this_process(),
        stamp,
    })?;
    let (mut to_sinks, sinks) = outputs.start(Pace::Replay, Rights::unchanged())?;
    let done = feed(&mut reader, ids, |scope| to_sinks.hand_on([scope]));
    drop(to_sinks);
    let counts = sinks.counts();
    sinks.finish();
    if let Some(sink) = counts.failed() {
        return Err(anyhow!("the {sink} thread panicked; report it").into());
    }
    let seen = captured(&engine_counters(&done.engine));
    say(&format!("replayed {} records: {seen}", done.records));
    match done.damage {
        None => Ok(Exit::Ok),
        Some(damage) => Err(anyhow::Error::new(damage).context(name.to_string()).into()),
    }
}
