//! A request that a program tells (`@inference`, `request!`) and the one that was seen on the wire, where they are one.
//!
//! ```text
//!  exchange closes, sure of what its thread did
//!    one told request waits at it, with all of its parts --> one span: the exchange's, with the told marks and parts
//!    several, or a part of it is open ---------------------> each a span of its own, below the exchange
//!  exchange closes in doubt -------------------------------> each a root, with the reason
//! ```
//! Without this a program that serves HTTP and has the SDK's decorator would count each of its requests twice. Of a figure
//! that both have, the wire's is written. It promises that no part is left without its parent.

use super::content::Closing;
use super::waiting::{Finished, Settled};
use crate::id::Id;
use crate::scope::names;
use crate::scope::span::{Attrs, Mark};

/// A request as its program tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToldRequest {
    /// The program gave its id, and not we.
    pub(crate) has_id: bool,
}

/// What a told request adds to the exchange that it is.
#[derive(Debug)]
pub(super) struct Folded {
    attrs: Attrs,
    marks: Vec<Mark>,
}

impl Settled {
    /// Takes the told request out that the scope `id` is.
    pub(super) fn fold(&mut self, id: Id) {
        let is_told =
            |(_, one): &(usize, &Finished)| one.told.is_some() && one.span.parent_id == Some(id);
        let mut told = self.finished.iter().enumerate().filter(is_told);
        let (Some((place, only)), None, 0) = (told.next(), told.next(), self.open_told) else {
            return;
        };
        if only.has_open_parts {
            return;
        }
        let Finished {
            span, marks, told, ..
        } = self.finished.remove(place);
        for one in &mut self.finished {
            if one.span.parent_id == Some(span.id) {
                one.span.parent_id = Some(id);
            }
        }
        let mut attrs = span.attrs;
        if let Some(by) = attrs.remove(names::PARENT_BY) {
            attrs.insert(names::TOLD_BY, by);
        }
        if told.is_some_and(|told| !told.has_id) {
            attrs.remove(names::REQUEST_ID);
        }
        self.folded = Some(Folded { attrs, marks });
    }

    /// Writes what the told request adds.
    pub(super) fn write_folded(&mut self, closing: &mut Closing<'_>) {
        let Some(Folded { attrs, marks }) = self.folded.take() else {
            return;
        };
        for (name, value) in attrs.iter() {
            if !closing.attrs.contains_key(name) || name.as_str() == names::REQUEST_ID {
                closing.attrs.insert(name.clone(), value.clone());
            }
        }
        closing.marks.adopt(marks);
    }
}
