//! One graph as one actor may see and change it.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use omnigraph_engine::blob::Blobs;
use omnigraph_engine::commit::ancestry::Ancestors;
use omnigraph_engine::diff::{self, TypeDiff};
use omnigraph_engine::feed::{Cursor, Step};
use omnigraph_engine::load::{self, LoadMode, LoadOptions, LoadSummary};
use omnigraph_engine::merge::{MergeConflict, MergeOptions, MergeSummary, OnConflict};
use omnigraph_engine::migrate::Migrated;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::refs::Base;
use omnigraph_engine::restrict;
use omnigraph_engine::schema::{RandomIds, Schema, SchemaChange, TypeId};
use omnigraph_engine::{
    BranchInfo, CommitInfo, CommitMessage, CommitOutcome, Error, Graph, Reference, Result,
    Snapshot, TagInfo, Transaction, TransactionOptions, VacuumOptions, VacuumReport,
};
use parking_lot::Mutex;

use super::databases::{Database, Published};
use super::{Action, Decided, Guard, Resource, Rules};
use crate::actor::Actor;
use crate::policy::{Decision, Part, Request};
use crate::stored::StoredQueries;

/// How many decisions one statement can have in the audit log.
const DECIDED: usize = 100;

/// One graph as one actor may see and change it. Cheap to clone; clones are of one session.
#[derive(Debug, Clone)]
pub struct GraphAccess {
    graph: Graph,
    name: Arc<str>,
    actor: Actor,
    guard: Guard,
    /// A cluster declares its schema.
    managed: bool,
    published: Published,
    /// Since somebody last asked.
    decided: Arc<Mutex<Vec<Decided>>>,
}

impl GraphAccess {
    /// A graph that no policy is about.
    pub fn new(graph: Graph, name: &str, actor: Actor) -> Self {
        GraphAccess {
            graph,
            name: name.into(),
            actor,
            guard: Guard::new(Rules::Everything, None),
            managed: false,
            published: Published::default(),
            decided: Arc::default(),
        }
    }

    pub(super) fn of(graph: Graph, name: &str, actor: Actor, database: &Database) -> Self {
        GraphAccess {
            guard: database.guard.clone(),
            managed: database.declared,
            published: database.published.clone(),
            ..GraphAccess::new(graph, name, actor)
        }
    }

    /// Is its schema declared in a cluster's files? Then it is changed there.
    pub fn is_managed(&self) -> bool {
        self.managed
    }

    /// What was decided since this was last asked; the same request once.
    pub fn take_decided(&self) -> Vec<Decided> {
        std::mem::take(&mut *self.decided.lock())
    }

