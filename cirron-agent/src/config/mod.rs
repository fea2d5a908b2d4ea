//! The configuration file: TOML, read at the start and again whenever it changes.
//!
//! ```text
//!  --config FILE -> file: TOML as values, with lines --> cirron_core::rules (what the values mean) --> the core
//!                     ^                                                                                 ^
//!                   watch: every second, SIGHUP --------------- Commands::set_rules --------------------'
//! ```
//! A file that is wrong is refused whole, with every wrong key and value, its line and what would be right: at the start
//! the agent does not start, later what held before holds on. Flags are a layer before the file. `cirron_core::rules`
//! lists the keys; `docs/cirron-agent.toml` has each of them.

mod file;
pub mod watch;

use std::path::{Path, PathBuf};

use cirron_core::rules::{Problem, Rules, TargetRules, flags_layer, without_targets};
use serde_json::{Value, json};

use self::file::Document;
use crate::targets::shipped;

/// Bytes of the file. Rules have a bound of their own; past it this is no file of ours.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where rules come from, beside targets: flags, and a file if one was named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// `--chunk-timing`
    pub chunk_timing: bool,
    /// `--net-scopes`
    pub net_scopes: bool,
    /// `--config`
    pub file: Option<PathBuf>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system said no.
    #[error("{} cannot be read: {why}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// It is no text of ours.
    #[error("{} is larger than 1 MiB\n  name a configuration file", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is no TOML, or not UTF-8.
    #[error("{}:{line}:{column}: {what}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What the parser found.
        what: String,
    },
    /// Keys or values are wrong: all of them, each with its place.
    #[error("{0}")]
    Wrong(String),
}

/// What they give.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Which exchanges are written, and what else of them.
    pub rules: Rules,
    /// Which processes are targets, where nobody names them.
    pub targets: TargetRules,
}

/// A text that is part of the agent, as values; `None`: it is no TOML.
pub fn toml_value(text: &str) -> Option<Value> {
    Document::parse(text).ok().map(|document| document.value())
}

impl Sources {
    /// What they give now.
    ///
    /// # Errors
    /// Where the file cannot be taken.
    pub fn read(&self) -> Result<Configuration, ConfigError> {
        let flags = flags_layer(self.chunk_timing, self.net_scopes);
        let shipped = shipped();
        let Some(path) = &self.file else {
            let rules = Rules::read(flags).map_err(|problems| wrong(&problems, None))?;
            let targets = TargetRules::read(0, &json!({}), &shipped);
            let targets = targets.map_err(|problems| wrong(&problems, None))?;
            return Ok(Configuration { rules, targets });
        };
        let text = text(path)?;
        let document = Document::parse(&text).map_err(|e| ConfigError::Syntax {
            path: path.clone(),
            line: e.line,
            column: e.column,
            what: e.what,
        })?;
        let file = document.value();
        let targets = TargetRules::read(1, &file, &shipped);
        let layers: [Value; 2] = [flags.unwrap_or(json!({})), without_targets(file)];
        let problems = match (Rules::read(layers), targets) {
            (Ok(rules), Ok(targets)) => return Ok(Configuration { rules, targets }),
            (rules, targets) => [rules.err(), targets.err()].into_iter().flatten().flatten(),
        };
        let problems: Vec<Problem> = problems.collect();
        Err(wrong(&problems, Some((path, &document))))
    }
}

fn text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |why| ConfigError::Unreadable {
        path: path.to_owned(),
        why,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let mut file = std::io::Read::take(file, MAX_BYTES + 1);
    std::io::Read::read_to_end(&mut file, &mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|e| {
        let whole = e.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&e.as_bytes()[..whole]).into_owned();
        let (line, column) = file::place(&before, before.len());
        ConfigError::Syntax {
            path: path.to_owned(),
            line,
            column,
            what: "this is not UTF-8".to_owned(),
        }
    })
}

fn wrong(problems: &[Problem], file: Option<(&Path, &Document<'_>)>) -> ConfigError {
    let said = problems.iter().map(|problem| match file {
        Some((path, document)) => {
            let (line, column) = document.place(&problem.at, problem.is_key);
            format!("{}:{line}:{column}: {problem}", path.display())
        }
        None => problem.to_string(),
    });
    ConfigError::Wrong(said.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests;
