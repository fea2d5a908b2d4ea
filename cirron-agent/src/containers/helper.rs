//! The thread that finds out what containers are.
//!
//! It reads the runtimes' state for each container once, when somebody asks for it. A kubelet is asked when one is not
//! known, [`AT_ONCE`] apart at most, and every [`INTERVAL`], since labels and pods change; of a kubelet that is away
//! the last answer holds. Whom to ask may change while it runs: the configuration says so.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cirron_containers::asker::{Answer, Settings, Trouble};
use cirron_containers::state::{self, Root};

use super::asker::Asker;
use super::known::Containers;
use crate::cli::say;
use crate::driver::counts::Counts;

/// Between two questions while all is known. A kubelet makes its answer of what it has in memory: some milliseconds.
const INTERVAL: Duration = Duration::from_secs(10);

/// The same while a container is not known: it is in the list of a second or two later.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How often it is said again that nobody answers.
const SAY_AGAIN: Duration = Duration::from_secs(600);

/// The thread's state.
pub struct Finding {
    containers: Containers,
    asker: Option<Asker>,
    /// It was told whom to ask.
    asks: bool,
    root: Option<Root>,
    counts: Arc<Counts>,
    asked: Option<Instant>,
    said: Said,
}

impl Finding {
    /// `asker`: where Kubernetes is asked, or may be later. `settings`: whom it asks now.
    pub fn new(
        containers: Containers,
        asker: Option<Asker>,
        settings: Option<&Settings>,
        counts: Arc<Counts>,
    ) -> Finding {
        let mut finding = Finding {
            containers,
            asker,
            asks: false,
            root: state::of_this_machine(),
            counts,
            asked: None,
            said: Said::default(),
        };
        finding.set(settings);
        finding
    }

    /// Whom to ask from now on; `None`: nobody.
    fn set(&mut self, settings: Option<&Settings>) {
        self.asks = settings.is_some() && self.asker.is_some();
        self.asked = None;
        self.said = Said::default();
        self.containers.begin(self.asks);
        if let Some((asker, settings)) = self.asker.as_mut().zip(settings)
            && let Err(e) = asker.set(settings)
        {
            self.give_up(&e);
        }
    }

    /// Runs until the process ends: nobody waits for it.
    pub fn run(mut self) {
        // So that the first process does not wait for it.
        self.ask();
        loop {
            for id in self.containers.next(self.next_question()) {
                let about = self.root.as_ref().and_then(|root| state::look(root, &id));
                self.containers.looked(&id, about);
            }
            if let Some(settings) = self.containers.take_new() {
                self.set(settings.as_ref());
                self.ask();
            }
            if self.next_question() <= Instant::now() {
                self.ask();
            }
        }
    }

    fn next_question(&self) -> Instant {
        let Some(asked) = self.asked.filter(|_| self.asks) else {
            return Instant::now() + INTERVAL;
        };
        match self.containers.waits() {
            (true, _) => asked + AT_ONCE,
            (false, true) => asked + INTERVAL,
            // Nobody asks for containers: the next that is gets its answer at once.
            (false, false) => Instant::now() + INTERVAL,
        }
    }

    fn ask(&mut self) {
        let Some(asker) = self.asker.as_mut().filter(|_| self.asks) else {
            return;
        };
        let now = Instant::now();
        self.asked = Some(now);
        match asker.ask() {
            Ok(Answer::Pods {
                containers,
                left_out,
            }) => {
                self.counts
                    .containers_left_out
                    .store(left_out, Ordering::Relaxed);
                self.containers.listed(containers, now);
                if let Some(text) = self.said.answered() {
                    say(&text);
                }
            }
            Ok(Answer::None(trouble)) => {
                Counts::add(&self.counts.pods_unanswered);
                if let Some(text) = self.said.trouble(&trouble, now) {
                    say(&text);
                }
            }
            Err(e) => self.give_up(&e),
        }
    }

    fn give_up(&mut self, e: &io::Error) {
        Counts::add(&self.counts.pods_unanswered);
        self.asker = None;
        self.asks = false;
        self.containers.give_up_kubernetes();
        say(&format!(
            "warning: the process that asks for pods has ended ({e}); what is not known of them stays so\n  \
             start the agent again"
        ));
    }
}

/// What was said of somebody who does not answer.
#[derive(Debug, Default)]
struct Said {
    last: Option<(String, Instant)>,
}

impl Said {
    /// What is to be said; `None`: it was said.
    fn trouble(&mut self, trouble: &Trouble, now: Instant) -> Option<String> {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= SAY_AGAIN;
        // Silence has many words: a time that is over, a connection that is refused or reset.
        let kind = match &trouble.fix {
            Some(_) => trouble.what.as_str(),
            None => "",
        };
        if let Some((before, at)) = &self.last
            && before == kind
            && (trouble.fix.is_some() || !is_old(*at))
        {
            return None;
        }
        self.last = Some((kind.to_owned(), now));
        Some(format!("warning: pods are not known: {trouble}"))
    }

    fn answered(&mut self) -> Option<String> {
        self.last.take()?;
        Some("pods are known".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_somebody_has_to_mend_is_said_once_and_silence_again_after_a_while() {
        let mut said = Said::default();
        let now = Instant::now();
        let of = |what: &str, fix: Option<&str>| Trouble {
            what: what.to_owned(),
            fix: fix.map(str::to_owned),
        };
        let (refused, away) = (of("refused", Some("mend it")), of("away", None));
        let later = now + SAY_AGAIN;
        assert_eq!(
            said.trouble(&refused, now).unwrap(),
            "warning: pods are not known: refused\n  mend it"
        );
        assert_eq!(said.trouble(&refused, later), None);
        assert!(said.trouble(&away, later).is_some());
        assert_eq!(said.trouble(&of("reset", None), later), None);
        assert!(said.trouble(&away, later + SAY_AGAIN).is_some());
        assert!(said.answered().is_some());
        assert_eq!(said.answered(), None);
        assert!(said.trouble(&away, later).is_some());
    }
}
