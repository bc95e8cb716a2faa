//! The matches of a pattern being run: beside each other from different nodes, if there are
//! many to be expected.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DataFusionError, Result as DfResult, Statistics};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::StreamExt;
use futures::stream::TryStreamExt;
use omnigraph_catalog::provider::{ScanExec, to_sql};
use omnigraph_engine::pattern::{
    self, Estimate, Failure, Matching, Memory, Opened, Output, Program, Starts, VariableId,
};
use omnigraph_engine::schema::TypeId;
use omnigraph_engine::{Error, Snapshot};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::condition::SqlCondition;
use super::node::{GraphMatch, engine_error};

/// Scans for the nodes of a vertex, by their types.
#[derive(Debug, Clone)]
pub(super) struct Nodes(pub Vec<(TypeId, Arc<dyn ExecutionPlan>)>);

/// How a pattern is matched.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub program: Arc<Program>,
    pub estimate: Estimate,
    /// The variable there.
    pub begins_at: String,
    pub starts: Nodes,
    /// The nodes of variables that are known before.
    pub known: Vec<(VariableId, Nodes)>,
}

#[derive(Debug)]
pub(crate) struct GraphMatchExec {
    snapshot: Snapshot,
    node: Arc<GraphMatch>,
    conditions: Vec<SqlCondition>,
    chosen: Chosen,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    running: Mutex<Running>,
}

/// One execution, which its partitions take nodes from.
#[derive(Debug, Default)]
struct Running {
    queue: Option<Arc<Queue>>,
    /// The partitions that were begun.
    begun: Vec<usize>,
}

struct Queue {
    opened: OnceCell<Arc<Opened>>,
    starts: tokio::sync::Mutex<Starts>,
}

/// Less work than this, in edges and matches, is not worth dividing.
const PARTITION_COST: f64 = 100_000.0;
/// Into so many pieces for each partition, of which each takes one when it is done with one.
const PIECES: usize = 8;
/// Steps that are told.
const LISTED: usize = 24;
/// Nodes of a piece.
const PIECE_ROWS: usize = 1024;

impl Nodes {
    /// As many as are to be expected.
    pub(super) fn rows(&self) -> usize {
        let rows = self.0.iter().map(|(_, plan)| {
            let statistics = plan.partition_statistics(None).ok();
            statistics
                .and_then(|statistics| statistics.num_rows.get_value().copied())
                .unwrap_or(usize::MAX)
        });
        rows.fold(0, usize::saturating_add)
    }

    /// Rows that are looked at to find them.
    pub(super) fn read(&self) -> u64 {
        let scans = self.scans();
        scans.map(|scan| scan.table().row_count()).sum()
    }

    pub(super) fn are_looked_up(&self) -> bool {
        self.scans().all(|scan| scan.looked_up().is_some())
    }

    fn scans(&self) -> impl Iterator<Item = &ScanExec> {
        let plans = self.0.iter();
        plans.filter_map(|(_, plan)| plan.downcast_ref::<ScanExec>())
    }

    /// Their ids, in pieces of so many.
    fn ids(&self, context: &Arc<TaskContext>, piece: usize) -> DfResult<Starts> {
        let mut scans = Vec::new();
        for (id, plan) in &self.0 {
            let partitions = plan.properties().output_partitioning().partition_count();
            for partition in 0..partitions {
                let id = *id;
                let rows = plan.execute(partition, Arc::clone(context))?;
                scans.push(rows.map(move |batch| {
                    let batch = batch.map_err(outside)?;
                    let ids = batch.column(0).as_string_opt::<i32>().cloned();
                    let ids =
                        ids.ok_or_else(|| Error::internal("an id column that is not text"))?;
                    let pieces = (0..ids.len()).step_by(piece).map(move |from| {
                        let rows = piece.min(ids.len() - from);
                        Ok::<_, Failure>((id, ids.slice(from, rows)))
                    });
                    Ok::<_, Failure>(futures::stream::iter(pieces))
                }));
            }
        }
        let batches = futures::stream::iter(scans).flatten();
        Ok(batches.try_flatten().boxed())
    }

