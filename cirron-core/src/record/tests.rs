#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::hit::{form, role};
use cirron_common::record::{
    CLOSE_LEN_3, HEADER_LEN, HEADER_LEN_4, LINK_LEN_4, close, evidence, flag, kind,
};
use cirron_common::{ABI_VERSION, OLDEST_ABI_VERSION};

use super::*;

const INFO: ConnInfo = ConnInfo {
    family: 2,
    role: 1,
    late: 1,
    local_port: 8000,
    peer_port: 40_000,
    local_addr: [7; 16],
    peer_addr: [9; 16],
    netns: 0,
    first_seq: 0,
};

fn head(context: u64) -> Head {
    Head {
        ts: MonoNs(1 << 40),
        source: source::TLS,
        conn: 2,
        epoch: 3,
        context,
        tgid: 5,
        tid: 6,
        version: 0,
    }
}

/// What a record of the first versions has: kind, direction, flags, `pos`, `orig_len`, payload.
type Old = (u8, u8, u8, u64, u64, Vec<u8>);

/// One of each kind, and what an old record has of it.
fn all() -> Vec<(Body<'static>, Old)> {
    let mut addresses = 2_u16.to_ne_bytes().to_vec();
    addresses.extend([1, 1]);
    addresses.extend(8000_u16.to_ne_bytes());
    addresses.extend(40_000_u16.to_ne_bytes());
    addresses.extend([7; 16]);
    addresses.extend([9; 16]);
    let data = Data {
        pos: 10,
        len: 20,
        direction: Direction::Outbound,
        flags: flag::HELD | flag::OVER_LIMIT,
        told: 30,
        slack_us: 40,
        bytes: b"abc",
    };
    let link = |evidence| {
        let info = INFO;
        let socket = (11, 12);
        Body::Link(Link {
            socket,
            evidence,
            info,
        })
    };
    let sent = |at, all| Body::Sent { upto: 13, at, all };
    let flags = flag::HELD | flag::OVER_LIMIT;
    let none = Vec::new;
    vec![
        (
            Body::Data(data),
            (kind::DATA, 2, flags, 10, 20, b"abc".to_vec()),
        ),
        (
            Body::Open(INFO),
            (kind::CONN_OPEN, 0, 0, 0, 0, addresses.clone()),
        ),
        (
            Body::Close {
                why: close::HELD,
                at: None,
            },
            (kind::CONN_CLOSE, 0, 0, 0, close::HELD, none()),
        ),
        (
            link(evidence::CALL),
            (kind::CONN_LINK, 0, 0, 12, 11, addresses.clone()),
        ),
        (
            link(evidence::LENGTHS),
            (kind::CONN_LINK, 0, 8, 12, 11, addresses),
        ),
        (
            sent(Some(MonoNs(14)), true),
            (kind::SENT, 2, 64, 13, 14, none()),
        ),
        (sent(None, false), (kind::SENT, 2, 0, 13, 0, none())),
        (
            Body::Fork { child: 15 },
            (kind::PROC_FORK, 0, 0, 0, 15, none()),
        ),
        (Body::Exec, (kind::PROC_EXEC, 0, 0, 0, 0, none())),
        (Body::Exit, (kind::PROC_EXIT, 0, 0, 0, 0, none())),
        (Body::Mmap, (kind::PROC_MMAP, 0, 0, 0, 0, none())),
        (Body::Release, (kind::PROC_RELEASE, 0, 0, 0, 0, none())),
    ]
}

/// As the programs of versions 1 and 2 wrote it.
fn old(abi: u16, (kind, dir, flags, pos, orig_len, payload): Old) -> Vec<u8> {
    let mut out = abi.to_ne_bytes().to_vec();
    out.extend([kind, dir, source::TLS, flags]);
    out.extend(40_u16.to_ne_bytes());
    for word in [1 << 40, 2, 3, pos, orig_len] {
        out.extend(u64::to_ne_bytes(word));
    }
    for half in [u32::try_from(payload.len()).unwrap(), 30, 5, 6] {
        out.extend(half.to_ne_bytes());
    }
    out.extend(payload);
    out
}

