//! Every key of the file, as a variable of the agent's environment.
//!
//! `CIRRON_` and the key's path in capitals, its steps joined by `_`: `kubernetes.url` is `CIRRON_KUBERNETES_URL`, the list
//! `targets` is `CIRRON_TARGETS`. A variable wins over the file. A value is a text, or what TOML writes: `true`,
//! `["app", "team"]`, `[{ executable = "vllm" }]`. One that is wrong is refused, with its name.

use std::ffi::OsString;

use cirron_core::rules::{Problem, SECTIONS, Sections, Step, TOP_KEYS};
use serde_json::{Map, Value};

use super::toml_value;

/// What all of them begin with.
const PREFIX: &str = "CIRRON";

/// Every key of a file, as the steps to it.
pub fn keys() -> impl Iterator<Item = Vec<&'static str>> {
    let top = TOP_KEYS.into_iter().map(|key| vec![key]);
    let sections = SECTIONS.into_iter();
    let inner = sections.flat_map(|(name, keys)| keys.iter().map(move |key| vec![name, key.name]));
    top.chain(inner)
}

/// The variable of a key.
pub fn variable(steps: &[&str]) -> String {
    let mut name = PREFIX.to_owned();
    for step in steps {
        name.push('_');
        name.push_str(&step.to_uppercase());
    }
    name
}

/// What the environment says, as a file would; `None`: nothing.
pub fn layer(get: &dyn Fn(&str) -> Option<OsString>) -> Option<Value> {
    let mut file = Map::new();
    for steps in keys() {
        let Some(text) = get(&variable(&steps)).filter(|value| !value.is_empty()) else {
            continue;
        };
        // What is no text is none that any key takes.
        let text = text.into_string().unwrap_or_else(|_| "\0".to_owned());
        match steps[..] {
            [section, key] => {
                let table = file.entry(section).or_insert_with(|| Map::new().into());
                if let Value::Object(table) = table {
                    table.insert(key.to_owned(), of_section(section, key, &text));
                }
            }
            _ => _ = file.insert(steps.concat(), toml(&text).unwrap_or(Value::String(text))),
        }
    }
    (!file.is_empty()).then_some(Value::Object(file))
}

/// As text where the key takes that, else as TOML where it is that.
fn of_section(section: &str, key: &str, text: &str) -> Value {
    let plain = Value::String(text.to_owned());
    match Sections::take(section, key, &plain) {
        true => plain,
        false => toml(text).unwrap_or(plain),
    }
}

/// A text that is one value of TOML.
fn toml(text: &str) -> Option<Value> {
    let Value::Object(mut map) = toml_value(&format!("x = {text}"))? else {
        return None;
    };
    map.remove("x").filter(|_| map.is_empty())
}

/// A problem with what it is in: `CIRRON_KUBERNETES_URL: WHAT`, and the fix on its own line.
pub fn shown(problem: &Problem) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in &problem.at {
        match step {
            Step::Key(key) if steps.len() < depth(&steps) => steps.push(key),
            Step::Key(_) | Step::Index(_) => break,
        }
    }
    let inner = Problem {
        at: problem.at[steps.len()..].to_vec(),
        ..problem.clone()
    };
    let name = variable(&steps);
    match inner.at.is_empty() {
        true => format!("{name}: {}\n  {}", inner.what, inner.fix),
        false => format!("{name}: {inner}"),
    }
}

