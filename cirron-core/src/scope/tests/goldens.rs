//! Every dialect by its documented exchanges (`goldens/DIALECT/*.http`): what is written of each, the
//! same on every split, and nothing wrong behind any hole. A new dialect is its file and its goldens:
//! this runs them all, and `cirron-core/goldens/*/*.json` is what they are compared with. Those of the
//! tests' own dialects are in `src/llm/tests/goldens`.
//!
//! To renew those: `UPDATE_GOLDENS=1 cargo test -p cirron-core goldens`, and read the difference.
#![expect(
    clippy::disallowed_methods,
    reason = "reads the goldens, renews them when asked"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::*;
use crate::llm::DIALECTS;
use crate::testing::split::{Fed, assert_gap_safe};

/// One exchange of a file.
pub(super) struct Golden {
    pub(super) path: PathBuf,
    pub(super) dialect: String,
    url: String,
    request: (Vec<(String, String)>, Vec<u8>),
    status: u16,
    pub(super) response: (Vec<(String, String)>, Vec<u8>),
}

/// Of dialects that only the tests know.
const OF_TESTS: &str = "src/llm/tests/goldens";

pub(super) fn goldens() -> Vec<Golden> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = ["goldens", OF_TESTS].map(|root| package.join(root));
    let mut files: Vec<PathBuf> = roots
        .into_iter()
        .flat_map(|root| std::fs::read_dir(root).unwrap())
        .flat_map(|dialect| std::fs::read_dir(dialect.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "http"))
        .collect();
    files.sort();
    files.into_iter().map(golden).collect()
}

fn golden(path: PathBuf) -> Golden {
    let text = std::fs::read_to_string(&path).unwrap();
    let (request, response) = text.split_once("\n=====\n").unwrap();
    let (request_line, request) = request.split_once('\n').unwrap();
    let (status, response) = response.split_once('\n').unwrap();
    let dialect = path.parent().unwrap().file_name().unwrap();
    let dialect = dialect.to_str().unwrap().to_owned();
    let mut response = message(response);
    if response
        .0
        .iter()
        .any(|(_, v)| v.contains("amazon.eventstream"))
    {
        response.1 = aws(&response.1);
    }
    Golden {
        dialect,
        url: request_line.strip_prefix("POST ").unwrap().to_owned(),
        request: message(request),
        status: status.parse().unwrap(),
        response,
        path,
    }
}

fn message(text: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let (head, body) = text.split_once("\n\n").unwrap();
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    };
    let fields = head.lines().map(field).collect();
    (fields, body.as_bytes().to_vec())
}

/// Lines of `KIND JSON` as AWS frames them; a `chunk` (of InvokeModel) has its JSON in base64.
fn aws(lines: &[u8]) -> Vec<u8> {
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    let mut bytes = Vec::new();
    for line in std::str::from_utf8(lines).unwrap().lines() {
        let (kind, payload) = line.split_once(' ').unwrap();
        let exception = kind.ends_with("Exception");
        let name = if exception {
            ":exception-type"
        } else {
            ":event-type"
        };
        let text = |s: &str| HeaderValue::String(s.to_owned().into());
        let chunk = || {
            let bytes = aws_smithy_types::base64::encode(payload);
            json!({"bytes": bytes, "p": "abcdefghij"}).to_string()
        };
        let payload = match kind {
            "chunk" => chunk(),
            _ => payload.to_owned(),
        };
        let message = Message::new(payload.into_bytes())
            .add_header(Header::new(name, text(kind)))
            .add_header(Header::new(":content-type", text("application/json")));
        aws_smithy_eventstream::frame::write_message_to(&message, &mut bytes).unwrap();
    }
    bytes
}

