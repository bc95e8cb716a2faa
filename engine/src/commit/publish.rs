//! The one path by which anything is published: a queue for each branch of a process, whose
//! head is published by whoever comes first, as one log entry for all that wait.
//!
//! Members of a group keep their own commit, author, parents and table versions; the order of
//! members is the order of commits, and every rule holds between them as between entries. A
//! member that fails is taken out and those after it are prepared again; it never fails its
//! neighbours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::CommitInfo;
use super::between::Between;
use super::log::{BranchLog, Published};
use super::proposal::Proposal;
use super::rebase::{self, Place, Prepared};
use super::repeat::{self, Made};
use super::turn::Turn;
use crate::clock;
use crate::error::{Error, Result};
use crate::format::{self, BranchState, CommitPointer, EntryKind, LogEntry, TableLine};
use crate::graph::GraphShared;
use crate::maintain::{background, vacuum};
use crate::names::BranchName;
use crate::snapshot::SnapshotState;
use crate::storage::layout;

/// Commits in one log entry.
const GROUP: usize = 64;
/// Bytes of an entry with several commits.
const ENTRY_BYTES: usize = 256 << 10;
/// Ids of rows that the commits of one entry may list in it, in bytes.
const LISTED_BYTES: usize = 192 << 10;
/// How long a commit that nobody conflicts with keeps trying to win the next slot.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// A branch, as all its users in this process share it.
#[derive(Debug)]
pub(crate) struct BranchShared {
    pub name: BranchName,
    pub ordinal: u64,
    pub log: BranchLog,
    pub graph: Arc<GraphShared>,
    pub head_state: Mutex<Option<Arc<SnapshotState>>>,
    queue: Mutex<VecDeque<Waiting>>,
    publishing: tokio::sync::Mutex<()>,
    /// The entry by which this process asked to go first, if it did.
    pub asked: AtomicU64,
    /// Whether its tables are being looked after.
    pub maintained: AtomicBool,
}

struct Waiting {
    proposal: Proposal,
    reply: oneshot::Sender<Result<CommitInfo>>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl BranchShared {
    pub fn new(
        name: BranchName,
        ordinal: u64,
        log: BranchLog,
        graph: Arc<GraphShared>,
    ) -> Arc<Self> {
        Arc::new(BranchShared {
            name,
            ordinal,
            log,
            graph,
            head_state: Mutex::new(None),
            queue: Mutex::default(),
            publishing: tokio::sync::Mutex::new(()),
            asked: AtomicU64::new(0),
            maintained: AtomicBool::new(false),
        })
    }

    /// The newest state, as the store has it now.
    pub async fn head_state(self: &Arc<Self>) -> Result<Arc<SnapshotState>> {
        let entry = self.log.head().await?;
        self.state_of(&entry).await
    }

    /// A turn to publish, after whoever waits for one in this process.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.publishing.lock().await
    }

    /// The newest state that this process knows of.
    pub async fn known_state(self: &Arc<Self>) -> Result<Arc<SnapshotState>> {
        match self.log.known_head() {
            Some(entry) => self.state_of(&entry).await,
            None => self.head_state().await,
        }
    }

    async fn state_of(self: &Arc<Self>, entry: &Arc<LogEntry>) -> Result<Arc<SnapshotState>> {
        if let Some(state) = &*self.head_state.lock()
            && state.seq == entry.seq
        {
            return Ok(state.clone());
        }
        let Some(state) = &entry.state else {
            return Err(Error::BranchDeleted {
                name: self.name.to_string(),
            });
        };
        let state = self.graph.state(self, state, entry.seq, entry.time).await?;
        self.keep(&state);
        Ok(state)
    }

    fn keep(&self, state: &Arc<SnapshotState>) {
        let mut kept = self.head_state.lock();
        if kept.as_ref().is_none_or(|kept| kept.seq < state.seq) {
            *kept = Some(state.clone());
        }
    }

    /// Publishes a proposal, together with whatever else waits. What was submitted is
    /// carried through even if the caller goes away.
    pub async fn submit(self: &Arc<Self>, proposal: Proposal) -> Result<CommitInfo> {
        let id = proposal.id;
        let (reply, answer) = oneshot::channel();
        self.queue.lock().push_back(Waiting { proposal, reply });
        let branch = self.clone();
        tokio::spawn(async move { branch.publish_waiting().await });
        answer.await.unwrap_or_else(|_| {
            Err(Error::OutcomeUnknown {
                commit: id.to_string(),
            })
        })
    }

    async fn publish_waiting(self: Arc<Self>) {
        let _turn = self.publishing.lock().await;
        loop {
            let mut group = Vec::new();
            self.join_waiting(&mut group);
            if group.is_empty() {
                return;
            }
            self.publish_group(group).await;
        }
    }

