//! The marks of an LLM call, by the SDK's names and definitions.
//!
//! What a hole, a late attach or an early end made unknown is absent.

use super::exchange_scope::ExchangeScope;
use super::names as n;
use super::payload::ResponseBody;
use super::span::{AttrValue, Attrs, Mark, MarkKind, MarkValue};
use crate::id::{Id, IdSource};
use crate::llm::openai;
use crate::time::{MS, MonoNs};

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
            list: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<Mark> {
        self.list
    }

    fn push(
        &mut self,
        name: &'static str,
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

    fn tokens(&mut self, name: &'static str, value: i64, attrs: Attrs) {
        let kind = MarkKind::Summary;
        self.push(name, MarkValue::Int(value), attrs, self.ts, kind);
    }

    fn float(&mut self, name: &'static str, value: f64, ts: MonoNs) {
        let kind = MarkKind::Summary;
        self.push(name, MarkValue::Float(value), Attrs::new(), ts, kind);
    }
}

/// Attributes of a figure that the server reported.
fn reported(normalized: bool) -> Attrs {
    let mut attrs = Attrs::from([(n::SOURCE, AttrValue::from(openai::NAME))]);
    if normalized {
        attrs.insert(n::NORMALIZED, true.into());
    }
    attrs
}

/// Writes the marks; gives the output tokens, reported or counted.
pub(super) fn write(scope: &ExchangeScope, end: MonoNs, marks: &mut Marks<'_>) -> Option<u64> {
    let body = scope.response.as_ref()?;
    let mut output = usage(body, marks);
    if let Some(first_byte) = scope.first_byte.filter(|_| !scope.late) {
        let took = first_byte.ms_since(scope.start);
        marks.float(n::TIME_TO_FIRST_BYTE, took, first_byte);
    }
    if body.is_stream() {
        if output.is_none() && body.tokens.count > 0 {
            output = Some(body.tokens.count);
            marks.tokens(
                n::OUTPUT_TOKENS,
                i64::try_from(body.tokens.count).unwrap_or(i64::MAX),
                estimated(scope),
            );
        }
        stream(scope, body, output, end, marks);
    }
    if scope.response_end.is_some() && !scope.late {
        marks.float(n::REQUEST_DURATION, end.ms_since(scope.start), end);
    }
    output
}

fn usage(body: &ResponseBody, marks: &mut Marks<'_>) -> Option<u64> {
    let usage = body.facts().usage;
    if let Some(input) = usage.input {
        marks.tokens(n::PROMPT_TOKENS, input, reported(false));
        marks.tokens(n::INPUT_TOKENS, input, reported(true));
    }
    if let Some(output) = usage.output {
        marks.tokens(n::COMPLETION_TOKENS, output, reported(false));
        marks.tokens(n::OUTPUT_TOKENS, output, reported(true));
    }
    let sum = usage.input.zip(usage.output).map(|(i, o)| i + o);
    if let Some(total) = usage.total.or(sum) {
        marks.tokens(n::TOTAL_TOKENS, total, reported(true));
    }
    usage.output.and_then(|o| u64::try_from(o).ok())
}

/// Attributes of a figure that we counted.
fn estimated(scope: &ExchangeScope) -> Attrs {
    let mut attrs = Attrs::from([(n::NORMALIZED, true.into()), (n::ESTIMATED, true.into())]);
    if scope.response_lost_bytes > 0 || scope.late {
        attrs.insert(n::MARK_PARTIAL, true.into());
    }
    attrs
}

fn stream(
    scope: &ExchangeScope,
    body: &ResponseBody,
    output: Option<u64>,
    end: MonoNs,
    marks: &mut Marks<'_>,
) {
    let tokens = &body.tokens;
    let Some(first) = tokens.first else { return };
    if !scope.late && !body.hole_before_first {
        let mut to = |name, at: MonoNs| marks.float(name, at.ms_since(scope.start), at);
        to(n::TIME_TO_FIRST_TOKEN, first);
        if let Some(reasoning) = tokens.first_reasoning {
            to(n::TIME_TO_FIRST_REASONING, reasoning);
            if let Some(answer) = tokens.first_answer {
                to(n::TIME_TO_FIRST_ANSWER, answer);
            }
        }
    }
    let unbroken = !scope.late && scope.response_lost_bytes == 0;
    let whole = unbroken && scope.response_end.is_some() && scope.end.aborted_by.is_none();
    let stream_ns = end.since(first);
    if let Some(output) = output.filter(|_| whole && stream_ns > 0) {
        let seconds = stream_ns as f64 / 1e9;
        marks.float(n::TOKENS_PER_SECOND, output as f64 / seconds, end);
    }
    // Events that came in one piece have no time between them that anybody could know.
    if let Some(last) = tokens.last.filter(|last| *last > first) {
        if let Some(output) = output.filter(|n| whole && *n > 1) {
            let per_token = last.ms_since(first) / (output - 1) as f64;
            marks.float(n::TIME_PER_OUTPUT_TOKEN, per_token, last);
        }
        if unbroken {
            let largest = tokens.largest_gap_ns as f64 / MS as f64;
            marks.float(n::MAX_INTER_TOKEN, largest, last);
        }
    }
    for (index, (ts, gap_ns)) in (1_i64..).zip(&tokens.points) {
        let attrs = Attrs::from([(n::INDEX, AttrValue::from(index))]);
        let value = MarkValue::Float(*gap_ns as f64 / MS as f64);
        marks.push(n::CHUNK, value, attrs, *ts, MarkKind::Point);
    }
}
