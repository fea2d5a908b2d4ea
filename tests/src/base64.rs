//! Bytes as protobuf's mapping to JSON writes them.

use anyhow::{Context as _, Result};

/// The bytes of a text of base64, in hexadecimal digits.
pub fn hex(text: &str) -> Result<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut out) = (0u32, 0, String::new());
    for byte in text.bytes().filter(|b| *b != b'=') {
        let digit = DIGITS
            .iter()
            .position(|d| *d == byte)
            .context("a digit of base64")?;
        bits = bits << 6 | u32::try_from(digit)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push_str(&format!("{:02x}", bits >> held & 0xff));
        }
    }
    Ok(out)
}
