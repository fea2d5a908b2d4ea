//! Rules of targets: which processes of a machine are watched where nobody names them.
//!
//! ```text
//!  file: [[targets]], then those that are shipped --read--> TargetRules
//!  a process (shell: procfs, asked as late as possible) --choose--> the first rule that holds | none
//! ```
//! The first rule whose conditions all hold decides: the process is a target, or is left out (`exclude`). A process
//! that no rule holds for is none. Conditions are asked in the order of what their answer costs, sockets last. What
//! cannot be known of a process (an environment that may not be read) meets no condition.
//!
//! Nothing of a process is read here, and no process is found here: that is the shell's (`cirron-agent`, `targets`).

use std::ops::RangeInclusive;

use serde_json::Value;

use super::keys::{name, one};
use super::pattern::{Glob, ports};
use super::schema::{self, Fault, Problem, Step, Table, TableKey, Wrong, list, table, table_keys};

/// The list of rules of targets in a file.
const TARGETS: &str = "targets";

/// Says whether the rules that come with the agent are asked behind those of the file.
const SHIPPED: &str = "shipped_targets";

/// Keys of a file that are read here.
pub(super) const KEYS_OF_A_FILE: [&str; 2] = [TARGETS, SHIPPED];

/// Something that a process has one of, in the order of what it costs to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// The base name of its executable.
    Executable,
    /// The path of its executable.
    Path,
    /// Its arguments, with a blank between two.
    Command,
    /// The name of its effective user.
    User,
    /// The number of that.
    UserId,
    /// The path of its cgroup, in the hierarchy that its container's runtime uses.
    Cgroup,
    /// The id of its container.
    Container,
    /// What its program is made with: `go`, `node`, `python`, `java`.
    Runtime,
}

/// A process of which somebody asks whether it is a target.
pub trait Candidate {
    /// A fact; `None`: it is not known, or there is none.
    fn fact(&self, fact: Fact) -> Option<String>;
    /// A variable of its environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether it holds a socket that listens: with `ports` a TCP socket on one of them, without any.
    fn listens(&self, ports: Option<&[RangeInclusive<u16>]>) -> bool;
}

/// One rule of targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetRule {
    /// What its targets are called.
    pub name: Option<String>,
    /// Such processes are left out.
    pub is_exclusion: bool,
    /// Descendants of such a target are targets.
    pub children: Option<bool>,
    /// Of each one of its choices has to hold; the cheapest to ask first.
    facts: Vec<Vec<(Fact, Glob)>>,
    variables: Vec<(String, Glob)>,
    ports: Vec<RangeInclusive<u16>>,
    /// `false`: also processes that serve nothing.
    listening: Option<bool>,
}

table_keys! {
    /// Every key of a rule of targets, conditions first.
    TARGET_KEYS, READ_BY: TargetRule {
    "executable", true, "a name or a path, or a list of them, each with `*` for any characters: \"vllm\", \"/opt/*/server\"",
    "the base name of the process's executable; with a `/` in it the whole path",
    |value, rule| rule.any_of(value, |text| {
        if text.contains('/') { Fact::Path } else { Fact::Executable }
    });

    "command", true, "a text, or a list of them, each with `*` for any characters: \"* -m vllm.entrypoints.*\"",
    "the whole command line, its arguments with a blank between two",
    |value, rule| rule.any_of(value, |_| Fact::Command);

    "user", true, "a user's name or number, or a list of them: \"model\", 1000",
    "the user that the process runs as",
    |value, rule| rule.any_of(value, |text| {
        if text.parse::<u32>().is_ok() { Fact::UserId } else { Fact::User }
    });

    "cgroup", true, "a path, or a list of them, each with `*` for any characters: \"/system.slice/vllm*\"",
    "the cgroup of the process",
    |value, rule| rule.any_of(value, |_| Fact::Cgroup);

    "container", true, "an id, or a list of them, each with `*` for any characters; \"*\" is any",
    "the container of the process, by its id (64 hexadecimal digits), as its cgroup names it",
    |value, rule| rule.any_of(value, |_| Fact::Container);

    "runtime", true, "\"go\", \"node\", \"python\" or \"java\", or a list of them",
    "what the program is made with, or runs in",
    |value, rule| rule.any_of(value, |_| Fact::Runtime);

    "env", true, "a table of variables and values: { MODEL = \"llama*\", SERVE = \"*\" }",
    "variables of the process's environment: all of them have to be set so. They are looked at, and not written",
    variables;

    "port", true, "a port, a range, or a list of them: 8000, \"8000-8010\"",
    "a TCP port that the process listens on",
    |value, rule| list(value, &mut rule.ports, port);

    "listening", true, "true or false",
    "whether the process has to have a listening socket, of TCP or Unix. `true` where it is not said; `false` is for clients",
    |value, rule| one(value, &mut rule.listening, Value::as_bool);

    "name", false, "a text of 128 bytes at most",
    "what such targets are called: `cirron.target` on their sessions, and `target` in rules",
    |value, rule| one(value, &mut rule.name, name);

    "exclude", false, "true or false",
    "`true`: such processes are left out, whatever later rules say. A child of a target is one all the same",
    |value, rule| {
        let mut is = None;
        let faults = one(value, &mut is, Value::as_bool);
        rule.is_exclusion = is.unwrap_or_default();
        faults
    };

    "children", false, "true or false",
    "whether the children of such a target are targets, as without `--no-children`",
    |value, rule| one(value, &mut rule.children, Value::as_bool);
    }
}

