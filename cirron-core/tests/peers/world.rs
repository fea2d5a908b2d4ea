//! Processes that are connected with one another, their sockets and TLS objects, and the records of that, which may be lost or
//! come late.

use std::collections::{BTreeMap, VecDeque};

use cirron_common::conn::{ConnInfo, role};
use cirron_common::record::{close, source};
use cirron_core::engine::{Engine, EngineConfig, ProcessFacts};
use cirron_core::id::SequentialIds;
use cirron_core::record::{Body, Direction};
use cirron_core::rules::Rules;
use cirron_core::testing::records::{ConnRecords, edited};

use crate::feed::Feed;

const CALLERS: u32 = 100;
const SERVERS: u32 = 200;
const NAMESPACES: u64 = 3;
/// Few, so that addresses come again.
const CLIENT_PORTS: u64 = 4;
const SERVER_PORTS: u64 = 2;
/// Objects of TLS libraries have these addresses.
const OBJECTS: u64 = 1 << 40;

/// One end of a connection.
struct End {
    records: ConnRecords,
    socket: ConnRecords,
    pid: u32,
    read: u64,
    written: u64,
    /// Its TLS object has not been linked to its socket.
    unlinked: bool,
}

pub(crate) struct Connection {
    tuple: (u64, u64, u64),
    client: End,
    server: End,
    /// What the client wrote and the server has not read.
    sent: VecDeque<u8>,
    /// Requests that the server has read whole, or not, in order: their length on the wire.
    pending: VecDeque<usize>,
    /// Bytes of the first of these that were read.
    arrived: usize,
    /// Records of the client's writes that come later.
    late: Vec<Vec<u8>>,
}

