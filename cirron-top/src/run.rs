//! The loop: what came is taken, what is typed is obeyed, what stands is drawn.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, mpsc::Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::board::Board;
use crate::feed::Feed;
use crate::live::{Live, MAX_LINE_BYTES};
use crate::screen::{App, Flow};
use crate::text;
use crate::view::{Choice, View};

/// Time between two drawings. The spool has news once a second.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// The time that an agent has to say its first line: it says one a second.
const FIRST_LINE: Duration = Duration::from_secs(3);

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The spools.
    pub spools: Vec<PathBuf>,
    /// The agents' sockets.
    pub sockets: Vec<PathBuf>,
    /// How long the figures reach back.
    pub window: Duration,
    /// Says it once, after that time, and ends.
    pub once: Option<Duration>,
    /// As JSON.
    pub json: bool,
    /// Whether colours may be used.
    pub color: bool,
}

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing can be drawn.
    #[error(
        "the terminal cannot be used: {0}\n  without one, `top --once` says the same in text, and `--once --json` for scripts"
    )]
    Terminal(io::Error),
    /// Nothing can be written.
    #[error("standard output: {0}")]
    Output(io::Error),
}

/// Shows it until it is told to end, or once. `lives`: whether what is looked at may still come; asked now and then.
///
/// # Errors
/// Where the terminal or standard output cannot be used.
pub fn run(options: &Options, lives: &mut dyn FnMut() -> bool) -> Result<(), Error> {
    let mut source = Source::new(options);
    if let Some(after) = options.once {
        return once(options, &mut source, after, lives);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
        signal_hook::consts::SIGINT,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Error::Terminal)?;
    }
    let mut terminal = ratatui::try_init().map_err(Error::Terminal)?;
    let shown = show(&mut terminal, options, &mut source, &stop, lives);
    ratatui::restore();
    shown
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    options: &Options,
    source: &mut Source,
    stop: &AtomicBool,
    lives: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let mut app = App::new(options.color);
    loop {
        let view = source.view();
        let is_over = !lives();
        app.set(view, source.notes(is_over));
        let drawn = terminal.draw(|frame| app.draw(frame, &source.board));
        drawn.map_err(Error::Terminal)?;
        let until = Instant::now() + INTERVAL;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if !ratatui::crossterm::event::poll(left.min(Duration::from_millis(100)))
                .map_err(Error::Terminal)?
            {
                if left.is_zero() {
                    break;
                }
                continue;
            }
            let event = ratatui::crossterm::event::read().map_err(Error::Terminal)?;
            if app.handle(&event, &source.board) == Flow::Quit {
                return Ok(());
            }
            // What is typed is seen at once.
            let drawn = terminal.draw(|frame| app.draw(frame, &source.board));
            drawn.map_err(Error::Terminal)?;
        }
    }
}

fn once(
    options: &Options,
    source: &mut Source,
    after: Duration,
    lives: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let until = Instant::now() + after;
    while Instant::now() < until && lives() {
        source.view();
        std::thread::sleep(INTERVAL.min(until.saturating_duration_since(Instant::now())));
    }
    source.wait_for_agents(FIRST_LINE);
    let view = source.view();
    let mut out = io::stdout().lock();
    let written = if options.json {
        serde_json::to_writer(&mut out, &view)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        let notes = source.notes(false);
        text::write(&view, &Choice::default(), &notes, &mut out)
    };
    written.and_then(|()| out.flush()).map_err(Error::Output)
}

/// Where the view comes from.
struct Source {
    board: Board,
    feeds: Vec<Feed>,
    agents: Vec<Agent>,
}

/// An agent that is asked.
struct Agent {
    lines: Receiver<Live>,
    last: Option<Live>,
    is_gone: bool,
}

impl Source {
    fn new(options: &Options) -> Source {
        let window_ns = u64::try_from(options.window.as_nanos()).unwrap_or(u64::MAX);
        let from = wall_ns().saturating_sub(window_ns);
        let mut board = Board::new(window_ns);
        // What the spool has of the window is all that ended in it.
        board.begin(from);
        Source {
            board,
            feeds: options
                .spools
                .iter()
                .map(|path| Feed::new(path.clone(), from))
                .collect(),
            agents: options
                .sockets
                .iter()
                .map(|path| Agent::ask(path))
                .collect(),
        }
    }

