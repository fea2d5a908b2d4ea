//! Names that many calls share, each kept once. Their number is bounded: what comes later has one name together.

use std::collections::HashMap;

use super::calls::NameId;

/// Different names that are told apart. A page with more rows is read by nobody, and a path with an id in it is
/// another name each time.
const MAX_NAMES: usize = 2_000;

/// Bytes of a name that tell it from others.
pub(crate) const MAX_NAME_BYTES: usize = 160;

/// Names by number; the first is that of what has none, the second that of what came late.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<String>,
    ids: HashMap<String, NameId>,
    max: usize,
}

/// What has no name.
pub(crate) const NONE: NameId = 0;
/// What came when there was no room.
pub(crate) const OTHER: NameId = 1;

impl Names {
    /// `none` and `other` are what those two are called.
    pub(crate) fn new(none: &str, other: &str) -> Names {
        Names {
            names: vec![none.to_owned(), other.to_owned()],
            ids: HashMap::new(),
            max: MAX_NAMES,
        }
    }

    /// The number of a name.
    pub(crate) fn id(&mut self, name: &str) -> NameId {
        if name.is_empty() {
            return NONE;
        }
        let end = name.floor_char_boundary(MAX_NAME_BYTES);
        let name = name.get(..end).unwrap_or(name);
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        if self.ids.len() >= self.max {
            return OTHER;
        }
        let id = self.names.len() as NameId;
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// All of them, by their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = (NameId, &str)> {
        let numbered = self.names.iter().enumerate();
        numbered.map(|(id, name)| (id as NameId, name.as_str()))
    }

    /// The number of a name that has the number `id` in another list made as this one was.
    pub(crate) fn same(&mut self, id: NameId, name: &str) -> NameId {
        if id <= OTHER { id } else { self.id(name) }
    }

    /// The name of a number.
    pub(crate) fn name(&self, id: NameId) -> &str {
        self.names.get(usize::from(id)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_their_number_is_bounded() {
        let mut names = Names::new("(none)", "other");
        let first = names.id("a");
        assert_eq!(names.id("a"), first);
        assert_eq!(names.id(""), NONE);
        for n in 0..MAX_NAMES {
            names.id(&n.to_string());
        }
        assert_eq!(names.id("new"), OTHER);
        assert_eq!(names.name(names.ids["a"]), "a");
        assert_eq!(names.names.len(), MAX_NAMES + 2);
        let mut names = Names::new("", "");
        assert_eq!(names.id(&"é".repeat(500)), names.id(&"é".repeat(501)));
    }
}
