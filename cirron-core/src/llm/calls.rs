//! Calls of tools, told apart: a call may come in many pieces, and its name with each of them.
//!
//! What tells: its index, then its id. A piece of a known index with an id that is known for it, or
//! without one, goes on with that call; with another id it is another call (servers that write index 0
//! for all). Without an index the id tells alone. Where neither is told, a piece with the name of the call
//! before goes on with it as long as the arguments of that are not whole; else it is a call:
//! ```text
//!             name, or ""                 name, arguments
//!   (none) ---------------> Empty, Open ------------------> Whole --same name, ""--> Doubtful: a call once
//!                             ^    |same name, or none                               arguments come
//!                             +----+
//! ```
//! Pieces of one document are calls of their own, and so are those whose arguments are no text (Ollama's):
//! such servers write whole ones.

mod arguments;

use arguments::{Arguments, SoFar};
use std::collections::VecDeque;

/// Calls of one response that are remembered. Pieces of a call follow each other, so that the oldest
/// are forgotten first; one of them that is told of again counts once more.
pub(crate) const MAX_KNOWN: usize = 128;

/// Pieces of one document that are kept until it ends. Past it those with a name are calls of their
/// own: a document with more than these has whole calls.
pub(crate) const MAX_PIECES: usize = 1024;

/// The index of what can be but one for each choice: a `function_call`, before there were several.
pub(crate) const ONLY: u64 = u64::MAX;

/// What one piece says of its call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The choice that it is in.
    pub choice: i64,
    /// Its index among the calls of that.
    pub index: Option<u64>,
    /// Its id, hashed.
    pub id: Option<u64>,
    /// It has a name.
    pub named: bool,
    /// That, hashed, where it is known.
    name: Option<u64>,
    arguments: Arguments,
    /// Its arguments begin in the middle.
    pub within: bool,
    /// It says that more of it follows.
    pub goes_on: bool,
}

impl Piece {
    /// One that says nothing but its choice.
    pub(crate) fn in_choice(choice: i64) -> Piece {
        Piece {
            choice,
            ..Piece::default()
        }
    }

    /// Its id is this; an empty one is none.
    pub(crate) fn note_id(&mut self, id: &str) {
        if !matches!(id.trim(), "" | "null") {
            self.id = Some(hash(id.as_bytes()));
        }
    }

    /// It has this name.
    pub(crate) fn note_name(&mut self, name: &str) {
        self.named = true;
        self.name = Some(hash(name.as_bytes()));
    }

    /// Its arguments are `text`, or begin with it and were `cut`.
    pub(crate) fn note_arguments(&mut self, text: &str, cut: bool) {
        self.arguments = Arguments::reading(text, cut);
        let begin = text.trim_start();
        self.within = !begin.is_empty() && !begin.starts_with('{');
    }
}

/// Pieces of the document under way.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    list: Vec<Piece>,
    /// Those with a name that found no room.
    more: u64,
}

impl Pieces {
    /// One more.
    pub(crate) fn push(&mut self, piece: Piece) {
        if self.list.len() < MAX_PIECES {
            self.list.push(piece);
        } else {
            self.more += u64::from(piece.named);
        }
    }

    /// All of them belong to this choice.
    pub(crate) fn belong_to(&mut self, choice: i64) {
        for piece in &mut self.list {
            piece.choice = choice;
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    choice: i64,
    index: Option<u64>,
    id: Option<u64>,
}

/// The calls of one response.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    known: VecDeque<Known>,
    /// The choice whose last piece said that more of it follows.
    open: Option<i64>,
    /// The last call with neither index nor id.
    nameless: Option<Untold>,
}

/// A call of which only the name is told.
#[derive(Clone, Copy, Debug)]
struct Untold {
    choice: i64,
    name: u64,
    arguments: SoFar,
    /// It may be no more than the name of the one before, once more.
    doubtful: bool,
}

impl Calls {
    /// How many calls begin with these.
    pub(crate) fn take_all(&mut self, pieces: Pieces) -> u64 {
        let mut new = 0;
        let mut before = None;
        for piece in &pieces.list {
            if before == Some(piece.choice) {
                self.nameless = None;
            }
            before = Some(piece.choice);
            new += u64::from(self.take(piece));
        }
        new + pieces.more
    }

