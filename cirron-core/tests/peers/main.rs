//! Which call a request answers, judged by ids that only the judge reads: connections between processes of one agent, of
//! which addresses are given again at once and are the same in each network namespace, while records are lost and come
//! late, requests are pipelined, sockets joined late, and TLS objects linked at any time. Seeded.
//!
//! All requests have one path. One that names another call than its own is wrong, and there may be none; how many are
//! known is printed. `CIRRON_CALLS=100000` chooses another number, `CIRRON_SEED=7` another seed.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../simulation/random.rs"]
mod random;

use std::collections::{BTreeMap, VecDeque};

use cirron_common::conn::{ConnInfo, role};
use cirron_common::record::{close, source};
use cirron_core::engine::{Engine, EngineConfig, Output, ProcessFacts};
use cirron_core::id::SequentialIds;
use cirron_core::record::{Body, Direction};
use cirron_core::rules::Rules;
use cirron_core::scope::{AttrValue, Span};
use cirron_core::testing::records::{ConnRecords, edited};
use cirron_core::time::{MS, MonoNs};

use random::Random;

/// Calls of one run where nobody asks for another number.
const CALLS: u64 = 4_000;
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

struct Connection {
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

struct World {
    engine: Engine,
    random: Random,
    now: u64,
    lost_ppm: u64,
    next_inode: u64,
    next: u64,
    connections: Vec<Connection>,
    /// How many connections each tuple had.
    begun: BTreeMap<(u64, u64, u64), u32>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl World {
    fn new(seed: u64, lost_ppm: u64) -> World {
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
            engine,
            random: Random::new(seed),
            now: MS,
            lost_ppm,
            next_inode: 1,
            next: 1,
            connections: Vec::new(),
            begun: BTreeMap::new(),
        }
    }

    fn chance(&mut self, per_cent: u64) -> bool {
        self.random.one_in_a_million(per_cent * 10_000)
    }

    fn hand_in(&mut self, record: &[u8]) {
        self.now += 1_000 * self.random.between(1, 300);
        if !self.random.one_in_a_million(self.lost_ppm) {
            self.engine.handle_record(record);
        }
        let due = self.engine.poll_timeout();
        if due.is_some_and(|due| due.0 <= self.now) {
            self.engine.handle_timeout(MonoNs(self.now));
        }
    }

    /// A connection between two of the processes, if its addresses are free.
    fn connect(&mut self) {
        let netns = self.random.between(1, 1 + NAMESPACES);
        let client = 40_000 + self.random.between(0, CLIENT_PORTS);
        let server = 8_000 + self.random.between(0, SERVER_PORTS);
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
        let pid = first + u32::try_from(self.random.between(0, 3)).unwrap();
        let socket = ConnRecords {
            conn: self.next_inode,
            epoch: self.now,
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
        let record = edited(&socket.open(self.now), |record| {
            (record.head.tgid, record.body) = (pid, Body::Open(info));
        });
        self.hand_in(&record);
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
            let record = edited(&records.open(self.now), |record| {
                (record.head.tgid, record.body) = (pid, Body::Open(bare));
            });
            self.hand_in(&record);
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
            let record = edited(&end.records.link(self.now, &end.socket), |record| {
                record.head.tgid = end.pid;
            });
            self.hand_in(&record);
        }
        let pos = match dir {
            Direction::Inbound => &mut end.read,
            Direction::Outbound => &mut end.written,
        };
        let record = end
            .records
            .data(dir, *pos, self.now, bytes, bytes.len() as u64);
        *pos += bytes.len() as u64;
        edited(&record, |record| record.head.tgid = end.pid)
    }

