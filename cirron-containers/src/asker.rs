//! A process that asks a kubelet or an API server for somebody who may not.
//!
//! ```text
//!  agent --a line of settings, a blank one for each question--> stdin   asker --HTTPS--> kubelet
//!        <------- an answer for each question, one line ------- stdout
//!                                                             ends with its stdin
//! ```
//! A process, and not a thread nor a socket that is opened before: the agent's seccomp filter holds for all its threads
//! and denies sockets, a connection that a kubelet closes has to be made again, and a library that reads TLS, HTTP and
//! JSON of the network has no business in a process that may look into all others. It is started before the agent gives
//! up the right to start one. Whoever starts it takes its rights away before [`run`]; what it needs is to open sockets,
//! and to read two files.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::about::About;
use crate::ask::ask;

/// Bytes of an answer on the pipe: 4 096 containers of a kilobyte are 4 MiB. What is longer is none.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of settings.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where the list of pods is.
    pub url: String,
    /// The file with the token.
    pub token_file: Option<PathBuf>,
    /// The file with the certificates that sign the answerer's.
    pub ca_file: Option<PathBuf>,
    /// Any certificate is taken.
    pub insecure: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The containers of this node's pods, by id.
    Pods {
        /// They.
        containers: BTreeMap<String, About>,
        /// How many more there were.
        left_out: u64,
    },
    /// There is none.
    None(Trouble),
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What happened.
    pub what: String,
    /// What is to be done about it; `None`: wait.
    pub fix: Option<String>,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fix {
            Some(fix) => write!(f, "{}\n  {fix}", self.what),
            None => write!(f, "{}", self.what),
        }
    }
}

impl Trouble {
    /// Nobody answers, or not as one should. It is asked again.
    pub(crate) fn away(what: String) -> Trouble {
        Trouble { what, fix: None }
    }

    /// Somebody has to do something.
    pub(crate) fn refused(what: String, fix: &str) -> Trouble {
        let fix = Some(fix.to_owned());
        Trouble { what, fix }
    }

    /// A key is not set right.
    pub(crate) fn settings(what: String, key: &str) -> Trouble {
        Trouble::refused(what, &format!("set `[kubernetes] {key}`"))
    }
}

/// Answers until nobody asks any more.
///
/// # Errors
/// Where a pipe is no pipe, or the settings are none.
pub fn run(questions: impl Read, mut answers: impl Write) -> io::Result<()> {
    let mut questions = io::BufReader::new(questions);
    let mut line = String::new();
    let mut next = |line: &mut String| {
        line.clear();
        (&mut questions).take(MAX_LINE_BYTES).read_line(line)
    };
    let mut settings: Option<Settings> = None;
    while next(&mut line)? > 0 {
        if !line.trim().is_empty() {
            settings = Some(serde_json::from_str(&line)?);
            continue;
        }
        let answer = match settings.as_ref().map(ask) {
            Some(Ok((containers, left_out))) => Answer::Pods {
                containers,
                left_out,
            },
            Some(Err(trouble)) => Answer::None(trouble),
            None => Answer::None(Trouble::away("nobody was named to be asked".to_owned())),
        };
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

/// The agent's end of the pipes.
#[derive(Debug)]
pub struct Asking<W, R> {
    questions: W,
    answers: io::BufReader<R>,
}

impl<W: Write, R: Read> Asking<W, R> {
    /// Over the pipes of a process that was started.
    pub fn new(questions: W, answers: R) -> Asking<W, R> {
        let answers = io::BufReader::new(answers);
        Asking { questions, answers }
    }

    /// Tells the process whom to ask from now on.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn set(&mut self, settings: &Settings) -> io::Result<()> {
        let mut line = serde_json::to_string(settings)?;
        line.push('\n');
        self.questions.write_all(line.as_bytes())?;
        self.questions.flush()
    }

    /// Asks, and waits for the answer: some seconds at most.
    ///
    /// # Errors
    /// Where the process has ended, or says what is no answer.
    pub fn ask(&mut self) -> io::Result<Answer> {
        self.questions.write_all(b"\n")?;
        self.questions.flush()?;
        let mut line = Vec::new();
        let mut answers = (&mut self.answers).take(MAX_ANSWER_BYTES);
        answers.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

#[cfg(test)]
#[path = "asker_tests.rs"]
mod tests;
