//! Walking a graph: dense numbers for nodes, adjacency per version of an edge table, and
//! breadth first search over them.
//!
//! | file | what is in it |
//! |---|---|
//! | dictionary | node ids ↔ dense numbers, growing only |
//! | lists | compressed sparse rows |
//! | numbering | the numbers of the nodes at the ends of edges |
//! | adjacency | those of one version, seen from others through a difference |
//! | topologies | both of the above for all graphs, built once, under a budget of bytes |
//! | walk | breadth first search from many starts, in slices |
//! | plan | what a traversal needs of a snapshot |
//! | paths | the shortest paths, and the best of them, between two nodes |
//! | search, neighbors | rows |

mod adjacency;
mod bits;
mod cancel;
mod dictionary;
mod lists;
mod neighbors;
mod numbering;
mod paths;
mod plan;
mod search;
#[cfg(test)]
mod tests;
mod topologies;
mod walk;

pub(crate) use adjacency::{Adjacency, Ends};
pub(crate) use bits::Bits;
pub use cancel::Cancel;
pub(crate) use dictionary::Dictionary;
pub use neighbors::{NeighborsRequest, neighbors, neighbors_schema};
pub use paths::{Path, PathsRequest, Wanted, paths};
pub(crate) use plan::Plan;
pub use search::{TraverseRequest, traverse, traverse_schema};
pub use topologies::Topologies;
pub(crate) use topologies::on_a_thread;
pub use walk::{Direction, Hops};
