//! From the rows of a bound statement to changes of a transaction, chunk by chunk.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
    new_null_array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use omnigraph_catalog::provider::{arrow_schema, sql_columns, to_engine, to_sql};
use omnigraph_engine::Transaction;
use omnigraph_engine::blob;
use omnigraph_engine::clock::Environment;
use omnigraph_engine::schema::TypeDef;
use omnigraph_engine::write::identity::fill_ids;

use super::{Effect, Target};
use crate::error::{PgError, PgResult};
use crate::execute::{Executor, Reading, typed};
use crate::session::protocol::Column;
use crate::sqlstate::{self, from_datafusion};
use crate::statement::bind::{self, Bound, BoundDelete, BoundInsert, BoundQuery, BoundUpdate};
use crate::statement::query::Times;

/// One execution of a writing statement.
pub(super) struct Run<'a> {
    pub executor: Executor,
    pub reading: Reading,
    pub times: Times<'a>,
}

/// Rows that are handed to the engine at once.
const CHUNK_ROWS: usize = 65_536;

impl Run<'_> {
    pub(super) async fn write(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        bound: &Bound,
        environment: &dyn Environment,
    ) -> PgResult<Effect> {
        match bound {
            Bound::Insert(insert) => self.insert(transaction, target, insert, environment).await,
            Bound::Update(update) => self.update(transaction, target, update).await,
            Bound::Delete(delete) => self.delete(transaction, target, delete).await,
            Bound::Merge(merge) => self.merge(transaction, target, merge, environment).await,
            Bound::Query(_) | Bound::With(_) | Bound::Changes(_) => Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                "a write was expected",
            )),
        }
    }

    /// The rows of a query that stands behind parts that write.
    pub(super) async fn query(&self, query: &BoundQuery) -> PgResult<Effect> {
        let columns: Vec<Column> = query
            .columns
            .iter()
            .map(|column| Column::new(&column.name, column.ty))
            .collect();
        let mut effect = Effect::default();
        let mut chunks = self.chunks(&query.plan).await?;
        while let Some(chunk) = chunks.try_next().await? {
            effect.rows += chunk.num_rows() as u64;
            effect.returned.push(typed(chunk, &columns)?);
        }
        Ok(effect)
    }

    pub(super) async fn insert(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        insert: &BoundInsert,
        environment: &dyn Environment,
    ) -> PgResult<Effect> {
        let mut effect = Effect::default();
        let mut chunks = self.chunks(&insert.source).await?;
        let mut first_row = 0;
        let mut touched = HashSet::new();
        while let Some(chunk) = chunks.try_next().await? {
            let rows = complete_rows(target, insert, &chunk, first_row)?;
            first_row += chunk.num_rows();
            let rows = fill_ids(&target.def, &rows, environment)?;
            let rows = transaction.admit(target.def.id, rows).await?;
            let changed = match &insert.on_conflict {
                None => {
                    self.insert_new(transaction, target, rows.clone(), environment)
                        .await?;
                    rows
                }
                Some(conflict) => {
                    self.insert_or(transaction, target, conflict, rows, &mut touched)
                        .await?
                }
            };
            effect.rows += changed.num_rows() as u64;
            if let Some(returning) = &insert.returning
                && changed.num_rows() > 0
            {
                let after = named("t", &sql_rows(&target.def, &changed)?)?;
                effect.returned.push(self.returned(returning, after).await?);
            }
        }
        Ok(effect)
    }

    /// A row whose key is there already is a duplicate, whatever id it says; only one whose key
    /// is new can have the wrong id.
    async fn insert_new(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        rows: RecordBatch,
        environment: &dyn Environment,
    ) -> PgResult<()> {
        let Err(error) = transaction.insert(target.def.id, rows.clone()).await else {
            return Ok(());
        };
        let error = PgError::from(error);
        let wrong_id = &target.def.constraints.id_is_key;
        if wrong_id.is_none() || error.constraint != *wrong_id {
            return Err(error);
        }
        let mut columns = rows.columns().to_vec();
        columns[0] = new_null_array(rows.column(0).data_type(), rows.num_rows());
        let keyed = engine_rows(&target.def, &columns, rows.num_rows())?;
        let keyed = fill_ids(&target.def, &keyed, environment)?;
        // The statement is undone either way.
        match transaction.insert(target.def.id, keyed).await {
            Err(duplicate) => Err(PgError::from(duplicate)),
            Ok(_) => Err(error),
        }
    }

    pub(super) async fn update(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        update: &BoundUpdate,
    ) -> PgResult<Effect> {
        let width = target.def.columns().len();
        let mut effect = Effect::default();
        let mut seen = HashSet::new();
        let mut chunks = self.chunks(&update.source).await?;
        while let Some(chunk) = chunks.try_next().await? {
            let chunk = first_of_each(&chunk, &mut seen)?;
            if chunk.num_rows() == 0 {
                continue;
            }
            let mut columns: Vec<ArrayRef> = chunk.columns()[..width].to_vec();
            for (at, column) in update.assigned.iter().enumerate() {
                columns[*column] = if update.defaults.contains(&at) {
                    default_of(&target.def, *column, chunk.num_rows())?
                } else {
                    Arc::clone(chunk.column(width + at))
                };
            }
            refuse_key_change(
                &target.def,
                &update.assigned,
                &chunk.columns()[..width],
                &columns,
            )?;
            let rows = engine_rows(&target.def, &columns, chunk.num_rows())?;
            let rows = transaction.admit(target.def.id, rows).await?;
            effect.rows += transaction.update(target.def.id, rows.clone()).await?;
            if let Some(returning) = &update.returning {
                let after = named("t", &sql_rows(&target.def, &rows)?)?;
                let after = beside(&after, &chunk, width + update.assigned.len())?;
                effect.returned.push(self.returned(returning, after).await?);
            }
        }
        Ok(effect)
    }

    pub(super) async fn delete(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        delete: &BoundDelete,
    ) -> PgResult<Effect> {
        let width = target.def.columns().len();
        let mut effect = Effect::default();
        let mut seen = HashSet::new();
        let mut chunks = self.chunks(&delete.source).await?;
        while let Some(chunk) = chunks.try_next().await? {
            let chunk = first_of_each(&chunk, &mut seen)?;
            if chunk.num_rows() == 0 {
                continue;
            }
            let ids: Vec<String> = chunk
                .column(0)
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned)
                .collect();
            let deleted = transaction.delete(target.def.id, &ids).await?;
            effect.rows += ids.len() as u64;
            if !target.def.is_edge() {
                effect.cascaded += deleted.edges;
            }
            if let Some(returning) = &delete.returning {
                let before = named("t", &chunk.project(&(0..width).collect::<Vec<_>>())?)?;
                let before = beside(&before, &chunk, width)?;
                effect
                    .returned
                    .push(self.returned(returning, before).await?);
            }
        }
        Ok(effect)
    }

    /// The rows of a plan in their order, in chunks.
    pub(super) async fn chunks(
        &self,
        plan: &LogicalPlan,
    ) -> PgResult<BoxStream<'static, PgResult<RecordBatch>>> {
        let plan = bind::complete(plan, &self.times.execution())?;
        let plan = self.executor.optimize(&plan)?;
        let state = self.executor.ordered_state(&self.reading);
        let physical = self.executor.physical(&state, &plan).await?;
        let schema = physical.schema();
        let stream = datafusion::physical_plan::execute_stream(physical, state.task_ctx())
            .map_err(|error| from_datafusion(&error))?
            .map_err(|error| from_datafusion(&error));
        Ok(gathered(schema, stream.boxed()))
    }
}

