//! The family of TLS libraries: which functions move plaintext, and which libraries cannot be read.

pub mod blind;
pub mod functions;
