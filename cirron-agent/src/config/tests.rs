#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use cirron_core::rules::{KEYS, Key, SECTIONS, TARGET_KEYS};

use super::*;

fn read(text: &str) -> Result<Rules, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources {
        file: Some(path),
        ..Sources::default()
    };
    let shown = dir.path().display().to_string() + "/";
    sources
        .read()
        .map(|configuration| configuration.rules)
        .map_err(|e| e.to_string().replace(&shown, ""))
}

const EXAMPLE: &str = include_str!("../../../docs/cirron-agent.toml");

#[test]
fn the_example_is_read_and_has_every_key() {
    let rules = read(EXAMPLE).unwrap();
    assert_eq!(rules.rule_count(), EXAMPLE.matches("\n[[rules]]").count());
    let document: &Value = rules.layers().last().unwrap();
    has_every_key(document["rules"].as_array().unwrap(), KEYS);
    let document = toml_value(EXAMPLE).unwrap();
    has_every_key(document["targets"].as_array().unwrap(), TARGET_KEYS);
    assert!(document["shipped_targets"].is_boolean());
    for (section, keys) in SECTIONS {
        has_every_key(std::slice::from_ref(&document[section]), keys);
    }
}

fn has_every_key(all: &[Value], keys: &[Key]) {
    for key in keys {
        let has_it = all.iter().any(|rule| rule.get(key.name).is_some());
        assert!(has_it, "{} is missing in docs/cirron-agent.toml", key.name);
    }
}

/// Each with whether it is one of targets.
fn all_keys() -> impl Iterator<Item = (&'static Key, bool)> {
    let of_rules = KEYS.iter().map(|key| (key, false));
    of_rules.chain(TARGET_KEYS.iter().map(|key| (key, true)))
}

#[test]
fn every_key_of_the_example_is_missed_where_it_is_misspelt() {
    let (targets, rules) = EXAMPLE.split_once("# Which exchanges").unwrap();
    for (key, is_of_a_target) in all_keys() {
        let misspell =
            |part: &str| part.replace(&format!("\n{} =", key.name), &format!("\n{}x =", key.name));
        let text = match is_of_a_target {
            true => format!("{}# Which exchanges{rules}", misspell(targets)),
            false => format!("{targets}# Which exchanges{}", misspell(rules)),
        };
        let line = text
            .lines()
            .position(|l| l.starts_with(&format!("{}x =", key.name)))
            .unwrap();
        let list = if is_of_a_target { "targets" } else { "rules" };
        let said = read(&text).unwrap_err();
        assert!(
            said.starts_with(&format!("c.toml:{}:1: {list}[", line + 1)),
            "{said}"
        );
        assert!(
            said.contains(&format!("did you mean `{}`?", key.name)),
            "{said}"
        );
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_column() {
    for (text, start, contains) in [
        (
            "[[rules]]\npth = '/x'\nignore = true",
            "c.toml:2:1: rules[0].pth: there is no such key\n  did you mean `path`?",
            "status",
        ),
        (
            "[[rules]]\nignore = 1",
            "c.toml:2:10: rules[0].ignore: ",
            "it is true or false",
        ),
        (
            "\n[[rules]]\npath = ['/x',\n   'é', 'y']\nignore = true",
            "c.toml:4:4: rules[0].path[0]",
            "",
        ),
        (
            "[[rules]]\nmarks = { a = 'x', output_tokens = 'y' }",
            "c.toml:2:36: rules[0].marks.output_tokens: ",
            "another meaning",
        ),
        (
            "[[rules]]\nignore = true\n[[rules]]\nrequest_headers = ['Cookie']",
            "c.toml:4:20: rules[1].request_headers[0]: ",
            "credentials",
        ),
        (
            "[[rules]]\nsample = nan",
            "c.toml:2:10: ",
            "from 1 to 1000000",
        ),
        (
            "[[rules]]\nsample = 1979-05-27",
            "c.toml:2:10: ",
            "from 1 to 1000000",
        ),
        (
            "[capture]\nx = 1",
            "c.toml:1:2: capture: there is no such key",
            "the keys are rules, targets",
        ),
        ("a = [", "c.toml:1:", ""),
        ("é = = 1", "c.toml:1:", ""),
        (
            "[[rules]]\nignore = true\nignore = false",
            "c.toml:3:1: duplicate key",
            "",
        ),
    ] {
        let said = read(text).unwrap_err();
        let start = start.replace("[0].path[0]", "[0].path[1]");
        assert!(
            said.starts_with(&start) && said.contains(contains),
            "{text}\n{said}"
        );
    }
    // Everything at once.
    let said = read("[[rules]]\npth = 1\nignore = 1\n[[rules]]\nsample = -1").unwrap_err();
    assert_eq!(said.matches("c.toml:").count(), 3, "{said}");
}

#[test]
fn an_empty_file_has_no_rules_and_an_integer_may_have_any_form() {
    assert_eq!(read("").unwrap().rule_count(), 0);
    assert_eq!(read("rules = []").unwrap().rule_count(), 0);
    assert!(read("[[rules]]\nsample = 0x10").is_ok());
    assert!(read("[[rules]]\nsample = 1_000").is_ok());
}

#[test]
fn what_is_no_file_of_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: PathBuf| {
        let sources = Sources {
            chunk_timing: true,
            file: Some(path),
            ..Sources::default()
        };
        sources.read().unwrap_err().to_string()
    };
    assert!(refused(dir.path().join("none")).contains("none cannot be read: No such file"));
    assert!(refused(dir.path().to_owned()).contains("cannot be read: Is a directory"));
    let large = dir.path().join("large");
    std::fs::write(&large, "#".repeat(MAX_BYTES as usize + 1)).unwrap();
    assert!(refused(large.clone()).contains("larger than 1 MiB"));
    std::fs::write(&large, "#".repeat(MAX_BYTES as usize)).unwrap();
    let sources = Sources {
        file: Some(large.clone()),
        ..Sources::default()
    };
    assert!(sources.read().is_ok());
    std::fs::write(&large, b"a = 1\nb = '\xff'").unwrap();
    assert!(refused(large).contains("large:2:6: this is not UTF-8"));
}

#[test]
fn flags_are_a_layer_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, "[[rules]]\nchunk_timing = false").unwrap();
    let layers = |chunk_timing, file: Option<&PathBuf>| {
        let file = file.cloned();
        let net_scopes = false;
        let sources = Sources {
            chunk_timing,
            net_scopes,
            file,
            ..Sources::default()
        };
        let rules = sources.read().unwrap();
        rules.rules.layers().cloned().collect::<Vec<_>>()
    };
    let of_file = json!({"rules": [{"chunk_timing": false}]});
    assert_eq!(
        layers(true, Some(&path)),
        [flags_layer(true, false).unwrap(), of_file.clone()]
    );
    assert_eq!(layers(false, Some(&path)), [json!({}), of_file]);
    assert_eq!(layers(true, None), [flags_layer(true, false).unwrap()]);
    assert_eq!(layers(false, None), [] as [Value; 0]);
}
