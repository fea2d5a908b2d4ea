//! CSV: a head, and a line for each scope. What is not known is an empty field.
//!
//! CSV is what people open in a spreadsheet, and models, paths and ids are the words of strangers: a text that a
//! spreadsheet would take for a formula has an apostrophe before it, by which it takes it for text. Numbers have none.

use std::io::{self, Write};

use super::Format;
use super::columns::{COLUMNS, Value};
use crate::request::Request;

pub(super) struct Csv<W: Write> {
    out: csv::Writer<W>,
    cell: String,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W) -> io::Result<Csv<W>> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(COLUMNS.iter().map(|column| column.name))?;
        Ok(Csv {
            out,
            cell: String::new(),
        })
    }
}

impl<W: Write> Format for Csv<W> {
    fn take(&mut self, request: &Request) -> io::Result<()> {
        use std::fmt::Write as _;
        for column in COLUMNS {
            self.cell.clear();
            // Writing to a String does not fail.
            let _ = match (column.get)(request) {
                Value::None => Ok(()),
                Value::Text(text) if is_formula(text) => write!(self.cell, "'{text}"),
                Value::Text(text) => self.cell.write_str(text),
                Value::Int(n) => write!(self.cell, "{n}"),
                Value::Float(n) => write!(self.cell, "{n}"),
                Value::Bool(is) => write!(self.cell, "{is}"),
            };
            self.out.write_field(&self.cell)?;
        }
        Ok(self.out.write_record(None::<&[u8]>)?)
    }

    fn end(&mut self) -> io::Result<Vec<String>> {
        self.out.flush()?;
        Ok(Vec::new())
    }
}

/// Whether a spreadsheet may compute a text. What begins with `@` calls something only with parentheses or, of another
/// program, a bar; so names of models such as `@cf/meta/llama-3.1-8b-instruct` stay what they are.
fn is_formula(text: &str) -> bool {
    match text.chars().next() {
        Some('=' | '+' | '-' | '\t' | '\r' | '\n') => true,
        Some('@') => text.contains(['(', '|', '!']),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_formula;

    #[test]
    fn a_text_that_a_spreadsheet_would_compute_is_known_and_names_stay_what_they_are() {
        for text in [
            "=HYPERLINK(\"http://x\")",
            "+1",
            "-2+3+cmd|' /C calc'!A0",
            "@SUM(1+1)*cmd|' /C calc'!A0",
            "\t=1",
            "\r=1",
        ] {
            assert!(is_formula(text), "{text:?}");
        }
        for text in [
            "",
            "/v1/=x",
            "gpt-4",
            "@cf/meta/llama-3.1-8b-instruct",
            "a=b",
            "200",
        ] {
            assert!(!is_formula(text), "{text:?}");
        }
    }
}