    fn note(&self, action: Action, branch: Option<&str>, decision: &Decision) {
        let mut decided = self.decided.lock();
        let known = |one: &Decided| one.action == action && one.branch.as_deref() == branch;
        if decided.len() >= DECIDED || decided.iter().any(known) {
            return;
        }
        decided.push(Decided {
            action,
            branch: branch.map(str::to_owned),
            allowed: decision.is_allowed(),
            rules: decision.rules().to_vec(),
        });
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The graph's name: `current_database()`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Is the branch one that the policy protects?
    pub fn is_protected(&self, branch: &BranchName) -> bool {
        self.guard.is_protected(branch.as_str())
    }

    /// May the actor do this to all of the graph? With [`Self::check_part`] the one place where
    /// policy is asked. Who may do it to a part only, may not do what is not divided.
    pub fn check(&self, action: Action, resource: Resource<'_>) -> Result<()> {
        match self.check_part(action, resource)? {
            None => Ok(()),
            Some(_) => Err(self.denied(action, resource)),
        }
    }

    /// May the actor do this to all of the graph, `None`, or to a part? Whoever asks keeps to
    /// the part.
    pub fn check_part(&self, action: Action, resource: Resource<'_>) -> Result<Option<Arc<Part>>> {
        let decision = self.decide(action, resource);
        self.note(action, resource.branch(), &decision);
        match decision {
            Decision::Allowed(rules) => {
                tracing::trace!(actor = %self.actor, %action, ?resource, ?rules, "allowed");
                Ok(None)
            }
            Decision::Narrowed(rules, part) => {
                tracing::trace!(actor = %self.actor, %action, ?resource, ?rules, "allowed for a part");
                Ok(Some(part))
            }
            Decision::Denied => Err(self.denied(action, resource)),
        }
    }

    fn decide(&self, action: Action, resource: Resource<'_>) -> Decision {
        self.guard.decide(Request {
            actor: self.actor.as_str(),
            action,
            branch: resource.branch(),
        })
    }

    fn denied(&self, action: Action, resource: Resource<'_>) -> Error {
        let on = match resource {
            Resource::Graph => String::new(),
            Resource::Reference(reference) => format!(" on \"{reference}\""),
        };
        Error::Denied {
            actor: format!("\"{}\"", self.actor),
            action: action.to_string(),
            on: format!("{on} of graph \"{}\"", self.name),
        }
    }

    /// Refuses who sees a part of a branch only, for what would show or move the rest.
    fn refuse_part(&self, reference: &str) -> Result<()> {
        let resource = Resource::Reference(reference);
        match self.decide(Action::Read, resource) {
            Decision::Narrowed(..) => Err(self.denied(Action::Read, resource)),
            Decision::Allowed(_) | Decision::Denied => Ok(()),
        }
    }

    /// Refuses a state of which only a part is shown.
    pub fn refuse_restricted(&self, snapshot: &Snapshot) -> Result<()> {
        match snapshot.restriction() {
            Some(_) => {
                let branch = Resource::Reference(snapshot.branch().as_str());
                Err(self.denied(Action::Read, branch))
            }
            None => Ok(()),
        }
    }

    /// May rows leave the graph by the file? They are those that may be read, so a part must be
    /// the same for both.
    pub fn check_export(&self, branch: &str) -> Result<()> {
        let resource = Resource::Reference(branch);
        let exported = self.check_part(Action::Export, resource)?;
        match exported {
            Some(part) if self.read_part(resource).as_ref() != Some(&part) => {
                Err(self.denied(Action::Export, resource))
            }
            _ => Ok(()),
        }
    }

    /// The part that may be read; `None`: all, or nothing.
    fn read_part(&self, resource: Resource<'_>) -> Option<Arc<Part>> {
        match self.decide(Action::Read, resource) {
            Decision::Narrowed(_, part) => Some(part),
            Decision::Allowed(_) | Decision::Denied => None,
        }
    }

    /// Tells the part of a branch that the actor sees from other parts; empty: all of it.
    pub fn shown(&self, branch: &BranchName) -> String {
        let part = self.read_part(Resource::Reference(branch.as_str()));
        part.map_or_else(String::new, |part| part.digest())
    }

    /// A branch or tag that shows a state must not show more of it than is shown already.
    fn check_no_more(&self, from: &Snapshot, name: &BranchName) -> Result<()> {
        let from = Resource::Reference(from.branch().as_str());
        let Some(part) = self.check_part(Action::Read, from)? else {
            return Ok(());
        };
        match self.decide(Action::Read, Resource::Reference(name.as_str())) {
            Decision::Narrowed(_, own) if own == part => Ok(()),
            Decision::Denied => Ok(()),
            _ => Err(self.denied(Action::Read, from)),
        }
    }

    async fn restricted(&self, snapshot: Snapshot, part: Option<Arc<Part>>) -> Result<Snapshot> {
        match part {
            None => Ok(snapshot),
            Some(part) => {
                let restriction = self.guard.restriction(&part, snapshot.schema());
                snapshot.restricted(&restriction).boxed().await
            }
        }
    }

    /// The stored queries that the actor may call. To who may call none there are none.
    pub fn stored_queries(&self) -> Arc<StoredQueries> {
        let request = Request {
            actor: self.actor.as_str(),
            action: Action::InvokeQuery,
            branch: None,
        };
        match self.guard.decide(request).is_allowed() {
            true => self.published.now(),
            false => StoredQueries::none(),
        }
    }

    /// The state that a branch, commit or other reference names now.
    pub async fn snapshot(&self, reference: &str) -> Result<Snapshot> {
        self.snapshot_on(reference, &BranchName::main()).await
    }

    /// As [`Self::snapshot`]; a time is what `branch` showed then.
    pub async fn snapshot_on(&self, reference: &str, branch: &BranchName) -> Result<Snapshot> {
        let parsed = Reference::parse(reference)?;
        let read = match &parsed.base {
            Base::Name(name) | Base::Branch(name) => name.as_str(),
            Base::At(_) => branch.as_str(),
            Base::Tag(_) | Base::Commit(_) => reference,
        };
        let mut part = self.check_part(Action::Read, Resource::Reference(read))?;
        let snapshot = self.graph.snapshot_on(reference, branch).await?;
        if let Base::Name(name) = &parsed.base
            && snapshot.branch() != name
        {
            // A tag, which is on no branch.
            let commit = snapshot.commit().to_string();
            let resource = Resource::Reference(&commit);
            part = match (part, self.check_part(Action::Read, resource)?) {
                (Some(one), Some(other)) if one != other => {
                    return Err(self.denied(Action::Read, resource));
                }
                (one, other) => one.or(other),
            };
        }
        self.restricted(snapshot, part).await
    }

    /// A transaction on a branch, by this actor whatever the options say.
    pub async fn begin(
        &self,
        branch: &BranchName,
        options: TransactionOptions,
    ) -> Result<Transaction> {
        let resource = Resource::Reference(branch.as_str());
        let read = self.check_part(Action::Read, resource)?;
        let change = match self.decide(Action::Change, resource) {
            Decision::Narrowed(_, part) => Some(part),
            // Who may change nothing is refused before each write.
            Decision::Allowed(_) | Decision::Denied => None,
        };
        let options = TransactionOptions {
            actor: self.actor.to_string(),
            ..options
        };
        let mut transaction = self.graph.begin(branch, options).await?;
        let schema = Arc::clone(transaction.shown_schema());
        let restriction = |part: Arc<Part>| self.guard.restriction(&part, &schema);
        transaction.guard(restrict::Guard {
            read: read.map(restriction),
            change: change.map(restriction),
        });
        Ok(transaction)
    }

    pub async fn branches(&self) -> Result<Vec<BranchInfo>> {
        self.check_part(Action::Read, Resource::Graph)?;
        self.graph.branches().await
    }

    pub async fn create_branch(&self, name: &BranchName, from: &Snapshot) -> Result<BranchInfo> {
        self.check_no_more(from, name)?;
        self.check(Action::BranchCreate, Resource::Reference(name.as_str()))?;
        self.graph
            .create_branch_at(name, from, self.actor.as_str())
            .await
    }

    pub async fn delete_branch(&self, name: &BranchName, cascade: bool) -> Result<()> {
        self.check(Action::BranchDelete, Resource::Reference(name.as_str()))?;
        self.graph
            .delete_branch(name, cascade, self.actor.as_str())
            .await
    }

    /// Merges what `source` names into a branch.
    pub async fn merge(
        &self,
        source: &str,
        target: &BranchName,
        message: Option<String>,
        on_conflict: OnConflict,
        delete_source: bool,
    ) -> Result<MergeSummary> {
        self.check(Action::Read, Resource::Reference(source))?;
        self.check(Action::BranchMerge, Resource::Reference(target.as_str()))?;
        self.refuse_part(target.as_str())?;
        if delete_source {
            self.check(Action::BranchDelete, Resource::Reference(source))?;
        }
        let options = MergeOptions {
            actor: self.actor.to_string(),
            message: CommitMessage {
                message,
                ..CommitMessage::default()
            },
            on_conflict,
            delete_source,
        };
        self.graph.merge(source, target, options).boxed().await
    }

    /// What would keep `source` from being merged into `target` now.
    pub async fn merge_conflicts(&self, source: &str, target: &str) -> Result<Vec<MergeConflict>> {
        for reference in [source, target] {
            self.check(Action::Read, Resource::Reference(reference))?;
        }
        self.graph.merge_conflicts(source, target).boxed().await
    }

    /// The steps from a state's schema to another one.
    pub fn plan_migration(&self, before: &Snapshot, source: &str) -> Result<Vec<SchemaChange>> {
        let branch = Resource::Reference(before.branch().as_str());
        self.check(Action::SchemaApply, branch)?;
        self.refuse_part(before.branch().as_str())?;
        let (_, steps) = before.schema().evolve(source, &mut RandomIds)?;
        Ok(steps)
    }

    /// Gives a branch another schema, in one commit.
    pub async fn migrate(&self, branch: &BranchName, source: &str) -> Result<Migrated> {
        self.check(Action::SchemaApply, Resource::Reference(branch.as_str()))?;
        self.refuse_part(branch.as_str())?;
        self.graph
            .migrate(branch, source, self.actor.as_str(), None)
            .await
    }

    /// The same for a text that was made of another schema, which the branch must still have.
    pub async fn migrate_over(
        &self,
        branch: &BranchName,
        made_of: &Schema,
        source: &str,
        message: Option<String>,
    ) -> Result<Migrated> {
        self.check(Action::SchemaApply, Resource::Reference(branch.as_str()))?;
        self.refuse_part(branch.as_str())?;
        self.graph
            .migrate_over(branch, Some(made_of), source, self.actor.as_str(), message)
            .await
    }

    /// Two states as they are best compared.
    pub async fn comparable(&self, from: Snapshot, to: Snapshot) -> Result<(Snapshot, Snapshot)> {
        for state in [&from, &to] {
            self.check_part(Action::Read, Resource::Reference(state.branch().as_str()))?;
        }
        self.graph.comparable(from, to).boxed().await
    }

    /// What differs between two states in one type, a page at a time.
    pub fn diff(
        &self,
        from: &Snapshot,
        to: &Snapshot,
        of: TypeId,
    ) -> Result<BoxStream<'static, Result<TypeDiff>>> {
        for state in [from, to] {
            self.check_part(Action::Read, Resource::Reference(state.branch().as_str()))?;
        }
        Ok(diff::diff(from, to, of))
    }

