//! The environment variables that the agent reads. The SDK reads them too, so a value that is not
//! taken is no error; but it is said, with what is taken instead.

use std::ffi::OsString;
use std::fmt::Display;

use cirron_spool::shown::shown_bytes;

/// The variables, and what has to be said of them.
pub struct Environment<'e> {
    get: &'e dyn Fn(&str) -> Option<OsString>,
    names: Vec<String>,
    memory: Option<u64>,
    warnings: Vec<String>,
}

impl<'e> Environment<'e> {
    /// Of what `get` gives by name, and a cgroup that allows `memory` bytes.
    pub fn new(get: &'e dyn Fn(&str) -> Option<OsString>, memory: Option<u64>) -> Environment<'e> {
        Environment {
            get,
            names: Vec::new(),
            memory,
            warnings: Vec::new(),
        }
    }

    /// The same, where these are the names of all variables.
    #[must_use]
    pub fn with_names(self, names: Vec<String>) -> Environment<'e> {
        Environment { names, ..self }
    }

    /// The names of all variables that are set, as far as that is known.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Bytes that are allowed, where there is a limit.
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// A variable that is set to something.
    pub fn set(&self, name: &str) -> Option<OsString> {
        (self.get)(name).filter(|value| !value.is_empty())
    }

    /// A variable's value as `parse` takes it, else `default`, which is said: `form` is what the value
    /// should look like, `shown` how the default is written.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        form: &str,
        (default, shown): (T, &str),
    ) -> T {
        let Some(value) = self.set(name) else {
            return default;
        };
        value
            .to_str()
            .and_then(|text| parse(text.trim()))
            .unwrap_or_else(|| {
                self.not_taken(name, &value, &format!("is not {form}"), shown);
                default
            })
    }

    /// Says that a value is not taken, and why.
    pub fn not_taken(&mut self, name: &str, value: &OsString, why: &str, taken: impl Display) {
        let value = shown_bytes(value.as_encoded_bytes());
        self.warn(format!("{name}={value} {why}; {taken} is taken"));
    }

    /// Says something.
    pub fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// What is to be said.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }
}