    /// Whether a call begins with this piece.
    pub(crate) fn take(&mut self, piece: &Piece) -> bool {
        let told = piece.index.is_some() || piece.id.is_some();
        if !told && let Some(begins) = self.go_on(piece) {
            return begins;
        }
        let continued = !told && self.open == Some(piece.choice);
        self.open = Some(piece.choice).filter(|_| piece.goes_on);
        if !piece.named || continued || self.knows(piece) {
            return false;
        }
        if told {
            if self.known.len() == MAX_KNOWN {
                self.known.pop_front();
            }
            self.known.push_back(Known {
                choice: piece.choice,
                index: piece.index,
                id: piece.id,
            });
        }
        true
    }

    /// A piece that tells neither index nor id: whether a call begins with it, where its name and arguments
    /// tell.
    fn go_on(&mut self, piece: &Piece) -> Option<bool> {
        let of_choice = self
            .nameless
            .as_mut()
            .filter(|call| call.choice == piece.choice);
        if let Some(call) = of_choice {
            let same = !piece.named || piece.name == Some(call.name);
            let goes_on = !piece.named || call.arguments.is_open() || piece.within;
            if same && goes_on {
                call.arguments.push(piece.arguments);
                let begins = call.doubtful && call.arguments.has_begun();
                call.doubtful &= !begins;
                return Some(begins);
            }
            if same && piece.arguments == Arguments::Empty {
                call.arguments = SoFar::default();
                call.doubtful = true;
                return Some(false);
            }
        }
        self.nameless = None;
        let name = piece
            .name
            .filter(|_| piece.arguments != Arguments::Unseen)?;
        let mut call = Untold {
            choice: piece.choice,
            name,
            arguments: SoFar::default(),
            doubtful: false,
        };
        call.arguments.push(piece.arguments);
        self.nameless = Some(call);
        Some(true)
    }

