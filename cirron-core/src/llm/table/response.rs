//! Responses by table.

use super::say::{ResponseTable, Say};
use super::tensors::{Counts, Raw, Tensor};
use super::{Place, Seen, leads};
use crate::body::json::{Container, Finish, JsonSink, Path, Scalar, Scanner, Seg, Walk};
use crate::llm::calls::{Calls, Piece, Pieces};
use crate::llm::count::{count, counted, fill, sum};
use crate::llm::dialect::ReadResponse;
use crate::llm::errors::{ERROR_EVENT, ErrorMember};
use crate::llm::facts::{Content, MAX_CHOICES, ResponseFacts, Usage, is_said, say};
use crate::llm::repeats::{Repeats, Text};
use crate::llm::results::Results;

/// Where OpenAI's chat completions report their tokens.
const OPENAI_USAGE: [Place; 2] = [
    &[Seg::K("usage"), Seg::K("prompt_tokens")],
    &[Seg::K("usage"), Seg::K("completion_tokens")],
];

#[derive(Debug)]
pub(super) struct Reader {
    scanner: Scanner,
    reading: Reading,
}

#[derive(Debug)]
struct Reading {
    table: &'static ResponseTable,
    facts: ResponseFacts,
    results: Results,
    /// Its documents are elements of an array, a result each.
    array: bool,
    calls: Calls,
    /// Sum of `OutputPiece`s; `None` behind a hole, which may have taken some.
    pieces: Option<i64>,
    /// The answer's text so far, by result.
    texts: Vec<(u64, Repeats)>,
    /// A choice that is not the first was named.
    several: bool,
    document: Document,
    /// The document before was the last.
    last: bool,
}

/// Of the document under way.
#[derive(Debug, Default)]
struct Document {
    seen: Seen,
    /// Which result it is of, as it says, and as its place in an array does.
    result: Option<u64>,
    element: Option<u64>,
    /// Why choices ended; that of the result where no choice is said.
    finish: Vec<(Option<u64>, String)>,
    /// Choices that say which they are, by their place.
    choices: Vec<(u64, u64)>,
    /// `ModelOfAll`, and whether there is another.
    model: Option<String>,
    models_differ: bool,
    content: Content,
    usage: Usage,
    /// `InputElse`, `OutputElse`.
    instead: [Option<i64>; 2],
    /// `InputMore`, `OutputMore`.
    more: [Option<i64>; 2],
    /// `OutputPiece`
    output_piece: Option<i64>,
    tensor: Option<Tensor>,
    raw: Raw,
    /// `InputElement`
    elements: Option<i64>,
    /// The object that has the usage came to its end: what it does not say is none.
    usage_ended: bool,
    /// It did not, and neither did the document.
    broken: bool,
    /// Such objects.
    usages: u32,
    /// Calls of tools: the one under way with its place, and those before.
    piece: Option<([u64; 2], Piece)>,
    pieces: Pieces,
    /// The text of its answer, and whether it is all so far.
    answer: Text,
    whole: bool,
    /// The same, as tokens.
    tokens: Text,
    error: ErrorMember,
    /// It names the class of one.
    fails: bool,
    /// What it gives is text, where its dialect's need not be.
    generates: bool,
    error_class: Option<String>,
    last: bool,
    block: Option<Block>,
}

/// Texts of one object, and what is said beside them.
#[derive(Debug, Default)]
struct Block {
    depth: usize,
    text: bool,
    thought: bool,
    silent: bool,
}

impl Reader {
    pub(super) fn new(table: &'static ResponseTable) -> Reader {
        Reader {
            scanner: Scanner::new(table.resync),
            reading: Reading {
                table,
                facts: ResponseFacts::default(),
                results: Results::default(),
                array: false,
                calls: Calls::default(),
                pieces: Some(0),
                texts: Vec::new(),
                several: false,
                document: Document::default(),
                last: false,
            },
        }
    }
}

