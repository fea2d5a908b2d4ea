//! The thread that reads procfs for the core.
//!
//! It does one small thing after the other, and looks for questions before each: those of a moment's process cannot
//! wait behind a look at a thousand others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Answer, Change, Question, Shared, Visit};
use crate::clock;
use crate::discovery::{Identity, Processes};
use crate::driver::ends::LETTING_GO;

/// Time between two looks at all that are followed.
const ROUND: Duration = Duration::from_secs(1);
/// Time between two looks at a process that is ending.
const LETTING_GO_STEP: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Followed {
    visit: Visit,
    /// `None`: it could not be identified, being over in a moment.
    identity: Option<Identity>,
}

/// What it does next.
#[derive(Debug)]
enum Todo {
    Answer(Question),
    Change(u32, Change),
    AskTheDying,
    /// Of one that is followed.
    AskWhetherItLives(u32),
    NextRound,
    End,
}

/// See the module.
pub struct Clerk {
    shared: Arc<Shared>,
    processes: Box<dyn Processes>,
    followed: BTreeMap<u32, Followed>,
    /// Of this round, those that are still to be asked for.
    round: Vec<u32>,
    next_round: Instant,
    /// Processes that are ending, and since when.
    dying: BTreeMap<u32, Instant>,
    ask_the_dying: Instant,
}

impl Clerk {
    pub(super) fn new(shared: Arc<Shared>, processes: Box<dyn Processes>) -> Clerk {
        Clerk {
            shared,
            processes,
            followed: BTreeMap::new(),
            round: Vec::new(),
            next_round: Instant::now() + ROUND,
            dying: BTreeMap::new(),
            ask_the_dying: Instant::now(),
        }
    }

    /// Answers until the core has ended.
    pub fn run(mut self) {
        loop {
            match self.next() {
                Todo::Answer(question) => self.answer(question),
                Todo::Change(tgid, change) => self.change(tgid, change),
                Todo::AskTheDying => self.look_at_the_dying(),
                Todo::AskWhetherItLives(tgid) => self.look_at(tgid),
                Todo::NextRound => {
                    self.next_round = Instant::now() + ROUND;
                    self.round = self.followed.keys().copied().collect();
                }
                Todo::End => return,
            }
        }
    }

    /// Waits for something to do.
    fn next(&mut self) -> Todo {
        let mut state = self.shared.lock();
        loop {
            if state.is_closed {
                return Todo::End;
            }
            if let Some(question) = state.questions.pop_front() {
                return Todo::Answer(question);
            }
            if let Some((tgid, change)) = state.changes.pop_first() {
                return Todo::Change(tgid, change);
            }
            let now = Instant::now();
            if !state.dying.is_empty() {
                let new = std::mem::take(&mut state.dying);
                self.dying.extend(new.into_iter().map(|tgid| (tgid, now)));
                self.ask_the_dying = now;
            }
            if !self.dying.is_empty() && self.ask_the_dying <= now {
                return Todo::AskTheDying;
            }
            if let Some(tgid) = self.round.pop() {
                return Todo::AskWhetherItLives(tgid);
            }
            if self.next_round <= now {
                return Todo::NextRound;
            }
            let dying = (!self.dying.is_empty()).then_some(self.ask_the_dying);
            let until = dying.map_or(self.next_round, |at| at.min(self.next_round));
            state = self.shared.wait(state, until);
        }
    }

    fn tell(&self, answer: Answer) {
        self.shared.lock().answers.push(answer);
        self.shared.changed.notify_all();
    }

    fn answer(&self, question: Question) {
        let Question {
            number,
            tgid,
            parent,
        } = question;
        let own = self.processes.facts(tgid);
        let facts = own.or_else(|| self.processes.facts(parent?));
        let facts = facts.map(|mut facts| {
            facts.tgid = tgid;
            facts
        });
        self.tell(Answer::Facts {
            tgid,
            number,
            facts,
        });
    }

    fn change(&mut self, tgid: u32, change: Change) {
        let Change::Follow { visit, is_found } = change else {
            self.followed.remove(&tgid);
            return;
        };
        let identity = self.processes.identify(tgid);
        self.followed.insert(tgid, Followed { visit, identity });
        if is_found && self.processes.waits_for_us(tgid) {
            self.tell(Answer::WaitsForUs { tgid, visit });
        }
    }

    fn look_at(&mut self, tgid: u32) {
        let Some(Followed { visit, identity }) = self.followed.get(&tgid) else {
            return;
        };
        let (visit, at) = (*visit, clock::now());
        let lives = match identity {
            Some(identity) => self.processes.is_alive(identity),
            None => self.processes.identify(tgid).is_some(),
        };
        if !lives {
            self.followed.remove(&tgid);
            self.tell(Answer::Gone { tgid, visit, at });
        }
    }

    fn look_at_the_dying(&mut self) {
        let now = Instant::now();
        self.ask_the_dying = now + LETTING_GO_STEP;
        self.dying
            .retain(|_, since| now.saturating_duration_since(*since) <= LETTING_GO);
        let has_let_go =
            |(tgid, _): &(&u32, &mut Instant)| self.processes.identify(**tgid).is_none();
        let gone: Vec<u32> = (self.dying.iter_mut().filter(has_let_go))
            .map(|(tgid, _)| *tgid)
            .collect();
        for tgid in gone {
            self.dying.remove(&tgid);
            self.tell(Answer::HasLetGo { tgid });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::census::Census;
    use crate::driver::tests::world::World;

    #[test]
    fn a_question_comes_before_whatever_else_there_is_to_do() {
        let census = Census::new(Arc::default());
        let mut clerk = census.clerk(Box::new(World::default()));
        clerk.next_round = Instant::now();
        for tgid in 0..100 {
            census.follow(tgid, true);
            census.dying(tgid);
            clerk.round.push(tgid);
        }
        census.facts(7, None);
        assert!(matches!(
            clerk.next(),
            Todo::Answer(Question { tgid: 7, .. })
        ));
        assert!(matches!(clerk.next(), Todo::Change(0, _)));
        census.facts(8, None);
        assert!(matches!(
            clerk.next(),
            Todo::Answer(Question { tgid: 8, .. })
        ));
        drop(census);
        assert!(matches!(clerk.next(), Todo::End));
    }
}
