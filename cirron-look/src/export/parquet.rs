//! Parquet: a column for each of [`COLUMNS`], all of them optional; compressed with Snappy, which every reader has.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type as Schema;

use super::Format;
use super::columns::{COLUMNS, Type, Value};
use crate::request::Request;

/// Rows that are held and written at once. Each takes some 2 kB.
const GROUP_ROWS: usize = 16_384;

pub(super) struct Parquet<W: Write + Send> {
    /// `None` once it is closed.
    out: Option<SerializedFileWriter<W>>,
    columns: Vec<Cells>,
    rows: usize,
}

/// What a group has of a column: the values that there are, and for each row whether there is one.
struct Cells {
    is_there: Vec<i16>,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
}

impl<W: Write + Send> Parquet<W> {
    pub(super) fn new(out: W) -> io::Result<Parquet<W>> {
        let settings = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("cirron-agent ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema()?), Arc::new(settings));
        Ok(Parquet {
            out: Some(writer.map_err(failed)?),
            columns: COLUMNS
                .iter()
                .map(|column| Cells::new(column.kind))
                .collect(),
            rows: 0,
        })
    }

    fn group(&mut self) -> io::Result<()> {
        let Some(out) = &mut self.out else {
            return Ok(());
        };
        if self.rows > 0 {
            let mut group = out.next_row_group().map_err(failed)?;
            for cells in &mut self.columns {
                let Some(mut column) = group.next_column().map_err(failed)? else {
                    break;
                };
                let there = Some(cells.is_there.as_slice());
                match &cells.values {
                    Values::Text(all) => column
                        .typed::<ByteArrayType>()
                        .write_batch(all, there, None),
                    Values::Int(all) => column.typed::<Int64Type>().write_batch(all, there, None),
                    Values::Float(all) => {
                        column.typed::<DoubleType>().write_batch(all, there, None)
                    }
                    Values::Bool(all) => column.typed::<BoolType>().write_batch(all, there, None),
                }
                .map_err(failed)?;
                column.close().map_err(failed)?;
                cells.clear();
            }
            group.close().map_err(failed)?;
        }
        self.rows = 0;
        Ok(())
    }
}

impl<W: Write + Send> Format for Parquet<W> {
    fn take(&mut self, request: &Request) -> io::Result<()> {
        for (column, cells) in COLUMNS.iter().zip(&mut self.columns) {
            cells.push((column.get)(request));
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS {
            self.group()
        } else {
            Ok(())
        }
    }

    fn end(&mut self) -> io::Result<Vec<String>> {
        self.group()?;
        if let Some(out) = self.out.take() {
            out.close().map_err(failed)?;
        }
        Ok(Vec::new())
    }
}

impl Cells {
    fn new(kind: Type) -> Cells {
        Cells {
            is_there: Vec::new(),
            values: match kind {
                Type::Text => Values::Text(Vec::new()),
                Type::Int | Type::Time => Values::Int(Vec::new()),
                Type::Float => Values::Float(Vec::new()),
                Type::Bool => Values::Bool(Vec::new()),
            },
        }
    }

    fn push(&mut self, value: Value<'_>) {
        let is_there = match (&mut self.values, value) {
            (Values::Text(all), Value::Text(text)) => {
                all.push(ByteArray::from(text));
                true
            }
            (Values::Int(all), Value::Int(n)) => {
                all.push(n);
                true
            }
            (Values::Float(all), Value::Float(n)) => {
                all.push(n);
                true
            }
            (Values::Bool(all), Value::Bool(is)) => {
                all.push(is);
                true
            }
            // Of another type than its column says: a test sees that no column is so.
            (Values::Text(_) | Values::Int(_) | Values::Float(_) | Values::Bool(_), _) => false,
        };
        self.is_there.push(is_there.into());
    }

    fn clear(&mut self) {
        self.is_there.clear();
        match &mut self.values {
            Values::Text(all) => all.clear(),
            Values::Int(all) => all.clear(),
            Values::Float(all) => all.clear(),
            Values::Bool(all) => all.clear(),
        }
    }
}

fn schema() -> io::Result<Schema> {
    let field = |column: &super::columns::Column| {
        let (physical, logical) = match column.kind {
            Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Type::Int => (Physical::INT64, None),
            Type::Time => (
                Physical::INT64,
                Some(LogicalType::timestamp(true, TimeUnit::NANOS)),
            ),
            Type::Float => (Physical::DOUBLE, None),
            Type::Bool => (Physical::BOOLEAN, None),
        };
        let field = Schema::primitive_type_builder(column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        field.build().map(Arc::new)
    };
    let fields = COLUMNS.iter().map(field).collect::<Result<Vec<_>, _>>();
    let schema = Schema::group_type_builder("scopes").with_fields(fields.map_err(failed)?);
    schema.build().map_err(failed)
}

fn failed(error: ParquetError) -> io::Error {
    let ParquetError::External(cause) = error else {
        return io::Error::other(error);
    };
    // What the file's own error was must be seen: a pipe that was closed is no failure.
    match cause.downcast::<io::Error>() {
        Ok(error) => *error,
        Err(cause) => io::Error::other(cause.to_string()),
    }
}
