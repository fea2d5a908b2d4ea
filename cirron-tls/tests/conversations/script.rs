//! A conversation's file, and a sink that keeps what came out.

use std::path::Path;

use cirron_tls::{Connection, Dir, Label, Learned, Pool, Sink, Verdict};

/// A line of a file.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// A secret was told.
    Key(Label, [u8; 32], Vec<u8>),
    /// Bytes passed.
    Bytes(Dir, Vec<u8>),
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) sent: Vec<u8>,
    pub(crate) received: Vec<u8>,
}

impl Script {
    /// That of a name.
    pub(crate) fn read(name: &str) -> Script {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.txt"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut script = Script {
            name: name.to_owned(),
            lines: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["key", label, random, secret] => {
                    if let Some(label) = Label::from_name(label.as_bytes()) {
                        let random = hex(random).try_into().unwrap();
                        script.lines.push(Line::Key(label, random, hex(secret)));
                    }
                }
                ["sent", bytes] => script.lines.push(Line::Bytes(Dir::Sent, hex(bytes))),
                ["received", bytes] => script.lines.push(Line::Bytes(Dir::Received, hex(bytes))),
                ["plain", "sent", bytes] => script.sent.extend(hex(bytes)),
                ["plain", "received", bytes] => script.received.extend(hex(bytes)),
                _ => panic!("{name}: {line}"),
            }
        }
        script
    }

    /// All of them.
    pub(crate) fn all() -> Vec<Script> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_suffix(".txt").map(str::to_owned)
            })
            .collect();
        names.sort();
        assert!(!names.is_empty());
        names.iter().map(|name| Script::read(name)).collect()
    }

    /// What the application wrote, or read.
    pub(crate) fn plain(&self, dir: Dir) -> &[u8] {
        match dir {
            Dir::Sent => &self.sent,
            Dir::Received => &self.received,
        }
    }

    /// The bytes of a direction, in one piece.
    pub(crate) fn stream(&self, dir: Dir) -> Vec<u8> {
        let mut stream = Vec::new();
        for line in &self.lines {
            match line {
                Line::Bytes(of, bytes) if *of == dir => stream.extend_from_slice(bytes),
                Line::Bytes(..) | Line::Key(..) => {}
            }
        }
        stream
    }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// What came out of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Out {
    /// Plaintext, and where in it gaps were, and how long.
    pub(crate) plain: Vec<u8>,
    pub(crate) gaps: Vec<(usize, Option<u64>)>,
    pub(crate) closed: bool,
    /// Marks, as they came.
    pub(crate) marks: Vec<usize>,
}

/// Keeps what came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) sent: Out,
    pub(crate) received: Out,
    pub(crate) verdict: Option<Verdict>,
}

impl Kept {
    pub(crate) fn out(&self, dir: Dir) -> &Out {
        match dir {
            Dir::Sent => &self.sent,
            Dir::Received => &self.received,
        }
    }

    fn out_mut(&mut self, dir: Dir) -> &mut Out {
        match dir {
            Dir::Sent => &mut self.sent,
            Dir::Received => &mut self.received,
        }
    }
}

impl Sink<usize> for Kept {
    fn plaintext(&mut self, dir: Dir, mark: usize, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.out_mut(dir).plain.extend_from_slice(bytes);
        self.out_mut(dir).marks.push(mark);
    }

    fn gap(&mut self, dir: Dir, _mark: usize, len: Option<u64>) {
        let out = self.out_mut(dir);
        out.gaps.push((out.plain.len(), len));
    }

    fn close_notify(&mut self, dir: Dir, _mark: usize) {
        self.out_mut(dir).closed = true;
    }

    fn verdict(&mut self, verdict: Verdict) {
        assert_eq!(self.verdict.replace(verdict), None, "told twice");
    }
}

/// A connection with its pool and its sink.
pub(crate) struct Run {
    pub(crate) connection: Connection<usize>,
    pub(crate) pool: Pool,
    pub(crate) kept: Kept,
    at: [u64; 2],
    mark: usize,
    /// Whether the library tells the client's random.
    pub(crate) with_random: bool,
}

impl Run {
    pub(crate) fn new() -> Run {
        Run {
            connection: Connection::new(),
            pool: Pool::new(),
            kept: Kept::default(),
            at: [0; 2],
            mark: 0,
            with_random: false,
        }
    }

    fn at(&mut self, dir: Dir) -> &mut u64 {
        let [sent, received] = &mut self.at;
        match dir {
            Dir::Sent => sent,
            Dir::Received => received,
        }
    }

    pub(crate) fn learn(&mut self, object: u64, label: Label, random: [u8; 32], secret: &[u8]) {
        self.pool.learn(Learned {
            object,
            label,
            client_random: self.with_random.then_some(random),
            secret,
        });
        self.connection.secrets_came(&mut self.pool, &mut self.kept);
    }

    pub(crate) fn bytes(&mut self, dir: Dir, bytes: &[u8]) {
        self.mark += 1;
        let (mark, at) = (self.mark, *self.at(dir));
        self.connection
            .data(dir, at, bytes, mark, &mut self.pool, &mut self.kept);
        *self.at(dir) += bytes.len() as u64;
    }

    pub(crate) fn gap(&mut self, dir: Dir, len: u64) {
        self.mark += 1;
        let (mark, at) = (self.mark, *self.at(dir));
        self.connection
            .gap(dir, at, len, mark, &mut self.pool, &mut self.kept);
        *self.at(dir) += len;
    }

    pub(crate) fn line(&mut self, line: &Line) {
        match line {
            Line::Key(label, random, secret) => self.learn(7, *label, *random, secret),
            Line::Bytes(dir, bytes) => self.bytes(*dir, bytes),
        }
    }

    pub(crate) fn end(&mut self) {
        self.mark += 1;
        self.connection
            .end(self.mark, &mut self.pool, &mut self.kept);
    }

    /// Everything was read, and nothing is left.
    pub(crate) fn expect_all_of(&self, script: &Script, how: &str) {
        let name = &script.name;
        assert_eq!(self.kept.verdict, None, "{name}, {how}");
        for dir in [Dir::Sent, Dir::Received] {
            let out = self.kept.out(dir);
            assert!(
                out.plain == script.plain(dir),
                "{name}, {how}: {dir:?} differs: {} bytes",
                out.plain.len()
            );
            assert_eq!(out.gaps, [], "{name}, {how}: {dir:?}");
        }
        let counts = self.connection.counts();
        assert_eq!(counts.failed_records, 0, "{name}, {how}: {counts:?}");
        assert_eq!(counts.unread_bytes, 0, "{name}, {how}: {counts:?}");
    }
}