    fn step(&mut self, at: usize) {
        let mut c = self.connections.swap_remove(at);
        match self.random.between(0, 10) {
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
        for _ in 0..self.random.between(1, 3) {
            let body = usize::try_from(self.random.between(0, 40)).unwrap();
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
            self.hand_in(&record);
        }
    }

    fn read(&mut self, c: &mut Connection) {
        let len = match self.chance(40) {
            true => usize::try_from(self.random.between(1, c.sent.len() as u64 + 1)).unwrap(),
            false => c.sent.len(),
        };
        let bytes: Vec<u8> = c.sent.drain(..len).collect();
        c.arrived += len;
        let record = self.moves(&mut c.server, Direction::Inbound, &bytes);
        self.hand_in(&record);
        self.catch_up(c);
    }

    /// What the client wrote is told at last.
    fn catch_up(&mut self, c: &mut Connection) {
        for record in std::mem::take(&mut c.late) {
            self.hand_in(&record);
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
            self.hand_in(&record);
        }
    }

    fn end(&mut self, c: Connection) {
        for end in [&c.client, &c.server] {
            let record = end
                .socket
                .close_at(self.now, close::LOCAL_CLOSE, end.read, end.written);
            let record = edited(&record, |record| record.head.tgid = end.pid);
            self.hand_in(&record);
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Report {
    known: u64,
    unknown: u64,
    wrong: u64,
}

fn simulate(seed: u64, lost_ppm: u64, calls: u64) -> Report {
    let mut world = World::new(seed, lost_ppm);
    let mut spans = Vec::new();
    while world.next < calls {
        if world.connections.len() < 6 || world.chance(5) {
            world.connect();
        }
        if !world.connections.is_empty() {
            let at = world.random.between(0, world.connections.len() as u64);
            world.step(usize::try_from(at).unwrap());
        }
        while let Some(output) = world.engine.poll_output() {
            if let Output::Scope { span, .. } = output {
                spans.push(span);
            }
        }
    }
    let now = MonoNs(world.now + 10_000 * MS);
    world.engine.handle_timeout(now);
    world.engine.handle_shutdown(now);
    assert_eq!(world.engine.held_bytes(), 0);
    while let Some(output) = world.engine.poll_output() {
        if let Output::Scope { span, .. } = output {
            spans.push(span);
        }
    }
    judge(&spans)
}

fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    match span.attrs.get(name)? {
        AttrValue::Str(text) => Some(text),
        AttrValue::Int(_) | AttrValue::Float(_) | AttrValue::Bool(_) => None,
    }
}

fn judge(spans: &[Span]) -> Report {
    let by_id: BTreeMap<String, &Span> = spans
        .iter()
        .map(|span| (span.id.to_string(), span))
        .collect();
    let mut report = Report::default();
    let mut named = Vec::new();
    for request in spans.iter().filter(|span| span.name.as_str() == "request") {
        let Some(caller) = text(request, "cirron.caller.span_id") else {
            report.unknown += 1;
            continue;
        };
        let call = by_id[caller];
        let id = |span| text(span, "http.request.header.x-id");
        let trace = |span| text(span, "cirron.trace_id");
        // That of a call which ended long before may be known no more.
        let one_trace = trace(request).is_none_or(|one| trace(call) == Some(one));
        if id(call).is_some() && id(call) == id(request) && one_trace {
            report.known += 1;
        } else {
            println!("{request:?}\nnames {call:?}");
            report.wrong += 1;
        }
        named.push(caller);
    }
    let all = named.len();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named.len(), all, "a call answered twice");
    report
}

fn number(variable: &str, default: u64) -> u64 {
    let asked = std::env::var_os(variable);
    asked.map_or(default, |text| text.to_str().unwrap().parse().unwrap())
}

#[test]
fn no_request_names_another_call_than_its_own() {
    let first = number("CIRRON_SEED", 1);
    let calls = number("CIRRON_CALLS", CALLS);
    for (lost_ppm, least) in [(0, 0.75), (2_000, 0.7), (50_000, 0.0), (300_000, 0.0)] {
        for seed in first..first + 3 {
            let report = simulate(seed, lost_ppm, calls);
            println!("{lost_ppm} of a million lost, seed {seed}: {report:?}");
            assert_eq!(report.wrong, 0, "seed {seed}");
            let all = (report.known + report.unknown) as f64;
            assert!(report.known as f64 / all > least, "{report:?}");
        }
    }
}
