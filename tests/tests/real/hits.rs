//! Hits of probes in a recording, each with what it means.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cirron_agent::{Input, RecordingReader};
use cirron_core::record::{Body, Record};

/// A hit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToldHit {
    /// Name of the scope or mark.
    pub(crate) name: String,
    /// One of `cirron_common::hit::role`.
    pub(crate) role: u8,
    /// Its values; `None` where one could not be read.
    pub(crate) values: Vec<Option<u64>>,
    /// Names of its values.
    pub(crate) value_names: Vec<String>,
    /// Its texts; `None` where one could not be read.
    pub(crate) texts: Vec<Option<String>>,
    /// The file that has the probe.
    pub(crate) image: u64,
    /// Where the stack pointer stood.
    pub(crate) stack: u64,
    /// Whose.
    pub(crate) pid: u32,
    /// Which thread.
    pub(crate) tid: u32,
    /// When, monotonic ns.
    pub(crate) ts_ns: u64,
}

impl ToldHit {
    /// The text as it is, or `?`.
    pub(crate) fn text(&self, n: usize) -> &str {
        self.texts.get(n).and_then(Option::as_deref).unwrap_or("?")
    }
}

struct Meaning {
    name: String,
    role: u8,
    image: u64,
    value_names: Vec<String>,
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The hits of a recording, in its order. What each means must have been told before it.
pub(crate) fn hits(recording: &Path) -> Result<Vec<ToldHit>> {
    let mut reader = RecordingReader::new(BufReader::new(File::open(recording)?))?;
    let mut meanings: HashMap<u32, Meaning> = HashMap::new();
    let mut found = Vec::new();
    while let Some(input) = reader.next_input()? {
        let Input::Record(bytes) = input else {
            continue;
        };
        let Ok(Record { head, body }) = Record::decode(&bytes) else {
            continue;
        };
        match body {
            Body::Spec(spec) => {
                let meaning = Meaning {
                    name: lossy(spec.name),
                    role: spec.role,
                    image: spec.image,
                    value_names: spec.values().map(|v| lossy(v.name)).collect(),
                };
                let before = meanings.insert(spec.probe, meaning);
                ensure!(before.is_none(), "number {} has two meanings", spec.probe);
            }
            Body::Hit(hit) => {
                let meaning = meanings.get(&hit.probe());
                let meaning = meaning.context("a hit came before what it means")?;
                let texts = (0..).map_while(|n| hit.text(n));
                found.push(ToldHit {
                    name: meaning.name.clone(),
                    role: meaning.role,
                    values: (0..meaning.value_names.len())
                        .map(|n| hit.value(n))
                        .collect(),
                    value_names: meaning.value_names.clone(),
                    texts: texts
                        .map(|text| (!text.fault).then(|| lossy(text.bytes)))
                        .collect(),
                    image: meaning.image,
                    stack: hit.stack(),
                    pid: head.tgid,
                    tid: head.tid,
                    ts_ns: head.ts.0,
                });
            }
            Body::Data(_)
            | Body::Open(_)
            | Body::Close { .. }
            | Body::Link(_)
            | Body::Sent { .. }
            | Body::Tuned
            | Body::Fork { .. }
            | Body::Exec
            | Body::Exit
            | Body::ThreadExit
            | Body::Listen
            | Body::Mmap
            | Body::ContextMade { .. }
            | Body::ContextEnded { .. }
            | Body::Secret(_)
            | Body::Release => {}
        }
    }
    Ok(found)
}
