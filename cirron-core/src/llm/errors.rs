//! Errors as answers tell of them: whether there is one, and whether it says no more than that nobody
//! serves this path.
//!
//! A dialect's reader gives the member `error` of each document to an [`ErrorMember`]. Its text is
//! looked at and kept nowhere: it may hold a prompt. Which class it has is the reader's to find.

use crate::body::json::Scalar;

/// Class of an error that names none. Its text is not one: it may hold a prompt.
pub(crate) const UNNAMED_ERROR: &str = "error";

/// Name of the events of a stream that are errors, whatever stands in them.
pub(crate) const ERROR_EVENT: &str = "error";

/// What a server says of a path that it does not have, as all of the text: HTTP's own words (RFC 9110,
/// sections 15.5 and 15.6), and those of llama.cpp, Azure, Google and others. A model that is missing is
/// named in its error.
const ABSENT: [&str; 10] = [
    "not found",
    "method not allowed",
    "not implemented",
    "file not found",
    "page not found",
    "path not found",
    "route not found",
    "endpoint not found",
    "resource not found",
    "method not found",
];

/// How such a text begins where it names the path: OpenAI, Express, LM Studio (with a status of 200),
/// TensorFlow Serving, TorchServe.
const ABSENT_BEGINS: [&str; 5] = [
    "invalid url (",
    "cannot post ",
    "unexpected endpoint or method",
    "malformed request: post ",
    "requested resource is not found",
];

/// The class that says the same: AWS.
const ABSENT_CLASS: &str = "UnknownOperationException";

/// Whether an error's text says that nobody serves this path.
pub(crate) fn is_absent_path(text: &str) -> bool {
    let text = text.trim().trim_end_matches('.');
    let begins = |with: &&str| {
        let begin = text.get(..with.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(with))
    };
    ABSENT.iter().any(|word| text.eq_ignore_ascii_case(word)) || ABSENT_BEGINS.iter().any(begins)
}

/// Whether an error's class does.
pub(crate) fn is_absent_class(class: &str) -> bool {
    // AWS may write a namespace before it.
    let name = class.rsplit(['#', '.']).next().unwrap_or(class);
    is_absent_path(class) || name == ABSENT_CLASS
}

/// The member `error` of one document. Some write it beside every answer, empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ErrorMember {
    told: bool,
    /// Its inside began, and its end was not seen.
    open: bool,
    absent_path: bool,
}

impl ErrorMember {
    /// It is a container, which begins.
    pub(crate) fn begin(&mut self) {
        self.open = true;
    }

    /// That ends.
    pub(crate) fn end(&mut self) {
        self.open = false;
    }

    /// Its text, or one that stands inside; `key`: the name of that.
    pub(crate) fn scalar(&mut self, key: Option<&[u8]>, value: Scalar<'_>) {
        self.told |= value.says_something();
        if matches!(key, None | Some(b"message" | b"msg")) {
            self.message(value);
        }
    }

    /// A text that stands beside it.
    pub(crate) fn message(&mut self, value: Scalar<'_>) {
        self.absent_path |= value.as_str().is_some_and(is_absent_path);
    }

    /// There is an error. One that broke off had more to say.
    pub(crate) fn is_told(&self) -> bool {
        self.told || self.open
    }

    /// It says that nobody serves this path.
    pub(crate) fn is_absent_path(&self) -> bool {
        self.absent_path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_nobody_serves_is_told_from_a_model_that_is_missing() {
        for text in [
            "Not Found",
            "not found.",
            "File Not Found",
            "Resource not found",
            "Invalid URL (POST /v1/x)",
            "Cannot POST /v1/x",
            "Unexpected endpoint or method. (POST /v1/x)",
            "Malformed request: POST /v1/models/x",
        ] {
            assert!(is_absent_path(text), "{text}");
        }
        for text in [
            "",
            "The model `x` does not exist.",
            "model 'x' not found",
            "model: not found",
            "Servable not found for request: Latest(x)",
            "Invalid URL",
            "é",
        ] {
            assert!(!is_absent_path(text), "{text}");
        }
        let aws = "com.amazon.coral.service#UnknownOperationException";
        assert!(is_absent_class(aws) && is_absent_class("Not Found"));
        assert!(!is_absent_class("not_found_error") && !is_absent_class("ModelNotFoundException"));
    }

    #[test]
    fn what_is_empty_is_no_error_and_what_broke_off_is_one() {
        let text = |prefix: &'static str| Scalar::Str {
            prefix,
            len: prefix.len() as u64,
            cut: false,
        };
        let told = |values: &[Scalar<'_>]| {
            let mut error = ErrorMember::default();
            error.begin();
            values.iter().for_each(|v| error.scalar(Some(b"code"), *v));
            let broke_off = error.is_told();
            error.end();
            (broke_off, error.is_told())
        };
        for empty in [
            text(""),
            text(" "),
            Scalar::Null,
            Scalar::Bool(false),
            Scalar::Num("0"),
        ] {
            assert_eq!(told(&[empty]), (true, false), "{empty:?}");
        }
        assert_eq!(told(&[]), (true, false));
        for full in [text("x"), Scalar::Bool(true), Scalar::Num("-1")] {
            assert_eq!(told(&[Scalar::Null, full, Scalar::Null]), (true, true));
        }
    }
}
