//! Portals: statements with their parameters, and the rows they have not yet given.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::error::{PgError, PgResult};
use crate::session::protocol::{Rows, RowsTag};
use crate::sqlstate;
use crate::text::View;
use crate::wire::rows::{Formats, RowEncoder};

/// One session's portals. Named ones are bounded: each may hold an open stream.
pub struct Portals<S> {
    by_name: HashMap<String, Portal<S>>,
}

pub struct Portal<S> {
    pub statement: S,
    pub formats: Formats,
    pub state: State,
}

pub enum State {
    /// Bound and not yet executed.
    Ready(Vec<ScalarValue>),
    Running(Box<Running>),
    Done,
}

/// A result on its way.
pub struct Running {
    pub encoder: RowEncoder,
    pub stream: BoxStream<'static, PgResult<RecordBatch>>,
    pub tag: RowsTag,
    /// The batch being sent and its next row.
    pub batch: Option<Batch>,
}

pub struct Batch {
    pub views: Vec<View>,
    pub rows: usize,
    pub next: usize,
}

impl Running {
    pub fn new(rows: Rows, encoder: RowEncoder) -> Self {
        Running {
            encoder,
            stream: rows.stream.fuse().boxed(),
            tag: rows.tag,
            batch: None,
        }
    }

    /// Takes a batch whose rows are sent next.
    pub fn begin(&mut self, batch: &RecordBatch) -> PgResult<()> {
        self.batch = Some(Batch {
            views: self.encoder.views(batch)?,
            rows: batch.num_rows(),
            next: 0,
        });
        Ok(())
    }

    /// The command tag after `count` rows.
    pub fn tag(&self, count: u64) -> String {
        match &self.tag {
            RowsTag::Counted(verb) => format!("{verb} {count}"),
            RowsTag::Fixed(tag) => (*tag).to_owned(),
        }
    }
}

const MAX_PORTALS: usize = 1_000;

impl<S> Default for Portals<S> {
    fn default() -> Self {
        Portals {
            by_name: HashMap::new(),
        }
    }
}

impl<S> Portals<S> {
    /// The unnamed portal is replaced; another name must be free (42P03).
    pub fn insert(&mut self, name: String, portal: Portal<S>) -> PgResult<()> {
        if !name.is_empty() {
            if self.by_name.contains_key(&name) {
                return Err(PgError::new(
                    sqlstate::DUPLICATE_CURSOR,
                    format!("portal \"{name}\" already exists"),
                ));
            }
            if self.by_name.len() >= MAX_PORTALS {
                return Err(PgError::new(
                    sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                    format!("this session already has {MAX_PORTALS} portals"),
                )
                .hint("Close portals that are no longer needed, or end the transaction."));
            }
        }
        self.by_name.insert(name, portal);
        Ok(())
    }

    /// Fails with 34000.
    pub fn find(&mut self, name: &str) -> PgResult<&mut Portal<S>> {
        self.by_name.get_mut(name).ok_or_else(|| {
            PgError::new(
                sqlstate::INVALID_CURSOR_NAME,
                format!("portal \"{name}\" does not exist"),
            )
        })
    }

    pub fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// At the end of a transaction.
    pub fn clear(&mut self) {
        self.by_name.clear();
    }
}
