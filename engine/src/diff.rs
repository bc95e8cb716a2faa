//! What lies between two snapshots: rows by id, at a cost that follows the change.
//!
//! Files that both sides have, with the same rows gone, are never read. What remains is
//! compared by id and then by value, so rows that were only moved to another file do not show.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::{BoxStream, StreamExt};

use crate::changed::{Pair, Pairs};
use crate::error::Result;
use crate::graph::Graph;
use crate::index::tuple_equality;
use crate::schema::{TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{RowPosition, Table};

/// Rows compared and given together.
const PAGE: usize = 1024;

/// Rows of one type that differ; a side that lacks the row has no entry in its batch.
#[derive(Debug, Clone)]
pub struct TypeDiff {
    /// The type as `to` declares it, or `from` where `to` does not.
    pub def: Arc<TypeDef>,
    /// The type as `from` declares it, or `to` where `from` does not.
    pub old_def: Arc<TypeDef>,
    pub rows: Vec<RowDiff>,
    /// The rows as `from` and as `to` have them, in the columns that the type has there.
    pub before: RecordBatch,
    pub after: RecordBatch,
}

/// One row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDiff {
    pub id: String,
    /// Its row in `before`.
    pub before: Option<u32>,
    /// Its row in `after`.
    pub after: Option<u32>,
}

impl RowDiff {
    pub fn operation(&self) -> &'static str {
        match (self.before, self.after) {
            (None, _) => "insert",
            (_, None) => "delete",
            _ => "update",
        }
    }
}

/// The types of the two snapshots, nodes first.
pub fn types(from: &Snapshot, to: &Snapshot) -> Vec<TypeId> {
    let mut all: Vec<TypeId> = Vec::new();
    for schema in [to.schema(), from.schema()] {
        for def in schema.nodes().chain(schema.edges()) {
            if !all.contains(&def.id) {
                all.push(def.id);
            }
        }
    }
    all
}

impl Graph {
    /// The two states as they are best compared: the newer one knows what its commits list as
    /// written since the other, if it descends of it.
    pub async fn comparable(&self, from: Snapshot, to: Snapshot) -> Result<(Snapshot, Snapshot)> {
        if from.state.generation <= to.state.generation {
            let to = self.shared.since(&from, to).await?;
            Ok((from, to))
        } else {
            let from = self.shared.since(&to, from).await?;
            Ok((from, to))
        }
    }
}

/// The rows of one type that differ, by ascending id, a page at a time.
pub fn diff(from: &Snapshot, to: &Snapshot, id: TypeId) -> BoxStream<'static, Result<TypeDiff>> {
    let compared = Compared {
        old: from.table(id),
        new: to.table(id),
        pairs: None,
        ready: VecDeque::new(),
    };
    futures::stream::try_unfold(compared, |mut compared| async move {
        Ok(compared.next().await?.map(|page| (page, compared)))
    })
    .boxed()
}

/// Two versions of a table on their way through a comparison.
struct Compared {
    old: Option<Table>,
    new: Option<Table>,
    /// Found when the first page is wanted.
    pairs: Option<Pairs>,
    ready: VecDeque<Pair>,
}

impl Compared {
    /// The next page in which a row differs.
    async fn next(&mut self) -> Result<Option<TypeDiff>> {
        loop {
            let Some(page) = self.page().await? else {
                return Ok(None);
            };
            if let Some(found) = self.compare(page).await? {
                return Ok(Some(found));
            }
        }
    }

    async fn page(&mut self) -> Result<Option<Vec<Pair>>> {
        let pairs = match &mut self.pairs {
            Some(pairs) => pairs,
            None => {
                let pairs = Pairs::between(self.old.clone(), self.new.clone()).await?;
                self.pairs.insert(pairs)
            }
        };
        while self.ready.is_empty() {
            match pairs.next().await? {
                Some(range) => self.ready = range.into(),
                None => return Ok(None),
            }
        }
        let count = PAGE.min(self.ready.len());
        Ok(Some(self.ready.drain(..count).collect()))
    }

    async fn compare(&self, page: Vec<Pair>) -> Result<Option<TypeDiff>> {
        let Some(def) = self.new.as_ref().or(self.old.as_ref()).map(Table::def) else {
            return Ok(None);
        };
        let before = rows(self.old.as_ref(), def, page.iter().map(|pair| pair.old)).await?;
        let after = rows(self.new.as_ref(), def, page.iter().map(|pair| pair.new)).await?;
        let equal = if before.schema() == after.schema() {
            Some(tuple_equality(before.columns(), after.columns())?)
        } else {
            None
        };
        let (mut olds, mut news) = (0.., 0..);
        let mut differing = Vec::new();
        for pair in page {
            let row = RowDiff {
                id: pair.id,
                before: pair.old.and_then(|_| olds.next()),
                after: pair.new.and_then(|_| news.next()),
            };
            let same = match (row.before, row.after, &equal) {
                (Some(old), Some(new), Some(equal)) => equal(old as usize, new as usize),
                _ => false,
            };
            if !same {
                differing.push(row);
            }
        }
        Ok((!differing.is_empty()).then(|| TypeDiff {
            def: def.clone(),
            old_def: self.old.as_ref().map_or(def, Table::def).clone(),
            rows: differing,
            before,
            after,
        }))
    }
}

async fn rows(
    table: Option<&Table>,
    def: &TypeDef,
    places: impl Iterator<Item = Option<RowPosition>>,
) -> Result<RecordBatch> {
    let Some(table) = table else {
        return Ok(RecordBatch::new_empty(def.arrow_schema()));
    };
    let places: Vec<RowPosition> = places.flatten().collect();
    let columns: Vec<usize> = (0..table.def().columns().len()).collect();
    table.take(&places, &columns).await
}
