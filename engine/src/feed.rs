//! The change feed: what each step of a branch changed, in order and without gaps.
//!
//! A step is a commit, or an entry by which the branch came to show another state (its fork,
//! a reset, a forward): the feed gives the states before and after, so that whoever applies
//! the differences has what the branch has. Entries that change no row are passed over.
//!
//! A [`Cursor`] says how far a consumer has come. It is plain text, holds for this graph and
//! this branch and no other of the same name, and stays good for as long as the states after
//! it are kept: beyond that reading from it is an error, never a gap.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};

use crate::commit::history::{Point, commits_of};
use crate::commit::resolve::junction_of;
use crate::error::{Error, Result};
use crate::format::LogEntry;
use crate::graph::Graph;
use crate::names::CommitId;
use crate::refs::Reference;
use crate::snapshot::{Snapshot, SnapshotState};

/// How far a consumer of a branch's changes has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    graph: String,
    branch: String,
    seq: u64,
    /// Steps of the entry that were taken.
    taken: usize,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}",
            self.graph, self.branch, self.seq, self.taken
        )
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Cursor> {
        let parts: Vec<&str> = text.split('.').collect();
        let [graph, branch, seq, taken] = parts.as_slice() else {
            return None;
        };
        CommitId::parse(graph).ok()?;
        CommitId::parse(branch).ok()?;
        Some(Cursor {
            graph: (*graph).to_owned(),
            branch: (*branch).to_owned(),
            seq: seq.parse().ok()?,
            taken: taken.parse().ok()?,
        })
    }
}

/// One step of a branch: the states between which it lies.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where to go on once the step was dealt with.
    pub cursor: Cursor,
    /// The head after it.
    pub commit: CommitId,
    pub seq: u64,
    pub branch: String,
    pub actor: String,
    /// When it was published, in microseconds since 1970.
    pub created_at: i64,
    pub before: Snapshot,
    pub after: Snapshot,
}

impl Graph {
    /// Where the feed of a branch goes on from what a snapshot shows.
    pub async fn cursor(&self, snapshot: &Snapshot) -> Result<Cursor> {
        let point = self.shared.point_of(&snapshot.state).await?;
        Ok(self.cursor_at(&point, taken(&point)))
    }

    fn cursor_at(&self, point: &Point, taken: usize) -> Cursor {
        Cursor {
            graph: self.id().to_owned(),
            branch: point.branch_id.clone(),
            seq: point.entry.seq,
            taken,
        }
    }

    /// The steps of a branch after `since`, up to what the snapshot shows. `since` is a cursor
    /// or a reference to a commit of the branch; without it the first step brings everything
    /// that the branch began with.
    pub async fn changes(
        &self,
        snapshot: &Snapshot,
        since: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Step>>> {
        let end = self.cursor(snapshot).await?;
        let start = self.start(snapshot, &end, since).await?;
        let feed = Feed {
            graph: self.clone(),
            snapshot: snapshot.clone(),
            at: start,
            end,
            before: None,
        };
        Ok(futures::stream::unfold(feed, |mut feed| async move {
            let step = feed.next().await.transpose()?;
            Some((step, feed))
        })
        .boxed())
    }

    async fn start(
        &self,
        snapshot: &Snapshot,
        end: &Cursor,
        since: Option<&str>,
    ) -> Result<Cursor> {
        let Some(since) = since else {
            return Ok(Cursor {
                seq: 0,
                taken: 0,
                ..end.clone()
            });
        };
        if let Some(cursor) = Cursor::parse(since) {
            self.check(snapshot, &cursor, end)?;
            return Ok(cursor);
        }
        let reference = Reference::parse(since)?;
        let found = self
            .shared
            .snapshot_of(&reference, snapshot.branch())
            .await?;
        let point = self.shared.point_of(&found.state).await?;
        if point.branch_id == end.branch {
            return Ok(self.cursor_at(&point, taken(&point)));
        }
        let first = self.shared.logs.existing(&end.branch, 0).await?;
        match junction_of(&first) {
            Some(junction) if junction.from.commit == point.commit => Ok(Cursor {
                seq: 0,
                taken: 1,
                ..end.clone()
            }),
            _ => Err(Error::Invalid {
                message: format!(
                    "\"{since}\" was not published on branch \"{}\"",
                    snapshot.branch()
                ),
                detail: None,
                hint: Some(
                    "Give a cursor, or a commit that the branch itself has published.".to_owned(),
                ),
            }),
        }
    }

    /// A cursor is good for its own graph and branch only.
    fn check(&self, snapshot: &Snapshot, cursor: &Cursor, end: &Cursor) -> Result<()> {
        let why = if cursor.graph != end.graph {
            "it is of another graph".to_owned()
        } else if cursor.branch != end.branch {
            let branch = snapshot.branch();
            format!("it is not of branch \"{branch}\", or of an earlier branch of that name")
        } else {
            return Ok(());
        };
        Err(Error::Invalid {
            message: format!("cursor \"{cursor}\" cannot be used here: {why}"),
            detail: None,
            hint: Some(BASELINE.to_owned()),
        })
    }
}

const BASELINE: &str = "Begin anew with a baseline: in one REPEATABLE READ transaction, SELECT changes_cursor() and COPY omnigraph.ndjson TO STDOUT.";

/// How many steps of its entry lead to a point.
fn taken(point: &Point) -> usize {
    let commits = commits_of(&point.entry);
    match commits.iter().position(|commit| commit.id == point.commit) {
        Some(at) => at + 1,
        None => steps(&point.entry),
    }
}

fn steps(entry: &LogEntry) -> usize {
    match junction_of(entry) {
        Some(_) => 1,
        None => commits_of(entry).len(),
    }
}

struct Feed {
    graph: Graph,
    /// What the feed leads up to.
    snapshot: Snapshot,
    at: Cursor,
    end: Cursor,
    /// The state at `at`, once it was needed.
    before: Option<Snapshot>,
}

impl Feed {
    async fn next(&mut self) -> Result<Option<Step>> {
        loop {
            if (self.at.seq, self.at.taken) >= (self.end.seq, self.end.taken) {
                return Ok(None);
            }
            let entry = self.entry(self.at.seq).await?;
            if self.at.taken < steps(&entry) {
                return self.step(entry).await.map(Some);
            }
            if steps(&entry) == 0 && self.before.is_some() {
                // The same rows in other files: what comes next is compared with these.
                self.before = Some(
                    self.state(&Point::head_of(self.at.branch.clone(), entry)?)
                        .await?,
                );
            }
            self.at.seq += 1;
            self.at.taken = 0;
        }
    }

