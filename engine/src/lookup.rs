//! Finding a table's rows by what is in them.
//!
//! Each file has an index for each key, derived from it: held in memory within a budget, and
//! for large files stored beside them, so that a process that has just begun, or whose budget
//! is spent, asks it for the few values that a statement needs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use crate::error::{Error, Result};
use crate::index::{ChunkIndex, StoredIndex, hash_of, tuple_equality, tuple_hashes};
use crate::schema::{DST_COLUMN, SRC_COLUMN};
use crate::storage::layout;
use crate::table::{Chunk, ChunkSource, Lookup, RowPosition, Table};

/// The indexes of files with so many rows are stored.
const STORED_ROWS: u32 = 50_000;
/// Files whose stored indexes are read side by side.
const READS: usize = 16;

/// Where in a file some values may be.
enum Found {
    Held(Arc<ChunkIndex>),
    /// By hash.
    Read(HashMap<u64, Vec<u32>>),
}

impl Found {
    fn candidates(&self, hash: u64) -> &[u32] {
        match self {
            Found::Held(index) => index.candidates(hash),
            Found::Read(offsets) => offsets.get(&hash).map_or(&[], |offsets| offsets),
        }
    }
}

/// Columns of a file, whole or in some rows.
struct Values {
    columns: Vec<ArrayRef>,
    /// Which rows; `None`: all.
    rows: Option<Vec<u32>>,
}

impl Values {
    fn at(&self, offset: u32) -> usize {
        match &self.rows {
            None => offset as usize,
            Some(rows) => rows.binary_search(&offset).unwrap_or_default(),
        }
    }
}

impl Table {
    /// The live rows with these ids.
    pub async fn lookup(&self, ids: &[&str], columns: &[usize]) -> Result<Lookup> {
        let positions = self.find_ids(ids).await?;
        let mut index = Vec::with_capacity(ids.len());
        let mut found = Vec::new();
        for position in positions {
            index.push(position.map(|position| {
                found.push(position);
                found.len() as u32 - 1
            }));
        }
        Ok(Lookup {
            batch: self.rows(&found, columns).await?,
            index,
        })
    }

    /// Where each id's live row is.
    pub async fn find_ids(&self, ids: &[&str]) -> Result<Vec<Option<RowPosition>>> {
        self.find_ids_among(ids, |_| true).await
    }

    /// As [`Table::find_ids`], in some of the chunks. The newest is asked first: what was
    /// written last is looked for first.
    pub(crate) async fn find_ids_among(
        &self,
        ids: &[&str],
        among: impl Fn(&Chunk) -> bool,
    ) -> Result<Vec<Option<RowPosition>>> {
        let hashes: Vec<Option<u64>> = ids.iter().map(|id| Some(hash_of(id.as_bytes()))).collect();
        let chunks = self.chunks().await?;
        let asked: Vec<usize> = (0..chunks.len())
            .rev()
            .filter(|at| among(&chunks[*at]))
            .collect();
        // Where the newest index is held, what is looked for is mostly in it: nothing is read
        // ahead.
        let reads = match asked.first() {
            Some(newest) if self.held_index(&chunks[*newest], &[0]).await.is_some() => 1,
            _ => READS,
        };
        let mut positions = vec![None; ids.len()];
        let mut open = ids.len();
        let mut found = stream::iter(asked)
            .map(|at| self.found(&chunks, at, &[0], &hashes).boxed())
            .buffered(reads);
        while open > 0
            && let Some((number, found)) = found.try_next().await?
        {
            let chunk = &chunks[number];
            let candidates = candidates(chunk, &found, &hashes);
            let Some(values) = self.values(chunk, &[0], &found, &candidates).await? else {
                continue;
            };
            let held = values.columns[0].as_string::<i32>();
            for (at, offset) in candidates {
                if positions[at].is_none() && held.value(values.at(offset)) == ids[at] {
                    positions[at] = Some(RowPosition {
                        chunk: number as u32,
                        offset,
                    });
                    open -= 1;
                }
            }
        }
        Ok(positions)
    }

    /// For each row of `values`: where the live rows are that hold the same in `columns`.
    /// A NULL equals nothing.
    pub async fn find(
        &self,
        columns: &[usize],
        values: &[ArrayRef],
    ) -> Result<Vec<Vec<RowPosition>>> {
        let hashes = tuple_hashes(values)?;
        let chunks = self.chunks().await?;
        let mut positions = vec![Vec::new(); hashes.len()];
        let mut found = stream::iter(0..chunks.len())
            .map(|at| self.found(&chunks, at, columns, &hashes).boxed())
            .buffered(READS);
        while let Some((number, found)) = found.try_next().await? {
            let chunk = &chunks[number];
            let candidates = candidates(chunk, &found, &hashes);
            let Some(held) = self.values(chunk, columns, &found, &candidates).await? else {
                continue;
            };
            let equal = tuple_equality(values, &held.columns)?;
            for (row, offset) in candidates {
                if equal(row, held.at(offset)) {
                    positions[row].push(RowPosition {
                        chunk: number as u32,
                        offset,
                    });
                }
            }
        }
        Ok(positions)
    }

