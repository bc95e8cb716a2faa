//! From a reference to the state that it names.
//!
//! Going back `n` commits or to a time reads few entries of a long log: within a line depth
//! and time never fall, so they are searched, and over many lines junctions skip.

use std::sync::Arc;

use super::history::{self, Point};
use super::log::BranchLog;
use crate::error::{Error, ObjectKind, Result};
use crate::format::{EntryKind, Junction, LogEntry};
use crate::graph::GraphShared;
use crate::names::BranchName;
use crate::refs::{Base, Reference, not_a_reference, show_time};
use crate::snapshot::{Snapshot, SnapshotState};

impl GraphShared {
    /// The state that `reference` names. A time is looked up on branch `on`.
    pub async fn snapshot_of(
        self: &Arc<Self>,
        reference: &Reference,
        on: &BranchName,
    ) -> Result<Snapshot> {
        let mut label = on.clone();
        let point = match &reference.base {
            Base::Branch(name) | Base::Name(name) => match self.resolve(name, false).await {
                Ok((_, state)) if reference.back == 0 => return Ok(Snapshot::of(state)),
                Ok((_, state)) => {
                    label = name.clone();
                    self.point_of(&state).await?
                }
                Err(Error::NotFound { .. }) if matches!(reference.base, Base::Name(_)) => {
                    // Looking for the branch has just read the newest names.
                    match self.tag(name) {
                        Some(point) => history::point(self, &point).await?,
                        None => return Err(Error::not_found(ObjectKind::Branch, name.as_str())),
                    }
                }
                Err(error) => return Err(error),
            },
            Base::Tag(name) => {
                self.names.refresh().await?;
                let point = self
                    .tag(name)
                    .ok_or_else(|| Error::not_found(ObjectKind::Tag, name.as_str()))?;
                history::point(self, &point).await?
            }
            Base::Commit(id) => self.still_named(history::find(self, *id).await?).await?,
            Base::At(time) => self.shown_at(on, *time).await?,
        };
        if !matches!(
            reference.base,
            Base::Branch(_) | Base::Name(_) | Base::At(_)
        ) {
            label = self
                .name_of(&point.branch_id)
                .unwrap_or_else(BranchName::main);
        }
        let point = match reference.back {
            0 => point,
            back => ancestor(self, point, back)
                .await?
                .ok_or_else(|| not_a_reference(&reference.to_string()))?,
        };
        Ok(Snapshot::of(self.state_at(&label, &point).await?))
    }

    /// The state at a point, under the name of a branch.
    pub async fn state_at(
        self: &Arc<Self>,
        label: &BranchName,
        point: &Point,
    ) -> Result<Arc<SnapshotState>> {
        let point = &history::kept(self, point).await?;
        let state = history::state_at(self, point).await?;
        let ordinal = self.ordinal_of(&point.branch_id);
        let (branch_id, entry) = (&point.branch_id, &point.entry);
        self.assemble(label, branch_id, ordinal, &state, entry.seq, entry.time)
            .await
            .map(Arc::new)
    }

