//! Every key of a rule: what it is called, what it may be set to, what it means, and how it is read.
//!
//! `docs/configuration.md` is this table. A key that is added here is read, documented, named in messages, and asked
//! for in the annotated example (`docs/cirron-agent.toml`) by a test.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::field::FieldPath;
use super::header::is_secret;
use super::pattern::{Glob, PathPattern, Statuses};
use super::rule::{GpuPrice, Price, Rule};
use super::schema::{
    Fault, MAX_TEXT_BYTES, Step, Table, TableKey, Wrong, list, table, table_keys, texts,
};
use crate::exchange::Role;
use crate::limits::MAX_LABEL_BYTES;
use crate::scope::names;

/// The list of rules of a layer.
pub(super) const RULES: &str = "rules";

/// One in how many may be asked for, at most: of a server's million requests one is left.
const MAX_ONE_IN: u64 = 1_000_000;

/// Bytes of a header field's name: with what stands before it, it is an attribute's name, which has 128.
const MAX_HEADER_NAME_BYTES: usize = 100;

impl Table for Rule {
    const LIST: &'static str = RULES;
    const KEYS: &'static [TableKey<Rule>] = RULE_KEYS;
    const NEEDS_A_SETTING: bool = true;

    fn says_something(&self) -> bool {
        self.then.has_any() || self.when.paths.iter().any(|path| path.template().is_some())
    }

    fn complete(&mut self) -> Result<(), (&'static str, &'static str)> {
        let Some(price) = &mut self.then.gpu_price else {
            return Ok(());
        };
        if !self.when.models.is_empty() || !self.when.statuses.is_empty() {
            let why = "a deployment's time is shared from a request's head on, when neither `model` nor `status` is known";
            return Err(("gpu_price", why));
        }
        let mut hasher = DefaultHasher::new();
        format!("{:?} {}", self.when, price.usd_an_hour).hash(&mut hasher);
        price.rule = hasher.finish();
        Ok(())
    }
}

table_keys! {
    /// Every key of a rule, conditions first.
    KEYS, RULE_KEYS: Rule {
    "role", true, "\"server\" or \"client\"",
    "`server`: requests that the target serves; `client`: those that it makes",
    |value, rule| one(value, &mut rule.when.role, role);

    "method", true, "a method, or a list of them: \"POST\", [\"GET\", \"HEAD\"]",
    "the request's method",
    |value, rule| texts(value, &mut rule.when.methods, method);

    "path", true, "a path, or a list of them: \"/healthz\", \"/v1/*\", \"/static/**\", \"/users/{id}\"",
    "the request's path, without its query. `*` stands for characters of one segment, `**` for any number of segments, `{name}` for one segment: such a path is written as `http.route`",
    |value, rule| texts(value, &mut rule.when.paths, PathPattern::new);

    "model", true, "a name, or a list of them, each with `*` for any characters: \"gpt-4*\"",
    "the model that the request names, else the one that the answer names",
    |value, rule| texts(value, &mut rule.when.models, Glob::new);

    "status", true, "a status, a class, a range, or a list of them: 404, \"5xx\", \"400-499\"",
    "the status of the answer",
    |value, rule| list(value, &mut rule.when.statuses, status);

    "process", true, "a name, or a list of them, each with `*` for any characters: \"uvicorn\", \"python3*\"",
    "the base name of the process's executable",
    |value, rule| texts(value, &mut rule.when.processes, Glob::new);

    "target", true, "a name, or a list of them, each with `*` for any characters: \"vllm\"",
    "what the rule of targets calls the process that `daemon` chose it by",
    |value, rule| texts(value, &mut rule.when.targets, Glob::new);

    "ignore", false, "true or false",
    "`true`: such exchanges are not written and, once that is certain, not read; they are counted. `false`: rules behind do not ignore them",
    |value, rule| one(value, &mut rule.then.ignore, Value::as_bool);

    "sample", false, "one in how many, a whole number from 1 to 1000000",
    "one exchange in this number is written, all are counted. 1: all are written, whatever later rules say",
    |value, rule| one(value, &mut rule.then.sample, one_in);

    "name", false, "a text of 128 bytes at most",
    "what such exchanges are called, as `cirron.name`",
    |value, rule| one(value, &mut rule.then.name, name);

    "chunk_timing", false, "true or false",
    "whether each streamed token has a `chunk_ms` mark",
    |value, rule| one(value, &mut rule.then.chunk_timing, Value::as_bool);

    "net_scopes", false, "true or false",
    "whether the process's connections as a client that carry no HTTP (databases, caches) are `net.client` scopes: lengths and times, no contents. Of such a connection only `process` and `role` are known",
    |value, rule| one(value, &mut rule.then.net_scopes, Value::as_bool);

    "price", false, "a table: { input = 2.5, cached = 1.25, output = 10 }",
    "US dollars for a million tokens of input, of cached input (without it as input), of output: such calls have a `cost_usd` mark, where the server reports all that it takes",
    price;

    "gpu_price", false, "a table: { hour = 2.5, gpus = 4 }",
    "US dollars for an hour of a GPU, and how many the deployment has (1 where that is not said): each request that it serves has a `cost_usd` mark of its equal part of the time, where no `price` holds. No condition on `model` or `status` goes with it",
    gpu_price;

    "marks", false, "a table of names and fields: { score = \"result.score\", heat = \"request.params.temperature\" }",
    "marks made of fields of JSON bodies: the last value of a number, text (256 bytes) or truth value at that place. `request.` or `response.` in front says whose body, without it the response's; a number is a place in a list, from 0",
    marks;

    "request_headers", false, "a name, or a list of them; none that carries credentials",
    "header fields of the request that are written, as `http.request.header.NAME`",
    |value, rule| texts(value, &mut rule.then.request_headers, header);

    "response_headers", false, "a name, or a list of them; none that carries credentials",
    "header fields of the response that are written, as `http.response.header.NAME`",
    |value, rule| texts(value, &mut rule.then.response_headers, header);
}
}

