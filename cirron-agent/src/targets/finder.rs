//! The thread that looks for targets: it asks rules about processes, and adds and releases what they choose.
//!
//! ```text
//!                    the rules choose it                  the rules choose it no more
//!  a process --------------------------------> target --------------------------------> released
//!   ^ ^ '-- no rule, or one that leaves it out    |  ends: the core forgets it
//!   | '--- at listen, and every SCAN_INTERVAL <---'
//!   '- a rule asks for what is not known yet of its container: again ASK_AGAIN later
//! ```
//! It reads procfs and waits for the core; nobody waits for it. A process that cannot become a target (the table in the
//! kernel is full) is said, and tried again by the next scan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use cirron_core::rules::{Decision, TargetRules};

use super::looked::{Looked, Machine};
use crate::cli::say;
use crate::containers::Containers;
use crate::discovery::ours::is_ours;
use crate::discovery::{Identity, Procfs, facts, short_name, tree};
use crate::driver::command::{Commands, Unanswered};
use crate::driver::counts::Counts;
use crate::driver::listeners::{Heard, News};
use crate::kernel::Policy;

/// Between two looks at all processes. Those that begin to listen are told at once; what this finds (inherited sockets,
/// Unix sockets) has no reader that waits for its first second.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);

/// From the call of a process that begins to listen to the look at it: it is told inside of that call, before the socket can
/// be found. One that calls again and again is looked at no more often.
const SETTLE: Duration = Duration::from_millis(20);

/// From a look at a process of whose container something is not known yet to the next: a list of pods is asked for once a
/// second while one is waited for.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How long it waits for one that listens before it looks for new rules.
const WAIT: Duration = Duration::from_millis(250);

/// Lines about targets in a minute. A pod that crashes and starts again is a line each time; past it they are counted, and the
/// count is said with the next line.
const MAX_LINES_A_MINUTE: u32 = 60;

/// Gives the finder other rules.
#[derive(Clone, Debug)]
pub struct NewRules(Sender<TargetRules>);

impl NewRules {
    /// From now on these hold.
    pub fn set(&self, rules: TargetRules) {
        // Where the thread has ended, so has the capture.
        let _ = self.0.send(rules);
    }
}

/// A process that was chosen.
#[derive(Clone, Debug)]
struct Chosen {
    identity: Identity,
    name: Option<String>,
    children: bool,
}

/// What the rules say of a process.
enum Choice {
    Target(Chosen),
    NoTarget,
    /// They ask for what is not known yet.
    Awaited,
}

/// The thread's state.
pub struct Finder {
    commands: Commands,
    policy: Policy,
    rules: TargetRules,
    new_rules: Receiver<TargetRules>,
    heard: Heard,
    /// Processes that began to listen, and when they are to be looked at.
    due: BTreeMap<u32, Instant>,
    machine: Machine,
    /// Something is not known yet of a target that new rules ask about.
    judges_again: Option<Instant>,
    chosen: BTreeMap<u32, Chosen>,
    counts: Arc<Counts>,
    lines: Lines,
}

impl Finder {
    /// `policy`: what is captured of a target, unless its rule says otherwise.
    pub fn new(
        commands: Commands,
        policy: Policy,
        rules: TargetRules,
        heard: Heard,
        containers: Containers,
        counts: Arc<Counts>,
    ) -> (Finder, NewRules) {
        let (give, new_rules) = channel();
        let finder = Finder {
            commands,
            policy,
            rules,
            new_rules,
            heard,
            due: BTreeMap::new(),
            machine: Machine::new(containers),
            judges_again: None,
            chosen: BTreeMap::new(),
            counts,
            lines: Lines::default(),
        };
        (finder, NewRules(give))
    }

    /// Runs until the capture is over.
    pub fn run(mut self) {
        let mut scanned: Option<Instant> = None;
        loop {
            let is_due = scanned.is_none_or(|at| at.elapsed() >= SCAN_INTERVAL);
            let found = match is_due {
                true => {
                    scanned = Some(Instant::now());
                    self.scan()
                }
                false => {
                    let wait = if self.due.is_empty() { WAIT } else { SETTLE };
                    match self.heard.next(wait) {
                        News::Over => return,
                        News::Nothing => {}
                        News::Listens(tgid) => {
                            let at = Instant::now() + SETTLE;
                            self.due.entry(tgid).or_insert(at);
                        }
                    }
                    self.look_at_those_due()
                }
            };
            if let Some(rules) = self.new_rules.try_iter().last() {
                self.rules = rules;
                self.judge_anew();
                scanned = None;
            }
            if self.judges_again.is_some_and(|at| at <= Instant::now()) {
                self.judge_anew();
            }
            match found {
                Ok(()) => {}
                Err(Unanswered::Ended) => return,
                Err(e) => tracing::warn!("targets are looked for again in a while: {e}"),
            }
        }
    }