    async fn publish_group(self: &Arc<Self>, mut group: Vec<Waiting>) {
        let environment = &self.graph.environment;
        let give_up = environment.stopwatch() + LOCK_TIMEOUT;
        let mut turn = Turn::new();
        loop {
            let start = match turn.begin(self).await {
                Ok(start) => start,
                Err(error) => return fail(group, &error),
            };
            self.join_waiting(&mut group);
            let (waiting, prepared) = self.prepare_group(group, &start).await;
            group = waiting;
            let durable = join_all(
                prepared
                    .iter()
                    .map(|one| self.make_durable(one, start.seq + 1, turn.is_retry())),
            )
            .await;
            if durable.iter().any(Result::is_err) {
                // Those after one that failed stood on it: they are prepared again.
                group = answer_failed(group, durable);
                continue;
            }
            if group.is_empty() {
                return;
            }
            match self.publish_prepared(&start, &group, &prepared).await {
                Ok(Published::Ours(entry)) => {
                    let written = prepared.iter().flat_map(|one| &one.written);
                    let due = written
                        .into_iter()
                        .any(|(table, _)| background::is_due(table));
                    self.answer(group, prepared, &entry);
                    if due {
                        background::look_after(self);
                    }
                    return;
                }
                Ok(Published::Theirs(_)) if environment.stopwatch() >= give_up => {
                    return fail(group, &lock_timeout(&self.name));
                }
                Ok(Published::Theirs(entry)) if entry.state.is_none() => {
                    return fail(
                        group,
                        &Error::BranchDeleted {
                            name: self.name.to_string(),
                        },
                    );
                }
                Ok(Published::Theirs(entry)) => {
                    if let Err(error) = turn.lost(self, &entry).await {
                        return fail(group, &error);
                    }
                }
                Err(Error::OutcomeUnknown { .. }) => {
                    for waiting in group {
                        let commit = waiting.proposal.id.to_string();
                        let _ = waiting.reply.send(Err(Error::OutcomeUnknown { commit }));
                    }
                    return;
                }
                Err(error) => return fail(group, &error),
            }
        }
    }

    /// Whoever came to wait in the meantime is taken along.
    fn join_waiting(&self, group: &mut Vec<Waiting>) {
        let mut queue = self.queue.lock();
        let room = GROUP.saturating_sub(group.len()).min(queue.len());
        group.extend(queue.drain(..room));
    }

    /// Prepares the members one on top of the other, in memory. Those that fail are answered
    /// and left out; those that find no room in the entry wait for the next one.
    async fn prepare_group(
        self: &Arc<Self>,
        group: Vec<Waiting>,
        start: &Arc<SnapshotState>,
    ) -> (Vec<Waiting>, Vec<Prepared>) {
        let seq = start.seq + 1;
        let time = self.graph.environment.now().max(start.time + 1);
        let mut state = start.clone();
        let mut generation = start.generation;
        let mut kept = Vec::with_capacity(group.len());
        let mut prepared: Vec<Prepared> = Vec::with_capacity(group.len());
        let mut room = LISTED_BYTES;
        let alone = group.len() == 1;
        let mut bytes = if alone { 0 } else { bytes_of(&describe(start)) };
        let mut group = VecDeque::from(group);
        while let Some(waiting) = group.pop_front() {
            let proposal = &waiting.proposal;
            match repeat::look(self, proposal, start, &prepared).await {
                Ok(Made::No) => {}
                Ok(Made::Before(info)) => {
                    let _ = waiting.reply.send(Ok(*info));
                    continue;
                }
                Ok(Made::Together) => {
                    // When the group is through, its commit is found.
                    self.queue.lock().push_back(waiting);
                    continue;
                }
                Err(error) => {
                    let _ = waiting.reply.send(Err(error));
                    continue;
                }
            }
            let place = Place {
                generation: generation + 1,
                seq,
                time,
            };
            let between = Between {
                branch: self,
                proposal,
                start,
                group: &prepared,
            };
            let next = rebase::prepare(proposal, &state, &between, place, &mut room);
            match next.await {
                Ok(next) => {
                    bytes += if alone { 0 } else { bytes_of(&next.commit) };
                    if bytes > ENTRY_BYTES && !kept.is_empty() {
                        group.push_front(waiting);
                        break;
                    }
                    state = next.state.clone();
                    generation = next.commit.generation;
                    kept.push(waiting);
                    prepared.push(next);
                }
                Err(error) => {
                    let _ = waiting.reply.send(Err(error));
                }
            }
        }
        let mut queue = self.queue.lock();
        for waiting in group.into_iter().rev() {
            queue.push_front(waiting);
        }
        (kept, prepared)
    }

