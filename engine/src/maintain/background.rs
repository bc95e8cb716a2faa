//! Looking after the tables of a branch while it is written: small files are put together
//! before a reader has to look into many.
//!
//! One job at a time for each branch of a process. It writes beside the branch's writers and
//! publishes in its turn after those that wait, so they are held up for one entry at the most.
//! What goes wrong is nobody's loss: the next commit that finds work begins another one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::compact::{self, SMALL};
use crate::commit::publish::BranchShared;
use crate::dataset::{Fragment, TableVersion};
use crate::error::Result;

/// Small files of a table before some are put together.
const FILES: usize = 16;
/// Files that are worth being put together.
const WORTH: usize = 4;
/// A file joins others once together they have a share of its rows: one in so many. So each
/// rewriting of a row makes its file larger by a part, and a row is rewritten seldom.
const SHARE: u64 = 4;
/// Who publishes it, as history shows it.
const ACTOR: &str = "maintenance";

/// Has a table work to be done?
pub(crate) fn is_due(table: &TableVersion) -> bool {
    table.resources().maintenance() && !due(table.fragments()).is_empty()
}

/// Begins a job, unless one is under way.
pub(crate) fn look_after(branch: &Arc<BranchShared>) {
    if branch.maintained.swap(true, Ordering::SeqCst) {
        return;
    }
    let job = Job(branch.clone());
    tokio::spawn(async move {
        if let Err(error) = job.run().await {
            tracing::warn!(branch = %job.0.name, %error, "tables were not looked after");
        }
    });
}

struct Job(Arc<BranchShared>);

impl Job {
    async fn run(&self) -> Result<()> {
        let state = self.0.known_state().await?;
        compact::rewrite(&self.0, &state, due, ACTOR).await?;
        Ok(())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.0.maintained.store(false, Ordering::SeqCst);
    }
}

/// Which files become one, by their numbers: of a table with many small ones the longest run
/// of sizes without a gap, and each large one of which half is gone.
fn due(files: &[Fragment]) -> Vec<Vec<usize>> {
    let (mut small, large): (Vec<usize>, Vec<usize>) =
        (0..files.len()).partition(|at| files[*at].live() < SMALL);
    let worn = large
        .into_iter()
        .filter(|at| files[*at].deleted >= files[*at].live());
    let mut groups: Vec<Vec<usize>> = worn.map(|at| vec![at]).collect();
    if small.len() < FILES {
        return groups;
    }
    small.sort_by_key(|at| files[*at].live());
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut rows = 0;
    for at in small {
        let live = u64::from(files[at].live());
        match runs.last_mut() {
            Some(run) if live <= rows * SHARE => run.push(at),
            _ => {
                runs.push(vec![at]);
                rows = 0;
            }
        }
        rows += live;
    }
    let longest = runs.into_iter().max_by_key(Vec::len);
    groups.extend(longest.filter(|run| run.len() >= WORTH));
    for group in &mut groups {
        group.sort_unstable();
    }
    groups
}