    /// Loads a graph's rows from lines of JSON, in one commit.
    pub async fn load(
        &self,
        branch: &BranchName,
        mode: LoadMode,
        input: impl std::io::Read + Send + 'static,
        message: CommitMessage,
    ) -> Result<LoadSummary> {
        self.check(Action::Change, Resource::Reference(branch.as_str()))?;
        let options = LoadOptions {
            actor: self.actor.to_string(),
            message,
            progress: None,
        };
        load::load(&self.graph, branch, mode, input, options).await
    }

    /// The blobs that rows of the graph refer to. Whoever was given a reference could read the
    /// row.
    pub fn blobs(&self) -> &Arc<Blobs> {
        self.graph.blobs()
    }

    /// What became of a commit whose writer was not told.
    pub async fn commit_outcome(&self, id: CommitId) -> Result<CommitOutcome> {
        self.check_part(Action::Read, Resource::Reference(&id.to_string()))?;
        self.graph.commit_outcome(id).await
    }

    /// The commits that led to a state, newest first.
    pub async fn commits(
        &self,
        snapshot: &Snapshot,
        which: Ancestors,
    ) -> Result<BoxStream<'static, Result<CommitInfo>>> {
        self.check_part(
            Action::Read,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        self.graph.history(snapshot, which).await
    }

