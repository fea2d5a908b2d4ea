//! Programs of others on one end, Python's h2 on the other: recordings in `cirron-core/interop`, by
//! `tests/clients/record_h2.py`. What the library says of each stream is what is decoded, in both
//! directions, on every split; behind a hole, or joined late, nothing else is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::stream::Piece;

/// Of a recording up to this length every index is tried.
const MAX_WHOLE_BYTES: usize = 4_096;

/// Of a longer one, far from where its frames begin, every n-th index.
const FAR_STRIDE: usize = 131;

type List = Vec<(String, Bytes)>;

/// One direction of a connection.
#[derive(Debug)]
struct Recorded {
    name: String,
    /// The client's.
    preface: bool,
    /// As they were read from the socket, or written to it.
    pieces: Vec<Vec<u8>>,
    bytes: Vec<u8>,
    streams: Streams,
    resets: BTreeMap<u32, u32>,
}

/// What is known of the streams of a direction.
#[derive(Debug, Default, PartialEq)]
struct Streams {
    lists: BTreeMap<u32, Vec<List>>,
    bodies: BTreeMap<u32, Vec<u8>>,
    ended: BTreeSet<u32>,
}

/// What a parser made of a direction.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    streams: Streams,
    resets: BTreeMap<u32, Option<u32>>,
    unknown: usize,
    lost: bool,
}

fn recordings() -> Vec<Recorded> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
    let mut files: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|f| f.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let connections: Value = serde_json::from_str(&text).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        for connection in connections.as_array().unwrap() {
            for side in ["client", "server"] {
                all.push(recorded(name, side, connection));
            }
        }
    }
    assert!(all.len() >= 22, "{} directions", all.len());
    all
}

