//! Which answer is whose, behind a hole.
//!
//! Answers come in the order of their requests, so that the first that is not answered has the next answer: while all of
//! both was seen. How many requests or answers a hole took nobody knows. What helps then is that nearly all clients wait
//! for an answer before they ask again: a request shows that all before it were answered, and an answer is that of the
//! last request that had begun by then. Where a client was seen to ask without waiting, nothing helps: what it asks behind the hole
//! has no answer from then on, and the answers are exchanges without a request.
//! ```text
//!   Known --a hole--> Doubtful --an answer begins, its client waits--> Known
//!                        |
//!                        +--its client does not wait--> Unknown
//! ```
//! Nothing is doubted of requests before a hole of their own direction: they are answered first.
//! In doubt, an answer waits for a request that was seen as long as for one at all ([`HELD_RESPONSE_WINDOW_NS`]), and
//! goes to one whose head was lost only then, or when the next request shows that it is older.
//!
//! [`HELD_RESPONSE_WINDOW_NS`]: crate::limits::HELD_RESPONSE_WINDOW_NS

use super::Http1;
use super::phase::{Owner, Phase};
use crate::exchange::ExchangeSink;
use crate::exchange::ending::Ends;
use crate::exchange::open::{Exchange, Response};
use crate::proto::h1::{AnswerTo, Event};
use crate::proto::message::MessageEnd;
use crate::time::MonoNs;

/// See the module. `certain`: the number of the last exchange that is answered in its order, whatever the hole took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairing {
    Known,
    Doubtful {
        certain: u64,
        /// Time of the last hole: an answer that began before it, and is read only now, ends no doubt.
        since: MonoNs,
        /// The hole took the framing of the answer in hand: what is found behind it may be of a later one.
        regains: bool,
    },
    /// Final.
    Unknown {
        certain: u64,
    },
}

impl Pairing {
    /// Joined `late`, what was asked and answered before is a hole of both directions, and nothing tells how far
    /// it goes.
    pub(super) fn at_first(late: bool) -> Pairing {
        match late {
            true => Pairing::Doubtful {
                certain: 0,
                since: MonoNs(0),
                regains: false,
            },
            false => Pairing::Known,
        }
    }

    /// Whether what an exchange of this number asks has an answer that can be known.
    fn is_certain(self, x: &Exchange) -> bool {
        match self {
            Pairing::Known => true,
            Pairing::Doubtful { certain, .. } | Pairing::Unknown { certain } => x.id.0 <= certain,
        }
    }
}

impl Http1 {
    /// A hole in the requests: those before it, up to number `certain`, are answered in order.
    pub(super) fn doubt_requests(
        &mut self,
        certain: u64,
        ends: &Ends,
        ts: MonoNs,
        sink: &mut dyn ExchangeSink,
    ) {
        self.doubt(certain, false, ends, ts, sink);
    }

    /// A hole in the answers took the framing of one.
    pub(super) fn doubt_answers(&mut self, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        self.doubt(0, true, ends, ts, sink);
    }

    fn doubt(
        &mut self,
        certain: u64,
        regains: bool,
        ends: &Ends,
        ts: MonoNs,
        sink: &mut dyn ExchangeSink,
    ) {
        self.pairing = match self.pairing {
            Pairing::Known => Pairing::Doubtful {
                certain,
                since: ts,
                regains,
            },
            Pairing::Doubtful {
                certain: before,
                since,
                regains: did,
            } => Pairing::Doubtful {
                certain: before.min(certain),
                since: since.max(ts),
                regains: did || regains,
            },
            Pairing::Unknown { certain: before } => Pairing::Unknown {
                certain: before.min(certain),
            },
        };
        if self.pipelines {
            self.give_up_pairing(ts, ends, sink);
        }
    }

