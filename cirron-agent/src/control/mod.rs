//! The agent's socket: whoever may ask hears how things stand, once a second.
//!
//! ```text
//! /run/cirron-agent/PID.sock --accept--> peer's user checked --> a line of JSON a second (cirron_top::live)
//! ```
//! It stands beside the way of the data and asks the core as `SIGUSR1` does, and only while somebody listens. It takes
//! nothing: what a client writes is not read. Made before rights are given up, as no thread may make a socket after; what
//! is left then is to accept on this one ([`crate::privileges`]).
//!
//! Only root and the agent's own user are answered: the directory lets nobody else in, and the kernel says whose
//! process connects. Without root there is no such directory, and no socket.

mod clients;
mod place;

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cirron_top::live::{Live, Open};
use rustix::event::{PollFd, PollFlags, Timespec};

use self::clients::Clients;
pub use self::place::{dir, sockets};
use crate::driver::command::Unanswered;
use crate::driver::summary::SoFar;
use crate::privileges::Rights;

/// Time between two lines: the spool has news as often.
const INTERVAL: Duration = Duration::from_secs(1);

/// The socket, before anybody is answered. Its file is gone when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Makes it in `dir`, with the name of this process.
    ///
    /// # Errors
    /// Where the directory is not only ours, or the socket cannot be made.
    pub fn open(dir: &Path) -> io::Result<Control> {
        place::prepare(dir)?;
        let path = dir.join(format!("{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Control { listener, path })
    }

    /// Answers in a thread of its own until the capture ends. What goes wrong there ends nothing else. Gives the descriptor
    /// that it accepts on.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(
        &self,
        so_far: impl Fn() -> Result<SoFar, Unanswered> + Send + 'static,
        rights: Rights,
    ) -> io::Result<RawFd> {
        let listener = self.listener.try_clone()?;
        let accepts_on = listener.as_raw_fd();
        std::thread::Builder::new()
            .name("cirron-control".into())
            .spawn(move || {
                rights.keep_nothing();
                serve(&listener, &so_far);
            })
            .map(|_| accepts_on)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(listener: &UnixListener, so_far: &impl Fn() -> Result<SoFar, Unanswered>) {
    let mut clients = Clients::default();
    let mut due = Instant::now();
    loop {
        // With nobody there it sleeps until somebody comes.
        let left = due.saturating_duration_since(Instant::now());
        let limit = (!clients.is_empty()).then_some(Timespec {
            tv_sec: 0,
            tv_nsec: left.min(Duration::from_millis(999)).subsec_nanos().into(),
        });
        let _ = rustix::event::poll(&mut [PollFd::new(listener, PollFlags::IN)], limit.as_ref());
        while let Ok((stream, _)) = listener.accept() {
            if clients.add(stream) {
                // The first line at once.
                due = Instant::now();
            }
        }
        if clients.is_empty() || Instant::now() < due {
            continue;
        }
        due = Instant::now() + INTERVAL;
        match so_far() {
            Ok(so_far) => clients.tell(&line(&so_far)),
            Err(Unanswered::Ended) => return,
            Err(e) => tracing::debug!("nothing to tell at the socket: {e}"),
        }
    }
}

fn line(so_far: &SoFar) -> Vec<u8> {
    let SoFar {
        summary,
        targets,
        open,
        at,
    } = so_far;
    let rows = open.first.iter().map(|row| Open {
        name: row.name.to_string(),
        endpoint: row.about.endpoint.clone(),
        model: row.about.model.clone(),
        pid: row.origin.start.pid,
        age_ns: row.age_ns(*at),
        first_token_ns: row.to_first_token_ns(),
        tokens: row.about.tokens,
    });
    let live = Live {
        pid: std::process::id(),
        spool_dir: summary.spool_path.clone(),
        duration_s: summary.duration_s,
        targets: *targets,
        line: summary.line(),
        open: rows.collect(),
        others: open.others,
    };
    let mut line = serde_json::to_vec(&live).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::{BufRead as _, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use cirron_core::scope::Rows;
    use cirron_core::time::MonoNs;

    use super::*;
    use crate::driver::summary::Summary;
    use crate::driver::summary::tests::report;

    fn so_far() -> Result<SoFar, Unanswered> {
        Ok(SoFar {
            summary: Summary::from_report(&report(), 1.5, Some(Path::new("/x/spool"))),
            targets: 2,
            open: Rows::default(),
            at: MonoNs(0),
        })
    }

    #[test]
    fn whoever_may_ask_hears_a_line_and_the_socket_goes_with_the_capture() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("run");
        let control = Control::open(&dir).unwrap();
        control.start(so_far, Rights::unchanged()).unwrap();
        assert_eq!(
            std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let all = sockets(&dir);
        assert_eq!(all, [dir.join(format!("{}.sock", std::process::id()))]);
        let mut text = String::new();
        let mut stream = BufReader::new(UnixStream::connect(&all[0]).unwrap());
        stream.read_line(&mut text).unwrap();
        let live: Live = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (live.targets, live.line, live.pid),
            (2, so_far().unwrap().summary.line(), std::process::id())
        );
        assert_eq!(
            (live.spool_dir.as_deref(), live.duration_s),
            (Some("/x/spool"), 1.5)
        );
        drop(control);
        assert_eq!(sockets(&dir), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_socket_that_a_killed_agent_left_is_replaced_and_a_directory_for_all_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("run");
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
        let own = dir.join(format!("{}.sock", std::process::id()));
        drop(UnixListener::bind(&own).unwrap());
        drop(UnixListener::bind(dir.join("1.sock")).unwrap());
        drop(Control::open(&dir).unwrap());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).unwrap();
        let refused = Control::open(&dir).unwrap_err();
        assert!(refused.to_string().contains("only its owner"), "{refused}");
    }
}
