//! The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols. So
//! the lengths are all that is written down here; the tables are computed from them when compiled.

/// Bits of the code of each byte, and of the end of the string (RFC 7541, appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23,
    23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22,
    22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26,
    27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
    25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const MIN_BITS: usize = 5;
const MAX_BITS: usize = 30;
/// The symbol of the end of the string: never in a valid string.
const EOS: u16 = 256;

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first code behind them, left-aligned in 32 bits; as 64, since it may be `1 << 32`.
    limit: u64,
    /// The first of them, not aligned.
    first: u32,
    /// Where their symbols begin in [`TABLE`].
    index: usize,
}

struct Table {
    rows: [Row; MAX_BITS + 1],
    /// In the order of their codes.
    symbols: [u16; 257],
}

static TABLE: Table = table();

#[expect(clippy::indexing_slicing, reason = "runs in the compiler")]
const fn table() -> Table {
    let none = Row {
        limit: 0,
        first: 0,
        index: 0,
    };
    let mut table = Table {
        rows: [none; MAX_BITS + 1],
        symbols: [0; 257],
    };
    let (mut bits, mut code, mut n) = (1, 0_u32, 0);
    while bits <= MAX_BITS {
        code <<= 1;
        table.rows[bits].first = code;
        table.rows[bits].index = n;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == bits {
                table.symbols[n] = symbol as u16;
                n += 1;
                code += 1;
            }
            symbol += 1;
        }
        table.rows[bits].limit = (code as u64) << (32 - bits);
        bits += 1;
    }
    table
}

/// The text behind the code; `None`: not a valid string (RFC 7541, section 5.2: it contains the end
/// symbol, or is padded with other than up to 7 bits of it).
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() * 8 / MIN_BITS);
    let mut rest = bytes.iter();
    let (mut window, mut have) = (0_u64, 0_usize);
    loop {
        while have <= 32 {
            let Some(byte) = rest.next() else { break };
            window |= u64::from(*byte) << (56 - have);
            have += 8;
        }
        let top = window >> 32;
        let rows = TABLE.rows.iter().enumerate();
        let mut rows = rows.take(MAX_BITS.min(have) + 1).skip(MIN_BITS);
        let found = rows.find(|(_, row)| top < row.limit);
        let Some((bits, row)) = found else { break };
        let code = (top >> (32 - bits)) as u32;
        let symbol = *TABLE.symbols.get(row.index + (code - row.first) as usize)?;
        if symbol == EOS {
            return None;
        }
        out.push(u8::try_from(symbol).ok()?);
        window <<= bits;
        have -= bits;
    }
    // What is left is the beginning of the end symbol: ones.
    let padding = have < 8 && (have == 0 || window >> (64 - have) == (1 << have) - 1);
    padding.then_some(out)
}

#[cfg(test)]
mod tests {
    use httlib_huffman::encode;

    use super::*;

    #[test]
    fn what_a_library_encodes_is_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [&b"www.example.com"[..], b"", b"no-cache", b"\n\xff", &all] {
            let mut coded = Vec::new();
            encode(text, &mut coded).expect("the library encodes");
            assert_eq!(decode(&coded).as_deref(), Some(text));
        }
        for byte in all {
            let mut coded = Vec::new();
            encode(&[byte], &mut coded).expect("the library encodes");
            assert_eq!(decode(&coded), Some(vec![byte]));
        }
    }

    #[test]
    fn padding_that_is_not_ones_or_too_long_is_refused() {
        // `0` is 00000: three bits of padding.
        assert_eq!(decode(&[0b0000_0111]), Some(vec![b'0']));
        assert_eq!(decode(&[0b0000_0110]), None);
        assert_eq!(decode(&[0b0000_0111, 0xff]), None);
        // The end symbol itself.
        assert_eq!(decode(&[0xff; 4]), None);
    }
}