impl ReadResponse for Reader {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.reading);
    }

    fn gap(&mut self) {
        if self.scanner.is_done() {
            // What follows may be another document: this one has said what it had to say.
            self.finish("");
        }
        self.scanner.gap();
        let Reading {
            results,
            facts,
            array,
            pieces,
            ..
        } = &mut self.reading;
        *pieces = None;
        results.hole(&mut facts.usage);
        if *array {
            // What follows may be of any element.
            results.lose(&mut facts.usage);
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        let document = &mut self.reading.document;
        let Document {
            raw,
            usage,
            output_piece,
            ..
        } = document;
        raw.push(bytes, &mut |counts, count| match counts {
            Counts::Input => fill(&mut usage.input, Some(count)),
            Counts::Output => *output_piece = Some(count),
        });
    }

    fn element(&mut self, at: u64) {
        if self.reading.table.has(Say::Each) {
            self.reading.array = true;
            self.reading.document.element = Some(at);
        }
    }

    fn finish(&mut self, name: &str) -> Content {
        let finish = self.scanner.finish(&mut self.reading);
        self.scanner.reset();
        let document = std::mem::take(&mut self.reading.document);
        self.reading.last = document.last && finish == Finish::Complete;
        match finish {
            Finish::Complete => self.reading.take(document, name, true),
            Finish::Incomplete => {
                let mut document = document.cut(self.reading.table);
                if self.reading.several {
                    document.forget_unnamed();
                }
                self.reading.take(document, name, false)
            }
            Finish::Bad => {
                self.reading.facts.unreadable += 1;
                if name == ERROR_EVENT {
                    self.reading.facts.fails(None);
                }
                Content::default()
            }
        }
    }

    fn facts(&self) -> &ResponseFacts {
        &self.reading.facts
    }

    fn is_last(&self) -> bool {
        self.reading.last
    }
}

impl ResponseTable {
    fn has(&self, what: Say) -> bool {
        self.rows.iter().any(|(_, say)| *say == what)
    }

    /// The object at `path` has tokens as its members.
    fn holds_usage(&self, path: &Path) -> bool {
        let at = path.depth();
        self.rows.iter().any(|(place, say)| {
            matches!(say, Say::Input | Say::Output) && place.len() == at + 1 && leads(path, place)
        })
    }
}

impl Reading {
    /// A document, as that of its result.
    fn take(&mut self, mut document: Document, name: &str, whole: bool) -> Content {
        if !whole && document.usages > 1 && self.table.has(Say::Each) {
            // The rest of an array behind a hole.
            document.forget_usage();
            self.results.lose(&mut self.facts.usage);
        }
        let said = document.result.or(document.element);
        // One that broke off before it said so may be of any.
        let key = said.or_else(|| self.results.only().or(Some(0).filter(|_| whole)));
        let Some(key) = key else {
            document.forget_usage();
            return self.settle(document, name);
        };
        document.result = Some(key);
        self.results.begin(key, &mut self.facts.usage);
        let content = self.settle(document, name);
        self.results.end(key, &mut self.facts.usage);
        self.facts.results = Some(self.results.count()).filter(|n| *n > 1).unwrap_or(0);
        content
    }

    fn settle(&mut self, mut document: Document, name: &str) -> Content {
        document.end_block();
        document.end_piece();
        if !document.whole && !document.tokens.is_empty() {
            document.answer = document.tokens;
            document.whole = true;
        }
        document.content.answer |= self.is_new(&document);
        let pieces = std::mem::take(&mut document.pieces);
        self.several |= document.choices.iter().any(|(_, choice)| *choice > 0);
        let facts = &mut self.facts;
        for (choice, reason) in &document.finish {
            let choice = choice.map(|place| document.choice_at(place));
            let choice = choice.or(document.result).unwrap_or(0);
            facts.note_finish(i64::try_from(choice).unwrap_or(0), reason);
        }
        let absent_path = document.error.is_absent_path();
        if document.seen.is_shaped(self.table.shapes) && !absent_path {
            facts.shaped = true;
            facts.operation = self.table.operation;
        }
        if document.generates {
            facts.operation = Some("text_completion");
        }
        if let Some(piece) = document.output_piece {
            self.pieces = self.pieces.and_then(|sum| sum.checked_add(piece));
            document.usage.output = self.pieces;
        }
        if let Some(model) = document.model.take().filter(|_| !document.models_differ) {
            facts.model = Some(model);
        }
        let cut = document.broken;
        facts.report(&document.told(self.table), cut);
        facts.tool_calls += self.calls.take_all(pieces);
        // AWS names exceptions in the framing.
        let exception = Some(name).filter(|name| name.ends_with("Exception"));
        let fails = document.fails || document.error.is_told();
        if fails || exception.is_some() || name == ERROR_EVENT {
            facts.fails(document.error_class.or(exception.map(str::to_owned)));
            facts.absent_path |= absent_path;
        }
        document.content
    }

