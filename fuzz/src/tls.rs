//! A TLS conversation whose bytes are lost, changed and made up: no wrong plaintext, whatever passes.

use cirron_tls::{Connection, Dir, Label, Learned, Pool, Sink, Verdict};

/// Conversations of OpenSSL's: with key updates, early data, an HMAC inside, ChaCha20.
const CONVERSATIONS: [&str; 4] = [
    include_str!("../../cirron-tls/tests/fixtures/13-updates-client.txt"),
    include_str!("../../cirron-tls/tests/fixtures/13-early-server.txt"),
    include_str!("../../cirron-tls/tests/fixtures/12-cbc-inside-sha-client.txt"),
    include_str!("../../cirron-tls/tests/fixtures/12-chacha-server.txt"),
];

/// Something that happens.
enum Event {
    Secret(Label, Vec<u8>),
    Bytes(Dir, Vec<u8>),
    Lost(Dir, usize),
}

/// What came out of a direction, and the gaps in it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Out {
    pieces: Vec<Vec<u8>>,
    plain: Vec<u8>,
    gaps: Vec<(usize, Option<u64>)>,
    closed: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    sent: Out,
    received: Out,
    verdict: Option<Verdict>,
}

impl Kept {
    fn out(&mut self, dir: Dir) -> &mut Out {
        match dir {
            Dir::Sent => &mut self.sent,
            Dir::Received => &mut self.received,
        }
    }
}

impl Sink<()> for Kept {
    fn plaintext(&mut self, dir: Dir, (): (), bytes: &[u8]) {
        assert!(!bytes.is_empty());
        let out = self.out(dir);
        out.pieces.push(bytes.to_vec());
        out.plain.extend_from_slice(bytes);
    }

    fn gap(&mut self, dir: Dir, (): (), len: Option<u64>) {
        assert_ne!(len, Some(0));
        let out = self.out(dir);
        out.gaps.push((out.plain.len(), len));
    }

    fn close_notify(&mut self, dir: Dir, (): ()) {
        self.out(dir).closed = true;
    }

    fn verdict(&mut self, verdict: Verdict) {
        assert_eq!(self.verdict.replace(verdict), None, "told twice");
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// The events of a conversation, and what its application wrote and read.
fn conversation(text: &str) -> (Vec<Event>, [Vec<u8>; 2]) {
    let (mut events, mut plain) = (Vec::new(), [Vec::new(), Vec::new()]);
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["key", label, _, secret] => {
                if let Some(label) = Label::from_name(label.as_bytes()) {
                    events.push(Event::Secret(label, hex(secret)));
                }
            }
            ["sent", bytes] => events.push(Event::Bytes(Dir::Sent, hex(bytes))),
            ["received", bytes] => events.push(Event::Bytes(Dir::Received, hex(bytes))),
            ["plain", "sent", bytes] => plain[0].extend(hex(bytes)),
            ["plain", "received", bytes] => plain[1].extend(hex(bytes)),
            _ => {}
        }
    }
    (events, plain)
}

/// Changes a conversation as two bytes each say: what, and with how many bytes. Gives whether bytes were only lost.
fn change(events: Vec<Event>, mut operations: &[u8]) -> (Vec<Event>, bool) {
    let (mut changed, mut only_lost) = (Vec::new(), true);
    for event in events {
        let Event::Bytes(dir, bytes) = event else {
            changed.push(event);
            continue;
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let Some(([what, n], behind)) = operations.split_first_chunk() else {
                changed.push(Event::Bytes(dir, rest.to_vec()));
                break;
            };
            operations = behind;
            let len = 1 + usize::from(*n) * [1, 8][usize::from(what >> 7)];
            let (now, later) = rest.split_at(len.min(rest.len()));
            let mut now = now.to_vec();
            match what & 7 {
                0 => {
                    changed.push(Event::Lost(dir, now.len()));
                    rest = later;
                    continue;
                }
                1 => {
                    now[0] ^= n | 1;
                    only_lost = false;
                }
                2 => {
                    now.insert(0, *n);
                    only_lost = false;
                }
                _ => {}
            }
            changed.push(Event::Bytes(dir, now));
            rest = later;
        }
    }
    (changed, only_lost)
}

/// Runs it in pieces of at most so many bytes.
fn run(events: &[Event], size: usize) -> Kept {
    let (mut connection, mut pool) = (Connection::new(), Pool::new());
    let mut kept = Kept::default();
    let mut at = [0u64; 2];
    for event in events {
        match event {
            Event::Secret(label, secret) => {
                pool.learn(Learned {
                    object: 1,
                    label: *label,
                    client_random: None,
                    secret,
                });
                connection.secrets_came(&mut pool, &mut kept);
            }
            Event::Bytes(dir, bytes) => {
                for piece in bytes.chunks(size) {
                    let at = &mut at[usize::from(*dir == Dir::Received)];
                    connection.data(*dir, *at, piece, (), &mut pool, &mut kept);
                    *at += piece.len() as u64;
                }
            }
            Event::Lost(dir, len) => {
                let at = &mut at[usize::from(*dir == Dir::Received)];
                connection.gap(*dir, *at, *len as u64, (), &mut pool, &mut kept);
                *at += *len as u64;
            }
        }
    }
    connection.end((), &mut pool, &mut kept);
    kept
}

/// The first byte says which conversation, or that the rest is what a stranger sends; the rest changes it.
///
/// # Panics
/// When plaintext comes out that is none, or in another order; when a gap is wrong; when the sizes of the pieces change
/// what comes out; when anything comes out without a secret.
pub fn tls(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else {
        return;
    };
    let which = usize::from(*which) % (CONVERSATIONS.len() + 1);
    let Some(text) = CONVERSATIONS.get(which) else {
        let (sent, received) = rest.split_at(rest.len() / 2);
        let events = [
            Event::Bytes(Dir::Received, received.to_vec()),
            Event::Bytes(Dir::Sent, sent.to_vec()),
        ];
        let kept = run(&events, usize::MAX);
        assert!(kept.sent.pieces.is_empty() && kept.received.pieces.is_empty());
        assert_eq!(run(&events, 3), kept, "in pieces");
        return;
    };
    let (events, plain) = conversation(text);
    let (events, only_lost) = change(events, rest);
    let mut kept = run(&events, usize::MAX);
    for (dir, plain) in [Dir::Sent, Dir::Received].into_iter().zip(&plain) {
        let out = kept.out(dir);
        let mut rest = &plain[..];
        for piece in &out.pieces {
            let found = rest.windows(piece.len()).position(|bytes| bytes == piece);
            let Some(at) = found else {
                panic!("{dir:?}: plaintext that is none: {} bytes", piece.len());
            };
            rest = &rest[at + piece.len()..];
        }
        // Up to the first gap whose length is not known, all is in its place.
        let mut at = 0;
        let mut given = 0;
        for (before, len) in out.gaps.iter().chain([&(out.plain.len(), None)]) {
            let piece = &out.plain[given..*before];
            if only_lost {
                assert!(plain[at..].starts_with(piece), "{dir:?}: a gap is wrong");
            }
            let Some(len) = len else {
                break;
            };
            at += piece.len() + usize::try_from(*len).unwrap_or(usize::MAX);
            given = *before;
            assert!(
                !only_lost || at <= plain.len(),
                "{dir:?}: a gap is too long"
            );
        }
    }
    assert_eq!(run(&events, 7), kept, "in pieces");
}
