//! The responses that the messages of one session tell of, each a scope of its own.
//!
//! ```text
//!   Asked .. Began -> Piece* -> Ended     by id; several may be open at once
//!               holes, and the session's end: what is open ends where it was seen last
//! ```
//! A response begins with the client's message that asks for it, where exactly that is known; else
//! (the server took the turn by itself, or a hole may hold the question) with the server's first
//! message about it. `cirron.response.begin` says which.

use std::collections::VecDeque;

use super::call::Call;
use super::marks::{self, Marks};
use super::names as n;
use super::span::{Attrs, Span};
use super::tokens::TokenTimes;
use super::told::Told;
use super::{ScopeContext, ScopeFacts, Written};
use crate::exchange::Sender;
use crate::id::{Id, IdSource};
use crate::limits::{MAX_ASKED_TURNS, MAX_OPEN_TURNS};
use crate::llm::{ReadSession, ResponseFacts, Said, Session, Usage};
use crate::time::MonoNs;

/// Bytes of a session's reader, about: as a dialect's.
const READER_BYTES: usize = 1_536;
/// Bytes of the texts of one response, about: ids, a model, reasons.
const TURN_TEXT_BYTES: usize = 512;

/// A response under way.
#[derive(Debug)]
struct Turn {
    id: String,
    /// What it begins with.
    begin: Begin,
    /// The server's first message about it.
    first: MonoNs,
    /// The latest that was seen of it.
    last: MonoNs,
    tokens: TokenTimes,
    /// Messages about it may be missing.
    broken: bool,
}

#[derive(Clone, Copy, Debug)]
enum Begin {
    Asked(MonoNs),
    Created,
    /// Its beginning was not seen.
    Late,
}

/// A response that is over.
#[derive(Debug)]
pub(super) struct Ended {
    turn: Turn,
    facts: Box<ResponseFacts>,
    /// When the server said so; `None`: it did not.
    at: Option<MonoNs>,
    source: &'static str,
}

/// Responses of one session.
#[derive(Debug)]
pub(super) struct Turns {
    session: &'static Session,
    reader: Box<dyn ReadSession>,
    keep_points: bool,
    open: Vec<Turn>,
    /// When the client asked for responses that did not begin yet.
    asked: VecDeque<MonoNs>,
    /// When the last response began of which nobody was seen to ask for it.
    unasked: Option<MonoNs>,
    /// A hole among the server's messages, or a late beginning: there may be responses whose
    /// beginning was not seen.
    holed: bool,
    ended: VecDeque<Ended>,
}

impl Turns {
    /// Bytes that they hold, about.
    pub(super) fn held_bytes(&self) -> usize {
        let turns = self.open.iter().chain(self.ended.iter().map(|e| &e.turn));
        let each = |t: &Turn| size_of::<Ended>() + t.tokens.held_bytes() + TURN_TEXT_BYTES;
        size_of::<Turns>() + READER_BYTES + turns.map(each).sum::<usize>()
    }

