//! Arguments of a call, as its pieces bring them: whether what came so far is whole.
//!
//! They are a text that holds JSON. Only its brackets and quotes are looked at, and nothing of it is kept: a
//! piece is what it does to the text before it.

/// Where a text stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Outside,
    /// In a string.
    Inside,
    /// Behind a backslash.
    Escaped,
}

const PLACES: [Place; 3] = [Place::Outside, Place::Inside, Place::Escaped];

/// What one piece does to the text before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Arguments {
    /// It has none, or they are no text.
    #[default]
    Unseen,
    /// The text is empty.
    Empty,
    /// By where the text before it ended: brackets opened less those closed, and where it ends.
    Text([(i32, Place); 3]),
    /// It is too long to be looked at.
    Long,
}

impl Arguments {
    /// Of a piece that is `text`, or begins with it and was `cut`.
    pub(super) fn reading(text: &str, cut: bool) -> Arguments {
        match (text, cut) {
            (_, true) => Arguments::Long,
            ("", false) => Arguments::Empty,
            (text, false) => Arguments::Text(PLACES.map(|from| walk(text, from))),
        }
    }
}

fn walk(text: &str, mut place: Place) -> (i32, Place) {
    let mut depth = 0_i32;
    for b in text.bytes() {
        place = match (place, b) {
            (Place::Outside, b'"') | (Place::Escaped, _) => Place::Inside,
            (Place::Inside, b'"') => Place::Outside,
            (Place::Inside, b'\\') => Place::Escaped,
            (_, _) => place,
        };
        if place == Place::Outside {
            depth = match b {
                b'{' | b'[' => depth.saturating_add(1),
                b'}' | b']' => depth.saturating_sub(1),
                _ => depth,
            };
        }
    }
    (depth, place)
}

/// The text of all pieces so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SoFar {
    depth: i32,
    place: Place,
    began: bool,
    long: bool,
}

impl SoFar {
    /// The next piece.
    pub(super) fn push(&mut self, piece: Arguments) {
        match piece {
            Arguments::Unseen | Arguments::Empty => {}
            Arguments::Long => {
                self.began = true;
                self.long = true;
            }
            Arguments::Text(from) => {
                let at = PLACES.iter().position(|place| *place == self.place);
                let (depth, place) = at.and_then(|at| from.get(at)).copied().unwrap_or_default();
                self.depth = self.depth.saturating_add(depth);
                self.place = place;
                self.began = true;
            }
        }
    }

    /// Some of it came.
    pub(super) fn has_begun(&self) -> bool {
        self.began
    }

    /// More of it must follow; of a long text nobody knows.
    pub(super) fn is_open(&self) -> bool {
        !self.long && (!self.began || self.depth > 0 || self.place != Place::Outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(pieces: &[&str]) -> bool {
        let mut so_far = SoFar::default();
        for piece in pieces {
            so_far.push(Arguments::reading(piece, false));
        }
        so_far.is_open()
    }

    #[test]
    fn what_is_whole_is_so_on_every_cut() {
        let text = r#"{"a":["]}",{"b":"\\\""}],"c":1}"#;
        let chars: Vec<String> = text.chars().map(String::from).collect();
        let chars: Vec<&str> = chars.iter().map(String::as_str).collect();
        for n in 0..=chars.len() {
            assert_eq!(is_open(&chars[..n]), n < chars.len(), "{n}");
            assert_eq!(is_open(&[&text[..n]]), n < text.len(), "{n}");
            assert!(!is_open(&[&text[..n], &text[n..]]), "{n}");
        }
        assert!(is_open(&[""]) && !is_open(&["null"]));
        let mut long = SoFar::default();
        long.push(Arguments::reading("{", true));
        assert!(!long.is_open() && long.has_begun());
    }
}