    /// A commit below its log's horizon may be kept for merges only, and be the head of another
    /// branch or under a tag: what has a name can be given others.
    async fn still_named(self: &Arc<Self>, point: Point) -> Result<Point> {
        let names = self.names.refresh().await?;
        if names.keeps(&point.branch_id, point.entry.seq) {
            return Ok(point);
        }
        for tag in names.all.tags.values() {
            if tag.at.commit == point.commit {
                return history::point(self, &tag.at).await;
            }
        }
        for (name, line) in &names.all.branches {
            match self.branch_of(name, line)?.head_state().await {
                Ok(state) if state.commit == point.commit => return self.point_of(&state).await,
                Ok(_) | Err(Error::BranchDeleted { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(point)
    }

    fn tag(&self, name: &BranchName) -> Option<crate::format::ForkPoint> {
        let names = self.names.known()?;
        names.all.tags.get(name.as_str()).map(|tag| tag.at.clone())
    }

    pub async fn point_of(&self, state: &SnapshotState) -> Result<Point> {
        Ok(Point {
            branch_id: state.branch_id.clone(),
            entry: self.logs.existing(&state.branch_id, state.seq).await?,
            commit: state.commit,
        })
    }

    /// What a branch showed at a time.
    async fn shown_at(self: &Arc<Self>, on: &BranchName, time: i64) -> Result<Point> {
        let now = self.environment.now();
        if time > now {
            return Err(no_such_time(
                format!("{} lies in the future", show_time(time)),
                format!("It is {} now.", show_time(now)),
            ));
        }
        let (branch, _) = self.resolve(on, false).await?;
        let mut branch_id = branch.log.branch_id.clone();
        loop {
            let first = self.logs.existing(&branch_id, 0).await?;
            if time >= first.time {
                let entry = self.last_before(&branch_id, first, time).await?;
                let commit = match &entry.state {
                    Some(state) => state.head,
                    None => return Err(Error::not_found(ObjectKind::Branch, on.as_str())),
                };
                return Ok(Point {
                    branch_id,
                    entry,
                    commit,
                });
            }
            match &first.kind {
                EntryKind::Fork(junction) => branch_id = junction.from.branch.clone(),
                _ => {
                    return Err(no_such_time(
                        format!("the graph did not exist at {}", show_time(time)),
                        format!("It was made at {}.", show_time(first.time)),
                    ));
                }
            }
        }
    }

    /// The entry that a log had as its last at `time`; 0 if it had none.
    pub async fn shown_before(&self, branch_id: &str, time: i64) -> Result<u64> {
        let first = self.logs.existing(branch_id, 0).await?;
        match first.time <= time {
            true => Ok(self.last_before(branch_id, first, time).await?.seq),
            false => Ok(0),
        }
    }

    /// The last entry that is not younger than `time`; `first` is not.
    async fn last_before(
        &self,
        branch_id: &str,
        first: Arc<LogEntry>,
        time: i64,
    ) -> Result<Arc<LogEntry>> {
        let log = BranchLog::new(self.logs.clone(), branch_id.to_owned());
        let head = log.head().await?;
        if head.time <= time {
            return Ok(head);
        }
        let (mut low, mut above) = (first, head.seq);
        while low.seq + 1 < above {
            let middle = low.seq + (above - low.seq) / 2;
            let entry = self.logs.existing(branch_id, middle).await?;
            if entry.time <= time {
                low = entry;
            } else {
                above = middle;
            }
        }
        Ok(low)
    }
}

/// The `back`-th commit before a point, along first parents.
pub(crate) async fn ancestor(
    graph: &GraphShared,
    point: Point,
    back: u64,
) -> Result<Option<Point>> {
    let depth = history::depth_of(&point)?;
    let Some(wanted) = depth.checked_sub(back) else {
        return Ok(None);
    };
    let mut at = point;
    loop {
        let line = history::lineage(&at.entry)?.line;
        let start = graph.logs.existing(&at.branch_id, line).await?;
        let Some(junction) = junction_of(&start) else {
            return search(graph, at, start, wanted).await.map(Some);
        };
        if wanted >= history::lineage(&start)?.depth {
            return search(graph, at, start, wanted).await.map(Some);
        }
        if let Some(skip) = &junction.skip {
            let far = graph.logs.existing(&skip.branch, skip.seq).await?;
            if history::lineage(&far)?.depth >= wanted {
                at = Point::head_of(skip.branch.clone(), far)?;
                continue;
            }
        }
        at = history::point(graph, &junction.from).await?;
    }
}

/// The commit of depth `wanted` in the line from `start` to `end`. Most entries hold one
/// commit, so where it is can be guessed; every other step halves what is left.
async fn search(
    graph: &GraphShared,
    end: Point,
    start: Arc<LogEntry>,
    wanted: u64,
) -> Result<Point> {
    let branch_id = end.branch_id.clone();
    let (mut low, mut high) = (start, end.entry);
    let mut guess = true;
    loop {
        for entry in [&high, &low] {
            if let Some(point) = at_depth(&branch_id, entry, wanted)? {
                return Ok(point);
            }
        }
        let (below, above) = (
            history::lineage(&low)?.depth,
            history::lineage(&high)?.depth,
        );
        if low.seq + 1 >= high.seq {
            return Err(Error::internal(format!(
                "no commit of depth {wanted} between entries {} and {}",
                low.seq, high.seq
            )));
        }
        let span = high.seq - low.seq;
        let step = match guess {
            true => {
                (u128::from(span) * u128::from(wanted.saturating_sub(below))
                    / u128::from((above - below).max(1))) as u64
            }
            false => span / 2,
        };
        guess = !guess;
        let middle = graph
            .logs
            .existing(&branch_id, low.seq + step.clamp(1, span - 1))
            .await?;
        if history::lineage(&middle)?.depth >= wanted {
            high = middle;
        } else {
            low = middle;
        }
    }
}

/// The commit of this depth, if the entry made it or a line begins with it.
fn at_depth(branch_id: &str, entry: &Arc<LogEntry>, wanted: u64) -> Result<Option<Point>> {
    let depth = history::lineage(entry)?.depth;
    let commit = match &entry.kind {
        EntryKind::Commits { commits } => depth
            .checked_sub(wanted)
            .and_then(|back| commits.iter().rev().nth(usize::try_from(back).ok()?))
            .map(|commit| commit.id),
        _ if junction_of(entry).is_some() && depth == wanted => {
            return Point::head_of(branch_id.to_owned(), entry.clone()).map(Some);
        }
        _ => None,
    };
    Ok(commit.map(|commit| Point {
        branch_id: branch_id.to_owned(),
        entry: entry.clone(),
        commit,
    }))
}

pub(crate) fn junction_of(entry: &LogEntry) -> Option<&Junction> {
    match &entry.kind {
        EntryKind::Fork(junction) | EntryKind::Forward(junction) | EntryKind::Reset(junction) => {
            Some(junction)
        }
        _ => None,
    }
}

fn no_such_time(message: String, detail: String) -> Error {
    Error::Invalid {
        message,
        detail: Some(detail),
        hint: None,
    }
}