fn recorded(name: &str, side: &str, connection: &Value) -> Recorded {
    let chunks = connection["chunks"].as_array().unwrap().iter();
    let pieces: Vec<Vec<u8>> = chunks
        .filter(|chunk| chunk[0] == side)
        .map(|chunk| hex(chunk[1].as_str().unwrap()))
        .collect();
    let mut streams = Streams::default();
    let mut resets = BTreeMap::new();
    for (number, said) in connection[side].as_object().unwrap() {
        let number: u32 = number.parse().unwrap();
        let lists: Vec<List> = said["lists"].as_array().unwrap().iter().map(list).collect();
        if !lists.is_empty() {
            streams.lists.insert(number, lists);
        }
        let body = said["body"].as_str().unwrap();
        if !body.is_empty() {
            streams.bodies.insert(number, body.as_bytes().to_vec());
        }
        if said["end"] == true {
            streams.ended.insert(number);
        }
        if let Some(code) = said["reset"].as_u64() {
            resets.insert(number, u32::try_from(code).unwrap());
        }
    }
    Recorded {
        name: format!("{name}, by the {side}"),
        preface: side == "client",
        bytes: pieces.concat(),
        pieces,
        streams,
        resets,
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(byte).collect()
}

/// A list as the library has it, in the form of [`decoded`]: no scheme, the path without its query,
/// the authority as `host` in front of the fields.
fn list(said: &Value) -> List {
    let mut out = List::new();
    for pair in said.as_array().unwrap() {
        let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        let (name, value) = match name {
            ":scheme" => continue,
            ":path" => (name, value.split('?').next().unwrap()),
            ":authority" => ("host", value),
            _ => (name, value),
        };
        out.push((name.to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    }
    // Pseudo-header fields come in any order.
    let place = |field: &(String, Bytes)| {
        let order = [":method", ":path", ":status", "host"];
        order.iter().position(|name| *name == field.0).unwrap_or(9)
    };
    out.sort_by_key(place);
    out
}

/// The known fields of a list.
fn decoded(list: &HeaderList) -> List {
    let mut out = List::new();
    let mut push = |name: &str, value: &str| {
        out.push((name.to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    };
    if let Some(method) = &list.method {
        push(":method", method);
    }
    let request = list.request();
    if let Some(head) = &request {
        push(":path", &head.path);
    }
    if let Some(status) = list.status {
        push(":status", &status.to_string());
    }
    let headers = request.map_or_else(|| list.headers.clone(), |head| head.headers);
    out.extend(headers.fields);
    out
}

fn feed(parser: &mut Parser, parts: &[Fed<'_>]) -> Decoded {
    let mut got = Decoded::default();
    let streams = &mut got.streams;
    for (n, part) in (1..).zip(parts) {
        let ts = MonoNs(n);
        let piece = match *part {
            Fed::Data([]) => continue,
            Fed::Data(bytes) => Piece::Data { ts, bytes },
            Fed::Gap(len) => Piece::Gap { ts, len },
        };
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        while let Some(event) = parser.next(&mut cur) {
            match event {
                Event::Headers(heads) => {
                    got.unknown += heads.list.headers.unknown;
                    let lists = streams.lists.entry(heads.stream).or_default();
                    lists.push(decoded(&heads.list));
                    streams.ended.extend(heads.end.then_some(heads.stream));
                }
                Event::Data { stream, bytes } => {
                    streams.bodies.entry(stream).or_default().extend(bytes);
                }
                Event::End { stream } => streams.ended.extend([stream]),
                // The first: the library gives up again what comes on a stream that it gave up.
                Event::Reset { stream, code } => {
                    got.resets.entry(stream).or_insert(code);
                }
                Event::HeadersLost { .. } | Event::DataGap { .. } | Event::Lost(_) => {
                    got.lost = true;
                }
                Event::GoAway { .. } => {}
            }
        }
    }
    got
}

/// Whether the fields stand in the list, in its order.
fn is_part_of(fields: &List, list: &List) -> bool {
    let mut rest = list.iter();
    fields.iter().all(|field| rest.any(|f| f == field))
}

/// Whether the bytes stand in the body, in its order, with at most `holes` holes between them.
fn is_cut_of(bytes: &[u8], body: &[u8], holes: usize) -> bool {
    let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    if bytes.is_empty() {
        return true;
    }
    if holes == 0 {
        return body.ends_with(bytes) || body.starts_with(bytes);
    }
    let head = common(bytes, body);
    (0..=head).rev().any(|n| body.ends_with(&bytes[n..]))
}

impl Recorded {
    fn parser(&self) -> Parser {
        Parser::new(false, self.preface)
    }

    /// Nothing is known that the library did not say of the same stream.
    fn assert_true(&self, got: &Decoded, what: &str) {
        let said = &self.streams;
        for (stream, lists) in &got.streams.lists {
            let all = said.lists.get(stream);
            let all = all
                .unwrap_or_else(|| panic!("{}, {what}: no stream {stream}: {lists:?}", self.name));
            // In the order of the lists, too: trailers are no head.
            let mut rest = all.iter();
            for fields in lists {
                assert!(
                    rest.any(|list| is_part_of(fields, list)),
                    "{}, {what}: stream {stream}: {fields:?} of {all:?}",
                    self.name
                );
            }
        }
        for (stream, body) in &got.streams.bodies {
            let all = said.bodies.get(stream).map(Vec::as_slice);
            assert!(
                is_cut_of(body, all.unwrap_or_default(), 1),
                "{}, {what}: stream {stream}: {:?}",
                self.name,
                String::from_utf8_lossy(body)
            );
        }
        // Of a stream that is over the library says no reset: curl gives it up all the same.
        let mut resets = got.resets.iter();
        let reset = |(stream, code): (&u32, &Option<u32>)| {
            let said = self.resets.get(stream);
            said.zip(code.as_ref())
                .is_none_or(|(said, code)| said == code)
        };
        let over = |stream: &u32| self.resets.contains_key(stream) || said.ended.contains(stream);
        assert!(
            got.streams.ended.is_subset(&said.ended)
                && resets.all(reset)
                && got.resets.keys().all(over),
            "{}, {what}: {:?} {:?}",
            self.name,
            got.streams.ended,
            got.resets
        );
    }

    /// Where its frames begin, and its end.
    fn starts(&self) -> BTreeSet<usize> {
        let mut starts = BTreeSet::new();
        let mut at = if self.preface { PREFACE.len() } else { 0 };
        while let Some(header) = frame::FrameHeader::parse(&self.bytes[at..]) {
            starts.insert(at);
            at += frame::FRAME_HEADER_LEN + header.len;
        }
        assert_eq!(at, self.bytes.len(), "{}: whole frames", self.name);
        starts.insert(at);
        starts
    }

    /// Where something may go wrong: every index, of a long recording those near its frames' borders
    /// and some others.
    fn places(&self) -> Vec<usize> {
        let len = self.bytes.len();
        if len <= MAX_WHOLE_BYTES {
            return (0..len).collect();
        }
        let starts = self.starts().into_iter();
        let near: BTreeSet<_> = starts
            .flat_map(|at| at.saturating_sub(2)..at + 12)
            .collect();
        (0..len)
            .filter(|i| i % FAR_STRIDE == 0 || near.contains(i))
            .collect()
    }
}

#[test]
fn the_traffic_of_others_is_what_the_library_saw_on_every_split() {
    for recorded in recordings() {
        let bytes = recorded.bytes.as_slice();
        let whole = feed(&mut recorded.parser(), &[Fed::Data(bytes)]);
        assert_eq!(whole.streams, recorded.streams, "{}", recorded.name);
        assert!(!whole.lost && whole.unknown == 0, "{}", recorded.name);
        recorded.assert_true(&whole, "whole");
        let mut reset = recorded.resets.keys();
        assert!(reset.all(|s| whole.resets.contains_key(s)), "{whole:?}");
        let pieces: Vec<_> = recorded.pieces.iter().map(|p| Fed::Data(p)).collect();
        let single: Vec<_> = bytes.chunks(1).map(Fed::Data).collect();
        for parts in [&pieces, &single] {
            let got = feed(&mut recorded.parser(), parts);
            assert_eq!(got, whole, "{} in {} pieces", recorded.name, parts.len());
        }
        for cut in recorded.places().into_iter().filter(|cut| *cut > 0) {
            let (a, b) = bytes.split_at(cut);
            let got = feed(&mut recorded.parser(), &[Fed::Data(a), Fed::Data(b)]);
            assert_eq!(got, whole, "{} cut at {cut}", recorded.name);
        }
    }
}

/// From every byte on, as one piece and in the pieces of the socket.
#[test]
fn joined_at_any_byte_of_others_traffic_no_header_is_wrong() {
    for recorded in recordings() {
        let mut found = 0;
        for from in recorded.places() {
            let mut skip = from;
            let mut pieces = Vec::new();
            for piece in &recorded.pieces {
                let rest = &piece[skip.min(piece.len())..];
                skip -= piece.len() - rest.len();
                pieces.extend((!rest.is_empty()).then_some(Fed::Data(rest)));
            }
            for parts in [vec![Fed::Data(&recorded.bytes[from..])], pieces] {
                let got = feed(&mut Parser::new(true, false), &parts);
                let what = format!("from {from} in {} pieces", parts.len());
                recorded.assert_true(&got, &what);
                found += got.streams.lists.len();
            }
        }
        assert!(found > 0, "{}: frames are found again", recorded.name);
    }
}

/// Where a piece is made of whole frames, all that follows is read.
#[test]
fn joined_where_a_piece_begins_and_ends_with_a_frame_no_body_is_missed() {
    let mut joined = 0;
    for recorded in recordings() {
        let starts = recorded.starts();
        let mut from = 0;
        for (n, piece) in recorded.pieces.iter().enumerate() {
            let whole = starts.contains(&from) && starts.contains(&(from + piece.len()));
            let rest = &recorded.pieces[n..];
            let parts: Vec<_> = rest.iter().map(|p| Fed::Data(p)).collect();
            let got = feed(&mut Parser::new(true, false), &parts);
            if whole {
                // Frames that begin here, with the table that a client of the first byte has.
                let before = feed(
                    &mut recorded.parser(),
                    &[Fed::Data(&recorded.bytes[..from])],
                );
                for (stream, body) in &recorded.streams.bodies {
                    let seen = before.streams.bodies.get(stream).map_or(0, Vec::len);
                    let late = got
                        .streams
                        .bodies
                        .get(stream)
                        .map_or(&[][..], Vec::as_slice);
                    assert_eq!(late, &body[seen..], "{} from {from}", recorded.name);
                }
                assert!(!got.lost, "{} from {from}", recorded.name);
                joined += 1;
            }
            from += piece.len();
        }
    }
    assert!(joined > 50, "{joined} places");
}

#[test]
fn a_hole_anywhere_in_others_traffic_makes_no_header_wrong_and_is_said() {
    for recorded in recordings() {
        for start in recorded.places() {
            for len in [1, 300] {
                let end = (start + len).min(recorded.bytes.len());
                let parts = [
                    Fed::Data(&recorded.bytes[..start]),
                    Fed::Gap((end - start) as u64),
                    Fed::Data(&recorded.bytes[end..]),
                ];
                let got = feed(&mut recorded.parser(), &parts);
                recorded.assert_true(&got, &format!("{len} bytes lost at {start}"));
                let same = got.streams == recorded.streams;
                assert!(
                    same || got.lost,
                    "{}: {len} bytes lost at {start} pass in silence",
                    recorded.name
                );
            }
        }
    }
}