#[test]
fn what_is_written_is_read_and_the_rest_of_a_size_class_is_not() {
    let life = |context, number| [(context, number), (number, context)];
    let lives = life(1 << 40, 9).map(|(context, number)| Body::ContextMade { context, number });
    let ended = life(8, 0).map(|(context, number)| Body::ContextEnded { context, number });
    let bodies = all().into_iter().map(|(body, _)| body);
    for body in bodies
        .chain(lives)
        .chain(ended)
        .chain([Body::Tuned, Body::ThreadExit])
    {
        let head = Head {
            version: 1 << 50,
            ..head(4)
        };
        let record = Record { head, body };
        let mut bytes = encode(&record);
        assert_eq!(Record::decode(&bytes), Ok(record));
        bytes.extend([0xee; 70]);
        assert_eq!(Record::decode(&bytes), Ok(record));
    }
}

#[test]
fn recordings_of_the_first_versions_are_read() {
    for abi in [1, 2] {
        for (body, parts) in all() {
            let record = Record {
                head: head(0),
                body,
            };
            assert_eq!(
                Record::decode(&old(abi, parts)),
                Ok(record),
                "version {abi}"
            );
        }
    }
}

/// A record of version 4: its header had no version of a context.
fn without_version(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = encode(record);
    bytes.drain(HEADER_LEN_4..HEADER_LEN);
    bytes[..2].copy_from_slice(&4_u16.to_ne_bytes());
    bytes
}

#[test]
fn records_of_version_4_have_all_but_the_version_of_a_context() {
    for (body, _) in all() {
        let record = Record {
            head: head(4),
            body,
        };
        let bytes = without_version(&record);
        assert_eq!(Record::decode(&bytes), Ok(record));
        let cut = bytes.get(..HEADER_LEN_4 - 1).unwrap();
        assert_eq!(Record::decode(cut), Err(DecodeError::Short(cut.len())));
    }
}

#[test]
fn positions_of_an_end_are_read_and_version_3_has_none() {
    let body = |at| Body::Close {
        why: close::PEER_FIN,
        at,
    };
    let known = Some(Positions {
        inbound: 16,
        outbound: 1 << 40,
    });
    let record = Record {
        head: head(0),
        body: body(known),
    };
    assert_eq!(Record::decode(&encode(&record)), Ok(record));
    let mut bytes = without_version(&record);
    bytes.truncate(HEADER_LEN_4 + CLOSE_LEN_3);
    bytes[..2].copy_from_slice(&3_u16.to_ne_bytes());
    bytes[4..8].copy_from_slice(&8_u32.to_ne_bytes());
    assert_eq!(Record::decode(&bytes).map(|r| r.body), Ok(body(None)));
}

#[test]
fn what_two_ends_have_in_common_is_read_and_version_4_has_none() {
    let info = ConnInfo {
        netns: 5,
        first_seq: 6,
        ..INFO
    };
    let link = |info| {
        Body::Link(Link {
            socket: (11, 12),
            evidence: evidence::CALL,
            info,
        })
    };
    for (body, before, len) in [
        (Body::Open(info), Body::Open(INFO), CONN_INFO_LEN_4),
        (link(info), link(INFO), LINK_LEN_4),
    ] {
        let record = Record {
            head: head(0),
            body,
        };
        let mut bytes = encode(&record);
        assert_eq!(Record::decode(&bytes), Ok(record));
        bytes.drain(HEADER_LEN_4..HEADER_LEN);
        bytes.truncate(HEADER_LEN_4 + len);
        bytes[..2].copy_from_slice(&4_u16.to_ne_bytes());
        bytes[4] = u8::try_from(len).unwrap();
        assert_eq!(Record::decode(&bytes).map(|r| r.body), Ok(before));
    }
}

#[test]
fn a_record_that_is_cut_anywhere_is_none() {
    for (body, parts) in all() {
        let record = Record {
            head: head(4),
            body,
        };
        for bytes in [encode(&record), old(2, parts)] {
            for len in 0..bytes.len() {
                let error = Record::decode(&bytes[..len]).unwrap_err();
                let told = match error {
                    DecodeError::Short(short) => short == len,
                    DecodeError::Payload { promised, present } => promised > present,
                    DecodeError::Abi(_) | DecodeError::Kind(_) | DecodeError::Direction(_) => false,
                };
                assert!(told, "{len}: {error:?}");
            }
        }
    }
}

