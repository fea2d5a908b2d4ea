//! A body that a TLS library sent from a file (`SSL_sendfile`): its bytes were never in the process.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{flag, source};

use super::{Engine, EngineConfig, ProcessFacts};
use crate::id::SequentialIds;
use crate::record::Body;
use crate::scope::{AttrValue, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, edited};
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::TLS,
};

fn with(record: &[u8], more: u8) -> Vec<u8> {
    edited(record, |record| {
        if let Body::Data(data) = &mut record.body {
            data.flags |= more;
        }
    })
}

/// An exchange whose answer's head says `length` bytes, of which `sent` went by in one call.
fn exchange(length: u64, sent: u64) -> Span {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        ..ProcessFacts::default()
    });
    let request = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let (asked, headed) = (request.len() as u64, head.len() as u64);
    let (inbound, outbound) = (Direction::Inbound, Direction::Outbound);
    for (record, flags) in [
        (CONN.open(100), 0),
        (CONN.data(inbound, 0, MS, request, asked), 0),
        (CONN.data(outbound, 0, 2 * MS, head.as_bytes(), headed), 0),
        (CONN.data(outbound, headed, 3 * MS, &[], sent), flag::BYPASS),
    ] {
        engine.handle_record(&with(&record, flags));
    }
    engine.handle_shutdown(MonoNs(10_000 * MS));
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let mut spans: Vec<_> = outputs
        .filter_map(|output| Some(output.into_scope()?.0))
        .collect();
    assert_eq!(spans.len(), 1);
    spans.pop().unwrap()
}

#[test]
fn a_body_sent_from_a_file_is_a_hole_of_its_length() {
    let span = exchange(50_000, 50_000);
    for (name, value) in [
        ("http.response.status_code", 200_i64),
        ("http.response.body.size", 50_000),
        ("cirron.lost_bytes", 50_000),
    ] {
        let value = AttrValue::from(value);
        assert_eq!(span.attrs.get(name), Some(&value), "{name}: {span:?}");
    }
    assert_eq!(
        exchange(50_000, 20_000).attrs.get("cirron.lost_bytes"),
        Some(&AttrValue::from(20_000_i64))
    );
}