    /// Looks at all processes that are no targets.
    fn scan(&mut self) -> Result<(), Unanswered> {
        self.machine = std::mem::take(&mut self.machine).again();
        self.chosen.retain(|_, chosen| chosen.identity.is_alive());
        let targets = self.commands.targets()?;
        let parents = tree::parents();
        let others = parents
            .keys()
            .filter(|tgid| targets.binary_search(tgid).is_err());
        let mut found: BTreeMap<u32, Chosen> = BTreeMap::new();
        for tgid in others {
            match self.choice(*tgid) {
                Choice::Target(chosen) => _ = found.insert(*tgid, chosen),
                Choice::Awaited => self.look_again(*tgid),
                Choice::NoTarget => {}
            }
        }
        // What descends from one of them is a target with it.
        let comes_along = |tgid: u32| {
            let above = tree::ancestors(tgid, &parents);
            above
                .iter()
                .any(|above| found.get(above).is_some_and(|above| above.children))
        };
        let roots = found
            .values()
            .filter(|chosen| !comes_along(chosen.identity.tgid));
        self.add_all(&roots.cloned().collect::<Vec<_>>())
    }

    /// Looks at processes that began to listen a moment ago.
    fn look_at_those_due(&mut self) -> Result<(), Unanswered> {
        let now = Instant::now();
        let due = self.due.extract_if(.., |_, at| *at <= now);
        let due: Vec<u32> = due.map(|(tgid, _)| tgid).collect();
        if !due.is_empty() {
            self.machine = std::mem::take(&mut self.machine).again();
        }
        due.into_iter().try_for_each(|tgid| self.look(tgid))
    }

    /// Makes a process a target if a rule chooses it, and it is none.
    fn look(&mut self, tgid: u32) -> Result<(), Unanswered> {
        match self.choice(tgid) {
            Choice::Target(chosen) if !self.commands.targets()?.contains(&tgid) => {
                self.add_all(&[chosen])
            }
            Choice::Awaited => {
                self.look_again(tgid);
                Ok(())
            }
            Choice::Target(_) | Choice::NoTarget => Ok(()),
        }
    }

    /// It cannot be said yet what a process is.
    fn look_again(&mut self, tgid: u32) {
        self.due.entry(tgid).or_insert(Instant::now() + ASK_AGAIN);
    }

    /// What the rules say of a process.
    fn choice(&self, tgid: u32) -> Choice {
        self.choice_of(&Looked::new(tgid, &self.machine))
    }

    fn choice_of(&self, looked: &Looked<'_>) -> Choice {
        let tgid = looked.tgid();
        if is_ours(tgid) {
            return Choice::NoTarget;
        }
        // Before anything is read of it: what is read belongs to this one, or to nobody.
        let Some(identity) = Identity::read(tgid).filter(|_| looked.path().is_some()) else {
            return Choice::NoTarget;
        };
        match self.rules.choose(looked) {
            Decision::Target(rule) => Choice::Target(Chosen {
                identity,
                name: rule.name.clone(),
                children: rule.children.unwrap_or(self.policy.children),
            }),
            Decision::NoTarget => Choice::NoTarget,
            Decision::Awaited => Choice::Awaited,
        }
    }