#[test]
fn a_payload_that_is_shorter_than_its_kind_is_none() {
    let fixed = [
        kind::DATA,
        kind::CONN_OPEN,
        kind::CONN_CLOSE,
        kind::CONN_LINK,
        kind::SENT,
        kind::PROC_FORK,
        kind::CONTEXT_MADE,
        kind::CONTEXT_ENDED,
    ];
    for kind in fixed {
        let mut bytes = vec![0; HEADER_LEN + 7];
        bytes[..2].copy_from_slice(&ABI_VERSION.to_ne_bytes());
        bytes[2] = kind;
        bytes[4] = 7;
        assert!(
            matches!(
                Record::decode(&bytes),
                Err(DecodeError::Payload { present: 7, .. })
            ),
            "{kind}"
        );
    }
}

#[test]
fn other_versions_kinds_and_directions_are_named() {
    let data = encode(&Record {
        head: head(0),
        body: all()[0].0,
    });
    let with = |at: usize, byte: u8| {
        let mut bytes = data.clone();
        bytes[at] = byte;
        Record::decode(&bytes).map(|_| ()).unwrap_err()
    };
    for abi in [OLDEST_ABI_VERSION - 1, ABI_VERSION + 1] {
        let mut bytes = data.clone();
        bytes[..2].copy_from_slice(&abi.to_ne_bytes());
        assert_eq!(Record::decode(&bytes), Err(DecodeError::Abi(abi)));
    }
    assert_eq!(with(2, 99), DecodeError::Kind(99));
    assert_eq!(with(HEADER_LEN + 22, 3), DecodeError::Direction(3));
}

#[test]
fn what_a_probe_means_is_read_as_it_was_written() {
    let values = [
        Value {
            form: form::INT,
            name: b"tokens",
        },
        Value {
            form: form::TEXT,
            name: b"",
        },
        Value {
            form: form::TEXT,
            name: b"model",
        },
    ];
    let mut room = Vec::new();
    let spec = Spec::new((7, 1 << 50, role::BEGIN), b"decode", &values, &mut room);
    let record = Record {
        head: head(0),
        body: Body::Spec(spec),
    };
    let bytes = encode(&record);
    let Ok(Record {
        body: Body::Spec(read),
        ..
    }) = Record::decode(&bytes)
    else {
        panic!("no spec");
    };
    assert_eq!(read, spec);
    assert_eq!(read.values().collect::<Vec<_>>(), values);
    let texts: Vec<_> = (0..4).map(|n| read.text_index(n)).collect();
    assert_eq!(texts, [None, Some(0), Some(1), None]);
    for len in HEADER_LEN..bytes.len() {
        let mut cut = bytes[..len].to_vec();
        let payload = u32::try_from(len - HEADER_LEN).unwrap();
        cut[4..8].copy_from_slice(&payload.to_ne_bytes());
        assert!(Record::decode(&cut).is_err(), "{len}");
    }
}

#[test]
fn a_hit_has_its_values_and_texts() {
    let text = |bytes: &'static [u8], len, fault| Text { len, bytes, fault };
    let parts = HitParts {
        probe: 7,
        stack: 1 << 47,
        cpu_ns: 5,
        values: &[Some(u64::MAX), None, Some(3)],
        texts: &[
            text(b"ab", 2, false),
            text(b"", 9, true),
            text(b"cde", 300, false),
        ],
    };
    let payload = parts.payload();
    let record = Record {
        head: head(4),
        body: Body::Hit(Hit::view(&payload).unwrap()),
    };
    let bytes = encode(&record);
    let Ok(Record {
        body: Body::Hit(hit),
        head: read,
    }) = Record::decode(&bytes)
    else {
        panic!("no hit");
    };
    assert_eq!(read, head(4));
    assert_eq!((hit.probe(), hit.stack()), (7, 1 << 47));
    assert_eq!(hit.cpu_ns(), Some(5));
    let values: Vec<_> = (0..4).map(|n| hit.value(n)).collect();
    assert_eq!(values, [Some(u64::MAX), None, Some(3), None]);
    for (n, text) in parts.texts.iter().enumerate() {
        assert_eq!(hit.text(n), Some(*text));
    }
    assert_eq!(hit.text(3), None);
    for len in 0..payload.len() {
        assert!(Hit::view(&payload[..len]).is_err(), "{len}");
    }
    let unknown = HitParts::default().payload();
    let hit = Hit::view(&unknown).unwrap();
    assert_eq!(
        (hit.cpu_ns(), hit.value(0), hit.text(0)),
        (None, None, None)
    );
}
