//! What names a span, a mark or an attribute.
//!
//! Ours are constants of [`super::names`], and cost no allocation. Somebody else's (a function, a probe, a
//! framework's own scope) come from a stranger's memory: this is the one place where they are bounded and
//! freed of control characters, so that nothing behind it has to.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use crate::limits::MAX_LABEL_BYTES;

/// A name, ours or somebody's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Cow<'static, str>);

impl Label {
    /// A name that is not ours: cut at a character, each control character replaced.
    pub fn foreign(name: &str) -> Label {
        let name = &name[..name.floor_char_boundary(MAX_LABEL_BYTES)];
        let clean = |c: char| if c.is_control() { '?' } else { c };
        Label(Cow::Owned(name.chars().map(clean).collect()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes that it holds besides itself.
    pub fn held_bytes(&self) -> usize {
        match &self.0 {
            Cow::Borrowed(_) => 0,
            Cow::Owned(name) => name.capacity(),
        }
    }
}

impl From<&'static str> for Label {
    fn from(name: &'static str) -> Label {
        Label(Cow::Borrowed(name))
    }
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Label {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_is_bounded_and_has_no_control_characters() {
        let name = Label::foreign("prefill\n\u{1b}[2J\u{9b}é");
        assert_eq!(name.as_str(), "prefill??[2J?é");
        let long = format!("{}é", "x".repeat(MAX_LABEL_BYTES - 1));
        assert_eq!(Label::foreign(&long).len(), MAX_LABEL_BYTES - 1);
        assert!(Label::foreign(&long).held_bytes() >= MAX_LABEL_BYTES - 1);
    }

    #[test]
    fn ours_costs_nothing_and_is_the_same_name() {
        let ours = Label::from("request");
        assert_eq!(ours.held_bytes(), 0);
        assert_eq!(ours, Label::foreign("request"));
        assert_eq!(ours, "request");
    }
}
