//! How many bytes tables take, for the statements that ask: it means a look at the manifest of
//! every table of every branch.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use omnigraph_catalog::pg_catalog::BranchInput;
use omnigraph_engine::Snapshot;
use omnigraph_engine::names::BranchName;

use super::Session;
use super::catalogs::{Catalogs, LOOKING, input};
use crate::error::PgResult;

impl Session {
    /// The newest catalogs, with sizes in them.
    pub(crate) async fn sized_catalogs(&mut self) -> PgResult<Arc<Catalogs>> {
        let unsized_catalogs = self.catalogs(true).await?;
        let Some(attached) = self.graph.clone() else {
            return Ok(unsized_catalogs);
        };
        let past = self.past().await?;
        let mut snapshots: Vec<(u64, BranchName, Snapshot)> = Vec::new();
        for known in self.known_branches(&attached).iter() {
            let name = BranchName::parse(&known.input.name)?;
            let snapshot = match &past {
                Some((branch, snapshot)) if *branch == name => snapshot.clone(),
                _ => match attached.access.snapshot(name.as_str()).await {
                    Ok(snapshot) => snapshot,
                    // It has just been deleted.
                    Err(omnigraph_engine::Error::NotFound { .. }) => continue,
                    Err(error) => return Err(error.into()),
                },
            };
            snapshots.push((known.input.ordinal, name, snapshot));
        }
        let branches: Vec<(BranchInput, Files)> = futures::stream::iter(snapshots)
            .map(|(ordinal, branch, snapshot)| sized(ordinal, branch, snapshot))
            .buffered(LOOKING)
            .try_collect()
            .await?;
        let mut inputs = Vec::with_capacity(branches.len());
        let mut files = Files::new();
        for (input, of_branch) in branches {
            inputs.push(input);
            files.extend(of_branch);
        }
        let size = i64::try_from(files.values().sum::<u64>()).unwrap_or(i64::MAX);
        let catalog = self.built(&attached.shared.catalogs, inputs, Some(size))?;
        Ok(self.with_live(&catalog))
    }
}

/// Bytes by path: branches share files.
type Files = HashMap<Arc<str>, u64>;

async fn sized(
    ordinal: u64,
    branch: BranchName,
    snapshot: Snapshot,
) -> PgResult<(BranchInput, Files)> {
    let mut input = input(&branch, ordinal, &snapshot);
    let mut files = Files::new();
    for table in snapshot.tables() {
        let of_table = table.files().await?;
        let bytes = of_table.iter().map(|(_, bytes)| bytes).sum();
        input.sizes.insert(table.def().id, bytes);
        files.extend(of_table);
    }
    Ok((input, files))
}
