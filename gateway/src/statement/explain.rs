//! EXPLAIN, in the layout of PostgreSQL: one node a line, its properties below it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use datafusion::common::stats::Precision;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::TryStreamExt;
use omnigraph_catalog::types::PgType;

use super::bind::{self, Bound};
use super::parse::{Explain, ParsedStatement, Statement as Parsed};
use super::show::text_rows;
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{Column, Execution, Place, RowsTag};
use crate::sqlstate;

pub(crate) fn columns(explain: &Explain) -> Arc<[Column]> {
    let ty = if explain.json {
        PgType::JSON
    } else {
        PgType::TEXT
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
        if !matches!(
            inner.statement,
            Parsed::Query(_) | Parsed::Insert(_) | Parsed::Update(_) | Parsed::Delete(_)
        ) {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "EXPLAIN takes a query, INSERT, UPDATE or DELETE",
            ));
        }
        let writes = !matches!(inner.statement, Parsed::Query(_));
        let began = Instant::now();
        let statement = self.bind(Arc::clone(&inner), &[]).await?;
        let (work, snapshots) = self.current_with_snapshots(&statement, place).await?;
        let values = self.values(&[]);
        let (plan, head) = match &work.bound {
            Bound::Query(query) => (&query.plan, None),
            Bound::Insert(insert) => (
                &insert.source,
                Some(format!("Insert on {}", insert.target.name)),
            ),
            Bound::Update(update) => (
                &update.source,
                Some(format!("Update on {}", update.target.name)),
            ),
            Bound::Delete(delete) => (
                &delete.source,
                Some(format!("Delete on {}", delete.target.name)),
            ),
        };
        let executor = self.common.shared.executor.clone();
        let plan = executor.optimize(&bind::complete(plan, &values.execution())?)?;
        let reading = self.reading(snapshots, place).await?;
        let state = executor.state(&reading);
        let physical = executor.physical(&state, &plan).await?;
        let planned = began.elapsed();
        let began = Instant::now();
        if explain.analyze {
            if writes {
                // What it explains really happens, as in PostgreSQL.
                Box::pin(self.write(&statement, &[], place)).await?;
            } else {
                let columns = work.columns.clone().unwrap_or_else(|| Arc::from([]));
                let mut rows = executor.start(&state, Arc::clone(&physical), &columns)?;
                while rows.try_next().await?.is_some() {}
            }
        }
        let executed = began.elapsed();
        let mut lines = Vec::new();
        let mut depth = 0;
        if let Some(head) = head {
            lines.push(head);
            depth = 1;
        }
        describe(&physical, depth, explain, !writes, &mut lines);
        if explain.analyze {
            lines.push(format!(
                "Planning Time: {:.3} ms",
                planned.as_secs_f64() * 1e3
            ));
            lines.push(format!(
                "Execution Time: {:.3} ms",
                executed.as_secs_f64() * 1e3
            ));
        }
        let rows: Vec<Vec<String>> = if explain.json {
            vec![vec![as_json(&lines)]]
        } else {
            lines.into_iter().map(|line| vec![line]).collect()
        };
        text_rows(columns(explain), &rows, RowsTag::Fixed("EXPLAIN"))
    }
}

/// A node's line, and those of what it reads.
fn describe(
    plan: &Arc<dyn ExecutionPlan>,
    depth: usize,
    explain: &Explain,
    ran: bool,
    lines: &mut Vec<String>,
) {
    let own = displayable(plan.as_ref()).one_line().to_string();
    let own = own.trim();
    let (name, detail) = match own.split_once(':') {
        Some((name, detail)) => (name.trim(), detail.trim()),
        None => (own, ""),
    };
    // Moving rows between threads is no step of its own to a reader.
    let children = plan.children();
    if MOVERS.contains(&name)
        && let [child] = children.as_slice()
    {
        return describe(child, depth, explain, ran, lines);
    }
    let shown = NAMES
        .iter()
        .find(|(ours, _)| *ours == name)
        .map_or(name, |(_, theirs)| *theirs);
    let mut line = String::new();
    if depth > 0 {
        line.push_str(&" ".repeat(depth * 6 - 4));
        line.push_str("->  ");
    }
    line.push_str(shown);
    let rows =
        plan.partition_statistics(None)
            .ok()
            .and_then(|statistics| match statistics.num_rows {
                Precision::Exact(rows) | Precision::Inexact(rows) => Some(rows),
                Precision::Absent => None,
            });
    if explain.costs {
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "  (cost=0.00..{:.2} rows={} width=0)",
            rows.unwrap_or(1) as f64 / 100.0,
            rows.unwrap_or(1)
        );
    }
    if explain.analyze && ran {
        let metrics = plan.metrics();
        let given = metrics
            .as_ref()
            .and_then(|metrics| metrics.output_rows())
            .unwrap_or(0);
        let time = metrics
            .as_ref()
            .and_then(|metrics| metrics.elapsed_compute())
            .unwrap_or(0) as f64
            / 1e6;
        let _ = write!(line, " (actual time=0.000..{time:.3} rows={given} loops=1)");
    }
    lines.push(line);
    if !detail.is_empty() && (explain.verbose || SHOWN.contains(&name)) {
        lines.push(format!("{}{detail}", " ".repeat(depth * 6 + 2)));
    }
    for child in children {
        describe(child, depth + 1, explain, ran, lines);
    }
}

const MOVERS: &[&str] = &[
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "RepartitionExec",
    "CooperativeExec",
];

/// Nodes whose details say what they do.
const SHOWN: &[&str] = &[
    "FilterExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "SortExec",
    "SortPreservingMergeExec",
    "AggregateExec",
];

/// DataFusion's operators by the names that PostgreSQL's readers know.
const NAMES: &[(&str, &str)] = &[
    ("AggregateExec", "Aggregate"),
    ("CrossJoinExec", "Nested Loop"),
    ("DataSourceExec", "Values Scan"),
    ("EmptyExec", "Result"),
    ("FilterExec", "Filter"),
    ("GlobalLimitExec", "Limit"),
    ("HashJoinExec", "Hash Join"),
    ("LocalLimitExec", "Limit"),
    ("NestedLoopJoinExec", "Nested Loop"),
    ("PlaceholderRowExec", "Result"),
    ("ProjectionExec", "Result"),
    ("RecursiveQueryExec", "Recursive Union"),
    ("SortExec", "Sort"),
    ("SortMergeJoinExec", "Merge Join"),
    ("SortPreservingMergeExec", "Gather Merge"),
    ("UnionExec", "Append"),
    ("BoundedWindowAggExec", "WindowAgg"),
    ("WindowAggExec", "WindowAgg"),
    ("WorkTableExec", "WorkTable Scan"),
];

fn as_json(lines: &[String]) -> String {
    let nodes: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::json!({ "Line": line.trim() }))
        .collect();
    serde_json::json!([{ "Plan": { "Node Type": lines.first().map_or("", |line| line.trim()), "Lines": nodes } }]).to_string()
}
