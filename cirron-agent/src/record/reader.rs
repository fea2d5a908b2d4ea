//! Reading a recording: bounded, and of a damaged file everything before the damage.

use std::io::{self, Read};

use cirron_core::engine::ProcessFacts;
use cirron_core::time::MonoNs;

use super::{
    BYTE_ORDER, HEAD_LEN, Input, MAGIC, MAX_ENTRY_BYTES, OLDEST_VERSION, ProcessEntry, VERSION,
    kind,
};
use crate::clock::Anchor;

/// Why a recording, or the rest of one, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not ours at all.
    #[error("this is not a recording of cirron-agent\n  make one with --record FILE")]
    NotARecording,
    /// Of another version or another kind of machine.
    #[error("{what}\n  replay it with the agent that made it")]
    OtherVersion {
        /// What differs.
        what: String,
    },
    /// The file ends within an entry.
    #[error("the recording is cut off in its entry {entry}, at byte {offset}")]
    Truncated {
        /// Entries before it.
        entry: u64,
        /// Where the entry begins.
        offset: u64,
    },
    /// An entry makes no sense.
    #[error("the recording is damaged in its entry {entry}, at byte {offset}: {what}")]
    Damaged {
        /// Entries before it.
        entry: u64,
        /// Where the entry begins.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// The system said no.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads entries.
#[derive(Debug)]
pub struct RecordingReader<R> {
    from: R,
    entry: u64,
    offset: u64,
}

impl<R: Read> RecordingReader<R> {
    /// Checks the head.
    pub fn new(mut from: R) -> Result<RecordingReader<R>, ReadError> {
        let mut head = [0; HEAD_LEN];
        if fill(&mut from, &mut head)? < HEAD_LEN || &head[..16] != MAGIC {
            return Err(ReadError::NotARecording);
        }
        let version = u16::from_le_bytes([head[16], head[17]]);
        let abi = u16::from_le_bytes([head[18], head[19]]);
        let what = if !(OLDEST_VERSION..=VERSION).contains(&version) {
            Some(format!(
                "the recording has version {version}, this agent reads {VERSION}"
            ))
        } else if !cirron_common::reads_abi(abi) {
            let ours = cirron_common::ABI_VERSION;
            Some(format!(
                "its records have version {abi}, this agent reads {ours}"
            ))
        } else if head[20] != BYTE_ORDER {
            Some("it was made on a machine with another byte order".to_owned())
        } else {
            None
        };
        match what {
            Some(what) => Err(ReadError::OtherVersion { what }),
            None => Ok(RecordingReader {
                from,
                entry: 0,
                offset: HEAD_LEN as u64,
            }),
        }
    }

    /// The next input; `None` at the end.
    pub fn next_input(&mut self) -> Result<Option<Input>, ReadError> {
        let mut head = [0; 5];
        match fill(&mut self.from, &mut head)? {
            0 => return Ok(None),
            5 => {}
            _ => return Err(self.truncated()),
        }
        let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        if len > MAX_ENTRY_BYTES {
            return Err(self.damaged(format!("a length of {len} bytes")));
        }
        let mut payload = Vec::new();
        // `take` bounds it; the buffer grows with what is really there.
        let got = (&mut self.from)
            .take(u64::from(len))
            .read_to_end(&mut payload)?;
        if got < len as usize {
            return Err(self.truncated());
        }
        let input = decode(head[0], payload).map_err(|what| self.damaged(what))?;
        self.entry += 1;
        self.offset += 5 + u64::from(len);
        Ok(Some(input))
    }

    fn truncated(&self) -> ReadError {
        ReadError::Truncated {
            entry: self.entry,
            offset: self.offset,
        }
    }

    fn damaged(&self, what: String) -> ReadError {
        ReadError::Damaged {
            entry: self.entry,
            offset: self.offset,
            what,
        }
    }
}

fn decode(kind: u8, payload: Vec<u8>) -> Result<Input, String> {
    let number = |at: usize| -> Result<u64, String> {
        let bytes = payload
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(u64::from_le_bytes)
            .ok_or_else(|| "a number is missing".to_owned())
    };
    Ok(match kind {
        kind::CONFIG => Input::Config(serde_json::from_slice(&payload).map_err(|e| e.to_string())?),
        kind::ANCHOR => Input::Anchor(Anchor {
            mono: MonoNs(number(0)?),
            wall_ns: number(8)?,
        }),
        kind::PROCESS => {
            let entry: ProcessEntry =
                serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
            Input::Process(ProcessFacts::from(entry))
        }
        kind::RULES => Input::Rules(serde_json::from_slice(&payload).map_err(|e| e.to_string())?),
        kind::RECORD => Input::Record(payload),
        kind::TIMEOUT => Input::Timeout(MonoNs(number(0)?)),
        kind::SHUTDOWN => Input::Shutdown(MonoNs(number(0)?)),
        other => return Err(format!("an unknown kind, {other}")),
    })
}

/// Reads until `into` is full or the input ends; returns how much was read.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match from.read(&mut into[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
