//! DECLARE, FETCH, MOVE, CLOSE.
//!
//! A cursor owns its stream, and with it the snapshot it reads: it goes on unchanged by later
//! writes and, WITH HOLD, after the transaction. Rows are computed as they are fetched. Only
//! a SCROLL cursor keeps the rows it has given, up to a limit.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::scalar::ScalarValue;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use omnigraph_catalog::types::PgType;
use tokio::sync::Mutex;

use super::bind::Bound;
use super::done;
use super::parse::{Declare, Fetch, FetchDirection};
use crate::error::{PgError, PgResult};
use crate::plan::Work;
use crate::session::Session;
use crate::session::live::ListedCursor;
use crate::session::protocol::{Column, Execution, Place, Rows, RowsTag};
use crate::session::shared::now;
use crate::sqlstate;

/// The cursors of a session.
#[derive(Default)]
pub(crate) struct Cursors {
    by_name: HashMap<String, Cursor>,
    declared: u64,
}

struct Cursor {
    text: String,
    declared_at: i64,
    /// How many had been declared before it.
    number: u64,
    hold: bool,
    scroll: bool,
    columns: Arc<[Column]>,
    source: Arc<Mutex<Source>>,
}

/// Where a cursor's rows come from. Positions count from 1; 0 is before the first row.
struct Source {
    stream: BoxStream<'static, PgResult<RecordBatch>>,
    /// What was pulled and not yet given.
    rest: Option<RecordBatch>,
    position: i64,
    /// All rows given so far, for SCROLL.
    kept: Vec<RecordBatch>,
    kept_rows: i64,
    kept_bytes: usize,
    ended: bool,
}

const CURSORS: usize = 1000;
const KEPT_BYTES: usize = 256 << 20;

impl Cursors {
    pub(crate) fn declared(&self) -> u64 {
        self.declared
    }

    pub(crate) fn columns(&self, name: &str) -> Option<Arc<[Column]>> {
        self.by_name
            .get(name)
            .map(|cursor| Arc::clone(&cursor.columns))
    }

    /// Cursors live as long as their transaction, unless they were declared WITH HOLD.
    pub(crate) fn end_transaction(&mut self) {
        self.by_name.retain(|_, cursor| cursor.hold);
    }

    /// Those declared since: their declaration was rolled back.
    pub(crate) fn close_after(&mut self, declared: u64) {
        self.by_name.retain(|_, cursor| cursor.number < declared);
    }

    pub(crate) fn close_all(&mut self) {
        self.by_name.clear();
    }

    /// For `pg_cursors`.
    pub(crate) fn listed(&self) -> Vec<ListedCursor> {
        self.by_name
            .iter()
            .map(|(name, cursor)| ListedCursor {
                name: name.clone(),
                text: cursor.text.clone(),
                hold: cursor.hold,
                scroll: cursor.scroll,
                declared_at: cursor.declared_at,
            })
            .collect()
    }

    fn find(&self, name: &str) -> PgResult<&Cursor> {
        self.by_name.get(name).ok_or_else(|| missing(name))
    }
}

