//! Against prost: what it writes is read here as it means it.

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::testing::{Fed, assert_gap_safe, assert_split_invariant};

/// A message with every kind of field.
#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "2")]
    number: i64,
    #[prost(message, repeated, tag = "3")]
    inner: Vec<Sample>,
    #[prost(bytes = "vec", tag = "4")]
    noise: Vec<u8>,
    #[prost(fixed32, tag = "5")]
    small: u32,
    #[prost(double, tag = "6")]
    large: f64,
    #[prost(string, tag = "3000")]
    far: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(Vec<u32>, Vec<u8>),
    Number(Vec<u32>, u64),
}

#[derive(Default)]
struct Log(Vec<Seen>);

impl ProtobufSink for Log {
    fn field(&mut self, path: &[u32]) -> Want {
        match path.last() {
            Some(1 | 3000) => Want::Text,
            Some(3) => Want::Into,
            _ => Want::Skip,
        }
    }
    fn text(&mut self, path: &[u32], text: &[u8], whole: bool) {
        assert!(whole);
        self.0.push(Seen::Text(path.to_vec(), text.to_vec()));
    }
    fn number(&mut self, path: &[u32], value: u64) {
        self.0.push(Seen::Number(path.to_vec(), value));
    }
}

/// What prost's own struct says, in the order in which prost writes it.
fn expected(sample: &Sample, above: &[u32], out: &mut Vec<Seen>) {
    let at = |field| [above, &[field]].concat();
    if !sample.name.is_empty() {
        out.push(Seen::Text(at(1), sample.name.clone().into()));
    }
    if sample.number != 0 {
        out.push(Seen::Number(at(2), sample.number as u64));
    }
    for inner in &sample.inner {
        expected(inner, &at(3), out);
    }
    if sample.small != 0 {
        out.push(Seen::Number(at(5), sample.small.into()));
    }
    if sample.large != 0.0 {
        out.push(Seen::Number(at(6), sample.large.to_bits()));
    }
    if !sample.far.is_empty() {
        out.push(Seen::Text(at(3000), sample.far.clone().into()));
    }
}

fn scan(parts: &[Fed<'_>]) -> (Vec<Seen>, bool) {
    let (mut scanner, mut log) = (Scanner::default(), Log::default());
    for part in parts {
        match *part {
            Fed::Data(bytes) => scanner.push(bytes, &mut log),
            Fed::Gap(_) => scanner.gap(),
        }
    }
    let whole = scanner.finish();
    (log.0, whole)
}

fn sample() -> Sample {
    let inner = Sample {
        name: "inner".to_owned(),
        number: -1,
        noise: vec![0xff; 200],
        ..Sample::default()
    };
    Sample {
        name: "m\u{f6}del".to_owned(),
        number: 300,
        inner: vec![inner.clone(), Sample::default(), inner],
        noise: vec![8; 300],
        small: 7,
        large: 0.5,
        far: "end".to_owned(),
    }
}

#[test]
fn fields_come_out_however_the_message_is_cut() {
    let bytes = sample().encode_to_vec();
    let (got, whole) = assert_split_invariant(&bytes, scan);
    let mut want = Vec::new();
    expected(&sample(), &[], &mut want);
    assert_eq!(got, want);
    assert!(whole);
}

#[test]
fn behind_a_hole_nothing_is_read_and_the_message_is_not_whole() {
    let bytes = sample().encode_to_vec();
    let (all, _) = scan(&[Fed::Data(&bytes)]);
    assert_gap_safe(&bytes, scan, |(got, whole), hole| {
        assert!(all.starts_with(got), "{hole:?}");
        assert!(!whole, "{hole:?}");
    });
}

#[test]
fn what_is_no_message_is_not_taken_for_one() {
    // A field that is longer than its message, a group, field 0, a varint without end.
    for bytes in [&[0x1a, 2, 0x0a, 9, 1][..], &[0x0b], &[0x02, 0], &[0xff; 12]] {
        assert!(!scan(&[Fed::Data(bytes)]).1, "{bytes:?}");
    }
}

#[test]
fn too_deep_messages_are_passed_over() {
    let mut deep = sample();
    for _ in 0..40 {
        deep = Sample {
            inner: vec![deep],
            ..Sample::default()
        };
    }
    let (got, whole) = scan(&[Fed::Data(&deep.encode_to_vec())]);
    assert!(whole && got.is_empty());
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let leaf = (".{0,9}", any::<i64>(), any::<u32>(), any::<f64>(), ".{0,3}");
    let leaf = leaf.prop_map(|(name, number, small, large, far)| Sample {
        name,
        number,
        small,
        large,
        far,
        ..Sample::default()
    });
    leaf.prop_recursive(4, 20, 4, |inner| {
        (prop::collection::vec(inner, 0..4), any::<Vec<u8>>()).prop_map(|(inner, noise)| Sample {
            inner,
            noise,
            ..Sample::default()
        })
    })
}

proptest! {
    #[test]
    fn any_message_is_read_as_prost_wrote_it(sample in any_sample(), cut in any::<prop::sample::Index>()) {
        let bytes = sample.encode_to_vec();
        let mut want = Vec::new();
        expected(&sample, &[], &mut want);
        let (a, b) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(scan(&[Fed::Data(a), Fed::Data(b)]), (want, true));
    }

    #[test]
    fn any_bytes_end_without_harm(bytes in any::<Vec<u8>>()) {
        scan(&[Fed::Data(&bytes)]);
    }
}
