//! Probes by rules: finds them in a file, tells the core what each means, and attaches.
//!
//! ```text
//! Attacher: an opened file -> look -> number each, push its meaning (Specs) -> kernel::uprobes
//!                                       '-- which rules matched, and labels -> Rules -> command line
//! ```
//! A number is one probe of one file as it was attached to, and never another's. Attached again, it has another.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cirron_common::Shape;
use cirron_common::shape::{STEPPED_WEIGHT, thinning};
use cirron_core::record::{Spec, Value};

use super::own::spec_record;
use super::specs::Specs;
use crate::clock;
use crate::kernel::{Attachment, Point, Reads, UprobeProgram, Uprobes};
use crate::probes::place::Class;
use crate::probes::quiet::Quiet;
use crate::probes::scopes::look as scopes;
use crate::probes::scopes::rule::ScopeRule;
use crate::probes::usdt::look::{self as usdt, Planned};
use crate::probes::usdt::rule::Rule;
use cirron_spool::shown::shown_path;

/// Names of files that were looked at, to be said.
const MAX_NAMES: usize = 8;
/// Labels that are kept, to say which probes were hit too often; as many as the kernel side counts.
const MAX_LABELS: usize = cirron_common::maps::MAX_RATES as usize;

/// What was asked for, and what became of it. The handle is shared.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    usdt: Arc<[Rule]>,
    /// Numbered behind the others.
    scopes: Arc<[ScopeRule]>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Numbers of the rules that a probe was found for.
    matched: Vec<usize>,
    /// Files that were looked at, and the names of the first.
    files: usize,
    names: Vec<String>,
    /// Those of them whose notes could not be found.
    headless: usize,
    labels: HashMap<u32, String>,
}

