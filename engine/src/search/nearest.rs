//! The rows whose vectors are nearest to one: compared one by one, or in the lists of an index
//! that promise the share of them that is asked for.

use std::sync::Arc;

use arrow::array::BooleanArray;

use super::ivf::{VectorIndex, Vectors};
use super::metric::Metric;
use crate::error::{Error, Result};
use crate::schema::TypeDef;
use crate::table::{Chunk, ChunkSource, RowPosition, Table};
use crate::traverse::on_a_thread;

/// Lists are for searches that want at most one in so many of all rows.
const PART: usize = 20;
/// Rows are looked at so many at a time.
const STEP: u32 = 8192;

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NearestRequest {
    pub column: usize,
    pub metric: Metric,
    pub query: Vec<f32>,
    pub most: usize,
    /// An index is declared for this metric.
    pub indexed: bool,
}

/// The nearest rows of those that were looked at so far.
#[derive(Debug)]
pub struct Nearest {
    request: Arc<NearestRequest>,
    /// How much of what is nearest has to be found where an index is; 1: all of it.
    recall: f64,
    /// The nearest, and those as far as the last of them.
    kept: Vec<(f64, RowPosition)>,
    /// What is farther is not among the nearest.
    farthest: f64,
    /// How many may be kept before the farthest are left out.
    room: usize,
    /// Rows without a vector, which come after all others.
    without: Vec<RowPosition>,
}

impl Metric {
    /// What a property's `@index` declares; `None`: it has none.
    pub fn declared(def: &TypeDef, property: usize) -> Option<Metric> {
        let mut indexes = def.indexes.iter();
        let index = indexes.find(|index| index.properties == [property])?;
        let mut named = index.annotation.named.iter();
        let metric = named.find(|(name, _)| name == "metric");
        let metric = metric.and_then(|(_, metric)| Metric::named(metric.as_text()?));
        Some(metric.unwrap_or(Metric::Cosine))
    }
}

impl Nearest {
    pub fn new(request: Arc<NearestRequest>, recall: f64) -> Nearest {
        Nearest {
            request,
            recall,
            kept: Vec::new(),
            farthest: f64::NAN,
            room: 1024,
            without: Vec::new(),
        }
    }

