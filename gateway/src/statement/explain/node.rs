//! A plan as its reader sees it: PostgreSQL's names for what the operators do, without those
//! that only move rows.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::stats::Precision;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use omnigraph_catalog::provider::ScanExec;

use super::expression::Names;
use crate::statement::bind::GraphMatchExec;

/// One step of a plan.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub kind: String,
    /// `Insert`, `Update`, … of a step that writes.
    pub operation: Option<&'static str>,
    pub relation: Option<String>,
    pub index: Option<String>,
    /// `Filter`, `Hash Cond` and their kind.
    pub properties: Vec<(&'static str, String)>,
    pub rows: usize,
    pub width: usize,
    /// In units of reading a hundred rows, everything below included.
    pub cost: f64,
    pub actual: Option<Actual>,
    pub children: Vec<Node>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Actual {
    /// Milliseconds.
    pub time: f64,
    pub rows: usize,
}

/// Operators that are no step to a reader.
const MOVERS: &[&str] = &[
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "ProjectionExec",
    "RepartitionExec",
    "SortPreservingMergeExec",
    "BufferExec",
];

/// DataFusion's operators by the names that PostgreSQL's readers know.
const NAMES: &[(&str, &str)] = &[
    ("AggregateExec", "Aggregate"),
    ("ApplyExec", "SubPlan"),
    ("BoundedWindowAggExec", "WindowAgg"),
    ("CrossJoinExec", "Nested Loop"),
    ("DataSourceExec", "Values Scan"),
    ("EmptyExec", "Result"),
    ("FunctionScanExec", "Function Scan"),
    ("GlobalLimitExec", "Limit"),
    ("HashJoinExec", "Hash Join"),
    ("LocalLimitExec", "Limit"),
    ("LockRowsExec", "LockRows"),
    ("RowLimitExec", "Limit"),
    ("NestedLoopJoinExec", "Nested Loop"),
    ("PartialSortExec", "Incremental Sort"),
    ("PlaceholderRowExec", "Result"),
    ("ReadBlobsExec", "Read Blobs"),
    ("RecursiveQueryExec", "Recursive Union"),
    ("SeriesExec", "ProjectSet"),
    ("SortExec", "Sort"),
    ("SortMergeJoinExec", "Merge Join"),
    ("UnionExec", "Append"),
    ("InterleaveExec", "Append"),
    ("UnnestExec", "ProjectSet"),
    ("WindowAggExec", "WindowAgg"),
    ("WorkTableExec", "WorkTable Scan"),
];

impl Node {
    pub(super) fn new(kind: &str) -> Self {
        Node {
            kind: kind.to_owned(),
            operation: None,
            relation: None,
            index: None,
            properties: Vec::new(),
            rows: 1,
            width: 0,
            cost: 0.01,
            actual: None,
            children: Vec::new(),
        }
    }

    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>, names: &Names) -> Self {
        let children = plan.children();
        if let [child] = children.as_slice() {
            if MOVERS.contains(&plan.name()) {
                return Node::of(child, names);
            }
            // The two halves of an aggregation, and of a limit, are one step.
            let same = child_below_movers(child);
            let halves = ["AggregateExec", "LocalLimitExec", "GlobalLimitExec"];
            if halves.contains(&plan.name())
                && halves.contains(&same.name())
                && (plan.name() == "AggregateExec") == (same.name() == "AggregateExec")
            {
                return Node::of(same, names);
            }
            if let Some(filter) = plan.downcast_ref::<FilterExec>() {
                let mut node = Node::of(child, names);
                node.properties
                    .push(("Filter", names.text(filter.predicate())));
                node.estimate(plan);
                return node;
            }
        }
        let mut node = Node::named(plan, names);
        node.children = children
            .into_iter()
            .map(|child| Node::of(child, names))
            .collect();
        if plan.name() == "HashJoinExec" && node.children.len() == 2 {
            // The side that is hashed comes second, under a node of its own.
            let hashed = node.children.remove(0);
            let mut hash = Node::new("Hash");
            (hash.rows, hash.width, hash.cost) = (hashed.rows, hashed.width, hashed.cost);
            hash.actual = hashed.actual;
            hash.children.push(hashed);
            node.children.push(hash);
        }
        node.estimate(plan);
        node
    }

    fn named(plan: &Arc<dyn ExecutionPlan>, names: &Names) -> Self {
        let known = NAMES.iter().find(|(ours, _)| *ours == plan.name());
        let mut node = Node::new(known.map_or(plan.name(), |(_, theirs)| theirs));
        if let Some(scan) = plan.downcast_ref::<ScanExec>() {
            node.scan(scan, names);
        } else if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            node.kind = joined("Hash", join.join_type());
            let conditions: Vec<String> = join
                .on()
                .iter()
                .map(|(left, right)| format!("({} = {})", names.text(right), names.text(left)))
                .collect();
            node.properties.push(("Hash Cond", together(&conditions)));
            if let Some(filter) = join.filter() {
                node.properties
                    .push(("Join Filter", names.text(filter.expression())));
            }
        } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            node.kind = joined("Nested Loop", join.join_type());
            if let Some(filter) = join.filter() {
                node.properties
                    .push(("Join Filter", names.text(filter.expression())));
            }
        } else if let Some(sort) = plan.downcast_ref::<SortExec>() {
            let keys: Vec<String> = sort
                .expr()
                .iter()
                .map(|key| {
                    let descending = if key.options.descending { " DESC" } else { "" };
                    let nulls = match (key.options.descending, key.options.nulls_first) {
                        (true, false) => " NULLS LAST",
                        (false, true) => " NULLS FIRST",
                        _ => "",
                    };
                    format!("{}{descending}{nulls}", names.text(&key.expr))
                })
                .collect();
            node.properties.push(("Sort Key", keys.join(", ")));
        } else if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            let keys: Vec<String> = aggregate
                .group_expr()
                .expr()
                .iter()
                .map(|(expr, _)| names.text(expr))
                .collect();
            if !keys.is_empty() {
                node.kind = "HashAggregate".to_owned();
                node.properties.push(("Group Key", keys.join(", ")));
            }
        } else if let Some(matching) = plan.downcast_ref::<GraphMatchExec>() {
            node.kind = displayable(plan.as_ref()).one_line().to_string();
            node.kind.truncate(node.kind.trim_end().len());
            node.properties = matching.told();
        } else if plan.name() == "FunctionScanExec" || known.is_none() {
            // What the operator says of itself names the function or the table it reads.
            let line = displayable(plan.as_ref()).one_line().to_string();
            match line.trim().split_once(':') {
                None => node.kind = line.trim().to_owned(),
                Some((_, said)) => {
                    node.relation = said
                        .trim()
                        .split([' ', '(', ','])
                        .next()
                        .filter(|word| !word.is_empty())
                        .map(str::to_owned);
                }
            }
        }
        node
    }

    fn scan(&mut self, scan: &ScanExec, names: &Names) {
        let def = scan.table().def();
        self.relation = Some(def.table.clone());
        let filters: Vec<String> = scan.filters().iter().map(|expr| names.text(expr)).collect();
        match scan.looked_up() {
            None => {
                self.kind = "Seq Scan".to_owned();
                if !filters.is_empty() {
                    self.properties.push(("Filter", together(&filters)));
                }
            }
            Some(columns) => {
                self.kind = "Index Scan".to_owned();
                let unique = def.uniques.iter().find(|unique| unique.columns == columns);
                let key = def.key.iter().map(|at| def.property_column(*at));
                self.index = Some(if columns == [0] {
                    def.constraints.primary.clone()
                } else if let Some(unique) = unique {
                    unique.name.clone()
                } else if let Some(name) = &def.constraints.key
                    && key.eq(columns.iter().copied())
                {
                    name.clone()
                } else {
                    let columns: Vec<&str> = columns
                        .iter()
                        .map(|column| def.columns()[*column].name.as_str())
                        .collect();
                    format!("{}_{}_idx", def.table, columns.join("_"))
                });
                if !filters.is_empty() {
                    let what = match scan.is_nearest() {
                        true => "Filter",
                        false => "Index Cond",
                    };
                    self.properties.push((what, together(&filters)));
                }
            }
        }
    }

    fn estimate(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        let statistics = plan.partition_statistics(None).ok();
        let rows = statistics
            .as_ref()
            .and_then(|statistics| match statistics.num_rows {
                Precision::Exact(rows) | Precision::Inexact(rows) => Some(rows),
                Precision::Absent => None,
            });
        let below = self.children.iter().map(|child| child.rows).max();
        self.rows = rows.or(below).unwrap_or(1).max(1);
        self.width = plan
            .schema()
            .fields()
            .iter()
            .map(|field| field.data_type().primitive_width().unwrap_or(32))
            .sum();
        let below: f64 = self.children.iter().map(|child| child.cost).sum();
        self.cost = below + self.rows as f64 / 100.0;
        self.actual = plan.metrics().map(|metrics| Actual {
            time: metrics.elapsed_compute().unwrap_or(0) as f64 / 1e6,
            rows: metrics.output_rows().unwrap_or(0),
        });
    }

    pub(super) fn under_write(self, operation: &'static str, table: &str) -> Self {
        Node {
            operation: Some(operation),
            relation: Some(table.to_owned()),
            rows: 0,
            cost: self.cost,
            children: vec![self],
            ..Node::new("ModifyTable")
        }
    }

    /// With a part of WITH that runs before it.
    pub(super) fn after(mut self, before: Node) -> Self {
        self.children.insert(0, before);
        self
    }

    /// Takes the measured rows and times from the same plan after it ran.
    pub(super) fn measure(&mut self, ran: &Node) {
        self.actual = ran.actual;
        // Some steps tell more of themselves when they have run.
        for (name, value) in &ran.properties {
            if !self.properties.iter().any(|(known, _)| known == name) {
                self.properties.push((name, value.clone()));
            }
        }
        for (child, ran) in self.children.iter_mut().zip(&ran.children) {
            child.measure(ran);
        }
    }
}

fn child_below_movers(plan: &Arc<dyn ExecutionPlan>) -> &Arc<dyn ExecutionPlan> {
    match plan.children().as_slice() {
        [child] if MOVERS.contains(&plan.name()) && plan.name() != "ProjectionExec" => {
            child_below_movers(child)
        }
        _ => plan,
    }
}

fn joined(how: &str, kind: &JoinType) -> String {
    let kind = match kind {
        JoinType::Inner => "",
        JoinType::Left => " Left",
        JoinType::Right => " Right",
        JoinType::Full => " Full",
        JoinType::LeftSemi | JoinType::RightSemi => " Semi",
        JoinType::LeftAnti | JoinType::RightAnti => " Anti",
        JoinType::LeftMark | JoinType::RightMark => " Mark",
    };
    match (how, kind) {
        ("Nested Loop", "") => how.to_owned(),
        _ => format!("{how}{kind} Join"),
    }
}

fn together(conditions: &[String]) -> String {
    match conditions {
        [one] => one.clone(),
        several => format!("({})", several.join(" AND ")),
    }
}
