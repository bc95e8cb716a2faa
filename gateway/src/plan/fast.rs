//! Key lookups without DataFusion: `SELECT columns FROM table WHERE id = $1`. The bound plan
//! is read off; if it is anything but a plain lookup, the general path runs it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema as ArrowSchema};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column as DfColumn;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::provider::{GraphTable, Snapshots, arrow_schema, to_engine, to_sql};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::TypeId;

use crate::error::{PgError, PgResult};
use crate::execute::Executor;
use crate::session::protocol::Column;
use crate::sqlstate;
use crate::statement::bind::BoundQuery;

/// A lookup by equality in indexed columns.
#[derive(Debug, Clone)]
pub struct Lookup {
    pub branch: BranchName,
    pub table: TypeId,
    /// Column of the table, and what it has to equal.
    keys: Vec<(usize, Operand)>,
    /// Columns of the table that come out, in order.
    output: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Operand {
    Constant(ScalarValue),
    /// From 0.
    Parameter(usize),
}

impl Lookup {
    /// The lookup that a bound query is, if it is one.
    pub fn of(query: &BoundQuery, executor: &Executor) -> Option<Self> {
        if query.volatile || !query.locks.is_empty() || query.changes || !is_plain(&query.plan) {
            return None;
        }
        // The optimizer brings the conditions down to the scan, in the table's own names.
        let optimized = executor.optimize(&query.plan).ok()?;
        let mut plan = &optimized;
        let mut output: Option<Vec<DfColumn>> = None;
        let mut filters: Vec<&Expr> = Vec::new();
        let scan = loop {
            match plan {
                LogicalPlan::Projection(projection) => {
                    let columns = projection
                        .expr
                        .iter()
                        .map(plain)
                        .collect::<Option<Vec<_>>>()?;
                    let names = projection.schema.columns();
                    output = Some(match output {
                        None => columns,
                        Some(above) => above
                            .iter()
                            .map(|wanted| {
                                let at = names.iter().position(|name| name.name == wanted.name)?;
                                columns.get(at).cloned()
                            })
                            .collect::<Option<Vec<_>>>()?,
                    });
                    // A filter above a projection is in terms of the projection's names.
                    if !filters.is_empty() {
                        return None;
                    }
                    plan = &projection.input;
                }
                LogicalPlan::Filter(filter) => {
                    split(&filter.predicate, &mut filters);
                    plan = &filter.input;
                }
                LogicalPlan::SubqueryAlias(alias) => plan = &alias.input,
                LogicalPlan::TableScan(scan) => break scan,
                _ => return None,
            }
        };
        if scan.fetch.is_some() {
            return None;
        }
        filters.extend(scan.filters.iter());
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider
            .downcast_ref::<GraphTable>()
            .filter(|table| table.is_current())?;
        let schema = datafusion::catalog::TableProvider::schema(table);
        let position = |column: &DfColumn| schema.index_of(&column.name).ok();
        let mut keys = Vec::new();
        for filter in filters {
            let (column, operand) = equality(filter)?;
            keys.push((position(column)?, operand));
        }
        keys.sort_by_key(|(column, _)| *column);
        let columns: Vec<usize> = keys.iter().map(|(column, _)| *column).collect();
        if columns.windows(2).any(|pair| pair[0] == pair[1]) || !is_indexed(table, &columns) {
            return None;
        }
        let output = match output {
            Some(output) => output.iter().map(position).collect::<Option<Vec<_>>>()?,
            None => scan
                .projected_schema
                .columns()
                .iter()
                .map(position)
                .collect::<Option<Vec<_>>>()?,
        };
        Some(Lookup {
            branch: table.branch().clone(),
            table: table.def().id,
            keys,
            output,
        })
    }

