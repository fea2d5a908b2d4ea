//! What the tests of ends build: an engine that knows one process, records of connections, what is written.

use super::{Engine, EngineConfig, ProcessFacts};
use crate::id::SequentialIds;
use crate::scope::Span;
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID};
use crate::time::{MS, MonoNs};

pub(super) const ASK: &[u8] = b"GET /a HTTP/1.1\r\n\r\n";

pub(super) struct Rig(pub(super) Engine);

impl Rig {
    /// `conn` is open, and a request came on it at 1 ms.
    pub(super) fn asked(conn: ConnRecords) -> Rig {
        let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
        engine.handle_process(ProcessFacts {
            tgid: TGID,
            ..ProcessFacts::default()
        });
        let mut rig = Rig(engine);
        rig.0.handle_record(&conn.open(100));
        rig.data(conn, Direction::Inbound, 0, MS, ASK);
        rig
    }

    pub(super) fn data(
        &mut self,
        conn: ConnRecords,
        dir: Direction,
        pos: u64,
        ts: u64,
        bytes: &[u8],
    ) {
        let len = bytes.len() as u64;
        self.0.handle_record(&conn.data(dir, pos, ts, bytes, len));
    }

    pub(super) fn scopes(&mut self) -> Vec<Span> {
        let outputs = std::iter::from_fn(|| self.0.poll_output());
        let scopes = outputs.filter_map(|output| Some(output.into_scope()?.0));
        scopes.collect()
    }

    /// What is written by 5 s.
    pub(super) fn later(&mut self) -> Vec<Span> {
        self.0.handle_timeout(MonoNs(5_000 * MS));
        self.scopes()
    }
}
