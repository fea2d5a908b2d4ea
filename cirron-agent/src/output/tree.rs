//! The scope tree of a spool as text, as the SDK's `render_tree_text` draws it.
//!
//! One addition: behind a request, its method, path and status. Text that was captured is
//! escaped, so that a path cannot drive the terminal.

use std::collections::HashMap;

use serde_json::Value;

use super::line::{Shown, write_duration, write_marks};
use crate::spool::read::{MarkRow, SpanRow, Spool};

/// Draws the tree, roots by their start. Of each list of children at most `limit` are drawn, and
/// how many are not is said.
pub fn render(spool: &Spool, limit: usize) -> String {
    let mut children: HashMap<Option<&str>, Vec<&SpanRow>> = HashMap::new();
    for span in spool.spans.values() {
        let parent = span
            .parent_id
            .as_deref()
            .filter(|id| spool.spans.contains_key(*id));
        children.entry(parent).or_default().push(span);
    }
    for list in children.values_mut() {
        list.sort_by_key(|span| span.start_ns);
    }
    let mut out = String::new();
    // An explicit stack: what a file says is a chain may be longer than ours.
    let mut stack: Vec<(Step, usize)> = Vec::new();
    push(&mut stack, &children, None, 0, limit);
    while let Some((step, depth)) = stack.pop() {
        for _ in 0..depth {
            out.push_str("  ");
        }
        match step {
            Step::Span(span) => {
                draw(
                    &mut out,
                    span,
                    spool.marks.get(&span.id).map_or(&[], Vec::as_slice),
                );
                push(&mut stack, &children, Some(&span.id), depth + 1, limit);
            }
            Step::More(n) => out.push_str(&format!("... and {n} more")),
        }
        out.push('\n');
    }
    if out.is_empty() {
        out.push_str("(no spans)\n");
    }
    out
}

enum Step<'a> {
    Span(&'a SpanRow),
    More(usize),
}

fn push<'a>(
    stack: &mut Vec<(Step<'a>, usize)>,
    children: &HashMap<Option<&str>, Vec<&'a SpanRow>>,
    parent: Option<&str>,
    depth: usize,
    limit: usize,
) {
    let list = children.get(&parent).map_or(&[][..], Vec::as_slice);
    if list.len() > limit {
        stack.push((Step::More(list.len() - limit), depth));
    }
    stack.extend(
        list.iter()
            .take(limit)
            .rev()
            .map(|span| (Step::Span(span), depth)),
    );
}

fn draw(out: &mut String, span: &SpanRow, marks: &[MarkRow]) {
    out.push_str(&escape(&span.name));
    if let Some(index) = span.index {
        out.push_str(&format!("[{index}]"));
    }
    let facts = [
        "http.request.method",
        "url.path",
        "http.response.status_code",
    ];
    for fact in facts.iter().filter_map(|name| span.attrs.get(*name)) {
        out.push(' ');
        out.push_str(&match fact {
            Value::String(text) => escape(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => fact.to_string(),
        });
    }
    out.push_str(" — ");
    write_duration(out, span.start_ns, span.end_ns);
    let shown: Vec<_> = marks
        .iter()
        .filter(|mark| mark.kind == "summary")
        .map(|mark| {
            (
                escape(&mark.name),
                escape(&text_of(mark)),
                mark.value.as_f64(),
            )
        })
        .collect();
    let marks = shown.iter().map(|(name, text, value)| {
        let float = value.filter(|_| text.contains('.'));
        (name.as_str(), float.map_or(Shown::Text(text), Shown::Float))
    });
    write_marks(out, marks);
}

fn text_of(mark: &MarkRow) -> String {
    match (&mark.value, &mark.value_nonfinite) {
        (Value::Null, Some(token)) => token.clone(),
        (Value::String(text), _) => text.clone(),
        (value, _) => value.to_string(),
    }
}

/// Control characters as escapes.
fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let (plain, escaped) = if c.is_control() {
                (None, Some(c.escape_default()))
            } else {
                (Some(c), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(spans: &str, marks: &str) -> Spool {
        let spans: Vec<SpanRow> = serde_json::from_str(spans).unwrap_or_default();
        let marks: Vec<MarkRow> = serde_json::from_str(marks).unwrap_or_default();
        let mut spool = Spool::default();
        for span in spans {
            spool.spans.insert(span.id.clone(), span);
        }
        for mark in marks {
            spool
                .marks
                .entry(mark.span_id.clone())
                .or_default()
                .push(mark);
        }
        spool
    }

    #[test]
    fn children_stand_under_their_parent_in_order_of_time() {
        let spool = spool(
            r#"[{"id":"b","name":"request","parent_id":"a","index":null,"start_ns":2000,"end_ns":5000,
                 "attrs":{"http.request.method":"POST","url.path":"/v1\u001b[2J","http.response.status_code":200}},
                {"id":"c","name":"request","parent_id":"a","index":null,"start_ns":1000,"end_ns":null,"attrs":{}},
                {"id":"a","name":"cirron.session","parent_id":null,"index":null,"start_ns":0,"end_ns":null}]"#,
            r#"[{"span_id":"b","name":"output_tokens","value":5,"kind":"summary"},
                {"span_id":"b","name":"time_to_first_token_ms","value":1.5,"kind":"summary"},
                {"span_id":"b","name":"chunk_ms","value":1.5,"kind":"point"}]"#,
        );
        assert_eq!(
            render(&spool, 10),
            "cirron.session — open\n  request — open\n  request POST /v1\\u{1b}[2J 200 — 3us \
             {output_tokens=5, time_to_first_token_ms=1.5000}\n"
        );
        assert_eq!(
            render(&spool, 1),
            "cirron.session — open\n  request — open\n  ... and 1 more\n"
        );
    }

    #[test]
    fn an_empty_spool_says_so() {
        assert_eq!(render(&Spool::default(), 10), "(no spans)\n");
    }
}
