//! What conditions compare with: texts with `*`, paths, ranges of statuses. Compiled when a rule is read.
//!
//! No pattern looks back further than to its last `*`, so that the time for one text is bounded by the product of both
//! lengths, and both have a limit.

use std::ops::RangeInclusive;

use super::schema::{MAX_TEXT_BYTES, Wrong};

/// A text in which `*` stands for any characters, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// `None` where there is no text, or too much.
    pub fn of_text(text: &str) -> Option<Glob> {
        Glob::new(text).ok()
    }

    pub(super) fn new(text: &str) -> Result<Glob, Wrong> {
        if text.is_empty() || text.len() > MAX_TEXT_BYTES {
            return Err(Wrong::Value);
        }
        Ok(Glob(text.to_owned()))
    }

    /// Whether a text is one of those.
    pub fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }
}

/// Two fingers: behind the last `*` that was met the text is tried again from one byte further on.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b) if text.get(t) == Some(b) => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((at, from)) = star else {
                    return false;
                };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|b| *b == b'*')
}

/// A segment of a path's pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// This text, `*` within it for any characters of one segment.
    Text(Glob),
    /// `{name}`: any text, at least a character.
    Named,
    /// `**`: any number of segments, none included. One at most in a pattern.
    Rest,
}

impl Segment {
    fn matches(&self, segment: &str) -> bool {
        match self {
            Segment::Text(glob) => glob.matches(segment),
            Segment::Named => !segment.is_empty(),
            Segment::Rest => false,
        }
    }
}

/// A path: `/v1/*`, `/static/**`, `/users/{id}/items`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    text: String,
    /// Those before `**`, or all.
    front: Vec<Segment>,
    /// Those behind it, where it is there.
    back: Option<Vec<Segment>>,
    is_template: bool,
}

/// Segments of a path's pattern. Longer paths exist; nobody tells them apart by their 33rd segment.
const MAX_SEGMENTS: usize = 32;

impl PathPattern {
    pub(super) fn new(text: &str) -> Result<PathPattern, Wrong> {
        let is_path = text.starts_with('/') || text == "*";
        if !is_path || text.len() > MAX_TEXT_BYTES || text.contains(['?', '#']) {
            return Err(Wrong::Value);
        }
        let mut front = Vec::new();
        let mut back = None;
        let mut is_template = false;
        for part in text.split('/') {
            let segment = segment(part)?;
            is_template |= segment == Segment::Named;
            match (segment, &mut back) {
                (Segment::Rest, None) => back = Some(Vec::new()),
                (Segment::Rest, Some(_)) => return Err(Wrong::Value),
                (segment, None) => front.push(segment),
                (segment, Some(back)) => back.push(segment),
            }
        }
        if front.len() + back.as_ref().map_or(0, Vec::len) > MAX_SEGMENTS {
            return Err(Wrong::Value);
        }
        Ok(PathPattern {
            text: text.to_owned(),
            front,
            back,
            is_template,
        })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let fits = |pattern: &Segment, part: Option<&str>| part.is_some_and(|p| pattern.matches(p));
        if !self.front.iter().all(|s| fits(s, segments.next())) {
            return false;
        }
        let Some(back) = &self.back else {
            return segments.next().is_none();
        };
        back.iter().rev().all(|s| fits(s, segments.next_back()))
    }

    /// Its text, where it names segments: what the paths that it matches have in common.
    pub(crate) fn template(&self) -> Option<&str> {
        Some(self.text.as_str()).filter(|_| self.is_template)
    }
}

fn segment(part: &str) -> Result<Segment, Wrong> {
    if part == "**" {
        return Ok(Segment::Rest);
    }
    let name = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
    if let Some(name) = name {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let named = !name.is_empty() && name.chars().all(is_name);
        return if named {
            Ok(Segment::Named)
        } else {
            Err(Wrong::Value)
        };
    }
    if part.contains(['{', '}']) || part.contains("**") {
        return Err(Wrong::Value);
    }
    // An empty one stands before the first slash, and behind one at the end.
    Ok(Segment::Text(Glob(part.to_owned())))
}

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statuses(u16, u16);

impl Statuses {
    /// `404`, `4xx`, `400-499`.
    pub(super) fn new(text: &str) -> Result<Statuses, Wrong> {
        let status = |text: &str| {
            let known = text.parse::<u16>().ok().filter(|s| (100..=999).contains(s));
            known.ok_or(Wrong::Value)
        };
        if let [class @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] = text.as_bytes() {
            let first = u16::from(class - b'0') * 100;
            return Ok(Statuses(first, first + 99));
        }
        let (from, to) = match text.split_once('-') {
            Some((from, to)) => (status(from.trim())?, status(to.trim())?),
            None => (status(text)?, status(text)?),
        };
        match from <= to {
            true => Ok(Statuses(from, to)),
            false => Err(Wrong::Value),
        }
    }

