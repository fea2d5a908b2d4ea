//! Reading a Cirron spool: its batches, their rows, and their text as a terminal may show it.
//!
//! It stands behind the spool, beside the agent that writes it: everything that reads one is built on it, and it
//! depends on nothing of ours. [`read`] opens the batches of a directory, [`rows`] is what one says, [`shown`] makes
//! text of strangers safe to print.
//!
//! It promises that a batch which the Cirron SDK's readers understand is understood (format version 1,
//! `docs/spool-format.md` of cirron-sdk), that a directory of anybody's costs what [`read::MAX_FILE_BYTES`] and
//! [`read::MAX_FILES`] say, and that what is left out is counted. It joins nothing: that a span is written twice, and
//! which marks are whose, is the reader's part.

pub mod read;
pub mod rows;
pub mod shown;
