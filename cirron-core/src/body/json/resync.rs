//! Behind a hole: looks for `"key": {` in raw bytes, for a few known keys.
//!
//! Inside a JSON string a quote is always escaped, so `"key"` with plain quotes on both sides
//! cannot stand inside one: what is found is a member of some object. That it is the member we mean
//! is an assumption, and what follows is marked as found behind a hole.
//!
//! ```text
//!  Seek --"--> Name --"--> Colon --:--> Brace --{--> found
//!    ^__________|____________|____________|  anything else
//! ```

use crate::cut::behind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Seek,
    /// This many bytes matched; the keys that still may be meant, one bit each.
    Name {
        len: usize,
        keys: u32,
    },
    Colon(usize),
    Brace(usize),
}

#[derive(Debug)]
pub(super) struct Resync {
    state: State,
}

impl Resync {
    pub(super) fn new() -> Resync {
        Resync { state: State::Seek }
    }

    /// Looks through `bytes`. When a key is found: its number, and how many bytes were used, the
    /// brace among them.
    pub(super) fn push(&mut self, bytes: &[u8], keys: &[&str]) -> Option<(usize, usize)> {
        let mut i = 0;
        while i < bytes.len() {
            if self.state == State::Seek {
                i += memchr::memchr(b'"', behind(bytes, i))?;
            }
            let b = *bytes.get(i)?;
            i += 1;
            self.state = match self.state {
                State::Seek => State::Name {
                    len: 0,
                    keys: u32::MAX,
                },
                State::Name { len, keys: mask } => {
                    if b == b'"' {
                        let whole = |(n, k): &(usize, &&str)| mask >> n & 1 == 1 && k.len() == len;
                        match keys.iter().enumerate().find(whole) {
                            Some((n, _)) => State::Colon(n),
                            // This quote may be the first of a key.
                            None => State::Name {
                                len: 0,
                                keys: u32::MAX,
                            },
                        }
                    } else {
                        let mut left = 0;
                        for (n, key) in keys.iter().enumerate().take(32) {
                            if mask >> n & 1 == 1 && key.as_bytes().get(len) == Some(&b) {
                                left |= 1 << n;
                            }
                        }
                        match left {
                            0 => State::Seek,
                            keys => State::Name { len: len + 1, keys },
                        }
                    }
                }
                State::Colon(n) | State::Brace(n) if b.is_ascii_whitespace() => match self.state {
                    State::Colon(_) => State::Colon(n),
                    State::Brace(_) | State::Seek | State::Name { .. } => State::Brace(n),
                },
                State::Colon(n) if b == b':' => State::Brace(n),
                State::Brace(n) if b == b'{' => {
                    self.state = State::Seek;
                    return Some((n, i));
                }
                State::Colon(_) | State::Brace(_) if b == b'"' => State::Name {
                    len: 0,
                    keys: u32::MAX,
                },
                State::Colon(_) | State::Brace(_) => State::Seek,
            };
        }
        None
    }
}
