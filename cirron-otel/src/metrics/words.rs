//! The values of labels, as numbers: a bounded number of different words for each label.
//!
//! Names of models and paths are the client's words. Whoever sends a thousand different ones gets `other`, counted,
//! and not a thousand series. A word that came with a failure of the client's (a scanner's paths, a model that does
//! not exist) takes no place: it is `other` at once unless something has had it before.

use foldhash::{HashMap, HashMapExt as _};

use super::table::Label;

/// Different values of one label. A gateway knows some dozens of models and a server as many endpoints; dashboards are
/// not read beyond that.
pub const MAX_WORDS: usize = 64;

/// Bytes of a value. Longer paths are cut: they are one endpoint to whoever reads a dashboard.
pub const MAX_WORD_BYTES: usize = 128;

/// What is said instead of a word that has no place.
pub const OTHER: &str = "other";

/// A word of a label, or none.
pub(super) type Word = u8;

/// No such label.
pub(super) const ABSENT: Word = 0;
const OTHER_WORD: Word = 1;
const FIRST: usize = 2;

/// The words of all labels.
#[derive(Debug)]
pub(super) struct Words {
    lists: [List; Label::ALL.len()],
}

#[derive(Debug, Default)]
struct List {
    numbers: HashMap<Box<str>, Word>,
    words: Vec<Box<str>>,
    others: u64,
}

impl Default for Words {
    fn default() -> Words {
        Words {
            lists: std::array::from_fn(|_| List {
                numbers: HashMap::new(),
                ..List::default()
            }),
        }
    }
}

impl Words {
    /// The number of a word; `may_claim` a place where it has none yet.
    pub(super) fn number(&mut self, label: Label, word: &str, may_claim: bool) -> Word {
        let end = word.floor_char_boundary(word.len().min(MAX_WORD_BYTES));
        let word = word.get(..end).unwrap_or_default();
        let list = &mut self.lists[label.place()];
        if let Some(number) = list.numbers.get(word) {
            return *number;
        }
        if !may_claim || list.words.len() >= MAX_WORDS {
            list.others += 1;
            return OTHER_WORD;
        }
        let number = Word::try_from(FIRST + list.words.len()).unwrap_or(OTHER_WORD);
        list.words.push(word.into());
        list.numbers.insert(word.into(), number);
        number
    }

    /// The word of a number.
    pub(super) fn word(&self, label: Label, number: Word) -> Option<&str> {
        match number {
            ABSENT => None,
            OTHER_WORD => Some(OTHER),
            _ => self.lists[label.place()]
                .words
                .get(usize::from(number) - FIRST)
                .map(AsRef::as_ref),
        }
    }

    /// How often each label was `other`, where it was.
    pub(super) fn others(&self) -> impl Iterator<Item = (Label, u64)> {
        Label::ALL
            .into_iter()
            .zip(&self.lists)
            .map(|(label, list)| (label, list.others))
            .filter(|(_, others)| *others > 0)
    }
}
