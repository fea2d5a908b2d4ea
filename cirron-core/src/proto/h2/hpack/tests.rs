//! Against httlib's encoder, the examples of RFC 7541, and every place to join at.
#![expect(clippy::unwrap_used, reason = "tests")]

use httlib_hpack::Encoder;
use proptest::prelude::*;

use super::*;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// How a field is written: bits of `httlib_hpack::Encoder`.
const WITH_INDEXING: u8 = Encoder::WITH_INDEXING;
const NEVER_INDEXED: u8 = Encoder::NEVER_INDEXED;
const BEST: u8 = Encoder::BEST_FORMAT;
const HUFFMAN: u8 = Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE;

fn pairs(list: &[(&str, &str)]) -> Pairs {
    let own = |(n, v): &(&str, &str)| (n.as_bytes().to_vec(), v.as_bytes().to_vec());
    list.iter().map(own).collect()
}

fn block(encoder: &mut Encoder<'_>, fields: &Pairs, flags: u8) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        let field = (name.clone(), value.clone(), flags);
        encoder.encode(field, &mut out).unwrap();
    }
    out
}

fn known(fields: &Fields) -> Pairs {
    let own = |(n, v): &(Bytes, Bytes)| (n.to_vec(), v.to_vec());
    fields.known.iter().map(own).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |d: &[u8]| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// RFC 7541, appendix C.4: three requests with Huffman codes, on one table.
#[test]
fn the_standards_own_examples_are_read() {
    let mut decoder = Decoder::new(false);
    let first = decoder.decode(&hex("828684418cf1e3c2e5f23a6ba0ab90f4ff"));
    let want = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ];
    assert_eq!(known(&first.unwrap()), pairs(&want));
    let second = decoder.decode(&hex("828684be5886a8eb10649cbf")).unwrap();
    assert_eq!(
        known(&second)[3..],
        pairs(&[want[3], ("cache-control", "no-cache")])
    );
    let third = decoder.decode(&hex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"));
    let third = known(&third.unwrap());
    assert_eq!(
        third[3..],
        pairs(&[want[3], ("custom-key", "custom-value")])
    );
    assert_eq!(decoder.state(), TableState::Whole);
}

/// RFC 7541, appendix C.6: responses on a table of 256 bytes, so that entries are evicted.
#[test]
fn a_small_table_evicts_what_the_encoder_evicts() {
    let mut decoder = Decoder::new(false);
    decoder.decode(&hex("3fe101")).unwrap();
    let first = "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff
        6e919d29ad171863c78f0b97c8e9ae82ae43d3";
    decoder.decode(&hex(first)).unwrap();
    let second = known(&decoder.decode(&hex("4883640effc1c0bf")).unwrap());
    assert_eq!(second[0], (b":status".to_vec(), b"307".to_vec()));
    assert_eq!(
        second[3],
        (b"location".to_vec(), b"https://www.example.com".to_vec())
    );
}

#[test]
fn what_is_no_block_is_refused_and_desyncs() {
    for bad in [
        // Index 0; an index that nobody inserted; a string and an integer that are cut off.
        &[0x80][..],
        &[0xff, 0x00],
        &[0x40, 0x05, b'a'],
        &[0x7f, 0x80],
        // An integer without end.
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        // A Huffman string whose padding is not ones.
        &[0x40, 0x81, 0x06, 0x01, b'b'],
    ] {
        let mut decoder = Decoder::new(false);
        assert_eq!(decoder.decode(bad), Err(BlockError::Invalid), "{bad:?}");
        assert_eq!(decoder.state(), TableState::Desynced);
    }
}

#[test]
fn a_list_that_grows_without_end_is_given_up_and_the_table_stays_right() {
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::new(false);
    let long = pairs(&[("x-long", &"v".repeat(3_000))]);
    decoder
        .decode(&block(&mut encoder, &long, WITH_INDEXING))
        .unwrap();
    // One byte for each repetition.
    assert_eq!(decoder.decode(&[0xbe; 200]), Err(BlockError::TooLong));
    assert_eq!(decoder.state(), TableState::Whole);
    assert_eq!(known(&decoder.decode(&[0xbe]).unwrap()), long);
}

#[test]
fn joined_late_only_what_was_inserted_since_is_known() {
    let mut encoder = Encoder::default();
    let old = block(
        &mut encoder,
        &pairs(&[("x-old", "1"), ("x-older", "2")]),
        WITH_INDEXING,
    );
    let again = block(
        &mut encoder,
        &pairs(&[("x-old", "1")]),
        BEST | Encoder::WITH_INDEXING,
    );
    let new = block(&mut encoder, &pairs(&[("x-new", "3")]), WITH_INDEXING);
    let both = block(
        &mut encoder,
        &pairs(&[("x-new", "3"), ("x-older", "2"), ("accept", "*")]),
        BEST | NEVER_INDEXED,
    );
    let mut decoder = Decoder::new(true);
    drop(old);
    assert_eq!(decoder.decode(&again).unwrap().unknown, 1);
    assert_eq!(
        known(&decoder.decode(&new).unwrap()),
        pairs(&[("x-new", "3")])
    );
    let fields = decoder.decode(&both).unwrap();
    assert_eq!(known(&fields), pairs(&[("x-new", "3"), ("accept", "*")]));
    assert_eq!(fields.unknown, 1);
}

#[test]
fn a_size_update_to_nothing_makes_the_table_whole() {
    let mut decoder = Decoder::new(true);
    assert_eq!(decoder.state(), TableState::Desynced);
    // To 0, and up again.
    decoder.decode(&[0x20, 0x3f, 0xe1, 0x1f]).unwrap();
    assert_eq!(decoder.state(), TableState::Whole);
    assert_eq!(decoder.decode(&[0xbe]), Err(BlockError::Invalid));
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b":status".to_vec()),
        Just(b"content-type".to_vec()),
        Just(b"x-a".to_vec()),
        "x-[a-z]{1,12}".prop_map(String::into_bytes),
    ]
}

fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, u8)> {
    let value = prop_oneof![
        Just(b"200".to_vec()),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..600),
    ];
    let flags = prop_oneof![
        Just(BEST | WITH_INDEXING),
        Just(BEST | WITH_INDEXING | HUFFMAN),
        Just(NEVER_INDEXED),
        Just(HUFFMAN),
    ];
    (name(), value, flags)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What a library encodes is decoded, and joined before any block never anything else.
    #[test]
    fn a_librarys_blocks_decode_to_the_same_lists_or_to_unknown(
        lists in prop::collection::vec(prop::collection::vec(field(), 0..6), 1..12),
        join in 0_usize..12,
    ) {
        let mut encoder = Encoder::default();
        let mut from_start = Decoder::new(false);
        let mut late = Decoder::new(true);
        for (n, list) in lists.iter().enumerate() {
            let mut bytes = Vec::new();
            for field in list {
                encoder.encode(field.clone(), &mut bytes).unwrap();
            }
            let want: Pairs = list.iter().map(|(n, v, _)| (n.clone(), v.clone())).collect();
            let got = from_start.decode(&bytes).unwrap();
            prop_assert_eq!(got.unknown, 0);
            prop_assert_eq!(known(&got), want.clone());
            if n < join {
                continue;
            }
            let got = late.decode(&bytes).unwrap();
            prop_assert_eq!(got.known.len() + got.unknown, want.len());
            // What is known stands in the list, in its order.
            let mut rest = want.iter();
            for field in known(&got) {
                prop_assert!(rest.any(|w| *w == field), "{:?} of {:?}", field, want);
            }
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        late in any::<bool>(),
    ) {
        let mut decoder = Decoder::new(late);
        for block in blocks {
            let _ = decoder.decode(&block);
        }
    }
}
