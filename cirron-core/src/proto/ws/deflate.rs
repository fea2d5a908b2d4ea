//! permessage-deflate (RFC 7692): what the handshake agreed on, and the inflater of one direction.

use flate2::{Decompress, FlushDecompress, Status};

use crate::limits::{INFLATE_FREE_BYTES, MAX_INFLATE_RATIO};

/// What a sender cuts off a compressed message (RFC 7692, section 7.2.1).
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Bytes of the library's inflater: its window and its tables.
const DECODER_BYTES: usize = 44 * 1024;

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deflate {
    /// Each message of the server is compressed on its own.
    pub server_no_context_takeover: bool,
    /// Each message of the client is compressed on its own.
    pub client_no_context_takeover: bool,
    /// Base-2 logarithm of the server's window, 8 to 15.
    pub server_max_window_bits: u8,
    /// Base-2 logarithm of the client's window, 8 to 15.
    pub client_max_window_bits: u8,
}

/// What holds for one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// Each message is compressed on its own.
    pub no_context_takeover: bool,
    /// Base-2 logarithm of the window, 8 to 15. We inflate with the largest, which reads all.
    pub max_window_bits: u8,
}

impl Deflate {
    /// Reads the response's `sec-websocket-extensions` (RFC 7692, section 7.1). `None`: the
    /// extension was not agreed on, or with parameters that no client may accept.
    pub(crate) fn parse(extensions: &str) -> Option<Deflate> {
        extensions.split(',').find_map(|extension| {
            let mut params = extension.split(';').map(str::trim);
            let name = params.next()?;
            name.eq_ignore_ascii_case("permessage-deflate")
                .then_some(params)
                .and_then(Deflate::from_params)
        })
    }

    fn from_params<'p>(params: impl Iterator<Item = &'p str>) -> Option<Deflate> {
        let mut names = Vec::new();
        let mut deflate = Deflate {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        for param in params {
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim().trim_matches('"'))),
                None => (param, None),
            };
            let name = name.to_ascii_lowercase();
            match (name.as_str(), value) {
                ("server_no_context_takeover", None) => deflate.server_no_context_takeover = true,
                ("client_no_context_takeover", None) => deflate.client_no_context_takeover = true,
                ("server_max_window_bits", Some(bits)) => {
                    deflate.server_max_window_bits = window_bits(bits)?;
                }
                ("client_max_window_bits", Some(bits)) => {
                    deflate.client_max_window_bits = window_bits(bits)?;
                }
                _ => return None,
            }
            if names.contains(&name) {
                return None;
            }
            names.push(name);
        }
        Some(deflate)
    }

    /// For what the server sends.
    pub(crate) fn server(&self) -> Params {
        Params {
            no_context_takeover: self.server_no_context_takeover,
            max_window_bits: self.server_max_window_bits,
        }
    }

    /// For what the client sends.
    pub(crate) fn client(&self) -> Params {
        Params {
            no_context_takeover: self.client_no_context_takeover,
            max_window_bits: self.client_max_window_bits,
        }
    }
}

/// Decimal, 8 to 15, no leading zero.
fn window_bits(text: &str) -> Option<u8> {
    let bits: u8 = text.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (text == bits.to_string()).then_some(bits)
}

/// The message cannot be inflated further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Inflates the messages of one direction, one after the other.
pub(super) struct Inflater {
    no_context_takeover: bool,
    /// Made with the first compressed message, since it is [`DECODER_BYTES`] large.
    decoder: Option<Decompress>,
    /// Messages refer to bytes that were not seen.
    desynced: bool,
    /// The message had a block marked as the last of all (RFC 7692, section 7.2.3.4): the library's
    /// window is gone with it, the sender's may not be.
    final_block: bool,
    in_bytes: u64,
    out_bytes: u64,
}

impl Inflater {
    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.decoder.as_ref().map_or(0, |_| DECODER_BYTES)
    }

    /// `late`: messages passed before.
    pub(super) fn new(params: Params) -> Inflater {
        Inflater {
            no_context_takeover: params.no_context_takeover,
            decoder: None,
            desynced: false,
            final_block: false,
            in_bytes: 0,
            out_bytes: 0,
        }
    }

    /// Something of the direction was lost, or could not be read.
    pub(super) fn desync(&mut self) {
        self.desynced = true;
        if !self.no_context_takeover {
            self.decoder = None;
        }
    }

    /// A message begins; whether it can be inflated.
    pub(super) fn begin(&mut self) -> bool {
        if self.no_context_takeover {
            if let Some(decoder) = &mut self.decoder {
                decoder.reset(false);
            }
            self.desynced = false;
        } else if self.final_block {
            self.desync();
        }
        (self.final_block, self.in_bytes, self.out_bytes) = (false, 0, 0);
        !self.desynced
    }

    /// Inflates from `input` into `out`: bytes read and bytes written. All is read and nothing is
    /// held back once less than `out` is written and `input` is used up.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<(usize, usize), Damaged> {
        let decoder = self.decoder.get_or_insert_with(|| Decompress::new(false));
        let before = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(input, out, FlushDecompress::None)
            .map_err(|_| Damaged)?;
        let read = decoder.total_in() - before.0;
        let written = decoder.total_out() - before.1;
        self.in_bytes += read;
        self.out_bytes += written;
        let allowed = INFLATE_FREE_BYTES.max(self.in_bytes.saturating_mul(MAX_INFLATE_RATIO));
        // Behind a last block, bytes may refer to a window that only the sender has.
        if self.out_bytes > allowed || (self.final_block && written > 0) {
            return Err(Damaged);
        }
        if status == Status::StreamEnd {
            self.final_block = true;
            decoder.reset(false);
        }
        let (read, written) = (read as usize, written as usize);
        if read == 0 && written == 0 && !input.is_empty() {
            return Err(Damaged);
        }
        Ok((read, written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_handshake_agreed_on_is_read() {
        let plain = Deflate::parse("permessage-deflate").expect("agreed");
        assert!(!plain.server().no_context_takeover && !plain.client().no_context_takeover);
        assert_eq!(plain.server().max_window_bits, 15);
        let all = "x-other; a=b, Permessage-Deflate ; server_no_context_takeover;\
                   client_no_context_takeover; server_max_window_bits=\"10\" ; client_max_window_bits = 12";
        let all = Deflate::parse(all).expect("agreed");
        assert!(all.server_no_context_takeover && all.client_no_context_takeover);
        assert_eq!(all.server().max_window_bits, 10);
        assert_eq!(all.client().max_window_bits, 12);
    }

    #[test]
    fn what_no_client_may_accept_is_no_agreement() {
        for value in [
            "",
            "permessage-bzip2",
            "permessage-deflate; more",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ] {
            assert_eq!(Deflate::parse(value), None, "{value}");
        }
    }
}
