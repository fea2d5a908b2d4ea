//! A line of JSON for each batch, for the runtime that reads this process's standard output: the SDK's
//! `EventStreamTransport`.

use std::io::Write;
use std::time::SystemTime;

use super::VERSION;
use crate::batch::Batch;
use crate::destination::{Destination, Outcome};

/// `SPOOL_SCHEMA_VERSION` of the SDK.
const SCHEMA_VERSION: u32 = 1;

/// Writes lines.
#[derive(Debug)]
pub struct Events<W>(pub W);

/// The line of a batch, with its end.
pub fn line(batch: &Batch) -> Vec<u8> {
    let mut line = format!(
        r#"{{"__cirron_event__":"trace_batch","schema_version":{SCHEMA_VERSION},"sdk_version":"{VERSION}","payload":"#
    )
    .into_bytes();
    // It is whole JSON, in which a line ends between values only.
    let in_one_line = |b: &u8| if matches!(b, b'\n' | b'\r') { b' ' } else { *b };
    line.extend(batch.body().iter().map(in_one_line));
    line.extend(b"}\n");
    line
}

impl<W: Write + Send> Destination for Events<W> {
    fn name(&self) -> &str {
        "events"
    }

    fn place(&self) -> String {
        "standard output".to_owned()
    }

    fn send(&mut self, batch: &Batch, _: SystemTime) -> Outcome {
        let line = line(batch);
        match self.0.write_all(&line).and_then(|()| self.0.flush()) {
            Ok(()) => Outcome::Sent {
                bytes: line.len() as u64,
            },
            Err(e) => Outcome::Retry {
                after: None,
                why: e.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::testing::Spool;

    #[test]
    fn a_batch_is_one_line_of_the_sdk_s_envelope() {
        let spool = Spool::new();
        let name = spool.put(
            1,
            b"{\n \"batch_id\": \"01\",\r\n \"marks\": [\"a\\nb \xc3\xa4\"]}\n",
        );
        let batch = Batch::read(&spool.place, &name).unwrap();
        let mut events = Events(Vec::new());
        let sent = events.send(&batch, SystemTime::now());
        let text = String::from_utf8(events.0).unwrap();
        assert_eq!(
            sent,
            Outcome::Sent {
                bytes: text.len() as u64
            }
        );
        assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let want = serde_json::json!({
            "__cirron_event__": "trace_batch",
            "schema_version": 1,
            "sdk_version": VERSION,
            "payload": {"batch_id": "01", "marks": ["a\nb ä"]},
        });
        assert_eq!(json, want);
    }

    #[test]
    fn a_closed_output_keeps_the_batch() {
        let spool = Spool::new();
        let batch = Batch::read(&spool.place, &spool.batch(1)).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let outcome = Events(writer).send(&batch, SystemTime::now());
        assert!(
            matches!(outcome, Outcome::Retry { after: None, .. }),
            "{outcome:?}"
        );
    }
}