/// Joins small batches up to a chunk.
fn gathered(
    schema: SchemaRef,
    stream: BoxStream<'static, PgResult<RecordBatch>>,
) -> BoxStream<'static, PgResult<RecordBatch>> {
    futures::stream::try_unfold((stream, schema), |(mut stream, schema)| async move {
        let mut batches = Vec::new();
        let mut rows = 0;
        while rows < CHUNK_ROWS
            && let Some(batch) = stream.try_next().await?
        {
            rows += batch.num_rows();
            batches.push(batch);
        }
        if rows == 0 {
            return Ok(None);
        }
        let chunk = concat_batches(&schema, &batches)?;
        Ok(Some((chunk, (stream, schema))))
    })
    .boxed()
}

/// The source's columns and, for the others, what a row has without them, in the engine's
/// order and types. `first_row` is the number of the chunk's first row in the statement.
fn complete_rows(
    target: &Target,
    insert: &BoundInsert,
    chunk: &RecordBatch,
    first_row: usize,
) -> PgResult<RecordBatch> {
    let def = &target.def;
    let rows = chunk.num_rows();
    let columns = (0..def.columns().len())
        .map(|column| {
            let Some(at) = insert.columns.iter().position(|given| *given == column) else {
                return default_of(def, column, rows);
            };
            let given = chunk.column(at);
            match insert.defaults.iter().find(|default| default.column == at) {
                None => Ok(Arc::clone(given)),
                Some(default) => {
                    let said: HashSet<usize> = default.rows.iter().copied().collect();
                    let mask: BooleanArray = (0..rows)
                        .map(|row| Some(said.contains(&(first_row + row))))
                        .collect();
                    let absent = default_of(def, column, rows)?;
                    let absent = match def.columns()[column].is_blob() {
                        true => blob::values(&absent)?,
                        false => to_sql(&absent, given.data_type())?,
                    };
                    Ok(arrow::compute::kernels::zip::zip(&mask, &absent, given)?)
                }
            }
        })
        .collect::<PgResult<Vec<_>>>()?;
    engine_rows(def, &columns, rows)
}

