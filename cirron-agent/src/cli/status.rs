//! SIGUSR1: the summary so far, into the log, and into the file of `--summary-json` where it is one. With
//! `--summary-interval` the file is renewed without a signal too, and without a word.
//!
//! A thread of its own asks the capture: where a slow spool makes the core wait, neither signals nor the end wait
//! with it. Signals that come meanwhile are one. The summary is the type of the end's, with a reason of null. Behind
//! it the log has the exchanges that go on ([`super::open_scopes`]).

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::summary_file::SummaryFile;
use super::{open_scopes, say};
use crate::driver::command::Unanswered;
use crate::driver::summary::SoFar;
use crate::privileges::Rights;

/// Asks for a summary.
#[derive(Clone, Debug)]
pub struct Status(SyncSender<()>);

impl Status {
    /// Starts the thread. `so_far` says how things stand; `every`: how often nobody has to ask.
    pub fn start(
        so_far: impl Fn() -> Result<SoFar, Unanswered> + Send + 'static,
        file: Option<SummaryFile>,
        every: Option<Duration>,
        rights: Rights,
    ) -> std::io::Result<Status> {
        let (ask, asked) = sync_channel(1);
        std::thread::Builder::new()
            .name("cirron-status".into())
            .spawn(move || {
                rights.keep_nothing();
                serve(&asked, so_far, file.as_ref(), every);
            })?;
        Ok(Status(ask))
    }

    /// Asks, and waits for nothing.
    pub fn ask(&self) {
        // Full: it is asked for already.
        let _ = self.0.try_send(());
    }
}

fn serve(
    asked: &Receiver<()>,
    so_far: impl Fn() -> Result<SoFar, Unanswered>,
    file: Option<&SummaryFile>,
    every: Option<Duration>,
) {
    // What went wrong by itself is said once, until it goes well again.
    let mut was_well = true;
    while let Some(by_somebody) = next(asked, every) {
        let SoFar {
            summary,
            open,
            at,
            targets: _,
        } = match so_far() {
            Ok(so_far) => so_far,
            Err(Unanswered::Ended) => return,
            Err(e) => {
                if by_somebody || was_well {
                    say(&format!("no summary so far: {e}"));
                }
                was_well = false;
                continue;
            }
        };
        if !by_somebody {
            let renewed = file.map_or(Ok(()), |file| file.renew(&summary));
            if let Err(e) = &renewed
                && was_well
            {
                say(&format!("the summary so far cannot be written: {e}"));
            }
            was_well = renewed.is_ok();
            continue;
        }
        let (after, line) = (summary.duration_s, summary.line());
        say(&format!("so far, after {after:.1} s: {line}"));
        say(&open_scopes::words(&open, at));
        if let Some(file) = file
            && let Err(e) = file.renew(&summary)
        {
            say(&format!("the summary so far cannot be written: {e}"));
        }
    }
}

/// Waits for the next time: whether somebody asks, or it is time again; `None` at the end.
fn next(asked: &Receiver<()>, every: Option<Duration>) -> Option<bool> {
    let Some(every) = every else {
        return asked.recv().is_ok().then_some(true);
    };
    match asked.recv_timeout(every) {
        Ok(()) => Some(true),
        Err(RecvTimeoutError::Timeout) => Some(false),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use cirron_core::scope::Rows;
    use cirron_core::time::MonoNs;

    use super::*;
    use crate::driver::summary::Summary;
    use crate::driver::summary::tests::report;
    use crate::files::Users;

    fn summary(duration_s: f64) -> Summary {
        Summary::from_report(&report(), duration_s, None)
    }

    fn so_far(duration_s: f64) -> SoFar {
        SoFar {
            summary: summary(duration_s),
            targets: 0,
            open: Rows::default(),
            at: MonoNs(0),
        }
    }

    fn written(path: &Path) -> Option<f64> {
        let text = std::fs::read(path).ok()?;
        // Never half of one: it is put in place whole.
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        json["duration_s"].as_f64()
    }

    #[test]
    fn each_signal_renews_the_file_and_the_last_summary_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let rights = Rights::unchanged();
        let file = SummaryFile::prepare(&path, Users::with(None), rights).unwrap();
        let count = AtomicU64::new(0);
        let so_far = move || Ok(so_far(count.fetch_add(1, Ordering::SeqCst) as f64));
        let status = Status::start(so_far, Some(file.clone()), None, rights).unwrap();
        assert!(!path.exists());
        for n in 0..3 {
            status.ask();
            let since = Instant::now();
            while written(&path) != Some(f64::from(n)) {
                assert!(since.elapsed() < Duration::from_secs(10), "{n}");
                std::thread::yield_now();
            }
        }
        file.write(&summary(100.0)).unwrap();
        // One that was under way at the end comes too late.
        assert!(file.renew(&summary(3.0)).is_err());
        assert_eq!(written(&path), Some(100.0));
    }

    #[test]
    fn with_an_interval_nobody_has_to_ask_until_the_capture_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let rights = Rights::unchanged();
        let file = SummaryFile::prepare(&path, Users::with(None), rights).unwrap();
        let count = AtomicU64::new(0);
        let (_ask, asked) = sync_channel(1);
        serve(
            &asked,
            || match count.fetch_add(1, Ordering::SeqCst) {
                // A core that is late is asked again.
                1 => Err(Unanswered::Late),
                n @ 0..4 => Ok(so_far(n as f64)),
                _ => Err(Unanswered::Ended),
            },
            Some(&file),
            Some(Duration::from_millis(1)),
        );
        assert_eq!(written(&path), Some(3.0));
        assert_eq!(count.into_inner(), 5);
    }

    #[test]
    fn a_capture_that_does_not_answer_is_asked_again_and_one_that_has_ended_is_not() {
        let (ask, asked) = sync_channel(4);
        (0..4).for_each(|_| ask.send(()).unwrap());
        let count = AtomicU64::new(0);
        serve(
            &asked,
            || match count.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Unanswered::Late),
                1 => Ok(so_far(1.0)),
                _ => Err(Unanswered::Ended),
            },
            None,
            None,
        );
        assert_eq!(count.into_inner(), 3);
    }

    #[test]
    fn a_pipe_gets_the_last_summary_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || std::fs::read(path).unwrap())
        };
        let open = || SummaryFile::prepare(&path, Users::with(None), Rights::unchanged());
        let file = open().unwrap();
        file.renew(&summary(1.0)).unwrap();
        // Its reader may take a moment to come.
        let since = Instant::now();
        let mut file = file;
        while file.write(&summary(2.0)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
            file = open().unwrap();
        }
        let text = reader.join().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["duration_s"], 2.0);
    }
}
