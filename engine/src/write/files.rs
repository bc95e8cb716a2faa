//! Rows on their way into a table's files, written while they come.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::dataset::{Staged, TableVersion};
use crate::error::{Error, Result};

/// Batches that wait to be written: each has some thousands of rows.
const WAITING: usize = 2;

#[derive(Debug)]
pub(crate) struct FileWriter {
    rows: mpsc::Sender<RecordBatch>,
    written: JoinHandle<Result<Staged>>,
}

impl FileWriter {
    /// Begins to write rows of `schema` for a version that follows `version`.
    pub fn begin(version: TableVersion, schema: SchemaRef) -> FileWriter {
        let (rows, mut receive) = mpsc::channel(WAITING);
        let stream = futures::stream::poll_fn(move |context| {
            receive
                .poll_recv(context)
                .map(|rows| rows.map(Ok::<_, DataFusionError>))
        });
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
        let written = tokio::spawn(async move { version.stage_stream(stream).await });
        FileWriter { rows, written }
    }

    /// After an error nothing more can be written.
    pub async fn write(&mut self, rows: RecordBatch) -> Result<()> {
        if self.rows.send(rows).await.is_ok() {
            return Ok(());
        }
        // The writer ended early: its error says why.
        (&mut self.written).await.map_err(Error::internal)??;
        Err(Error::internal(
            "a file was closed before its rows were written",
        ))
    }

    pub async fn finish(self) -> Result<Staged> {
        drop(self.rows);
        self.written.await.map_err(Error::internal)?
    }
}
