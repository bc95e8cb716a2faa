//! Rows as data, for COPY … TO STDOUT.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::lines::{Dialect, Header, put_field};
use super::{Form, binary};
use crate::error::PgResult;
use crate::session::protocol::{Column, CopyBatch, CopyOut, Rows};
use crate::text::{Formatter, ObjectNames, TextFormat, View};
use crate::wire::encode_binary;

pub(super) fn copy_out(
    rows: Rows,
    form: Form,
    format: Arc<TextFormat>,
    names: Arc<dyn ObjectNames>,
) -> CopyOut {
    let columns = rows.columns;
    let copy_format = form.copy_format(columns.len());
    let (before, after) = match &form {
        Form::Lines(dialect) => (
            (dialect.header != Header::No).then(|| header(dialect, &columns)),
            None,
        ),
        Form::Binary => (None, Some(apart(binary::TRAILER.to_vec()))),
    };
    let is_binary = form == Form::Binary;
    let formatter = Formatter::new(format, names);
    let batches = rows.stream.and_then(move |batch| {
        futures::future::ready(match &form {
            Form::Lines(dialect) => lines(dialect, &formatter, &columns, &batch),
            Form::Binary => fields(&columns, &batch),
        })
    });
    let stream = futures::stream::iter(before.map(Ok))
        .chain(batches)
        .chain(futures::stream::iter(after.map(Ok)));
    CopyOut {
        format: copy_format,
        stream: if is_binary {
            behind_header(stream.boxed())
        } else {
            stream.boxed()
        },
    }
}

/// Binary data with its header in the first message, together with the first row: clients read
/// the two at once.
fn behind_header(
    stream: BoxStream<'static, PgResult<CopyBatch>>,
) -> BoxStream<'static, PgResult<CopyBatch>> {
    let mut header = Some(binary::header());
    stream
        .filter(|batch| {
            futures::future::ready(batch.as_ref().map_or(true, |batch| !batch.ends.is_empty()))
        })
        .map_ok(move |batch| match header.take() {
            None => batch,
            Some(mut data) => {
                let before = data.len();
                data.extend_from_slice(&batch.data);
                CopyBatch {
                    data: data.into(),
                    ends: batch.ends.iter().map(|end| end + before).collect(),
                    rows: batch.rows,
                }
            }
        })
        .boxed()
}

/// Data that is no row.
fn apart(data: Vec<u8>) -> CopyBatch {
    CopyBatch {
        ends: vec![data.len()],
        data: data.into(),
        rows: 0,
    }
}

fn header(dialect: &Dialect, columns: &[Column]) -> CopyBatch {
    let mut data = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        put_field(
            &mut data,
            dialect,
            Some(&column.name),
            at == 0,
            columns.len() == 1,
            false,
        );
    }
    data.push(b'\n');
    apart(data)
}

fn lines(
    dialect: &Dialect,
    formatter: &Formatter,
    columns: &[Column],
    batch: &RecordBatch,
) -> PgResult<CopyBatch> {
    let views = views(columns, batch)?;
    let forced: Vec<bool> = columns
        .iter()
        .map(|column| dialect.quoted.is(&column.name))
        .collect();
    let mut data = Vec::new();
    let mut ends = Vec::with_capacity(batch.num_rows());
    let mut value = Vec::new();
    for row in 0..batch.num_rows() {
        for (at, view) in views.iter().enumerate() {
            let field = if view.is_null(row) {
                None
            } else {
                value.clear();
                formatter.put(view, row, &mut value);
                Some(String::from_utf8_lossy(&value))
            };
            put_field(
                &mut data,
                dialect,
                field.as_deref(),
                at == 0,
                views.len() == 1,
                forced[at],
            );
        }
        data.push(b'\n');
        ends.push(data.len());
    }
    Ok(CopyBatch {
        data: data.into(),
        ends,
        rows: batch.num_rows() as u64,
    })
}

fn fields(columns: &[Column], batch: &RecordBatch) -> PgResult<CopyBatch> {
    for column in columns {
        encode_binary::check(column.ty)?;
    }
    let views = views(columns, batch)?;
    let count = i16::try_from(views.len()).unwrap_or(i16::MAX).to_be_bytes();
    let mut data = Vec::new();
    let mut ends = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        data.extend_from_slice(&count);
        for view in &views {
            if view.is_null(row) {
                data.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            encode_binary::put(view, row, &mut data)?;
        }
        ends.push(data.len());
    }
    Ok(CopyBatch {
        data: data.into(),
        ends,
        rows: batch.num_rows() as u64,
    })
}

fn views(columns: &[Column], batch: &RecordBatch) -> PgResult<Vec<View>> {
    columns
        .iter()
        .zip(batch.columns())
        .map(|(column, array)| View::new(column.ty, array))
        .collect()
}
