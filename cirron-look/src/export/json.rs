//! JSON lines: an object for each scope, with the columns that it has, and all else that the spool says of it.

use std::io::{self, Write};

use cirron_spool::rows::Scalar;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Format;
use super::columns::{COLUMNS, Value};
use crate::request::Request;

pub(super) struct Jsonl<W: Write> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Jsonl<W> {
    pub(super) fn new(out: W) -> Jsonl<W> {
        Jsonl {
            out,
            line: Vec::new(),
        }
    }
}

impl<W: Write> Format for Jsonl<W> {
    fn take(&mut self, request: &Request) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Line(request))?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    fn end(&mut self) -> io::Result<Vec<String>> {
        self.out.flush()?;
        Ok(Vec::new())
    }
}

struct Line<'r>(&'r Request);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut map = s.serialize_map(None)?;
        for column in COLUMNS {
            match (column.get)(request) {
                Value::None => {}
                Value::Text(text) => map.serialize_entry(column.name, text)?,
                Value::Int(n) => map.serialize_entry(column.name, &n)?,
                Value::Float(n) => map.serialize_entry(column.name, &n)?,
                Value::Bool(is) => map.serialize_entry(column.name, &is)?,
            }
        }
        if !request.figures.chunks_ms.is_empty() {
            map.serialize_entry("chunk_ms", &request.figures.chunks_ms)?;
        }
        let attrs = request.attrs.iter();
        map.serialize_entry(
            "attrs",
            &Pairs(attrs.map(|(name, value)| (name.as_str(), value)).collect()),
        )?;
        let marks = request.marks.iter();
        map.serialize_entry(
            "marks",
            &Pairs(
                marks
                    .map(|mark| (mark.name.as_str(), &mark.value))
                    .collect(),
            ),
        )?;
        if request.left_out > 0 {
            map.serialize_entry("left_out", &request.left_out)?;
        }
        map.end()
    }
}

/// Names and values; what the spool has as a list or an object is null.
struct Pairs<'r>(Vec<(&'r str, &'r Scalar<'static>)>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Scalar::Text(text) => map.serialize_entry(name, text)?,
                Scalar::Int(n) => match i64::try_from(*n) {
                    Ok(n) => map.serialize_entry(name, &n)?,
                    Err(_) => map.serialize_entry(name, &(*n as f64))?,
                },
                Scalar::Float(n) => map.serialize_entry(name, n)?,
                Scalar::Bool(is) => map.serialize_entry(name, is)?,
                Scalar::Null | Scalar::Other => map.serialize_entry(name, &())?,
            }
        }
        map.end()
    }
}
