//! Rules of `--usdt`: which probes of others become scopes and marks, and which of their arguments are told.
//!
//! ```text
//! PROVIDER:PROBE=begin|end|mark[:NAME][([ATTRIBUTE=]N[:FORM],...)]
//! ```
//! `*` in the provider or the probe stands for any text. Nothing is looked up here: text in, rule out.

use cirron_common::hit::{MAX_TEXTS, MAX_VALUES, form, role};
use thiserror::Error;

/// Bytes of a name that somebody gives; the spool keeps no more.
const MAX_NAME_BYTES: usize = 128;
/// Arguments that are asked for; `sdt.h` gives no more than 12.
const MAX_INDEX: u8 = 11;

/// Forms of an argument, as they are written.
const FORMS: [(&str, u8); 5] = [
    ("int", form::INT),
    ("uint", form::UINT),
    ("float", form::FLOAT),
    ("bool", form::BOOL),
    ("str", form::TEXT),
];

/// Roles, as they are written.
const ROLES: [(&str, u8); 3] = [
    ("begin", role::BEGIN),
    ("end", role::END),
    ("mark", role::POINT),
];

/// An argument that is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Its number, from 0 on.
    pub index: u8,
    /// One of `cirron_common::hit::form`; `None`: as the note says.
    pub form: Option<u8>,
    /// Its name as an attribute.
    pub name: String,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// As it was written.
    pub text: String,
    provider: String,
    probe: String,
    /// One of `cirron_common::hit::role`.
    pub role: u8,
    name: Option<String>,
    /// What is told of each hit.
    pub values: Vec<Wanted>,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoRule {
    /// It has not its form.
    #[error(
        "not PROVIDER:PROBE=begin|end|mark[:NAME][(N[:FORM],...)], as in python:gc__start=begin:gc"
    )]
    Form,
    /// The role is none of ours.
    #[error("{0:?} is none of begin, end, mark")]
    Role(String),
    /// The form of an argument is none of ours.
    #[error("{0:?} is none of int, uint, float, bool, str")]
    ArgumentForm(String),
    /// The number of an argument is none.
    #[error("{0:?} is no number of an argument, which are 0 to {MAX_INDEX}")]
    Argument(String),
    /// A name has no bytes, or too many.
    #[error("a name has 1 to {MAX_NAME_BYTES} bytes")]
    Name,
    /// More than a hit has room for.
    #[error("more than {MAX_VALUES} arguments, or {MAX_TEXTS} of them str")]
    Many,
    /// The provider of `cirron-probe`.
    #[error("probes of cirron-probe need no rule")]
    Ours,
}

impl std::str::FromStr for Rule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Rule, NoRule> {
        let (probe, meaning) = text.split_once('=').ok_or(NoRule::Form)?;
        let (provider, probe) = probe.split_once(':').ok_or(NoRule::Form)?;
        if provider.is_empty() || probe.is_empty() {
            return Err(NoRule::Form);
        }
        if provider == super::provider::PROVIDER {
            return Err(NoRule::Ours);
        }
        let (meaning, values) = match meaning.split_once('(') {
            Some((meaning, values)) => (meaning, values.strip_suffix(')').ok_or(NoRule::Form)?),
            None => (meaning, ""),
        };
        let (role, name) = match meaning.split_once(':') {
            Some((role, name)) => (role, Some(named(name)?)),
            None => (meaning, None),
        };
        let found = ROLES.iter().find(|(word, _)| *word == role);
        let (_, role) = *found.ok_or_else(|| NoRule::Role(role.to_owned()))?;
        let values = self::values(values)?;
        Ok(Rule {
            text: text.to_owned(),
            provider: provider.to_owned(),
            probe: probe.to_owned(),
            role,
            name,
            values,
        })
    }
}

/// A list of arguments that are told.
///
/// # Errors
/// Where one is none, or they are too many.
pub fn values(text: &str) -> Result<Vec<Wanted>, NoRule> {
    let values = text.split(',').map(str::trim).filter(|v| !v.is_empty());
    let values: Vec<Wanted> = values.map(wanted).collect::<Result<_, _>>()?;
    let texts = values.iter().filter(|v| v.form == Some(form::TEXT));
    if values.len() > MAX_VALUES || texts.count() > MAX_TEXTS {
        return Err(NoRule::Many);
    }
    Ok(values)
}

