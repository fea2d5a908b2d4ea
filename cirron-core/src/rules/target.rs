//! Rules of targets: which processes of a machine are watched where nobody names them.
//!
//! ```text
//!  file: [[targets]], then those that are shipped --read--> TargetRules
//!  a process (shell: procfs, asked as late as possible) --choose--> the first rule that holds | none
//! ```
//! The first rule whose conditions all hold decides: the process is a target, or is left out (`exclude`). A process
//! that no rule holds for is none. Conditions are asked in the order of what their answer costs, sockets last. What
//! cannot be known of a process (an environment that may not be read) meets no condition. What others than the kernel
//! tell (names of containers, pods, labels) may come late: a rule to which it matters is not decided before, and where it
//! never comes such a rule chooses nothing, and leaves out what it would leave out otherwise.
//!
//! Nothing of a process is read here, and no process is found here: that is the shell's (`cirron-agent`, `targets`).

use std::ops::RangeInclusive;

use serde_json::Value;

use super::keys::{name, one};
use super::pattern::{Glob, ports};
use super::schema::{self, Fault, Problem, Step, Table, TableKey, Wrong, list, table, table_keys};

/// The list of rules of targets in a file.
pub(super) const TARGETS: &str = "targets";

/// Says whether the rules that come with the agent are asked behind those of the file.
pub(super) const SHIPPED: &str = "shipped_targets";

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
    /// The name of its container: in its pod where it is in one, else as its runtime calls it.
    ContainerName,
    /// The image of that, as whoever started it named it.
    Image,
    /// Its pod.
    Pod,
    /// The namespace of that.
    Namespace,
}

impl Fact {
    /// It is told by others than the kernel, who may do so later.
    fn is_of_workload(self) -> bool {
        use Fact::{ContainerName, Image, Namespace, Pod};
        matches!(self, ContainerName | Image | Pod | Namespace)
    }
}

/// How much is known of what a process is part of: its container's name and image, its pod and the labels of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// What there is to be known: what lacks is not there.
    Known,
    /// It is asked for, and the answer comes soon.
    Awaited,
    /// Nobody has answered for too long.
    Unknown,
}

/// A process of which somebody asks whether it is a target.
pub trait Candidate {
    /// A fact; `None`: it is not known, or there is none.
    fn fact(&self, fact: Fact) -> Option<String>;
    /// A variable of its environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// A label of its pod.
    fn label(&self, name: &str) -> Option<String>;
    /// How much is known of the facts that others than the kernel tell, and of labels.
    fn workload(&self) -> Workload;
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
    labels: Vec<(String, Glob)>,
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

    "container", true, "a name or an id, or a list of them, each with `*` for any characters: \"vllm\"; \"*\" is any",
    "the container of the process, by its name (in its pod where it is in one, else as Docker, Podman or containerd call it) or its id (64 hexadecimal digits)",
    |value, rule| rule.any_of_these(value, |text| {
        let glob = Glob::new(text)?;
        Ok(vec![(Fact::Container, glob.clone()), (Fact::ContainerName, glob)])
    });

    "image", true, "an image, or a list of them, each with `*` for any characters: \"vllm/vllm-openai\", \"*/llama.cpp:server*\"",
    "the image of the process's container, as whoever started it named it; its registry, and its tag and digest, may be left out",
    |value, rule| rule.any_of_these(value, images);

    "pod", true, "a name, or a list of them, each with `*` for any characters: \"llama-*\"",
    "the pod of the process (Kubernetes)",
    |value, rule| rule.any_of(value, |_| Fact::Pod);

    "namespace", true, "a name, or a list of them, each with `*` for any characters: \"models\"",
    "the namespace of its pod",
    |value, rule| rule.any_of(value, |_| Fact::Namespace);

    "labels", true, "a table of labels and values: { app = \"vllm*\", \"app.kubernetes.io/part-of\" = \"*\" }",
    "labels of its pod: all of them have to be set so",
    |value, rule| by_name(value, &mut rule.labels);

    "runtime", true, "\"go\", \"node\", \"python\" or \"java\", or a list of them",
    "what the program is made with, or runs in",
    |value, rule| rule.any_of(value, |_| Fact::Runtime);

    "env", true, "a table of variables and values: { MODEL = \"llama*\", SERVE = \"*\" }",
    "variables of the process's environment: all of them have to be set so. They are looked at, and not written",
    |value, rule| by_name(value, &mut rule.variables);

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

/// What has a name, and the values that it may have.
fn by_name(value: &Value, into: &mut Vec<(String, Glob)>) -> Vec<Fault> {
    let Value::Object(map) = value else {
        return vec![(Vec::new(), Wrong::Value)];
    };
    table(map, into, |name, value| {
        Ok((name.to_owned(), Glob::new(value)?))
    })
}

/// A choice: a fact, and what it may be.
type Choice = (Fact, Glob);

/// An image without its registry is that of any, one without tag and digest has any.
fn images(text: &str) -> Result<Vec<Choice>, Wrong> {
    let name = text.rsplit('/').next().unwrap_or(text);
    let is_tagged = name.contains([':', '@']) || name.ends_with('*');
    let ends: &[&str] = if is_tagged { &[""] } else { &["", ":*", "@*"] };
    let forms = ends
        .iter()
        .flat_map(|end| [format!("{text}{end}"), format!("*/{text}{end}")]);
    forms
        .map(|form| Ok((Fact::Image, Glob::new(&form)?)))
        .collect()
}

fn port(value: &Value) -> Result<RangeInclusive<u16>, Wrong> {
    match value {
        Value::Number(number) => ports(&number.to_string()),
        Value::String(text) => ports(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(Wrong::Value),
    }
}

/// What a rule says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Holds,
    HoldsNot,
    /// It depends on what is not known yet.
    Awaited,
}

impl TargetRule {
    /// Reads a condition: texts or numbers, each of which asks for the fact that `which` says.
    fn any_of(&mut self, value: &Value, which: impl Fn(&str) -> Fact) -> Vec<Fault> {
        self.any_of_these(value, |text| Ok(vec![(which(text), Glob::new(text)?)]))
    }

