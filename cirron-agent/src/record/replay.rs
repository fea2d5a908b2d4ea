//! Feeding a recording to a fresh engine. Needs no rights, no kernel support and no clock.

use std::io::Read;

use cirron_core::engine::{Engine, EngineConfig, EngineStats, Output};
use cirron_core::id::IdSource;
use cirron_core::record::Record;
use cirron_core::time::MonoNs;

use super::reader::{ReadError, RecordingReader};
use super::{ConfigEntry, Input, RulesEntry};
use crate::clock::Anchor;
use crate::output::Finished;

/// What a replay did.
#[derive(Debug)]
pub struct Replayed {
    /// The engine's counts.
    pub engine: EngineStats,
    /// Inputs that were fed.
    pub inputs: u64,
    /// Records among them.
    pub records: u64,
    /// Why the rest of the file was not used.
    pub damage: Option<ReadError>,
}

/// Feeds everything that can be read; each output goes to `sink`. A recording without an end (its
/// agent was killed) is ended at the last time that it names.
pub fn replay<R: Read>(
    reader: &mut RecordingReader<R>,
    ids: Box<dyn IdSource + Send>,
    mut sink: impl FnMut(Finished),
) -> Replayed {
    let mut ids = Some(ids);
    let mut engine: Option<Engine> = None;
    let mut anchor = Anchor::default();
    let mut last = MonoNs::default();
    let mut ended = false;
    let (mut inputs, mut records) = (0, 0);
    let damage = loop {
        let input = match reader.next_input() {
            Ok(Some(input)) => input,
            Ok(None) => break None,
            Err(e) => break Some(e),
        };
        inputs += 1;
        if let Some(ids) = ids.take() {
            // The configuration comes first; a recording without one was made by hand.
            let config = if let Input::Config(entry) = &input {
                entry.clone()
            } else {
                ConfigEntry::default()
            };
            engine = Some(Engine::new(EngineConfig::from(config), ids));
        }
        let Some(engine) = engine.as_mut() else {
            continue;
        };
        // Not the end after all, where something follows it: the file is damaged, or was joined.
        ended &= matches!(input, Input::Anchor(_));
        match input {
            Input::Config(_) => {}
            Input::Anchor(new) => anchor = new,
            Input::Process(facts) => engine.handle_process(facts),
            Input::Rules(RulesEntry(rules)) => engine.handle_rules(rules),
            Input::Record(record) => {
                records += 1;
                last = Record::decode(&record).map_or(last, |r| last.max(r.head.ts));
                engine.handle_record(&record);
            }
            Input::Timeout(now) => {
                last = last.max(now);
                engine.handle_timeout(now);
            }
            Input::Shutdown(now) => {
                last = last.max(now);
                ended = true;
                engine.handle_shutdown(now);
            }
        }
        drain(engine, &anchor, &mut sink);
    };
    if let Some(engine) = engine.as_mut().filter(|_| !ended) {
        engine.handle_shutdown(last);
        drain(engine, &anchor, &mut sink);
    }
    let engine = engine.map(|engine| engine.stats()).unwrap_or_default();
    Replayed {
        engine,
        inputs,
        records,
        damage,
    }
}

fn drain(engine: &mut Engine, anchor: &Anchor, sink: &mut impl FnMut(Finished)) {
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Session(span) | Output::Open(span) => sink(Finished {
                span,
                marks: Vec::new(),
                anchor: *anchor,
            }),
            Output::Scope { span, marks } => sink(Finished {
                span,
                marks,
                anchor: *anchor,
            }),
            Output::Mute { .. } | Output::Watched(_) | Output::Unplaced { .. } => {}
        }
    }
}
