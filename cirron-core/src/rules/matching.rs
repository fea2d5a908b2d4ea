//! One exchange and the rules of its process: which hold, as far as it is known.
//!
//! ```text
//!  Begun --head--> rules whose role, method and path hold --+--status, model--> certain, rule by rule
//!    '------------ no head came: those that ask for neither-'
//! ```

use std::sync::Arc;

use super::layer::ProcessRules;
use super::rule::{Rule, Then};
use crate::exchange::Role;

/// What is known of an exchange beside its request's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The status; `None`: it has not come.
    pub(crate) status: Option<u16>,
    /// The model; `None`: nobody has named it.
    pub(crate) model: Option<&'a str>,
    /// No more will be known of either.
    pub(crate) is_all: bool,
}

/// A setting, as far as it is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick<T> {
    /// The first rule that has it, and holds, says this; or there is none.
    Certain(Option<T>),
    /// A rule that has it may hold.
    Open,
}

/// Whether an exchange is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is; where it was sampled, one in this number is.
    Written { one_in: Option<u32> },
    /// It is not, and is not read.
    Ignored,
    /// It is not: it stands behind one that is.
    LeftOut,
}

/// Whether a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    NotYet,
}

/// The rules of one exchange.
#[derive(Debug)]
pub(crate) struct Matching {
    rules: Arc<ProcessRules>,
    role: Role,
    /// Of the exchange, whatever it says: the same whenever its records are read.
    hash: u64,
    /// Places of rules whose conditions on role, method and path hold.
    live: Vec<u16>,
}

impl Matching {
    /// Of an exchange that begins. `hash`: of what tells it from others.
    pub(crate) fn new(rules: Arc<ProcessRules>, role: Role, hash: u64) -> Matching {
        let mut matching = Matching {
            rules,
            role,
            hash,
            live: Vec::new(),
        };
        matching.take_request(None);
        matching
    }

    /// Its request's method and path; `None`: they are not known.
    pub(crate) fn take_request(&mut self, line: Option<(&str, &str)>) {
        let Matching { rules, role, .. } = self;
        let all = (0_u16..).zip(rules.list());
        let its = all.filter(|(_, rule)| rule.when.is_met_by_request(*role, line));
        self.live = its.map(|(place, _)| place).collect();
    }

    /// None of its rules can hold.
    pub(crate) fn is_void(&self) -> bool {
        self.live.is_empty()
    }

    /// ProcessRules that may hold or, where all is known, that do.
    pub(crate) fn may_hold<'a>(&'a self, known: Known<'a>) -> impl Iterator<Item = &'a Then> {
        let may = move |rule: &&Rule| holds(rule, known) != Truth::No;
        self.live().filter(may).map(|rule| &rule.then)
    }

    /// The template of `path` that the first rule has which holds.
    pub(crate) fn template(&self, path: &str, known: Known<'_>) -> Option<&str> {
        let holds = |rule: &&Rule| holds(rule, known) == Truth::Yes;
        self.live()
            .filter(holds)
            .find_map(|rule| rule.when.template(path))
    }

    /// The first that has a setting.
    pub(crate) fn pick<'a, T>(
        &'a self,
        known: Known<'_>,
        setting: impl Fn(&'a Then) -> Option<T>,
    ) -> Pick<T> {
        for rule in self.live() {
            let Some(value) = setting(&rule.then) else {
                continue;
            };
            match holds(rule, known) {
                Truth::Yes => return Pick::Certain(Some(value)),
                Truth::No => {}
                Truth::NotYet => return Pick::Open,
            }
        }
        Pick::Certain(None)
    }

    /// Whether it is written; `None`: that is not certain.
    pub(crate) fn verdict(&self, known: Known<'_>) -> Option<Verdict> {
        match self.pick(known, |then| then.ignore) {
            Pick::Open => return None,
            Pick::Certain(Some(true)) => return Some(Verdict::Ignored),
            Pick::Certain(Some(false) | None) => {}
        }
        match self.pick(known, |then| then.sample) {
            Pick::Open => None,
            Pick::Certain(Some(one_in)) if !self.hash.is_multiple_of(u64::from(one_in)) => {
                Some(Verdict::LeftOut)
            }
            Pick::Certain(one_in) => Some(Verdict::Written {
                one_in: one_in.filter(|n| *n > 1),
            }),
        }
    }

    /// Bytes that it holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.live.capacity() * size_of::<u16>()
    }

    fn live(&self) -> impl Iterator<Item = &Rule> {
        let list = self.rules.list();
        let rule = |place: &u16| list.get(usize::from(*place)).map(AsRef::as_ref);
        self.live.iter().filter_map(rule)
    }
}

fn holds(rule: &Rule, known: Known<'_>) -> Truth {
    let when = &rule.when;
    let waits_for_status = !when.statuses.is_empty() && known.status.is_none() && !known.is_all;
    let waits_for_model = !when.models.is_empty() && known.model.is_none() && !known.is_all;
    let status = waits_for_status || when.is_met_by_status(known.status);
    let model = waits_for_model || when.is_met_by_model(known.model);
    match (status && model, waits_for_status || waits_for_model) {
        (false, _) => Truth::No,
        (true, true) => Truth::NotYet,
        (true, false) => Truth::Yes,
    }
}

/// A number that tells an exchange from others, as evenly as its bits are random: by when and by whom it began, and its
/// place on its connection. It rests on records alone, so that a replay leaves out the same ones.
pub(crate) fn hash(start_ns: u64, tid: u32, number: u64) -> u64 {
    let seed = start_ns ^ (u64::from(tid) << 32) ^ number.rotate_left(48);
    // The finalizer of splitmix64.
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
