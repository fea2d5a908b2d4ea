//! The last event of a stream, at which its client may leave: the body's own end, which a server may
//! write by itself, says nothing more.
//!
//! That is `[DONE]`, what a dialect says is the last, or an error. Content behind it shows that it was
//! not: another result of the same answer, or a server that says so with each event. From then on only
//! `[DONE]` is believed.
//!
//! Before it, an event may say why a choice ended, and that one or another report the tokens of all. Then
//! no more is to be said of that choice; whether all have ended, the request tells.

use crate::time::MonoNs;

/// The event that ends OpenAI's streams and those of many others.
const DONE: &[u8] = b"[DONE]";

/// Looks for it.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Bytes of [`DONE`] that the event under way has; `None`: it is another.
    matched: Option<usize>,
    under_way: bool,
    at: Option<MonoNs>,
    /// There was content behind one.
    doubted: bool,
    /// Choices that said why they ended, and reports, so far.
    choices: usize,
    reports: u64,
    finished: Option<Finished>,
}

/// Choices that ended, and no content came since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    /// How many.
    pub(super) choices: usize,
    /// When the last of them did.
    pub(super) at: MonoNs,
    /// When tokens were reported, then or since.
    pub(super) reported: Option<MonoNs>,
}

impl Last {
    /// When it came, if nothing speaks against it.
    pub(super) fn at(&self) -> Option<MonoNs> {
        self.at
    }

    /// The choices that ended, if nothing speaks against it.
    pub(super) fn finished(&self) -> Option<Finished> {
        self.finished
    }

    /// An event is over: number of reasons to end, and of reports, that all events so far said.
    pub(super) fn progress(&mut self, ts: MonoNs, choices: usize, reports: u64, content: bool) {
        if choices > self.choices {
            self.choices = choices;
            self.finished = Some(Finished {
                choices,
                at: ts,
                reported: None,
            });
        } else if content {
            self.finished = None;
        }
        if std::mem::replace(&mut self.reports, reports) != reports
            && let Some(finished) = &mut self.finished
        {
            finished.reported = Some(ts);
        }
    }

    /// Bytes of the event under way.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        let matched = if self.under_way {
            self.matched
        } else {
            Some(0)
        };
        self.under_way = true;
        let rest = matched.and_then(|n| DONE.get(n..));
        let is = rest.is_some_and(|rest| rest.starts_with(bytes));
        self.matched = matched.filter(|_| is).map(|n| n + bytes.len());
    }

    /// The event came to its end. `said`: its dialect calls it the last; `content`: it has some.
    pub(super) fn end(&mut self, ts: MonoNs, said: bool, content: bool) {
        let done = self.matched == Some(DONE.len());
        self.drop_event();
        if content && self.at.take().is_some() {
            self.doubted = true;
        }
        if done || said && !self.doubted {
            self.at = Some(ts);
        }
    }

    /// It was damaged.
    pub(super) fn drop_event(&mut self) {
        self.under_way = false;
        self.matched = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[DONE]`, last, last with content, content.
    fn at(events: &[&str]) -> Option<u64> {
        let mut last = Last::default();
        for (ns, event) in (1..).zip(events) {
            last.data(event.as_bytes());
            let said = event.starts_with("last");
            last.end(MonoNs(ns), said, event.ends_with("content"));
        }
        last.at().map(|at| at.0)
    }

    /// Events of choices that ended by then, reports by then, and whether there is content.
    fn finished(events: &[(usize, u64, bool)]) -> Option<(usize, u64, Option<u64>)> {
        let mut last = Last::default();
        for (ns, (choices, reports, content)) in (1..).zip(events) {
            last.progress(MonoNs(ns), *choices, *reports, *content);
        }
        let finished = last.finished()?;
        let reported = finished.reported.map(|at| at.0);
        Some((finished.choices, finished.at.0, reported))
    }

    #[test]
    fn choices_have_ended_until_content_comes_and_reports_count_from_then() {
        for (events, want) in [
            (&[(0, 0, true), (1, 0, false)][..], Some((1, 2, None))),
            (&[(0, 0, true), (1, 1, true)], Some((1, 2, Some(2)))),
            (&[(1, 0, true), (1, 1, false)], Some((1, 1, Some(2)))),
            // Told before.
            (&[(0, 1, true), (1, 1, false)], Some((1, 2, None))),
            // It goes on; another ends.
            (&[(1, 1, true), (1, 1, true)], None),
            (
                &[(1, 1, true), (1, 1, true), (2, 1, false)],
                Some((2, 3, None)),
            ),
            (&[(0, 1, true)], None),
        ] {
            assert_eq!(finished(events), want, "{events:?}");
        }
    }

    #[test]
    fn the_last_event_is_the_one_behind_which_no_content_comes() {
        for (events, want) in [
            (&["content", "last"][..], Some(2)),
            (&["content", "last", "usage"], Some(2)),
            (&["content", "last content"], Some(2)),
            (&["content", "last", "[DONE]"], Some(3)),
            (&["content", "last", "content"], None),
            (&["last content", "last content"], None),
            (&["last", "content", "last"], None),
            (&["last", "content", "[DONE]"], Some(3)),
            (&["[DONE]", "content"], None),
            (&["content"], None),
        ] {
            assert_eq!(at(events), want, "{events:?}");
        }
    }
}