    /// Whether the text of a document's answer was not sent before. Of results past the bound nothing
    /// is known.
    fn is_new(&mut self, document: &Document) -> bool {
        let result = document.result.unwrap_or(0);
        let ends = !document.finish.is_empty();
        let known = self.texts.iter().position(|(key, _)| *key == result);
        if known.is_none() && self.texts.len() < MAX_CHOICES {
            self.texts.push((result, Repeats::default()));
        }
        let at = known.unwrap_or(self.texts.len().saturating_sub(1));
        match self.texts.get_mut(at).filter(|(key, _)| *key == result) {
            Some((_, text)) if document.whole => text.so_far(document.answer, ends),
            Some((_, text)) => text.piece(document.answer, ends),
            None => !document.answer.is_empty(),
        }
    }

    fn say(&mut self, say_: Say, path: &Path, place: Place, value: Scalar<'_>) {
        let Reading {
            facts, document, ..
        } = self;
        match (say_, value) {
            (Say::Model, Scalar::Str { prefix, .. }) => say(&mut facts.model, prefix),
            (Say::ModelOfAll, Scalar::Str { prefix, .. }) => {
                let before = document.model.as_deref();
                document.models_differ |= before.is_some_and(|model| model != prefix);
                say(&mut document.model, prefix);
            }
            (Say::ModelVersion, Scalar::Str { prefix, .. }) => {
                say(&mut facts.model_version, prefix);
            }
            (Say::Id, Scalar::Str { prefix, .. }) => say(&mut facts.id, prefix),
            (Say::Answer, value) => document.answer.push(value),
            (Say::AnswerIf(texts), value) => {
                let is = value.as_str().is_some_and(|text| texts.contains(&text));
                document.content.answer |= is;
                document.generates |= is;
            }
            (Say::GeneratesIf(texts), value) => {
                document.generates |= value.as_str().is_some_and(|text| texts.contains(&text));
            }
            (Say::Whole, value) => {
                document.answer.push(value);
                document.whole = true;
            }
            (Say::WholeToken, Scalar::Num(prefix)) => document.tokens.push(Scalar::Str {
                prefix,
                len: prefix.len() as u64,
                cut: false,
            }),
            (Say::Reasoning, value) => document.content.reasoning |= value.is_text(),
            (Say::Tool, value) => document.content.tool |= value.is_text(),
            (Say::ToolCall, value) if value.is_text() => {
                document.content.tool = true;
                document.piece(path).named = true;
            }
            (Say::ThoughtIf(texts), value) => {
                let is = value.as_str().is_some_and(|text| texts.contains(&text));
                document.block(path, 1).thought |= is;
            }
            (Say::CallIf(texts), value) => {
                if value.as_str().is_some_and(|text| texts.contains(&text)) {
                    document.content.tool = true;
                    document.piece(path).named = true;
                }
            }
            (Say::ToolId, Scalar::Str { prefix, .. }) => document.piece(path).note_id(prefix),
            (Say::ToolIndex, value) => document.piece(path).index = value.as_u64(),
            (Say::ToolGoesOn, value) => {
                document.piece(path).goes_on = value == Scalar::Bool(true);
            }
            (Say::Text, value) => document.block(path, 1).text |= value.is_text(),
            (Say::TextBelow, value) => document.block(path, 2).text |= value.is_text(),
            (Say::Thought, value) => {
                document.block(path, 1).thought |= value == Scalar::Bool(true);
            }
            (Say::Silent, value) => {
                document.block(path, 1).silent |= value == Scalar::Bool(true);
            }
            (Say::Input, value) => fill(&mut document.usage.input, count(value)),
            (Say::InputMore, value) => document.more[0] = sum(document.more[0], count(value)),
            (Say::InputElse, value) => fill(&mut document.instead[0], count(value)),
            (Say::InputElement, _) => document.element(),
            (Say::Output, value) => fill(&mut document.usage.output, count(value)),
            (Say::OutputMore, value) => document.more[1] = sum(document.more[1], count(value)),
            (Say::OutputElse, value) => fill(&mut document.instead[1], count(value)),
            (Say::OutputEach, value) => {
                document.usage.output = sum(document.usage.output, count(value));
            }
            (Say::OutputPiece, value) => document.output_piece = count(value),
            (Say::TensorName, value) => {
                document.tensor = value.as_str().and_then(|name| Tensor::named(path, name));
            }
            (Say::TensorData, value) => match document.tensor.map(|tensor| tensor.counts) {
                Some(Counts::Input) => fill(&mut document.usage.input, count(value)),
                Some(Counts::Output) => document.output_piece = count(value),
                None => {}
            },
            (Say::TensorBytes, value) => {
                let tensor = document.tensor.filter(|tensor| tensor.holds(path));
                let counts = tensor.map(|tensor| tensor.counts);
                document
                    .raw
                    .announce(counts, value.as_u64().unwrap_or(u64::MAX));
            }
            (Say::Result, value) => document.result = value.as_u64(),
            (Say::Each, _) => {}
            (Say::Total, value) => fill(&mut document.usage.total, count(value)),
            (Say::Cached, value) => fill(&mut document.usage.cached, count(value)),
            (Say::ReasoningTokens, value) => fill(&mut document.usage.reasoning, count(value)),
            (Say::Finish, Scalar::Str { prefix, .. }) => {
                let any = place.iter().position(|seg| *seg == Seg::Any);
                let choice = any.and_then(|i| path.index(i));
                document.finish(choice, prefix);
            }
            (Say::Choice, value) => {
                let any = place.iter().position(|seg| *seg == Seg::Any);
                let at = any.and_then(|i| path.index(i)).zip(value.as_u64());
                let room = document.choices.len() < MAX_CHOICES;
                document.choices.extend(at.filter(|_| room));
            }
            (Say::FailsIf(texts), value) => {
                document.fails |= value.as_str().is_some_and(|text| texts.contains(&text));
            }
            (Say::ErrorClass, Scalar::Str { prefix, .. }) if !prefix.trim().is_empty() => {
                document.fails = true;
                say(&mut document.error_class, prefix);
            }
            (Say::Error, value) => document.error.scalar(None, value),
            (Say::ErrorMessage, value) => document.error.message(value),
            (Say::Last, value) => {
                let empty = matches!(value, Scalar::Str { prefix, .. } if !is_said(prefix));
                document.last |= !empty && !matches!(value, Scalar::Null | Scalar::Bool(false));
            }
            (Say::LastIf(texts), value) => {
                document.last |= value.as_str().is_some_and(|text| texts.contains(&text));
            }
            (
                Say::Model
                | Say::ModelOfAll
                | Say::ModelVersion
                | Say::Id
                | Say::ToolCall
                | Say::ToolId
                | Say::Finish
                | Say::WholeToken
                | Say::ErrorClass,
                _,
            ) => {}
        }
    }
}

