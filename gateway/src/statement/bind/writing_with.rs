//! WITH in which something writes: `WITH gone AS (DELETE … RETURNING *) INSERT …`. Every part
//! reads what was there before the statement; what a part returns is a table to those after it.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, Result as DfResult, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use sqlparser::ast;

use super::query::{QueryColumn, QueryRel, rename};
use super::scope::Level;
use super::with::Cte;
use super::{Binder, Bound, OutputColumn, TableUse, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// A statement with parts that write.
#[derive(Debug, Clone)]
pub struct BoundWith {
    /// In the order in which they run.
    pub parts: Vec<WritingPart>,
    /// The statement that WITH stands before.
    pub last: Bound,
    pub params: Vec<omnigraph_catalog::types::PgType>,
    pub reads: Vec<TableUse>,
}

#[derive(Debug, Clone)]
pub struct WritingPart {
    pub write: Bound,
    /// Where what it returns is read from, by number.
    pub number: usize,
}

/// What the parts of a running statement have returned so far, by number.
#[derive(Debug, Default)]
pub struct Written(Mutex<Vec<(usize, Vec<RecordBatch>)>>);

impl Written {
    pub fn put(&self, number: usize, rows: Vec<RecordBatch>) {
        self.0.lock().push((number, rows));
    }

    fn rows(&self, number: usize) -> Option<Vec<RecordBatch>> {
        let all = self.0.lock();
        let (_, rows) = all.iter().find(|(known, _)| *known == number)?;
        Some(rows.clone())
    }
}

/// The rows that a part returned, as a table. A plan over it holds none of them.
#[derive(Debug)]
struct WrittenRows {
    number: usize,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for WrittenRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let rows = state
            .config()
            .get_extension::<Written>()
            .and_then(|written| written.rows(self.number))
            .ok_or_else(|| {
                DataFusionError::Internal("a part of WITH is read before it has run".to_owned())
            })?;
        let rows = rows
            .into_iter()
            .map(|batch| RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec()))
            .collect::<Result<Vec<_>, _>>()?;
        MemTable::try_new(Arc::clone(&self.schema), vec![rows])?
            .scan(state, projection, filters, limit)
            .await
    }
}

/// Does something in the query write?
pub(crate) fn writes(query: &ast::Query) -> bool {
    let part = |body: &ast::SetExpr| {
        matches!(
            body,
            ast::SetExpr::Insert(_)
                | ast::SetExpr::Update(_)
                | ast::SetExpr::Delete(_)
                | ast::SetExpr::Merge(_)
        )
    };
    let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
    part(&query.body) || ctes.into_iter().any(|cte| part(&cte.query.body))
}

impl Binder<'_> {
    pub(super) fn writing_with(&mut self, query: &ast::Query) -> PgResult<BoundWith> {
        let level = Rc::new(Level::default());
        let mut parts = Vec::new();
        let mut reads = Vec::new();
        self.parts = true;
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                let Some(write) = self.part(&cte.query)? else {
                    self.cte(cte, with.recursive, &level, None)?;
                    continue;
                };
                if cte.query.with.is_some() {
                    return Err(unsupported(
                        "WITH inside of a part that writes",
                        self.at(cte),
                    ));
                }
                let number = self.next();
                let name = fold(&cte.alias.name);
                let rel = match write.returning() {
                    None => None,
                    Some(columns) => {
                        let mut rel = self.written_rel(number, columns)?;
                        let aliases: Vec<String> = cte
                            .alias
                            .columns
                            .iter()
                            .map(|column| fold(&column.name))
                            .collect();
                        let at = self.positions.of_span(cte.alias.name.span);
                        rename(&mut rel, &aliases, &name, at)?;
                        Some(rel)
                    }
                };
                reads.extend(write.reads().iter().cloned());
                self.ctes.push(Cte { name, rel });
                parts.push(WritingPart { write, number });
            }
        }
        let last = match self.part(query)? {
            Some(write) => write,
            None => {
                let rest = ast::Query {
                    with: None,
                    ..query.clone()
                };
                Bound::Query(self.bind_query(&rest)?)
            }
        };
        reads.extend(last.reads().iter().cloned());
        self.parts = false;
        Ok(BoundWith {
            parts,
            last,
            params: self.parameter_types()?,
            reads,
        })
    }

    /// The write that a query's body is.
    fn part(&mut self, query: &ast::Query) -> PgResult<Option<Bound>> {
        Ok(Some(match query.body.as_ref() {
            ast::SetExpr::Insert(ast::Statement::Insert(insert)) => {
                Bound::Insert(Box::new(self.insert(insert)?))
            }
            ast::SetExpr::Update(ast::Statement::Update(update)) => {
                Bound::Update(Box::new(self.update(update)?))
            }
            ast::SetExpr::Delete(ast::Statement::Delete(delete)) => {
                Bound::Delete(Box::new(self.delete(delete)?))
            }
            ast::SetExpr::Merge(ast::Statement::Merge(merge)) => {
                Bound::Merge(Box::new(self.merge(merge)?))
            }
            ast::SetExpr::Insert(_)
            | ast::SetExpr::Update(_)
            | ast::SetExpr::Delete(_)
            | ast::SetExpr::Merge(_) => {
                return Err(PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    "a write of an unknown kind",
                ));
            }
            _ => return Ok(None),
        }))
    }

    fn written_rel(&mut self, number: usize, columns: &[OutputColumn]) -> PgResult<QueryRel> {
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| Field::new(format!("c{at}"), column.ty.arrow(), true))
            .collect();
        let provider = WrittenRows {
            number,
            schema: Arc::new(Schema::new(fields)),
        };
        let reference = TableReference::bare(self.name("t"));
        let mut exprs = Vec::new();
        let mut known = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let name = self.name("c");
            let field = Column::new(Some(reference.clone()), format!("c{at}"));
            exprs.push(Expr::Column(field).alias(&name));
            known.push(QueryColumn {
                name: column.name.clone(),
                column: name,
                ty: column.ty,
                origin: None,
                fields: Vec::new(),
            });
        }
        let plan = planned(
            LogicalPlanBuilder::scan(reference, provider_as_source(Arc::new(provider)), None)
                .and_then(|scan| scan.project(exprs))
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel {
            plan,
            columns: known,
        })
    }
}