    /// Builds the indexes that the table's rules need and its store lacks, for those that look
    /// something up next.
    pub(crate) async fn store_indexes(&self) -> Result<()> {
        let ends = [SRC_COLUMN, DST_COLUMN].map(|end| vec![end]);
        let ends = ends.into_iter().filter(|_| self.def().is_edge());
        let uniques = self
            .def()
            .uniques
            .iter()
            .map(|unique| unique.columns.clone());
        let keys: BTreeSet<Vec<usize>> = std::iter::once(vec![0])
            .chain(ends)
            .chain(uniques)
            .collect();
        for chunk in self.chunks().await?.iter() {
            for columns in &keys {
                let Some((key, None)) = self.stored_index(chunk, columns).await else {
                    continue;
                };
                let index = ChunkIndex::build(&self.chunk_columns(chunk, columns).await?)?;
                self.store()
                    .write(&key, StoredIndex::encode(&index))
                    .await?;
                let name = self.cached_as(columns);
                let known = self.resources().stored_indexes();
                known.invalidate(&(chunk.key.clone(), name)).await;
            }
        }
        Ok(())
    }

    /// Where in a chunk, given by its number, the values with these hashes may be.
    async fn found(
        &self,
        chunks: &[Chunk],
        number: usize,
        columns: &[usize],
        hashes: &[Option<u64>],
    ) -> Result<(usize, Found)> {
        let chunk = &chunks[number];
        if let Some(index) = self.held_index(chunk, columns).await {
            return Ok((number, Found::Held(index)));
        }
        if let Some((_, Some(stored))) = self.stored_index(chunk, columns).await
            && stored.is_worth_asking(hashes.len())
        {
            let asked = hashes.iter().copied().flatten();
            if let Some(offsets) = stored.candidates(self.store(), asked).await {
                return Ok((number, Found::Read(offsets)));
            }
        }
        let index = self.chunk_index(chunk, columns).await?;
        Ok((number, Found::Held(index)))
    }

    /// The values of `columns` at the candidates, if there are any.
    async fn values(
        &self,
        chunk: &Chunk,
        columns: &[usize],
        found: &Found,
        candidates: &[(usize, u32)],
    ) -> Result<Option<Values>> {
        if candidates.is_empty() {
            return Ok(None);
        }
        Ok(Some(match found {
            Found::Held(_) => Values {
                columns: self.chunk_columns(chunk, columns).await?,
                rows: None,
            },
            Found::Read(_) => {
                let rows: BTreeSet<u32> = candidates.iter().map(|(_, offset)| *offset).collect();
                let rows: Vec<u32> = rows.into_iter().collect();
                Values {
                    columns: self.take_of(chunk, columns, &rows).await?,
                    rows: Some(rows),
                }
            }
        }))
    }

    async fn held_index(&self, chunk: &Chunk, columns: &[usize]) -> Option<Arc<ChunkIndex>> {
        let name = self.cached_as(columns);
        let indexes = self.resources().indexes();
        indexes.get(&(chunk.key.clone(), name)).await
    }

    /// Where the index of a large file is stored, and what is in it if it is there.
    async fn stored_index(
        &self,
        chunk: &Chunk,
        columns: &[usize],
    ) -> Option<(String, Option<Arc<StoredIndex>>)> {
        let is_file = matches!(chunk.source, ChunkSource::File(_));
        // What a file does not hold, its index does not either.
        if !is_file || chunk.rows < STORED_ROWS || self.held_names(columns).len() < columns.len() {
            return None;
        }
        let name = self.cached_as(columns);
        let key = layout::lookup(&chunk.key, &name);
        let open = async {
            let stored = StoredIndex::open(self.store(), key.clone()).await;
            stored.map(Arc::new)
        };
        let stored = self
            .resources()
            .stored_indexes()
            .get_with((chunk.key.clone(), name), open)
            .await;
        Some((key, stored))
    }

    /// The whole index of a chunk: as it is stored, or made of the rows.
    async fn chunk_index(&self, chunk: &Chunk, columns: &[usize]) -> Result<Arc<ChunkIndex>> {
        let name = self.cached_as(columns);
        let build = async {
            if let Some((key, Some(_))) = self.stored_index(chunk, columns).await
                && let Some(bytes) = self.store().read(&key).await?
                && let Some(index) = StoredIndex::decode(&bytes)
            {
                return Ok(Arc::new(index));
            }
            let arrays = self.chunk_columns(chunk, columns).await?;
            Ok(Arc::new(ChunkIndex::build(&arrays)?))
        };
        self.resources()
            .indexes()
            .try_get_with((chunk.key.clone(), name), build)
            .await
            .map_err(|error: Arc<Error>| (*error).clone())
    }
}

/// Live rows that may hold what is looked for: which value, and where.
fn candidates(chunk: &Chunk, found: &Found, hashes: &[Option<u64>]) -> Vec<(usize, u32)> {
    let hashes = hashes.iter().enumerate();
    hashes
        .filter_map(|(at, hash)| Some((at, (*hash)?)))
        .flat_map(|(at, hash)| {
            found
                .candidates(hash)
                .iter()
                .map(move |offset| (at, *offset))
        })
        .filter(|(_, offset)| chunk.is_live(*offset))
        .collect()
}
