//! Every byte that a graph persists of its own, encoded and decoded here and nowhere else.
//!
//! An object is one line of header and a JSON body:
//!
//! ```text
//! omnigraph <kind> <format version> <xxh3-64 of the body, 16 hex digits>\n
//! {…}
//! ```
//!
//! A header or checksum that does not fit makes the object damaged: it is named in the error,
//! left where it is, and never skipped.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::dataset::TableLocation;
use crate::error::{Error, Result};
use crate::names::CommitId;
use crate::schema::TypeId;

const FORMAT_VERSION: u32 = 3;

/// The version before, whose objects this program reads as well: there, rows refer to no blobs.
const FORMER_VERSION: u32 = 2;

pub trait Object: Serialize + DeserializeOwned {
    const KIND: &'static str;
}

pub fn encode<T: Object>(object: &T) -> Result<Bytes> {
    let body = serde_json::to_vec(object).map_err(Error::internal)?;
    let mut bytes = format!(
        "omnigraph {} {FORMAT_VERSION} {:016x}\n",
        T::KIND,
        xxh3_64(&body)
    )
    .into_bytes();
    bytes.extend_from_slice(&body);
    Ok(bytes.into())
}

/// Decodes the object that was read from `key`.
pub fn decode<T: Object>(key: &str, bytes: &[u8]) -> Result<T> {
    let corrupt = |message: String| Error::Corrupt {
        object: key.to_owned(),
        message,
    };
    let line = bytes
        .iter()
        .take(200)
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| corrupt("it has no header".to_owned()))?;
    let header = std::str::from_utf8(&bytes[..line])
        .map_err(|_| corrupt("its header is not text".to_owned()))?;
    let body = &bytes[line + 1..];
    let mut words = header.split(' ');
    if (words.next(), words.next()) != (Some("omnigraph"), Some(T::KIND)) {
        return Err(corrupt(format!("its header says {header:?}")));
    }
    let version = words.next().unwrap_or_default();
    let known = [FORMAT_VERSION, FORMER_VERSION];
    if !known.iter().any(|known| version == known.to_string()) {
        return Err(corrupt(format!(
            "it has format {version}; this program reads {FORMER_VERSION} and {FORMAT_VERSION}"
        )));
    }
    if words.next() != Some(format!("{:016x}", xxh3_64(body)).as_str()) {
        return Err(corrupt("its checksum does not fit".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| corrupt(error.to_string()))
}

/// `_graph/graph.json`: written last when a graph is made, so that a graph exists whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphFile {
    pub id: String,
    pub created_at: i64,
    pub created_by: String,
}

/// One step of a branch. Every kind but the last re-states the whole state of the branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    pub seq: u64,
    /// Tells this attempt from every other: what `AlreadyExists` is checked against.
    pub nonce: String,
    /// Microseconds since 1970; never below its predecessor's.
    pub time: i64,
    pub actor: String,
    #[serde(flatten)]
    pub kind: EntryKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<BranchState>,
    /// Its tables and locks are forgotten: vacuum may have removed their files. What was
    /// committed, when and by whom stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
}

