//! Bytes of strangers.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn entry(kind: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let key_len = u8::try_from(key.len()).unwrap();
    let [low, high] = u16::try_from(value.len()).unwrap().to_ne_bytes();
    [&[kind, key_len, low, high], key, value].concat()
}

fn read(bytes: &[u8]) -> Packed {
    let len = u32::try_from(bytes.len()).unwrap();
    let fault = false;
    Packed::read(Some(Text { len, bytes, fault }))
}

#[test]
fn every_kind_of_entry_is_read_and_one_that_is_not_known_is_passed_over() {
    let all = [
        entry(1, b"rows", &(-3_i64).to_ne_bytes()),
        entry(2, b"share", &0.5_f64.to_ne_bytes()),
        entry(2, b"none", &f64::NAN.to_ne_bytes()),
        entry(99, b"of", b"later"),
        entry(3, b"cached", &[1]),
        entry(4, b"where\n", "caf\u{e9}".as_bytes()),
        entry(4, b"bytes", b"\xff"),
        entry(5, b"large", &u64::MAX.to_ne_bytes()),
        entry(6, b"", &7_i64.to_ne_bytes()),
        entry(127, b"", &2_u32.to_ne_bytes()),
    ]
    .concat();
    let packed = read(&all);
    assert_eq!((packed.index, packed.left_out), (Some(7), 2));
    assert!(!packed.is_broken);
    let want: Attrs = [
        ("rows", AttrValue::Int(-3)),
        ("share", AttrValue::Float(0.5)),
        ("none", "NaN".into()),
        ("cached", true.into()),
        ("where?", "caf\u{e9}".into()),
        ("bytes", "\u{fffd}".into()),
        ("large", "18446744073709551615".into()),
    ]
    .into_iter()
    .map(|(name, value)| (Label::foreign(name), value))
    .collect();
    assert_eq!(packed.attrs, want);
}

#[test]
fn what_does_not_fit_ends_the_row_and_is_said() {
    let all = [entry(3, b"a", &[1]), entry(3, b"b", &[1])].concat();
    for len in 0..=all.len() {
        let packed = read(&all[..len]);
        let whole = len % (all.len() / 2) == 0;
        assert_eq!(packed.is_broken, !whole, "{len}");
        assert_eq!(packed.attrs.len(), len / (all.len() / 2));
    }
    // A value that is shorter than its kind.
    assert!(read(&entry(1, b"a", &[1, 2])).is_broken);
    let bytes = all.as_slice();
    let (len, fault) = (99, false);
    assert!(Packed::read(Some(Text { len, bytes, fault })).is_broken);
    assert_eq!(Packed::read(None), Packed::default());
}

#[test]
fn more_than_there_is_room_for_are_counted() {
    let names: Vec<String> = (0..MAX_PROBE_ATTRS + 3)
        .map(|n| format!("{n:03}"))
        .collect();
    let all: Vec<u8> = names
        .iter()
        .flat_map(|name| entry(3, name.as_bytes(), &[1]))
        .collect();
    let packed = read(&all);
    assert_eq!((packed.attrs.len(), packed.left_out), (MAX_PROBE_ATTRS, 3));
}

#[test]
fn a_mark_s_kind_has_bits_that_are_ignored() {
    let text = |bytes| {
        Some(Text {
            len: 2,
            bytes,
            fault: false,
        })
    };
    let (value, kind) = marked(1 | 1 << 20, 5, None).unwrap();
    assert_eq!((value, kind), (MarkValue::Int(5), MarkKind::Point));
    let (value, kind) = marked(2 | 1 << 8, f64::INFINITY.to_bits(), None).unwrap();
    assert_eq!(value, MarkValue::Float(f64::INFINITY));
    assert_eq!(kind, MarkKind::Summary);
    assert_eq!(marked(3, 0, None).unwrap().0, MarkValue::Bool(false));
    let (value, _) = marked(4 | 1 << 9, 0xdead, text(b"ok")).unwrap();
    assert_eq!(value, MarkValue::text("ok"));
    let (value, _) = marked(5, u64::MAX, None).unwrap();
    assert_eq!(value, MarkValue::text("18446744073709551615"));
    assert_eq!(marked(9, 0, None), None);
    assert_eq!(marked(4, 0, text(b"")), None, "it could not be read");
}