    fn with(&self, plans: &mut impl Iterator<Item = Arc<dyn ExecutionPlan>>) -> Nodes {
        let ids = self.0.iter().map(|(id, _)| *id);
        Nodes(ids.zip(plans).collect())
    }
}

impl GraphMatchExec {
    pub(super) fn new(
        snapshot: Snapshot,
        node: Arc<GraphMatch>,
        conditions: Vec<SqlCondition>,
        chosen: Chosen,
        partitions: usize,
    ) -> Self {
        let is_much = chosen.estimate.cost >= PARTITION_COST && chosen.starts.rows() > 1;
        let partitions = if is_much { partitions.max(1) } else { 1 };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(node.schema.inner())),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        GraphMatchExec {
            snapshot,
            node,
            conditions,
            chosen,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            running: Mutex::default(),
        }
    }

    /// What EXPLAIN tells of it beside its name.
    pub(crate) fn told(&self) -> Vec<(&'static str, String)> {
        let Chosen {
            program, estimate, ..
        } = &self.chosen;
        let steps = program.steps(&self.node.graph.schema, estimate);
        let steps = steps.iter();
        let steps = steps.map(|step| format!("{} rows={:.0}", step.text, step.rows.max(1.0)));
        let mut told = vec![("Steps", listed(steps))];
        let known = self.chosen.known.iter();
        let known: Vec<String> = known
            .map(|(variable, nodes)| {
                let name = self.node.pattern.variables[*variable].name.as_deref();
                format!("({}) rows={}", name.unwrap_or_default(), nodes.rows())
            })
            .collect();
        if !known.is_empty() {
            told.push(("Known Before", known.join(", ")));
        }
        let partitions = self.properties.output_partitioning().partition_count();
        if partitions > 1 {
            told.push(("Partitions", partitions.to_string()));
        }
        let queue = self.running.lock().queue.clone();
        if let Some(opened) = queue.as_ref().and_then(|queue| queue.opened.get()) {
            let counts = opened.counts();
            let frontiers = counts.frontiers.iter().map(u64::to_string);
            told.push(("Frontier Sizes", listed(frontiers)));
            told.push(("Edges Scanned", counts.edges.to_string()));
            let topology = format!("{} cached, {} built", counts.cached, counts.built);
            told.push(("Topology", topology));
        }
        told
    }

    /// The execution that a partition belongs to.
    fn queue(&self, partition: usize, context: &Arc<TaskContext>) -> DfResult<Arc<Queue>> {
        let mut running = self.running.lock();
        let known = running.queue.clone();
        if let Some(queue) = known.filter(|_| !running.begun.contains(&partition)) {
            running.begun.push(partition);
            return Ok(queue);
        }
        let partitions = self.properties.output_partitioning().partition_count();
        let rows = self.chosen.starts.rows() / (partitions * PIECES);
        let piece = match partitions {
            1 => PIECE_ROWS,
            _ => rows.clamp(1, PIECE_ROWS),
        };
        let queue = Arc::new(Queue {
            opened: OnceCell::new(),
            starts: tokio::sync::Mutex::new(self.chosen.starts.ids(context, piece)?),
        });
        *running = Running {
            queue: Some(Arc::clone(&queue)),
            begun: vec![partition],
        };
        Ok(queue)
    }
}

impl Queue {
    /// The nodes that nobody has begun with yet.
    fn starts(self: Arc<Self>) -> Starts {
        let next = |queue: Arc<Self>| async move {
            let piece = queue.starts.lock().await.try_next().await?;
            Ok(piece.map(|piece| (piece, queue)))
        };
        futures::stream::try_unfold(self, next).boxed()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl DisplayAs for GraphMatchExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph Match from {}", self.chosen.begins_at)
    }
}

