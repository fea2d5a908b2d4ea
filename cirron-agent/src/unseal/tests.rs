//! Conversations of real TLS libraries (`cirron-tls/tests/fixtures`), as records of the kernel side.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use cirron_common::conn::{Positions, role};
use cirron_common::record::evidence;
use cirron_core::record::{Data, Head, Link, encode};

use super::*;

const TGID: u32 = 77;
const SOCKET: Key = (4_000_000_000, 5);
const INFO: ConnInfo = ConnInfo {
    family: 2,
    role: role::ACCEPTED,
    late: 0,
    local_port: 443,
    peer_port: 50_000,
    local_addr: [1; 16],
    peer_addr: [2; 16],
    netns: 3,
    first_seq: 4,
};

/// A conversation: its records, and the plaintext of both directions.
struct Script {
    records: Vec<Vec<u8>>,
    sent: Vec<u8>,
    received: Vec<u8>,
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn head(ts: u64) -> Head {
    Head {
        ts: MonoNs(ts),
        source: source::SOCKET,
        conn: SOCKET.0,
        epoch: SOCKET.1,
        tgid: TGID,
        tid: TGID + 1,
        ..Head::default()
    }
}

fn record(ts: u64, body: Body<'_>) -> Vec<u8> {
    encode(&Record {
        head: head(ts),
        body,
    })
}

/// Each line a millisecond behind the one before.
fn script(name: &str) -> Script {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cirron-tls/tests/fixtures");
    let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let mut script = Script {
        records: vec![record(MS, Body::Open(INFO))],
        sent: Vec::new(),
        received: Vec::new(),
    };
    let mut at = Positions::START;
    for (number, line) in text.lines().enumerate() {
        let ts = (number as u64 + 2) * MS;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["key", name, _, secret] => script.records.push(record(
                ts,
                Body::Secret(Secret {
                    object: 9,
                    name: name.as_bytes(),
                    bytes: &hex(secret),
                }),
            )),
            ["plain", "sent", bytes] => script.sent.extend(hex(bytes)),
            ["plain", "received", bytes] => script.received.extend(hex(bytes)),
            [way, bytes] => {
                let bytes = hex(bytes);
                let (direction, pos) = match way {
                    "sent" => (Direction::Outbound, &mut at.outbound),
                    _ => (Direction::Inbound, &mut at.inbound),
                };
                let data = Data {
                    pos: *pos,
                    len: bytes.len() as u64,
                    direction,
                    flags: 0,
                    told: 0,
                    slack_us: 0,
                    bytes: &bytes,
                };
                *pos += bytes.len() as u64;
                script.records.push(record(ts, Body::Data(data)));
            }
            _ => panic!("{line}"),
        }
    }
    script
}

/// What was made of it.
#[derive(Default)]
struct Told {
    /// What the engine is given, whole.
    records: Vec<Vec<u8>>,
    unseal: Unseal,
}

impl Told {
    fn take(&mut self, record: &[u8]) {
        self.take_of(record, true);
    }

    fn take_of(&mut self, record: &[u8], announces: bool) {
        let decoded = Record::decode(record).unwrap();
        let mut out = Out::default();
        let is_changed = self.unseal.take(record, &decoded, |_| announces, &mut out);
        match is_changed {
            true => self.keep(&out),
            false => self.records.push(record.to_vec()),
        }
    }

    fn keep(&mut self, out: &Out) {
        self.records.extend(out.records().map(<[u8]>::to_vec));
    }

    fn end(&mut self) {
        let mut out = Out::default();
        self.unseal.end(&mut out);
        self.keep(&out);
    }

    fn decoded(&self) -> Vec<Record<'_>> {
        self.records
            .iter()
            .map(|record| decode_of(record))
            .collect()
    }

    /// Bytes of a direction that are told of objects, in order of their positions, without a hole.
    fn plain(&self, of: Direction) -> Vec<u8> {
        let mut plain = Vec::new();
        for Record { head, body } in self.decoded() {
            if let Body::Data(data) = body
                && data.direction == of
            {
                assert_eq!(head.source, source::TLS);
                assert_eq!(data.pos, plain.len() as u64);
                assert_eq!(data.len, data.bytes.len() as u64);
                plain.extend(data.bytes);
            }
        }
        plain
    }
}

