//! How good the figures are, and what is not in them: a plain sentence for each, with its number.

use crate::survey::calls::{Call, Flags};
use crate::survey::collect::{COUNTED, Collected};
use crate::units::{bytes, count, percent, plural};

/// What a flag means for the figures of the calls that have it.
const FLAGS: [(Flags, &str); 10] = [
    (
        Flags::PARTIAL,
        "partial: a hole, a late attach or an early end touched them; what is said of them is true, and not all",
    ),
    (
        Flags::LATE,
        "begun before the agent looked: they have no latency and no time to first token here",
    ),
    (
        Flags::END_LOST,
        "without an end that was seen: they have no latency here",
    ),
    (
        Flags::ESTIMATED,
        "with tokens that the agent counted by events, since the server reported none",
    ),
    (
        Flags::LOWER_BOUND,
        "with a number of tokens that is a lower bound",
    ),
    (
        Flags::UNREAD,
        "answered with a body that could not be read: they have no tokens",
    ),
    (
        Flags::HELD,
        "with times that rest on bytes which the kernel held back, for longer than is known to 5 ms",
    ),
    (
        Flags::BURST,
        "answered in one burst: the stream was held back somewhere, and its times between tokens are not the model's",
    ),
    (
        Flags::GIVEN_UP,
        "given up in part, to keep the agent's bound of memory",
    ),
    (
        Flags::SAMPLED,
        "written by a rule that samples: each stands for several, and totals here are of those written",
    ),
];

/// What a session's counter means, in the order of [`COUNTED`].
const SESSIONS: [(&str, &str, &str); COUNTED.len()] = [
    (
        "TLS connection",
        "TLS connections",
        "not read: what they carried is in no figure here",
    ),
    (
        "TLS connection",
        "TLS connections",
        "seen in a library that gave no plaintext: what they carried, if anything, is in no figure",
    ),
    (
        "connection",
        "connections",
        "with exchanges that nothing named (joined late, or behind a hole)",
    ),
    ("exchange", "exchanges", "on such connections: in no figure"),
    (
        "exchange",
        "exchanges",
        "left out by a rule that ignores them",
    ),
    ("exchange", "exchanges", "left out by a rule that samples"),
    (
        "question",
        "questions",
        "to databases and the like that are in no net.client",
    ),
    ("byte", "bytes", "of such questions"),
    ("scope", "scopes", "whose parent is known by evidence"),
    (
        "scope",
        "scopes",
        "that may be part of a request, and nobody knows of which: they are below their session",
    ),
];

/// A sentence for each thing that is so; none where all is whole.
pub(crate) fn sentences(all: &Collected, calls: &[&Call]) -> Vec<String> {
    let mut out = Vec::new();
    let total = calls.len() as u64;
    let open = calls.iter().filter(|call| call.is_open()).count() as u64;
    let say = |out: &mut Vec<String>, n: u64, what: &str| {
        if n > 0 {
            let (calls, share) = (plural(n, "call", "calls"), percent(n, total));
            out.push(format!("<b>{calls}</b> ({share}) {what}."));
        }
    };
    say(&mut out, open, "had not ended when the spool was read");
    for (flag, what) in FLAGS {
        let n = calls.iter().filter(|call| call.has(flag)).count() as u64;
        say(&mut out, n, what);
    }
    let from_here = calls
        .iter()
        .filter(|call| call.has(Flags::CALLED_FROM_HERE));
    say(
        &mut out,
        from_here.count() as u64,
        "were made by another process that is watched too: where that one served a call of its own for it, both count",
    );
    let lost: u64 = calls.iter().map(|call| u64::from(call.lost_bytes)).sum();
    if lost > 0 {
        let touched = calls.iter().filter(|call| call.lost_bytes > 0).count() as u64;
        out.push(format!(
            "<b>{}</b> of {} passed without being captured.",
            bytes(lost),
            plural(touched, "call", "calls")
        ));
    }
    out.extend(of_sessions(all));
    if all.past > 0 {
        out.push(format!(
            "<b>{}</b> of spans or marks came when {} calls were kept already: they are in no figure.",
            plural(all.past, "row", "rows"),
            count(crate::survey::collect::MAX_CALLS as u64)
        ));
    }
    for (n, what) in [
        (
            all.links_past,
            "below others had no room here: waterfalls may lack them",
        ),
        (
            all.orphans_past,
            "that nobody knows the request of had no room here: there are more than are told",
        ),
    ] {
        if n > 0 {
            out.push(format!("<b>{}</b> {what}.", plural(n, "scope", "scopes")));
        }
    }
    out
}

fn of_sessions(all: &Collected) -> Vec<String> {
    let mut out = Vec::new();
    for (at, (one, many, what)) in SESSIONS.iter().enumerate() {
        let n: u64 = all
            .sessions
            .values()
            .filter_map(|session| session.counted.get(at))
            .fold(0, |sum, n| sum.saturating_add(*n));
        if n > 0 {
            out.push(format!("<b>{}</b> {what}.", plural(n, one, many)));
        }
    }
    let mut blind: Vec<&str> = all
        .sessions
        .values()
        .map(|session| session.blind.as_str())
        .filter(|blind| !blind.is_empty())
        .collect();
    blind.sort_unstable();
    blind.dedup();
    // A name says enough; more are in the spool.
    for name in blind.iter().take(8) {
        out.push(format!(
            "TLS of <b>{}</b> cannot be read.",
            super::html::text(name)
        ));
    }
    if blind.len() > 8 {
        out.push(format!(
            "{} more TLS libraries cannot be read.",
            blind.len() - 8
        ));
    }
    let open = all.sessions.values().filter(|s| s.is_open).count() as u64;
    if open > 0 {
        out.push(format!(
            "<b>{}</b> had not ended: what they count at their end is not known yet.",
            plural(open, "session", "sessions")
        ));
    }
    if all.sessions_past > 0 {
        out.push(format!(
            "<b>{}</b> had no room here.",
            plural(all.sessions_past, "row of a session", "rows of sessions")
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_that_had_no_room_are_told() {
        let mut all = Collected::default();
        (all.links_past, all.orphans_past) = (3, 1);
        let said = sentences(&all, &[]);
        assert_eq!(
            said,
            [
                "<b>3 scopes</b> below others had no room here: waterfalls may lack them.",
                "<b>1 scope</b> that nobody knows the request of had no room here: there are more than are told.",
            ]
        );
    }
}