impl ExecutionPlan for GraphMatchExec {
    fn name(&self) -> &str {
        "GraphMatchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        let known = self.chosen.known.iter().map(|(_, nodes)| nodes);
        let nodes = [&self.chosen.starts].into_iter().chain(known);
        nodes
            .flat_map(|nodes| &nodes.0)
            .map(|(_, plan)| plan)
            .collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        let starts = self.chosen.starts.with(&mut children);
        let known = self.chosen.known.iter();
        let known = known.map(|(variable, nodes)| (*variable, nodes.with(&mut children)));
        let chosen = Chosen {
            starts,
            known: known.collect(),
            ..self.chosen.clone()
        };
        Ok(Arc::new(GraphMatchExec {
            snapshot: self.snapshot.clone(),
            node: Arc::clone(&self.node),
            conditions: self.conditions.clone(),
            chosen,
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
            running: Mutex::default(),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> DfResult<Arc<Statistics>> {
        let partitions = self.properties.output_partitioning().partition_count();
        let of = partition.map_or(1, |_| partitions);
        let columns = self.node.schema.fields().len();
        Ok(Arc::new(Statistics {
            num_rows: Precision::Inexact((self.chosen.estimate.rows.ceil() as usize / of).max(1)),
            total_byte_size: Precision::Absent,
            column_statistics: vec![ColumnStatistics::new_unknown(); columns],
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let node = &self.node;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let memory = || {
            let consumer = MemoryConsumer::new("graph match");
            Box::new(Reserved(consumer.register(context.memory_pool())))
        };
        let outputs: Vec<Output> = node
            .outputs
            .iter()
            .map(|column| column.output.clone())
            .collect();
        let engine =
            |output: &Output| pattern::output_type(&node.pattern, &node.graph.schema, output);
        let fields = outputs
            .iter()
            .enumerate()
            .map(|(at, output)| Field::new(at.to_string(), engine(output), true));
        let matching = Matching {
            conditions: self
                .conditions
                .iter()
                .map(|condition| Arc::new(condition.clone()) as Arc<dyn pattern::Condition>)
                .collect(),
            memory: memory(),
            schema: Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>())),
            outputs,
            rows: node.rows,
        };
        let queue = self.queue(partition, &context)?;
        let (snapshot, program) = (self.snapshot.clone(), Arc::clone(&self.chosen.program));
        let (known, of_known) = (self.chosen.known.clone(), memory());
        let begun = async move {
            let open = || async {
                let known = known.iter().map(|(variable, nodes)| {
                    let ids = nodes.ids(&context, PIECE_ROWS).map_err(outside)?;
                    Ok((*variable, ids))
                });
                let known = known.collect::<Result<Vec<_>, Failure>>()?;
                let opened = pattern::open(snapshot, program, known, of_known).await?;
                Ok::<_, Failure>(Arc::new(opened))
            };
            let opened = Arc::clone(queue.opened.get_or_try_init(open).await?);
            Ok::<_, Failure>(pattern::matches(opened, matching, queue.starts()))
        };
        let schema = Arc::clone(node.schema.inner());
        let of = Arc::clone(&schema);
        let rows = futures::stream::once(begun)
            .try_flatten()
            .map(move |batch| {
                let batch = batch.map_err(inside).and_then(|batch| as_sql(&batch, &of));
                if let Ok(batch) = &batch {
                    metrics.record_output(batch.num_rows());
                }
                batch
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// The first of them: repetitions are many steps.
fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.take(LISTED + 1).collect();
    if let Some(last) = items.get_mut(LISTED) {
        "…".clone_into(last);
    }
    items.join(", ")
}

fn as_sql(batch: &RecordBatch, schema: &SchemaRef) -> DfResult<RecordBatch> {
    let arrays = batch.columns().iter().zip(schema.fields());
    let arrays =
        arrays.map(|(array, field)| to_sql(array, field.data_type()).map_err(engine_error));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        arrays.collect::<DfResult<Vec<ArrayRef>>>()?,
        &options,
    )?)
}

pub(super) fn outside(error: DataFusionError) -> Failure {
    Failure::Outside(Box::new(error))
}

fn inside(failure: Failure) -> DataFusionError {
    match failure {
        Failure::Engine(error) => engine_error(error),
        Failure::Outside(error) => match error.downcast::<DataFusionError>() {
            Ok(error) => *error,
            Err(error) => DataFusionError::External(error),
        },
    }
}

#[derive(Debug)]
struct Reserved(MemoryReservation);

impl Memory for Reserved {
    fn resize(&mut self, bytes: usize) -> Result<(), Failure> {
        self.0.try_resize(bytes).map_err(outside)
    }
}