    pub(crate) fn has(self, status: u16) -> bool {
        (self.0..=self.1).contains(&status)
    }
}

/// `8000`, `8000-8010`.
pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    let port = |text: &str| {
        let known = text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        known.ok_or(Wrong::Value)
    };
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = port(from)?..=port(to)?;
    match range.is_empty() {
        true => Err(Wrong::Value),
        false => Ok(range),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, yes, no) in [
            ("gpt-*", &["gpt-", "gpt-4o"][..], &["gpt", "xgpt-4"][..]),
            ("*", &["", "a"], &[]),
            ("a*b*c", &["abc", "a1b2c", "abbcc"], &["ab", "acb", "abcd"]),
            ("llama", &["llama"], &["llama3", "Llama"]),
            ("**x", &["x", "yx"], &["xy"]),
        ] {
            let glob = Glob::new(pattern).unwrap();
            for text in yes {
                assert!(glob.matches(text), "{pattern} {text}");
            }
            for text in no {
                assert!(!glob.matches(text), "{pattern} {text}");
            }
        }
        assert!(Glob::new("").is_err());
        assert!(Glob::new(&"x".repeat(MAX_TEXT_BYTES + 1)).is_err());
    }

    #[test]
    fn a_path_is_compared_segment_by_segment() {
        for (pattern, yes, no) in [
            (
                "/healthz",
                &["/healthz"][..],
                &["/healthz/", "/", "/healthz/x"][..],
            ),
            (
                "/v1/*",
                &["/v1/chat", "/v1/"],
                &["/v1", "/v1/chat/completions"],
            ),
            (
                "/static/**",
                &["/static/a", "/static/a/b", "/static", "/static/"],
                &["/statics"],
            ),
            (
                "/**/metrics",
                &["/metrics", "/a/b/metrics"],
                &["/metrics/x", "/a/xmetrics"],
            ),
            (
                "/a/**/b/{n}",
                &["/a/b/1", "/a/x/y/b/1"],
                &["/a/b", "/a/b/", "/a/1"],
            ),
            (
                "/users/{id}",
                &["/users/7"],
                &["/users/", "/users", "/users/7/x"],
            ),
            (
                "/v*/models",
                &["/v1/models", "/v/models"],
                &["/v1/x/models"],
            ),
            ("/", &["/"], &["", "/x"]),
            ("*", &["*", "host:443"], &["/x"]),
        ] {
            let pattern = PathPattern::new(pattern).unwrap();
            for path in yes {
                assert!(pattern.matches(path), "{pattern:?} {path}");
            }
            for path in no {
                assert!(!pattern.matches(path), "{pattern:?} {path}");
            }
        }
        for bad in [
            "",
            "v1",
            "/a/**/b/**",
            "/a{x}",
            "/{}",
            "/{a b}",
            "/a**",
            "/a?b",
        ] {
            assert!(PathPattern::new(bad).is_err(), "{bad}");
        }
        assert!(PathPattern::new(&"/a".repeat(MAX_SEGMENTS + 1)).is_err());
        let template = |text| {
            PathPattern::new(text)
                .unwrap()
                .template()
                .map(str::to_owned)
        };
        assert_eq!(template("/users/{id}").as_deref(), Some("/users/{id}"));
        assert_eq!(template("/users/*"), None);
    }

    #[test]
    fn what_stands_on_both_sides_of_two_stars_does_not_overlap() {
        let pattern = PathPattern::new("/a/**/a").unwrap();
        assert!(pattern.matches("/a/a"));
        assert!(!pattern.matches("/a"));
    }

    #[test]
    fn a_long_text_takes_no_long_time() {
        let glob = Glob::new(&"*a".repeat(100)).unwrap();
        assert!(!glob.matches(&"a".repeat(1_000).replace("aa", "ab")[..998].replace('a', "b")));
        assert!(glob.matches(&"a".repeat(1_000)));
    }

    #[test]
    fn statuses_are_one_a_class_or_a_range() {
        let has = |text: &str, status| Statuses::new(text).unwrap().has(status);
        assert!(has("404", 404) && !has("404", 405));
        assert!(has("5xx", 500) && has("5XX", 599) && !has("5xx", 499));
        assert!(has("400-403", 403) && has("400 - 403", 400) && !has("400-403", 404));
        for bad in ["", "xx", "0xx", "99", "1000", "500-400", "4x", "4xxx", "a"] {
            assert!(Statuses::new(bad).is_err(), "{bad}");
        }
    }
}
