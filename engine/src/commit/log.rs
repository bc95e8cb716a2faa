//! The log of one branch: numbered slots, each filled once and never emptied.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::checkpoint::{self, Outlines};
use super::slot::{self, Filled, SlotError};
use crate::clock::Environment;
use crate::error::{Error, Result};
use crate::format::{self, LogEntry};
use crate::names::CommitId;
use crate::storage::{RESTART, Store, layout};

/// Entries kept in memory per graph; a walk over history reads each once.
const CACHED_ENTRIES: u64 = 20_000;

/// Checkpoints kept in memory per graph.
const CACHED_CHECKPOINTS: u64 = 20;

/// What the logs of one graph share.
#[derive(Debug)]
pub(crate) struct LogStore {
    pub store: Store,
    environment: Arc<dyn Environment>,
    entries: moka::sync::Cache<(String, u64), Arc<LogEntry>>,
    /// By branch and thousand: its checkpoint, or that there is none.
    outlines: moka::future::Cache<(String, u64), Outlines>,
}

impl LogStore {
    pub fn new(store: Store, environment: Arc<dyn Environment>) -> Self {
        LogStore {
            store,
            environment,
            entries: moka::sync::Cache::new(CACHED_ENTRIES),
            outlines: moka::future::Cache::new(CACHED_CHECKPOINTS),
        }
    }

    pub async fn entry(&self, branch_id: &str, seq: u64) -> Result<Option<Arc<LogEntry>>> {
        let cache_key = (branch_id.to_owned(), seq);
        if let Some(entry) = self.entries.get(&cache_key) {
            return Ok(Some(entry));
        }
        let key = layout::log_entry(branch_id, seq);
        let Some(bytes) = self.store.read(&key).await? else {
            return Ok(None);
        };
        let entry = self.decode(&key, seq, &bytes)?;
        // Somebody else's file may be visible before its folder is on disk.
        self.store
            .sync_folder(&layout::log_folder(branch_id, seq))
            .await?;
        self.entries.insert(cache_key, entry.clone());
        Ok(Some(entry))
    }

    /// Is the entry in memory?
    pub fn holds(&self, branch_id: &str, seq: u64) -> bool {
        self.entries.contains_key(&(branch_id.to_owned(), seq))
    }

    fn decode(&self, key: &str, seq: u64, bytes: &[u8]) -> Result<Arc<LogEntry>> {
        let entry: LogEntry = format::decode(key, bytes)?;
        if entry.seq != seq {
            return Err(Error::Corrupt {
                object: key.to_owned(),
                message: format!("it says it is entry {}", entry.seq),
            });
        }
        Ok(Arc::new(entry))
    }

    /// Publishes `entry` in its slot, or says what fills it.
    pub async fn fill(&self, branch_id: &str, entry: LogEntry) -> Result<Published> {
        self.check_writable()?;
        let key = layout::log_entry(branch_id, entry.seq);
        let body = format::encode(&entry)?;
        if body.len() > MAX_ENTRY_BYTES {
            return Err(Error::LimitExceeded {
                what: "a log entry's size in bytes".to_owned(),
                limit: MAX_ENTRY_BYTES as u64,
                actual: body.len() as u64,
            });
        }
        let ours = |held: &[u8]| {
            format::decode::<LogEntry>(&key, held).is_ok_and(|held| held.nonce == entry.nonce)
        };
        let filled = slot::fill(&self.store, &*self.environment, &key, body, ours).await;
        self.settle(filled, &key, entry.seq, entry_commit(&entry))
            .map(|theirs| match theirs {
                None => {
                    let entry = Arc::new(entry);
                    self.entries
                        .insert((branch_id.to_owned(), entry.seq), entry.clone());
                    Published::Ours(entry)
                }
                Some(theirs) => Published::Theirs(theirs),
            })
    }

    fn settle(
        &self,
        filled: Result<Filled, SlotError>,
        key: &str,
        seq: u64,
        commit: Option<CommitId>,
    ) -> Result<Option<Arc<LogEntry>>> {
        match filled {
            Ok(Filled::Ours) => Ok(None),
            Ok(Filled::Theirs(bytes)) => self.decode(key, seq, &bytes).map(Some),
            Err(SlotError::NotWritten(error)) => Err(error),
            Err(SlotError::Unknown) => Err(Error::OutcomeUnknown {
                commit: commit.map(|id| id.to_string()).unwrap_or_default(),
            }),
        }
    }

    /// An entry that must be there.
    pub async fn existing(&self, branch_id: &str, seq: u64) -> Result<Arc<LogEntry>> {
        self.entry(branch_id, seq)
            .await?
            .ok_or_else(|| Error::Corrupt {
                object: layout::log_entry(branch_id, seq),
                message: "it is missing from the log".to_owned(),
            })
    }

    /// Makes an entry forget its tables. Who published it and what it says of its commits
    /// stays, so whoever reads the slot decides as before.
    pub async fn expire(&self, branch_id: &str, seq: u64) -> Result<()> {
        let entry = self.existing(branch_id, seq).await?.without_tables();
        let key = layout::log_entry(branch_id, seq);
        self.store.write(&key, format::encode(&entry)?).await?;
        self.entries
            .insert((branch_id.to_owned(), seq), Arc::new(entry));
        Ok(())
    }