    /// Looks at the live rows of a part of a chunk, or at those of them that are true in
    /// `passing`. An index is only looked into for a whole chunk.
    pub async fn look_at(
        &mut self,
        table: &Table,
        (number, chunk): (u32, &Chunk),
        part: std::ops::Range<u32>,
        passing: Option<&BooleanArray>,
    ) -> Result<()> {
        let request = Arc::clone(&self.request);
        let columns = table.chunk_columns(chunk, &[request.column]).await?;
        let vectors = Vectors::of(&columns[0])?;
        if vectors.dimensions() != request.query.len() {
            return Err(Error::internal("a vector of other dimensions"));
        }
        let first = part.start;
        let passes = |row: u32| {
            passing.is_none_or(|passing| passing.value((row - first) as usize))
                && chunk.is_live(row)
        };
        let is_whole = part == (0..chunk.rows);
        if is_whole
            && self.recall < 1.0
            && let Some(index) = table.vector_index(chunk, &request)
        {
            let count = passing.map_or(chunk.rows as usize, BooleanArray::true_count);
            let rows = 0..chunk.rows;
            if self.look_into(&index, number, vectors, rows, count, passes) {
                return Ok(());
            }
        }
        for start in part.clone().step_by(STEP as usize) {
            for row in start..part.end.min(start.saturating_add(STEP)) {
                if passes(row) {
                    self.offer(number, row, vectors.get(row));
                }
            }
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    /// Looks into lists; `false`: looking at each row is as good.
    fn look_into(
        &mut self,
        index: &VectorIndex,
        number: u32,
        vectors: Vectors<'_>,
        rows: std::ops::Range<u32>,
        passing: usize,
        passes: impl Fn(u32) -> bool,
    ) -> bool {
        let request = Arc::clone(&self.request);
        let Some(lists) = index.lists_for(request.most, self.recall) else {
            return false;
        };
        // Of rows that pass, as many have to be looked at as if all did: then they reach as
        // far around the vector as they have to.
        let wanted = (lists * index.len()).div_ceil(index.lists().max(1));
        if passing <= wanted * 4 || index.len() < request.most.saturating_mul(PART) {
            return false;
        }
        let mut seen = 0;
        for (at, list) in index.by_distance(&request.query).into_iter().enumerate() {
            if at >= lists && seen >= wanted {
                break;
            }
            for row in index.rows(list) {
                if passes(*row) {
                    seen += 1;
                    self.offer(number, *row, vectors.get(*row));
                }
            }
        }
        // Rows without a vector are in no list; they are wanted only if all others are too few.
        if seen < request.most {
            for row in rows.filter(|row| vectors.get(*row).is_none() && passes(*row)) {
                self.offer(number, row, None);
            }
        }
        true
    }

    fn offer(&mut self, chunk: u32, offset: u32, vector: Option<&[f32]>) {
        let position = RowPosition { chunk, offset };
        let most = self.request.most;
        let Some(vector) = vector else {
            if self.kept.len() < most {
                self.without.push(position);
            }
            return;
        };
        let distance = self.request.metric.distance(&self.request.query, vector);
        // The first comparison is with none: that is greater than all numbers.
        if self.kept.len() >= most && distance.total_cmp(&self.farthest).is_gt() {
            return;
        }
        self.kept.push((distance, position));
        if self.kept.len() >= self.room {
            self.narrow();
            // Many may be as far as the last.
            self.room = self.kept.len().max(most).saturating_mul(2).max(1024);
        }
    }

    /// Leaves out what is farther than the last of those that are wanted.
    fn narrow(&mut self) {
        let most = self.request.most;
        if most == 0 {
            self.kept.clear();
            return;
        }
        if self.kept.len() > most {
            let (_, last, _) = self
                .kept
                .select_nth_unstable_by(most - 1, |a, b| a.0.total_cmp(&b.0));
            self.farthest = last.0;
            let farthest = self.farthest;
            self.kept
                .retain(|(distance, _)| distance.total_cmp(&farthest).is_le());
        }
    }

    /// The positions of at least as many rows as were asked for, if there are: the nearest and
    /// what is as far as the last of them, in the table's order.
    pub fn into_positions(mut self) -> Vec<RowPosition> {
        self.narrow();
        let mut positions: Vec<RowPosition> =
            self.kept.iter().map(|(_, position)| *position).collect();
        if positions.len() < self.request.most {
            positions.append(&mut self.without);
        }
        positions.sort_unstable();
        positions
    }
}

impl Table {
    /// The index over the vectors of a chunk, if one is declared for this metric and worth it.
    /// Until it is made, which begins now, there is none.
    fn vector_index(&self, chunk: &Chunk, request: &NearestRequest) -> Option<Arc<VectorIndex>> {
        let indexes = self.resources().vector_indexes();
        let numbers = (chunk.rows as usize).saturating_mul(request.query.len());
        if !request.indexed
            || !matches!(chunk.source, ChunkSource::File(_))
            || !indexes.is_worth(numbers)
        {
            return None;
        }
        let key = (chunk.key.clone(), self.cached_as(&[request.column]));
        if let Some(index) = indexes.made(&key) {
            return Some(index);
        }
        if indexes.begin(&key) {
            let (table, chunk) = (self.clone(), chunk.clone());
            let (column, metric) = (request.column, request.metric);
            tokio::spawn(async move {
                let made = table.make_vector_index(&chunk, column, metric).await;
                if let Err(error) = &made {
                    tracing::warn!(table = %table.def().table, %error, "an index of vectors was not made");
                }
                table.resources().vector_indexes().end(key, made.ok());
            });
        }
        None
    }

    async fn make_vector_index(
        &self,
        chunk: &Chunk,
        column: usize,
        metric: Metric,
    ) -> Result<Arc<VectorIndex>> {
        let turn = self.resources().vector_indexes().turn();
        let _turn = turn.acquire().await;
        let columns = self.chunk_columns(chunk, &[column]).await?;
        let index = on_a_thread(move |cancel| {
            VectorIndex::build(metric, Vectors::of(&columns[0])?, &cancel)
        });
        Ok(Arc::new(index.await?))
    }
}
