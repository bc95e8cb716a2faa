//! Tags: names that stay at the commit they were put on, and keep it readable.

use crate::error::{Error, ObjectKind, Result};
use crate::format::{RefOperation, TagLine};
use crate::graph::{Graph, NAME_ATTEMPTS, busy, exists};
use crate::names::{BranchName, CommitId};
use crate::snapshot::Snapshot;

#[derive(Debug, Clone, PartialEq)]
pub struct TagInfo {
    pub name: String,
    pub commit: CommitId,
    pub created_by: String,
    /// Microseconds since 1970.
    pub created_at: i64,
    pub message: Option<String>,
}

impl TagInfo {
    fn new(name: &str, line: &TagLine) -> Self {
        TagInfo {
            name: name.to_owned(),
            commit: line.at.commit,
            created_by: line.created_by.clone(),
            created_at: line.created_at,
            message: line.message.clone(),
        }
    }
}

impl Graph {
    /// All tags, by name.
    pub async fn tags(&self) -> Result<Vec<TagInfo>> {
        let names = self.shared.names.refresh().await?;
        Ok(names
            .all
            .tags
            .iter()
            .map(|(name, line)| TagInfo::new(name, line))
            .collect())
    }

    /// Puts a tag on a commit. Branches and tags share one name space.
    pub async fn create_tag(
        &self,
        name: &BranchName,
        at: &Snapshot,
        message: Option<String>,
        actor: &str,
    ) -> Result<TagInfo> {
        let shared = &self.shared;
        shared.prove_writable().await?;
        let point = shared.point_of(&at.state).await?;
        for _ in 0..NAME_ATTEMPTS {
            let names = shared.names_for(name, actor).await?;
            if names.is_taken(name.as_str()) {
                return Err(exists(&names, name));
            }
            shared.check_kept_by(&names, &at.state)?;
            let tag = TagLine {
                at: point.as_fork_point(),
                created_at: shared.environment.now().max(names.time + 1),
                created_by: actor.to_owned(),
                message: message.clone(),
            };
            let operation = RefOperation::CreateTag {
                name: name.to_string(),
                tag: tag.clone(),
            };
            if shared.change_names(&names, operation, actor).await? {
                return Ok(TagInfo::new(name.as_str(), &tag));
            }
        }
        Err(busy(name))
    }

    /// Takes a tag away; what it named stays readable for as long as VACUUM retains it.
    pub async fn delete_tag(&self, name: &BranchName, actor: &str) -> Result<TagInfo> {
        let shared = &self.shared;
        shared.prove_writable().await?;
        for _ in 0..NAME_ATTEMPTS {
            let names = shared.names.refresh().await?;
            let Some(tag) = names.all.tags.get(name.as_str()).cloned() else {
                return Err(Error::not_found(ObjectKind::Tag, name.as_str()));
            };
            let operation = RefOperation::DeleteTag {
                name: name.to_string(),
                tag: tag.clone(),
            };
            if shared.change_names(&names, operation, actor).await? {
                return Ok(TagInfo::new(name.as_str(), &tag));
            }
        }
        Err(busy(name))
    }
}