    /// Nothing tells which answer is whose any more, but of what is certain.
    fn give_up_pairing(&mut self, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        let (Pairing::Doubtful { certain, .. } | Pairing::Unknown { certain }) = self.pairing
        else {
            return;
        };
        self.pairing = Pairing::Unknown { certain };
        // The answer in hand goes on, unless the hole took where.
        let is_lost = certain == 0 && self.responses.give_up_lost();
        if is_lost {
            self.owner = Owner::Request;
        }
        let pairing = self.pairing;
        for x in self.queue.iter_mut().filter(|x| !pairing.is_certain(x)) {
            if x.response == Response::Waiting || is_lost && x.response == Response::Open {
                x.end_response(ts.max(x.last), MessageEnd::Lost, sink);
            }
        }
        self.settle(ts, ends, sink);
    }

    /// No answer of what is asked now will be known as such.
    pub(super) fn is_answer_unknown(&self, x: &Exchange) -> bool {
        matches!(self.pairing, Pairing::Unknown { .. }) && !self.pairing.is_certain(x)
    }

    /// A hole in the answers, of which nothing tells how many it took, came behind this request.
    pub(super) fn may_have_lost_answer(&self, x: &Exchange) -> bool {
        match self.pairing {
            Pairing::Doubtful {
                certain: 0, since, ..
            } => x.response == Response::Waiting && x.start <= since,
            Pairing::Known | Pairing::Doubtful { .. } | Pairing::Unknown { .. } => false,
        }
    }

    /// Whether a request that was seen waits for its answer, or for the rest of it; without doubt, any.
    pub(super) fn is_surely_awaited(&self) -> bool {
        match self.pairing {
            Pairing::Known => self.is_awaited(),
            Pairing::Unknown { .. } => true,
            pairing @ Pairing::Doubtful { .. } => {
                let is_sure = |x: &Exchange| {
                    let is_open = x.response == Response::Open;
                    is_open || !x.is_answered() && (!x.partial || pairing.is_certain(x))
                };
                self.given_up > 0 || self.queue.iter().any(is_sure)
            }
        }
    }

    /// Before a request that began at `start`: in doubt, an answer that came before it is not its own. True: one of those was
    /// the last of HTTP/1.
    pub(super) fn is_ended_by_older(
        &mut self,
        start: MonoNs,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) -> bool {
        while matches!(self.pairing, Pairing::Doubtful { .. })
            && matches!(self.phase, Phase::Http | Phase::Impatient)
            && !self.is_surely_awaited()
            && self.held.since().is_some_and(|at| at < start)
        {
            self.release_held(ends, sink);
        }
        self.phase.is_over()
    }

    /// Notes that a client asks without waiting: while the oldest exchange waited for its answer, or for the rest of it, until
    /// `ts`, a younger one had begun. Only where no answer can have been lost between.
    fn note_overlap(&mut self, ts: MonoNs) {
        let mut open = self.queue.iter().filter(|x| !x.is_answered());
        let Some(_first) = open.next() else { return };
        self.pipelines |= open.next().is_some_and(|x| !x.partial && x.start < ts);
    }

    /// The same of a request whose first byte came with the last of the one before.
    pub(super) fn note_together(&mut self, start: MonoNs) {
        let before = self.queue.back();
        self.pipelines |= before.is_some_and(|x| {
            !x.partial && x.request.is_some() && x.response == Response::Waiting && x.last == start
        });
    }

    /// The answer in hand ends at `ts`, as its framing says.
    pub(super) fn note_answered(&mut self, ts: MonoNs) {
        if self.pairing == Pairing::Known {
            self.note_overlap(ts);
        }
    }

    /// Where the exchange is that asked for an answer which begins at `start`. `None`: none of them did.
    fn asker(&self, start: MonoNs) -> Option<usize> {
        let first = self.queue.iter().position(|x| !x.is_answered())?;
        match self.pairing {
            Pairing::Known | Pairing::Unknown { .. } => Some(first),
            Pairing::Doubtful { .. }
                if self
                    .queue
                    .get(first)
                    .is_some_and(|x| self.pairing.is_certain(x)) =>
            {
                Some(first)
            }
            Pairing::Doubtful { .. } if self.pipelines => None,
            Pairing::Doubtful { .. } if self.is_asking_by(start) => None,
            Pairing::Doubtful { .. } => {
                let is_asker = |x: &Exchange| !x.is_answered() && x.start <= start;
                self.queue.iter().rposition(is_asker)
            }
        }
    }