/// A name that somebody gives.
///
/// # Errors
/// Where it has no bytes, or too many.
pub fn named(name: &str) -> Result<String, NoRule> {
    match name.len() {
        1..=MAX_NAME_BYTES => Ok(name.to_owned()),
        _ => Err(NoRule::Name),
    }
}

fn wanted(text: &str) -> Result<Wanted, NoRule> {
    let (name, rest) = match text.split_once('=') {
        Some((name, rest)) => (Some(named(name)?), rest),
        None => (None, text),
    };
    let (index, form) = match rest.split_once(':') {
        Some((index, form)) => (index, Some(form)),
        None => (rest, None),
    };
    let form = form.map(|form| {
        let found = FORMS.iter().find(|(word, _)| *word == form);
        let (_, form) = found.ok_or_else(|| NoRule::ArgumentForm(form.to_owned()))?;
        Ok(*form)
    });
    let number: Option<u8> = index.parse().ok().filter(|index| *index <= MAX_INDEX);
    let index = number.ok_or_else(|| NoRule::Argument(index.to_owned()))?;
    Ok(Wanted {
        index,
        form: form.transpose()?,
        name: name.unwrap_or_else(|| format!("arg{index}")),
    })
}

impl Rule {
    /// Whether it is of this probe.
    pub fn is_of(&self, provider: &str, probe: &str) -> bool {
        matches(&self.provider, provider) && matches(&self.probe, probe)
    }

    /// Name of the scope or mark that it makes of this probe.
    pub fn name<'a>(&'a self, probe: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(probe)
    }
}

/// Whether `text` is what `pattern` says, in which `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule, NoRule> {
        text.parse()
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let short = rule("python:gc__start=begin").unwrap();
        assert_eq!(
            (short.role, short.name("gc__start")),
            (role::BEGIN, "gc__start")
        );
        assert_eq!(short.values, []);
        let long = rule("postgresql:query__*=mark:sql(text=0:str,1,took=2:float,3:bool)").unwrap();
        assert_eq!((long.role, long.name("query__done")), (role::POINT, "sql"));
        let values: Vec<(&str, u8, Option<u8>)> = long
            .values
            .iter()
            .map(|v| (v.name.as_str(), v.index, v.form))
            .collect();
        assert_eq!(
            values,
            [
                ("text", 0, Some(form::TEXT)),
                ("arg1", 1, None),
                ("took", 2, Some(form::FLOAT)),
                ("arg3", 3, Some(form::BOOL)),
            ]
        );
        assert!(long.is_of("postgresql", "query__done") && !long.is_of("postgresql", "sort__done"));
        assert_eq!(rule("a:b=end:c()").unwrap().role, role::END);
    }

    #[test]
    fn what_is_no_rule_says_what_is_wrong() {
        let texts = "a:b=mark:n(0:str,1:str,2:str,3:str)";
        let values = "a:b=mark:n(0,1,2,3,4,5,6,7,8)";
        for (text, why) in [
            ("a:b", NoRule::Form),
            ("a=mark", NoRule::Form),
            (":b=mark", NoRule::Form),
            ("a:=mark", NoRule::Form),
            ("a:b=mark(0", NoRule::Form),
            ("a:b=span", NoRule::Role("span".to_owned())),
            ("a:b=mark:", NoRule::Name),
            ("a:b=mark:n(=0)", NoRule::Name),
            ("a:b=mark:n(x)", NoRule::Argument("x".to_owned())),
            ("a:b=mark:n(12)", NoRule::Argument("12".to_owned())),
            (
                "a:b=mark:n(0:text)",
                NoRule::ArgumentForm("text".to_owned()),
            ),
            (texts, NoRule::Many),
            (values, NoRule::Many),
            ("cirron:mark=mark", NoRule::Ours),
        ] {
            assert_eq!(rule(text), Err(why), "{text}");
        }
        let long = format!("a:b=mark:{}", "n".repeat(MAX_NAME_BYTES + 1));
        assert_eq!(rule(&long), Err(NoRule::Name));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, yes, no) in [
            ("a", &["a"][..], &["", "ab", "ba"][..]),
            ("*", &["", "a", "a*b"], &[]),
            ("a*", &["a", "ab"], &["ba", ""]),
            ("*a", &["a", "ba", "aa"], &["ab", ""]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab"]),
            (
                "a*b*c",
                &["abc", "axbyc", "abbc", "abcbc"],
                &["acb", "ac", "abcd"],
            ),
            ("**", &["", "x"], &[]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} {text}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} {text}");
            }
        }
    }
}
