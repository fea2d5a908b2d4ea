//! Probes that were reached: from their records to the producer of their scopes ([`crate::scope::Probes`]).

use super::Engine;
use super::lineage::Moment;
use super::shared::Shared;
use super::stats::EngineStats;
use crate::id::Id;
use crate::record::{Head, Hit};
use crate::scope::{Context, Made, Noted, Reached, evidence};

impl Engine {
    /// A probe was reached.
    pub(super) fn reach(&mut self, head: &Head, hit: &Hit<'_>) {
        let place = self.shared.place(Context::running(head));
        // What is told in a goroutine is that one's, whoever made it.
        let moment = Moment::new(head).filter(|moment| !moment.is_goroutine());
        let made = self.shared.made(Context::running(head), moment);
        let task = moment.and_then(|moment| self.shared.lineage.number(moment));
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
            made,
            task,
        };
        let noted = probes.reach(&reached, store);
        if let Some(moment) = moment {
            self.shared.note_hit(noted, made, moment);
        }
        self.shared.take_lives();
        self.keep_within_budget();
    }
}

impl Shared {
    /// What a context was made for, where one is known.
    pub(super) fn made(&self, context: Context, moment: Option<Moment>) -> Made {
        let Some(moment) = moment.filter(|moment| !moment.is_goroutine()) else {
            return Made::NotKnown;
        };
        let Some(request) = self.lineage.candidate(moment) else {
            return Made::ForNone;
        };
        let last = self.lineage.told(moment);
        let within = last.and_then(|key| self.probes.within(context, key, request, &self.store));
        Made::For { request, within }
    }

    /// What a hit says of the context that it was in.
    fn note_hit(&mut self, noted: Noted, made: Made, moment: Moment) {
        if let (Some(id), Made::For { request, .. }) = (noted.presumed, made) {
            self.judge_later(id, request, moment);
        }
        if let Some(key) = noted.works_for {
            self.lineage.works_for(moment, key);
        }
    }

    /// Whether `id` is of `request` is known when that one is over.
    pub(super) fn judge_later(&mut self, id: Id, request: Id, moment: Moment) {
        if !self.lineage.presume(id, request, moment) {
            self.store.decide(id, request, Err(evidence::TOO_MANY));
        }
    }

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
