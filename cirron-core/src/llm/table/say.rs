//! What the rows of a table of responses say. [`super::response`] reads them.

use super::{Place, Shapes};

/// What a member of a response, or of an event, says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// The model that answered.
    Model,
    /// One of the models that had a part in it: that of all, where they are one.
    ModelOfAll,
    /// Its version.
    ModelVersion,
    /// The response's id.
    Id,
    /// Text of the answer.
    Answer,
    /// Text of the reasoning.
    Reasoning,
    /// Text of either: `Thought` and `Silent` beside it tell which, in any order.
    Text,
    /// The same, an object deeper than `Thought` and `Silent`.
    TextBelow,
    /// `true`: the text beside it is reasoning.
    Thought,
    /// The same, if it is one of these texts.
    ThoughtIf(&'static [&'static str]),
    /// `true`: the text beside it is none that is shown.
    Silent,
    /// A part of a tool's arguments.
    Tool,
    /// The name of a call of a tool.
    ToolCall,
    /// A call of a tool begins, if this is one of these texts.
    CallIf(&'static [&'static str]),
    /// Its id.
    ToolId,
    /// Its index among the calls of its choice.
    ToolIndex,
    /// `true`: the next piece of a call goes on with it.
    ToolGoesOn,
    /// The answer so far, which each event repeats.
    Whole,
    /// A token of the answer so far, where its text is not said.
    WholeToken,
    /// Tokens of the prompt.
    Input,
    /// More tokens of the prompt, which `Input` leaves out.
    InputMore,
    /// Tokens of the prompt, where `Input` is not said.
    InputElse,
    /// Each element is a token of the prompt.
    InputElement,
    /// Tokens of the answer.
    Output,
    /// More tokens of the answer, which `Output` leaves out.
    OutputMore,
    /// Tokens of the answer, where `Output` is not said.
    OutputElse,
    /// Tokens of one of several answers, which add up.
    OutputEach,
    /// Tokens of the event alone: those of all events add up.
    OutputPiece,
    /// Name of a tensor, which may be one that counts (see [`super::tensors`]).
    TensorName,
    /// What is in it.
    TensorData,
    /// Number of bytes of it that stand behind the document.
    TensorBytes,
    /// Both.
    Total,
    /// Which result the document is of: each reports for itself (see [`Results`]).
    Result,
    /// Each element of an array is a result. Stands at no place.
    Each,
    /// Of the prompt's tokens, those that came from a cache.
    Cached,
    /// Of the answer's tokens, those of its reasoning; with `OutputMore`, where that is it.
    ReasoningTokens,
    /// Why it ended; the choice is the first index of the path, unless `Choice` stands beside it.
    Finish,
    /// Which choice it is: an event need not have all.
    Choice,
    /// There is an error, if this is one of these texts.
    FailsIf(&'static [&'static str]),
    /// Text of the answer, where this is one of these texts.
    AnswerIf(&'static [&'static str]),
    /// The document is of a language model, where this is one of these texts.
    GeneratesIf(&'static [&'static str]),
    /// Class of an error.
    ErrorClass,
    /// There is an error, if this, or what stands in it, is neither null, false, 0 nor an empty text.
    Error,
    /// What the text of an error says that stands by itself.
    ErrorMessage,
    /// The document is the last of its stream, if this is neither null, false nor empty.
    Last,
    /// The same, if it is one of these texts.
    LastIf(&'static [&'static str]),
}

/// One kind of response.
#[derive(Debug)]
pub(crate) struct ResponseTable {
    /// What stands where.
    pub rows: &'static [(Place, Say)],
    /// What makes it one.
    pub shapes: Shapes,
    /// `gen_ai.operation.name`, where no path told it.
    pub operation: Option<&'static str>,
    /// Members with objects as values that are looked for behind a hole.
    pub resync: &'static [&'static str],
}