    fn view(&mut self) -> View {
        let now = wall_ns();
        for feed in &mut self.feeds {
            feed.read(&mut |request| self.board.take(request));
            feed.forget_before(now.saturating_sub(self.board.window_ns()));
        }
        self.agents.iter_mut().for_each(Agent::hear);
        let live: Vec<Live> = self
            .agents
            .iter()
            .filter(|a| !a.is_gone)
            .filter_map(|a| a.last.clone())
            .collect();
        self.board.view(now, &live)
    }

    fn wait_for_agents(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        let waits = |agent: &Agent| agent.last.is_none() && !agent.is_gone;
        while self.agents.iter().any(waits) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
            self.agents.iter_mut().for_each(Agent::hear);
        }
    }

    /// What a reader has to know besides.
    fn notes(&self, is_over: bool) -> Vec<String> {
        let mut notes = Vec::new();
        for feed in self.feeds.iter().filter(|feed| !feed.is_there()) {
            notes.push(format!("no spool yet in {}", feed.path().display()));
        }
        let damaged: usize = self
            .feeds
            .iter()
            .map(|feed| feed.left().damaged + feed.left().unreadable)
            .sum();
        if damaged > 0 {
            notes.push(format!("{damaged} batches could not be read"));
        }
        if is_over || self.agents.iter().any(|agent| agent.is_gone) {
            notes.push("the agent has ended: nothing new will come".to_owned());
        } else if self.agents.is_empty() {
            notes.push("no agent is asked: what goes on is unknown".to_owned());
        }
        notes
    }
}

impl Agent {
    fn ask(path: &Path) -> Agent {
        let (tell, lines) = channel();
        let path = path.to_owned();
        // It ends with the process, or when nobody listens.
        std::thread::spawn(move || drop(listen(&path, &tell)));
        Agent {
            lines,
            last: None,
            is_gone: false,
        }
    }

    fn hear(&mut self) {
        loop {
            match self.lines.try_recv() {
                Ok(live) => self.last = Some(live),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.is_gone = true;
                    return;
                }
            }
        }
    }
}

/// What an agent says now; `None` where it does not within `limit`.
pub fn ask(path: &Path, limit: Duration) -> Option<Live> {
    Agent::ask(path).lines.recv_timeout(limit).ok()
}

/// Hands on an agent's lines until it ends.
fn listen(path: &Path, tell: &Sender<Live>) -> io::Result<()> {
    let mut stream = BufReader::new(UnixStream::connect(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = stream
            .by_ref()
            .take(MAX_LINE_BYTES as u64)
            .read_until(b'\n', &mut line)?;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok(());
        }
        if tell.send(serde_json::from_slice(&line)?).is_err() {
            return Ok(());
        }
    }
}

fn wall_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_agent_s_lines_are_heard_and_its_end_too() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("7.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let options = Options {
            spools: vec![tmp.path().join("none")],
            sockets: vec![path],
            window: Duration::from_secs(60),
            once: None,
            json: false,
            color: false,
        };
        let mut source = Source::new(&options);
        let (mut stream, _) = listener.accept().unwrap();
        writeln!(
            stream,
            r#"{{"pid": 7, "targets": 2, "line": "all is well", "others": 4}}"#
        )
        .unwrap();
        source.wait_for_agents(Duration::from_secs(10));
        let view = source.view();
        assert_eq!(view.open, Some(4));
        assert_eq!(view.agents, [(7, 2, "all is well".to_owned())]);
        assert!(source.notes(false)[0].starts_with("no spool yet in "));
        drop(stream);
        let until = Instant::now() + Duration::from_secs(10);
        while source.view().open.is_some() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(source.view().open, None);
        assert!(
            source
                .notes(false)
                .iter()
                .any(|note| note.contains("has ended"))
        );
    }
}
