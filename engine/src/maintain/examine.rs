//! Looking at everything that a graph is made of, and changing nothing.
//!
//! Each object that somebody could still read is read or looked for: the log of names, every entry
//! of the logs of branches that there are, the manifests and files of the table versions that they
//! state, checkpoints, and stored indexes. What is wrong is told and passed over, so that all of it
//! is found in one go.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt, TryStreamExt};

use crate::commit::history::commits_of;
use crate::commit::log::{BranchLog, read_object};
use crate::dataset::{TableLocation, TableVersion};
use crate::error::{Error, Result};
use crate::format::Checkpoint;
use crate::graph::Graph;
use crate::index::StoredIndex;
use crate::storage::layout;

/// How many objects are looked at side by side.
const PARALLEL: usize = 32;

/// What sort of object is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DamagedObject {
    Names,
    LogEntry,
    Manifest,
    File,
    /// Derived: answers are right without it, and take longer.
    Checkpoint,
    /// Derived, too.
    Index,
}

impl DamagedObject {
    pub fn name(self) -> &'static str {
        match self {
            DamagedObject::Names => "names",
            DamagedObject::LogEntry => "log_entry",
            DamagedObject::Manifest => "manifest",
            DamagedObject::File => "file",
            DamagedObject::Checkpoint => "checkpoint",
            DamagedObject::Index => "index",
        }
    }

    /// Is it made of other objects, and so nothing lost?
    pub fn is_derived(self) -> bool {
        matches!(self, DamagedObject::Checkpoint | DamagedObject::Index)
    }
}

/// One thing that is wrong with a graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    pub object: DamagedObject,
    /// Its key below the graph's root.
    pub key: String,
    pub message: String,
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    pub entries: u64,
    pub versions: u64,
    pub files: u64,
    /// By kind and key.
    pub damage: Vec<Damage>,
}

impl Graph {
    /// Finds what is damaged. An error says that the store does not answer.
    pub async fn examine(&self) -> Result<Examined> {
        let mut found = Examined::default();
        let logs = self.logs_examined(&mut found).await?;
        let versions = self.entries_examined(&logs, &mut found).await?;
        let files = self.versions_examined(versions, &mut found).await?;
        self.files_examined(files, &mut found).await?;
        self.checkpoints_examined(&mut found).await?;
        self.indexes_examined(&mut found).await?;
        found.damage.sort();
        Ok(found)
    }

    /// The log of names; answers the logs of the branches that there are.
    async fn logs_examined(&self, found: &mut Examined) -> Result<BTreeSet<String>> {
        let shared = &self.shared;
        let names = match shared.names.refresh().await {
            Ok(names) => names,
            Err(error) => {
                let key = layout::refs_folder(&shared.id);
                found.note(DamagedObject::Names, key, error)?;
                return Ok(BTreeSet::new());
            }
        };
        for number in 0..=names.number.unwrap_or(0) {
            let key = layout::ref_entry(&shared.id, number);
            match shared.names.entry(number).await {
                Ok(Some(_)) => found.entries += 1,
                Ok(None) => found.note(DamagedObject::Names, key, missing())?,
                Err(error) => found.note(DamagedObject::Names, key, error)?,
            }
        }
        let lines = names.all.branches.values();
        Ok(lines.map(|line| line.branch.clone()).collect())
    }

