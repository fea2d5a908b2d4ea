//! The marks of an LLM call, by the SDK's names and definitions.
//!
//! What a hole, a late attach or an early end made unknown is absent.

use super::call::ModelCall;
use super::label::Label;
use super::messages::Messages;
use super::names as n;
use super::span::{AttrValue, Attrs, Mark, MarkKind, MarkValue};
use super::tokens::{First, TokenTimes};
use crate::id::{Id, IdSource};
use crate::llm::openai;
use crate::time::{MS, MonoNs};

/// Marks of a call that is no stream. Larger first lists are larger than what allocators keep at hand (glibc: 1 032
/// bytes), and cost a short connection a tenth of its time.
const USUAL_MARKS: usize = 8;

/// Marks under construction.
pub(super) struct Marks<'a> {
    ids: &'a mut dyn IdSource,
    span: Id,
    ts: MonoNs,
    list: Vec<Mark>,
}

impl<'a> Marks<'a> {
    /// Of `span`; summaries are stamped `ts`.
    pub(super) fn new(ids: &'a mut dyn IdSource, span: Id, ts: MonoNs) -> Marks<'a> {
        Marks {
            ids,
            span,
            ts,
            list: Vec::with_capacity(USUAL_MARKS),
        }
    }

    pub(super) fn finish(self) -> Vec<Mark> {
        self.list
    }

    /// Marks of another span, which is this one: those of a name that it has none of.
    pub(super) fn adopt(&mut self, marks: Vec<Mark>) {
        let own = self.list.len();
        for mark in marks {
            let is_ours = |one: &Mark| one.name == mark.name;
            if !self.list.iter().take(own).any(is_ours) {
                let span_id = self.span;
                self.list.push(Mark { span_id, ..mark });
            }
        }
    }

    pub(super) fn push(
        &mut self,
        name: Label,
        value: MarkValue,
        attrs: Attrs,
        ts: MonoNs,
        kind: MarkKind,
    ) {
        let id = self.ids.next_id();
        self.list.push(Mark {
            id,
            span_id: self.span,
            name,
            value,
            attrs,
            ts,
            kind,
        });
    }

    /// The first of a name.
    pub(super) fn find(&self, name: &str) -> Option<&Mark> {
        self.list.iter().find(|mark| mark.name.as_str() == name)
    }

    /// When summaries are stamped.
    pub(super) fn stamp(&self) -> MonoNs {
        self.ts
    }

    fn tokens(&mut self, name: &'static str, value: i64, attrs: Attrs) {
        let kind = MarkKind::Summary;
        self.push(name.into(), MarkValue::Int(value), attrs, self.ts, kind);
    }

    pub(super) fn float(&mut self, name: &'static str, value: f64, attrs: Attrs, ts: MonoNs) {
        let kind = MarkKind::Summary;
        self.push(name.into(), MarkValue::Float(value), attrs, ts, kind);
    }
}

/// OutputTokens tokens, and how they are known.
#[derive(Clone, Copy)]
struct OutputTokens {
    tokens: u64,
    estimated: bool,
}

impl OutputTokens {
    /// Attributes of a figure that is made from them.
    fn attrs(self) -> Attrs {
        let mut attrs = Attrs::new();
        if self.estimated {
            attrs.insert(n::ESTIMATED, true.into());
        }
        attrs
    }
}

/// Writes the marks; gives the output tokens, reported or counted.
pub(super) fn write(call: &ModelCall<'_>, marks: &mut Marks<'_>) -> Option<u64> {
    let mut output = usage(call, marks);
    if let Some(first_byte) = call.first_byte.filter(|_| !call.late) {
        let took = first_byte.ms_since(call.start);
        marks.float(n::TIME_TO_FIRST_BYTE, took, Attrs::new(), first_byte);
    }
    if call.is_stream {
        output = output.or_else(|| counted(call, marks));
        to_nobody(call.tokens.to_nobody, marks);
        stream(call, output, marks);
    }
    // The response's own end: the request may still be on its way when a server answers early.
    if let Some(end) = call.end.filter(|_| !call.late) {
        let took = end.ms_since(call.start);
        marks.float(n::REQUEST_DURATION, took, Attrs::new(), end);
    }
    output.map(|o| o.tokens)
}

/// Writes the times of the server's messages, of an exchange that began at `start`.
pub(super) fn messages(server: &Messages, start: MonoNs, late: bool, marks: &mut Marks<'_>) {
    if let Some(first) = server.first.at().filter(|_| !late) {
        let took = first.ms_since(start);
        marks.float(n::TIME_TO_FIRST_MESSAGE, took, Attrs::new(), first);
    }
    if server.at_least {
        return;
    }
    if let Some(last) = server.last.filter(|_| !late) {
        let took = last.ms_since(start);
        marks.float(n::TIME_TO_LAST_MESSAGE, took, Attrs::new(), last);
    }
    if let Some(last) = server.last.filter(|_| server.count > 1) {
        let largest = server.largest_gap_ns as f64 / MS as f64;
        marks.float(n::MAX_INTER_MESSAGE, largest, Attrs::new(), last);
    }
}

/// What the server reported.
fn usage(call: &ModelCall<'_>, marks: &mut Marks<'_>) -> Option<OutputTokens> {
    let usage = call.told.usage;
    // Of another shape they would only repeat the aliases that all share.
    let names_are_openais = call.facts.openai_usage || openai::is_name(call.source);
    let attrs = |normalized: bool, at_least: bool| {
        let mut attrs = Attrs::from([(n::SOURCE, AttrValue::from(call.source))]);
        if normalized {
            attrs.insert(n::NORMALIZED, true.into());
        }
        // Some servers report as they go: the last report of all may be missing.
        if at_least {
            attrs.insert(n::MARK_PARTIAL, true.into());
        }
        attrs
    };
    if let Some(input) = usage.input {
        let at_least = call.end.is_none();
        if names_are_openais {
            marks.tokens(n::PROMPT_TOKENS, input, attrs(false, at_least));
        }
        marks.tokens(n::INPUT_TOKENS, input, attrs(true, at_least));
    }
    let at_least = call.told.at_least;
    if let Some(output) = usage.output {
        if names_are_openais {
            marks.tokens(n::COMPLETION_TOKENS, output, attrs(false, at_least));
        }
        marks.tokens(n::OUTPUT_TOKENS, output, attrs(true, at_least));
    }
    let sum = || usage.input?.checked_add(usage.output?);
    if let Some(total) = usage.total.or_else(sum) {
        marks.tokens(n::TOTAL_TOKENS, total, attrs(true, at_least));
    }
    let tokens = u64::try_from(usage.output?).ok()?;
    Some(OutputTokens {
        tokens,
        estimated: false,
    })
}

/// Where nothing is reported of all of it: an event with content is taken for a token, which it need
/// not be.
fn counted(call: &ModelCall<'_>, marks: &mut Marks<'_>) -> Option<OutputTokens> {
    let tokens = call.told.estimate?;
    let mut attrs = Attrs::from([(n::NORMALIZED, true.into()), (n::ESTIMATED, true.into())]);
    if !call.unbroken {
        attrs.insert(n::MARK_PARTIAL, true.into());
    }
    let value = i64::try_from(tokens).unwrap_or(i64::MAX);
    marks.tokens(n::OUTPUT_TOKENS, value, attrs);
    Some(OutputTokens {
        tokens,
        estimated: true,
    })
}

/// What a client that had left did not read, in events.
fn to_nobody(events: u64, marks: &mut Marks<'_>) {
    if let Some(value) = i64::try_from(events).ok().filter(|n| *n > 0) {
        let attrs = Attrs::from([(n::ESTIMATED, true.into())]);
        marks.tokens(n::OUTPUT_TO_NOBODY, value, attrs);
    }
}

fn stream(call: &ModelCall<'_>, output: Option<OutputTokens>, marks: &mut Marks<'_>) {
    let tokens = call.tokens;
    if !call.late {
        first_times(call.start, tokens, marks);
    }
    // A hole before the first token also leaves `first` unknown.
    let in_a_row = call.unbroken && !call.interrupted;
    if let Some(first) = tokens.first.at().filter(|_| in_a_row) {
        let failed = call.failed || call.told.failed;
        let whole = !failed && (output.is_some_and(|o| o.estimated) || !call.told.at_least);
        if let Some((end, output)) = call.end.zip(output).filter(|_| whole) {
            rates(first, tokens.last, end, output, marks);
        }
        // Events that came in one piece have no time between them that anybody could know.
        if let Some(last) = tokens.last.filter(|last| *last > first) {
            let largest = tokens.largest_gap_ns as f64 / MS as f64;
            marks.float(n::MAX_INTER_TOKEN, largest, Attrs::new(), last);
        }
    }
    for (index, (ts, gap_ns)) in (1_i64..).zip(&tokens.points) {
        let attrs = Attrs::from([(n::INDEX, AttrValue::from(index))]);
        let value = MarkValue::Float(*gap_ns as f64 / MS as f64);
        marks.push(n::CHUNK.into(), value, attrs, *ts, MarkKind::Point);
    }
}

fn first_times(start: MonoNs, tokens: &TokenTimes, marks: &mut Marks<'_>) {
    let mut to = |name, first: First| {
        if let Some(at) = first.at() {
            marks.float(name, at.ms_since(start), Attrs::new(), at);
        }
    };
    to(n::TIME_TO_FIRST_TOKEN, tokens.first);
    if tokens.reasons {
        to(n::TIME_TO_FIRST_REASONING, tokens.first_reasoning);
        to(n::TIME_TO_FIRST_ANSWER, tokens.first_answer);
    }
    to(n::TIME_TO_FIRST_TOOL, tokens.first_tool);
}

/// Content that came in less time than this has no rate, ns. Two writes of one thread are further apart; nearer stamps
/// are those of bytes that the kernel let go together (`stream::holding` tells such bytes apart by one nanosecond).
const MIN_RATED_NS: u64 = 1_000;

/// Of a stream that was seen from its first token to its end. What came with one event was made before it: of the
/// time that it took nothing is known.
fn rates(
    first: MonoNs,
    last: Option<MonoNs>,
    end: MonoNs,
    output: OutputTokens,
    marks: &mut Marks<'_>,
) {
    let Some(last) = last.filter(|last| last.since(first) >= MIN_RATED_NS) else {
        return;
    };
    let rate = output.tokens as f64 / (end.since(first) as f64 / 1e9);
    marks.float(n::TOKENS_PER_SECOND, rate, output.attrs(), end);
    if output.tokens > 1 {
        let per_token = last.ms_since(first) / (output.tokens - 1) as f64;
        marks.float(n::TIME_PER_OUTPUT_TOKEN, per_token, output.attrs(), last);
    }
}
