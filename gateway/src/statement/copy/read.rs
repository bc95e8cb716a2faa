//! Data as rows, for COPY … FROM STDIN.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::access::{Action, Resource};
use omnigraph_catalog::types::PgType;

use super::lines::{Field, Header, Reader as Lines};
use super::{CopyIn, Form, binary};
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::Execution;
use crate::session::shared::now;
use crate::sqlstate;
use crate::statement::parse::{Copy, CopySource};
use crate::statement::write::{Target, engine_rows};
use crate::text::{self, Input, ObjectNames, TextFormat};
use crate::wire::decode_binary;

/// A COPY that takes rows of one table in.
pub(crate) struct RowsIn {
    target: Target,
    /// The table's columns that a line has, in its order.
    columns: Vec<CopyColumn>,
    reader: Reader,
    /// Values that are not handed on yet, column by column.
    values: Vec<Vec<ScalarValue>>,
    format: Arc<TextFormat>,
    names: Arc<dyn ObjectNames>,
    started_at: i64,
    copied: u64,
}

enum Reader {
    Lines { lines: Lines, header: Header },
    Binary { rows: binary::Reader, row: u64 },
}

/// A row as it was cut out.
enum Row {
    Texts(Vec<Field>),
    Bytes(Vec<Option<Bytes>>),
}

struct CopyColumn {
    at: usize,
    name: String,
    ty: PgType,
}

/// Rows that are handed to the engine at once.
const CHUNK_ROWS: usize = 16_384;

impl Session {
    pub(super) async fn copy_in(&mut self, copy: &Copy, form: Form) -> PgResult<Execution> {
        self.refuse_read_only()?;
        let CopySource::Table { table, columns } = &copy.source else {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                "COPY FROM takes a table",
            ));
        };
        let relation = self.relation(table).await?;
        let target = Target::of(&relation)?;
        let wanted: Vec<usize> = match columns {
            // Like INSERT without a list: a column that is made by the server is not in the data.
            None => (0..relation.columns.len())
                .filter(|at| !relation.columns[*at].generated)
                .collect(),
            Some(names) => names
                .iter()
                .map(|name| {
                    relation
                        .columns
                        .iter()
                        .position(|column| column.name == *name)
                        .ok_or_else(|| {
                            PgError::new(
                                sqlstate::UNDEFINED_COLUMN,
                                format!(
                                    "column \"{name}\" of relation \"{}\" does not exist",
                                    relation.name
                                ),
                            )
                        })
                })
                .collect::<PgResult<_>>()?,
        };
        let columns: Vec<CopyColumn> = wanted
            .into_iter()
            .map(|at| CopyColumn {
                at,
                name: relation.columns[at].name.clone(),
                ty: relation.columns[at].ty,
            })
            .collect();
        let format = form.copy_format(columns.len());
        self.open();
        self.copy = Some(CopyIn::Rows(Box::new(RowsIn {
            values: columns.iter().map(|_| Vec::new()).collect(),
            reader: match form {
                Form::Lines(dialect) => Reader::Lines {
                    header: dialect.header,
                    lines: Lines::new(dialect),
                },
                Form::Binary => Reader::Binary {
                    rows: binary::Reader::default(),
                    row: 0,
                },
            },
            target,
            columns,
            format: self.current_format(),
            names: self.current_names(),
            started_at: now(),
            copied: 0,
        })));
        Ok(Execution::CopyIn(format))
    }

    pub(super) async fn rows_in_write(&mut self, data: &Bytes) -> PgResult<()> {
        let Some(CopyIn::Rows(mut rows)) = self.copy.take() else {
            return Err(super::no_copy());
        };
        rows.reader.push(data);
        self.take_in(&mut rows, false).await?;
        self.copy = Some(CopyIn::Rows(rows));
        Ok(())
    }

    pub(super) async fn rows_in_finish(&mut self, mut rows: Box<RowsIn>) -> PgResult<String> {
        self.take_in(&mut rows, true).await?;
        Ok(format!("COPY {}", rows.copied))
    }

    /// Takes in the whole rows that have arrived.
    async fn take_in(&mut self, copy: &mut RowsIn, end: bool) -> PgResult<()> {
        loop {
            let line = copy.reader.line();
            let row = copy
                .reader
                .next(end)
                .map_err(|error| copy.at(error, line, None))?;
            let last = row.is_none();
            match row {
                Some(Row::Texts(fields)) => copy.take_texts(fields, line)?,
                Some(Row::Bytes(fields)) => copy.take_bytes(&fields, line)?,
                None => {}
            }
            let full = copy
                .values
                .first()
                .is_some_and(|values| values.len() >= CHUNK_ROWS);
            if full || (last && end) {
                self.hand_on(copy).await?;
            }
            if last {
                return Ok(());
            }
        }
    }

    async fn hand_on(&mut self, copy: &mut RowsIn) -> PgResult<()> {
        let rows = copy.values.first().map_or(0, Vec::len);
        if rows == 0 {
            return Ok(());
        }
        let def = Arc::clone(&copy.target.def);
        let mut columns = (0..def.columns().len())
            .map(|at| match def.columns()[at].property {
                Some(property) => Ok(def.properties[property].default_array(rows)?),
                None => Ok(new_null_array(&def.columns()[at].data_type, rows)),
            })
            .collect::<PgResult<Vec<ArrayRef>>>()?;
        for (column, values) in copy.columns.iter().zip(&mut copy.values) {
            columns[column.at] = ScalarValue::iter_to_array(std::mem::take(values))?;
        }
        let batch = engine_rows(&def, &columns, rows)?;
        let access = self.attached()?.access.clone();
        let branch = copy.target.branch.clone();
        access.check_part(Action::Change, Resource::Reference(branch.as_str()))?;
        let transaction = self.open().writer(&access, &branch).await?;
        let outcome = transaction.insert(def.id, batch).await;
        copy.copied += outcome.map_err(|error| self.located(error.into(), Some(&branch)))?;
        Ok(())
    }
}