impl LogEntry {
    /// What remains of an entry once its state is given up.
    pub fn without_tables(&self) -> LogEntry {
        let mut entry = self.clone();
        entry.expired = true;
        if let Some(state) = &mut entry.state {
            state.tables.clear();
        }
        if let EntryKind::Commits { commits } = &mut entry.kind {
            for commit in commits {
                commit.tables.clear();
                commit.locked.clear();
            }
        }
        entry
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntryKind {
    /// The first entry of a branch made from another one.
    Fork(Junction),
    /// New commits, oldest first.
    Commits { commits: Vec<Commit> },
    /// The same rows in other files.
    Maintain,
    /// The state of another branch's commit.
    Forward(Junction),
    /// The state of any commit, wherever it was.
    Reset(Junction),
    /// A vacuum has begun: [`Lineage::fence`] says which.
    Fence,
    /// Nothing changed. Who wrote it kept losing the next slot and asks all others to let it
    /// publish first, for `hold_ms` milliseconds of their own clocks at most.
    Noop { hold_ms: u64 },
    /// The end of the branch. Nothing is ever written after it.
    Tombstone,
}

impl EntryKind {
    pub fn name(&self) -> &'static str {
        match self {
            EntryKind::Fork(_) => "fork",
            EntryKind::Commits { .. } => "commits",
            EntryKind::Maintain => "maintain",
            EntryKind::Forward(_) => "forward",
            EntryKind::Reset(_) => "reset",
            EntryKind::Fence => "fence",
            EntryKind::Noop { .. } => "noop",
            EntryKind::Tombstone => "tombstone",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkPoint {
    pub branch: String,
    pub seq: u64,
    pub commit: CommitId,
}

/// Where a log's commits do not follow the ones before them in it: the state it goes on from.
/// From here to the next junction the log is a *line*: each commit's first parent is the one
/// before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Junction {
    pub from: ForkPoint,
    /// Lines before this one, counted along first parents.
    pub lines: u64,
    /// A junction further back, so that going back over lines takes few steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<LinePoint>,
}

/// The entry at which a line begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePoint {
    pub branch: String,
    pub seq: u64,
    pub lines: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BranchState {
    pub head: CommitId,
    /// Longest path to the first commit.
    pub generation: u64,
    #[serde(flatten)]
    pub lineage: Lineage,
    pub schema: String,
    pub tables: BTreeMap<TypeId, TableLine>,
    /// The newest entry of this log with a commit that locked rows it did not write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<u64>,
}

/// Where a state stands among those that led to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Commits before its head, counted along first parents.
    pub depth: u64,
    /// The entry at which the log's present line began.
    pub line: u64,
    /// The newest entry of that line which holds a commit with two parents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<u64>,
    /// The newest vacuum this log knows of, by its entry in the log of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
}

impl Lineage {
    /// The lineage after one more commit, which entry `seq` publishes.
    pub fn next(&self, seq: u64, parents: usize) -> Lineage {
        Lineage {
            depth: self.depth + 1,
            merged: if parents > 1 { Some(seq) } else { self.merged },
            ..self.clone()
        }
    }

    /// The lineage of a line that entry `seq` of a log begins, whose head goes on from here.
    pub fn line_at(&self, seq: u64, fence: Option<u64>) -> Lineage {
        Lineage {
            depth: self.depth,
            line: seq,
            merged: None,
            fence,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableLine {
    #[serde(flatten)]
    pub location: TableLocation,
    /// Digest of identities, types, nullability and constraints.
    pub shape: String,
    /// The commit that last changed its rows; others may have moved them to other files.
    pub changed_by: CommitId,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    pub id: CommitId,
    pub parents: Vec<CommitId>,
    pub generation: u64,
    pub actor: String,
    pub time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What its writer calls it, so as not to make it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    pub kind: CommitKind,
    /// The schema after it, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    /// The tables that it changed.
    pub tables: BTreeMap<TypeId, TableCommit>,
    /// Rows that it locked against others without writing them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub locked: BTreeMap<TypeId, Written>,
    /// The tables that it took away; older commits have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<TypeId>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    #[default]
    Data,
    Schema,
    Merge,
    Revert,
}

impl CommitKind {
    pub fn name(self) -> &'static str {
        match self {
            CommitKind::Data => "data",
            CommitKind::Schema => "schema",
            CommitKind::Merge => "merge",
            CommitKind::Revert => "revert",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableCommit {
    pub after: TableLine,
    pub written: Written,
}

/// Which rows a commit wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    Ids(Vec<String>),
    /// Too many for the entry: they lie in `_graph/changes/`.
    Elsewhere,
    /// Too many to list: compare the states.
    Unlisted,
    /// The whole table was replaced.
    All,
}

/// `_graph/commits/<id>.json`: a hint. The commit exists if the entry there lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommitPointer {
    pub branch: String,
    pub seq: u64,
    /// Once that entry has forgotten its tables: another that states the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<EntryPlace>,
}

/// An entry of any log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPlace {
    pub branch: String,
    pub seq: u64,
}

/// A thousand entries of a log, oldest first, without their tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    pub entries: Vec<LogEntry>,
}

/// `_graph/abandoned/<id>.json`: somebody was told that this commit will not be, so its writer
/// must not try again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Abandoned {
    pub commit: CommitId,
}

/// The ids of one commit, by table, where its log entry has no room for them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangedIds {
    pub tables: BTreeMap<TypeId, Vec<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub locked: BTreeMap<TypeId, Vec<String>>,
}

/// One step of the log of names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefEntry {
    pub number: u64,
    pub nonce: String,
    pub time: i64,
    pub actor: String,
    #[serde(flatten)]
    pub operation: RefOperation,
    /// Everything as it is after this step; in every hundredth entry, so that reading the
    /// log never goes back further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<AllNames>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum RefOperation {
    Create {
        name: String,
        line: NameLine,
    },
    Delete {
        name: String,
    },
    CreateTag {
        name: String,
        tag: TagLine,
    },
    /// With what it named, which stays readable for the retention.
    DeleteTag {
        name: String,
        tag: TagLine,
    },
    Fence {
        fence: Fence,
    },
}

/// What the log of names says, folded. Branches and tags share one name space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AllNames {
    pub branches: BTreeMap<String, NameLine>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, TagLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameLine {
    pub branch: String,
    /// The number of the entry that made it: never used again in this graph.
    pub ordinal: u64,
    pub created_at: i64,
    pub created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<ForkPoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
}

/// A name that stays where it was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagLine {
    pub at: ForkPoint,
    pub created_at: i64,
    pub created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a vacuum may remove from here on: nobody may publish a state below a horizon any
/// more, nor files older than the fence by more than the grace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Its entry in the log of names.
    pub number: u64,
    /// Microseconds.
    pub grace: i64,
    /// By branch id: the oldest entry whose state is kept. Horizons only rise.
    pub horizons: BTreeMap<String, u64>,
    /// Entries below their log's horizon that were kept because names held on to them, by
    /// branch id: the next vacuum looks at them again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pinned: BTreeSet<(String, u64)>,
}

impl Object for GraphFile {
    const KIND: &'static str = "graph";
}
impl Object for LogEntry {
    const KIND: &'static str = "log";
}
impl Object for Checkpoint {
    const KIND: &'static str = "checkpoint";
}
impl Object for CommitPointer {
    const KIND: &'static str = "commit";
}
impl Object for Abandoned {
    const KIND: &'static str = "abandoned";
}
impl ChangedIds {
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.locked.is_empty()
    }
}

impl Object for ChangedIds {
    const KIND: &'static str = "changes";
}
impl Object for RefEntry {
    const KIND: &'static str = "ref";
}

#[cfg(test)]
mod tests;