pub(crate) struct World {
    pub(crate) feed: Feed,
    next_inode: u64,
    pub(crate) next: u64,
    pub(crate) connections: Vec<Connection>,
    /// How many connections each tuple had.
    begun: BTreeMap<(u64, u64, u64), u32>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl World {
    pub(crate) fn new(seed: u64, lost_ppm: u64) -> World {
        let rule = serde_json::json!({ "rules": [{ "request_headers": ["x-id"] }] });
        let config = EngineConfig {
            rules: Rules::read([rule]).unwrap(),
            max_memory_bytes: None,
        };
        let mut engine = Engine::new(config, Box::new(SequentialIds::default()));
        for tgid in (CALLERS..CALLERS + 3).chain(SERVERS..SERVERS + 3) {
            engine.handle_process(ProcessFacts {
                tgid,
                ..ProcessFacts::default()
            });
        }
        World {
            feed: Feed::new(engine, seed, lost_ppm),
            next_inode: 1,
            next: 1,
            connections: Vec::new(),
            begun: BTreeMap::new(),
        }
    }

    pub(crate) fn chance(&mut self, per_cent: u64) -> bool {
        self.feed.random.one_in_a_million(per_cent * 10_000)
    }

    /// A connection between two of the processes, if its addresses are free.
    pub(crate) fn connect(&mut self) {
        let netns = self.feed.random.between(1, 1 + NAMESPACES);
        let client = 40_000 + self.feed.random.between(0, CLIENT_PORTS);
        let server = 8_000 + self.feed.random.between(0, SERVER_PORTS);
        let tuple = (netns, client, server);
        if self.connections.iter().any(|other| other.tuple == tuple) {
            return;
        }
        let tls = self.chance(30);
        // Each connection of a tuple has another one, and other namespaces have the same.
        let first_seq = self.begun.entry(tuple).or_default();
        *first_seq += 1;
        let first_seq = *first_seq;
        let info = ConnInfo {
            family: 2,
            role: role::CONNECTED,
            local_port: u16::try_from(client).unwrap(),
            peer_port: u16::try_from(server).unwrap(),
            local_addr: [1; 16],
            peer_addr: [1; 16],
            netns: u32::try_from(netns).unwrap(),
            first_seq,
            ..ConnInfo::default()
        };
        let other = ConnInfo {
            role: role::ACCEPTED,
            local_port: info.peer_port,
            peer_port: info.local_port,
            ..info
        };
        // The accept may be told first.
        let mut order = [(info, CALLERS), (other, SERVERS)];
        let swapped = self.chance(50);
        if swapped {
            order.swap(0, 1);
        }
        let mut ends = order.map(|(info, first)| self.open(info, first, tls));
        if swapped {
            ends.swap(0, 1);
        }
        let [client, server] = ends;
        self.connections.push(Connection {
            tuple,
            client,
            server,
            sent: VecDeque::new(),
            pending: VecDeque::new(),
            arrived: 0,
            late: Vec::new(),
        });
    }

    fn open(&mut self, info: ConnInfo, first: u32, tls: bool) -> End {
        let pid = first + u32::try_from(self.feed.random.between(0, 3)).unwrap();
        let socket = ConnRecords {
            conn: self.next_inode,
            epoch: self.feed.now,
            source: source::SOCKET,
        };
        self.next_inode += 1;
        let info = match self.chance(5) {
            true => ConnInfo {
                role: role::UNKNOWN,
                late: 1,
                first_seq: 0,
                ..info
            },
            false => info,
        };
        let record = edited(&socket.open(self.feed.now), |record| {
            (record.head.tgid, record.body) = (pid, Body::Open(info));
        });
        self.feed.hand_in(&record);
        let mut records = socket;
        if tls {
            records = ConnRecords {
                conn: OBJECTS + socket.conn,
                source: source::TLS,
                ..socket
            };
            let bare = ConnInfo {
                role: info.role,
                late: info.late,
                ..ConnInfo::default()
            };
            let record = edited(&records.open(self.feed.now), |record| {
                (record.head.tgid, record.body) = (pid, Body::Open(bare));
            });
            self.feed.hand_in(&record);
        }
        End {
            records,
            socket,
            pid,
            read: 0,
            written: 0,
            unlinked: tls,
        }
    }

    fn moves(&mut self, end: &mut End, dir: Direction, bytes: &[u8]) -> Vec<u8> {
        if end.unlinked && self.chance(60) {
            end.unlinked = false;
            let record = edited(&end.records.link(self.feed.now, &end.socket), |record| {
                record.head.tgid = end.pid;
            });
            self.feed.hand_in(&record);
        }
        let pos = match dir {
            Direction::Inbound => &mut end.read,
            Direction::Outbound => &mut end.written,
        };
        let record = end
            .records
            .data(dir, *pos, self.feed.now, bytes, bytes.len() as u64);
        *pos += bytes.len() as u64;
        edited(&record, |record| record.head.tgid = end.pid)
    }

    pub(crate) fn step(&mut self, at: usize) {
        let mut c = self.connections.swap_remove(at);
        match self.feed.random.between(0, 10) {
            0..3 if c.pending.len() < 3 => self.ask(&mut c),
            3..6 if !c.sent.is_empty() => self.read(&mut c),
            6..9 if c.pending.front().is_some_and(|len| c.arrived >= *len) => self.answer(&mut c),
            9 if self.chance(20) => return self.end(c),
            _ => {}
        }
        self.connections.push(c);
    }

    fn ask(&mut self, c: &mut Connection) {
        let mut bytes = Vec::new();
        for _ in 0..self.feed.random.between(1, 3) {
            let body = usize::try_from(self.feed.random.between(0, 40)).unwrap();
            let head = format!(
                "POST /x HTTP/1.1\r\nX-Id: {}\r\nContent-Length: {body}\r\n\r\n",
                self.next
            );
            self.next += 1;
            c.pending.push_back(head.len() + body);
            bytes.extend(head.into_bytes());
            bytes.extend(vec![b'b'; body]);
        }
        let record = self.moves(&mut c.client, Direction::Outbound, &bytes);
        c.sent.extend(bytes);
        if self.chance(20) {
            c.late.push(record);
        } else {
            self.feed.hand_in(&record);
        }
    }

    fn read(&mut self, c: &mut Connection) {
        let len = match self.chance(40) {
            true => usize::try_from(self.feed.random.between(1, c.sent.len() as u64 + 1)).unwrap(),
            false => c.sent.len(),
        };
        let bytes: Vec<u8> = c.sent.drain(..len).collect();
        c.arrived += len;
        let record = self.moves(&mut c.server, Direction::Inbound, &bytes);
        self.feed.hand_in(&record);
        self.catch_up(c);
    }

    /// What the client wrote is told at last.
    fn catch_up(&mut self, c: &mut Connection) {
        for record in std::mem::take(&mut c.late) {
            self.feed.hand_in(&record);
        }
    }

    fn answer(&mut self, c: &mut Connection) {
        c.arrived -= c.pending.pop_front().unwrap();
        let record = self.moves(&mut c.server, Direction::Outbound, OK);
        let other = self.moves(&mut c.client, Direction::Inbound, OK);
        let mut both = [record, other];
        if self.chance(10) {
            both.swap(0, 1);
        }
        for record in both {
            self.feed.hand_in(&record);
        }
    }

    fn end(&mut self, c: Connection) {
        for end in [&c.client, &c.server] {
            let record =
                end.socket
                    .close_at(self.feed.now, close::LOCAL_CLOSE, end.read, end.written);
            let record = edited(&record, |record| record.head.tgid = end.pid);
            self.feed.hand_in(&record);
        }
    }
}