/// What a column holds in rows that do not say it: its declared default, else NULL, from which
/// the engine makes an id.
pub(super) fn default_of(def: &TypeDef, column: usize, rows: usize) -> PgResult<ArrayRef> {
    match def.columns()[column].property {
        Some(property) => Ok(def.properties[property].default_array(rows)?),
        None => Ok(new_null_array(&def.columns()[column].data_type, rows)),
    }
}

/// Columns in SQL's or the engine's types as a batch in the engine's, with blobs as values.
/// Nothing is refused for being NULL here: that is the engine's to say.
pub(crate) fn engine_rows(
    def: &TypeDef,
    columns: &[ArrayRef],
    rows: usize,
) -> PgResult<RecordBatch> {
    let arrays = columns
        .iter()
        .zip(def.columns())
        .map(|(array, column)| {
            if column.is_blob() {
                return Ok(blob::values(array)?);
            }
            Ok(to_engine(
                array,
                &column.data_type,
                &def.table,
                &column.name,
            )?)
        })
        .collect::<PgResult<Vec<_>>>()?;
    let fields: Vec<Field> = def
        .columns()
        .iter()
        .zip(&arrays)
        .map(|(column, array)| Field::new(&column.physical, array.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(ArrowSchema::new(fields)),
        arrays,
        &options,
    )?)
}

/// Rows of the engine in SQL's names and types.
pub(super) fn sql_rows(def: &TypeDef, rows: &RecordBatch) -> PgResult<RecordBatch> {
    let schema = arrow_schema(def);
    let arrays = rows
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(array, field)| Ok(to_sql(array, field.data_type())?))
        .collect::<PgResult<Vec<_>>>()?;
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    Ok(RecordBatch::try_new(
        Arc::new(ArrowSchema::new(fields)),
        arrays,
    )?)
}

/// The same columns under the binder's names: `t0`, `t1`, …
pub(super) fn named(prefix: &str, rows: &RecordBatch) -> PgResult<RecordBatch> {
    let fields: Vec<Field> = rows
        .columns()
        .iter()
        .enumerate()
        .map(|(at, array)| Field::new(format!("{prefix}{at}"), array.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(ArrowSchema::new(fields)),
        rows.columns().to_vec(),
        &options,
    )?)
}

/// A batch with the columns of another from a position on beside its own.
pub(super) fn beside(
    left: &RecordBatch,
    right: &RecordBatch,
    from: usize,
) -> PgResult<RecordBatch> {
    let mut fields: Vec<Field> = left
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let mut arrays = left.columns().to_vec();
    for at in from..right.num_columns() {
        fields.push(right.schema().field(at).clone().with_nullable(true));
        arrays.push(Arc::clone(right.column(at)));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(ArrowSchema::new(fields)),
        arrays,
        &options,
    )?)
}

/// The rows whose id has not been seen yet: a join may give one row several times, and the
/// first time counts.
fn first_of_each(chunk: &RecordBatch, seen: &mut HashSet<String>) -> PgResult<RecordBatch> {
    let ids: &StringArray = chunk.column(0).as_string::<i32>();
    let mask: BooleanArray = ids
        .iter()
        .map(|id| Some(id.is_some_and(|id| seen.insert(id.to_owned()))))
        .collect();
    if mask.true_count() == chunk.num_rows() {
        return Ok(chunk.clone());
    }
    Ok(arrow::compute::filter_record_batch(chunk, &mask)?)
}

/// A row is its id, and the key is what the id is made of: neither changes. Writing back what
/// is there is fine.
pub(super) fn refuse_key_change(
    def: &TypeDef,
    assigned: &[usize],
    before: &[ArrayRef],
    after: &[ArrayRef],
) -> PgResult<()> {
    let fixed = assigned.iter().filter(|column| {
        **column == 0
            || def.columns()[**column]
                .property
                .is_some_and(|property| def.key.contains(&property))
    });
    for column in fixed {
        let wanted = before[*column].data_type();
        let (old, new) = (&before[*column], to_sql(&after[*column], wanted)?);
        if old.to_data() == new.to_data() || same_values(old, &new)? {
            continue;
        }
        let name = &sql_columns(def)[*column].name;
        return Err(PgError::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!(
                "cannot change \"{name}\" of \"{}\": it is what its rows are known by",
                def.table
            ),
        )
        .hint("Delete the row and insert it under its new key."));
    }
    Ok(())
}

fn same_values(left: &ArrayRef, right: &ArrayRef) -> PgResult<bool> {
    let compare =
        arrow::array::make_comparator(left, right, arrow::compute::SortOptions::default())?;
    Ok((0..left.len()).all(|row| compare(row, row).is_eq()))
}
