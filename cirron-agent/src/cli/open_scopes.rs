//! Exchanges that go on, in words: a line each, as SIGUSR1 prints them.
//!
//! A line has what the spool will have: the path without its query, the model, figures. No text, no header.

use std::fmt::Write as _;

use cirron_core::scope::{Row, Rows};
use cirron_core::time::MonoNs;

use cirron_spool::shown::shown;

/// Lines that are printed: what fits a terminal. The oldest come first; those that hang are among them.
pub const MAX_LINES: usize = 20;
/// Characters of a path or a model's name.
const MAX_CHARS: usize = 80;

/// A message of a line each, as of `now`.
pub fn words(rows: &Rows, now: MonoNs) -> String {
    let Rows { first, others, .. } = rows;
    let mut text = match first.len() + others {
        0 => return "nothing is open now".to_owned(),
        1 => "1 exchange is open now:".to_owned(),
        n => format!("{n} exchanges are open now:"),
    };
    for row in first {
        text.push_str("\n  ");
        text.push_str(&line(row, now));
    }
    if *others > 0 {
        let _ = write!(text, "\n  and {others} more, begun later");
    }
    text
}

fn line(row: &Row, now: MonoNs) -> String {
    let about = &row.about;
    let mut line = shown(&row.name).into_owned();
    if let Some(endpoint) = &about.endpoint {
        let _ = write!(line, " {}", cut(endpoint));
    }
    let _ = write!(line, ", pid {}", row.origin.start.pid);
    let _ = write!(line, ", for {}", seconds(row.age_ns(now)));
    if let Some(model) = &about.model {
        let _ = write!(line, ", model {}", cut(model));
    }
    if let Some(ns) = row.to_first_token_ns() {
        let _ = write!(line, ", first token after {}", seconds(ns));
    }
    // Counted by events: what the server reports comes at the end.
    match about.tokens {
        None | Some(0) => {}
        Some(1) => line.push_str(", about 1 token"),
        Some(n) => {
            let _ = write!(line, ", about {n} tokens");
        }
    }
    line
}

fn seconds(ns: u64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}

fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(MAX_CHARS).collect();
    let more = if chars.next().is_some() { "..." } else { "" };
    format!("{}{more}", shown(&start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cirron_core::id::Id;
    use cirron_core::scope::{About, Join, Origin, Start};
    use cirron_core::time::MS;

    fn row(about: About) -> Row {
        let start = Start {
            parent: None,
            at: MonoNs(1_000 * MS),
            pid: 7,
            tid: 8,
            rank: 0,
            evidence: "bytes",
            join: Join::Plain,
        };
        Row {
            origin: Origin {
                id: Id([1; 16]),
                start,
            },
            name: "request".into(),
            index: None,
            about,
        }
    }

    #[test]
    fn what_is_open_is_said_a_line_each_and_what_is_unknown_is_not() {
        let now = MonoNs(3_500 * MS);
        assert_eq!(words(&Rows::default(), now), "nothing is open now");
        let stream = row(About {
            endpoint: Some("/v1/chat/completions".into()),
            model: Some("a\nb".into()),
            first_token: Some(MonoNs(1_120 * MS)),
            tokens: Some(45),
        });
        let silent = row(About {
            endpoint: Some("/x".repeat(100)),
            tokens: Some(0),
            ..About::default()
        });
        let rows = Rows {
            first: vec![stream, silent, row(About::default())],
            others: 2,
            ..Rows::default()
        };
        let cut = "/x".repeat(MAX_CHARS / 2);
        assert_eq!(
            words(&rows, now),
            format!(
                "5 exchanges are open now:\n  \
                 request /v1/chat/completions, pid 7, for 2.500 s, model a\\nb, \
                 first token after 0.120 s, about 45 tokens\n  \
                 request {cut}..., pid 7, for 2.500 s\n  \
                 request, pid 7, for 2.500 s\n  \
                 and 2 more, begun later"
            )
        );
        let one = Rows {
            first: vec![row(About {
                tokens: Some(1),
                ..About::default()
            })],
            ..Rows::default()
        };
        assert!(words(&one, now).starts_with("1 exchange is open now:\n"));
        assert!(words(&one, now).ends_with(", about 1 token"));
    }
}