impl Golden {
    /// With this response body; a byte more takes no time, but `at` says when a piece came.
    fn run(&self, parts: &[Fed<'_>], at: impl Fn(usize) -> u64) -> Written {
        self.begun(parts, &at).end(at(parts.len()))
    }

    /// The same, not ended.
    pub(super) fn begun(&self, parts: &[Fed<'_>], at: impl Fn(usize) -> u64) -> ScopeRig {
        let mut call = ScopeRig::new(false);
        let borrowed = |fields: &[(String, String)]| -> Vec<(String, String)> { fields.to_vec() };
        let fields = borrowed(&self.request.0);
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        call.request(&self.url, &fields, &self.request.1);
        let fields = borrowed(&self.response.0);
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        call.head(10, self.status, &fields);
        for (i, part) in parts.iter().enumerate() {
            match part {
                Fed::Data(bytes) => call.body(at(i), bytes),
                Fed::Gap(len) => call.at(at(i), E::ResponseGap(*len)),
            }
        }
        call
    }

    /// Its events, each in a piece of its own, 10 ms apart.
    fn in_time(&self) -> Written {
        let is_aws = self
            .response
            .0
            .iter()
            .any(|(_, v)| v.contains("amazon.eventstream"));
        let bytes = &self.response.1;
        let mut parts = Vec::new();
        let mut from = 0;
        for at in 1..=bytes.len() {
            let here = &bytes[from..at];
            let ends = if is_aws {
                here.len() >= 4
                    && u32::from_be_bytes(here[..4].try_into().unwrap()) as usize == here.len()
            } else {
                here.ends_with(b"\n") || here.ends_with(b"\0")
            };
            if ends || at == bytes.len() {
                parts.push(Fed::Data(here));
                from = at;
            }
        }
        self.run(&parts, |i| 20 + 10 * i as u64)
    }
}

fn scalar(value: &AttrValue) -> Value {
    match value {
        AttrValue::Str(text) => json!(text),
        AttrValue::Int(n) => json!(n),
        AttrValue::Float(x) => json!(x),
        AttrValue::Bool(is) => json!(is),
    }
}

/// What is written, without what every exchange has.
fn summary(written: &Written) -> Value {
    let attrs: Map<String, Value> = written
        .0
        .attrs
        .iter()
        .filter(|(name, _)| {
            !name.starts_with("http.") && !name.starts_with("network.") && **name != "request_id"
        })
        .map(|(name, value)| (name.to_string(), scalar(value)))
        .collect();
    let mut marks: Map<String, Value> = Map::new();
    for mark in &written.1 {
        if mark.name == "chunk_ms" {
            continue;
        }
        let value = match &mark.value {
            MarkValue::Int(n) => json!(n),
            MarkValue::Float(x) => json!((x * 1000.0).round() / 1000.0),
            MarkValue::Str(text) => json!(text),
            MarkValue::Bool(truth) => json!(truth),
        };
        let said: Vec<String> = mark
            .attrs
            .iter()
            .map(|(name, value)| format!("{name}={}", scalar(value)))
            .collect();
        marks.insert(mark.name.to_string(), json!([value, said.join(" ")]));
    }
    json!({"llm": written.2.is_llm, "attrs": attrs, "marks": marks})
}

#[test]
fn each_golden_is_written_as_its_file_says() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    for golden in goldens() {
        let got = summary(&golden.in_time());
        let path = golden.path.with_extension("json");
        if update {
            std::fs::write(&path, format!("{got:#}\n")).unwrap();
        }
        let want = std::fs::read_to_string(&path).unwrap();
        let want: Value = serde_json::from_str(&want).unwrap();
        assert_eq!(got, want, "{}", path.display());
        // What is no language model's is none of its calls.
        let inference = got["attrs"]["gen_ai.operation.name"] == "inference";
        assert_eq!(got["llm"], !inference, "{}", path.display());
        assert_eq!(
            got["attrs"]["gen_ai.provider.name"],
            golden.dialect,
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_dialect_has_goldens_and_every_golden_a_dialect() {
    let with: BTreeSet<String> = goldens().into_iter().map(|g| g.dialect).collect();
    let known: BTreeSet<String> = DIALECTS.iter().map(|d| d.name.to_owned()).collect();
    assert_eq!(with, known);
}

#[test]
fn no_cut_changes_what_a_golden_says() {
    for golden in goldens() {
        let body = &golden.response.1;
        let whole = golden.run(&[Fed::Data(body)], |_| 20);
        let single: Vec<Fed<'_>> = body.chunks(1).map(Fed::Data).collect();
        assert_eq!(
            golden.run(&single, |_| 20),
            whole,
            "{}",
            golden.path.display()
        );
        for cut in 1..body.len() {
            let (a, b) = body.split_at(cut);
            let cut_here = golden.run(&[Fed::Data(a), Fed::Data(b)], |_| 20);
            assert_eq!(cut_here, whole, "{} cut at {cut}", golden.path.display());
        }
    }
}

/// A figure that a hole may have touched is the same, smaller where reports grow, or says `partial`.
#[test]
fn no_hole_gives_a_wrong_figure() {
    for golden in goldens() {
        let whole = golden.run(&[Fed::Data(&golden.response.1)], |_| 20);
        let seen: BTreeSet<String> = reported(&golden);
        assert_gap_safe(
            &golden.response.1,
            |parts| golden.run(parts, |_| 20),
            |holed, hole| {
                for mark in &holed.1 {
                    let MarkValue::Int(value) = mark.value else {
                        continue;
                    };
                    let was = number(&whole, &mark.name);
                    #[expect(clippy::cast_precision_loss, reason = "small")]
                    let same = was == Some(value as f64);
                    let partial = mark.attrs.contains_key("partial");
                    // A report of the server's own that is not its last.
                    let told = seen.contains(&format!("{}={value}", mark.name));
                    assert!(
                        same || partial || told,
                        "{}: {} is {value}, was {was:?}, of {hole:?}",
                        golden.path.display(),
                        mark.name
                    );
                }
                assert!(holed.0.attrs.contains_key("cirron.partial"));
            },
        );
    }
}

/// Each figure that any prefix of the response reports.
fn reported(golden: &Golden) -> BTreeSet<String> {
    let body = &golden.response.1;
    let mut seen = BTreeSet::new();
    for end in 0..=body.len() {
        for mark in golden.run(&[Fed::Data(&body[..end])], |_| 20).1 {
            if let MarkValue::Int(value) = mark.value {
                seen.insert(format!("{}={value}", mark.name));
            }
        }
    }
    seen
}

/// What a column of the table says is read, by its name in the goldens.
const COLUMNS: [(&str, &str); 12] = [
    ("model", "gen_ai.response.model"),
    ("model asked for", "gen_ai.request.model"),
    ("prompt tokens", "input_tokens"),
    ("completion tokens", "output_tokens"),
    ("cached", "gen_ai.usage.cache_read.input_tokens"),
    ("reasoning", "gen_ai.usage.reasoning.output_tokens"),
    ("audio", "cirron.usage.audio.input_tokens"),
    ("finish reason", "gen_ai.response.finish_reasons"),
    ("tool calls", "cirron.response.tool_calls"),
    ("error class", "error.type"),
    ("first token", "time_to_first_token_ms"),
    ("first reasoning", "time_to_first_reasoning_token_ms"),
];

/// One row for each dialect; in each cell the golden that shows it.
fn coverage() -> String {
    let titles: Vec<&str> = COLUMNS.iter().map(|(title, _)| *title).collect();
    let mut out = format!("| dialect | operations | {} |\n", titles.join(" | "));
    out += &format!("|{}\n", " --- |".repeat(COLUMNS.len() + 2));
    let mut told = BTreeSet::new();
    let of_tests = Path::new(env!("CARGO_MANIFEST_DIR")).join(OF_TESTS);
    let is_real = |name: &str| !of_tests.join(name).exists();
    for dialect in DIALECTS
        .iter()
        .filter(|d| is_real(d.name) && told.insert(d.name))
    {
        let of_it = goldens().into_iter().filter(|g| g.dialect == dialect.name);
        let all: Vec<(String, Value)> = of_it
            .map(|g| {
                let name = g.path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, summary(&g.in_time()))
            })
            .collect();
        let operations: BTreeSet<&str> = all
            .iter()
            .filter_map(|(_, s)| s["attrs"]["gen_ai.operation.name"].as_str())
            .collect();
        let operations: Vec<&str> = operations.into_iter().collect();
        out += &format!("| `{}` | {} |", dialect.name, operations.join(", "));
        for (_, key) in COLUMNS {
            let shows = |(_, s): &&(String, Value)| {
                let reported = !s["marks"][key][1]
                    .as_str()
                    .is_some_and(|said| said.contains("estimated"));
                !s["attrs"][key].is_null() || (!s["marks"][key].is_null() && reported)
            };
            let cell = all.iter().find(shows).map_or("", |(name, _)| name);
            out += &format!(" {cell} |");
        }
        out.push('\n');
    }
    out
}

/// To renew the document: `UPDATE_DOCS=1 cargo test -p cirron-core goldens`.
#[test]
fn the_table_of_dialects_is_what_the_goldens_show() {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/coverage.md");
    const TITLE: &str = "## Dialects\n\n";
    let text = std::fs::read_to_string(PATH).unwrap();
    let at = text.find(TITLE).unwrap() + TITLE.len();
    let (head, table) = text.split_at(at);
    let want = coverage();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, format!("{head}{want}")).unwrap();
        return;
    }
    assert_eq!(table, want, "see this test's comment");
}
