//! A process of Python: threads that enter and leave contexts, contexts that are made and freed at addresses that are given
//! again at once, connections; and the records of that, which may be lost.

use std::collections::BTreeMap;

use cirron_common::conn::role;
use cirron_common::record::{close, source};
use cirron_core::record::{Body, Direction, Head, Record, encode};
use cirron_core::testing::records::{ConnRecords, TGID, edited};
use cirron_core::time::MonoNs;

use crate::feed::Feed;
use crate::statement;

/// Address of a context; 0: none.
pub(crate) type Ctx = u64;

/// Who does something: a thread, and the context that it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By {
    pub(crate) tid: u32,
    pub(crate) ctx: Ctx,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Conn {
    records: ConnRecords,
    inode: u64,
    /// Where the ciphertext of an object passes.
    socket: Option<ConnRecords>,
}

impl Conn {
    pub(crate) fn is_tls(self) -> bool {
        self.socket.is_some()
    }
}

/// From the number of a socket to that of the object that uses it.
const OBJECT: u64 = 1 << 40;

const HELLO: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";

pub(crate) struct World {
    pub(crate) feed: Feed,
    versions: BTreeMap<u32, u64>,
    free: Vec<Ctx>,
    next_ctx: Ctx,
    lives: u64,
    at: BTreeMap<u64, [u64; 2]>,
    inodes: u64,
}

impl World {
    pub(crate) fn new(seed: u64, lost_ppm: u64, net: bool) -> World {
        let engine = statement::engine(net);
        World {
            feed: Feed::new(engine, seed, lost_ppm),
            versions: BTreeMap::new(),
            free: Vec::new(),
            next_ctx: 0x7000_0000_0000,
            lives: 0,
            at: BTreeMap::new(),
            inodes: 0,
        }
    }

    fn version(&mut self, tid: u32) -> &mut u64 {
        self.versions.entry(tid).or_insert(1)
    }

    /// A thread runs something in a context, and leaves it.
    pub(crate) fn enter(&mut self, by: By, work: impl FnOnce(&mut World)) {
        *self.version(by.tid) += 1;
        work(self);
        *self.version(by.tid) += 1;
    }

    fn head(&mut self, by: By) -> Head {
        Head {
            ts: MonoNs(self.feed.now),
            tgid: TGID,
            tid: by.tid,
            context: by.ctx,
            version: *self.version(by.tid),
            ..Head::default()
        }
    }

    pub(crate) fn tell(&mut self, by: By, body: Body<'_>) {
        let head = self.head(by);
        self.feed.hand_in(&encode(&Record { head, body }));
    }

    /// What the agent itself says is never lost.
    pub(crate) fn tell_surely(&mut self, body: Body<'_>) {
        let head = self.head(By { tid: 1, ctx: 0 });
        let record = encode(&Record { head, body });
        self.feed.engine.handle_record(&record);
    }

    fn life(&mut self, by: By, body: impl Fn(u64) -> Body<'static>) {
        let body = body(self.lives);
        self.lives += 1;
        self.tell(by, body);
    }

    pub(crate) fn make(&mut self, by: By) -> Ctx {
        let context = self.free.pop().unwrap_or_else(|| {
            self.next_ctx += 64;
            self.next_ctx
        });
        self.life(by, |number| Body::ContextMade { context, number });
        context
    }

    pub(crate) fn free(&mut self, by: By, context: Ctx) {
        self.life(by, |number| Body::ContextEnded { context, number });
        self.free.push(context);
    }

    fn by(&mut self, by: By, record: &[u8]) {
        let version = *self.version(by.tid);
        let record = edited(record, |record| {
            record.head.tid = by.tid;
            record.head.context = by.ctx;
            record.head.version = version;
        });
        self.feed.hand_in(&record);
    }

    /// One that was accepted, or was connected.
    pub(crate) fn open(&mut self, by: By, accepted: bool) -> Conn {
        self.inodes += 1;
        let inode = self.inodes;
        let records = ConnRecords {
            epoch: self.feed.now,
            ..ConnRecords::socket(inode)
        };
        let record = edited(&records.open(self.feed.now), |record| {
            if let (Body::Open(info), false) = (&mut record.body, accepted) {
                info.role = role::CONNECTED;
            }
        });
        self.by(by, &record);
        let socket = None;
        Conn {
            records,
            inode,
            socket,
        }
    }

    /// A TLS object is made for an accepted connection, and a handshake begins.
    pub(crate) fn wrap(&mut self, by: By, conn: Conn) -> Conn {
        let records = ConnRecords {
            conn: OBJECT + conn.inode,
            epoch: self.feed.now,
            source: source::TLS,
        };
        let outside = By { ctx: 0, ..by };
        let opens = edited(&records.open(self.feed.now), |record| {
            record.head.tid = outside.tid;
        });
        let wrapped = Conn {
            records,
            inode: OBJECT + conn.inode,
            socket: Some(conn.records),
        };
        self.arrives(by, wrapped, HELLO);
        self.feed.hand_in(&opens);
        wrapped
    }

    /// Ciphertext is read, where it is told.
    pub(crate) fn arrives(&mut self, by: By, conn: Conn, bytes: &[u8]) {
        if let Some(records) = conn.socket {
            let inode = conn.inode - OBJECT;
            let socket = Conn {
                records,
                inode,
                socket: None,
            };
            self.moves(by, socket, Direction::Inbound, bytes);
        }
    }

    /// An option of it is set.
    pub(crate) fn tunes(&mut self, by: By, conn: Conn) {
        let record = edited(&conn.records.open(self.feed.now), |record| {
            record.body = Body::Tuned;
        });
        self.by(by, &record);
    }

    fn moves(&mut self, by: By, conn: Conn, dir: Direction, bytes: &[u8]) {
        let len = bytes.len() as u64;
        let at =
            &mut self.at.entry(conn.inode).or_default()[usize::from(dir == Direction::Inbound)];
        let pos = *at;
        *at += len;
        let record = conn.records.data(dir, pos, self.feed.now, bytes, len);
        self.by(by, &record);
    }

    pub(crate) fn reads(&mut self, by: By, conn: Conn, text: &str) {
        self.moves(by, conn, Direction::Inbound, text.as_bytes());
    }

    pub(crate) fn writes(&mut self, by: By, conn: Conn, text: &str) {
        self.moves(by, conn, Direction::Outbound, text.as_bytes());
    }

    pub(crate) fn close(&mut self, by: By, conn: Conn) {
        let [outbound, inbound] = self.at.get(&conn.inode).copied().unwrap_or_default();
        let record = conn
            .records
            .close_at(self.feed.now, close::LOCAL_CLOSE, inbound, outbound);
        self.by(by, &record);
    }
}
