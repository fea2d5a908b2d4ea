//! Variables that look as if they were keys of the file, and are none.
//!
//! The environment is shared, where the file is ours: the SDK has `CIRRON_` variables of its own, and Kubernetes sets some
//! for each Service of a namespace. So what begins with a section's name is refused unless it is one of those, and of all
//! others what is one letter from a variable that the agent reads is said.

use std::collections::BTreeMap;

use cirron_core::rules::{SECTIONS, nearest};

use super::environment::{keys, variable};

/// What else the agent reads of an environment, its own or a target's, and what names the SDK has.
const OTHERS: [&str; 13] = [
    "CIRRON_API_ENDPOINT",
    "CIRRON_API_KEY",
    "CIRRON_CONFIG",
    "CIRRON_DEPLOYMENT_ID",
    "CIRRON_FLUSH_INTERVAL",
    "CIRRON_INGEST_PATH",
    "CIRRON_OUTPUT_DIR",
    "CIRRON_PIPELINE_ID",
    "CIRRON_RUN_DIR",
    "CIRRON_RUN_ID",
    "CIRRON_SPOOL_MAX_BYTES",
    "CIRRON_TLS_PLACES",
    "CIRRON_WORKSPACE_ID",
];

/// What is wrong with the names of an environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Misspelt {
    /// Keys of a section that it has not.
    pub refused: Vec<String>,
    /// Variables that may have been meant for ours.
    pub warnings: Vec<String>,
}

/// Looks at the names of all variables.
pub fn misspelt<'n>(names: impl IntoIterator<Item = &'n str>) -> Misspelt {
    let known: Vec<String> = keys().map(|steps| variable(&steps)).collect();
    let all = || known.iter().map(String::as_str).chain(OTHERS);
    let mut found = Misspelt::default();
    // In an order that is the same each time.
    let names: BTreeMap<&str, ()> = names.into_iter().map(|name| (name, ())).collect();
    for name in names.into_keys().filter(|name| !all().any(|k| k == *name)) {
        let section = SECTIONS
            .iter()
            .map(|(section, _)| variable(&[section]) + "_")
            .find(|section| name.starts_with(section.as_str()));
        match section {
            Some(_) if is_of_a_service(name) => {}
            Some(section) => {
                let its: Vec<&str> = all().filter(|k| k.starts_with(section.as_str())).collect();
                let key = &name[section.len()..];
                let inner: Vec<&str> = its.iter().map(|k| &k[section.len()..]).collect();
                let meant = nearest(key, &inner);
                let meant = meant.map_or(String::new(), |key| {
                    format!("did you mean `{section}{key}`? ")
                });
                let its = its.join(", ");
                found.refused.push(format!(
                    "{name}: there is no such variable\n  {meant}those of its section are {its}"
                ));
            }
            None => {
                if let Some(meant) = all().find(|known| is_one_letter_off(name, known)) {
                    found
                        .warnings
                        .push(format!("{name} is not read; did you mean {meant}?"));
                }
            }
        }
    }
    found
}

/// Whether Kubernetes sets it, of a Service whose name begins as our section does.
fn is_of_a_service(name: &str) -> bool {
    let mut words = name.rsplit('_');
    match words.next() {
        Some("HOST") => words.next() == Some("SERVICE"),
        Some("PORT" | "PROTO" | "ADDR" | "TCP" | "UDP" | "SCTP") => true,
        Some(_) | None => name.contains("_SERVICE_PORT_"),
    }
}

/// One letter more, less, other, or two of them the other way round.
fn is_one_letter_off(name: &str, known: &str) -> bool {
    let (name, known) = (name.as_bytes(), known.as_bytes());
    let same = name.iter().zip(known).take_while(|(a, b)| a == b).count();
    let (name, known) = (&name[same..], &known[same..]);
    match (name, known) {
        ([_, a @ ..], [_, b @ ..]) if a == b => true,
        ([_, a @ ..], b) if a == b => true,
        (a, [_, b @ ..]) if a == b => true,
        ([a, b, rest @ ..], [c, d, other @ ..]) => (a, b, rest) == (d, c, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_section_has_not_is_refused_with_those_that_it_has() {
        for (name, meant) in [
            ("CIRRON_KUBERNETES_URI", "CIRRON_KUBERNETES_URL"),
            ("CIRRON_KUBERNETES_LABEL", "CIRRON_KUBERNETES_LABELS"),
            (
                "CIRRON_KUBERNETES_TOKENFILE",
                "CIRRON_KUBERNETES_TOKEN_FILE",
            ),
        ] {
            let refused = misspelt([name, "PATH", "CIRRON_KUBERNETES_NODE"]).refused;
            let [text] = &refused[..] else {
                panic!("{refused:?}");
            };
            assert!(
                text.starts_with(&format!(
                    "{name}: there is no such variable\n  did you mean `{meant}`? those of its section are "
                )),
                "{text}"
            );
            assert!(text.contains("CIRRON_KUBERNETES_CA_FILE"), "{text}");
        }
        let odd = misspelt(["CIRRON_KUBERNETES_"]).refused.join("");
        assert!(odd.contains("those of its section are "), "{odd}");
    }

    #[test]
    fn every_variable_that_is_read_and_what_others_set_is_left_alone() {
        let ours: Vec<String> = keys().map(|steps| variable(&steps)).collect();
        let services = [
            "CIRRON_KUBERNETES_SERVICE_HOST",
            "CIRRON_KUBERNETES_SERVICE_PORT",
            "CIRRON_KUBERNETES_SERVICE_PORT_METRICS",
            "CIRRON_KUBERNETES_PORT",
            "CIRRON_KUBERNETES_PORT_9464_TCP",
            "CIRRON_KUBERNETES_PORT_9464_TCP_ADDR",
            "CIRRON_AGENT_SERVICE_HOST",
        ];
        // Others' whose names only begin alike.
        let others = ["CIRRON_API_URL", "CIRRON_ENVIRONMENT", "CIRRON_", "RULES"];
        let all = ours.iter().map(String::as_str);
        let all = all.chain(OTHERS).chain(services).chain(others);
        assert_eq!(misspelt(all), Misspelt::default());
    }

    #[test]
    fn one_that_is_a_letter_off_is_said() {
        for (name, meant) in [
            ("CIRRON_TARGET", "CIRRON_TARGETS"),
            ("CIRRON_RULE", "CIRRON_RULES"),
            ("CIRRON_RUELS", "CIRRON_RULES"),
            ("CIRRON_OUTPUT_DIRS", "CIRRON_OUTPUT_DIR"),
            ("CIRRON_API_KAY", "CIRRON_API_KEY"),
        ] {
            let found = misspelt([name]);
            assert_eq!(found.refused, [] as [String; 0]);
            assert_eq!(
                found.warnings,
                [format!("{name} is not read; did you mean {meant}?")]
            );
        }
    }
}