    /// A request had begun by then whose head is not complete yet.
    fn is_asking_by(&self, ts: MonoNs) -> bool {
        self.requests.head_begun().is_some_and(|begun| begun <= ts)
    }

    /// In doubt: an answer at `ts` is that of a request whose head is not complete yet.
    pub(super) fn is_early_answer(&self, ts: MonoNs) -> bool {
        matches!(self.pairing, Pairing::Doubtful { .. }) && self.is_asking_by(ts)
    }

    /// What an answer answers that begins at `start`.
    pub(super) fn answers(&self, start: MonoNs) -> AnswerTo {
        let asker = self.asker(start).and_then(|at| self.queue.get(at));
        asker.map_or(AnswerTo::Other, |x| x.to)
    }

    /// An answer begins at `start`: sees to it that the first that is not answered is the one that asked for it. False: none
    /// of them did.
    pub(super) fn find_asker(
        &mut self,
        start: MonoNs,
        ts: MonoNs,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) -> bool {
        let asker = self.asker(start);
        // It has a head: what is behind it is its own.
        if let Pairing::Doubtful { regains, .. } = &mut self.pairing {
            *regains = false;
        }
        let pairing = self.pairing;
        let asked = asker.and_then(|at| self.queue.get(at));
        let is_certain = asked.is_some_and(|x| pairing.is_certain(x));
        match pairing {
            Pairing::Known | Pairing::Unknown { .. } => self.note_overlap(start),
            Pairing::Doubtful { .. } if is_certain => {
                self.note_overlap(start);
                if self.pipelines {
                    self.give_up_pairing(ts, ends, sink);
                }
            }
            Pairing::Doubtful { .. } if self.pipelines => self.give_up_pairing(ts, ends, sink),
            Pairing::Doubtful { since, .. } => {
                if start >= since {
                    self.pairing = Pairing::Known;
                }
                self.end_before(asker.unwrap_or(0), ts, ends, sink);
            }
        }
        asker.is_some()
    }

    /// Those before that place were answered in a hole.
    fn end_before(&mut self, at: usize, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        for x in self.queue.iter_mut().take(at).filter(|x| !x.is_answered()) {
            let ts = ts.max(x.last);
            x.partial = true;
            x.end_request(ts, MessageEnd::Lost, sink);
            x.end_response(ts, MessageEnd::Lost, sink);
        }
        self.settle(ts, ends, sink);
    }

    /// Content of an answer was found behind a hole that took the framing of one: it is that of the last request that had begun,
    /// whose own head the hole took with it.
    pub(super) fn regain(
        &mut self,
        event: &Event<'_>,
        ts: MonoNs,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        let Pairing::Doubtful {
            certain,
            since,
            regains: true,
        } = self.pairing
        else {
            return;
        };
        match event {
            Event::Body(_)
            | Event::HeldBody(_)
            | Event::Trailers(_)
            | Event::End(MessageEnd::Complete) => {}
            // Over, and the next answer tells whose it is.
            Event::End(_) => {
                self.pairing = Pairing::Doubtful {
                    certain,
                    since,
                    regains: false,
                };
                return;
            }
            Event::Request { .. }
            | Event::Response { .. }
            | Event::Informational(_)
            | Event::LateBody
            | Event::HeadLost { .. }
            | Event::BodyGap(_)
            | Event::Hole(_)
            | Event::Synced => return,
        }
        self.pairing = match ts >= since {
            true => Pairing::Known,
            false => Pairing::Doubtful {
                certain,
                since,
                regains: false,
            },
        };
        if self.is_asking_by(ts) {
            self.owner = Owner::Nobody;
            return self.end_before(self.queue.len(), ts, ends, sink);
        }
        let is_asker = |x: &Exchange| !x.is_answered() && x.start <= ts;
        if let Some(at) = self.queue.iter().rposition(is_asker) {
            self.owner = Owner::Request;
            let asker = self.queue.get_mut(at);
            if let Some(x) = asker.filter(|x| x.response == Response::Waiting) {
                x.partial = true;
                x.response = Response::Open;
            }
            self.end_before(at, ts, ends, sink);
        }
    }
}
