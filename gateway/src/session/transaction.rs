//! The transaction a session is in: none, one that is open, or one that has failed.
//!
//! Each state holds what only that moment needs. An open transaction has one engine
//! transaction for every branch it has read or written, begun at first use: that fixes the
//! branch's commit for the rest of the transaction, and makes its own writes visible to it.
//! At most one of them is written to, and it alone is published.

use std::collections::HashMap;
use std::sync::Arc;

use omnigraph_catalog::access::GraphAccess;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::schema::Schema;
use omnigraph_engine::{
    CommitInfo, CommitMessage, Error, Savepoint, Snapshot, Transaction, TransactionOptions,
};
use tokio::task::JoinHandle;

use super::protocol::TransactionStatus;
use super::settings::Mark;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

#[derive(Debug)]
pub enum State {
    Idle,
    Open(Box<Open>),
    Failed(Box<Failed>),
}

/// What BEGIN and SET TRANSACTION say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Modes {
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    pub fn name(self) -> &'static str {
        match self {
            Isolation::ReadUncommitted => "read uncommitted",
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
            Isolation::Serializable => "serializable",
        }
    }
}

/// A transaction that can go on.
#[derive(Debug)]
pub struct Open {
    /// Begun by BEGIN; otherwise it ends with the query string or at Sync.
    pub block: bool,
    pub read_only: bool,
    /// What it reads must stand unchanged when it commits.
    pub serializable: bool,
    /// Has a statement read or written anything? Then its modes are fixed.
    pub used: bool,
    /// What `now()` says in it, in microseconds since 1970.
    pub started_at: i64,
    /// It begins from what this process knows of a branch, without asking the store.
    optimistic: bool,
    branches: HashMap<BranchName, Begun>,
    written: Option<BranchName>,
    /// Earlier states, by branch and the reference that named them.
    past: HashMap<(BranchName, String), Snapshot>,
    savepoints: Vec<SavepointMark>,
    /// What to go back to.
    start: Outside,
}

/// A branch's engine transaction, and its state before anything was written.
#[derive(Debug)]
struct Begun {
    transaction: Transaction,
    start: Savepoint,
}

/// One savepoint: how everything was.
#[derive(Debug)]
struct SavepointMark {
    name: String,
    outside: Outside,
    /// `None`: the branch had not been used, or nothing was written.
    engine: Option<(BranchName, Savepoint)>,
    written: Option<BranchName>,
}

/// What a session keeps beside its transaction and takes back with it.
#[derive(Debug, Clone)]
pub struct Outside {
    pub settings: Mark,
    /// How many LISTENs and NOTIFYs were waiting for the commit.
    pub pending: usize,
    /// How many cursors had ever been declared.
    pub cursors: u64,
}

/// A block in which a statement has failed: only its end, or a savepoint, leads out of it.
#[derive(Debug)]
pub struct Failed {
    open: Open,
}

/// How many savepoints a transaction may have at once.
const SAVEPOINTS: usize = 10_000;
/// How many branches one transaction may look at.
const BRANCHES: usize = 1_000;

impl State {
    pub fn status(&self) -> TransactionStatus {
        match self {
            State::Idle => TransactionStatus::Idle,
            State::Open(open) if open.block => TransactionStatus::Open,
            // An implicit transaction shows as none: it ends before the client is asked again.
            State::Open(_) => TransactionStatus::Idle,
            State::Failed(_) => TransactionStatus::Failed,
        }
    }

    pub fn in_block(&self) -> bool {
        matches!(self, State::Open(open) if open.block) || matches!(self, State::Failed(_))
    }

    /// 25P02 for everything but the end of a failed block.
    pub fn refuse_failed(&self) -> PgResult<()> {
        match self {
            State::Failed(_) => Err(PgError::new(
                sqlstate::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            )),
            State::Idle | State::Open(_) => Ok(()),
        }
    }
}

impl Open {
    pub fn new(block: bool, read_only: bool, start: Outside) -> Self {
        Open {
            block,
            read_only,
            serializable: false,
            used: false,
            started_at: super::shared::now(),
            optimistic: false,
            branches: HashMap::new(),
            written: None,
            past: HashMap::new(),
            savepoints: Vec::new(),
            start,
        }
    }

