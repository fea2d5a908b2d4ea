//! In step from the first byte: the standards' own examples, every cut, what is refused.

use super::*;
use crate::limits::{INFLATE_FREE_BYTES, WS_CHUNK_BYTES};
use crate::testing::assert_split_invariant;

fn read(params: Option<Params>, bytes: &[u8]) -> Got {
    assert_split_invariant(bytes, |parts| run(&mut Parser::new(params), parts))
}

#[test]
fn the_examples_of_rfc_6455_are_read() {
    let hello = b"Hello";
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    let plain = [&[0x81, 5][..], hello].concat();
    let fragments = [&[0x01, 3][..], b"Hel", &[0x80, 2], b"lo"].concat();
    let ping = [&[0x89, 5][..], hello].concat();
    let pong = [
        0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    let medium = [&[0x82, 0x7e, 1, 0][..], &[7; 256]].concat();
    let all = [&masked[..], &plain, &fragments, &ping, &pong, &medium].concat();
    let got = read(None, &all);
    assert_eq!(got.texts()[..3], ["Hello"; 3]);
    assert_eq!(got.messages[2].end, Some((5, 2, false)));
    assert_eq!(got.messages[3].data, [7; 256]);
    assert_eq!((got.pings, got.pongs, got.lost), (1, 1, 0));
}

#[test]
fn the_examples_of_rfc_7692_are_read() {
    let one = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let fragments = [
        0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00,
    ];
    let again = [0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00];
    let stored = [
        0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    let blocks = [
        0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    let empty = [0xc1, 0x01, 0x00];
    // Not of the RFC: nothing at all, where a block is due.
    let nothing = [0xc1, 0x00];
    let all = [
        &one[..],
        &again,
        &fragments,
        &stored,
        &blocks,
        &empty,
        &nothing,
        &again,
    ]
    .concat();
    let got = read(Some(params(true)), &all);
    let hello = "Hello";
    assert_eq!(
        got.texts(),
        [hello, hello, hello, hello, hello, "", "", hello]
    );
    assert!(got.messages.iter().all(|m| m.compressed) && got.lost == 0);
    assert_eq!(got.messages[2].end, Some((7, 2, false)));
}

#[test]
fn a_last_block_ends_a_message_and_the_window() {
    // RFC 7692, section 7.2.3.4, then the message that refers to it, of section 7.2.3.2.
    let last = [0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let again = [0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00];
    let one = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let got = read(Some(params(true)), &[&last[..], &again].concat());
    assert_eq!(got.texts(), ["Hello"]);
    assert_eq!(got.messages[1].end, Some((5, 1, true)));
    let got = read(Some(params(false)), &[&last[..], &one].concat());
    assert_eq!(got.texts(), ["Hello", "Hello"]);
}

#[test]
fn compressed_fragmented_masked_messages_between_pings_are_read_on_every_split() {
    for takeover in [true, false] {
        let mut deflater = Deflater::new(takeover);
        let (mut bytes, mut said) = (Vec::new(), Vec::new());
        for n in 0..6 {
            let text = token(n);
            let compressed = deflater.message(text.as_bytes());
            for part in message(0xc1, Some(0x1234_5678 + n as u32), &compressed, n + 1) {
                bytes.extend(part);
                bytes.extend(frame(0x89, Some([1, 2, 3, 4]), b"ping"));
            }
            bytes.extend(frame(0x81, Some([9; 4]), b"not compressed"));
            said.extend([text, "not compressed".to_owned()]);
        }
        bytes.extend(frame(
            0x88,
            Some([5, 6, 7, 8]),
            &[0x03, 0xe8, b'b', b'y', b'e'],
        ));
        bytes.extend(b"not looked at");
        let got = read(Some(params(takeover)), &bytes);
        assert_eq!(got.texts(), said);
        assert_eq!((got.pings, got.close), (21, Some(Some(1000))));
        assert!(!got.misread && got.lost == 0);
    }
}

#[test]
fn long_messages_come_in_bounded_chunks() {
    let mut deflater = Deflater::new(true);
    for len in [
        WS_CHUNK_BYTES - 1,
        WS_CHUNK_BYTES,
        2 * WS_CHUNK_BYTES,
        300_000,
    ] {
        let data = noise(len as u64, len);
        let zeros = vec![b'0'; len];
        let bytes = [
            frame(0x82, Some([3, 1, 4, 1]), &data),
            frame(0xc2, None, &deflater.message(&data)),
            frame(0xc2, None, &deflater.message(&zeros)),
            frame(0xc1, None, &deflater.message(b"end")),
        ]
        .concat();
        let mut parser = Parser::new(Some(params(true)));
        for size in [bytes.len(), 1_000] {
            let parts: Vec<Fed<'_>> = bytes.chunks(size).map(Fed::Data).collect();
            let got = run(&mut parser, &parts);
            let whole = got.whole();
            assert_eq!(whole[0].1, data);
            assert!(
                whole.len() == 4 && whole[1].1 == data && whole[2].1 == zeros,
                "{len}"
            );
            assert_eq!(whole[3].1, b"end");
            parser = Parser::new(Some(params(true)));
        }
        let ts = MonoNs(1);
        let piece = Piece::Data { ts, bytes: &bytes };
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        while let Some(event) = parser.next(&mut cur) {
            assert!(!matches!(event, Event::Data(b) if b.len() > WS_CHUNK_BYTES));
        }
    }
}

#[test]
fn what_is_flushed_is_known_before_the_next_frame() {
    let mut deflater = Deflater::new(true);
    let mut flushed = deflater.message(&[b'0'; 50_000]);
    flushed.extend([0, 0, 0xff, 0xff]);
    let rest = deflater.message(b"!");
    let mut parser = Parser::new(Some(params(true)));
    let got = run(&mut parser, &[Fed::Data(&frame(0x41, None, &flushed))]);
    assert_eq!(
        (got.messages[0].data.len(), got.messages[0].end),
        (50_000, None)
    );
    let mut parser = Parser::new(Some(params(true)));
    let bytes = [frame(0x41, None, &flushed), frame(0x80, None, &rest)].concat();
    let got = run(&mut parser, &[Fed::Data(&bytes)]);
    assert_eq!(got.texts()[0].len(), 50_001);
}

#[test]
fn what_is_no_websocket_is_given_up_at_once_and_for_good() {
    let text = frame(0x81, None, b"Hello");
    for wrong in [
        frame(0x83, None, b""),
        frame(0x91, None, b"RSV3"),
        frame(0xc1, None, b"compressed, and nobody agreed"),
        frame(0x80, None, b"the continuation of nothing"),
        frame(0x09, None, b""),
        frame(0x88, None, &[0, 1]),
        [frame(0x01, None, b"a"), frame(0x81, None, b"b")].concat(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
    ] {
        let bytes = [text.clone(), wrong, text.clone(), text.clone()].concat();
        let got = assert_split_invariant(&bytes, |parts| run(&mut Parser::new(None), parts));
        assert!(got.misread && got.lost > 0, "{got:?}");
        assert_eq!(got.texts(), ["Hello"]);
    }
}

#[test]
fn bytes_that_do_not_inflate_damage_their_message() {
    let mut deflater = Deflater::new(false);
    let good = frame(0xc1, None, &deflater.message(b"good"));
    let bad = frame(0xc1, None, &[0xff; 20]);
    for (takeover, whole) in [(true, 1), (false, 2)] {
        let bytes = [good.clone(), bad.clone(), good.clone()].concat();
        let got = read(Some(params(takeover)), &bytes);
        assert_eq!(got.messages[1].end, Some((20, 1, true)));
        assert_eq!((got.texts().len(), got.messages.len()), (whole, 3));
        assert!(!got.misread);
    }
}

#[test]
fn a_bomb_is_cut_off() {
    let mut deflater = Deflater::new(false);
    let bomb = frame(0xc2, None, &deflater.message(&vec![0; 16 << 20]));
    let got = run(&mut Parser::new(Some(params(false))), &[Fed::Data(&bomb)]);
    let message = &got.messages[0];
    assert!(message.end.is_some_and(|(_, _, damaged)| damaged));
    assert!((message.data.len() as u64) <= 4 * INFLATE_FREE_BYTES);
}

#[test]
fn no_debug_form_shows_a_payload() {
    let bytes = [
        frame(0x81, None, b"secret"),
        frame(0xc1, None, &Deflater::new(true).message(b"secret")),
        frame(0x88, None, b"\x03\xe8secret"),
    ]
    .concat();
    let mut parser = Parser::new(Some(params(true)));
    let piece = Piece::Data {
        ts: MonoNs(1),
        bytes: &bytes,
    };
    let mut cur = Cursor::new(piece, MessageEnd::Aborted);
    let mut shown = String::new();
    while let Some(event) = parser.next(&mut cur) {
        shown += &format!("{event:?}");
    }
    shown += &format!("{parser:?}");
    assert!(shown.contains("Data(6 bytes)") && shown.contains("code: Some(1000)"));
    for hidden in ["secret", "115", "101, 99"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
