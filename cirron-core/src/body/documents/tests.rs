#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

/// Whole documents, and damaged ones.
#[derive(Debug, Default, PartialEq)]
struct Log {
    whole: Vec<String>,
    damaged: Vec<String>,
    data: Vec<u8>,
}

impl EventSink for Log {
    fn data(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.data.extend_from_slice(bytes);
    }
    fn hole(&mut self) {
        self.data.push(b'~');
    }
    fn end(&mut self, end: EventEnd<'_>) {
        let text = String::from_utf8(std::mem::take(&mut self.data)).unwrap();
        match end {
            EventEnd::Whole { .. } => self.whole.push(text),
            EventEnd::Damaged => self.damaged.push(text),
        }
    }
}

fn feed(mut documents: Documents, parts: &[Fed<'_>]) -> Log {
    let mut log = Log::default();
    for part in parts {
        match *part {
            Fed::Data(bytes) => documents.push(bytes, &mut log),
            Fed::Gap(_) => documents.gap(&mut log),
        }
    }
    documents.finish(&mut log);
    log
}

const LINES: &str =
    "{\"a\":\"}\\\"\\\\\"}\r\n\n{\"b\":[{},[1]]}\n\x1e{\"c\":1}\n\"w\\\"x\" 12\n{\"d\":2}";

#[test]
fn lines_are_documents() {
    let log = assert_split_invariant(LINES.as_bytes(), |p| feed(Documents::lines(), p));
    let want = [
        "{\"a\":\"}\\\"\\\\\"}",
        "{\"b\":[{},[1]]}",
        "{\"c\":1}",
        "{\"d\":2}",
    ];
    assert_eq!(log.whole, want);
    assert!(log.damaged.is_empty());
}

#[test]
fn elements_of_an_array_and_values_in_a_row_are_documents() {
    for (text, want) in [
        (
            "[{\"a\":1}\n,\r\n{\"b\":\"]\"},[2,[3]]]\n",
            vec!["{\"a\":1}", "{\"b\":\"]\"}", "[2,[3]]"],
        ),
        (" {\n\"a\":\n1}", vec!["{\n\"a\":\n1}"]),
        (
            "{\"a\":1}{\"b\":2}\0{\"c\":3}\0",
            vec!["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"],
        ),
        ("[1,\"two ] \",null]", vec![]),
        (
            "[[{\"a\":1}, {\"b\":2}],[{\"c\":3},[4]] , []]",
            vec!["{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "[4]"],
        ),
        (
            "[[[{\"a\":1}]],[[{\"b\":2}]]]",
            vec!["{\"a\":1}", "{\"b\":2}"],
        ),
        ("[[1.5,\"x]\"],[2]]", vec![]),
        ("", vec![]),
        ("]x] {\"a\":1}]", vec!["{\"a\":1}"]),
    ] {
        let log = assert_split_invariant(text.as_bytes(), |p| feed(Documents::values(), p));
        assert_eq!(log.whole, want, "{text}");
        assert!(log.damaged.is_empty());
    }
}

#[test]
fn a_hole_costs_the_lines_it_touches_and_no_other() {
    let whole = feed(Documents::lines(), &[Fed::Data(LINES.as_bytes())]).whole;
    assert_gap_safe(
        LINES.as_bytes(),
        |parts| feed(Documents::lines(), parts),
        |log, hole| {
            for doc in &log.whole {
                assert!(whole.contains(doc), "{doc} of {hole:?}");
            }
            // A line that ends before the hole is there; so is one that begins behind the hole's line.
            let next = LINES[(hole.start + hole.len).min(LINES.len())..].find('\n');
            let after = next.map_or("", |n| &LINES[hole.start + hole.len + n..]);
            for doc in &whole {
                let before = LINES.find(doc.as_str()).unwrap() + doc.len() <= hole.start;
                assert_eq!(
                    before || after.contains(doc.as_str()),
                    log.whole.contains(doc),
                    "{doc} of {hole:?}"
                );
            }
        },
    );
}

#[test]
fn behind_a_hole_in_an_array_nothing_is_whole() {
    let text = "[{\"a\":1},{\"b\":2},{\"c\":3}]";
    let log = feed(
        Documents::values(),
        &[
            Fed::Data(&text.as_bytes()[..12]),
            Fed::Gap(3),
            Fed::Data(&text.as_bytes()[15..]),
        ],
    );
    assert_eq!(log.whole, ["{\"a\":1}"]);
    assert_eq!(log.damaged, ["{\"b~},{\"c\":3}]"]);
}

#[test]
fn a_line_that_ends_early_is_damaged_and_the_next_is_whole() {
    let log = assert_split_invariant(b"{\"a\":\n{\"b\":1}\n{\"c\"", |p| {
        feed(Documents::lines(), p)
    });
    assert_eq!((log.whole.len(), log.damaged.len()), (1, 2));
}

#[test]
fn values_that_have_a_line_each_go_on_behind_a_hole() {
    let row = "{\"a\":1}\n{\"b\":2}\n";
    let parts = [
        Fed::Data(row.as_bytes()),
        Fed::Gap(3),
        Fed::Data(b"3}\n{\"d\":4}\n"),
    ];
    let log = feed(Documents::values(), &parts);
    assert_eq!(log.whole, ["{\"a\":1}", "{\"b\":2}", "{\"d\":4}"]);
    // One that has several, and one that is not followed by another, tell of no lines.
    for row in [
        "{\"a\":\n1}\n{\"b\":2}\n",
        "{\"a\":1}\n",
        "[{\"a\":1}\n,{\"b\":2}\n",
    ] {
        let parts = [
            Fed::Data(row.as_bytes()),
            Fed::Gap(3),
            Fed::Data(b"3}\n{\"d\":4}\n"),
        ];
        let log = feed(Documents::values(), &parts);
        assert!(!log.whole.iter().any(|d| d.contains('d')), "{row}");
    }
}

#[test]
fn what_begins_with_a_comma_is_the_rest_of_an_array() {
    let log = feed(
        Documents::values(),
        &[Fed::Data(b" ,{\"b\":2}\n,{\"c\":3}\n]")],
    );
    assert_eq!(log.whole, ["{\"b\":2}", "{\"c\":3}"]);
    assert_eq!(log.damaged, ["~"]);
    let mut documents = Documents::values();
    documents.push(b",{\"b\":2}", &mut Log::default());
    assert!(documents.is_array());
    let mut row = Documents::values();
    row.push(b"{\"b\":2},{\"c\":3}", &mut Log::default());
    assert!(!row.is_array());
}