    /// How many wait to be published.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.queue.lock().len()
    }

    /// Writes what goes with a commit, all side by side, and waits for it.
    async fn make_durable(&self, prepared: &Prepared, seq: u64, retry: bool) -> Result<()> {
        let store = &self.graph.store;
        let id = prepared.commit.id;
        let pointer = format::encode(&CommitPointer {
            branch: self.log.branch_id.clone(),
            seq,
            restated: None,
        })?;
        let pointer_key = layout::commit(id);
        let key = async {
            let Some(key) = &prepared.commit.idempotency_key else {
                return Ok(());
            };
            let at = layout::key(&self.log.branch_id, &prepared.commit.actor, key);
            store.write(&at, pointer.clone()).await
        };
        let wanted = async {
            match retry {
                true => self.graph.check_wanted(id).await,
                false => Ok(()),
            }
        };
        let pointer = store.write(&pointer_key, pointer.clone());
        let listed = async {
            if prepared.listed.is_empty() {
                return Ok(());
            }
            let ids = format::encode(&prepared.listed)?;
            store.write(&layout::changes(id), ids).await
        };
        let tables = futures::future::try_join_all(
            prepared
                .written
                .iter()
                .map(|(next, before)| next.settle(before.as_ref())),
        );
        let (pointer, key, wanted, listed, tables) =
            tokio::join!(pointer, key, wanted, listed, tables);
        pointer?;
        key?;
        wanted?;
        listed?;
        tables?;
        if prepared.crossed_fence {
            vacuum::check_files(&self.graph, &self.name, &prepared.written).await?;
        }
        Ok(())
    }

    async fn publish_prepared(
        &self,
        start: &SnapshotState,
        group: &[Waiting],
        prepared: &[Prepared],
    ) -> Result<Published> {
        let Some(last) = prepared.last() else {
            return Err(Error::internal("a group without members was published"));
        };
        self.graph.prove_writable().await?;
        let entry = LogEntry {
            seq: start.seq + 1,
            nonce: clock::unique(&*self.graph.environment),
            time: last.state.time,
            actor: group
                .first()
                .map(|waiting| waiting.proposal.actor.clone())
                .unwrap_or_default(),
            kind: EntryKind::Commits {
                commits: prepared.iter().map(|one| one.commit.clone()).collect(),
            },
            state: Some(describe(&last.state)),
            expired: false,
        };
        self.log.publish(entry).await
    }

    fn answer(&self, group: Vec<Waiting>, prepared: Vec<Prepared>, entry: &LogEntry) {
        if let Some(last) = prepared.last() {
            self.keep(&last.state);
        }
        for (waiting, one) in group.into_iter().zip(prepared) {
            let info = CommitInfo::new(&one.commit, entry.seq, self.name.to_string());
            let _ = waiting.reply.send(Ok(info));
        }
    }
}

/// The state as a log entry says it.
pub(crate) fn describe(state: &SnapshotState) -> BranchState {
    BranchState {
        head: state.commit,
        generation: state.generation,
        lineage: state.lineage.clone(),
        schema: state.schema.digest().to_owned(),
        tables: state
            .tables
            .iter()
            .map(|(id, table)| {
                let shape = state
                    .schema
                    .by_id(*id)
                    .map(|def| def.shape_digest().to_string())
                    .unwrap_or_default();
                (
                    *id,
                    TableLine {
                        location: table.location().clone(),
                        shape,
                        changed_by: table.changed_by(),
                    },
                )
            })
            .collect(),
        locked_at: state.locked_at,
    }
}

/// Bytes of something in a log entry.
fn bytes_of(part: &impl serde::Serialize) -> usize {
    // What cannot be written is found out when the entry is.
    serde_json::to_vec(part).map_or(0, |bytes| bytes.len())
}

/// Answers the members that failed; the others are left.
fn answer_failed(group: Vec<Waiting>, outcomes: Vec<Result<()>>) -> Vec<Waiting> {
    let mut left = Vec::with_capacity(group.len());
    for (waiting, outcome) in group.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => left.push(waiting),
            Err(error) => {
                let _ = waiting.reply.send(Err(error));
            }
        }
    }
    left
}

fn fail(group: Vec<Waiting>, error: &Error) {
    for waiting in group {
        let _ = waiting.reply.send(Err(error.clone()));
    }
}

fn lock_timeout(branch: &BranchName) -> Error {
    Error::Conflict {
        table: String::new(),
        id: String::new(),
        branch: branch.to_string(),
        expected: "a turn to publish".to_owned(),
        actual: format!("other writers won for {} s", LOCK_TIMEOUT.as_secs()),
    }
}
