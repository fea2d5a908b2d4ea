//! The file that `--record` writes and `replay` reads: any bytes, through the reader and the engine.

use std::io::{self, Read};

use cirron_agent::Finished;
use cirron_agent::RecordingReader;
use cirron_agent::replay;
use cirron_agent::{MAGIC, VERSION};
use cirron_core::id::SequentialIds;

/// Gives one byte at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = into.len().min(1);
        self.0.read(&mut into[..n])
    }
}

/// What a replay gave; `None` where not even the head was right.
#[derive(Debug, PartialEq)]
struct Given {
    spans: Vec<Finished>,
    inputs: u64,
    records: u64,
    damage: Option<String>,
}

fn given(from: impl Read) -> Option<Given> {
    let mut reader = RecordingReader::new(from).ok()?;
    let mut spans = Vec::new();
    let replayed = replay(&mut reader, Box::<SequentialIds>::default(), |finished| {
        spans.push(finished);
    });
    Some(Given {
        spans,
        inputs: replayed.inputs,
        records: replayed.records,
        damage: replayed.damage.map(|damage| damage.to_string()),
    })
}

/// A recording. The first byte says whether a good head is put before the rest.
///
/// # Panics
/// When the sizes of its reads change what is replayed, when more entries are found than there is
/// room for, or when a span of a session stays open.
pub fn recording(input: &[u8]) {
    let Some((config, rest)) = input.split_first() else {
        return;
    };
    let mut file = Vec::new();
    if config & 1 == 1 {
        file.extend_from_slice(MAGIC);
        file.extend(VERSION.to_le_bytes());
        file.extend(cirron_common::ABI_VERSION.to_le_bytes());
        file.extend([1, 0, 0, 0]);
    }
    file.extend_from_slice(rest);
    let whole = given(file.as_slice());
    assert_eq!(whole, given(Trickle(&file)), "read in pieces");
    let Some(whole) = whole else { return };
    // An entry has five bytes at least.
    assert!(whole.inputs * 5 <= file.len() as u64);
    assert!(whole.records <= whole.inputs);
    let roots = |open: bool| {
        let roots = whole.spans.iter().map(|finished| &finished.span);
        roots
            .filter(|span| span.parent_id.is_none() && span.end.is_none() == open)
            .count()
    };
    assert!(roots(true) <= roots(false), "a session stays open");
}
