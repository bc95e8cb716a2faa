//! All names of a graph's branches and tags: one log, folded.
//!
//! Names exist only inside bodies, never as paths, so nesting, case and odd characters mean
//! nothing to the store. Creating a name is one compare-and-swap at the next number.

use std::sync::Arc;

use parking_lot::RwLock;

use super::slot::{self, Filled, SlotError};
use crate::clock::Environment;
use crate::error::{Error, Result};
use crate::format::{self, AllNames, Fence, ForkPoint, RefEntry, RefOperation};
use crate::storage::{Store, layout};

/// Every so many entries one carries everything.
const NAMES_EVERY: u64 = 100;

/// The names after entry `number`.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The entry that was read last; `None` before the first.
    pub number: Option<u64>,
    pub time: i64,
    pub all: Arc<AllNames>,
}

impl Names {
    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.number.map_or(0, |number| number + 1)
    }

    pub fn is_taken(&self, name: &str) -> bool {
        self.all.branches.contains_key(name) || self.all.tags.contains_key(name)
    }

    /// The oldest entry of a log whose state is kept.
    pub fn horizon(&self, branch_id: &str) -> u64 {
        let fence = self.all.fence.as_ref();
        fence
            .and_then(|fence| fence.horizons.get(branch_id))
            .copied()
            .unwrap_or(0)
    }

    /// The states that names hold on to.
    pub fn pins(&self) -> impl Iterator<Item = &ForkPoint> {
        let tags = self.all.tags.values().map(|tag| &tag.at);
        tags.chain(
            self.all
                .branches
                .values()
                .filter_map(|line| line.from.as_ref()),
        )
    }

    /// Does vacuum keep the state of this entry?
    pub fn keeps(&self, branch_id: &str, seq: u64) -> bool {
        seq >= self.horizon(branch_id)
            || self
                .pins()
                .any(|at| at.branch == branch_id && at.seq == seq)
    }
}

#[derive(Debug)]
pub(crate) struct NameLog {
    store: Store,
    environment: Arc<dyn Environment>,
    graph_id: String,
    known: RwLock<Option<Names>>,
}

impl NameLog {
    pub fn new(store: Store, environment: Arc<dyn Environment>, graph_id: String) -> Self {
        NameLog {
            store,
            environment,
            graph_id,
            known: RwLock::new(None),
        }
    }

    /// The names as this process knows them, without asking the store.
    pub fn known(&self) -> Option<Names> {
        self.known.read().clone()
    }

    /// The names now.
    pub async fn refresh(&self) -> Result<Names> {
        let mut names = match self.known() {
            Some(names) => names,
            None => self.cold().await?,
        };
        loop {
            let Some(entry) = self.entry(names.next()).await? else {
                break;
            };
            names = apply(&names, &entry);
        }
        self.advance(&names);
        Ok(names)
    }

    /// Publishes `operation` as the next step after `names`. `Ok(None)`: somebody else was
    /// first; look again.
    pub async fn publish(
        &self,
        names: &Names,
        operation: RefOperation,
        nonce: String,
        now: i64,
        actor: &str,
    ) -> Result<Option<Names>> {
        let number = names.next();
        let mut entry = RefEntry {
            number,
            nonce,
            time: now.max(names.time + 1),
            actor: actor.to_owned(),
            operation,
            all: None,
        };
        let after = apply(names, &entry);
        if number.is_multiple_of(NAMES_EVERY) {
            entry.all = Some((*after.all).clone());
        }
        let key = layout::ref_entry(&self.graph_id, number);
        let body = format::encode(&entry)?;
        let ours = |held: &[u8]| {
            format::decode::<RefEntry>(&key, held).is_ok_and(|held| held.nonce == entry.nonce)
        };
        match slot::fill(&self.store, &*self.environment, &key, body, ours).await {
            Ok(Filled::Ours) => {
                self.advance(&after);
                Ok(Some(after))
            }
            Ok(Filled::Theirs(_)) => Ok(None),
            Err(SlotError::NotWritten(error)) => Err(error),
            Err(SlotError::Unknown) => Err(Error::Unavailable {
                message: "whether the name was written could not be learnt; look at branches()"
                    .to_owned(),
            }),
        }
    }

    fn advance(&self, names: &Names) {
        let mut known = self.known.write();
        if known
            .as_ref()
            .is_none_or(|known| known.number < names.number)
        {
            *known = Some(names.clone());
        }
    }

    /// The names at the newest entry that a list shows, read from the last full one on.
    async fn cold(&self) -> Result<Names> {
        let folder = layout::refs_folder(&self.graph_id);
        let mut names = Names {
            number: None,
            time: 0,
            all: Arc::default(),
        };
        let Some(group) = self.store.list_folders(&folder).await?.into_iter().min() else {
            return Ok(names);
        };
        let newest = self
            .store
            .list_objects(&format!("{folder}/{group}"))
            .await?
            .iter()
            .filter_map(|name| layout::number_of(name))
            .max()
            .unwrap_or(0);
        let first = newest - newest % NAMES_EVERY;
        for number in first..=newest {
            let Some(entry) = self.entry(number).await? else {
                return Err(Error::Corrupt {
                    object: layout::ref_entry(&self.graph_id, number),
                    message: "it is missing from the log of names".to_owned(),
                });
            };
            names = apply(&names, &entry);
        }
        Ok(names)
    }

    /// One step of the log, if it is there.
    pub async fn entry(&self, number: u64) -> Result<Option<RefEntry>> {
        let key = layout::ref_entry(&self.graph_id, number);
        let entry: Option<RefEntry> = super::log::read_object(&self.store, &key).await?;
        if entry.is_some() {
            self.store
                .sync_folder(&layout::ref_group(&self.graph_id, number))
                .await?;
        }
        Ok(entry)
    }
}

fn apply(names: &Names, entry: &RefEntry) -> Names {
    let all = entry.all.clone().unwrap_or_else(|| {
        let mut all = (*names.all).clone();
        match &entry.operation {
            RefOperation::Create { name, line } => {
                all.branches.insert(name.clone(), line.clone());
            }
            RefOperation::Delete { name } => {
                all.branches.remove(name);
            }
            RefOperation::CreateTag { name, tag } => {
                all.tags.insert(name.clone(), tag.clone());
            }
            RefOperation::DeleteTag { name, .. } => {
                all.tags.remove(name);
            }
            RefOperation::Fence { fence } => all.fence = Some(raised(all.fence.as_ref(), fence)),
        }
        all
    });
    Names {
        number: Some(entry.number),
        time: entry.time,
        all: Arc::new(all),
    }
}

/// A fence never takes back what an earlier one gave up.
fn raised(before: Option<&Fence>, fence: &Fence) -> Fence {
    let mut fence = fence.clone();
    for (branch, horizon) in before.iter().flat_map(|before| &before.horizons) {
        let now = fence.horizons.entry(branch.clone()).or_default();
        *now = (*now).max(*horizon);
    }
    fence
}