    /// Makes them targets: together, so that what descends from them is listed once; where one is refused, one by one.
    fn add_all(&mut self, found: &[Chosen]) -> Result<(), Unanswered> {
        for children in [true, false] {
            let alike = found.iter().filter(|chosen| chosen.children == children);
            let alike: Vec<Chosen> = alike.cloned().collect();
            match self.add(&alike) {
                Err(Unanswered::Refused(_)) => {
                    for chosen in alike {
                        self.add_or_say(&[chosen])?;
                    }
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn add_or_say(&mut self, found: &[Chosen]) -> Result<(), Unanswered> {
        match self.add(found) {
            Err(Unanswered::Refused(e)) => {
                self.refused(&e);
                Ok(())
            }
            done => done,
        }
    }

    fn refused(&mut self, e: &anyhow::Error) {
        Counts::add(&self.counts.targets_refused);
        self.lines.say(&format!("warning: {e:#}"));
    }

    /// All, or none. All of them have the same policy.
    fn add(&mut self, found: &[Chosen]) -> Result<(), Unanswered> {
        let facts = |chosen: &Chosen| {
            let facts = facts(chosen.identity.tgid)?;
            chosen
                .identity
                .is_alive()
                .then(|| (facts, chosen.name.clone()))
        };
        let newcomers: Vec<_> = found.iter().filter_map(facts).collect();
        let Some(first) = found.first().filter(|_| !newcomers.is_empty()) else {
            return Ok(());
        };
        let policy = Policy {
            children: first.children,
            ..self.policy
        };
        let added: Vec<u32> = newcomers.iter().map(|(facts, _)| facts.tgid).collect();
        self.commands.add_chosen(newcomers, policy, &Procfs)?;
        for chosen in found {
            let tgid = chosen.identity.tgid;
            if added.contains(&tgid) && self.chosen.insert(tgid, chosen.clone()).is_none() {
                self.say("watching", tgid, chosen.name.as_deref());
            }
        }
        Ok(())
    }

    /// Asks the rules again about what they chose.
    fn judge_anew(&mut self) {
        self.judges_again = None;
        self.machine = std::mem::take(&mut self.machine).again();
        for (tgid, before) in self.chosen.clone() {
            if !before.identity.is_alive() {
                self.chosen.remove(&tgid);
                continue;
            }
            // One that listens no more, since it ends, serves what it has begun.
            let listened = Looked::that_listened(tgid, &self.machine);
            let done = match self.choice_of(&listened) {
                Choice::Target(chosen) => self.add_or_say(&[chosen]),
                // It is watched until that is known.
                Choice::Awaited => {
                    self.judges_again = Some(Instant::now() + ASK_AGAIN);
                    Ok(())
                }
                Choice::NoTarget => {
                    let released = self.commands.release_chosen(tgid);
                    if released.is_ok() {
                        self.chosen.remove(&tgid);
                        self.say("released", tgid, before.name.as_deref());
                    }
                    released
                }
            };
            if let Err(e) = done {
                tracing::warn!("the new rules do not hold for process {tgid} yet: {e}");
            }
        }
    }

    fn say(&mut self, done: &str, tgid: u32, name: Option<&str>) {
        let short = short_name(tgid).unwrap_or_default();
        let as_what = name.map_or_else(String::new, |name| format!(" as {name}"));
        self.lines
            .say(&format!("{done} pid {tgid} ({short}){as_what}"));
    }
}

/// Says lines: [`MAX_LINES_A_MINUTE`] in a minute, and counts the others.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    said: u32,
    left_out: u64,
}

impl Lines {
    fn say(&mut self, text: &str) {
        if let Some(text) = self.take(text, Instant::now()) {
            say(&text);
        }
    }

    /// What is to be said; `None`: nothing more in this minute.
    fn take(&mut self, text: &str, now: Instant) -> Option<String> {
        let is_over = |since| now.duration_since(since) >= Duration::from_secs(60);
        if self.since.is_none_or(is_over) {
            self.since = Some(now);
            self.said = 0;
        }
        if self.said == MAX_LINES_A_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.said += 1;
        let left_out = std::mem::take(&mut self.left_out);
        Some(match left_out {
            0 => text.to_owned(),
            n => format!("{text} ({n} lines like this were left out)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_is_not_a_line_each_time_and_what_was_left_out_is_counted() {
        let mut lines = Lines::default();
        let now = Instant::now();
        let said = (0..100).filter(|_| lines.take("x", now).is_some()).count();
        assert_eq!(said, MAX_LINES_A_MINUTE as usize);
        let later = now + Duration::from_secs(61);
        let text = lines.take("y", later);
        assert_eq!(
            text.as_deref(),
            Some("y (40 lines like this were left out)")
        );
        assert_eq!(lines.take("z", later).as_deref(), Some("z"));
    }
}
