//! A TOML text as values, and where in it each of them stands.

use cirron_core::rules::Step;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A text that is TOML.
pub(super) struct Document<'t> {
    text: &'t str,
    table: Spanned<DeTable<'t>>,
}

/// A text that is none.
pub(super) struct NoToml {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) what: String,
}

impl<'t> Document<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Document<'t>, NoToml> {
        let table = DeTable::parse(text).map_err(|e| {
            let (line, column) = place(text, e.span().map_or(0, |span| span.start));
            NoToml {
                line,
                column,
                what: e.message().to_owned(),
            }
        })?;
        Ok(Document { text, table })
    }

    pub(super) fn value(&self) -> Value {
        table(self.table.get_ref())
    }

    /// Line and column of what these steps lead to, or of the last on the way that is there.
    pub(super) fn place(&self, steps: &[Step], is_key: bool) -> (usize, usize) {
        let mut at = 0;
        let mut here = Node::Table(self.table.get_ref());
        for (i, step) in steps.iter().enumerate() {
            let is_last = i + 1 == steps.len();
            let (key_at, next) = match (step, here) {
                (Step::Key(key), Node::Table(table)) => {
                    let Some((name, value)) = table.iter().find(|(k, _)| k.get_ref() == key) else {
                        break;
                    };
                    (Some(name.span().start), value)
                }
                (Step::Index(n), Node::Value(DeValue::Array(all))) => match all.get(*n) {
                    Some(value) => (None, value),
                    None => break,
                },
                (Step::Key(_) | Step::Index(_), Node::Table(_) | Node::Value(_)) => break,
            };
            at = match key_at {
                Some(key_at) if is_last && is_key => key_at,
                Some(_) | None => next.span().start,
            };
            let item = next.get_ref();
            here = item.as_table().map_or(Node::Value(item), Node::Table);
        }
        place(self.text, at)
    }
}

#[derive(Clone, Copy)]
enum Node<'n, 't> {
    Table(&'n DeTable<'t>),
    Value(&'n DeValue<'t>),
}

fn table(table: &DeTable<'_>) -> Value {
    let member = |(key, item): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.clone().into_owned(), value(item.get_ref()))
    };
    Value::Object(table.iter().map(member).collect::<Map<_, _>>())
}

fn value(item: &DeValue<'_>) -> Value {
    match item {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_or(Value::Null, Value::from)
        }
        // What JSON has no number for is no value of any key.
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or(Value::Null, Value::Number)
        }
        DeValue::Boolean(is) => Value::Bool(*is),
        DeValue::Datetime(_) => Value::Null,
        DeValue::Array(all) => all.iter().map(|item| value(item.get_ref())).collect(),
        DeValue::Table(inner) => table(inner),
    }
}

/// Line and column of a byte of a text, from 1, the column in characters.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}