    /// `late`: its beginning was not seen.
    pub(super) fn new(session: &'static Session, late: bool, keep_points: bool) -> Turns {
        Turns {
            session,
            reader: (session.reader)(),
            keep_points,
            open: Vec::new(),
            asked: VecDeque::new(),
            unasked: None,
            holed: late,
            ended: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, by: Sender, bytes: &[u8]) {
        self.reader.push(by, bytes);
    }

    /// Bytes of a message are missing.
    pub(super) fn gap(&mut self, by: Sender) {
        self.reader.gap(by);
    }

    /// A message ended; `whole`: all of it was read.
    pub(super) fn message(&mut self, ts: MonoNs, by: Sender, whole: bool) {
        let said = self.reader.finish(by, whole);
        if !whole {
            self.lose(by);
        }
        match said {
            Said::Nothing => {}
            Said::Asked => self.asks(ts),
            Said::Refused => self.asked.clear(),
            Said::Began { id } => {
                let begin = match self.asked.pop_front() {
                    // Whichever of several it answers: another may have been answered unseen.
                    Some(asked) if asked <= ts => Begin::Asked(asked),
                    Some(_) | None => {
                        self.unasked = Some(ts);
                        Begin::Created
                    }
                };
                self.begin(id, begin, ts);
            }
            Said::Piece { id, content } => {
                let keep_points = self.keep_points;
                if let Some(at) = self.find(&id, ts) {
                    let turn = &mut self.open[at];
                    turn.last = ts;
                    turn.tokens.take(ts, content, keep_points);
                }
            }
            Said::Ended { id, facts } => {
                if let Some(at) = self.find(&id, ts) {
                    let mut turn = self.open.remove(at);
                    turn.last = ts;
                    self.end(turn, facts, Some(ts));
                }
            }
        }
    }

    /// The client asks for a response. The answer of its peer, read by another thread, may have been
    /// seen before it; the stamps tell.
    fn asks(&mut self, ts: MonoNs) {
        let overtaken = |t: &&mut Turn| matches!(t.begin, Begin::Created) && ts <= t.first;
        if let Some(turn) = self.open.iter_mut().find(overtaken) {
            turn.begin = Begin::Asked(ts);
            return;
        }
        // What it asked for is over.
        if self.unasked.is_some_and(|first| ts <= first) {
            return;
        }
        self.asked.push_back(ts);
        if self.asked.len() > MAX_ASKED_TURNS {
            self.asked.pop_front();
        }
    }

    /// Messages may be missing.
    pub(super) fn lose(&mut self, by: Sender) {
        // What it asked for may have been lost, or taken back.
        self.asked.clear();
        if by == Sender::Server {
            self.holed = true;
            for turn in &mut self.open {
                turn.broken = true;
                turn.tokens.hole();
            }
        }
    }

    /// The session is over: what is open ends with it.
    pub(super) fn finish(&mut self) {
        for turn in std::mem::take(&mut self.open) {
            self.end(turn, Box::default(), None);
        }
    }

    /// Whether one is over that was not taken.
    pub(super) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The next that is over.
    pub(super) fn next_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// Where the response is; behind a hole, one that is not known began unseen.
    fn find(&mut self, id: &str, ts: MonoNs) -> Option<usize> {
        let known = self.open.iter().position(|t| t.id == id);
        if known.is_none() && self.holed {
            self.begin(id.to_owned(), Begin::Late, ts);
            return self.open.len().checked_sub(1);
        }
        known
    }

    fn begin(&mut self, id: String, begin: Begin, ts: MonoNs) {
        if self.open.len() >= MAX_OPEN_TURNS {
            let oldest = self.open.remove(0);
            self.end(oldest, Box::default(), None);
        }
        let mut tokens = TokenTimes::default();
        let late = matches!(begin, Begin::Late);
        if late {
            tokens.hole();
        }
        self.open.push(Turn {
            id,
            begin,
            first: ts,
            last: ts,
            tokens,
            broken: late,
        });
    }

    fn end(&mut self, turn: Turn, facts: Box<ResponseFacts>, at: Option<MonoNs>) {
        self.ended.push_back(Ended {
            turn,
            facts,
            at,
            source: self.session.name,
        });
    }
}

impl Ended {
    /// Its span, below that of the session's exchange, and marks.
    pub(super) fn write(
        self,
        context: &ScopeContext,
        parent: Id,
        ids: &mut dyn IdSource,
    ) -> Written {
        let Ended {
            turn,
            mut facts,
            at,
            source,
        } = self;
        facts.id.get_or_insert(turn.id);
        let (start, begin) = match turn.begin {
            Begin::Asked(asked) => (asked, "asked"),
            Begin::Created => (turn.first, "created"),
            Begin::Late => (turn.first, "late"),
        };
        let late = matches!(turn.begin, Begin::Late);
        let told = Told::at_end(&facts, &turn.tokens);
        let nothing = Usage::default();
        let told = told.believed(&turn.tokens, true, at.is_some(), !turn.broken, &nothing);
        let call = Call {
            failed: false,
            start,
            late,
            first_byte: matches!(turn.begin, Begin::Asked(_)).then_some(turn.first),
            end: at,
            source,
            told,
            facts: &facts,
            tokens: &turn.tokens,
            is_stream: true,
            unbroken: !turn.broken,
            holed: false,
        };
        let partial = late || at.is_none() || turn.broken;
        let mut attrs = Attrs::from([
            (n::OPERATION, facts.operation.unwrap_or("chat").into()),
            (n::PROVIDER, source.into()),
            (n::FIGURES, call.figures().into()),
            (n::RESPONSE_BEGIN, begin.into()),
        ]);
        call.describe(&mut attrs);
        if partial {
            attrs.insert(n::PARTIAL, true.into());
        }
        if late {
            attrs.insert(n::LATE_ATTACH, true.into());
        }
        let id = ids.next_id();
        let mut marks = Marks::new(ids, id, turn.last);
        let output_tokens = marks::write(&call, &mut marks);
        let list = marks.finish();
        let span = Span {
            id,
            name: n::RESPONSE.into(),
            parent_id: Some(parent),
            index: None,
            start,
            end: Some(turn.last.max(start)),
            thread_id: context.tid,
            pid: context.pid,
            rank: context.rank,
            attrs,
            mark_ids: list.iter().map(|m| m.id).collect(),
        };
        let facts = ScopeFacts {
            is_llm: true,
            output_tokens,
            partial,
        };
        (span, list, facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::SESSIONS;

    fn turns() -> Turns {
        Turns::new(&SESSIONS[0], false, false)
    }

    fn says(turns: &mut Turns, ts: u64, by: Sender, json: &str) {
        turns.push(by, json.as_bytes());
        turns.message(MonoNs(ts), by, true);
    }

    fn asks(turns: &mut Turns, ts: u64) {
        says(turns, ts, Sender::Client, r#"{"type":"response.create"}"#);
    }

    fn answers(turns: &mut Turns, ts: u64, what: &str) {
        let json = format!(r#"{{"type":"response.{what}","response":{{"id":"r"}}}}"#);
        says(turns, ts, Sender::Server, &json);
    }

    #[test]
    fn a_question_seen_behind_its_answer_is_told_by_the_stamps() {
        let mut turns = turns();
        answers(&mut turns, 20, "created");
        asks(&mut turns, 10);
        assert!(matches!(turns.open[0].begin, Begin::Asked(MonoNs(10))));
        assert!(turns.asked.is_empty());
        // One that was asked for later is another.
        asks(&mut turns, 30);
        assert_eq!(turns.asked, [MonoNs(30)]);
    }

    #[test]
    fn a_question_whose_answer_is_over_waits_for_no_other() {
        let mut turns = turns();
        answers(&mut turns, 20, "created");
        answers(&mut turns, 25, "done");
        asks(&mut turns, 10);
        assert!(turns.asked.is_empty());
        answers(&mut turns, 40, "created");
        assert!(matches!(turns.open[0].begin, Begin::Created));
    }

    #[test]
    fn a_response_that_nobody_counted_has_the_count_of_its_pieces() {
        for (usage, want, estimated) in [
            (r#"{"input_tokens":12,"output_tokens":9}"#, 9, false),
            (
                r#"{"input_tokens":0,"output_tokens":0,"total_tokens":0}"#,
                2,
                true,
            ),
            (r#"{"input_tokens":-1,"output_tokens":-1}"#, 2, true),
            ("null", 2, true),
        ] {
            let mut turns = turns();
            answers(&mut turns, 10, "created");
            for ts in [20, 30] {
                let json = r#"{"type":"response.output_text.delta","response_id":"r","delta":"a"}"#;
                says(&mut turns, ts, Sender::Server, json);
            }
            let done = format!(
                r#"{{"type":"response.done","response":{{"id":"r","status":"completed","usage":{usage}}}}}"#
            );
            says(&mut turns, 40, Sender::Server, &done);
            let context = ScopeContext {
                pid: 1,
                tid: 1,
                rank: 0,
                chunk_timing: false,
                tls: false,
                tls_link: None,
                conn: cirron_common::conn::ConnInfo::default(),
            };
            let mut ids = crate::id::SequentialIds::default();
            let ended = turns.next_ended().expect("one");
            let (span, list, facts) = ended.write(&context, Id([0; 16]), &mut ids);
            assert_eq!(facts.output_tokens, Some(want), "{usage}");
            let output = list.iter().find(|m| m.name == n::OUTPUT_TOKENS);
            let is_marked = output.is_some_and(|m| m.attrs.contains_key(n::ESTIMATED));
            assert_eq!(is_marked, estimated, "{usage}");
            let input = list.iter().any(|m| m.name == n::INPUT_TOKENS);
            assert_eq!(input, !estimated, "{usage}");
            let figures = if estimated { "estimated" } else { "complete" };
            assert_eq!(span.attrs[n::FIGURES], figures.into(), "{usage}");
        }
    }
}