fn decode_of(record: &[u8]) -> Record<'_> {
    Record::decode(record).unwrap()
}

fn told(records: &[Vec<u8>]) -> Told {
    let mut told = Told::default();
    for record in records {
        told.take(record);
    }
    told
}

#[test]
fn ciphertext_of_a_socket_becomes_plaintext_of_an_object_that_uses_it() {
    for name in ["13-aes128-server", "13-aes256-client", "13-retry-server"] {
        let script = script(name);
        let told = told(&script.records);
        assert_eq!(told.plain(Direction::Outbound), script.sent, "{name}");
        assert_eq!(told.plain(Direction::Inbound), script.received, "{name}");
        let records = told.decoded();
        let [socket, open, link, ..] = &records[..] else {
            panic!("{name}: {} records", records.len());
        };
        assert_eq!(socket.body, Body::Open(INFO));
        let wants = match name.ends_with("server") {
            true => role::ACCEPTED,
            false => role::CONNECTED,
        };
        let is_open = matches!(open.body, Body::Open(info) if info.role == wants && info.late == 0);
        assert!(is_open, "{name}: {open:?}");
        let wanted = Link {
            socket: SOCKET,
            evidence: evidence::SECRET,
            info: INFO,
        };
        assert_eq!(link.body, Body::Link(wanted));
        assert_eq!(socket_of(link.head.conn), Some(SOCKET.0));
        let stats = told.unseal.stats();
        assert_eq!((stats.connections, stats.bound, stats.given_up), (1, 1, 0));
        let bytes = script.sent.len() + script.received.len();
        assert_eq!(stats.plaintext_bytes, bytes as u64);
    }
}

#[test]
fn plaintext_has_the_times_and_threads_of_the_bytes_that_completed_it() {
    let script = script("13-aes128-server");
    let moments: Vec<u64> = script
        .records
        .iter()
        .map(|r| decode_of(r).head.ts.0)
        .collect();
    let told = told(&script.records);
    let mut last = 0;
    for Record { head, body } in told.decoded() {
        if matches!(body, Body::Data(_)) {
            assert!(moments.contains(&head.ts.0) && head.ts.0 >= last);
            assert_eq!((head.tgid, head.tid), (TGID, TGID + 1));
            last = head.ts.0;
        }
    }
    assert!(last > 0);
}

#[test]
fn records_of_one_direction_that_come_in_the_other_order_are_read_in_theirs() {
    let script = script("13-aes256-client");
    let is_data = |record: &[u8]| matches!(decode_of(record).body, Body::Data(_));
    let mut swapped = 0;
    for at in 3..script.records.len() - 1 {
        let mut records = script.records.clone();
        let same = |a: &[u8], b: &[u8]| match (decode_of(a).body, decode_of(b).body) {
            (Body::Data(a), Body::Data(b)) => a.direction == b.direction,
            _ => false,
        };
        let later = (at + 1..records.len()).find(|other| same(&records[at], &records[*other]));
        let Some(later) = later.filter(|_| is_data(&records[at])) else {
            continue;
        };
        // Behind the one that follows it.
        let record = records.remove(at);
        records.insert(later, record);
        let told = told(&records);
        assert_eq!(told.plain(Direction::Outbound), script.sent, "{at}");
        assert_eq!(told.plain(Direction::Inbound), script.received, "{at}");
        swapped += 1;
    }
    assert!(swapped > 2, "{swapped}");
}

