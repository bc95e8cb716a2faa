//! The adjacencies of all graphs of a process: built at first use, kept under a budget of
//! bytes, shared by versions, branches and sessions.
//!
//! A version of an edge table is seen through the base that differs least from it, and a
//! new base is built only when all differ too much. One builds, the others wait; when
//! nobody waits any more the building stops.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use futures::stream::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::schema::{DST_COLUMN, ID_COLUMN, SRC_COLUMN, TypeId};
use crate::table::{Chunk, Table, TableKey};
use crate::traverse::adjacency::{Adjacency, Base, Difference, Endpoints, Ends, Piece};
use crate::traverse::cancel::Cancel;
use crate::traverse::dictionary::Dictionary;

#[derive(Debug)]
pub struct Topologies {
    budget: usize,
    state: Mutex<State>,
    /// Held while something of a type is built. As many as there are types.
    gates: Mutex<HashMap<TypeId, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct State {
    nodes: HashMap<TypeId, Nodes>,
    edges: HashMap<TypeId, Vec<Edges>>,
    /// Counts uses, so that the least recent can be told.
    clock: u64,
}

#[derive(Debug)]
struct Nodes {
    dictionary: Arc<Dictionary>,
    /// Tables whose chunks are all in the dictionary.
    covered: HashSet<TableKey>,
    used: u64,
}

#[derive(Debug)]
struct Edges {
    base: Arc<Base>,
    views: HashMap<TableKey, (Arc<Adjacency>, u64)>,
    used: u64,
}

/// A base serves a version that differs from it by less than one row in this many.
const DIFFERENCE_SHARE: usize = 10;
/// So few rows never justify a new base.
const DIFFERENCE_ROWS: usize = 4096;
/// Bases of one edge type, for branches that went far apart.
const BASES: usize = 4;
/// Versions seen through one base at a time.
const VIEWS: usize = 32;
/// Tables remembered to be covered by a dictionary.
const COVERED: usize = 1024;
/// A dictionary may hold so many ids beyond twice those in use before it is begun anew.
const STALE_IDS: usize = 1 << 16;
/// Columns read at a time.
const READS: usize = 8;

impl Topologies {
    /// Keeps about `budget` bytes; what was built last is kept even if it alone is more.
    pub fn new(budget: usize) -> Self {
        Topologies {
            budget,
            state: Mutex::default(),
            gates: Mutex::default(),
        }
    }

    /// Numbers for all nodes of a table.
    pub async fn dictionary(&self, nodes: &Table) -> Result<Arc<Dictionary>> {
        let (id, key) = (nodes.def().id, nodes.key());
        if let Some(found) = self.covering(id, &key) {
            return Ok(found);
        }
        let gate = self.gate(id);
        let _building = gate.lock().await;
        if let Some(found) = self.covering(id, &key) {
            return Ok(found);
        }
        let chunks = nodes.chunks().await?;
        let mut known = self.latest(id).unwrap_or_default();
        let rows: usize = chunks.iter().map(|chunk| chunk.rows as usize).sum();
        if known.len() > 2 * rows + STALE_IDS || known.chunks() > 2 * chunks.len() + STALE_IDS {
            known = Arc::default();
        }
        let reads: Vec<_> = chunks
            .iter()
            .filter(|chunk| !known.has_chunk(&chunk.key))
            .map(|chunk| read_ids(nodes, chunk))
            .collect();
        let added: Vec<(Arc<str>, StringArray)> = futures::stream::iter(reads)
            .buffered(READS)
            .try_collect()
            .await?;
        let dictionary = Arc::new(on_a_thread(move |cancel| known.extend(&added, &cancel)).await?);
        self.keep_dictionary(id, key, &dictionary);
        Ok(dictionary)
    }

    /// The adjacency of an edge table, numbered by the dictionaries of its endpoint tables
    /// at the same snapshot.
    pub async fn adjacency(&self, edges: &Table, ends: &Ends) -> Result<Arc<Adjacency>> {
        let (id, key) = (edges.def().id, edges.key());
        if let Some(found) = self.view(id, &key, ends) {
            return Ok(found);
        }
        let gate = self.gate(id);
        let _building = gate.lock().await;
        if let Some(found) = self.view(id, &key, ends) {
            return Ok(found);
        }
        let chunks = edges.chunks().await?;
        let pieces: Arc<[Piece]> = chunks.iter().map(piece).collect();
        let (base, difference) = match self.nearest(id, &pieces, ends) {
            Some(near) => near,
            None => {
                let base = build_base(edges, &chunks, &pieces, ends).await?;
                let difference = base
                    .difference(&pieces)
                    .ok_or_else(|| Error::internal("an edge table differs from itself"))?;
                (base, difference)
            }
        };
        let columns = read_endpoints(edges, &chunks, difference.pieces()).await?;
        let ends = ends.clone();
        let adjacency =
            on_a_thread(move |_| Adjacency::new(base, &pieces, &difference, &columns, &ends))
                .await?;
        let adjacency = Arc::new(adjacency);
        self.keep_view(id, key, &adjacency);
        Ok(adjacency)
    }