    async fn step(&mut self, entry: Arc<LogEntry>) -> Result<Step> {
        let before = match self.before.take() {
            Some(before) => before,
            None => self.before(&entry).await?,
        };
        let commits = commits_of(&entry);
        let point = match commits.get(self.at.taken) {
            Some(commit) => Point {
                branch_id: self.at.branch.clone(),
                entry: entry.clone(),
                commit: commit.id,
            },
            None => Point::head_of(self.at.branch.clone(), entry.clone())?,
        };
        let actor = commits
            .get(self.at.taken)
            .map_or(&entry.actor, |commit| &commit.actor);
        let after = self.state(&point).await?;
        self.at.taken += 1;
        self.before = Some(after.clone());
        Ok(Step {
            cursor: self.at.clone(),
            commit: point.commit,
            seq: entry.seq,
            branch: self.snapshot.branch().to_string(),
            actor: actor.clone(),
            created_at: entry.time,
            before,
            after,
        })
    }

    /// The state before the next step of an entry.
    async fn before(&self, entry: &Arc<LogEntry>) -> Result<Snapshot> {
        let branch_id = self.at.branch.clone();
        let point = if let Some(last) = self.at.taken.checked_sub(1) {
            Point {
                branch_id,
                entry: entry.clone(),
                commit: commits_of(entry)[last].id,
            }
        } else if let Some(seq) = entry.seq.checked_sub(1) {
            Point::head_of(branch_id, self.entry(seq).await?)?
        } else {
            return Ok(self.nothing());
        };
        let names = self.graph.shared.names.refresh().await?;
        let oldest = entry.seq.saturating_sub(1);
        if !names.keeps(&point.branch_id, oldest) {
            return Err(self.gap());
        }
        self.state(&point).await
    }

    async fn state(&self, point: &Point) -> Result<Snapshot> {
        match self
            .graph
            .shared
            .state_at(self.snapshot.branch(), point)
            .await
        {
            Ok(state) => Ok(Snapshot::of(state)),
            Err(Error::Expired { .. }) => Err(self.gap()),
            Err(error) => Err(error),
        }
    }

    async fn entry(&self, seq: u64) -> Result<Arc<LogEntry>> {
        self.graph.shared.logs.existing(&self.at.branch, seq).await
    }

    fn gap(&self) -> Error {
        Error::Expired {
            what: format!("what changed after cursor \"{}\"", self.at),
            hint: BASELINE.to_owned(),
        }
    }

    /// What was there before the first entry.
    fn nothing(&self) -> Snapshot {
        let state = &self.snapshot.state;
        Snapshot::of(Arc::new(SnapshotState {
            branch: state.branch.clone(),
            branch_id: state.branch_id.clone(),
            branch_ordinal: state.branch_ordinal,
            seq: 0,
            commit: state.commit,
            generation: 0,
            lineage: state.lineage.clone(),
            time: 0,
            schema: state.schema.clone(),
            tables: BTreeMap::new(),
            locked_at: None,
            environment: state.environment.clone(),
            names: state.names.clone(),
            blobs: state.blobs.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_shown() {
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let cursor = Cursor {
            graph: id.to_owned(),
            branch: id.to_owned(),
            seq: 17,
            taken: 2,
        };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for bad in [
            "",
            "main",
            id,
            "a.b.1.2",
            &format!("{id}.{id}.1"),
            &format!("{id}.{id}.x.0"),
        ] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }
}
