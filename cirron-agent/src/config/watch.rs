//! The thread that reads the configuration file again when it changes, or when it is told to.
//!
//! ```text
//!            every second: another stamp, the same 50 ms later
//!  looking -----------------------------------------------------> read --taken--> the core has the new rules
//!     ^  '--SIGHUP------------------------------------------------^ |
//!     '-------- refused, or gone: said, what held before holds -----'
//! ```
//! A stamp is what `stat` says: device, inode, size and times, through links, so that a file that is replaced or whose link
//! is turned (as Kubernetes does) is another one. An editor's half-written file is waited for.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{ConfigError, Configuration, Sources};
use crate::cli::say;
use crate::driver::command::Unanswered;
use crate::driver::helper::Helper;

/// Between two looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A file that has not changed for so long is whole.
const SETTLE: Duration = Duration::from_millis(50);

/// Looks until a file that changes all the time is read as it is.
const MAX_SETTLES: u32 = 20;

/// Tells the thread to read the file now.
#[derive(Clone, Debug)]
pub struct Reload(Sender<()>);

impl Reload {
    /// Now.
    pub fn ask(&self) {
        // Where the thread has ended, so has the capture.
        let _ = self.0.send(());
    }
}

/// What `stat` says of a file; `None`: there is none.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    let changed = (meta.ctime(), meta.ctime_nsec());
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        changed.0,
        changed.1,
    ))
}

/// The file as it was read last.
#[derive(Clone, Debug)]
pub struct Watch {
    sources: Sources,
    stamp: Stamp,
}

impl Watch {
    /// Before the file is read for the first time: a change behind that is seen.
    pub fn new(sources: &Sources) -> Option<Watch> {
        let path = sources.file.as_deref()?;
        Some(Watch {
            stamp: stamp(path),
            sources: sources.clone(),
        })
    }

    /// The thread, and who tells it to read. `set`: gives what it says to those who go by it.
    pub fn helper(
        self,
        set: impl Fn(Configuration) -> Result<(), Unanswered> + Send + 'static,
    ) -> (Helper, Reload) {
        let (ask, asked) = channel();
        let helper = Helper::new("config", move || self.run(&set, &asked));
        (helper, Reload(ask))
    }

    fn run(mut self, set: &Set, asked: &Receiver<()>) {
        loop {
            let is_asked = match asked.recv_timeout(LOOK_INTERVAL) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if !self.changed() && !is_asked {
                continue;
            }
            match self.take(set) {
                Ok(text) => say(&text),
                Err(NotTaken::Wrong(e)) => {
                    say(&format!(
                        "warning: the configuration is not taken, what held before holds:\n{e}"
                    ));
                }
                Err(NotTaken::Unanswered(Unanswered::Ended)) => return,
                Err(NotTaken::Unanswered(e)) => {
                    // It is tried again with the next look.
                    self.stamp = None;
                    say(&format!("warning: the configuration is not taken yet: {e}"));
                }
            }
        }
    }

    /// Whether the file is another one than that which was read, once it stays as it is.
    fn changed(&mut self) -> bool {
        let path = self.sources.file.as_deref().unwrap_or(Path::new(""));
        let mut now = stamp(path);
        if now == self.stamp {
            return false;
        }
        for _ in 0..MAX_SETTLES {
            std::thread::sleep(SETTLE);
            let later = stamp(path);
            if later == now {
                break;
            }
            now = later;
        }
        self.stamp = now;
        true
    }

    fn take(&self, set: &Set) -> Result<String, NotTaken> {
        let configuration = self.sources.read().map_err(NotTaken::Wrong)?;
        let count = configuration.rules.rule_count() + configuration.targets.count_of_file();
        set(configuration).map_err(NotTaken::Unanswered)?;
        let path = self.sources.file.as_deref().unwrap_or(Path::new(""));
        let rules = if count == 1 { "rule" } else { "rules" };
        Ok(format!("{} is taken: {count} {rules}", path.display()))
    }
}

/// Gives new rules to those who go by them.
type Set = dyn Fn(Configuration) -> Result<(), Unanswered>;

/// Why the file's rules do not hold now.
enum NotTaken {
    Wrong(ConfigError),
    Unanswered(Unanswered),
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_file_that_changes_is_taken_a_wrong_one_is_not_and_asking_reads_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let rule = "[[rules]]\nignore = true\n";
        fs::write(&path, rule).unwrap();
        let watch = Watch::new(&Sources {
            file: Some(path.clone()),
            ..Sources::default()
        });
        // Numbers of the rules that the core was given; the first time it does not answer.
        let given = Arc::new(Mutex::new((Vec::new(), true)));
        let core = Arc::clone(&given);
        let set = move |configuration: Configuration| {
            let (given, is_busy) = &mut *core.lock().unwrap();
            if std::mem::take(is_busy) {
                return Err(Unanswered::Busy);
            }
            given.push(configuration.rules.rule_count());
            Ok(())
        };
        let (ask, asked) = channel();
        let thread = std::thread::spawn(move || watch.unwrap().run(&set, &asked));
        let taken = |want: &[usize]| {
            let since = Instant::now();
            while given.lock().unwrap().0 != want {
                assert!(
                    since.elapsed() < Duration::from_secs(20),
                    "{:?}, not {want:?}",
                    given.lock()
                );
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        fs::write(&path, rule.repeat(2)).unwrap();
        taken(&[2]);
        // As an editor or a platform puts a file in place of another.
        let new = dir.path().join("new");
        fs::write(&new, rule.repeat(3)).unwrap();
        fs::rename(&new, &path).unwrap();
        taken(&[2, 3]);
        ask.send(()).unwrap();
        taken(&[2, 3, 3]);
        fs::write(&path, "[[rules]]\nignored = true").unwrap();
        std::thread::sleep(LOOK_INTERVAL + SETTLE * 4);
        fs::remove_file(&path).unwrap();
        std::thread::sleep(LOOK_INTERVAL + SETTLE * 4);
        taken(&[2, 3, 3]);
        fs::write(&path, rule).unwrap();
        taken(&[2, 3, 3, 1]);
        drop(ask);
        thread.join().unwrap();
    }
}