impl Document {
    /// What it reports, now that all of its members are known.
    fn told(&self, table: &ResponseTable) -> Usage {
        let told = self.usage;
        let [input_more, output_more] = self.more;
        let [input_else, output_else] = self.instead;
        let input = sum(told.input, input_more).or(self.elements);
        // Some count in `Output` what others leave out of it. The reported sum shows it.
        let is_in = told.total.is_some() && told.total == sum(input, told.output);
        let more = output_more.filter(|_| !is_in || told.output.is_none());
        let mut output = sum(told.output, more);
        // Where it leaves `Output` out, the sum has it.
        let parts = table.rows.iter().any(|(_, say)| *say == Say::OutputMore);
        if parts && told.output.is_none_or(|n| n == 0) {
            let left = told.total.zip(input).map(|(total, input)| total - input);
            output = left.filter(|left| Some(*left) > output).or(output);
        }
        Usage {
            input: counted(input, input_else),
            output: counted(output, output_else),
            ..told
        }
    }

    /// It was not seen to its end: sums of what was seen so far are none.
    fn cut(mut self, table: &ResponseTable) -> Document {
        self.elements = None;
        self.model = None;
        // What they stand in for may have been said behind the break.
        self.instead = Default::default();
        self.broken = !self.usage_ended;
        let sums = |part| !self.usage_ended && table.has(part);
        if sums(Say::InputMore) {
            self.usage.input = None;
            self.more[0] = None;
        }
        if table.has(Say::OutputEach) {
            self.usage.output = None;
        }
        if sums(Say::OutputMore) {
            self.usage.output = None;
            self.more[1] = None;
        }
        self
    }