    /// Reads what an adjacency is made of, if it will have to be made from all of it: while
    /// the nodes are numbered, so that neither waits for the other.
    pub async fn read_ahead(&self, edges: &Table) {
        if self.state.lock().edges.contains_key(&edges.def().id) {
            return;
        }
        // What cannot be read is told when it is needed.
        if let Ok(chunks) = edges.chunks().await {
            let _ = read_endpoints(edges, &chunks, 0..chunks.len()).await;
        }
    }

    /// Is the adjacency there?
    pub fn has_adjacency(&self, edges: &Table, ends: &Ends) -> bool {
        self.view(edges.def().id, &edges.key(), ends).is_some()
    }

    /// Makes an adjacency ready to be walked against the arrows.
    pub async fn prepare_reverse(&self, adjacency: &Arc<Adjacency>) -> Result<()> {
        if adjacency.has_reverse() {
            return Ok(());
        }
        let adjacency = Arc::clone(adjacency);
        on_a_thread(move |_| {
            adjacency.prepare_reverse();
            Ok(())
        })
        .await
    }

    /// Makes an adjacency ready to be asked whether two nodes are joined.
    pub async fn prepare_joins(&self, adjacency: &Arc<Adjacency>) -> Result<()> {
        if adjacency.has_joins() {
            return Ok(());
        }
        let adjacency = Arc::clone(adjacency);
        on_a_thread(move |_| {
            adjacency.prepare_joins();
            Ok(())
        })
        .await
    }

    /// How many bases are kept, of all edge types.
    pub fn bases(&self) -> usize {
        self.state.lock().edges.values().map(Vec::len).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes()
    }

    fn gate(&self, id: TypeId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.gates.lock().entry(id).or_default())
    }

    fn covering(&self, id: TypeId, key: &TableKey) -> Option<Arc<Dictionary>> {
        let mut state = self.state.lock();
        let used = state.tick();
        let nodes = state.nodes.get_mut(&id)?;
        nodes.covered.contains(key).then(|| {
            nodes.used = used;
            Arc::clone(&nodes.dictionary)
        })
    }

    fn latest(&self, id: TypeId) -> Option<Arc<Dictionary>> {
        let state = self.state.lock();
        Some(Arc::clone(&state.nodes.get(&id)?.dictionary))
    }

    fn keep_dictionary(&self, id: TypeId, key: TableKey, dictionary: &Arc<Dictionary>) {
        let mut state = self.state.lock();
        let used = state.tick();
        let nodes = state.nodes.entry(id).or_insert_with(|| Nodes {
            dictionary: Arc::clone(dictionary),
            covered: HashSet::new(),
            used,
        });
        let grown_from = nodes.dictionary.lineage();
        nodes.dictionary = Arc::clone(dictionary);
        if grown_from != dictionary.lineage() || nodes.covered.len() >= COVERED {
            nodes.covered.clear();
        }
        nodes.covered.insert(key);
        nodes.used = used;
        state.shrink(self.budget, dictionary.lineage());
    }

    fn view(&self, id: TypeId, key: &TableKey, ends: &Ends) -> Option<Arc<Adjacency>> {
        let mut state = self.state.lock();
        let now = state.tick();
        state
            .edges
            .get_mut(&id)?
            .iter_mut()
            .filter(|edges| edges.base.fits(ends))
            .find_map(|edges| {
                let (adjacency, used) = edges.views.get_mut(key)?;
                (*used, edges.used) = (now, now);
                Some(Arc::clone(adjacency))
            })
    }

    /// The base that differs least, if it is near enough.
    fn nearest(
        &self,
        id: TypeId,
        pieces: &[Piece],
        ends: &Ends,
    ) -> Option<(Arc<Base>, Difference)> {
        let bases: Vec<Arc<Base>> = {
            let state = self.state.lock();
            let edges = state.edges.get(&id)?;
            edges.iter().map(|edges| Arc::clone(&edges.base)).collect()
        };
        bases
            .into_iter()
            .filter(|base| base.fits(ends))
            .filter_map(|base| {
                let difference = base.difference(pieces)?;
                Some((base, difference))
            })
            .min_by_key(|(_, difference)| difference.rows())
            .filter(|(base, difference)| {
                difference.rows() <= DIFFERENCE_ROWS.max(base.rows() / DIFFERENCE_SHARE)
            })
    }

