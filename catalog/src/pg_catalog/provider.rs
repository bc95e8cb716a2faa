//! A catalog relation as DataFusion scans it.
//!
//! Equality with constants on columns of OIDs goes through sorted indexes, and branches in
//! whose block the OID does not lie are not even looked at; equality on text columns is
//! compared while scanning. Both are exact, so no filter remains above the scan, and so are
//! the row counts that the optimizer is told.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::stream;
use omnigraph_engine::{Error, Result};

use super::def::RelationDef;
use super::live::LiveRelations;
use super::segment::{Part, PartRows};
use super::value::Rows;
use super::{Branch, tables};

/// Where a relation's rows are.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// The same for everybody who sees this part.
    Shared(Arc<Part>),
    /// With the row counts of a branch.
    Branch(Arc<Branch>),
    /// About the graph itself.
    Fixed(Arc<PartRows>),
    /// Made by the session when the scan runs.
    Live(Arc<dyn LiveRelations>),
}

impl Piece {
    fn rows(&self, def: &'static RelationDef) -> Result<Arc<PartRows>> {
        match self {
            Piece::Shared(part) => part.rows(def),
            Piece::Branch(branch) if tables::COUNTED.contains(&def.name) => branch.counted(def),
            Piece::Branch(branch) => branch.part.rows(def),
            Piece::Fixed(rows) => Ok(Arc::clone(rows)),
            Piece::Live(live) => {
                let mut rows = Rows::new(def);
                for row in live.rows(def.name) {
                    rows.push(row)?;
                }
                Ok(Arc::new(PartRows::new(rows.finish()?)))
            }
        }
    }

    /// How many rows; `None`: not known before the scan runs.
    fn len(&self, def: &'static RelationDef) -> Result<Option<usize>> {
        Ok(match self {
            Piece::Shared(part) => Some(part.len(def)?),
            Piece::Branch(branch) => Some(branch.part.len(def)?),
            Piece::Fixed(rows) => Some(rows.batch.num_rows()),
            Piece::Live(_) => None,
        })
    }

    fn may_hold(&self, def: &'static RelationDef, column: usize, oid: u32) -> Result<bool> {
        match self {
            Piece::Shared(part) => part.may_hold(def, column, oid),
            Piece::Branch(branch) => branch.part.may_hold(def, column, oid),
            Piece::Fixed(_) | Piece::Live(_) => Ok(true),
        }
    }
}

/// One relation of one state of a graph's catalogs.
#[derive(Debug, Clone)]
pub struct CatalogTable {
    def: &'static RelationDef,
    pieces: Arc<[Piece]>,
}

impl CatalogTable {
    pub(super) fn new(def: &'static RelationDef, pieces: Vec<Piece>) -> Self {
        CatalogTable {
            def,
            pieces: pieces.into(),
        }
    }

    /// The rows that match, in the order of the pieces.
    fn select(&self, wanted: &[Wanted]) -> Result<Vec<RecordBatch>> {
        let mut found = Vec::new();
        for piece in self.pieces.iter() {
            if self.is_excluded(piece, wanted)? || piece.len(self.def)? == Some(0) {
                continue;
            }
            let rows = piece.rows(self.def)?;
            if wanted.is_empty() {
                found.push(rows.batch.clone());
                continue;
            }
            let selected = select_rows(&rows, wanted);
            if !selected.is_empty() {
                found.push(take_record_batch(
                    &rows.batch,
                    &UInt32Array::from(selected),
                )?);
            }
        }
        Ok(found)
    }

