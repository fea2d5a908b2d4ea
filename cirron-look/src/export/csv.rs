//! CSV: a head, and a line for each scope. What is not known is an empty field.

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