    /// For a statement that is a transaction of its own: its publication proves that what it
    /// read was the newest, and [`Open::is_current`] does where nothing is published.
    pub fn optimistic(mut self) -> Self {
        self.optimistic = true;
        self
    }

    /// Is every branch that was looked at still at the commit that was seen?
    pub async fn is_current(&self) -> PgResult<bool> {
        if !self.optimistic {
            return Ok(true);
        }
        for begun in self.branches.values() {
            if !begun.transaction.is_current().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the transaction sees of a branch: one commit from its first use, and its own writes.
    pub async fn snapshot(
        &mut self,
        access: &GraphAccess,
        branch: &BranchName,
    ) -> PgResult<Snapshot> {
        Ok(self.branch(access, branch).await?.shown().await?)
    }

    /// An earlier state, resolved once and kept.
    pub async fn past(
        &mut self,
        access: &GraphAccess,
        branch: &BranchName,
        reference: &str,
    ) -> PgResult<Snapshot> {
        self.used = true;
        let key = (branch.clone(), reference.to_owned());
        if let Some(snapshot) = self.past.get(&key) {
            return Ok(snapshot.clone());
        }
        self.make_room()?;
        let snapshot = access.snapshot_on(reference, branch).await?;
        self.past.insert(key, snapshot.clone());
        Ok(snapshot)
    }

    /// The engine transaction to write a branch with. The first write decides which branch the
    /// transaction writes.
    pub async fn writer(
        &mut self,
        access: &GraphAccess,
        branch: &BranchName,
    ) -> PgResult<&mut Transaction> {
        if self.read_only {
            return Err(read_only());
        }
        if let Some(written) = &self.written
            && written != branch
        {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("this transaction writes branch \"{written}\" and cannot also write \"{branch}\""),
            )
            .hint("Commit first; a transaction writes one branch and may read any number."));
        }
        self.written = Some(branch.clone());
        self.branch(access, branch).await
    }

