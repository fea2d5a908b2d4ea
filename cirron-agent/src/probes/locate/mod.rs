//! Ways to find functions in a file.

pub mod call_site;
pub mod pclntab;
pub mod symbol;
pub mod tails;