#[test]
fn a_connection_whose_secrets_do_not_come_goes_on_as_it_came() {
    let script = script("13-aes128-server");
    let is_secret = |record: &[u8]| matches!(decode_of(record).body, Body::Secret(_));
    let without: Vec<Vec<u8>> = script
        .records
        .iter()
        .filter(|record| !is_secret(record))
        .cloned()
        .collect();
    let mut told = told(&without);
    assert_eq!(told.records.len(), 1, "it is kept back");
    told.end();
    assert_eq!(told.records, without);
    assert_eq!(told.unseal.stats().given_up, 1);
}

/// A library of the process announces, and this connection is another's.
#[test]
fn a_connection_is_not_kept_back_for_long() {
    let script = script("13-aes128-server");
    let is_secret = |record: &[u8]| matches!(decode_of(record).body, Body::Secret(_));
    let mut without = script.records.clone();
    without.retain(|record| !is_secret(record));
    let mut told = told(&without);
    let at = |ms: u64, told: &mut Told| {
        let mut out = Out::default();
        told.unseal.take_time(MonoNs(ms * MS), &mut out);
        told.keep(&out);
        told.records.len()
    };
    assert_eq!(at(900, &mut told), 1);
    assert_eq!(at(1_100, &mut told), without.len());
    assert!(told.unseal.conns.is_empty());
}

#[test]
fn what_is_no_tls_or_not_of_a_library_that_announces_is_left_alone() {
    let script = script("13-aes128-server");
    let mut others = Told::default();
    for record in &script.records {
        if !matches!(decode_of(record).body, Body::Secret(_)) {
            others.take_of(record, false);
        }
    }
    assert_eq!(others.unseal.stats().connections, 0);
    assert_eq!(others.records.len(), script.records.len() - 5);
    let data = |pos, bytes: &'static [u8]| Data {
        pos,
        len: bytes.len() as u64,
        direction: Direction::Inbound,
        flags: 0,
        told: 0,
        slack_us: 0,
        bytes,
    };
    let plain = [
        record(1, Body::Open(INFO)),
        record(2, Body::Data(data(0, b"GET / HTTP/1.1\r\n"))),
        // It begins with TLS where nobody looks any more.
        record(3, Body::Data(data(16, &[22, 3, 1, 2, 0, 1]))),
    ];
    assert_eq!(told(&plain).records, plain);
    let late = [
        record(1, Body::Open(ConnInfo { late: 1, ..INFO })),
        record(2, Body::Data(data(0, &[22, 3, 1, 2, 0, 1]))),
    ];
    assert_eq!(told(&late).records, late);
}

#[test]
fn no_secret_is_given_on_and_its_batch_is_to_be_wiped() {
    let script = script("13-aes128-server");
    let mut told = told(&script.records);
    let is_secret = |record: &Record<'_>| matches!(record.body, Body::Secret(_));
    assert!(!told.decoded().iter().any(is_secret));
    assert!(told.unseal.take_has_secret());
    assert!(!told.unseal.take_has_secret());
}

#[test]
fn the_end_of_the_socket_has_no_positions_of_plaintext() {
    let script = script("13-aes128-server");
    let mut told = told(&script.records);
    let at = Some(Positions {
        inbound: 10_000,
        outbound: 10_000,
    });
    let why = close::LOCAL_CLOSE;
    told.take(&record(100 * MS, Body::Close { why, at }));
    let last = told.decoded().pop().unwrap();
    assert_eq!(last.head.key(), SOCKET);
    assert_eq!(last.body, Body::Close { why, at: None });
    // A moment later nothing is kept of it.
    assert_eq!(told.unseal.conns.len(), 1);
    told.unseal
        .take_time(MonoNs(100 * MS + LINGER_NS), &mut Out::default());
    assert!(told.unseal.conns.is_empty());
}

/// Its record was lost, and the agent found out.
#[test]
fn an_end_that_the_agent_found_ends_it_too() {
    let script = script("13-aes128-server");
    let mut told = told(&script.records);
    told.unseal.ended(SOCKET, MonoNs(100 * MS));
    told.unseal.ended((1, 1), MonoNs(100 * MS));
    told.unseal
        .take_time(MonoNs(100 * MS + LINGER_NS), &mut Out::default());
    assert!(told.unseal.conns.is_empty() && told.unseal.due.is_empty());
}