    async fn branch(
        &mut self,
        access: &GraphAccess,
        branch: &BranchName,
    ) -> PgResult<&mut Transaction> {
        self.used = true;
        if !self.branches.contains_key(branch) {
            self.make_room()?;
            self.refuse_second(branch)?;
            let options = TransactionOptions {
                optimistic: self.optimistic,
                serializable: self.serializable,
                ..TransactionOptions::default()
            };
            let transaction = access.begin(branch, options).await?;
            let start = transaction.savepoint();
            self.branches
                .insert(branch.clone(), Begun { transaction, start });
        }
        self.branches
            .get_mut(branch)
            .map(|begun| &mut begun.transaction)
            .ok_or_else(|| {
                PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    "a branch of the transaction is missing",
                )
            })
    }

    /// Only what is read of the written branch can be validated.
    fn refuse_second(&self, branch: &BranchName) -> PgResult<()> {
        match self.branches.keys().next() {
            Some(first) if self.serializable => Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("this serializable transaction has used branch \"{first}\" and cannot also use \"{branch}\""),
            )
            .hint("Use REPEATABLE READ to look at several branches at once.")),
            _ => Ok(()),
        }
    }

    fn make_room(&self) -> PgResult<()> {
        if self.branches.len() + self.past.len() < BRANCHES {
            return Ok(());
        }
        Err(PgError::new(
            sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
            format!("a transaction may look at {BRANCHES} branches and states"),
        ))
    }

    /// The commit that statements on this branch read, if the transaction has begun there.
    pub fn base(&self, branch: &BranchName) -> Option<CommitId> {
        self.branches
            .get(branch)
            .map(|begun| begun.transaction.base_commit())
    }

    /// The branches it has begun on, with their schemas.
    pub fn schemas(&self) -> Vec<(BranchName, u64, Arc<Schema>)> {
        self.branches
            .iter()
            .map(|(branch, begun)| {
                let transaction = &begun.transaction;
                (
                    branch.clone(),
                    transaction.branch_ordinal(),
                    Arc::clone(transaction.shown_schema()),
                )
            })
            .collect()
    }

    /// How many branches and states it has looked at.
    pub fn looked_at(&self) -> usize {
        self.branches.len() + self.past.len()
    }

    pub fn written(&self) -> Option<&BranchName> {
        self.written.as_ref()
    }

    /// Has anything been changed that a commit would publish?
    pub fn has_changes(&self) -> bool {
        self.written
            .as_ref()
            .and_then(|branch| self.branches.get(branch))
            .is_some_and(|begun| !begun.transaction.is_empty())
    }

    pub fn set_savepoint(&mut self, name: &str, outside: Outside) -> PgResult<()> {
        if self.savepoints.len() >= SAVEPOINTS {
            return Err(PgError::new(
                sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                format!("a transaction may have at most {SAVEPOINTS} savepoints"),
            ));
        }
        let engine = self.written.as_ref().and_then(|branch| {
            let begun = self.branches.get(branch)?;
            Some((branch.clone(), begun.transaction.savepoint()))
        });
        self.savepoints.push(SavepointMark {
            name: name.to_owned(),
            outside,
            engine,
            written: self.written.clone(),
        });
        Ok(())
    }

    /// Forgets a savepoint and those made after it; what was done since stays.
    pub fn release(&mut self, name: &str) -> PgResult<()> {
        let at = self.find(name)?;
        self.savepoints.truncate(at);
        Ok(())
    }

    /// Goes back to a savepoint, which stays; gives what the session has to go back to.
    pub fn rollback_to(&mut self, name: &str) -> PgResult<Outside> {
        let at = self.find(name)?;
        self.savepoints.truncate(at + 1);
        let mark = &self.savepoints[at];
        match &mark.engine {
            Some((branch, savepoint)) => {
                if let Some(begun) = self.branches.get_mut(branch) {
                    begun.transaction.rollback_to(savepoint);
                }
            }
            // Nothing had been written then: writing begins anew, from the same commit.
            None => {
                if let Some(branch) = &self.written
                    && let Some(begun) = self.branches.get_mut(branch)
                {
                    begun.transaction.rollback_to(&begun.start);
                }
            }
        }
        self.written = mark.written.clone();
        Ok(mark.outside.clone())
    }

    fn find(&self, name: &str) -> PgResult<usize> {
        self.savepoints
            .iter()
            .rposition(|mark| mark.name == name)
            .ok_or_else(|| {
                PgError::new(
                    sqlstate::INVALID_SAVEPOINT_SPECIFICATION,
                    format!("savepoint \"{name}\" does not exist"),
                )
            })
    }

    pub fn start(&self) -> &Outside {
        &self.start
    }

    /// Publishes what was written, on a task of its own: once begun it is not torn by a client
    /// that leaves. `None` when there is nothing to publish.
    pub fn publish(mut self, message: CommitMessage) -> Option<Publication> {
        if !self.has_changes() && message.idempotency_key.is_none() {
            return None;
        }
        let begun = self
            .written
            .as_ref()
            .and_then(|branch| self.branches.remove(branch))?;
        Some(Publication::start(begun.transaction, message))
    }

    pub fn fail(self) -> Failed {
        Failed { open: self }
    }
}

impl Failed {
    /// ROLLBACK TO SAVEPOINT leads back into the transaction.
    pub fn rollback_to(
        mut self: Box<Self>,
        name: &str,
    ) -> Result<(Box<Open>, Outside), (Box<Failed>, PgError)> {
        match self.open.rollback_to(name) {
            Ok(outside) => Ok((Box::new(self.open), outside)),
            Err(error) => Err((self, error)),
        }
    }

    pub fn start(&self) -> &Outside {
        &self.open.start
    }
}

/// A commit on its way. Awaiting it may be given up; the commit goes on and can be awaited
/// again.
#[derive(Debug)]
pub struct Publication {
    task: JoinHandle<Result<Option<CommitInfo>, Error>>,
}

impl Publication {
    fn start(transaction: Transaction, message: CommitMessage) -> Self {
        Publication {
            task: tokio::spawn(async move { transaction.commit(message).await }),
        }
    }

    /// Cancel-safe.
    pub async fn outcome(&mut self) -> Result<Option<CommitInfo>, Error> {
        match (&mut self.task).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::internal(format!(
                "the committing task ended early: {error}"
            ))),
        }
    }
}

pub fn read_only() -> PgError {
    PgError::new(
        sqlstate::READ_ONLY_SQL_TRANSACTION,
        "cannot execute a writing statement in a read-only transaction",
    )
}
