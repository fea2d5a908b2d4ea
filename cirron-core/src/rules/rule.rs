//! One rule: its conditions, and the settings of exchanges that meet them all.

use super::field::FieldPath;
use super::pattern::{Glob, PathPattern, Statuses};
use crate::exchange::Role;

/// A rule as it is compared with exchanges.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rule {
    pub(crate) when: When,
    pub(crate) then: Then,
}

/// Conditions. Of each one of its choices has to hold; an empty list holds always.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct When {
    pub(crate) role: Option<Role>,
    pub(crate) methods: Vec<String>,
    pub(crate) paths: Vec<PathPattern>,
    pub(crate) models: Vec<Glob>,
    pub(crate) statuses: Vec<Statuses>,
    pub(crate) processes: Vec<Glob>,
    pub(crate) targets: Vec<Glob>,
}

/// Settings; those that are absent or empty are left to the rules behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Then {
    pub(crate) ignore: Option<bool>,
    /// One exchange in this number is written.
    pub(crate) sample: Option<u32>,
    pub(crate) name: Option<String>,
    pub(crate) chunk_timing: Option<bool>,
    pub(crate) net_scopes: Option<bool>,
    pub(crate) price: Option<Price>,
    pub(crate) gpu_price: Option<GpuPrice>,
    /// Names of marks, and the fields that they are made of.
    pub(crate) marks: Vec<(String, FieldPath)>,
    /// Lower case.
    pub(crate) request_headers: Vec<String>,
    pub(crate) response_headers: Vec<String>,
}

/// Of a deployment, by the hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GpuPrice {
    /// US dollars for an hour of all its processors.
    pub(crate) usd_an_hour: f64,
    /// Tells the rule from others: of its conditions and its price, so that it is the same in each process.
    pub(crate) rule: u64,
}

/// Of a model's tokens, US dollars for a million.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Price {
    pub(crate) input: f64,
    /// Of input that was cached; absent where it is no other.
    pub(crate) cached: Option<f64>,
    pub(crate) output: f64,
}

impl When {
    /// Of a process whose executable has this name, and that a rule of targets calls so.
    pub(super) fn is_met_by_process(&self, name: Option<&str>, target: Option<&str>) -> bool {
        let has = |choices: &[Glob], name: Option<&str>| {
            choices.is_empty() || name.is_some_and(|name| any(choices, |p| p.matches(name)))
        };
        has(&self.processes, name) && has(&self.targets, target)
    }

    /// Something of the process has to be known.
    pub(super) fn asks_process(&self) -> bool {
        !self.processes.is_empty() || !self.targets.is_empty()
    }

    /// Of a connection as a client that carries no HTTP: nothing else of it is known.
    pub(super) fn is_met_by_connection(&self) -> bool {
        self.is_met_by_request(Role::Client, None)
            && self.is_met_by_status(None)
            && self.is_met_by_model(None)
    }

    /// Of a request with this method and path; `None`: they are not known.
    pub(super) fn is_met_by_request(&self, role: Role, line: Option<(&str, &str)>) -> bool {
        let method = |(method, _): (&str, &str)| any(&self.methods, |m| m == method);
        let path = |(_, path): (&str, &str)| any(&self.paths, |p| p.matches(path));
        self.role.is_none_or(|wanted| wanted == role)
            && (self.methods.is_empty() || line.is_some_and(method))
            && (self.paths.is_empty() || line.is_some_and(path))
    }

    pub(super) fn is_met_by_status(&self, status: Option<u16>) -> bool {
        self.statuses.is_empty()
            || status.is_some_and(|status| any(&self.statuses, |s| s.has(status)))
    }

    pub(super) fn is_met_by_model(&self, model: Option<&str>) -> bool {
        self.models.is_empty() || model.is_some_and(|model| any(&self.models, |m| m.matches(model)))
    }

    /// The first of its paths that has `path` and names segments.
    pub(super) fn template(&self, path: &str) -> Option<&str> {
        let mut its = self.paths.iter().filter(|pattern| pattern.matches(path));
        its.find_map(PathPattern::template)
    }
}

impl Then {
    /// It says something.
    pub(super) fn has_any(&self) -> bool {
        *self != Then::default()
    }
}

fn any<T>(choices: &[T], holds: impl Fn(&T) -> bool) -> bool {
    choices.iter().any(holds)
}