    /// What is at `path` is not the inside of a tensor that counts nothing.
    fn is_wanted(&self, path: &Path) -> bool {
        path.depth() < 2 || self.tensor.is_some_and(|tensor| tensor.holds(path))
    }

    /// A choice ended.
    fn finish(&mut self, choice: Option<u64>, reason: &str) {
        if self.finish.len() < MAX_CHOICES && is_said(reason) {
            self.finish.push((choice, reason.to_owned()));
        }
    }

    /// The choice at this place.
    fn choice_at(&self, place: u64) -> u64 {
        let named = self.choices.iter().find(|(at, _)| *at == place);
        named.map_or(place, |(_, choice)| *choice)
    }

    /// Of a choice that may have been named behind the break nobody knows which it is.
    fn forget_unnamed(&mut self) {
        let named = |place: u64| self.choices.iter().any(|(at, _)| *at == place);
        self.finish.retain(|(place, _)| place.is_none_or(named));
    }

    fn forget_usage(&mut self) {
        self.usage = Usage::default();
        self.instead = Default::default();
        self.more = Default::default();
        self.elements = None;
    }

    /// The block that the member at `path` stands in, so many levels above it.
    fn block(&mut self, path: &Path, above: usize) -> &mut Block {
        let depth = path.depth().saturating_sub(above);
        if self.block.as_ref().is_some_and(|b| b.depth != depth) {
            self.end_block();
        }
        self.block.get_or_insert(Block {
            depth,
            ..Block::default()
        })
    }

    fn end_block(&mut self) {
        let Some(block) = self.block.take() else {
            return;
        };
        let shown = block.text && !block.silent;
        self.content.reasoning |= shown && block.thought;
        self.content.answer |= shown && !block.thought;
    }

    /// The piece of a call that the member at `path` stands in: where several may be, lists lead to
    /// it.
    fn piece(&mut self, path: &Path) -> &mut Piece {
        let mut lists = (0..path.depth()).filter_map(|i| path.index(i));
        let place = match (lists.next(), lists.next()) {
            (Some(choice), Some(call)) => [choice, call],
            (call, _) => [0, call.unwrap_or(0)],
        };
        if self.piece.is_some_and(|(of, _)| of != place) {
            self.end_piece();
        }
        let choice = i64::try_from(place[0]).unwrap_or(0);
        let new = Piece::in_choice(choice);
        &mut self.piece.get_or_insert((place, new)).1
    }

    fn end_piece(&mut self) {
        if let Some((_, piece)) = self.piece.take() {
            self.pieces.push(piece);
        }
    }

    fn element(&mut self) {
        *self.elements.get_or_insert(0) += 1;
    }
}

impl JsonSink for Reading {
    fn begin(&mut self, path: &Path, _: Container) -> Walk {
        self.document.seen.take(self.table.shapes, path, None);
        let mut walk = path.depth() == 0;
        for (place, say) in self.table.rows {
            let wanted = *say != Say::TensorData || self.document.is_wanted(path);
            walk |= wanted && leads(path, place) || *say == Say::Error && path.starts_with(place);
            if path.is(place) {
                if *say == Say::Error {
                    self.document.error.begin();
                }
                self.document.last |= *say == Say::Last;
                if *say == Say::InputElement {
                    self.document.element();
                }
            }
        }
        if self.table.holds_usage(path) {
            // Behind a hole the usage of a later event may follow: its sums begin anew.
            self.document.more = Default::default();
            self.document.usage_ended = false;
            self.document.usages += 1;
        }
        if walk { Walk::Into } else { Walk::Skip }
    }

    fn end(&mut self, path: &Path, _: Container) {
        let at = path.depth();
        if self.document.block.as_ref().is_some_and(|b| b.depth == at) {
            self.document.end_block();
        }
        self.document.usage_ended |= self.table.holds_usage(path);
        for (place, say) in self.table.rows {
            if *say == Say::Error && path.is(place) {
                self.document.error.end();
            }
        }
    }

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        let table = self.table;
        self.document.seen.take(table.shapes, path, Some(value));
        for (place, say) in table.rows {
            if path.is(place) {
                self.facts.openai_usage |= OPENAI_USAGE.contains(place);
                self.say(*say, path, place, value);
            } else if *say == Say::Error && path.starts_with(place) {
                let key = path.key(place.len());
                self.document.error.scalar(key, value);
            }
        }
    }
}
