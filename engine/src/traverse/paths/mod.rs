//! Paths between pairs of nodes: a shortest one, all shortest ones, or the k best.
//!
//! Without weights a path is searched from both ends, always from the smaller frontier; with
//! weights by Dijkstra's algorithm. The k best are Yen's: paths without loops, each of which
//! leaves an earlier one somewhere. Ties go to the edges that come first in their tables.
//!
//! Searches run on a thread of their own, end when nobody waits for them, and tell how much
//! memory they hold.

mod network;
mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::pattern::{Failure, Memory};
use crate::schema::TypeId;
use crate::snapshot::Snapshot;
use crate::traverse::topologies::on_a_thread;
use crate::traverse::walk::Direction;
use network::Network;
use search::{Route, Search};

/// Which of the paths between two nodes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Shortest,
    AllShortest,
    /// So many, the best first.
    Best(u64),
}

#[derive(Debug)]
pub struct PathsRequest {
    pub edges: Vec<TypeId>,
    /// Each of these is joined to each of the targets.
    pub sources: Vec<String>,
    pub targets: Vec<String>,
    pub direction: Direction,
    /// A numeric property of the edges, by its SQL name. Without one each edge counts 1.
    pub weight: Option<String>,
    pub wanted: Wanted,
    pub memory: Box<dyn Memory>,
}

/// A path from a source to a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub source: String,
    pub target: String,
    /// Its place among the paths of the two, from 1.
    pub rank: u64,
    /// Ids, in order; one more than edges.
    pub nodes: Vec<String>,
    pub edges: Vec<String>,
    /// What the path has cost when it comes to each node.
    pub costs: Vec<f64>,
}

/// Paths found at a time.
const PATHS: usize = 256;

/// The paths by source, then by target, in the order given, the best first. What does not
/// exist, or cannot be reached, has no path. Nothing is done before the first poll, and
/// dropping the stream ends the work.
pub fn paths(
    snapshot: Snapshot,
    request: PathsRequest,
) -> BoxStream<'static, Result<Path, Failure>> {
    futures::stream::once(begin(snapshot, request))
        .map_ok(|running| futures::stream::try_unfold(running, next))
        .try_flatten()
        .map_ok(|found: Vec<Path>| futures::stream::iter(found.into_iter().map(Ok)))
        .try_flatten()
        .boxed()
}

struct Running {
    network: Arc<Network>,
    sources: Vec<String>,
    targets: Vec<String>,
    pairs: Pairs,
    search: Search,
    memory: Box<dyn Memory>,
}

/// The pairs that are left, by the places of their ids and their nodes.
struct Pairs {
    sources: Vec<(usize, u32)>,
    targets: Vec<(usize, u32)>,
    next: usize,
}

impl Iterator for Pairs {
    type Item = [(usize, u32); 2];

    fn next(&mut self) -> Option<Self::Item> {
        let source = *self
            .sources
            .get(self.next.checked_div(self.targets.len())?)?;
        let target = self.targets[self.next % self.targets.len()];
        self.next += 1;
        Some([source, target])
    }
}

async fn begin(snapshot: Snapshot, request: PathsRequest) -> Result<Running, Failure> {
    let network = Network::open(
        &snapshot,
        &request.edges,
        request.direction,
        request.weight.as_deref(),
    )
    .await?;
    let sources = network.nodes(&request.sources, false).await?;
    let targets = network.nodes(&request.targets, true).await?;
    Ok(Running {
        search: Search::new(request.wanted),
        network: Arc::new(network),
        sources: request.sources,
        targets: request.targets,
        pairs: Pairs {
            sources,
            targets,
            next: 0,
        },
        memory: request.memory,
    })
}

async fn next(mut running: Running) -> Result<Option<(Vec<Path>, Running)>, Failure> {
    let work = on_a_thread(move |cancel| {
        let mut found: Vec<([usize; 2], u64, Route)> = Vec::new();
        let outcome = loop {
            if found.len() >= PATHS {
                break Ok(());
            }
            let network = &running.network;
            match running.search.next(network, &mut *running.memory, &cancel) {
                Ok(Some((pair, rank, route))) => {
                    found.push((pair, rank, route));
                    continue;
                }
                Ok(None) => {}
                Err(error) => break Err(error),
            }
            let Some([(source, from), (target, to)]) = running.pairs.next() else {
                break Ok(());
            };
            running.search.begin([source, target], from, to);
        };
        Ok((found, outcome, running))
    });
    let (found, outcome, running) = work.await?;
    outcome?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut paths = Vec::with_capacity(found.len());
    for ([source, target], rank, route) in found {
        let nodes = route.nodes.iter();
        paths.push(Path {
            source: running.sources[source].clone(),
            target: running.targets[target].clone(),
            rank,
            nodes: nodes
                .map(|node| running.network.id(*node).map(str::to_owned))
                .collect::<Result<_>>()?,
            edges: running.network.edge_ids(&route.edges).await?,
            costs: route.costs,
        });
    }
    Ok(Some((paths, running)))
}

fn lost() -> Error {
    Error::internal("a path through a node that its graph does not have")
}