    /// The rows. `params` are of the types that the statement was described with.
    pub async fn run(
        &self,
        snapshots: &Snapshots,
        params: &[ScalarValue],
        columns: &[Column],
    ) -> PgResult<RecordBatch> {
        let table = snapshots.table(&self.branch, self.table)?;
        let def = Arc::clone(table.def());
        let engine = def.arrow_schema();
        let mut wanted: Vec<ArrayRef> = Vec::with_capacity(self.keys.len());
        for (column, operand) in &self.keys {
            let value = match operand {
                Operand::Constant(value) => value,
                Operand::Parameter(at) => params.get(*at).ok_or_else(|| {
                    PgError::new(
                        sqlstate::UNDEFINED_PARAMETER,
                        format!("there is no parameter ${}", at + 1),
                    )
                })?,
            };
            let array = value.to_array()?;
            let ty = engine.field(*column).data_type();
            // A value that the column's type cannot hold equals none of its values.
            match to_engine(&array, ty, &def.table, &def.columns()[*column].name) {
                Ok(array) if array.is_valid(0) => wanted.push(array),
                _ => return empty(&def, &self.output, columns),
            }
        }
        let rows = match (self.keys.as_slice(), wanted.as_slice()) {
            ([(0, _)], [ids]) => {
                let ids = arrow::array::cast::as_string_array(ids);
                table
                    .find_ids(&[ids.value(0)])
                    .await?
                    .into_iter()
                    .flatten()
                    .collect()
            }
            (keys, wanted) => {
                let by: Vec<usize> = keys.iter().map(|(column, _)| *column).collect();
                table
                    .find(&by, wanted)
                    .await?
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
            }
        };
        let batch = table.rows(&rows, &self.output).await?;
        let arrays = batch
            .columns()
            .iter()
            .zip(columns)
            .map(|(array, column)| to_sql(array, &column.ty.arrow()))
            .collect::<Result<Vec<_>, _>>()?;
        named(arrays, columns, rows.len())
    }
}

fn empty(
    def: &omnigraph_engine::schema::TypeDef,
    output: &[usize],
    columns: &[Column],
) -> PgResult<RecordBatch> {
    let schema = arrow_schema(def);
    let arrays = output
        .iter()
        .map(|column| arrow::array::new_empty_array(schema.field(*column).data_type()))
        .collect();
    named(arrays, columns, 0)
}

fn named(arrays: Vec<ArrayRef>, columns: &[Column], rows: usize) -> PgResult<RecordBatch> {
    let fields: Vec<arrow::datatypes::Field> = columns
        .iter()
        .zip(&arrays)
        .map(|(column, array)| {
            arrow::datatypes::Field::new(&column.name, array.data_type().clone(), true)
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(ArrowSchema::new(fields)),
        arrays,
        &options,
    )?)
}

/// One table, filtered and projected, and nothing else?
fn is_plain(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_plain(&projection.input),
        LogicalPlan::Filter(filter) => is_plain(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => is_plain(&alias.input),
        LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

/// A column, renamed or not.
fn plain(expr: &Expr) -> Option<DfColumn> {
    match expr {
        Expr::Column(column) => Some(column.clone()),
        Expr::Alias(alias) => plain(&alias.expr),
        _ => None,
    }
}

fn split<'a>(filter: &'a Expr, out: &mut Vec<&'a Expr>) {
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => {
            split(left, out);
            split(right, out);
        }
        other => out.push(other),
    }
}

fn equality(filter: &Expr) -> Option<(&DfColumn, Operand)> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = filter
    else {
        return None;
    };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), other) | (other, Expr::Column(column)) => {
            Some((column, operand(other)?))
        }
        _ => None,
    }
}

fn operand(expr: &Expr) -> Option<Operand> {
    match expr {
        Expr::Literal(value, _) => Some(Operand::Constant(value.clone())),
        Expr::Placeholder(placeholder) => {
            let number: usize = placeholder.id.strip_prefix('$')?.parse().ok()?;
            number.checked_sub(1).map(Operand::Parameter)
        }
        _ => None,
    }
}

/// Columns that equality is looked up in. Floats are not: -0.0 equals 0.0 for SQL and not for
/// a hash. Nor is `U64`, which SQL compares with numerics of any scale.
fn is_indexed(table: &GraphTable, columns: &[usize]) -> bool {
    let def = table.def();
    let engine = def.arrow_schema();
    let hashed = |column: &usize| {
        let ty = engine.field(*column).data_type();
        !ty.is_floating() && *ty != DataType::UInt64
    };
    if !columns.iter().all(hashed) {
        return false;
    }
    let is_set = |members: &mut dyn Iterator<Item = usize>| {
        let mut set: Vec<usize> = members.collect();
        set.sort_unstable();
        columns == set
    };
    columns == [0]
        || (!def.key.is_empty() && is_set(&mut def.key.iter().map(|at| def.property_column(*at))))
        || def
            .uniques
            .iter()
            .any(|unique| is_set(&mut unique.columns.iter().copied()))
        || (def.is_edge() && [&[1][..], &[2], &[1, 2]].contains(&columns))
}