    fn is_excluded(&self, piece: &Piece, wanted: &[Wanted]) -> Result<bool> {
        for Wanted { column, values } in wanted {
            let Values::Oids(oids) = values else { continue };
            let mut possible = false;
            for oid in oids {
                possible |= piece.may_hold(self.def, *column, *oid)?;
            }
            if !possible {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A column and the values of which it has to have one.
#[derive(Debug, Clone)]
struct Wanted {
    column: usize,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    /// Sorted, each once.
    Oids(Vec<u32>),
    Texts(Vec<String>),
}

fn select_rows(rows: &PartRows, wanted: &[Wanted]) -> Vec<u32> {
    let indexed = wanted.iter().find_map(|wanted| match &wanted.values {
        Values::Oids(oids) => Some((wanted.column, oids)),
        Values::Texts(_) => None,
    });
    let mut candidates: Vec<u32> = match indexed {
        Some((column, oids)) => oids
            .iter()
            .filter_map(|oid| rows.find(column, *oid))
            .flatten()
            .collect(),
        None => (0..u32::try_from(rows.batch.num_rows()).unwrap_or(u32::MAX)).collect(),
    };
    for Wanted { column, values } in wanted {
        let array = rows.batch.column(*column);
        match values {
            Values::Oids(oids) => {
                let array = array.as_primitive::<arrow::datatypes::UInt32Type>();
                candidates.retain(|row| {
                    let row = *row as usize;
                    array.is_valid(row) && oids.binary_search(&array.value(row)).is_ok()
                });
            }
            Values::Texts(texts) => {
                let array = array.as_string::<i32>();
                candidates.retain(|row| {
                    let row = *row as usize;
                    array.is_valid(row) && texts.iter().any(|text| text == array.value(row))
                });
            }
        }
    }
    candidates.sort_unstable();
    candidates
}

/// A filter that the scan takes over: the column is one of these.
#[derive(Debug, Clone)]
struct Equality {
    column: usize,
    operands: Vec<Operand>,
}

#[derive(Debug, Clone)]
enum Operand {
    Known(ScalarValue),
    /// Without columns: has a value when the scan runs.
    Later(Arc<dyn PhysicalExpr>),
}

impl Operand {
    fn value(&self, nothing: &RecordBatch) -> DfResult<ScalarValue> {
        match self {
            Operand::Known(value) => Ok(value.clone()),
            Operand::Later(expr) => match expr.evaluate(nothing)? {
                ColumnarValue::Scalar(value) => Ok(value),
                ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
            },
        }
    }
}

/// The column and the expressions it is compared with, if a scan can decide the filter.
fn equality<'a>(def: &RelationDef, filter: &'a Expr) -> Option<(usize, Vec<&'a Expr>)> {
    let (column, operands) = match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), operand) | (operand, Expr::Column(column)) => {
                (column, vec![operand])
            }
            _ => return None,
        },
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) => match expr.as_ref() {
            Expr::Column(column) => (column, list.iter().collect()),
            _ => return None,
        },
        _ => return None,
    };
    let at = def.position(&column.name)?;
    let ty = def.columns[at].ty.arrow();
    let is_plain = matches!(ty, DataType::UInt32 | DataType::Utf8)
        && operands.iter().all(|operand| match operand {
            Expr::Literal(value, _) => value.data_type() == ty,
            // A call without arguments: a parameter's cell.
            Expr::ScalarFunction(call) => {
                call.args.is_empty() && call.func.return_type(&[]).is_ok_and(|cell| cell == ty)
            }
            _ => false,
        });
    is_plain.then_some((at, operands))
}

/// NULL is equal to nothing.
fn wanted(equalities: &[Equality]) -> DfResult<Vec<Wanted>> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
    equalities
        .iter()
        .map(|equality| {
            let mut oids = Vec::new();
            let mut texts = Vec::new();
            for operand in &equality.operands {
                match operand.value(&nothing)? {
                    ScalarValue::UInt32(oid) => oids.extend(oid),
                    ScalarValue::Utf8(text) => texts.extend(text),
                    other => {
                        let message = format!("a catalog is compared with {other:?}");
                        return Err(external(Error::Internal(message)));
                    }
                }
            }
            oids.sort_unstable();
            oids.dedup();
            let values = if texts.is_empty() {
                Values::Oids(oids)
            } else {
                Values::Texts(texts)
            };
            Ok(Wanted {
                column: equality.column,
                values,
            })
        })
        .collect()
}