impl Session {
    pub(crate) async fn declare(
        &mut self,
        declare: &Declare,
        types: &[PgType],
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<Execution> {
        if !declare.hold && !self.state.in_block() && place.may_stand_alone() {
            return Err(PgError::new(
                sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        if self.cursors.by_name.contains_key(&declare.name) {
            return Err(PgError::new(
                sqlstate::DUPLICATE_CURSOR,
                format!("cursor \"{}\" already exists", declare.name),
            ));
        }
        if self.cursors.by_name.len() >= CURSORS {
            return Err(PgError::new(
                sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                format!("a session may have at most {CURSORS} open cursors"),
            ));
        }
        self.open();
        let declared: Vec<u32> = types.iter().map(|ty| ty.oid).collect();
        let statement = self
            .bind(Arc::new(declare.query.clone()), &declared)
            .await?;
        let (work, snapshots) = self.current_with_snapshots(&statement, place).await?;
        refuse_locks(declare, &work)?;
        let rows = self.rows(&work, snapshots, params, place).await?;
        let cursor = Cursor {
            text: declare.query.text.clone(),
            declared_at: now(),
            number: self.cursors.declared,
            hold: declare.hold,
            scroll: declare.scroll == Some(true),
            columns: rows.columns,
            source: Arc::new(Mutex::new(Source {
                stream: rows.stream.fuse().boxed(),
                rest: None,
                position: 0,
                kept: Vec::new(),
                kept_rows: 0,
                kept_bytes: 0,
                ended: false,
            })),
        };
        self.cursors.declared += 1;
        self.cursors.by_name.insert(declare.name.clone(), cursor);
        Ok(done("DECLARE CURSOR"))
    }

    pub(crate) async fn fetch(&mut self, fetch: &Fetch) -> PgResult<Execution> {
        let cursor = self.cursors.find(&fetch.cursor)?;
        let columns = Arc::clone(&cursor.columns);
        let source = Arc::clone(&cursor.source);
        let stream = if cursor.scroll {
            let batches = source.lock().await.scroll(fetch.direction).await?;
            futures::stream::iter(batches.into_iter().map(Ok)).boxed()
        } else {
            let mut held = source.lock().await;
            let (skip, take) = held.forward(fetch.direction)?;
            let skipped = held.skip(skip).await?;
            drop(held);
            if skipped < skip {
                futures::stream::empty().boxed()
            } else {
                taken(source, take)
            }
        };
        if !fetch.moves {
            return Ok(Execution::Rows(Rows {
                columns,
                stream,
                tag: RowsTag::Counted("FETCH"),
            }));
        }
        let moved: usize = stream
            .try_fold(0, |sum, batch| {
                futures::future::ready(Ok(sum + batch.num_rows()))
            })
            .await?;
        Ok(done(format!("MOVE {moved}")))
    }

    pub(crate) fn close(&mut self, name: Option<&str>) -> PgResult<Execution> {
        match name {
            None => {
                self.cursors.close_all();
                Ok(done("CLOSE CURSOR ALL"))
            }
            Some(name) => match self.cursors.by_name.remove(name) {
                Some(_) => Ok(done("CLOSE CURSOR")),
                None => Err(missing(name)),
            },
        }
    }
}

/// Locks are for rows that are read once, by the transaction that holds them.
fn refuse_locks(declare: &Declare, work: &Work) -> PgResult<()> {
    let locks = matches!(&work.bound, Bound::Query(query) if !query.locks.is_empty());
    let (what, which) = match (declare.hold, declare.scroll) {
        _ if !locks => return Ok(()),
        (true, _) => ("DECLARE CURSOR WITH HOLD", "Holdable"),
        (_, Some(true)) => ("DECLARE SCROLL CURSOR", "Scrollable"),
        _ => return Ok(()),
    };
    let message = format!("{what} … FOR UPDATE/SHARE is not supported");
    Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .detail(format!("{which} cursors must be READ ONLY.")))
}

/// Up to so many rows, pulled as they are taken.
fn taken(source: Arc<Mutex<Source>>, take: i64) -> BoxStream<'static, PgResult<RecordBatch>> {
    futures::stream::try_unfold((source, take), |(source, left)| async move {
        if left <= 0 {
            return Ok(None);
        }
        let pulled = source.lock().await.pull(left).await?;
        Ok(pulled.map(|batch| {
            let rows = batch.num_rows() as i64;
            (batch, (source, left - rows))
        }))
    })
    .boxed()
}

impl Source {
    /// The next rows, at most so many; `None` at the end.
    async fn pull(&mut self, most: i64) -> PgResult<Option<RecordBatch>> {
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => loop {
                match self.stream.try_next().await? {
                    Some(batch) if batch.num_rows() == 0 => {}
                    Some(batch) => break batch,
                    None => {
                        if !self.ended {
                            self.ended = true;
                            self.position += 1;
                        }
                        return Ok(None);
                    }
                }
            },
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let given = if batch.num_rows() > most {
            self.rest = Some(batch.slice(most, batch.num_rows() - most));
            batch.slice(0, most)
        } else {
            batch
        };
        self.position += given.num_rows() as i64;
        Ok(Some(given))
    }

    /// Passes over rows; gives how many there were.
    async fn skip(&mut self, rows: i64) -> PgResult<i64> {
        let mut skipped = 0;
        while skipped < rows
            && let Some(batch) = self.pull(rows - skipped).await?
        {
            skipped += batch.num_rows() as i64;
        }
        Ok(skipped)
    }

    /// What a cursor that only goes forward makes of a direction: rows to skip, rows to give.
    fn forward(&self, direction: FetchDirection) -> PgResult<(i64, i64)> {
        match direction {
            FetchDirection::Forward(count) if count > 0 => Ok((0, count)),
            FetchDirection::ForwardAll => Ok((0, i64::MAX)),
            FetchDirection::Relative(count) if count > 0 => Ok((count - 1, 1)),
            FetchDirection::Absolute(at) if at > self.position => Ok((at - self.position - 1, 1)),
            _ => Err(PgError::new(
                sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cursor can only scan forward",
            )
            .hint("Declare it with SCROLL option to enable backward scan.")),
        }
    }

    /// Moves a SCROLL cursor; gives the rows passed, in the direction of the move.
    async fn scroll(&mut self, direction: FetchDirection) -> PgResult<Vec<RecordBatch>> {
        let here = self.position;
        // Rows from..to (from 1, the end excluded), whether backward, and the place afterwards.
        let (rows, backward, after) = match direction {
            FetchDirection::Forward(0)
            | FetchDirection::Backward(0)
            | FetchDirection::Relative(0) => {
                self.reach(here).await?;
                (here..here + 1, false, here)
            }
            FetchDirection::Forward(count) if count > 0 => self.onward(here, count).await?,
            FetchDirection::Backward(count) if count < 0 => {
                self.onward(here, count.saturating_neg()).await?
            }
            FetchDirection::Forward(count) | FetchDirection::Backward(count) => {
                let first = here.saturating_sub(count.saturating_abs());
                (first.max(1)..here, true, first.max(0))
            }
            FetchDirection::ForwardAll => self.onward(here, i64::MAX - here - 1).await?,
            FetchDirection::BackwardAll => (1..here, true, 0),
            FetchDirection::Absolute(at) if at >= 0 => self.single(at).await?,
            FetchDirection::Absolute(at) => {
                self.reach(i64::MAX).await?;
                self.single((self.kept_rows + 1 + at).max(0)).await?
            }
            FetchDirection::Relative(by) => self.single(here.saturating_add(by).max(0)).await?,
        };
        self.position = after;
        self.rows(rows, backward)
    }

    async fn onward(&mut self, here: i64, count: i64) -> PgResult<(Range<i64>, bool, i64)> {
        let last = here.saturating_add(count);
        self.reach(last).await?;
        let after = last.min(self.kept_rows + 1);
        Ok((here + 1..last.min(self.kept_rows) + 1, false, after))
    }

    async fn single(&mut self, at: i64) -> PgResult<(Range<i64>, bool, i64)> {
        self.reach(at).await?;
        Ok((at..at + 1, false, at.min(self.kept_rows + 1)))
    }

    /// Keeps rows up to this one, if there are so many.
    async fn reach(&mut self, row: i64) -> PgResult<()> {
        while self.kept_rows < row {
            let position = self.position;
            let pulled = self.pull(i64::MAX).await?;
            self.position = position;
            let Some(batch) = pulled else {
                return Ok(());
            };
            self.kept_rows += batch.num_rows() as i64;
            self.kept_bytes += batch.get_array_memory_size();
            self.kept.push(batch);
            if self.kept_bytes > KEPT_BYTES {
                return Err(PgError::new(
                    sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                    format!(
                        "a SCROLL cursor keeps at most {} MiB of rows",
                        KEPT_BYTES >> 20
                    ),
                )
                .hint("Declare the cursor with NO SCROLL."));
            }
        }
        Ok(())
    }

    fn rows(&self, rows: Range<i64>, backward: bool) -> PgResult<Vec<RecordBatch>> {
        let mut given = Vec::new();
        let mut first = 1;
        for batch in &self.kept {
            let end = first + batch.num_rows() as i64;
            let (low, high) = (rows.start.max(first), rows.end.min(end));
            if low < high {
                given.push(batch.slice((low - first) as usize, (high - low) as usize));
            }
            first = end;
        }
        if !backward {
            return Ok(given);
        }
        given
            .iter()
            .rev()
            .map(|batch| {
                let order: arrow::array::UInt32Array = (0..batch.num_rows() as u32).rev().collect();
                Ok(arrow::compute::take_record_batch(batch, &order)?)
            })
            .collect()
    }
}

fn missing(name: &str) -> PgError {
    PgError::new(
        sqlstate::INVALID_CURSOR_NAME,
        format!("cursor \"{name}\" does not exist"),
    )
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};

    use super::*;

    fn source(rows: i32) -> Source {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        let batches: Vec<PgResult<RecordBatch>> = (1..=rows)
            .collect::<Vec<i32>>()
            .chunks(3)
            .map(|chunk| {
                Ok(RecordBatch::try_new(
                    Arc::clone(&schema),
                    vec![Arc::new(Int32Array::from(chunk.to_vec()))],
                )?)
            })
            .collect();
        Source {
            stream: futures::stream::iter(batches).boxed(),
            rest: None,
            position: 0,
            kept: Vec::new(),
            kept_rows: 0,
            kept_bytes: 0,
            ended: false,
        }
    }

    fn numbers(batches: &[RecordBatch]) -> Vec<i32> {
        batches
            .iter()
            .flat_map(|batch| {
                batch
                    .column(0)
                    .as_primitive::<Int32Type>()
                    .values()
                    .to_vec()
            })
            .collect()
    }

    #[tokio::test]
    async fn a_scroll_cursor_goes_both_ways() {
        let mut source = source(7);
        for (direction, expected) in [
            (FetchDirection::Forward(4), vec![1, 2, 3, 4]),
            (FetchDirection::Backward(2), vec![3, 2]),
            (FetchDirection::Forward(0), vec![2]),
            (FetchDirection::Absolute(-1), vec![7]),
            (FetchDirection::Forward(1), vec![]),
            (FetchDirection::Backward(1), vec![7]),
            (FetchDirection::BackwardAll, vec![6, 5, 4, 3, 2, 1]),
            (FetchDirection::Relative(3), vec![3]),
            (FetchDirection::ForwardAll, vec![4, 5, 6, 7]),
            (FetchDirection::Absolute(0), vec![]),
            (FetchDirection::Forward(1), vec![1]),
        ] {
            let given = source.scroll(direction).await.expect("rows");
            assert_eq!(numbers(&given), expected, "{direction:?}");
        }
    }

    #[tokio::test]
    async fn a_plain_cursor_goes_forward_only() {
        let source = Arc::new(Mutex::new(source(7)));
        let first: Vec<RecordBatch> = taken(Arc::clone(&source), 4)
            .try_collect()
            .await
            .expect("rows");
        assert_eq!(numbers(&first), [1, 2, 3, 4]);
        let (skip, take) = source
            .lock()
            .await
            .forward(FetchDirection::Absolute(6))
            .expect("ahead");
        assert_eq!((skip, take), (1, 1));
        assert_eq!(
            source
                .lock()
                .await
                .forward(FetchDirection::Backward(1))
                .expect_err("back")
                .code,
            "55000"
        );
    }
}
