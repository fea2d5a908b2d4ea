//! The response's body, whole or event by event.

use super::choices::Choices;
use super::event::Event;
use super::sink::Sink;
use super::usage::Reported;
use crate::body::json::{Finish, Scanner};
use crate::llm::dialect::ReadResponse;
use crate::llm::errors::ERROR_EVENT;
use crate::llm::facts::{Content, ResponseFacts};
use crate::llm::results::Results;

/// Members that are looked for behind a hole: usage stands at the end of a body. An `error` is not
/// among them, since tools' results have members of that name too.
const RESYNC_KEYS: &[&str] = &["usage"];

/// Reads responses as they pass.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    scanner: Scanner,
    facts: ResponseFacts,
    event: Event,
    reported: Reported,
    choices: Choices,
    /// Of documents that are elements of an array: llama.cpp once answered a list of prompts so.
    results: Results,
    element: Option<u64>,
    last: bool,
}

impl Default for ResponseReader {
    fn default() -> Self {
        ResponseReader {
            scanner: Scanner::new(RESYNC_KEYS),
            facts: ResponseFacts::default(),
            event: Event::default(),
            reported: Reported::default(),
            choices: Choices::default(),
            results: Results::default(),
            element: None,
            last: false,
        }
    }
}

impl ReadResponse for ResponseReader {
    fn push(&mut self, bytes: &[u8]) {
        let ResponseReader {
            scanner,
            facts,
            event,
            choices,
            ..
        } = self;
        let mut sink = Sink {
            facts,
            event,
            choices,
        };
        scanner.push(bytes, &mut sink);
    }

    fn gap(&mut self) {
        if self.scanner.is_done() {
            // What follows may be another document: this one has said what it had to say.
            self.finish("");
        }
        self.scanner.gap();
        if self.element.is_some() {
            // What follows may be of any element.
            self.results.lose(&mut self.facts.usage);
        }
    }

    fn element(&mut self, at: u64) {
        self.element = Some(at);
        self.reported = Reported::default();
        self.choices = Choices::default();
    }

    fn finish(&mut self, name: &str) -> Content {
        let ResponseReader {
            scanner,
            facts,
            event,
            reported,
            choices,
            results,
            element,
            last,
        } = self;
        let mut sink = Sink {
            facts,
            event,
            choices,
        };
        let finish = scanner.finish(&mut sink);
        if finish == Finish::Incomplete {
            // One that broke off.
            sink.end_choice(None);
        }
        scanner.reset();
        let mut event = std::mem::take(event);
        *last = finish == Finish::Complete && event.is_last();
        if finish == Finish::Bad {
            facts.unreadable += 1;
            if name == ERROR_EVENT {
                facts.fails(None);
            }
            return Content::default();
        }
        if name == ERROR_EVENT {
            event.fails = true;
            event.error_at_top = true;
        }
        let Some(at) = *element else {
            return event.settle(facts, reported, choices);
        };
        results.begin(at, &mut facts.usage);
        let content = event.settle(facts, reported, choices);
        results.end(at, &mut facts.usage);
        facts.results = results.count();
        content
    }

    fn facts(&self) -> &ResponseFacts {
        &self.facts
    }

    fn is_last(&self) -> bool {
        self.last
    }
}
