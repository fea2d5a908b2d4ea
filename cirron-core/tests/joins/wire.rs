//! Connections of the simulated server: what passes on them, and the records of that, which may be lost.

use std::collections::BTreeMap;

use cirron_common::conn::role;
use cirron_common::hit::role as probe;
use cirron_common::record::{GOID, close, flag, source};
use cirron_core::record::{Body, Direction, Head, Hit, HitParts, Record, Spec, Text, encode};
use cirron_core::testing::records::{ConnRecords, TGID, edited};
use cirron_core::time::MonoNs;

use crate::feed::Feed;
use crate::statement;

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    records: ConnRecords,
    inbound: u64,
    outbound: u64,
    /// Who has read since the last write, and in which turn; `None`: several, or in several.
    reader: Option<(u32, u64)>,
    /// Who has read last.
    last: u32,
    is_written: bool,
}

/// The engine, and the way to it.
pub(crate) struct Wire {
    pub(crate) feed: Feed,
    next_inode: u64,
    /// Its sockets wait for bytes.
    pub(crate) is_blocking: bool,
    /// What runs are goroutines, on any thread.
    pub(crate) is_go: bool,
    /// Of each thread or goroutine, how often it has waited for several.
    turns: BTreeMap<u32, u64>,
}

const SCOPE: u32 = 1;
const END: u32 = 2;

impl Wire {
    pub(crate) fn new(seed: u64, lost_ppm: u64, net: bool) -> Wire {
        let engine = statement::engine(net);
        let mut wire = Wire {
            feed: Feed::new(engine, seed, 0),
            next_inode: 1,
            is_blocking: false,
            is_go: false,
            turns: BTreeMap::new(),
        };
        for (number, role) in [(SCOPE, probe::SCOPE_BEGIN), (END, probe::SCOPE_END)] {
            let mut kept = Vec::new();
            let spec = Spec::new((number, 1, role), b"", &[], &mut kept);
            wire.process(1, Body::Spec(spec));
        }
        wire.feed.lost_ppm = lost_ppm;
        wire
    }

    fn process(&mut self, tid: u32, body: Body<'_>) {
        let (context, tid) = self.runner(tid);
        let head = Head {
            ts: MonoNs(self.feed.now),
            tgid: TGID,
            context,
            tid,
            ..Head::default()
        };
        let record = encode(&Record { head, body });
        self.feed.hand_in(&record);
    }

    /// One that was accepted, or was connected.
    pub(crate) fn open(&mut self, tid: u32, accepted: bool) -> Conn {
        let records = ConnRecords {
            conn: self.next_inode,
            epoch: self.feed.now,
            source: source::SOCKET,
        };
        self.next_inode += 1;
        let record = edited(&records.open(self.feed.now), |record| {
            record.head.tid = tid;
            if let (Body::Open(info), false) = (&mut record.body, accepted) {
                info.role = role::CONNECTED;
            }
        });
        self.feed.hand_in(&record);
        Conn {
            records,
            inbound: 0,
            outbound: 0,
            reader: None,
            last: 0,
            is_written: true,
        }
    }

    /// A thread or goroutine waits for several things at once.
    pub(crate) fn waits(&mut self, tid: u32) {
        *self.turns.entry(tid).or_default() += 1;
    }

    /// What the kernel side says of a write, as `cirron-ebpf/src/turns.rs` does.
    fn is_straight(&mut self, conn: &mut Conn, dir: Direction, tid: u32) -> bool {
        let by = (tid, self.turns.get(&tid).copied().unwrap_or(0));
        match dir {
            Direction::Outbound => {
                conn.is_written = true;
                conn.reader == Some(by)
            }
            Direction::Inbound => {
                let is_other = self.is_go && std::mem::replace(&mut conn.last, tid) != tid;
                let is_first = std::mem::take(&mut conn.is_written) || is_other;
                let is_same = is_first || conn.reader == Some(by);
                conn.reader = Some(by).filter(|_| is_same && self.is_blocking);
                false
            }
        }
    }

    pub(crate) fn moves(&mut self, conn: &mut Conn, dir: Direction, text: &str, tid: u32) {
        let pos = match dir {
            Direction::Inbound => &mut conn.inbound,
            Direction::Outbound => &mut conn.outbound,
        };
        let (bytes, len) = (text.as_bytes(), text.len() as u64);
        let record = conn.records.data(dir, *pos, self.feed.now, bytes, len);
        *pos += len;
        let is_straight = self.is_straight(conn, dir, tid);
        let (context, tid) = self.runner(tid);
        let record = edited(&record, |record| {
            record.head.tid = tid;
            record.head.context = context;
            if let (Body::Data(data), true) = (&mut record.body, is_straight) {
                data.flags |= flag::STRAIGHT;
            }
        });
        self.feed.hand_in(&record);
    }

    /// Context and thread of who has this number.
    fn runner(&mut self, number: u32) -> (u64, u32) {
        match self.is_go {
            true => {
                let tid = self.feed.random.between(1, 5) as u32;
                (GOID | u64::from(number), tid)
            }
            false => (0, number),
        }
    }

    pub(crate) fn close(&mut self, conn: &Conn, tid: u32) {
        let at = (conn.inbound, conn.outbound);
        let record = conn
            .records
            .close_at(self.feed.now, close::LOCAL_CLOSE, at.0, at.1);
        let record = edited(&record, |record| record.head.tid = tid);
        self.feed.hand_in(&record);
    }

    /// A scope of a program's own begins, without a parent that it knows.
    pub(crate) fn begin(&mut self, id: u64, name: &str, tid: u32) {
        let len = name.len() as u64;
        let values = [id, 0, 1, len, 0, 0].map(Some);
        let text = Text {
            len: u32::try_from(len).unwrap(),
            bytes: name.as_bytes(),
            fault: false,
        };
        self.hit(SCOPE, &values, &[text], tid);
    }

    pub(crate) fn end(&mut self, id: u64, tid: u32) {
        self.hit(END, &[Some(id), Some(0)], &[], tid);
    }

    fn hit(&mut self, probe: u32, values: &[Option<u64>], texts: &[Text<'_>], tid: u32) {
        let parts = HitParts {
            probe,
            values,
            texts,
            ..HitParts::default()
        };
        let payload = parts.payload();
        self.process(tid, Body::Hit(Hit::view(&payload).unwrap()));
    }
}