impl Rules {
    /// Of the command line.
    pub fn new(usdt: Vec<Rule>, scopes: Vec<ScopeRule>) -> Rules {
        Rules {
            usdt: usdt.into(),
            scopes: scopes.into(),
            state: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rules that no file has had a probe for, in words, with what was looked at; `None`: each has some.
    pub fn unmatched(&self) -> Option<String> {
        let state = self.lock();
        let usdt = self.usdt.iter().map(|rule| ("--usdt", &rule.text));
        let scopes = self.scopes.iter().map(|rule| ("--scope", &rule.text));
        let unmatched: Vec<String> = usdt
            .chain(scopes)
            .enumerate()
            .filter(|(n, _)| !state.matched.contains(n))
            .map(|(_, (option, text))| format!("{option} {text}"))
            .collect();
        if unmatched.is_empty() {
            return None;
        }
        let more = match state.files.saturating_sub(state.names.len()) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let headless = match state.headless {
            0 => String::new(),
            n => {
                format!("; {n} of them have no section headers, and so no notes that can be found")
            }
        };
        Some(format!(
            "no probe so far for {}\n  looked at {} files: {}{more}{headless}\n  a library that is loaded later is \
             looked at then; `readelf -n FILE` lists what is there",
            unmatched.join(", "),
            state.files,
            state.names.join(", "),
        ))
    }

    /// What was left out of each probe, in words, the most first; `counts`: by number of the probe.
    pub fn left_out(&self, counts: impl Iterator<Item = (u32, u64)>) -> Vec<String> {
        let state = self.lock();
        let mut by_label: BTreeMap<&str, u64> = BTreeMap::new();
        for (probe, left_out) in counts.filter(|(_, left_out)| *left_out > 0) {
            let label = state.labels.get(&probe);
            let sum = by_label.entry(label.map_or("others", String::as_str));
            *sum.or_default() += left_out;
        }
        let mut sorted: Vec<(u64, &str)> = by_label.into_iter().map(|(l, n)| (n, l)).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let words = |(n, label): &(u64, &str)| {
            format!(
                "{n} hits of {label} were left out: of each probe a process has {} a second at most",
                cirron_common::shape::HITS_A_SECOND
            )
        };
        sorted.iter().take(MAX_NAMES).map(words).collect()
    }

    /// Something is asked for.
    fn has_any(&self) -> bool {
        !self.usdt.is_empty() || !self.scopes.is_empty()
    }

    fn note(&self, name: &Path, look: &Ruling) {
        let mut state = self.lock();
        state.files += 1;
        state.headless += usize::from(look.is_headless);
        if state.names.len() < MAX_NAMES {
            state.names.push(shown_path(name).to_string());
        }
        for rule in look.planned.iter().filter_map(|planned| planned.rule) {
            if !state.matched.contains(&rule) {
                state.matched.push(rule);
            }
        }
    }

    fn label(&self, probe: u32, label: &str) {
        let mut state = self.lock();
        if state.labels.len() < MAX_LABELS {
            state.labels.insert(probe, label.to_owned());
        }
    }
}

/// What is in a file.
#[derive(Debug, Default)]
pub struct Ruling {
    /// What is put to use.
    pub planned: Vec<Planned>,
    /// What is not, and why, in words.
    pub refused: Vec<String>,
    is_headless: bool,
    /// A bound was met: there may be more in it.
    pub is_cut: bool,
}

/// What is attached at once, to be detached at once.
struct Group<'p> {
    planned: Vec<&'p Planned>,
    /// Of its hits; 0: it stays.
    weight: u8,
}

/// A function, or a pair of probes by a rule, is a group of its own. The others are one: ours, marks, landings.
fn groups(planned: &[Planned]) -> Vec<Group<'_>> {
    let mut apart: BTreeMap<u32, Vec<&Planned>> = BTreeMap::new();
    let mut others = Vec::new();
    for one in planned {
        let is_pair = matches!(
            one.shape.thinning,
            thinning::BEGIN | thinning::END | thinning::ENTER | thinning::EXIT
        );
        match is_pair && one.rule.is_some() {
            true => apart.entry(one.shape.pair).or_default().push(one),
            false => others.push(one),
        }
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    for planned in apart.into_values() {
        let weight = weight(&planned);
        groups.push(Group { planned, weight });
    }
    if !others.is_empty() {
        groups.push(Group {
            planned: others,
            weight: 0,
        });
    }
    groups
}

/// What a hit of a pair weighs: it is as heavy as the heaviest of its places.
fn weight(planned: &[&Planned]) -> u8 {
    let is_heavy = |one: &&Planned| one.class == Class::Stepped;
    match is_virtual() && planned.iter().any(is_heavy) {
        true => STEPPED_WEIGHT,
        false => 1,
    }
}

/// This is a virtual machine, in which exceptions are dear: its processor says so.
fn is_virtual() -> bool {
    std::arch::x86_64::__cpuid(1).ecx >> 31 == 1
}

/// See the module; of the attach thread.
#[derive(Debug)]
pub struct Ruled {
    rules: Rules,
    specs: Specs,
    pairs: HashMap<String, u32>,
    next_probe: u32,
    next_image: u64,
    /// By a probe at which something begins: its label, and what it was attached with, its ends and nothing else.
    apart: HashMap<u32, (String, Attachment)>,
}

impl Ruled {
    /// Nothing is attached yet.
    pub fn new(rules: Rules, specs: Specs) -> Ruled {
        Ruled {
            rules,
            specs,
            pairs: HashMap::new(),
            next_probe: 0,
            next_image: 0,
            apart: HashMap::new(),
        }
    }

    /// What is in a file.
    pub fn look(&mut self, file: &Quiet<'_>, name: &Path) -> Ruling {
        let pairs = &mut self.pairs;
        let mut pair = |name: &str| match pairs.get(name) {
            Some(pair) => *pair,
            None => {
                let next = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
                pairs.insert(name.to_owned(), next);
                next
            }
        };
        let (rules, first) = (&self.rules.scopes, self.rules.usdt.len());
        let notes = usdt::look(file, &self.rules.usdt, &mut pair);
        let functions = scopes::look((file, name), (rules, first), &mut pair);
        let words =
            |label: &str, why: &dyn std::fmt::Display| format!("{label} is not watched: {why}");
        let of_notes = notes.refused.iter().map(|(label, why)| words(label, why));
        let of_functions = functions
            .refused
            .iter()
            .map(|(label, why)| words(label, why));
        Ruling {
            refused: of_notes.chain(of_functions).collect(),
            planned: [notes.planned, functions.planned].concat(),
            is_headless: notes.is_headless,
            is_cut: notes.is_cut || functions.is_cut,
        }
    }