/// Reads one value.
pub(super) fn one<T>(
    value: &Value,
    into: &mut Option<T>,
    read: impl Fn(&Value) -> Option<T>,
) -> Vec<Fault> {
    *into = read(value);
    match into {
        Some(_) => Vec::new(),
        None => vec![(Vec::new(), Wrong::Value)],
    }
}

fn role(value: &Value) -> Option<Role> {
    match value.as_str()? {
        "server" => Some(Role::Server),
        "client" => Some(Role::Client),
        _ => None,
    }
}

/// A token (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_mark = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    let fits = !text.is_empty() && text.len() <= MAX_TEXT_BYTES;
    fits && text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || is_mark(b))
}

/// As it is sent; those that the conventions know are upper case.
fn method(text: &str) -> Result<String, Wrong> {
    match is_token(text) {
        true => Ok(text.to_ascii_uppercase()),
        false => Err(Wrong::Value),
    }
}

fn status(value: &Value) -> Result<Statuses, Wrong> {
    match value {
        Value::Number(number) => Statuses::new(&number.to_string()),
        Value::String(text) => Statuses::new(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(Wrong::Value),
    }
}

fn one_in(value: &Value) -> Option<u32> {
    let number = value.as_u64().filter(|n| (1..=MAX_ONE_IN).contains(n))?;
    u32::try_from(number).ok()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_LABEL_BYTES && !text.contains(char::is_control)
}

/// Bytes of a text of a section, a URL or a path: a path of Linux may have 4 096, and nobody types one of more than this.
const MAX_SECTION_TEXT_BYTES: usize = 1_024;

/// A text of a section: a path, a name.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_one = !text.is_empty()
        && text.len() <= MAX_SECTION_TEXT_BYTES
        && !text.contains(char::is_control);
    is_one.then(|| text.to_owned())
}

/// A URL of HTTP or HTTPS, of a section.
pub(super) fn url(value: &Value) -> Option<String> {
    text(value).filter(|text| text.starts_with("https://") || text.starts_with("http://"))
}

/// A label that people read.
pub(super) fn name(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| is_name(text))?;
    Some(text.to_owned())
}

/// US dollars for a million tokens, at most: a hundred times what the dearest model costs.
const MAX_PRICE: f64 = 100_000.0;

fn price(value: &Value, rule: &mut Rule) -> Vec<Fault> {
    let Value::Object(map) = value else {
        return vec![(Vec::new(), Wrong::Value)];
    };
    let mut price = Price::default();
    let (mut faults, mut has) = (Vec::new(), [false; 2]);
    for (name, value) in map {
        let amount = value.as_f64().filter(|usd| (0.0..=MAX_PRICE).contains(usd));
        let wrong = match (name.as_str(), amount) {
            ("input", Some(usd)) => {
                (price.input, has[0]) = (usd, true);
                continue;
            }
            ("output", Some(usd)) => {
                (price.output, has[1]) = (usd, true);
                continue;
            }
            ("cached", Some(usd)) => {
                price.cached = Some(usd);
                continue;
            }
            ("input" | "output" | "cached", None) => "a price is a number from 0 to 100000",
            _ => "the prices are input, cached and output",
        };
        faults.push((vec![Step::Key(name.clone())], Wrong::Because(wrong)));
    }
    if faults.is_empty() && has != [true; 2] {
        faults.push((
            Vec::new(),
            Wrong::Because("a price has an input and an output"),
        ));
    }
    rule.then.price = faults.is_empty().then_some(price);
    faults
}

