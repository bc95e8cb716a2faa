//! What table functions see of the session that calls them.

use std::sync::Arc;

use async_trait::async_trait;
use omnigraph_catalog::access::GraphAccess;
use omnigraph_catalog::provider::Snapshots;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::{Error, Snapshot};
use omnigraph_udfs::FunctionContext;
use tokio::sync::OnceCell;

use super::Session;
use super::common::Common;
use super::protocol::Place;
use super::transaction::State;
use crate::error::PgResult;

/// One execution's view: who asks, of which graph, and what the statement reads.
#[derive(Debug)]
pub struct Context {
    access: Option<GraphAccess>,
    branch: BranchName,
    common: Arc<Common>,
    /// Most statements call no function, so what only functions read is looked for when one asks.
    snapshot: OnceCell<Snapshot>,
}

impl Session {
    pub(crate) async fn function_context(
        &mut self,
        snapshots: &Arc<Snapshots>,
        place: Place,
    ) -> PgResult<Arc<dyn FunctionContext>> {
        let branch = self.branch().await?;
        let access = self.graph.as_ref().map(|attached| attached.access.clone());
        let mut snapshot = snapshots.get(&branch).cloned();
        // A transaction has one state of a branch, its own writes in it, and so has a session
        // that reads the past.
        let settled = matches!(self.state, State::Open(_)) || self.pinned().is_some();
        if snapshot.is_none() && settled && access.is_some() {
            let taken = self.snapshots(std::slice::from_ref(&branch), place).await?;
            snapshot = taken.get(&branch).cloned();
        }
        Ok(Arc::new(Context {
            access,
            branch,
            common: Arc::clone(&self.common),
            snapshot: OnceCell::new_with(snapshot),
        }))
    }
}

#[async_trait]
impl FunctionContext for Context {
    fn access(&self) -> omnigraph_udfs::Result<&GraphAccess> {
        self.access.as_ref().ok_or_else(|| {
            omnigraph_udfs::Error::Engine(Error::Unsupported {
                message: "the database \"postgres\" has no graph".to_owned(),
                hint: Some("Connect to a graph; \\l lists them.".to_owned()),
            })
        })
    }

    async fn snapshot(&self) -> omnigraph_udfs::Result<Snapshot> {
        let access = self.access()?;
        let taken = self
            .snapshot
            .get_or_try_init(|| access.snapshot(self.branch.as_str()))
            .await?;
        Ok(taken.clone())
    }

    fn committed(&self, branch: &BranchName, commit: CommitId) {
        self.common.tell_commit(branch.as_str(), commit);
    }

    fn branch(&self) -> &BranchName {
        &self.branch
    }
}
