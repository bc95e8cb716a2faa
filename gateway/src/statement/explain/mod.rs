//! EXPLAIN, in the layout of PostgreSQL: one node a line, its properties below it; or the same
//! as one document in JSON, XML or YAML.

mod expression;
mod node;
mod print;

use std::sync::Arc;
use std::time::Instant;

use futures::TryStreamExt;
use omnigraph_catalog::types::PgType;

use super::bind::{self, Bound};
use super::parse::{Explain, ExplainFormat, ParsedStatement};
use super::show::text_rows;
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{Column, Execution, Place, RowsTag};
use crate::sqlstate;
use expression::Names;
use node::{Actual, Node};

pub(crate) fn columns(explain: &Explain) -> Arc<[Column]> {
    let ty = match explain.format {
        ExplainFormat::Json => PgType::JSON,
        ExplainFormat::Text | ExplainFormat::Xml | ExplainFormat::Yaml => PgType::TEXT,
    };
    Arc::from([Column::new("QUERY PLAN", ty)])
}

impl Session {
    pub(crate) async fn explain(
        &mut self,
        parsed: &ParsedStatement,
        explain: &Explain,
        place: Place,
    ) -> PgResult<Execution> {
        let inner = Arc::new(ParsedStatement {
            statement: explain.statement.clone(),
            text: parsed.text.clone(),
            positions: Arc::clone(&parsed.positions),
        });
        if !inner.statement.is_bound() {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "EXPLAIN takes a query, INSERT, UPDATE, DELETE or MERGE",
            ));
        }
        let began = Instant::now();
        let statement = self.bind(Arc::clone(&inner), &[]).await?;
        let (work, snapshots) = self.current_with_snapshots(&statement, place).await?;
        let mut root = None;
        let writes = !matches!(work.bound, Bound::Query(_));
        let executor = self.common.shared.executor.clone();
        let reading = self.reading(snapshots, place).await?;
        let state = executor.state(&reading);
        let mut physical = None;
        for bound in parts(&work.bound) {
            let values = self.values(&[]);
            let Some(source) = source(bound) else {
                continue;
            };
            let plan = executor.optimize(&bind::complete(source, &values.execution())?)?;
            let names = Names::of(&plan)?;
            // A plan over rows that another part returns can be made only when that has run.
            let node = match executor.physical(&state, &plan).await {
                Ok(made) => {
                    let node = Node::of(&made, &names);
                    physical = Some(made);
                    node
                }
                Err(_) if matches!(work.bound, Bound::With(_)) => Node::new("CTE Scan"),
                Err(error) => return Err(error),
            };
            let node = match target(bound) {
                Some((operation, table)) => node.under_write(operation, table),
                None => node,
            };
            root = Some(match root {
                None => node,
                Some(before) => node.after(before),
            });
        }
        let planned = began.elapsed();
        let mut root = root.unwrap_or_else(|| Node::new("Result"));
        let began = Instant::now();
        let mut rows = 0;
        if explain.analyze {
            if let Bound::Query(query) = &work.bound {
                self.hold_locks(&query.locks).await?;
            }
            if writes {
                // What it explains really happens, as in PostgreSQL.
                Box::pin(self.write(&statement, &[], place)).await?;
            } else if let Some(physical) = &physical {
                let columns = work.columns.clone().unwrap_or_else(|| Arc::from([]));
                let mut batches = executor.start(&state, Arc::clone(physical), &columns)?;
                while let Some(batch) = batches.try_next().await? {
                    rows += batch.num_rows();
                }
            }
        }
        let executed = began.elapsed();
        if explain.analyze {
            if let Some(physical) = physical.filter(|_| !writes) {
                let plan = Names::default();
                root.measure(&Node::of(&physical, &plan));
            }
            let time = executed.as_secs_f64() * 1e3;
            root.actual = Some(Actual { time, rows });
        }
        let summary = explain
            .analyze
            .then_some((planned.as_secs_f64() * 1e3, executed.as_secs_f64() * 1e3));
        let rows: Vec<Vec<String>> = match explain.format {
            ExplainFormat::Text => print::text(&root, explain, summary)
                .into_iter()
                .map(|line| vec![line])
                .collect(),
            ExplainFormat::Json => vec![vec![print::json(&root, explain, summary)]],
            ExplainFormat::Xml => vec![vec![print::xml(&root, explain, summary)]],
            ExplainFormat::Yaml => vec![vec![print::yaml(&root, explain, summary)]],
        };
        text_rows(columns(explain), &rows, RowsTag::Fixed("EXPLAIN"))
    }
}

/// What a statement runs one after the other.
fn parts(bound: &Bound) -> Vec<&Bound> {
    match bound {
        Bound::With(with) => {
            let parts = with.parts.iter().map(|part| &part.write);
            parts.chain([&with.last]).collect()
        }
        Bound::Changes(changes) => changes.steps.iter().collect(),
        bound => vec![bound],
    }
}

fn source(bound: &Bound) -> Option<&datafusion::logical_expr::LogicalPlan> {
    match bound {
        Bound::Query(query) => Some(&query.plan),
        Bound::Insert(insert) => Some(&insert.source),
        Bound::Update(update) => Some(&update.source),
        Bound::Delete(delete) => Some(&delete.source),
        Bound::Merge(merge) => Some(&merge.source),
        Bound::With(_) | Bound::Changes(_) => None,
    }
}

fn target(bound: &Bound) -> Option<(&'static str, &str)> {
    match bound {
        Bound::Query(_) | Bound::With(_) | Bound::Changes(_) => None,
        Bound::Insert(insert) => Some(("Insert", &insert.target.name)),
        Bound::Update(update) => Some(("Update", &update.target.name)),
        Bound::Delete(delete) => Some(("Delete", &delete.target.name)),
        Bound::Merge(merge) => Some(("Merge", &merge.target.name)),
    }
}
