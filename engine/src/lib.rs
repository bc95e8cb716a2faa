//! What a graph is, was and becomes. The engine knows no SQL text, no users and no wire.
//!
//! | room | what is in it |
//! |---|---|
//! | [`graph`] | the one door: create, open, branch, snapshot, begin |
//! | [`schema`] | what a graph declares: the `.pg` language, its checks, its changes |
//! | [`snapshot`], [`table`] | reading one commit: tables as chunks of rows |
//! | [`write`](mod@write) | transactions, the checks of their rows, bulk loads |
//! | [`commit`] | how a commit comes about, and how it is found again |
//! | [`merge`] | one branch's changes into another, three-way |
//! | [`migrate`] | from one schema to another, in one commit |
//! | `maintain` | the same rows in better files, and no more files than needed |
//! | [`algorithms`] | whole graphs: ranks, components, communities |
//! | [`pattern`] | graph patterns and how they are matched |
//! | [`query`] | the `.gq` language, checked against a schema |
//! | [`blob`] | bytes of any length, beside the tables |
//! | `index` | equality lookups over immutable chunks |
//! | [`traverse`] | adjacency and the walks over it |
//! | [`search`] | rows by likeness: vectors and words |
//! | [`restrict`] | a part of a graph: some types, columns and rows |
//! | [`refs`] | how a state is named: branches, tags, commits, times |
//! | [`feed`] | what each step of a branch changed |
//! | [`load`] | whole files in and out |
//! | [`diff`], `changed` | what lies between two snapshots |
//! | [`ndjson`] | rows as lines of JSON, in and out |
//! | [`format`](mod@format) | every byte that is persisted |
//! | [`dataset`] | the wall around Lance |
//! | [`storage`] | the wall around the object store |

pub mod algorithms;
pub mod blob;
mod changed;
pub mod clock;
pub mod commit;
pub mod dataset;
mod destroy;
pub mod diff;
pub mod error;
pub mod feed;
pub mod format;
pub mod graph;
pub mod index;
pub mod load;
mod lookup;
mod maintain;
pub mod merge;
pub mod migrate;
pub mod names;
pub mod ndjson;
pub mod pattern;
pub mod query;
pub mod refs;
pub mod restrict;
mod revert;
pub mod schema;
pub mod search;
pub mod snapshot;
pub mod storage;
pub mod table;
pub mod tags;
pub mod traverse;
pub mod write;

pub use commit::{CommitInfo, CommitOutcome, HistoryKind};
pub use dataset::{ResourceLimits, Resources};
pub use error::{Error, Result};
pub use graph::{BranchInfo, Graph};
pub use maintain::examine::{Damage, DamagedObject, Examined};
pub use maintain::vacuum::{VacuumOptions, VacuumReport};
pub use refs::Reference;
pub use snapshot::Snapshot;
pub use storage::{Durability, Store, StoreOptions, make_folder};
pub use table::{Chunk, Lookup, RowPosition, ScanRequest, Table, TableKey};
pub use tags::TagInfo;
pub use write::locks::LockStrength;
pub use write::transaction::{CommitMessage, Deleted, Savepoint, Transaction, TransactionOptions};

#[cfg(test)]
mod tests;
