//! Rules of `--scope`: which functions become scopes, and which of their arguments are told.
//!
//! ```text
//! IMAGE:FUNCTION[([ATTRIBUTE=]N[:FORM],...)][=NAME]          FUNCTION: a symbol, a name as it is demangled, +0xOFFSET
//! ```
//! `*` stands for any text. A `(` behind a `.` is part of a name, as in Go's `main.(*Server).Handle`. Nothing is looked up here: text in, rule out.

use thiserror::Error;

use crate::probes::usdt::rule::{NoRule, Wanted, matches, named, values};

/// Which functions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// Those whose symbol, or what it is demangled to, is this.
    Named(String),
    /// The one that begins at this offset in the file.
    At(u64),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopeRule {
    /// As it was written.
    pub text: String,
    image: String,
    /// Which functions.
    pub which: Which,
    name: Option<String>,
    /// What is told of each call.
    pub values: Vec<Wanted>,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoScopeRule {
    /// It has not its form.
    #[error("not IMAGE:FUNCTION[(N[:FORM],...)][=NAME], as in server:decode_step(0:int)=decode")]
    Form,
    /// Python's functions.
    #[error(
        "functions of Python have no probe that could be used: most interpreters are built without --with-dtrace, and that of \
         Debian 12 has the probes and reaches them for no call\n  cirron-probe's package marks them with a line"
    )]
    Python,
    /// Its offset is none.
    #[error("{0:?} is no offset, as in +0x1a40")]
    Offset(String),
    /// Its arguments, or its name.
    #[error(transparent)]
    Rest(#[from] NoRule),
}

impl std::str::FromStr for ScopeRule {
    type Err = NoScopeRule;

    fn from_str(text: &str) -> Result<ScopeRule, NoScopeRule> {
        let (image, rest) = text.split_once(':').ok_or(NoScopeRule::Form)?;
        if image == "py" {
            return Err(NoScopeRule::Python);
        }
        let (function, arguments, name) = match split_arguments(rest) {
            Some((function, rest)) => {
                let (arguments, behind) = rest.split_once(')').ok_or(NoScopeRule::Form)?;
                let name = match behind {
                    "" => None,
                    behind => Some(behind.strip_prefix('=').ok_or(NoScopeRule::Form)?),
                };
                (function, arguments, name)
            }
            None => match rest.split_once('=') {
                Some((function, name)) => (function, "", Some(name)),
                None => (rest, "", None),
            },
        };
        if image.is_empty() || function.is_empty() {
            return Err(NoScopeRule::Form);
        }
        Ok(ScopeRule {
            text: text.to_owned(),
            image: image.to_owned(),
            which: match function.strip_prefix('+') {
                Some(offset) => Which::At(offset_in(offset)?),
                None => Which::Named(function.to_owned()),
            },
            name: name.map(named).transpose()?,
            values: values(arguments)?,
        })
    }
}

/// A function's name and what follows the `(` of its arguments.
fn split_arguments(text: &str) -> Option<(&str, &str)> {
    let is_name = |at: &usize| text.get(..*at).is_some_and(|before| before.ends_with('.'));
    let mut open = text.match_indices('(').map(|(at, _)| at);
    let at = open.find(|at| !is_name(at))?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn offset_in(text: &str) -> Result<u64, NoScopeRule> {
    let digits = text.strip_prefix("0x");
    let offset = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    offset.ok_or_else(|| NoScopeRule::Offset(format!("+{text}")))
}

impl ScopeRule {
    /// Whether it is of the file of that path: by its last part, or by the whole where the rule has a `/`.
    pub fn is_of(&self, path: &str) -> bool {
        let base = path.rsplit('/').next().unwrap_or(path);
        matches(
            &self.image,
            if self.image.contains('/') { path } else { base },
        )
    }

    /// Name of the scope that it makes of a function.
    pub fn name<'a>(&'a self, function: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(function)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use cirron_common::hit::form;

    use super::*;

    fn rule(text: &str) -> Result<ScopeRule, NoScopeRule> {
        text.parse()
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let short = rule("server:decode").unwrap();
        assert_eq!(short.which, Which::Named("decode".to_owned()));
        assert_eq!((short.name("decode"), short.values.len()), ("decode", 0));
        assert!(short.is_of("/opt/server") && !short.is_of("/opt/server2"));
        let long = rule("lib*.so:a::b::*(n=0:int,1:str)=step").unwrap();
        assert_eq!(long.which, Which::Named("a::b::*".to_owned()));
        assert_eq!(long.name("a::b::c"), "step");
        assert_eq!(long.values[0].name, "n");
        assert_eq!(long.values[1].form, Some(form::TEXT));
        assert!(long.is_of("/usr/lib/libx.so"));
        let method = rule("app:main.(*Server).Handle(n=1:int)=handle").unwrap();
        assert_eq!(
            method.which,
            Which::Named("main.(*Server).Handle".to_owned())
        );
        assert_eq!((method.name("x"), method.values.len()), ("handle", 1));
        let bare = rule("app:main.(*Server).Handle").unwrap();
        assert_eq!((bare.which, bare.values.len()), (method.which, 0));
        let path = rule("/opt/*/server:+0x1a40=step").unwrap();
        assert_eq!(path.which, Which::At(0x1a40));
        assert!(path.is_of("/opt/a/server") && !path.is_of("/server"));
    }

    #[test]
    fn what_is_no_rule_says_what_is_wrong() {
        for (text, why) in [
            ("server", NoScopeRule::Form),
            (":f", NoScopeRule::Form),
            ("a:", NoScopeRule::Form),
            ("a:f(0", NoScopeRule::Form),
            ("a:f(0)x", NoScopeRule::Form),
            ("py:module.function", NoScopeRule::Python),
            ("a:+12", NoScopeRule::Offset("+12".to_owned())),
            ("a:f=", NoScopeRule::Rest(NoRule::Name)),
            (
                "a:f(x)",
                NoScopeRule::Rest(NoRule::Argument("x".to_owned())),
            ),
        ] {
            assert_eq!(rule(text), Err(why), "{text}");
        }
    }
}