/// GPUs of a deployment, at most: more than the largest that serves one model.
const MAX_GPUS: f64 = 100_000.0;

fn gpu_price(value: &Value, rule: &mut Rule) -> Vec<Fault> {
    let Value::Object(map) = value else {
        return vec![(Vec::new(), Wrong::Value)];
    };
    let (mut hour, mut gpus) = (None, 1.0);
    let mut faults = Vec::new();
    for (name, value) in map {
        let is = |most: f64| {
            value
                .as_f64()
                .filter(|number| (0.0..=most).contains(number))
        };
        let wrong = match (name.as_str(), is(MAX_PRICE), is(MAX_GPUS)) {
            ("hour", Some(usd), _) => {
                hour = Some(usd);
                continue;
            }
            ("gpus", _, Some(number)) => {
                gpus = number;
                continue;
            }
            ("hour" | "gpus", ..) => "a price and a number of GPUs are numbers from 0 to 100000",
            _ => "its keys are hour and gpus",
        };
        faults.push((vec![Step::Key(name.clone())], Wrong::Because(wrong)));
    }
    match hour {
        Some(hour) if faults.is_empty() => {
            rule.then.gpu_price = Some(GpuPrice {
                usd_an_hour: hour * gpus,
                rule: 0,
            });
        }
        None if faults.is_empty() => {
            faults.push((Vec::new(), Wrong::Because("it has no price of an hour")));
        }
        _ => {}
    }
    faults
}

fn marks(value: &Value, rule: &mut Rule) -> Vec<Fault> {
    let Value::Object(map) = value else {
        return vec![(Vec::new(), Wrong::Value)];
    };
    table(map, &mut rule.then.marks, |name, field| {
        if !is_name(name) {
            return Err(Wrong::Because(
                "a mark's name is a text of 128 bytes at most",
            ));
        }
        if names::is_mark(name) {
            return Err(Wrong::Because("a mark of that name has another meaning"));
        }
        Ok((name.to_owned(), FieldPath::new(field)?))
    })
}

fn header(text: &str) -> Result<String, Wrong> {
    let name = text.to_ascii_lowercase();
    if !is_token(&name) || name.len() > MAX_HEADER_NAME_BYTES {
        return Err(Wrong::Value);
    }
    match is_secret(&name) {
        true => Err(Wrong::Because(
            "this header field may carry credentials, and is not written",
        )),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KUBERNETES_KEYS, Key, SHIP_KEYS, TARGET_KEYS};
    use super::*;
    use std::fmt::Write as _;

    /// The table as `docs/configuration.md` has it.
    fn markdown(keys: &[Key]) -> String {
        let mut out = "| key | is set to | means |\n| --- | --- | --- |\n".to_owned();
        for key in keys {
            let form = key.form.replace('|', "\\|");
            let _ = writeln!(out, "| `{}` | {form} | {} |", key.name, key.meaning);
        }
        out
    }

    /// To renew the document: `UPDATE_DOCS=1 cargo test -p cirron-core the_keys`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "renews the document when asked")]
    fn the_keys_of_the_document_are_this_table() {
        const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        for (what, keys) in [
            ("keys", KEYS),
            ("keys of targets", TARGET_KEYS),
            ("keys of kubernetes", KUBERNETES_KEYS),
            ("keys of ship", SHIP_KEYS),
        ] {
            let (before, behind) = (format!("<!-- {what} -->\n"), format!("<!-- /{what} -->"));
            let text = std::fs::read_to_string(PATH).unwrap_or_default();
            let (head, rest) = text.split_once(&before).expect("the place of the table");
            let (table, tail) = rest.split_once(&behind).expect("its end");
            if std::env::var_os("UPDATE_DOCS").is_some() {
                let text = format!("{head}{before}{}{behind}{tail}", markdown(keys));
                std::fs::write(PATH, text).expect("written");
                continue;
            }
            assert_eq!(table, markdown(keys), "see this test's comment");
        }
    }

    #[test]
    fn conditions_come_first_and_no_name_is_there_twice() {
        for keys in [KEYS, TARGET_KEYS, KUBERNETES_KEYS, SHIP_KEYS] {
            let mut names: Vec<_> = keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), keys.len());
            assert!(keys.is_sorted_by_key(|key| !key.is_condition));
        }
    }
}