    /// Every entry of these logs; answers the table versions that they state.
    async fn entries_examined(
        &self,
        logs: &BTreeSet<String>,
        found: &mut Examined,
    ) -> Result<BTreeMap<(String, u64), TableLocation>> {
        let shared = &self.shared;
        let mut versions = BTreeMap::new();
        for branch_id in logs {
            let log = BranchLog::new(shared.logs.clone(), branch_id.clone());
            let last = match log.head().await {
                Ok(head) => head.seq,
                Err(error) => {
                    let key = layout::branch_folder(branch_id);
                    found.note(DamagedObject::LogEntry, key, error)?;
                    continue;
                }
            };
            for seq in 0..=last {
                let entry = match shared.logs.existing(branch_id, seq).await {
                    Ok(entry) => entry,
                    Err(error) => {
                        let key = layout::log_entry(branch_id, seq);
                        found.note(DamagedObject::LogEntry, key, error)?;
                        continue;
                    }
                };
                found.entries += 1;
                if entry.expired {
                    continue;
                }
                let state = entry.state.iter().flat_map(|state| state.tables.values());
                let made = commits_of(&entry)
                    .iter()
                    .flat_map(|commit| commit.tables.values().map(|table| &table.after));
                for line in state.chain(made) {
                    let location = &line.location;
                    versions
                        .entry((location.dir.clone(), location.version))
                        .or_insert_with(|| location.clone());
                }
            }
        }
        Ok(versions)
    }

    /// The manifests of table versions; answers the files that they name.
    async fn versions_examined(
        &self,
        versions: BTreeMap<(String, u64), TableLocation>,
        found: &mut Examined,
    ) -> Result<HashSet<String>> {
        let shared = &self.shared;
        let mut opened = futures::stream::iter(versions.into_values())
            .map(|location| async move {
                let version = TableVersion::open(&shared.resources, &shared.store, &location).await;
                (location, version)
            })
            .buffer_unordered(PARALLEL);
        let mut files = HashSet::new();
        while let Some((location, version)) = opened.next().await {
            match version {
                Ok(version) => {
                    found.versions += 1;
                    files.extend(version.files());
                }
                Err(error) => {
                    let key = format!("{} version {}", location.dir, location.version);
                    found.note(DamagedObject::Manifest, key, error)?;
                }
            }
        }
        Ok(files)
    }

    async fn files_examined(&self, files: HashSet<String>, found: &mut Examined) -> Result<()> {
        let store = &self.shared.store;
        let mut looked = futures::stream::iter(files)
            .map(|key| async move {
                let there = store.modified(&key).await;
                (key, there)
            })
            .buffer_unordered(PARALLEL);
        while let Some((key, there)) = looked.next().await {
            match there? {
                Some(_) => found.files += 1,
                None => found.note(DamagedObject::File, key, missing())?,
            }
        }
        Ok(())
    }

    async fn checkpoints_examined(&self, found: &mut Examined) -> Result<()> {
        let store = &self.shared.store;
        let mut listed = store.list_below("_graph/checkpoints");
        while let Some(object) = listed.try_next().await? {
            if let Err(error) = read_object::<Checkpoint>(store, &object.key).await {
                found.note(DamagedObject::Checkpoint, object.key, error)?;
            }
        }
        Ok(())
    }

    async fn indexes_examined(&self, found: &mut Examined) -> Result<()> {
        let store = &self.shared.store;
        for kind in ["nodes", "edges"] {
            let mut listed = store.list_below(kind);
            while let Some(object) = listed.try_next().await? {
                if layout::looked_up(&object.key).is_none() || !object.key.contains("/lookup/") {
                    continue;
                }
                let bytes = store.read(&object.key).await?;
                if bytes.is_some_and(|bytes| StoredIndex::decode(&bytes).is_none()) {
                    let error = Error::Corrupt {
                        object: object.key.clone(),
                        message: "its checksum is another".to_owned(),
                    };
                    found.note(DamagedObject::Index, object.key, error)?;
                }
            }
        }
        Ok(())
    }
}

impl Examined {
    /// A store that does not answer is no damage.
    fn note(&mut self, object: DamagedObject, key: String, error: Error) -> Result<()> {
        if let Error::Unavailable { .. } = error {
            return Err(error);
        }
        let message = error.to_string();
        self.damage.push(Damage {
            object,
            key,
            message,
        });
        Ok(())
    }
}

fn missing() -> Error {
    Error::Missing {
        message: "it is missing".to_owned(),
    }
}
