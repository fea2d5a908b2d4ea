//! Bodies: content decoding, event streams, JSON.
