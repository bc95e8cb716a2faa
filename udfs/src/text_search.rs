//! What the functions that search texts have in common: which table and column, how many rows,
//! how texts become words, and rows of the table with a score.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::scalar::ScalarValue;
use futures::stream::TryStreamExt;
use omnigraph_catalog::provider::{sql_columns, to_sql};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::error::ObjectKind;
use omnigraph_engine::schema::{PropertyType, Scalar, Schema, TypeDef};
use omnigraph_engine::search::{Analyzer, Hit, TextQuery};
use omnigraph_engine::{Error as EngineError, RowPosition, Table};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction};
use crate::rows::{self, BATCH_ROWS};

const OUT_OF_MEMORY: &str = "53200";
/// What a row that may be among the best takes, about.
const HIT_BYTES: usize = 96;

/// `type, property, words, k`.
pub(crate) fn arguments() -> Vec<Argument> {
    vec![
        Argument::required("type", &[PgType::TEXT]),
        Argument::required("property", &[PgType::TEXT]),
        Argument::required("words", &[PgType::TEXT]),
        Argument::optional("k", PgType::INT8, ScalarValue::Int64(Some(10))),
    ]
}

/// What comes after all others: how texts become words, if not as the property declares.
pub(crate) fn analyzer() -> Argument {
    Argument::optional("analyzer", PgType::TEXT, ScalarValue::Utf8(None))
}

/// The table's columns and `score`.
pub(crate) fn columns(
    function: &dyn TableFunction,
    constants: &[Option<ScalarValue>],
    schema: Option<&Schema>,
) -> Result<Vec<Column>> {
    let Some(table) = constants.first().cloned().flatten() else {
        return Err(Error::Argument {
            function: function.name(),
            argument: "type",
            message: "argument \"type\" must be a constant".to_owned(),
            hint: Some("Its columns must be known before it is called.".to_owned()),
        });
    };
    let arguments = [table];
    let name = Args::new(function, &arguments).text("type")?;
    let def = schema
        .and_then(|schema| schema.table(name).or_else(|| schema.by_name(name)))
        .ok_or_else(|| unknown(name))?;
    let mut columns: Vec<Column> = sql_columns(def)
        .into_iter()
        .map(|column| Column::new(column.name, column.ty))
        .collect();
    columns.push(Column::new(score_column(def), PgType::FLOAT8));
    Ok(columns)
}

/// What the score is called beside the columns of a type.
pub fn score_column(def: &TypeDef) -> &'static str {
    let taken = def.columns().iter().any(|column| column.name == "score");
    if taken { "search_score" } else { "score" }
}

/// Finds the rows that a query is for, which is read once it is known how texts become words.
pub(crate) fn start(
    function: Arc<dyn TableFunction>,
    call: Call,
    query: impl FnOnce(Analyzer) -> TextQuery + Send + 'static,
) -> Result<SendableRecordBatchStream> {
    let args = Args::new(function.as_ref(), &call.arguments);
    let asked = match args.optional_text("analyzer")? {
        None => None,
        Some(name) => Some(Analyzer::named(name).ok_or_else(|| {
            let names = Analyzer::ALL.map(Analyzer::name).join(", ");
            args.bad("analyzer", format!("must be one of {names}"))
        })?),
    };
    let most = match args.optional_int("k")? {
        None => usize::MAX,
        Some(most) => usize::try_from(most).map_err(|_| args.bad("k", "must not be negative"))?,
    };
    let most = most.min(call.limit.unwrap_or(usize::MAX));
    let schema = Arc::clone(&call.schema);
    let found = async move {
        let args = Args::new(function.as_ref(), &call.arguments);
        let snapshot = call.context.snapshot().await?;
        let (name, property) = (args.text("type")?, args.text("property")?);
        let table = snapshot
            .table_named(name)
            .or_else(|| snapshot.table(snapshot.schema().by_name(name)?.id))
            .ok_or_else(|| unknown(name))?;
        let property = text_property(&args, table.def(), property)?;
        let column = table.def().property_column(property);
        let analyzer = asked.or_else(|| Analyzer::declared(table.def(), property));
        let query = query(analyzer.unwrap_or_default());
        let reservation = MemoryConsumer::new(function.name()).register(&call.memory);
        let rows = usize::try_from(table.row_count()).unwrap_or(usize::MAX);
        reservation
            .try_grow(rows.min(most).saturating_mul(HIT_BYTES))
            .map_err(|error| Error::value(OUT_OF_MEMORY, format!("out of memory: {error}")))?;
        let hits = table.search_text(column, &query, most).await?;
        let pages = (0..hits.len()).step_by(BATCH_ROWS);
        let page = Page {
            table,
            schema: call.schema,
            wanted: call.wanted,
        };
        let state = (page, hits, pages, reservation);
        Ok::<_, Error>(futures::stream::try_unfold(
            state,
            |(page, hits, mut pages, reservation)| async move {
                let Some(from) = pages.next() else {
                    return Ok::<_, Error>(None);
                };
                let to = hits.len().min(from + BATCH_ROWS);
                let batch = page.of(&hits[from..to]).await?;
                Ok(Some((batch, (page, hits, pages, reservation))))
            },
        ))
    };
    Ok(rows::batches(
        schema,
        futures::stream::once(found).try_flatten(),
    ))
}

/// Makes rows of what was found.
struct Page {
    table: Table,
    schema: SchemaRef,
    wanted: Option<Vec<usize>>,
}

impl Page {
    async fn of(&self, hits: &[Hit]) -> Result<RecordBatch> {
        let score = self.schema.fields().len() - 1;
        let wanted: Vec<usize> = match &self.wanted {
            Some(wanted) => wanted.iter().copied().filter(|at| *at < score).collect(),
            None => (0..score).collect(),
        };
        let positions: Vec<RowPosition> = hits.iter().map(|hit| hit.position).collect();
        let held = match wanted.as_slice() {
            // Rows that are only counted, or of which nothing but the score is wanted.
            [] => None,
            wanted => Some(self.table.with_bytes(&positions, wanted).await?),
        };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(score + 1);
        for (at, field) in self.schema.fields().iter().take(score).enumerate() {
            let place = wanted.iter().position(|column| *column == at);
            arrays.push(match (&held, place) {
                (Some(held), Some(place)) => to_sql(held.column(place), field.data_type())?,
                _ => new_null_array(field.data_type(), hits.len()),
            });
        }
        let scores: Float64Array = hits.iter().map(|hit| Some(hit.score)).collect();
        arrays.push(Arc::new(scores));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
        Ok(batch.map_err(EngineError::from)?)
    }
}

fn text_property(args: &Args<'_>, def: &TypeDef, name: &str) -> Result<usize> {
    let property = def
        .properties
        .iter()
        .position(|property| property.column == name || property.name == name);
    let Some(property) = property else {
        return Err(EngineError::not_found(ObjectKind::Property, name).into());
    };
    match &def.properties[property].ty {
        PropertyType::Scalar(Scalar::String) | PropertyType::Enum(_) => Ok(property),
        _ => Err(args.bad("property", format!("names \"{name}\", which is not a text"))),
    }
}

fn unknown(table: &str) -> EngineError {
    EngineError::not_found(ObjectKind::Type, table)
}
