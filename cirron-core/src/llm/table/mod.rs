//! A dialect as tables: where in its JSON each fact stands.
//!
//! Most dialects say one thing in one place. Such a dialect is a file with two tables, one for
//! requests and one for responses; this reads them. What a table cannot say (Anthropic's usage in
//! two parts, the many shapes of OpenAI) has a reader of its own. A container that no row leads into
//! is passed over, so that prompts cost nothing but their bytes.

mod request;
mod response;
mod say;
mod tensors;

pub(crate) use request::{Ask, RequestTable};
pub(crate) use say::{ResponseTable, Say};

use super::dialect::{ReadRequest, ReadResponse};
use crate::body::json::{Path, Scalar, Seg};

/// One sign of a dialect's shape: a member at the top of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It is there, and not null.
    Has(&'static str),
    /// It is one of these texts.
    Is(&'static str, &'static [&'static str]),
}

/// A shape: all signs of one row are there.
pub(crate) type Shapes = &'static [&'static [Sign]];

/// Where a fact stands.
pub(crate) type Place = &'static [Seg];

/// A reader of requests.
pub(crate) fn request(table: &'static RequestTable) -> Box<dyn ReadRequest> {
    Box::new(request::Reader::new(table))
}

/// A reader of responses.
pub(crate) fn response(table: &'static ResponseTable) -> Box<dyn ReadResponse> {
    Box::new(response::Reader::new(table))
}

/// Signs of one document that were seen: one bit for each, in the order of the rows.
#[derive(Clone, Copy, Debug, Default)]
struct Seen(u64);

impl Seen {
    /// A member at the top of the document; `value` is `None` for a container.
    fn take(&mut self, shapes: Shapes, path: &Path, value: Option<Scalar<'_>>) {
        let Some(key) = path.key(0).filter(|_| path.depth() == 1) else {
            return;
        };
        for (bit, sign) in shapes.iter().copied().flatten().enumerate() {
            let is = match *sign {
                Sign::Has(name) => name.as_bytes() == key && value != Some(Scalar::Null),
                Sign::Is(name, texts) => {
                    let text = value.and_then(Scalar::as_str);
                    name.as_bytes() == key && text.is_some_and(|t| texts.contains(&t))
                }
            };
            self.0 |= u64::from(is) << bit.min(63);
        }
    }

    fn is_shaped(self, shapes: Shapes) -> bool {
        let mut bit = 0;
        shapes.iter().any(|row| {
            let first = bit;
            bit += row.len();
            (first..bit).all(|bit| self.0 >> bit.min(63) & 1 == 1)
        })
    }
}

/// Whether `place` stands somewhere below `path`.
fn leads(path: &Path, place: Place) -> bool {
    let is_above = |(i, seg): (usize, &Seg)| match *seg {
        Seg::K(key) => path.key(i) == Some(key.as_bytes()),
        Seg::Any => path.index(i).is_some(),
    };
    let depth = path.depth();
    place.len() > depth && place.iter().take(depth).enumerate().all(is_above)
}