    /// Whether there may be something to say of time to time.
    pub fn is_busy(&self) -> bool {
        self.rules.has_any()
    }

    /// What is to be detached of what is `busy`: a probe, a process that hits it too often, its hits in a second. With the
    /// words for it. Each once: the kernel side goes on to name it.
    pub fn take_busy(&mut self, busy: &[(u32, u32, u64)]) -> Vec<(Attachment, String)> {
        let mut taken = Vec::new();
        for (probe, tgid, hits) in busy {
            if let Some((label, attachment)) = self.apart.remove(probe) {
                let words = format!(
                    "process {tgid} hits {label} {hits} times a second, which slows it down: it is detached, and nothing more is \
                     told of it"
                );
                taken.push((attachment, words));
            }
        }
        taken
    }

    /// Says what is not put to use of it, and remembers what was looked at.
    pub fn note(&self, name: &Path, look: &Ruling) {
        self.rules.note(name, look);
        for refused in &look.refused {
            tracing::warn!("{}: {refused}", shown_path(name));
        }
    }

    /// Attaches, and gives what was attached.
    pub fn attach(
        &mut self,
        uprobes: &Uprobes,
        name: &Path,
        file: &File,
        planned: &[Planned],
    ) -> Vec<Attachment> {
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let Some(path) = path.ok().filter(|_| uprobes.is_loaded()) else {
            return Vec::new();
        };
        self.next_image += 1;
        let groups = groups(planned);
        let made: Vec<Attachment> = groups
            .iter()
            .flat_map(|group| self.attach_group(uprobes, name, &path, group))
            .collect();
        if !made.is_empty() {
            for planned in planned {
                tracing::info!("{}: {planned}", name.display());
            }
        }
        made
    }

    /// All at once: where the kernel refuses one place it refuses all, and then each probe is tried by itself.
    fn attach_group(
        &mut self,
        uprobes: &Uprobes,
        name: &Path,
        path: &CStr,
        group: &Group<'_>,
    ) -> Vec<Attachment> {
        let planned = &group.planned;
        let points = planned.iter().map(|one| self.point(one, group.weight));
        let points: Vec<Point> = points.collect();
        match uprobes.attach(path, &points) {
            Ok(all) => {
                if group.weight > 0 && self.apart.len() < MAX_LABELS {
                    let begins = points.iter().zip(planned).filter(|(_, one)| one.is_begin);
                    for (point, one) in begins {
                        if let Reads::Probe { probe, .. } = point.reads {
                            let label = one.label.clone();
                            self.apart.insert(probe, (label, all.handle()));
                        }
                    }
                }
                vec![all]
            }
            // We are at the end.
            Err(_) if !uprobes.is_loaded() => Vec::new(),
            Err(_) => {
                let each = points.iter().zip(planned);
                let each = each.filter_map(|(point, planned)| {
                    let attached = uprobes.attach(path, &[*point]);
                    let said = attached.inspect_err(|e| {
                        let name = shown_path(name);
                        tracing::warn!("{name}: {} is not watched: {e:#}", planned.label);
                    });
                    said.ok()
                });
                each.collect()
            }
        }
    }

    /// Numbers it, and tells the core what it means.
    fn point(&mut self, planned: &Planned, weight: u8) -> Point {
        let probe = self.next_probe;
        self.next_probe = self.next_probe.wrapping_add(1);
        self.rules.label(probe, &planned.label);
        let values: Vec<Value<'_>> = planned
            .values
            .iter()
            .map(|(form, name)| Value {
                form: *form,
                name: name.as_bytes(),
            })
            .collect();
        let mut room = Vec::new();
        let which = (probe, self.next_image, planned.role);
        let spec = Spec::new(which, planned.name.as_bytes(), &values, &mut room);
        self.specs.push(spec_record(spec, clock::now()));
        Point {
            is_last: planned.is_begin,
            program: UprobeProgram::Hit,
            offset: planned.offset,
            reads: Reads::Probe {
                probe,
                shape: Shape {
                    weight,
                    ..planned.shape
                },
            },
            depth: planned.depth,
            semaphore: planned.semaphore,
        }
    }
}

#[cfg(test)]
mod tests;
