//! From what the engine streams to the rows of a function's result.

use std::future::Future;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::Stream;
use futures::stream::{StreamExt, TryStreamExt};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::Error as EngineError;

use crate::error::{Error, Result};
use crate::function::{Column, arrow_schema};

/// Rows of a batch; each function makes so many at a time.
pub const BATCH_ROWS: usize = 8192;

/// Batches that have the result's schema already.
pub fn batches<E>(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, E>> + Send + 'static,
) -> SendableRecordBatchStream
where
    E: Into<Error> + Send + 'static,
{
    let batches = batches.map_err(|error| DataFusionError::from(error.into()));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// The one row and one column of a function that does something and says what came of it.
pub fn answer(
    column: &'static str,
    work: impl Future<Output = Result<Option<String>>> + Send + 'static,
) -> SendableRecordBatchStream {
    let schema = arrow_schema(&[Column::new(column, PgType::TEXT)]);
    let of_schema = schema.clone();
    let row = async move {
        let text: ArrayRef = Arc::new(StringArray::from(vec![work.await?]));
        RecordBatch::try_new(of_schema, vec![text])
            .map_err(|error| Error::from(EngineError::from(error)))
    };
    batches(schema, futures::stream::once(row))
}

/// Items of which `page` makes a batch; at most `limit` of them are taken from the stream.
///
/// The first batch is small and each is larger than the one before it, so that a reader who
/// wants few rows does not wait for many, whether or not its limit is known here.
pub fn pages<T, E, P>(
    schema: SchemaRef,
    items: impl Stream<Item = Result<T, E>> + Send + 'static,
    limit: Option<usize>,
    page: P,
) -> SendableRecordBatchStream
where
    T: Send + 'static,
    E: Into<Error> + Send + 'static,
    P: Fn(SchemaRef, &[T]) -> Result<RecordBatch> + Send + 'static,
{
    let items = items
        .map_err(Into::<Error>::into)
        .take(limit.unwrap_or(usize::MAX))
        .boxed();
    let of_schema = schema.clone();
    let pages =
        futures::stream::try_unfold((items, FIRST_ROWS, page), move |(mut items, rows, page)| {
            let schema = of_schema.clone();
            async move {
                let mut taken = Vec::new();
                while taken.len() < rows
                    && let Some(item) = items.try_next().await?
                {
                    taken.push(item);
                }
                if taken.is_empty() {
                    return Ok::<_, Error>(None);
                }
                let batch = page(schema, &taken)?;
                Ok(Some((batch, (items, (rows * 2).min(BATCH_ROWS), page))))
            }
        });
    batches(schema, pages)
}

/// Rows of the first batch.
const FIRST_ROWS: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn counted(limit: Option<usize>) -> (SendableRecordBatchStream, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let items = futures::stream::iter(0..20_000).map(move |item| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<i32, Error>(item)
        });
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
        let stream = pages(schema, items, limit, |schema, items: &[i32]| {
            let column = Int32Array::from(items.to_vec());
            Ok(RecordBatch::try_new(schema, vec![Arc::new(column)]).expect("one column"))
        });
        (stream, taken)
    }

    #[tokio::test]
    async fn few_rows_take_few_items() {
        let (mut stream, taken) = counted(None);
        let first = stream.try_next().await.expect("no error").expect("rows");
        assert_eq!(
            (first.num_rows(), taken.load(Ordering::Relaxed)),
            (FIRST_ROWS, FIRST_ROWS)
        );
    }

    #[tokio::test]
    async fn all_items_come_in_order_and_no_more_than_the_limit() {
        for (limit, expected) in [(None, 20_000), (Some(33), 33), (Some(0), 0)] {
            let (stream, _) = counted(limit);
            let batches: Vec<RecordBatch> = stream.try_collect().await.expect("no error");
            let rows: Vec<i32> = batches
                .iter()
                .flat_map(|batch| {
                    batch
                        .column(0)
                        .as_primitive::<arrow::datatypes::Int32Type>()
                        .values()
                        .to_vec()
                })
                .collect();
            assert_eq!(rows, (0..expected).collect::<Vec<i32>>());
        }
    }
}