    fn knows(&mut self, piece: &Piece) -> bool {
        let same = |known: &&mut Known| known.choice == piece.choice;
        let mut of_choice = self.known.iter_mut().rev().filter(same);
        let Some(index) = piece.index else {
            return piece.id.is_some() && of_choice.any(|known| known.id == piece.id);
        };
        let Some(first) = of_choice.find(|known| known.index == Some(index)) else {
            return false;
        };
        if first.id.is_none() {
            first.id = piece.id;
        }
        let same_id = piece.id.is_none() || first.id == piece.id;
        same_id || piece.within || of_choice.any(|k| k.index == Some(index) && k.id == piece.id)
    }
}

/// FNV-1a: ids are compared, not kept.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| {
        (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(index: Option<u64>, id: &str) -> Piece {
        let mut piece = Piece {
            index,
            named: true,
            ..Piece::default()
        };
        piece.note_id(id);
        piece
    }

    fn calls(pieces: &[Piece]) -> usize {
        let mut calls = Calls::default();
        pieces.iter().filter(|p| calls.take(p)).count()
    }

    #[test]
    fn a_name_that_comes_with_each_piece_is_one_call() {
        for id in ["", "null", "call_1"] {
            assert_eq!(calls(&[piece(Some(0), id); 3]), 1, "{id}");
        }
        assert_eq!(calls(&[piece(None, "call_1"); 3]), 1);
        // The id only with the first, or only later.
        let (with, without) = (piece(Some(0), "a"), piece(Some(0), ""));
        assert_eq!(calls(&[with, without, without]), 1);
        assert_eq!(calls(&[without, with, without, with]), 1);
    }

    #[test]
    fn another_index_another_id_and_another_choice_are_other_calls() {
        assert_eq!(calls(&[piece(Some(0), "a"), piece(Some(1), "b")]), 2);
        assert_eq!(calls(&[piece(Some(0), "a"), piece(Some(0), "b")]), 2);
        assert_eq!(calls(&[piece(Some(0), "a"), piece(Some(1), "a")]), 2);
        assert_eq!(calls(&[piece(None, "a"), piece(None, "b")]), 2);
        let (a, b) = (piece(Some(0), "a"), piece(Some(0), "b"));
        assert_eq!(calls(&[a, b, a, b]), 2);
        let mut second = piece(Some(0), "");
        second.choice = 1;
        assert_eq!(calls(&[piece(Some(0), ""), second, second]), 2);
    }

    #[test]
    fn arguments_that_begin_in_the_middle_go_on_although_the_id_is_another() {
        let mut within = piece(Some(0), "b");
        within.note_arguments("\"x\":1}", false);
        let mut begins = piece(Some(0), "a");
        begins.note_arguments(" {\"a", false);
        assert_eq!(calls(&[begins, within]), 1);
    }

    #[test]
    fn where_nothing_tells_each_is_a_call_unless_the_one_before_goes_on() {
        assert_eq!(calls(&[piece(None, ""); 3]), 3);
        let mut open = piece(None, "");
        open.goes_on = true;
        assert_eq!(calls(&[open, open, piece(None, ""), piece(None, "")]), 2);
        let nameless = Piece::default();
        assert_eq!(calls(&[nameless, nameless]), 0);
    }

    /// One piece a document: name and arguments.
    fn told_by_name(pieces: &[(&str, &str)]) -> u64 {
        let mut calls = Calls::default();
        let mut count = 0;
        for (name, arguments) in pieces {
            let mut piece = Piece::default();
            if !name.is_empty() {
                piece.note_name(name);
            }
            piece.note_arguments(arguments, false);
            let mut document = Pieces::default();
            document.push(piece);
            count += calls.take_all(document);
        }
        count
    }

    #[test]
    fn a_name_that_comes_with_each_piece_and_nothing_else_is_one_call() {
        for (pieces, want) in [
            (&[("f", "{\"a"), ("f", "\":"), ("f", "1}")][..], 1),
            (&[("f", ""), ("f", "{\"a\":"), ("f", "{}}")], 1),
            (&[("f", ""), ("f", ""), ("f", "{}")], 1),
            (&[("f", "{\"a\":1"), ("", "2"), ("f", "}")], 1),
            // Others of the same name, and of another.
            (&[("f", "{}"), ("f", "{}")], 2),
            (&[("f", "{"), ("f", "}"), ("f", "{"), ("f", "}")], 2),
            (&[("f", ""), ("g", ""), ("g", "{}")], 2),
            (&[("f", "{}"), ("g", "{}"), ("f", "{}")], 3),
            // The name once more at the end, or before another call.
            (&[("f", "{}"), ("f", "")], 1),
            (&[("f", "{}"), ("f", ""), ("f", "{"), ("f", "}")], 2),
            (&[("f", "{}"), ("f", ""), ("", "{}")], 2),
        ] {
            assert_eq!(told_by_name(pieces), want, "{pieces:?}");
        }
    }

    #[test]
    fn pieces_of_one_document_are_calls_of_their_own() {
        let mut calls = Calls::default();
        let mut document = Pieces::default();
        for _ in 0..2 {
            let mut piece = Piece::default();
            piece.note_name("f");
            piece.note_arguments("", false);
            document.push(piece);
        }
        assert_eq!(calls.take_all(document), 2);
    }

    #[test]
    fn past_their_bounds_the_oldest_is_forgotten_and_pieces_are_calls() {
        let all: Vec<Piece> = (0..=MAX_KNOWN as u64).map(|i| piece(Some(i), "")).collect();
        let mut calls = Calls::default();
        assert!(all.iter().all(|p| calls.take(p)));
        assert!(!calls.take(&all[MAX_KNOWN]));
        assert!(calls.take(&all[0]));
        let mut pieces = Pieces::default();
        (0..MAX_PIECES + 3).for_each(|_| pieces.push(piece(Some(0), "")));
        assert_eq!(Calls::default().take_all(pieces), 1 + 3);
    }
}
