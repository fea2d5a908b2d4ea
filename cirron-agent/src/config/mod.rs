//! The configuration file: TOML, read at the start and again whenever it changes.
//!
//! ```text
//!  --config FILE -> file: TOML as values, with lines --> cirron_core::rules (what the values mean) --> the core
//!                     ^                                                                                 ^
//!                   watch: every second, SIGHUP --------------- Commands::set_rules --------------------'
//! ```
//! A file that is wrong is refused whole, with every wrong key and value, its line and what would be right: at the start
//! the agent does not start, later what held before holds on. Flags are a layer before the environment ([`environment`]),
//! that one before the file. `cirron_core::rules`
//! lists the keys; `docs/cirron-agent.toml` has each of them.

pub mod environment;
mod file;
pub mod misspelt;
pub mod watch;

use std::path::{Path, PathBuf};

use cirron_core::rules::{Rules, Sections, TargetRules, flags_layer, rules_alone};
use serde_json::{Value, json};

use self::file::Document;
use crate::targets::shipped;

/// Bytes of the file. Rules have a bound of their own; past it this is no file of ours.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where rules and settings come from, beside targets: flags, the environment, and a file if one was named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// `--chunk-timing`
    pub chunk_timing: bool,
    /// `--net-scopes`
    pub net_scopes: bool,
    /// What the environment says, as a file would.
    pub environment: Option<Value>,
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
    /// Settings.
    pub sections: Sections,
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
        let text = self.file.as_deref().map(text).transpose()?;
        let document = self.file.as_deref().zip(text.as_deref());
        let document = document.map(|(path, text)| {
            let read = Document::parse(text).map_err(|e| ConfigError::Syntax {
                path: path.to_owned(),
                line: e.line,
                column: e.column,
                what: e.what,
            });
            read.map(|document| (path, document))
        });
        let document = document.transpose()?;
        let file = document.as_ref().map(|(_, document)| document.value());
        let places = [&self.environment, &file];
        // The layers of rules are numbered as they stand; one that nobody wrote is left out, but before another.
        let mut layers: Vec<Value> = Vec::new();
        let mut files: Vec<(usize, &Value)> = Vec::new();
        if flags.is_some() || places.iter().any(|place| place.is_some()) {
            layers.push(flags.unwrap_or(json!({})));
        }
        for place in places.into_iter().flatten() {
            files.push((layers.len(), place));
            layers.push(rules_alone(place.clone()));
        }
        let targets = TargetRules::read(&files, &shipped());
        let problems = match (Rules::read(layers), targets, Sections::read(&files)) {
            (Ok(rules), Ok(targets), Ok(sections)) => {
                return Ok(Configuration {
                    rules,
                    targets,
                    sections,
                });
            }
            (rules, targets, sections) => [rules.err(), targets.err(), sections.err()],
        };
        let said = problems.into_iter().flatten().flatten().map(|problem| {
            let is_file = file.is_some() && files.last().is_some_and(|(n, _)| *n == problem.layer);
            match document.as_ref().filter(|_| is_file) {
                Some((path, document)) => {
                    let (line, column) = document.place(&problem.at, problem.is_key);
                    format!("{}:{line}:{column}: {problem}", path.display())
                }
                None if self.environment.is_some() => environment::shown(&problem),
                None => problem.to_string(),
            }
        });
        Err(ConfigError::Wrong(said.collect::<Vec<_>>().join("\n")))
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

#[cfg(test)]
mod tests;
