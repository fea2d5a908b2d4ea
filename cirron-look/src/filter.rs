//! Which requests are wanted: conditions on a row, combined by and.

use std::str::FromStr;

use cirron_core::rules::Glob;
use cirron_spool::rows::{Scalar, SpanRow};

/// Conditions; the default wants all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// It took longer than this; what is open has no length.
    pub slower_than_ns: Option<u64>,
    /// How it ended.
    pub status: Option<Status>,
    /// The model that was asked for or that answered.
    pub model: Option<Glob>,
    /// It began then or later.
    pub since_ns: Option<u64>,
}

/// What `--status` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `5xx`: its first digit.
    Class(u16),
    /// `404`.
    Code(u16),
    /// `error`: an error that the row names, or a status of 400 or above.
    Error,
    /// gRPC's: `UNAVAILABLE`.
    Rpc(String),
}

/// What `--status` may say, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a status, such as 404, 5xx, error, or UNAVAILABLE for gRPC")]
pub struct NoStatus;

impl FromStr for Status {
    type Err = NoStatus;

    fn from_str(text: &str) -> Result<Status, NoStatus> {
        if text == "error" {
            return Ok(Status::Error);
        }
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class));
            return class.map(Status::Class).ok_or(NoStatus);
        }
        if let Ok(code) = text.parse() {
            let is_code = (100..=999).contains(&code);
            return is_code.then_some(Status::Code(code)).ok_or(NoStatus);
        }
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        let is_rpc = !text.is_empty() && text.bytes().all(is_name);
        is_rpc.then(|| Status::Rpc(text.to_owned())).ok_or(NoStatus)
    }
}

impl Filter {
    /// Whether it asks for anything.
    pub fn is_any(&self) -> bool {
        *self != Filter::default()
    }

    /// Whether a row meets all of it.
    pub fn wants(&self, row: &SpanRow<'_>) -> bool {
        let Filter {
            slower_than_ns,
            status,
            model,
            since_ns,
        } = self;
        let length = || row.end_ns.map(|end| end.saturating_sub(row.start_ns));
        let models = ["gen_ai.request.model", "gen_ai.response.model"];
        let mut models = models
            .iter()
            .filter_map(|name| row.attrs.get(name)?.as_text());
        since_ns.is_none_or(|since| row.start_ns >= since)
            && slower_than_ns.is_none_or(|least| length().is_some_and(|length| length > least))
            && status.as_ref().is_none_or(|status| status.is_of(row))
            && model
                .as_ref()
                .is_none_or(|glob| models.any(|model| glob.matches(model)))
    }
}

impl Status {
    fn is_of(&self, row: &SpanRow<'_>) -> bool {
        let code = row
            .attrs
            .get("http.response.status_code")
            .and_then(Scalar::as_int);
        match self {
            Status::Class(class) => code.is_some_and(|code| code / 100 == i128::from(*class)),
            Status::Code(wanted) => code == Some(i128::from(*wanted)),
            Status::Error => has_failed(row),
            Status::Rpc(name) => {
                let rpc = row.attrs.get("rpc.response.status_code");
                rpc.and_then(Scalar::as_text) == Some(name)
            }
        }
    }
}

/// Whether it went wrong: an error that the row names, or a status of 400 or above.
pub fn has_failed(row: &SpanRow<'_>) -> bool {
    row.attrs.get("error").is_some_and(Scalar::is_truthy)
        || matches!(
            row.attrs.get("http.response.status_code"),
            Some(Scalar::Int(400..))
        )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::request;

    fn wants(filter: &Filter, attrs: &[(&str, Value)]) -> bool {
        let mut span = request("a", "s", "/", 1_000);
        for (name, value) in attrs {
            span["attrs"][*name] = value.clone();
        }
        let text = span.to_string();
        filter.wants(&serde_json::from_str(&text).unwrap())
    }

    fn status(text: &str) -> Filter {
        Filter {
            status: Some(text.parse().unwrap()),
            ..Filter::default()
        }
    }

    #[test]
    fn a_status_is_a_code_a_class_an_error_or_grpc_s() {
        let code = |n: u16| [("http.response.status_code", json!(n))];
        for (text, code_, want) in [
            ("404", 404, true),
            ("404", 400, false),
            ("5xx", 503, true),
            ("5xx", 404, false),
            ("error", 404, true),
            ("error", 302, false),
        ] {
            assert_eq!(wants(&status(text), &code(code_)), want, "{text} {code_}");
        }
        assert!(wants(&status("error"), &[("error", json!(true))]));
        assert!(wants(
            &status("UNAVAILABLE"),
            &[("rpc.response.status_code", json!("UNAVAILABLE"))]
        ));
        assert!(!wants(
            &status("404"),
            &[("http.response.status_code", Value::Null)]
        ));
        for bad in ["", "6xx", "0xx", "xx", "99", "1000", "unavailable", "4x"] {
            assert!(bad.parse::<Status>().is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_are_combined_by_and() {
        let filter = Filter {
            slower_than_ns: Some(4_999_999),
            model: Glob::of_text("m-*"),
            since_ns: Some(1_000_000_000),
            ..Filter::default()
        };
        let model = |name: &str| [("gen_ai.response.model", json!(name))];
        assert!(filter.is_any() && wants(&filter, &model("m-7b")));
        assert!(wants(
            &filter,
            &[
                ("gen_ai.request.model", json!("m-")),
                ("gen_ai.response.model", json!("x"))
            ]
        ));
        assert!(!wants(&filter, &model("n-7b")) && !wants(&filter, &[]));
        let slower = Filter {
            slower_than_ns: Some(5_000_000),
            ..filter.clone()
        };
        assert!(!wants(&slower, &model("m-7b")), "no longer than that");
        let later = Filter {
            since_ns: Some(1_000_000_001),
            ..filter
        };
        assert!(!wants(&later, &model("m-7b")));
        assert!(!Filter::default().is_any() && wants(&Filter::default(), &[]));
    }
}
