//! Where two histories last met, and how far they have gone apart since.
//!
//! Within a line every commit but a merge has one parent, the one before it, and every entry
//! says where the newest merge of its line is. So the search goes from merge to merge and from
//! line to line, and passes over the commits between: what leads to one commit leads to all
//! below it in its line, so one number for each line says what leads there.

use std::collections::{BTreeMap, HashMap};

use super::ancestry::{Ancestors, Place, back, before, parents};
use super::history::{Point, commits_of, lineage};
use super::resolve::junction_of;
use crate::error::{Error, Result};
use crate::format::LogEntry;
use crate::graph::GraphShared;
use crate::names::CommitId;
use crate::storage::layout;

/// How many commits lead to `left` and not to `right`, and the other way round.
pub(crate) async fn apart(graph: &GraphShared, left: Point, right: Point) -> Result<(u64, u64)> {
    let mut search = Search::new(graph, left, right).await?;
    // What was passed over for one side may turn out to lead to both. A commit that tells so
    // has a higher generation than the one that was gone on to.
    let mut passed = u64::MAX;
    while let Some((place, leads)) = search.next(|leads| leads.left && leads.right, passed)? {
        let lowest = search.go_on(place, leads).await?;
        if leads.left != leads.right {
            passed = passed.min(lowest);
        }
    }
    search.counts().await
}

/// The commits that lead to both sides, without those that lead to another of them.
pub(crate) async fn merge_bases(
    graph: &GraphShared,
    left: Point,
    right: Point,
) -> Result<Vec<Point>> {
    let mut search = Search::new(graph, left, right).await?;
    let mut bases = Vec::new();
    while let Some((place, mut leads)) = search.next(|leads| leads.base, u64::MAX)? {
        if leads.left && leads.right && !leads.base {
            bases.push(place.point());
            leads.base = true;
        }
        search.go_on(place, leads).await?;
    }
    Ok(bases)
}

/// What a commit leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leads {
    left: bool,
    right: bool,
    /// A merge base, which is not itself.
    base: bool,
}

/// Commits of a line, and of all before it, that lead somewhere: they are the lowest.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    left: u64,
    right: u64,
    base: u64,
}

struct Search<'a> {
    graph: &'a GraphShared,
    /// What comes next, by generation: a commit's parents are always below it.
    waiting: BTreeMap<(u64, CommitId), Place>,
    /// By branch and the entry that begins the line.
    lines: HashMap<(String, u64), Reach>,
}

impl<'a> Search<'a> {
    async fn new(graph: &'a GraphShared, left: Point, right: Point) -> Result<Search<'a>> {
        let mut search = Search {
            graph,
            waiting: BTreeMap::new(),
            lines: HashMap::new(),
        };
        for (point, is_left) in [(left, true), (right, false)] {
            let commit = Some(point.commit);
            let place = back(graph, point.branch_id, point.entry.seq, commit, None).await?;
            let leads = Leads {
                left: is_left,
                right: !is_left,
                base: false,
            };
            if let Some(place) = place {
                search.wait(place, leads)?;
            }
        }
        Ok(search)
    }

    fn wait(&mut self, place: Place, leads: Leads) -> Result<()> {
        let (line, number) = position(&place)?;
        let reach = self.lines.entry(line).or_default();
        for (reach, leads) in [
            (&mut reach.left, leads.left),
            (&mut reach.right, leads.right),
            (&mut reach.base, leads.base),
        ] {
            if leads {
                *reach = (*reach).max(number);
            }
        }
        self.waiting.insert(place.order(), place);
        Ok(())
    }

    fn leads(&self, place: &Place) -> Result<Leads> {
        let (line, number) = position(place)?;
        let reach = self.lines.get(&line).copied().unwrap_or_default();
        Ok(Leads {
            left: number <= reach.left,
            right: number <= reach.right,
            base: number <= reach.base,
        })
    }

    /// The highest commit that waits; `None` once all are `settled`, and none of a generation
    /// above `passed`.
    fn next(
        &mut self,
        settled: impl Fn(Leads) -> bool,
        passed: u64,
    ) -> Result<Option<(Place, Leads)>> {
        let mut open = false;
        for (order, place) in &self.waiting {
            open |= order.0 > passed || !settled(self.leads(place)?);
        }
        let Some((_, place)) = self.waiting.pop_last().filter(|_| open) else {
            return Ok(None);
        };
        let leads = self.leads(&place)?;
        Ok(Some((place, leads)))
    }

    /// Goes on to what leads to a commit. What it passes over has at least the generation that
    /// is answered.
    async fn go_on(&mut self, place: Place, leads: Leads) -> Result<u64> {
        if leads.base {
            let (line, number) = position(&place)?;
            let reach = self.lines.entry(line).or_default();
            reach.base = reach.base.max(number - 1);
        }
        let (next, lowest) = match place.commit().parents.len() {
            0 => (Vec::new(), u64::MAX),
            1 => {
                let next = below(self.graph, place).await?;
                let lowest = next.as_ref().map_or(0, |place| place.order().0);
                (next.into_iter().collect(), lowest)
            }
            _ => {
                let next = parents(self.graph, place, Ancestors::All, None).await?;
                (next, u64::MAX)
            }
        };
        for place in next {
            self.wait(place, leads)?;
        }
        Ok(lowest)
    }

    /// The commits that lead to one side only.
    async fn counts(&self) -> Result<(u64, u64)> {
        let mut counts = (0, 0);
        for ((branch_id, line), reach) in &self.lines {
            if reach.left == reach.right {
                continue;
            }
            let start = self.graph.logs.existing(branch_id, *line).await?;
            let earlier = match junction_of(&start) {
                Some(_) => lineage(&start)?.depth + 1,
                None => 0,
            };
            counts.0 += reach.left.saturating_sub(reach.right.max(earlier));
            counts.1 += reach.right.saturating_sub(reach.left.max(earlier));
        }
        Ok(counts)
    }
}

/// A commit's line, and its number along first parents, from 1.
fn position(place: &Place) -> Result<((String, u64), u64)> {
    let lineage = lineage(&place.entry)?;
    let later = commits_of(&place.entry).len() - 1 - place.index;
    let line = (place.branch_id.clone(), lineage.line);
    Ok((line, lineage.depth + 1 - later as u64))
}

/// The nearest merge below a commit in its line, or else the commit that the line goes on from.
async fn below(graph: &GraphShared, place: Place) -> Result<Option<Place>> {
    if let Some(index) = last_merge(&place.entry, place.index) {
        return Ok(Some(Place { index, ..place }));
    }
    let lineage = lineage(&place.entry)?;
    let (line, seq) = (lineage.line, place.entry.seq);
    match lineage.merged {
        Some(merged) if merged < seq => {
            let entry = graph.logs.existing(&place.branch_id, merged).await?;
            let index = last_merge(&entry, commits_of(&entry).len());
            let index = index.ok_or_else(|| Error::Corrupt {
                object: layout::log_entry(&place.branch_id, merged),
                message: format!("entry {seq} says that it holds a merge"),
            })?;
            Ok(Some(Place {
                branch_id: place.branch_id,
                entry,
                index,
            }))
        }
        // The merge comes after this commit: the entry before knows of those before it.
        Some(_) => before(graph, Place { index: 0, ..place }, None).await,
        None if line == seq => before(graph, place, None).await,
        None => back(graph, place.branch_id, line, None, None).await,
    }
}

fn last_merge(entry: &LogEntry, end: usize) -> Option<usize> {
    let commits = &commits_of(entry)[..end];
    commits.iter().rposition(|commit| commit.parents.len() > 1)
}