#[async_trait]
impl TableProvider for CatalogTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.def.arrow)
    }

    fn table_type(&self) -> TableType {
        if self.def.kind == 'v' {
            TableType::View
        } else {
            TableType::Base
        }
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match equality(self.def, filter) {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let mut equalities = Vec::new();
        for filter in filters {
            let Some((column, operands)) = equality(self.def, filter) else {
                // Dropping it would return rows that were not asked for.
                let message = format!(
                    "{} was given a filter that it did not accept: {filter}",
                    self.def.name
                );
                return Err(external(Error::Internal(message)));
            };
            let operands = operands
                .into_iter()
                .map(|operand| match operand {
                    Expr::Literal(value, _) => Ok(Operand::Known(value.clone())),
                    later => Ok(Operand::Later(
                        state.create_physical_expr(later.clone(), &DFSchema::empty())?,
                    )),
                })
                .collect::<DfResult<Vec<_>>>()?;
            equalities.push(Equality { column, operands });
        }
        Ok(Arc::new(CatalogScan::new(
            self.clone(),
            equalities,
            projection.cloned(),
            limit,
        )?))
    }
}

/// Reads one relation's rows.
#[derive(Debug)]
pub struct CatalogScan {
    table: CatalogTable,
    equalities: Vec<Equality>,
    projection: Option<Vec<usize>>,
    limit: Option<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    /// Counted once, since rules of the optimizer ask often.
    count: OnceLock<Option<usize>>,
}

impl CatalogScan {
    fn new(
        table: CatalogTable,
        equalities: Vec<Equality>,
        projection: Option<Vec<usize>>,
        limit: Option<usize>,
    ) -> DfResult<Self> {
        let schema = match &projection {
            Some(columns) => Arc::new(table.def.arrow.project(columns)?),
            None => Arc::clone(&table.def.arrow),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(CatalogScan {
            table,
            equalities,
            projection,
            limit,
            schema,
            properties: Arc::new(properties),
            count: OnceLock::new(),
        })
    }

    fn read(&self) -> DfResult<Vec<RecordBatch>> {
        let wanted = wanted(&self.equalities)?;
        self.table.select(&wanted).map_err(external)
    }

    /// How many rows come out, if that is known before the scan runs.
    fn count(&self) -> DfResult<Option<usize>> {
        if let Some(count) = self.count.get() {
            return Ok(*count);
        }
        let known = self
            .equalities
            .iter()
            .flat_map(|equality| &equality.operands)
            .all(|operand| matches!(operand, Operand::Known(_)));
        let mut count = known.then_some(0usize);
        for piece in self.table.pieces.iter() {
            let len = piece.len(self.table.def).map_err(external)?;
            count = count.zip(len).map(|(count, len)| count + len);
        }
        if count.is_some() && !self.equalities.is_empty() {
            count = Some(self.read()?.iter().map(RecordBatch::num_rows).sum());
        }
        let count = count.map(|count| self.limit.map_or(count, |limit| count.min(limit)));
        Ok(*self.count.get_or_init(|| count))
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl DisplayAs for CatalogScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CatalogScan: {}.{}",
            self.table.def.schema, self.table.def.name
        )?;
        for equality in &self.equalities {
            let name = self.table.def.columns[equality.column].name;
            write!(f, ", {name} = {} value(s)", equality.operands.len())?;
        }
        Ok(())
    }
}

impl ExecutionPlan for CatalogScan {
    fn name(&self) -> &str {
        "CatalogScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let most = context.session_config().batch_size().max(1);
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut pieces = Vec::new();
        for batch in self.read()? {
            let batch = match &self.projection {
                Some(columns) => batch.project(columns)?,
                None => batch,
            };
            let mut at = 0;
            while at < batch.num_rows() && left > 0 {
                let rows = most.min(batch.num_rows() - at).min(left);
                pieces.push(Ok(batch.slice(at, rows)));
                at += rows;
                left -= rows;
            }
        }
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream::iter(pieces),
        )))
    }

    fn partition_statistics(&self, _: Option<usize>) -> DfResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Some(count) = self.count()? {
            statistics.num_rows = Precision::Exact(count);
        }
        Ok(Arc::new(statistics))
    }
}
