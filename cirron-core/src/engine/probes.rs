//! Probes that were reached: from their records to the producer of their scopes ([`crate::scope::Probes`]).

use super::Engine;
use super::shared::Shared;
use super::stats::EngineStats;
use crate::record::{Head, Hit};
use crate::scope::{Context, Reached};

impl Engine {
    /// A probe was reached.
    pub(super) fn reach(&mut self, head: &Head, hit: &Hit<'_>) {
        let place = self.shared.place(Context::running(head));
        let Shared {
            store,
            sessions,
            probes,
            ..
        } = &mut self.shared;
        let rank = sessions.rank(head.tgid);
        let reached = Reached {
            head,
            hit,
            rank,
            place,
        };
        probes.reach(&reached, store);
        self.shared.take_lives();
        self.keep_within_budget();
    }
}

impl Shared {
    /// What probes and waiting scopes left out.
    pub(super) fn count_probes(&self, stats: EngineStats) -> EngineStats {
        let counts = self.probes.counts();
        EngineStats {
            scopes_left_out: counts.scopes_left_out,
            marks_left_out: counts.marks_left_out,
            marks_unplaced: counts.marks_unplaced + self.store.lost_marks(),
            probes_unseen: counts.unseen,
            probes_unread: counts.unread,
            probes_told_left_out: counts.told_left_out,
            parents_given_up: self.store.waiting_full(),
            ..stats
        }
    }
}
