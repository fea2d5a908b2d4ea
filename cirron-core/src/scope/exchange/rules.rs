//! An exchange and the rules of its process: what they make of it, and when that is certain.

use std::sync::Arc;

use super::ExchangeScope;
use crate::exchange::{ExchangeEvent, Role};
use crate::rules::{ProcessRules, Verdict};
use crate::scope::marks::Marks;
use crate::scope::payload::ResponseBody;
use crate::scope::span::Attrs;
use crate::scope::store::Withheld;
use crate::scope::wanted::Wanted;
use crate::time::MonoNs;

impl ExchangeScope {
    /// It is one of a process with these rules. `hash`: of what tells it from other exchanges.
    pub(crate) fn follow(&mut self, rules: Arc<ProcessRules>, hash: u64) {
        self.wanted = Some(Box::new(Wanted::new(rules, self.role, hash)));
    }

    /// The model: as the request names it or, where that names none, the answer.
    fn model(&self) -> Option<&str> {
        let asked = self.asked().and_then(|(_, facts)| facts.model.as_deref());
        asked.or_else(|| self.answer.body.as_ref()?.facts().model.as_deref())
    }

    pub(super) fn ask_rules(&mut self, ts: MonoNs, event: &ExchangeEvent<'_>) {
        let Some(mut wanted) = self.wanted.take() else {
            return;
        };
        wanted.on_event(ts, event, self.model());
        let tells = matches!(
            event,
            ExchangeEvent::RequestHead(_) | ExchangeEvent::ResponseHead(_)
        );
        if tells && wanted.is_void() {
            return;
        }
        if tells && wanted.verdict(self.model(), false) == Some(Verdict::Ignored) {
            self.is_ignored = true;
            self.ask.body = None;
            self.answer.body = None;
            self.grpc = None;
        }
        self.wanted = Some(wanted);
    }

    /// Why it is not written, where that is certain. `is_all`: it has ended.
    pub(crate) fn withheld(&self, is_all: bool) -> Option<Withheld> {
        match self.wanted.as_ref()?.verdict(self.model(), is_all)? {
            Verdict::Written { .. } => None,
            Verdict::Ignored => Some(Withheld::Ignored),
            Verdict::LeftOut => Some(Withheld::LeftOut),
        }
    }

    /// Whether `chunk_ms` points are to be gathered. `now`: what is known now decides.
    pub(super) fn may_want_points(&self, now: bool) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_some_and(|wanted| wanted.may_want_points(self.model(), now))
    }

    /// Of points that a rule might have wanted, none is written where it does not hold.
    pub(in crate::scope) fn drop_unwanted_points(&mut self) {
        let has_some = |body: &&mut ResponseBody| !body.tokens.points.is_empty();
        let wanted = self.may_want_points(true);
        if let Some(body) = self
            .answer
            .body
            .as_mut()
            .filter(has_some)
            .filter(|_| !wanted)
        {
            body.tokens.points = Vec::new();
        }
    }

    /// Of a request whose head is known: the number of the rule that has the price of its deployment by the hour.
    pub(crate) fn rule_by_the_hour(&self) -> Option<u64> {
        let wanted = self.wanted.as_ref().filter(|_| self.role == Role::Server)?;
        Some(wanted.gpu_price(None, false)?.rule)
    }

    /// Writes what the rules want.
    pub(in crate::scope) fn write_wanted(&self, attrs: &mut Attrs, marks: &mut Marks<'_>) {
        if let Some(wanted) = &self.wanted {
            wanted.write(self.model(), self.ask.path(), self.part_ns, attrs, marks);
        }
    }
}