impl Reader {
    fn push(&mut self, data: &Bytes) {
        match self {
            Reader::Lines { lines, .. } => lines.push(data),
            Reader::Binary { rows, .. } => rows.push(data),
        }
    }

    /// The line, or row of binary data, that comes next.
    fn line(&self) -> u64 {
        match self {
            Reader::Lines { lines, .. } => lines.line(),
            Reader::Binary { row, .. } => row + 1,
        }
    }

    fn next(&mut self, end: bool) -> PgResult<Option<Row>> {
        match self {
            Reader::Lines { lines, .. } => Ok(lines.next(end)?.map(Row::Texts)),
            Reader::Binary { rows, row } => {
                let next = rows.next(end)?;
                *row += u64::from(next.is_some());
                Ok(next.map(Row::Bytes))
            }
        }
    }

    fn header(&self) -> Header {
        match self {
            Reader::Lines { header, .. } => *header,
            Reader::Binary { .. } => Header::No,
        }
    }
}

impl RowsIn {
    fn take_bytes(&mut self, row: &[Option<Bytes>], line: u64) -> PgResult<()> {
        if row.len() != self.columns.len() {
            let error = PgError::new(
                sqlstate::BAD_COPY_FILE_FORMAT,
                format!(
                    "row field count is {}, expected {}",
                    row.len(),
                    self.columns.len()
                ),
            );
            return Err(self.at(error, line, None));
        }
        for (at, field) in row.iter().enumerate() {
            let column = &self.columns[at];
            let value = match field {
                None => text::read::null(column.ty),
                Some(bytes) => decode_binary::decode(column.ty, bytes, &self.input(), at + 1),
            };
            let value =
                value.map_err(|error| self.at(error, line, Some(&self.columns[at].name)))?;
            self.values[at].push(value);
        }
        Ok(())
    }

    fn input(&self) -> Input<'_> {
        Input {
            format: &self.format,
            names: &*self.names,
            now: self.started_at,
        }
    }

    fn take_texts(&mut self, row: Vec<Field>, line: u64) -> PgResult<()> {
        if line == 1 && self.reader.header() != Header::No {
            return self.check_header(&row);
        }
        if row.len() > self.columns.len() {
            let error = PgError::new(
                sqlstate::BAD_COPY_FILE_FORMAT,
                "extra data after last expected column",
            );
            return Err(self.at(error, line, None));
        }
        if row.len() < self.columns.len() {
            let name = &self.columns[row.len()].name;
            let error = PgError::new(
                sqlstate::BAD_COPY_FILE_FORMAT,
                format!("missing data for column \"{name}\""),
            );
            return Err(self.at(error, line, None));
        }
        for (at, field) in row.into_iter().enumerate() {
            let column = &self.columns[at];
            let value = match field {
                None => text::read::null(column.ty),
                Some(text) => text::parse(column.ty, &text, &self.input()),
            };
            let value =
                value.map_err(|error| self.at(error, line, Some(&self.columns[at].name)))?;
            self.values[at].push(value);
        }
        Ok(())
    }

    fn check_header(&self, row: &[Field]) -> PgResult<()> {
        let fits = row.len() == self.columns.len()
            && row
                .iter()
                .zip(&self.columns)
                .all(|(field, column)| field.as_deref() == Some(column.name.as_str()));
        if self.reader.header() == Header::Match && !fits {
            let error = PgError::new(
                sqlstate::BAD_COPY_FILE_FORMAT,
                "the header line does not have the columns' names",
            );
            return Err(self.at(error, 1, None));
        }
        Ok(())
    }

    fn at(&self, mut error: PgError, line: u64, column: Option<&str>) -> PgError {
        let place = match column {
            Some(column) => format!(
                "COPY {}, line {line}, column {column}",
                self.target.def.table
            ),
            None => format!("COPY {}, line {line}", self.target.def.table),
        };
        error.context.get_or_insert(place);
        error.position = None;
        error
    }
}