    /// The same of texts each of which is several choices.
    fn any_of_these(
        &mut self,
        value: &Value,
        read: impl Fn(&str) -> Result<Vec<Choice>, Wrong>,
    ) -> Vec<Fault> {
        let mut choices = Vec::new();
        let faults = list(value, &mut choices, |one| {
            let text = match one {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(Wrong::Value);
                }
            };
            read(&text)
        });
        self.facts.push(choices.into_iter().flatten().collect());
        let cost = |choices: &Vec<(Fact, Glob)>| choices.iter().map(|(fact, _)| *fact).max();
        self.facts.sort_by_key(cost);
        faults
    }

    /// Whether all its conditions hold.
    fn verdict(&self, process: &dyn Candidate) -> Verdict {
        // What rests on something that is not known, where all else holds.
        let mut is_open = false;
        for choices in &self.facts {
            let mut lacks_one = false;
            let mut is = |(fact, glob): &Choice| match process.fact(*fact) {
                Some(its) => glob.matches(&its),
                None => {
                    lacks_one |= fact.is_of_workload();
                    false
                }
            };
            if !choices.iter().any(&mut is) {
                if !lacks_one || process.workload() == Workload::Known {
                    return Verdict::HoldsNot;
                }
                is_open = true;
            }
        }
        let is_so = |its: Option<String>, glob: &Glob| its.is_some_and(|its| glob.matches(&its));
        for (name, glob) in &self.labels {
            match process.label(name) {
                Some(its) if glob.matches(&its) => {}
                None if process.workload() != Workload::Known => is_open = true,
                Some(_) | None => return Verdict::HoldsNot,
            }
        }
        let mut variables = self.variables.iter();
        if !variables.all(|(name, glob)| is_so(process.variable(name), glob)) {
            return Verdict::HoldsNot;
        }
        let must_listen = self.listening.unwrap_or(!self.is_exclusion);
        let listens = match self.ports.as_slice() {
            [] => !must_listen || process.listens(None),
            ports => process.listens(Some(ports)),
        };
        match (listens, is_open, process.workload()) {
            (false, _, _) => Verdict::HoldsNot,
            (true, false, _) => Verdict::Holds,
            (true, true, Workload::Awaited) => Verdict::Awaited,
            // Nobody watches what somebody may have left out.
            (true, true, _) if self.is_exclusion => Verdict::Holds,
            (true, true, _) => Verdict::HoldsNot,
        }
    }
}

/// What the rules say of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision<'r> {
    /// It is a target, by this rule.
    Target(&'r TargetRule),
    /// It is none.
    NoTarget,
    /// It may be one: what the rule asks for is not known yet.
    Awaited,
}

/// The rules of a machine's targets, the first asked first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetRules {
    all: Vec<TargetRule>,
    /// How many of them, the first, are the file's.
    of_file: usize,
}

impl TargetRules {
    /// Those of files, the first asked first, each with the number that its problems have, and behind them those of
    /// `shipped`, a text of the same form, unless a file says otherwise. What a file has for others is not looked at.
    ///
    /// # Errors
    /// Everything that is wrong in the files; of `shipped` nothing may be.
    pub fn read(files: &[(usize, &Value)], shipped: &Value) -> Result<TargetRules, Vec<Problem>> {
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        let mut takes_shipped = None;
        for (layer, file) in files {
            if let Some(all) = file.get(TARGETS) {
                let (more, wrong) = schema::read_list(*layer, all);
                rules.extend(more);
                problems.extend(wrong);
            }
            match file.get(SHIPPED) {
                None => {}
                Some(Value::Bool(takes)) => _ = takes_shipped.get_or_insert(*takes),
                Some(_) => problems.push(Problem {
                    layer: *layer,
                    at: vec![Step::Key(SHIPPED.into())],
                    is_key: false,
                    what: "this value is not taken".into(),
                    fix: "it is true or false".into(),
                }),
            }
        }
        let of_file = rules.len();
        if takes_shipped.unwrap_or(true) {
            let (more, wrong) = schema::read::<TargetRule>(0, shipped, &[]);
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

    /// What the first rule says that holds for a process.
    pub fn choose(&self, process: &dyn Candidate) -> Decision<'_> {
        for rule in &self.all {
            match rule.verdict(process) {
                Verdict::Holds if rule.is_exclusion => return Decision::NoTarget,
                Verdict::Holds => return Decision::Target(rule),
                Verdict::Awaited => return Decision::Awaited,
                Verdict::HoldsNot => {}
            }
        }
        Decision::NoTarget
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

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