#[test]
fn a_connection_that_nobody_wants_is_muted_at_its_socket() {
    let script = script("13-aes128-server");
    let mut told = told(&script.records);
    let object = told.decoded()[1].head.key();
    assert_eq!(told.unseal.mute(object), SOCKET);
    assert!(told.unseal.conns.is_empty());
    // What was on its way is no bytes of the socket that anybody misses, until it has ended.
    let before = told.records.len();
    let data = Data {
        pos: 10_000,
        len: 3,
        direction: Direction::Inbound,
        flags: 0,
        told: 0,
        slack_us: 0,
        bytes: b"abc",
    };
    told.take(&record(99 * MS, Body::Data(data)));
    assert_eq!(told.records.len(), before);
    assert_eq!(told.unseal.stats().unread_bytes, 3);
    let end = Body::Close {
        why: close::FD_CLOSED,
        at: Some(Positions::START),
    };
    told.take(&record(100 * MS, end));
    told.unseal
        .take_time(MonoNs(100 * MS + LINGER_NS), &mut Out::default());
    assert!(told.unseal.silent.is_empty());
    assert_eq!(told.unseal.mute((7, 8)), (7, 8), "another's");
}

#[test]
fn a_process_that_is_over_takes_its_secrets_along() {
    let script = script("13-aes128-server");
    let mut told = told(&script.records);
    let exit = Head {
        conn: 0,
        epoch: 0,
        ..head(200 * MS)
    };
    told.take(&encode(&Record {
        head: exit,
        body: Body::Exit,
    }));
    assert_eq!(told.unseal.pools.len(), 1);
    told.unseal
        .take_time(MonoNs(200 * MS + LINGER_NS), &mut Out::default());
    assert!(told.unseal.pools.is_empty());
}

/// Its secrets were the old program's, and the new one's come at once.
#[test]
fn a_program_that_is_called_by_exec_has_secrets_of_its_own() {
    let script = script("13-aes128-server");
    let exec = Head {
        conn: 0,
        epoch: 0,
        ..head(1)
    };
    let exec = encode(&Record {
        head: exec,
        body: Body::Exec,
    });
    let mut told = Told::default();
    let old = Secret {
        object: 9,
        name: b"SERVER_HANDSHAKE_TRAFFIC_SECRET",
        bytes: &[1; 32],
    };
    told.take(&record(1, Body::Secret(old)));
    told.take(&exec);
    for record in &script.records {
        told.take(record);
    }
    told.unseal
        .take_time(MonoNs(10_000 * MS), &mut Out::default());
    told.records.retain(|record| *record != exec);
    assert_eq!(told.plain(Direction::Outbound), script.sent);
    assert_eq!(told.plain(Direction::Inbound), script.received);
}

#[test]
fn what_is_lost_of_the_ciphertext_is_never_filled_with_anything_else() {
    let script = script("13-aes256-client");
    for lost in 1..script.records.len() {
        let mut records = script.records.clone();
        records.remove(lost);
        let mut told = told(&records);
        told.end();
        for Record { head, body } in told.decoded() {
            let Body::Data(data) = body else { continue };
            if head.source == source::TLS && !data.bytes.is_empty() {
                let plain = match data.direction {
                    Direction::Outbound => &script.sent,
                    Direction::Inbound => &script.received,
                };
                let at = usize::try_from(data.pos).unwrap();
                let is_first = head.conn == object_on(SOCKET.0, 0);
                match plain.get(at..at + data.bytes.len()) {
                    // Gaps have their exact lengths.
                    Some(there) if is_first => assert_eq!(there, data.bytes, "{lost}"),
                    _ => assert!(plain.windows(data.bytes.len()).any(|w| w == data.bytes)),
                }
            }
        }
    }
}
