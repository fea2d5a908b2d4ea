//! Go's HTTP client: which goroutine a request is written for.
//!
//! ```text
//!  roundTrip(connection) by G --> GO_ASKED: connection -> G      Write(connection) by W --> GO_WRITERS: W -> G
//!                                                                a write of bytes by W: its record names G
//! ```
//! Requests of HTTP/1 are written by a goroutine of the connection (`net/http.(*persistConn).writeLoop`), which lives as long
//! as that, whoever asks. A connection has one request at a time, so that who asked last is whose request is written. Where
//! numbers of goroutines are not known nothing is noted.

use cirron_common::{conn::Runner, record::GOID, tls::GoKey};

use crate::maps::{GO_ASKED, GO_WRITERS};

#[inline(always)]
fn runner(context: u64, pid_tgid: u64) -> Runner {
    Runner {
        context,
        pid_tgid: pid_tgid >> 32,
    }
}

/// `context` asks on `connection`.
#[inline(always)]
pub fn note_request(connection: u64, context: u64, pid_tgid: u64) {
    let key = GoKey {
        goroutine: connection,
        tgid: pid_tgid >> 32,
    };
    if context & GOID == 0 || GO_ASKED.insert(&key, &context, 0).is_err() {
        let _ = GO_ASKED.remove(&key);
    }
}

/// `context` is about to write to `connection`.
#[inline(always)]
pub fn note_writer(connection: u64, context: u64, pid_tgid: u64) {
    let key = GoKey {
        goroutine: connection,
        tgid: pid_tgid >> 32,
    };
    let writer = runner(context, pid_tgid);
    // SAFETY: copied at once.
    match unsafe { GO_ASKED.get(&key) }.copied() {
        Some(asked) => {
            let _ = GO_WRITERS.insert(&writer, &asked, 0);
        }
        None => {
            let _ = GO_WRITERS.remove(&writer);
        }
    }
}

/// Whom `context` writes for: itself, unless it is known to write for another. Apart, for its part of the stack.
#[inline(never)]
pub fn asked_by(context: u64, pid_tgid: u64) -> u64 {
    // SAFETY: copied at once.
    match unsafe { GO_WRITERS.get(&runner(context, pid_tgid)) } {
        Some(asked) => *asked,
        None => context,
    }
}