/// Steps of a key that begins with these.
fn depth(steps: &[&str]) -> usize {
    let is_section = |first: &&str| SECTIONS.iter().any(|(name, _)| name == first);
    match steps.first() {
        Some(first) if is_section(first) => 2,
        Some(_) | None => 1,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::{Configuration, Sources};
    use super::*;

    const EXAMPLE: &str = include_str!("../../../docs/cirron-agent.toml");

    fn read(env: &[(&str, &str)]) -> Result<Configuration, String> {
        let get = |name: &str| {
            let its = env.iter().find(|(its, _)| *its == name);
            its.map(|(_, value)| OsString::from(value))
        };
        let sources = Sources {
            environment: layer(&get),
            ..Sources::default()
        };
        sources.read().map_err(|e| e.to_string())
    }

    /// A value as TOML writes it on one line.
    fn inline(value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let all = map
                    .iter()
                    .map(|(k, v)| format!("{} = {}", json!(k), inline(v)));
                format!("{{ {} }}", all.collect::<Vec<_>>().join(", "))
            }
            Value::Array(all) => {
                format!(
                    "[{}]",
                    all.iter().map(inline).collect::<Vec<_>>().join(", ")
                )
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        }
    }

    #[test]
    fn every_key_of_the_file_is_taken_from_a_variable_too() {
        let file = toml_value(EXAMPLE).unwrap();
        let mut names = BTreeSet::new();
        for steps in keys() {
            let name = variable(&steps);
            let value = steps.iter().fold(&file, |table, step| &table[*step]);
            assert!(
                !value.is_null(),
                "{steps:?} is missing in docs/cirron-agent.toml"
            );
            // A text needs no quotes.
            let text = value.as_str().map_or_else(|| inline(value), str::to_owned);
            let set = [(name.as_str(), text.as_str())];
            let get = |asked: &str| (asked == name).then(|| OsString::from(&text));
            let mut want = Value::Null;
            let mut at = &mut want;
            for step in &steps {
                at = &mut at[*step];
            }
            *at = value.clone();
            assert_eq!(layer(&get), Some(want), "{name}={text}");
            read(&set).unwrap();
            let wrong = read(&[(name.as_str(), "\u{1}")]).unwrap_err();
            assert!(wrong.starts_with(&format!("{name}: ")), "{wrong}");
            assert!(names.insert(name), "two keys have one variable");
        }
        for taken in [
            "CIRRON_OUTPUT_DIR",
            "CIRRON_RUN_ID",
            "CIRRON_API_KEY",
            "CIRRON_CONFIG",
        ] {
            assert!(!names.contains(taken));
        }
    }

    #[test]
    fn a_variable_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let text = "[kubernetes]\nnode = 'file'\ninsecure = true\n[[targets]]\nport = 1\n\
                    [[rules]]\nsample = 2\n[[rules]]\nsample = 3";
        std::fs::write(&path, text).unwrap();
        let get = |name: &str| {
            let value = match name {
                "CIRRON_KUBERNETES_NODE" => "8",
                "CIRRON_TARGETS" => "[{ port = 2 }, { port = 3 }]",
                "CIRRON_SHIPPED_TARGETS" => "false",
                "CIRRON_RULES" => "[{ ignore = true }]",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let sources = Sources {
            environment: layer(&get),
            file: Some(path),
            ..Sources::default()
        };
        let all = sources.read().unwrap();
        let kubernetes = &all.sections.kubernetes;
        assert_eq!(
            (kubernetes.node.as_deref(), kubernetes.insecure),
            (Some("8"), true)
        );
        assert_eq!((all.targets.count(), all.rules.rule_count()), (3, 3));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_variable() {
        for (name, value, said) in [
            (
                "CIRRON_KUBERNETES_INSECURE",
                "yes",
                "CIRRON_KUBERNETES_INSECURE: this value is not taken\n  it is true or false",
            ),
            (
                "CIRRON_KUBERNETES_LABELS",
                "[\"a\", \"b c\"]",
                "CIRRON_KUBERNETES_LABELS: [1]: this value is not taken\n  it is a name",
            ),
            (
                "CIRRON_TARGETS",
                "[{ prot = 1 }]",
                "CIRRON_TARGETS: [0].prot: there is no such key\n  did you mean `port`?",
            ),
            (
                "CIRRON_RULES",
                "x",
                "CIRRON_RULES: this is no list of tables",
            ),
            (
                "CIRRON_SHIPPED_TARGETS",
                "false\ny = 1",
                "CIRRON_SHIPPED_TARGETS: ",
            ),
        ] {
            let text = read(&[(name, value)]).unwrap_err();
            assert!(text.starts_with(said), "{text}");
        }
    }
}