    /// What history needs of an entry: everything but its tables. A walk over a log reads a
    /// thousand entries at once where there is a checkpoint, and leaves one where there is none.
    pub async fn outline(self: &Arc<Self>, branch_id: &str, seq: u64) -> Result<Arc<LogEntry>> {
        if let Some(entry) = self.entries.get(&(branch_id.to_owned(), seq)) {
            return Ok(entry);
        }
        // Who comes from the entry after it walks; anybody else wants this one only.
        let number = seq / layout::ENTRIES_PER_FOLDER;
        let after = (seq + 1) / layout::ENTRIES_PER_FOLDER;
        let walks = self.holds(branch_id, seq + 1)
            || self.outlines.contains_key(&(branch_id.to_owned(), after));
        if !walks {
            return self.existing(branch_id, seq).await;
        }
        let outlines = self
            .outlines
            .try_get_with(
                (branch_id.to_owned(), number),
                checkpoint::read(self, branch_id, number),
            )
            .await
            .map_err(|error: Arc<Error>| (*error).clone())?;
        if let Some(outlines) = &outlines {
            let at = (seq % layout::ENTRIES_PER_FOLDER) as usize;
            if let Some(entry) = outlines.get(at) {
                return Ok(entry.clone());
            }
        }
        let entry = self.existing(branch_id, seq).await?;
        if seq.is_multiple_of(layout::ENTRIES_PER_FOLDER) && outlines.is_none() {
            self.write_checkpoint(branch_id, number).await?;
        }
        Ok(entry)
    }

    /// Leaves a checkpoint of a thousand entries that are all there.
    async fn write_checkpoint(self: &Arc<Self>, branch_id: &str, number: u64) -> Result<()> {
        let last = (number + 1) * layout::ENTRIES_PER_FOLDER - 1;
        if self.check_writable().is_ok() && self.entry(branch_id, last).await?.is_some() {
            tokio::spawn(checkpoint::write(
                self.clone(),
                branch_id.to_owned(),
                number,
            ));
        }
        Ok(())
    }

    pub async fn forget_outlines(&self, branch_id: &str, number: u64) {
        self.outlines
            .invalidate(&(branch_id.to_owned(), number))
            .await;
    }

    pub fn check_writable(&self) -> Result<()> {
        match self.store.is_distrusted() {
            true => Err(Error::ReadOnly {
                reason: format!("an fsync of a log failed; {RESTART}"),
            }),
            false => Ok(()),
        }
    }
}

/// Above this an entry would slow every reader; what could make it so large (ids, tables) is
/// bounded before.
const MAX_ENTRY_BYTES: usize = 1 << 20;

fn entry_commit(entry: &LogEntry) -> Option<CommitId> {
    match &entry.kind {
        format::EntryKind::Commits { commits } => commits.last().map(|commit| commit.id),
        _ => entry.state.as_ref().map(|state| state.head),
    }
}

pub(crate) enum Published {
    Ours(Arc<LogEntry>),
    Theirs(Arc<LogEntry>),
}

/// One branch's log, and how far this process has read it.
#[derive(Debug)]
pub(crate) struct BranchLog {
    pub branch_id: String,
    logs: Arc<LogStore>,
    head: RwLock<Option<Arc<LogEntry>>>,
}

impl BranchLog {
    pub fn new(logs: Arc<LogStore>, branch_id: String) -> Self {
        BranchLog {
            branch_id,
            logs,
            head: RwLock::new(None),
        }
    }

    /// The newest entry. The next one's name is known, so one request that finds nothing
    /// proves that the head is the head; a cold start lists, newest first.
    pub async fn head(&self) -> Result<Arc<LogEntry>> {
        let known = self.head.read().clone();
        let mut newest = match known {
            Some(entry) => entry,
            None => self.newest_listed().await?,
        };
        while let Some(next) = self.logs.entry(&self.branch_id, newest.seq + 1).await? {
            newest = next;
        }
        self.advance(&newest);
        Ok(self.head.read().clone().unwrap_or(newest))
    }

    /// The newest entry this process knows of, without asking the store.
    pub fn known_head(&self) -> Option<Arc<LogEntry>> {
        self.head.read().clone()
    }

    /// A process's known head never goes back.
    pub fn advance(&self, entry: &Arc<LogEntry>) {
        let mut head = self.head.write();
        if head.as_ref().is_none_or(|known| known.seq < entry.seq) {
            *head = Some(entry.clone());
        }
    }

    pub async fn publish(&self, entry: LogEntry) -> Result<Published> {
        let published = self.logs.fill(&self.branch_id, entry).await?;
        match &published {
            Published::Ours(entry) | Published::Theirs(entry) => self.advance(entry),
        }
        if let Published::Ours(entry) = &published
            && entry.seq > 0
            && entry.seq.is_multiple_of(layout::ENTRIES_PER_FOLDER)
        {
            let number = entry.seq / layout::ENTRIES_PER_FOLDER - 1;
            tokio::spawn(checkpoint::write(
                self.logs.clone(),
                self.branch_id.clone(),
                number,
            ));
        }
        Ok(published)
    }

    /// A list is a hint: the greatest number in it is where reading begins.
    async fn newest_listed(&self) -> Result<Arc<LogEntry>> {
        let store = &self.logs.store;
        let folder = layout::branch_folder(&self.branch_id);
        let newest_folder = store.list_folders(&folder).await?.into_iter().min();
        if let Some(name) = newest_folder {
            let newest = store
                .list_objects(&format!("{folder}/{name}"))
                .await?
                .iter()
                .filter_map(|name| layout::number_of(name))
                .max();
            if let Some(seq) = newest {
                return self.logs.existing(&self.branch_id, seq).await;
            }
        }
        self.logs.existing(&self.branch_id, 0).await
    }
}

/// Reads and decodes any object of ours, if it is there.
pub(crate) async fn read_object<T: format::Object>(store: &Store, key: &str) -> Result<Option<T>> {
    store
        .read(key)
        .await?
        .map(|bytes: Bytes| format::decode(key, &bytes))
        .transpose()
}
