#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::time::MS;

fn written(pos: u64, ts: u64, bytes: &[u8]) -> Written {
    Written {
        pos,
        ts: MonoNs(ts * MS),
        orig_len: bytes.len() as u64,
        bytes: bytes.to_vec(),
        unsure: false,
    }
}

/// Position, time in ms, bytes, unsure.
fn told(out: &[Written]) -> Vec<(u64, u64, &[u8], bool)> {
    out.iter()
        .map(|w| (w.pos, w.ts.0 / MS, w.bytes.as_slice(), w.unsure))
        .collect()
}

fn at(ms: u64) -> MonoNs {
    MonoNs(ms * MS)
}

#[test]
fn what_is_held_goes_with_the_time_at_which_it_was_sent() {
    let mut holding = Holding::default();
    assert!(holding.hold(written(0, 1, b"abc"), 0).is_empty());
    assert!(holding.hold(written(3, 80, b"def"), 0).is_empty());
    let out = holding.release_sent(6, Some(at(146)), at(150));
    let want: [(u64, u64, &[u8], bool); 2] = [(0, 146, b"abc", false), (3, 146, b"def", false)];
    assert_eq!(told(&out), want);
    assert!(holding.is_empty() && holding.held_bytes() == 0);
}

#[test]
fn a_write_of_which_a_part_was_sent_is_cut_there_and_a_hole_in_it_too() {
    for cut in 0..=8 {
        let mut holding = Holding::default();
        let mut whole = written(10, 1, b"abcde");
        whole.orig_len = 8;
        let mut out = holding.hold(whole, 10 + cut);
        out.extend(holding.release_sent(18, Some(at(9)), at(9)));
        let bytes: Vec<u8> = out.iter().flat_map(|w| w.bytes.clone()).collect();
        assert_eq!(bytes, b"abcde", "cut at {cut}");
        let mut next = 10;
        for piece in &out {
            assert_eq!((piece.pos, piece.unsure), (next, false));
            assert!(piece.bytes.len() as u64 <= piece.orig_len);
            assert_eq!(piece.ts, if piece.pos < 10 + cut { at(1) } else { at(9) });
            next += piece.orig_len;
        }
        assert_eq!((next, holding.held_bytes()), (18, 0));
    }
}

#[test]
fn each_step_of_the_kernel_lets_go_as_much_as_it_sent() {
    let mut holding = Holding::default();
    holding.hold(written(0, 1, b"abcdef"), 0);
    let steps: Vec<_> = (1..=6)
        .flat_map(|n| holding.release_sent(n, Some(at(n * 10)), at(n * 10)))
        .collect();
    let got: Vec<_> = steps.iter().map(|w| (w.pos, w.ts.0 / MS)).collect();
    assert_eq!(got, [(0, 10), (1, 20), (2, 30), (3, 40), (4, 50), (5, 60)]);
    assert_eq!(holding.held_bytes(), 0);
}

#[test]
fn a_time_that_is_not_known_is_unsure_unless_it_is_known_closely_enough() {
    let sent = |after: u64| {
        let mut holding = Holding::default();
        holding.hold(written(0, 1, b"a"), 0);
        let out = holding.release_sent(1, None, at(1 + after));
        (out[0].ts, out[0].unsure)
    };
    assert_eq!(sent(5), (at(6), false));
    assert_eq!(sent(6), (MonoNs(7 * MS - 1), true));
}

#[test]
fn nothing_is_stamped_before_it_was_written() {
    let mut holding = Holding::default();
    holding.hold(written(0, 5, b"a"), 0);
    assert_eq!(holding.release_sent(1, Some(at(4)), at(9))[0].ts, at(5));
}

#[test]
fn past_the_limits_the_oldest_go_on_unsure_with_their_own_time() {
    let mut holding = Holding::default();
    let half = vec![b'x'; MAX_UNSENT_BYTES / 2];
    assert!(holding.hold(written(0, 1, &half), 0).is_empty());
    let out = holding.hold(written(half.len() as u64, 2, &half), 0);
    assert_eq!((out.len(), out[0].ts, out[0].unsure), (1, at(1), true));
    assert!(holding.held_bytes() <= MAX_UNSENT_BYTES);
    // Empty ones are bounded too.
    let most = MAX_UNSENT_BYTES / HELD_OVERHEAD_BYTES;
    for i in 0..2 * most as u64 {
        holding.hold(written(half.len() as u64 * 2 + i, 3, b"y"), 0);
    }
    assert!(holding.held.len() <= most);
    let due = holding.poll_timeout().unwrap();
    assert!(holding.handle_timeout(MonoNs(due.0 - 1)).is_empty());
    let out = holding.handle_timeout(due);
    assert!(holding.is_empty() && out.iter().all(|w| w.unsure && w.ts == at(3)));
    assert_eq!((holding.poll_timeout(), holding.held_bytes()), (None, 0));
}

#[test]
fn what_comes_out_of_order_goes_on_in_order() {
    let mut holding = Holding::default();
    holding.hold(written(3, 2, b"d"), 0);
    holding.hold(written(0, 1, b"abc"), 0);
    let order: Vec<_> = holding.flush().iter().map(|w| w.pos).collect();
    assert_eq!(order, [0, 3]);
}