impl Table for TargetRule {
    const LIST: &'static str = TARGETS;
    const KEYS: &'static [TableKey<TargetRule>] = READ_BY;
    const NEEDS_A_SETTING: bool = false;

    fn says_something(&self) -> bool {
        true
    }
}

fn variables(value: &Value, rule: &mut TargetRule) -> Vec<Fault> {
    let Value::Object(map) = value else {
        return vec![(Vec::new(), Wrong::Value)];
    };
    table(map, &mut rule.variables, |name, value| {
        Ok((name.to_owned(), Glob::new(value)?))
    })
}

fn port(value: &Value) -> Result<RangeInclusive<u16>, Wrong> {
    match value {
        Value::Number(number) => ports(&number.to_string()),
        Value::String(text) => ports(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(Wrong::Value),
    }
}

impl TargetRule {
    /// Reads a condition: texts or numbers, each of which asks for the fact that `which` says.
    fn any_of(&mut self, value: &Value, which: impl Fn(&str) -> Fact) -> Vec<Fault> {
        let mut choices = Vec::new();
        let faults = list(value, &mut choices, |one| {
            let text = match one {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(Wrong::Value);
                }
            };
            Ok((which(&text), Glob::new(&text)?))
        });
        self.facts.push(choices);
        let cost = |choices: &Vec<(Fact, Glob)>| choices.iter().map(|(fact, _)| *fact).max();
        self.facts.sort_by_key(cost);
        faults
    }

    /// All its conditions hold.
    fn is_met_by(&self, process: &dyn Candidate) -> bool {
        let has = |choices: &Vec<(Fact, Glob)>| {
            let mut all = choices.iter();
            all.any(|(fact, glob)| {
                process
                    .fact(*fact)
                    .is_some_and(|value| glob.matches(&value))
            })
        };
        let is_set = |(name, glob): &(String, Glob)| {
            process
                .variable(name)
                .is_some_and(|value| glob.matches(&value))
        };
        let must_listen = self.listening.unwrap_or(!self.is_exclusion);
        let listens = || match self.ports.as_slice() {
            [] => !must_listen || process.listens(None),
            ports => process.listens(Some(ports)),
        };
        self.facts.iter().all(has) && self.variables.iter().all(is_set) && listens()
    }
}

/// The rules of a machine's targets, the first asked first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetRules {
    all: Vec<TargetRule>,
    /// How many of them, the first, are the file's.
    of_file: usize,
}

impl TargetRules {
    /// Those of a file, and behind them those of `shipped`, a text of the same form, unless the file says otherwise.
    /// What a file has for others is not looked at.
    ///
    /// # Errors
    /// Everything that is wrong in the file; of `shipped` nothing may be.
    pub fn read(layer: usize, file: &Value, shipped: &Value) -> Result<TargetRules, Vec<Problem>> {
        let (mut rules, mut problems) = file
            .get(TARGETS)
            .map_or_else(Default::default, |all| schema::read_list(layer, all));
        let takes_shipped = match file.get(SHIPPED) {
            None => true,
            Some(Value::Bool(takes)) => *takes,
            Some(_) => {
                problems.push(Problem {
                    layer,
                    at: vec![Step::Key(SHIPPED.into())],
                    is_key: false,
                    what: "this value is not taken".into(),
                    fix: "it is true or false".into(),
                });
                true
            }
        };
        let of_file = rules.len();
        if takes_shipped {
            let (more, wrong) = schema::read::<TargetRule>(layer, shipped, &[]);
            rules.extend(more);
            problems.extend(wrong);
        }
        match problems.is_empty() {
            true => Ok(TargetRules {
                all: rules,
                of_file,
            }),
            false => Err(problems),
        }
    }

    /// The first rule that holds for a process; `None`: it is no target.
    pub fn choose(&self, process: &dyn Candidate) -> Option<&TargetRule> {
        let first = self.all.iter().find(|rule| rule.is_met_by(process));
        first.filter(|rule| !rule.is_exclusion)
    }

    /// Number of rules.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Number of those that are the file's own.
    pub fn count_of_file(&self) -> usize {
        self.of_file
    }
}

/// What of a file is for others than this module.
pub fn without_targets(mut file: Value) -> Value {
    if let Value::Object(map) = &mut file {
        map.retain(|key, _| !KEYS_OF_A_FILE.contains(&key.as_str()));
    }
    file
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