    /// How many commits a state has that another one lacks, and the other way round.
    pub async fn compare(&self, left: &Snapshot, right: &Snapshot) -> Result<(u64, u64)> {
        for state in [left, right] {
            self.check_part(Action::Read, Resource::Reference(state.branch().as_str()))?;
        }
        self.graph.compare(left, right).await
    }

    /// The steps of a state's branch since a cursor or commit.
    pub async fn changes(
        &self,
        snapshot: &Snapshot,
        since: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Step>>> {
        let part = self.check_part(
            Action::Read,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        let steps = self.graph.changes(snapshot, since).await?;
        let Some(part) = part else {
            return Ok(steps);
        };
        let access = self.clone();
        let shown = steps.and_then(move |step| {
            let (access, part) = (access.clone(), Arc::clone(&part));
            async move {
                Ok(Step {
                    before: access
                        .restricted(step.before, Some(Arc::clone(&part)))
                        .await?,
                    after: access.restricted(step.after, Some(part)).await?,
                    ..step
                })
            }
        });
        Ok(shown.boxed())
    }

    /// Where the changes of a state's branch go on from it.
    pub async fn cursor(&self, snapshot: &Snapshot) -> Result<Cursor> {
        self.check_part(
            Action::Read,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        self.graph.cursor(snapshot).await
    }

    pub async fn tags(&self) -> Result<Vec<TagInfo>> {
        self.check_part(Action::Read, Resource::Graph)?;
        self.graph.tags().await
    }

    pub async fn create_tag(
        &self,
        name: &BranchName,
        at: &Snapshot,
        message: Option<String>,
    ) -> Result<TagInfo> {
        self.check_no_more(at, name)?;
        self.check(Action::BranchCreate, Resource::Reference(name.as_str()))?;
        self.graph
            .create_tag(name, at, message, self.actor.as_str())
            .await
    }

    pub async fn delete_tag(&self, name: &BranchName) -> Result<TagInfo> {
        self.check(Action::BranchDelete, Resource::Reference(name.as_str()))?;
        self.graph.delete_tag(name, self.actor.as_str()).await
    }

    /// Rewrites what wastes space and removes what nothing needs.
    pub async fn vacuum(&self, options: VacuumOptions) -> Result<VacuumReport> {
        self.check(Action::Admin, Resource::Graph)?;
        let actor = self.actor.to_string();
        self.graph.vacuum(VacuumOptions { actor, ..options }).await
    }

    /// Takes back what one commit did, in a commit on `branch`.
    pub async fn revert(
        &self,
        branch: &BranchName,
        commit: CommitId,
    ) -> Result<Option<CommitInfo>> {
        self.check(Action::Change, Resource::Reference(branch.as_str()))?;
        self.refuse_part(branch.as_str())?;
        self.graph.revert(branch, commit, self.actor.as_str()).await
    }

    /// Makes a branch show another state.
    pub async fn reset_branch(&self, branch: &BranchName, to: &Snapshot) -> Result<Snapshot> {
        self.check(Action::Read, Resource::Reference(to.branch().as_str()))?;
        self.check(Action::BranchMerge, Resource::Reference(branch.as_str()))?;
        self.graph
            .reset_branch(branch, to, self.actor.as_str())
            .await
    }
}