    fn keep_view(&self, id: TypeId, key: TableKey, adjacency: &Arc<Adjacency>) {
        let mut state = self.state.lock();
        let used = state.tick();
        let bases = state.edges.entry(id).or_default();
        let at = bases
            .iter()
            .position(|edges| Arc::ptr_eq(&edges.base, adjacency.base()));
        let edges = match at {
            Some(at) => &mut bases[at],
            None => {
                if bases.len() >= BASES
                    && let Some(oldest) = (0..bases.len()).min_by_key(|&at| bases[at].used)
                {
                    bases.swap_remove(oldest);
                }
                bases.push(Edges {
                    base: Arc::clone(adjacency.base()),
                    views: HashMap::new(),
                    used,
                });
                let last = bases.len() - 1;
                &mut bases[last]
            }
        };
        if edges.views.len() >= VIEWS
            && let Some(oldest) = edges.views.iter().min_by_key(|(_, (_, used))| *used)
        {
            let oldest = oldest.0.clone();
            edges.views.remove(&oldest);
        }
        edges.views.insert(key, (Arc::clone(adjacency), used));
        edges.used = used;
        state.shrink(self.budget, 0);
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn bytes(&self) -> usize {
        let nodes: usize = self
            .nodes
            .values()
            .map(|nodes| nodes.dictionary.bytes())
            .sum();
        let edges: usize = self
            .edges
            .values()
            .flatten()
            .map(|edges| {
                let views: usize = edges.views.values().map(|(view, _)| view.bytes()).sum();
                edges.base.bytes() + views
            })
            .sum();
        nodes + edges
    }

    /// Forgets the least recently used bases, then dictionaries that no base uses, until
    /// the rest fits. What was used just now stays, and so does the lineage `keep`.
    fn shrink(&mut self, budget: usize, keep: u64) {
        while self.bytes() > budget {
            let oldest = self
                .edges
                .iter()
                .flat_map(|(id, bases)| bases.iter().map(|edges| (edges.used, *id)))
                .min()
                .filter(|(used, _)| *used < self.clock);
            if let Some((used, id)) = oldest {
                if let Some(bases) = self.edges.get_mut(&id) {
                    bases.retain(|edges| edges.used != used);
                }
                continue;
            }
            let unused = self
                .nodes
                .iter()
                .filter(|(_, nodes)| {
                    let lineage = nodes.dictionary.lineage();
                    lineage != keep
                        && !self
                            .edges
                            .values()
                            .flatten()
                            .any(|edges| edges.base.uses(lineage))
                })
                .min_by_key(|(_, nodes)| nodes.used)
                .map(|(id, _)| *id);
            match unused {
                Some(id) => self.nodes.remove(&id),
                None => return,
            };
        }
    }
}

async fn build_base(
    edges: &Table,
    chunks: &[Chunk],
    pieces: &Arc<[Piece]>,
    ends: &Ends,
) -> Result<Arc<Base>> {
    let mut read = read_endpoints(edges, chunks, 0..chunks.len()).await?;
    let columns: Vec<Endpoints> = (0..chunks.len())
        .filter_map(|at| read.remove(&at))
        .collect();
    let (pieces, ends) = (Arc::clone(pieces), ends.clone());
    let base = on_a_thread(move |cancel| Base::build(&pieces, &columns, &ends, &cancel)).await?;
    Ok(Arc::new(base))
}

async fn read_endpoints(
    edges: &Table,
    chunks: &[Chunk],
    wanted: impl Iterator<Item = usize>,
) -> Result<HashMap<usize, Endpoints>> {
    let reads: Vec<_> = wanted.map(|at| read_ends(edges, &chunks[at], at)).collect();
    futures::stream::iter(reads)
        .buffer_unordered(READS)
        .try_collect()
        .await
}

async fn read_ends(edges: &Table, chunk: &Chunk, at: usize) -> Result<(usize, Endpoints)> {
    let mut columns = edges
        .chunk_columns(chunk, &[SRC_COLUMN, DST_COLUMN])
        .await?;
    let dst = text(columns.pop())?;
    let src = text(columns.pop())?;
    Ok((at, Endpoints { src, dst }))
}

async fn read_ids(nodes: &Table, chunk: &Chunk) -> Result<(Arc<str>, StringArray)> {
    let mut columns = nodes.chunk_columns(chunk, &[ID_COLUMN]).await?;
    Ok((chunk.key.clone(), text(columns.pop())?))
}

fn piece(chunk: &Chunk) -> Piece {
    Piece {
        key: chunk.key.clone(),
        rows: chunk.rows,
        deleted: chunk.deleted.clone(),
    }
}

fn text(column: Option<arrow::array::ArrayRef>) -> Result<StringArray> {
    column
        .as_ref()
        .and_then(|column| column.as_string_opt::<i32>())
        .cloned()
        .ok_or_else(|| Error::internal("an id column that is not text"))
}

/// Runs long work where it blocks nobody; giving the future up ends it.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce(Cancel) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (cancel, _guard) = Cancel::on_drop();
    tokio::task::spawn_blocking(move || work(cancel))
        .await
        .map_err(|error| {
            Error::internal(format!("a thread that builds adjacency stopped: {error}"))
        })?
}
