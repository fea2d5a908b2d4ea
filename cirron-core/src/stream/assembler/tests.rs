//! Tests of the assembler: order, overlap, truncation, windows.

use proptest::prelude::*;

use super::*;
use crate::time::MS;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Data(u64, Vec<u8>),
    Gap(u64, u64),
    Eof(u64),
}

struct Rig {
    asm: Assembler,
    seen: Vec<Seen>,
}

impl Rig {
    fn new(start: Option<u64>) -> Rig {
        Rig {
            asm: Assembler::new(start),
            seen: Vec::new(),
        }
    }

    fn with(&mut self, f: impl FnOnce(&mut Assembler, &mut dyn FnMut(Piece<'_>))) {
        let seen = &mut self.seen;
        f(&mut self.asm, &mut |piece| {
            seen.push(match piece {
                Piece::Data { ts, bytes } => Seen::Data(ts.0, bytes.to_vec()),
                Piece::Gap { ts, len } => Seen::Gap(ts.0, len),
                Piece::Eof { ts } => Seen::Eof(ts.0),
            });
        });
    }

    fn record(&mut self, pos: u64, ts: u64, bytes: &[u8]) {
        self.cut_record(pos, ts, bytes, bytes.len() as u64);
    }

    fn cut_record(&mut self, pos: u64, ts: u64, bytes: &[u8], orig_len: u64) {
        self.with(|a, mut s| a.handle_record(pos, MonoNs(ts), bytes, orig_len, &mut s));
    }
}

#[test]
fn records_in_order_pass_through() {
    let mut rig = Rig::new(Some(0));
    rig.record(0, 5, b"ab");
    rig.record(2, 6, b"c");
    assert_eq!(
        rig.seen,
        [Seen::Data(5, b"ab".into()), Seen::Data(6, b"c".into())]
    );
    assert_eq!(
        rig.asm.stats(),
        AssemblerStats {
            delivered_bytes: 3,
            ..Default::default()
        }
    );
}

#[test]
fn a_tail_that_was_not_captured_is_a_gap_of_its_length() {
    let mut rig = Rig::new(Some(0));
    rig.cut_record(0, 5, b"ab", 10);
    rig.cut_record(10, 6, b"", 4);
    rig.record(14, 7, b"c");
    assert_eq!(
        rig.seen,
        [
            Seen::Data(5, b"ab".into()),
            Seen::Gap(5, 8),
            Seen::Gap(6, 4),
            Seen::Data(7, b"c".into())
        ]
    );
    assert_eq!(rig.asm.stats().lost_bytes, 12);
}

#[test]
fn inverted_records_are_put_in_order_and_times_do_not_go_back() {
    let mut rig = Rig::new(Some(0));
    rig.record(0, 5, b"a");
    rig.record(3, 6, b"d");
    rig.record(2, 7, b"c");
    assert_eq!(rig.seen.len(), 1);
    assert_eq!(
        rig.asm.poll_timeout(),
        Some(MonoNs(6).plus(REORDER_WINDOW_NS))
    );
    rig.record(1, 8, b"b");
    assert_eq!(
        rig.seen[1..],
        [
            Seen::Data(8, b"b".into()),
            Seen::Data(8, b"c".into()),
            Seen::Data(8, b"d".into())
        ]
    );
    assert_eq!(rig.asm.poll_timeout(), None);
    assert_eq!(rig.asm.stats().reordered_records, 2);
    assert_eq!(rig.asm.stats().lost_bytes, 0);
}

#[test]
fn past_the_window_the_hole_is_final_and_what_follows_keeps_its_time() {
    let mut rig = Rig::new(Some(0));
    rig.record(4, 1_000, b"later");
    rig.with(|a, mut s| a.handle_timeout(MonoNs(1_000 + REORDER_WINDOW_NS - 1), &mut s));
    assert_eq!(rig.seen, []);
    rig.with(|a, mut s| a.handle_timeout(MonoNs(1_000 + REORDER_WINDOW_NS), &mut s));
    assert_eq!(
        rig.seen,
        [Seen::Gap(1_000, 4), Seen::Data(1_000, b"later".into())]
    );
    // What comes then for the hole is stale.
    rig.record(0, 9 * MS, b"abcd");
    assert_eq!(rig.seen.len(), 2);
    assert_eq!(rig.asm.stats().stale_bytes, 4);
    assert_eq!(rig.asm.stats().holes, 1);
}

#[test]
fn a_later_record_makes_an_old_hole_final_but_the_filling_one_fills_it() {
    let mut rig = Rig::new(Some(0));
    rig.record(1, 0, b"b");
    rig.record(0, 100 * MS, b"a");
    assert_eq!(
        rig.seen,
        [
            Seen::Data(100 * MS, b"a".into()),
            Seen::Data(100 * MS, b"b".into())
        ]
    );
    rig.record(3, 101 * MS, b"d");
    rig.record(5, 200 * MS, b"f");
    assert_eq!(
        rig.seen[2..],
        [Seen::Gap(101 * MS, 1), Seen::Data(101 * MS, b"d".into())]
    );
}

#[test]
fn overlap_is_delivered_once() {
    let mut rig = Rig::new(Some(0));
    rig.record(0, 1, b"abc");
    rig.record(1, 2, b"bcde");
    rig.record(0, 3, b"abc");
    rig.cut_record(4, 4, b"ef", 8);
    assert_eq!(
        rig.seen,
        [
            Seen::Data(1, b"abc".into()),
            Seen::Data(2, b"de".into()),
            Seen::Data(4, b"f".into()),
            Seen::Gap(4, 6)
        ]
    );
    assert_eq!(rig.asm.stats().stale_bytes, 2 + 3 + 1);
}

#[test]
fn held_bytes_are_bounded() {
    let mut rig = Rig::new(Some(0));
    let piece = vec![7; 64 * 1024];
    for i in 0..5 {
        rig.record(10 + i * piece.len() as u64, 1, &piece);
    }
    assert_eq!(rig.seen.first(), Some(&Seen::Gap(1, 10)));
    assert_eq!(rig.asm.poll_timeout(), None);
    // Empty ones count too.
    let mut rig = Rig::new(Some(0));
    for i in 1..=(MAX_REORDER_BYTES / HELD_OVERHEAD_BYTES) as u64 + 1 {
        rig.cut_record(i * 2, 1, b"", 1);
    }
    assert!(!rig.seen.is_empty());
}

#[test]
fn a_joined_stream_begins_at_whatever_comes_first() {
    let mut rig = Rig::new(None);
    rig.record(1_000, 1, b"x");
    rig.record(990, 2, b"older");
    assert_eq!(rig.seen, [Seen::Data(1, b"x".into())]);
    assert_eq!(rig.asm.stats().lost_bytes, 0);
    let mut rig = Rig::new(Some(0));
    rig.record(1_000, 1, b"x");
    rig.with(|a, mut s| a.flush(&mut s));
    assert_eq!(rig.seen, [Seen::Gap(1, 1_000), Seen::Data(1, b"x".into())]);
}

#[test]
fn the_end_flushes_and_comes_once() {
    let mut rig = Rig::new(Some(0));
    rig.record(1, 50, b"b");
    rig.with(|a, mut s| a.handle_eof(MonoNs(40), &mut s));
    rig.with(|a, mut s| a.handle_eof(MonoNs(60), &mut s));
    rig.record(2, 70, b"c");
    assert_eq!(
        rig.seen,
        [Seen::Gap(50, 1), Seen::Data(50, b"b".into()), Seen::Eof(50)]
    );
}

proptest! {
    #[test]
    fn any_order_within_the_window_gives_the_same_bytes(
        cuts in prop::collection::btree_set(1_usize..400, 0..20),
        order in any::<prop::sample::Index>(),
    ) {
        let text: Vec<u8> = (0..400_u32).map(|i| (i % 251) as u8).collect();
        let mut at = 0;
        let mut parts = Vec::new();
        for cut in cuts.into_iter().chain([400]) {
            parts.push((at as u64, text[at..cut].to_vec()));
            at = cut;
        }
        let turn = order.index(parts.len());
        parts.rotate_left(turn);
        let mut rig = Rig::new(Some(0));
        for (i, (pos, bytes)) in parts.iter().enumerate() {
            rig.record(*pos, i as u64, bytes);
        }
        let got: Vec<u8> = rig.seen.iter().flat_map(|s| match s {
            Seen::Data(_, bytes) => bytes.clone(),
            Seen::Gap(..) | Seen::Eof(_) => panic!("{s:?}"),
        }).collect();
        prop_assert_eq!(got, text);
    }

    #[test]
    fn any_records_keep_the_rules(input in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::testing::fuzz::assembler(&input);
    }
}
