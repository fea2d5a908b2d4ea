//! What the engine counts: what was read, and every way in which something was lost or given up. The shell puts
//! it into the summary by name (`docs/summary.md`).

use crate::scope::{ScopeFacts, Withheld};
use crate::stream::AssemblerStats;

/// Counts of the engine, for the summary line. All since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Exchanges that ended, in both roles.
    pub exchanges: u64,
    /// Those that the target served.
    pub requests: u64,
    /// Those that the target made.
    pub client_calls: u64,
    /// Exchanges recognised as LLM calls.
    pub llm_calls: u64,
    /// Output tokens, reported or estimated.
    pub output_tokens: u64,
    /// Exchanges that a hole, a late attach or an early end touched.
    pub partial: u64,
    /// Stream bytes in holes, and in the uncaptured tails of records.
    pub lost_bytes: u64,
    /// Holes between records that nothing filled in time.
    pub holes: u64,
    /// Records that came before an earlier one of their direction, and waited for it.
    pub reordered_records: u64,
    /// Stream bytes that came twice, behind the end of their direction, or when their place had been given up.
    pub stale_bytes: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections that were something that is not parsed, TLS aside.
    pub opaque_connections: u64,
    /// What was done on those that were measured: `net.client` scopes that ended.
    pub net_scopes: u64,
    /// Questions on them that are in no such scope, since more were asked than are written.
    pub net_turns_left_out: u64,
    /// Bytes that were read on them while nothing was asked.
    pub net_unasked_bytes: u64,
    /// Sockets that carry TLS and were not seen inside a TLS library's call.
    pub tls_sockets: u64,
    /// Connections read inside a TLS library.
    pub tls_objects: u64,
    /// Of these, the ones whose socket is known; it is none of `tls_sockets`.
    pub tls_linked: u64,
    /// Of `tls_objects`, the ones that ended without any plaintext.
    pub tls_silent: u64,
    /// Exchanges that nothing named: joined late, or behind a hole. They are in no other count of these.
    pub unnamed_exchanges: u64,
    /// Connections that had some.
    pub unnamed_connections: u64,
    /// Of `exchanges`, those that a rule ignores: they are no spans, and were read no further once that was certain.
    pub ignored_exchanges: u64,
    /// Of `exchanges`, those that sampling left out: they are no spans, and count as any other.
    pub sampled_out_exchanges: u64,
    /// Keys and values for us in targets' `CONFIG` that were not taken.
    pub config_problems: u64,
    /// Bytes before the first request of a connection that were passed over.
    pub passed_over_bytes: u64,
    /// Connections that have ended, and what told it was lost.
    pub ends_lost: u64,
    /// Connections that the kernel side did not follow any more, since more came than it has room for.
    pub evicted_connections: u64,
    /// Records that were not understood.
    pub bad_records: u64,
    /// Exchanges whose bodies were not read further since too much was held.
    pub given_up_bodies: u64,
    /// Connections of which nothing was read further since too much was held.
    pub given_up_connections: u64,
    /// Connections that were not read, and were forgotten before their end for the same reason.
    pub forgotten_connections: u64,
    /// Processes that were forgotten before their end, since more were known than there is room for.
    pub forgotten_processes: u64,
    /// Times that it was not kept which exchange a thread or goroutine works for, since more were known than there is
    /// room for.
    pub unknown_contexts: u64,
    /// Scopes of probes that were not opened: too many were open, or within one another.
    pub scopes_left_out: u64,
    /// Marks of probes that had no room, or came behind their scope's end.
    pub marks_left_out: u64,
    /// Marks of probes of which it is not known whose they are.
    pub marks_unplaced: u64,
    /// Hits about scopes whose beginning was not seen.
    pub probes_unseen: u64,
    /// Hits, or names, values and attributes of them, that could not be read.
    pub probes_unread: u64,
    /// What programs said that their own library left out.
    pub probes_told_left_out: u64,
    /// Scopes whose parent was looked for and is known.
    pub parents_known: u64,
    /// The same, and is not.
    pub parents_unknown: u64,
    /// Scopes whose parent is unknown since too many waited for theirs.
    pub parents_given_up: u64,
    /// Connections of which targets hold both sockets, and were seen to.
    pub paired_connections: u64,
    /// Requests on such connections whose call is known.
    pub callers_known: u64,
    /// The same, and is not: it was not seen, or not while the request was open.
    pub callers_unknown: u64,
    /// Exchanges that stand at the same place of such a connection, and are not the same.
    pub ends_refused: u64,
    /// Traces of scopes that ended and were not kept, since more were known than there is room for.
    pub traces_forgotten: u64,
    /// Exchanges with a `traceparent` that is none.
    pub bad_traceparents: u64,
}

impl EngineStats {
    /// Counts an exchange that is not written.
    pub(super) fn count_withheld(&mut self, why: Withheld) {
        match why {
            Withheld::Ignored => self.ignored_exchanges += 1,
            Withheld::LeftOut => self.sampled_out_exchanges += 1,
        }
    }

    /// Counts what a finished scope is.
    pub(super) fn take(&mut self, facts: ScopeFacts) {
        self.llm_calls += u64::from(facts.is_llm);
        self.partial += u64::from(facts.partial);
        self.bad_traceparents += u64::from(facts.bad_traceparent);
        self.output_tokens += facts.output_tokens.unwrap_or(0);
    }

    /// Counts what putting one direction in order has added to that direction's counts.
    pub(super) fn take_order(&mut self, before: AssemblerStats, now: AssemblerStats) {
        let lost = now.lost_bytes - before.lost_bytes;
        let stale = now.stale_bytes - before.stale_bytes;
        self.lost_bytes = self.lost_bytes.saturating_add(lost);
        self.stale_bytes = self.stale_bytes.saturating_add(stale);
        self.holes += now.holes - before.holes;
        self.reordered_records += now.reordered_records - before.reordered_records;
    }
}
