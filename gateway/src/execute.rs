//! Running plans: one DataFusion for all sessions, with one memory pool that spills.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use omnigraph_catalog::provider::{Recall, Snapshots};
use omnigraph_udfs::{FunctionContext, FunctionScope};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{PgError, PgResult};
use crate::session::protocol::Column;
use crate::sqlstate::{self, from_datafusion, from_panic};
use crate::statement::bind::Written;
use crate::statement::bind::context::session_state_with;

/// What running plans may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory for hash tables, sorts and aggregates of all statements together, in bytes.
    pub memory_bytes: usize,
    /// What all statements together may spill to temporary files, in bytes.
    pub spill_bytes: u64,
    /// How many threads one plan uses.
    pub partitions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 1 << 30,
            spill_bytes: 20 << 30,
            partitions: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What one execution reads and may ask of its session.
#[derive(Debug, Clone)]
pub struct Reading {
    pub snapshots: Arc<Snapshots>,
    /// How sure searches by vectors have to be.
    pub recall: Recall,
    pub functions: Arc<dyn FunctionContext>,
    /// What parts of the statement that write have returned.
    pub written: Arc<Written>,
}

impl Reading {
    fn put_into(&self, config: &mut SessionConfig) {
        config.set_extension(Arc::clone(&self.snapshots));
        config.set_extension(Arc::new(self.recall));
        config.set_extension(Arc::clone(&self.written));
        config.set_extension(Arc::new(FunctionScope(Arc::clone(&self.functions))));
    }
}

/// DataFusion, set up once.
#[derive(Debug, Clone)]
pub struct Executor {
    template: Arc<SessionState>,
    memory_bytes: usize,
}

/// Rows come in batches of this size.
pub const BATCH_ROWS: usize = 8192;

impl Executor {
    pub fn new(limits: &Limits) -> PgResult<Self> {
        let runtime: RuntimeEnv = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_max_temp_directory_size(limits.spill_bytes),
            )
            .build()
            .map_err(|error| from_datafusion(&error))?;
        let config = SessionConfig::new()
            // Few rows are not spread over threads, so those of a function keep their order.
            .set_bool(
                "datafusion.execution.use_row_number_estimates_to_optimize_partitioning",
                true,
            )
            .with_target_partitions(limits.partitions.max(1))
            .with_batch_size(BATCH_ROWS);
        Ok(Executor {
            template: Arc::new(session_state_with(config, Arc::new(runtime))),
            memory_bytes: limits.memory_bytes,
        })
    }

    /// The memory that running statements have asked for, and all that they may have.
    pub fn memory(&self) -> (u64, u64) {
        let reserved = self.template.runtime_env().memory_pool.reserved();
        (reserved as u64, self.memory_bytes as u64)
    }

    /// A state for one execution of a statement.
    pub fn state(&self, reading: &Reading) -> SessionState {
        let mut state = SessionState::clone(&self.template);
        reading.put_into(state.config_mut());
        state
    }

    /// As [`Self::state`], for plans whose rows have to come in the order of their source.
    pub fn ordered_state(&self, reading: &Reading) -> SessionState {
        let mut state = self.state(reading);
        state.config_mut().options_mut().execution.target_partitions = 1;
        state
    }

    /// Optimizes a bound plan. It holds no snapshot yet and may be kept.
    pub fn optimize(&self, plan: &LogicalPlan) -> PgResult<LogicalPlan> {
        self.template
            .optimize(plan)
            .map_err(|error| from_datafusion(&error))
    }

    /// Makes a plan physical: now it reads one snapshot of each branch.
    pub async fn physical(
        &self,
        state: &SessionState,
        plan: &LogicalPlan,
    ) -> PgResult<Arc<dyn ExecutionPlan>> {
        state
            .query_planner()
            .create_physical_plan(plan, state)
            .await
            .map_err(|error| from_datafusion(&error))
    }

    /// Starts it. Rows are computed as they are taken; dropping the stream ends the work.
    pub fn start(
        &self,
        state: &SessionState,
        plan: Arc<dyn ExecutionPlan>,
        columns: &Arc<[Column]>,
    ) -> PgResult<BoxStream<'static, PgResult<RecordBatch>>> {
        let stream =
            execute_stream(plan, state.task_ctx()).map_err(|error| from_datafusion(&error))?;
        let columns = Arc::clone(columns);
        let batches = stream
            .map_err(|error| from_datafusion(&error))
            .and_then(move |batch| futures::future::ready(typed(batch, &columns)));
        Ok(apart(batches.boxed()))
    }
}

type Batches = BoxStream<'static, PgResult<RecordBatch>>;

/// Runs a stream on a task of its own, at most one batch ahead of its reader. Whoever waits for
/// a batch can stop waiting at once, also while an operator computes without a pause; and an
/// operator that panics fails its statement and nothing else.
fn apart(mut batches: Batches) -> Batches {
    let (sender, receiver) = mpsc::channel(1);
    let task = AbortOnDrop(tokio::spawn(async move {
        while let Some(batch) = batches.next().await {
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    }));
    futures::stream::unfold(Some((receiver, task)), |running| async move {
        let (mut receiver, mut task) = running?;
        match receiver.recv().await {
            Some(batch) => Some((batch, Some((receiver, task)))),
            None => match (&mut task.0).await {
                Ok(()) => None,
                Err(error) => {
                    tracing::error!(%error, "a statement failed inside of the server");
                    let error = match error.try_into_panic() {
                        Ok(panic) => from_panic(panic.as_ref()),
                        Err(error) => PgError::new(sqlstate::INTERNAL_ERROR, error.to_string()),
                    };
                    Some((Err(error), None))
                }
            },
        }
    })
    .boxed()
}

/// A task that ends when nobody wants its result any more.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The batch with each column in the Arrow type that its PostgreSQL type promises.
pub fn typed(batch: RecordBatch, columns: &[Column]) -> PgResult<RecordBatch> {
    let right = batch
        .columns()
        .iter()
        .zip(columns)
        .all(|(array, column)| array.data_type() == &column.ty.arrow());
    if right {
        return Ok(batch);
    }
    let arrays = batch
        .columns()
        .iter()
        .zip(columns)
        .map(|(array, column)| {
            let wanted = column.ty.arrow();
            if array.data_type() == &wanted {
                Ok(Arc::clone(array))
            } else {
                arrow::compute::cast(array, &wanted)
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let schema = arrow::datatypes::Schema::new(
        arrays
            .iter()
            .zip(columns)
            .map(|(array, column)| {
                arrow::datatypes::Field::new(&column.name, array.data_type().clone(), true)
            })
            .collect::<Vec<_>>(),
    );
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(schema),
        arrays,
        &options,
    )?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::array::Int32Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn batch(number: i32) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(vec![number]))])
            .expect("a batch")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_is_the_statements_error() {
        let batches = futures::stream::iter(0..3).map(|number| {
            assert!(number < 2, "as a defective operator would");
            Ok(batch(number))
        });
        let told: Vec<PgResult<RecordBatch>> = apart(batches.boxed()).collect().await;
        assert_eq!(told.len(), 3);
        assert_eq!(told[2].as_ref().expect_err("the panic").code, "XX000");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn waiting_can_be_given_up_while_an_operator_computes() {
        let busy = futures::stream::poll_fn(|_| {
            std::thread::sleep(Duration::from_millis(500));
            std::task::Poll::Ready(Some(Ok(batch(1))))
        });
        let mut batches = apart(busy.boxed());
        let waited = tokio::time::timeout(Duration::from_millis(20), batches.next()).await;
        assert!(waited.is_err(), "the time-out comes first");
    }
}
