//! What was applied: a chain of revisions, each written once.
//!
//! A revision is `__cluster/revisions/<n>.json`, put if nothing is there: that is the
//! compare-and-swap, on every kind of store. `state.json` is the newest one's copy for people
//! and scripts, written after it; a crash between the two is mended by the next reader, who
//! takes the greater number.

use std::collections::BTreeMap;

use bytes::Bytes;
use omnigraph_engine::Store;
use omnigraph_engine::storage::Created;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::address::Address;
use super::error::{Error, Result};
use super::files;
use crate::diagnostic::Diagnostic;

const VERSION: u32 = 1;

/// The ledger at one revision. Fields that are not known here are kept as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    pub version: u32,
    #[serde(default)]
    pub state_revision: u64,
    #[serde(default)]
    pub applied_revision: Applied,
    #[serde(default)]
    pub resource_statuses: BTreeMap<String, ResourceStatus>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub approval_records: Json,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub recovery_records: Json,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observations: BTreeMap<String, Json>,
    /// Graphs that were deleted, with who did it under which approval.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tombstones: BTreeMap<String, Json>,
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
    #[serde(default)]
    pub resources: BTreeMap<String, Resource>,
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// One applied resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    pub digest: String,
    /// Of a policy: `cluster` or `graph.<id>`. Missing in ledgers older than bindings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies_to: Option<Vec<String>>,
    /// Of a provider, without secrets. Missing in older ledgers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_profile: Option<Json>,
    /// Of a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_blobs: Option<Json>,
    /// Of a query: `gq` or `sql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// `runtime`: made by CREATE DATABASE, not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceStatus {
    pub status: Status,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Planned,
    Applying,
    Applied,
    Drifted,
    Blocked,
    Error,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Planned => "planned",
            Status::Applying => "applying",
            Status::Applied => "applied",
            Status::Drifted => "drifted",
            Status::Blocked => "blocked",
            Status::Error => "error",
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger {
            version: VERSION,
            state_revision: 0,
            applied_revision: Applied::default(),
            resource_statuses: BTreeMap::new(),
            approval_records: Json::Null,
            recovery_records: Json::Null,
            observations: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            other: Map::new(),
        }
    }
}

impl Ledger {
    /// The newest revision; `None`: there is no ledger.
    pub async fn read(store: &Store) -> Result<Option<Ledger>> {
        let mut newest = match store.read(files::STATE).await? {
            Some(bytes) => Some(decode(files::STATE, &bytes)?),
            None => None,
        };
        // A list is a hint: from the greatest number in it on, revisions are asked for by name.
        let listed = store.list_objects(files::REVISIONS).await?;
        let listed = listed
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse::<u64>().ok())
            .max();
        let known = newest.as_ref().map(|ledger| ledger.state_revision);
        let mut number = known.max(listed).unwrap_or(0);
        if listed > known {
            newest = Self::at(store, number).await?.or(newest);
        }
        loop {
            number += 1;
            match Self::at(store, number).await? {
                Some(next) => newest = Some(next),
                None => return Ok(newest),
            }
        }
    }

    /// As [`Ledger::read`], where there must be one.
    pub async fn require(store: &Store) -> Result<Ledger> {
        Self::read(store).await?.ok_or_else(|| {
            let message = format!("{} has no ledger", store.url());
            let found = Diagnostic::error("state_missing", message);
            found.hint("`omnigraph cluster import` makes one from the config and the graphs that exist.").into()
        })
    }

    async fn at(store: &Store, number: u64) -> Result<Option<Ledger>> {
        let key = files::revision(number);
        match store.read(&key).await? {
            Some(bytes) => decode(&key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Writes this ledger as the revision after `before`, or says that somebody else did.
    pub async fn write(mut self, store: &Store, before: Option<&Ledger>) -> Result<Ledger> {
        self.version = VERSION;
        self.state_revision = before.map_or(0, |before| before.state_revision) + 1;
        let mut text =
            serde_json::to_vec_pretty(&self).map_err(omnigraph_engine::Error::internal)?;
        text.push(b'\n');
        let body = Bytes::from(text);
        let key = files::revision(self.state_revision);
        // An answer may have been lost: what is there decides whose it is.
        let created = store.create(&key, body.clone()).await;
        if !matches!(created, Ok(Created::Yes)) && store.read(&key).await? != Some(body.clone()) {
            created?;
            return Err(Error::Lost {
                revision: self.state_revision,
            });
        }
        store.write(files::STATE, body).await?;
        Ok(self)
    }

    pub fn resource(&self, address: &Address) -> Option<&Resource> {
        self.applied_revision.resources.get(&address.to_string())
    }

    pub fn resources(&self) -> impl Iterator<Item = (Address, &Resource)> {
        let all = self.applied_revision.resources.iter();
        all.filter_map(|(address, resource)| Some((Address::parse(address)?, resource)))
    }

    pub fn set(&mut self, address: &Address, resource: Resource) {
        let all = &mut self.applied_revision.resources;
        all.insert(address.to_string(), resource);
    }

    /// Takes a resource out of what is applied.
    pub fn remove(&mut self, address: &Address) {
        let address = address.to_string();
        self.applied_revision.resources.remove(&address);
        self.resource_statuses.remove(&address);
    }

    /// Takes out a graph with its schema and queries.
    pub fn remove_graph(&mut self, graph: &str) {
        let gone: Vec<Address> = self
            .resources()
            .map(|(address, _)| address)
            .filter(|address| address.graph() == Some(graph))
            .collect();
        for address in gone {
            self.remove(&address);
        }
        self.resource_statuses.retain(|address, _| {
            Address::parse(address).is_none_or(|address| address.graph() != Some(graph))
        });
        self.observations
            .remove(&Address::Graph(graph.to_owned()).to_string());
    }

    pub fn set_status(&mut self, address: &Address, status: Status, message: Option<String>) {
        self.set_condition(address, status, None, message);
    }

    pub fn set_condition(
        &mut self,
        address: &Address,
        status: Status,
        condition: Option<&str>,
        message: Option<String>,
    ) {
        let status = ResourceStatus {
            status,
            conditions: condition.map(str::to_owned).into_iter().collect(),
            message,
        };
        self.resource_statuses.insert(address.to_string(), status);
    }

    pub fn approval_was_consumed(&self, id: &str) -> bool {
        match &self.approval_records {
            Json::Object(records) => records.contains_key(id),
            Json::Array(records) => records
                .iter()
                .any(|record| record["approval_id"].as_str() == Some(id)),
            _ => false,
        }
    }

    pub fn record_approval(&mut self, id: &str, record: Json) {
        add(&mut self.approval_records, id, record);
    }

    pub fn record_recovery(&mut self, id: &str, record: Json) {
        add(&mut self.recovery_records, id, record);
    }
}

/// Older ledgers keep records in a list, newer ones by id.
fn add(records: &mut Json, id: &str, record: Json) {
    match records {
        Json::Array(list) => list.push(record),
        Json::Object(map) => {
            map.insert(id.to_owned(), record);
        }
        other => *other = Json::Object(Map::from_iter([(id.to_owned(), record)])),
    }
}

fn is_empty(records: &Json) -> bool {
    match records {
        Json::Null => true,
        Json::Object(map) => map.is_empty(),
        Json::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn decode(key: &str, bytes: &[u8]) -> Result<Ledger> {
    let invalid = |why: String| {
        Error::from(
            Diagnostic::error(
                "cluster_state_invalid",
                format!("{key} cannot be read: {why}"),
            )
            .hint("Restore it, or move __cluster away and run `omnigraph cluster import`."),
        )
    };
    let ledger: Ledger =
        serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    if ledger.version != VERSION {
        return Err(invalid(format!(
            "it has version {}, this program reads {VERSION}",
            ledger.version
        )));
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use omnigraph_engine::StoreOptions;

    use super::*;

    async fn memory() -> Store {
        Store::connect("memory:", &StoreOptions::default())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn of_two_who_write_one_revision_one_wins() {
        let store = memory().await;
        assert!(Ledger::read(&store).await.unwrap().is_none());
        let first = Ledger::default().write(&store, None).await.unwrap();
        let mut other = first.clone();
        other.set(&Address::Policy("p".to_owned()), Resource::default());
        let second = first.clone().write(&store, Some(&first)).await.unwrap();
        assert_eq!(second.state_revision, 2);
        assert!(matches!(
            other.write(&store, Some(&first)).await,
            Err(Error::Lost { revision: 2 })
        ));
        assert_eq!(Ledger::read(&store).await.unwrap(), Some(second));
    }

    #[tokio::test]
    async fn the_greater_of_copy_and_revisions_counts() {
        let store = memory().await;
        let first = Ledger::default().write(&store, None).await.unwrap();
        let copy = store.read(files::STATE).await.unwrap().unwrap();
        let second = first.clone().write(&store, Some(&first)).await.unwrap();
        // The copy was not written, or is lost.
        store.write(files::STATE, copy).await.unwrap();
        assert_eq!(Ledger::read(&store).await.unwrap(), Some(second.clone()));
        store.delete(files::STATE).await.unwrap();
        assert_eq!(Ledger::read(&store).await.unwrap(), Some(second));
    }

    #[tokio::test]
    async fn older_ledgers_are_read_and_unknown_fields_kept() {
        let store = memory().await;
        let old = r#"{"version": 1, "applied_revision": {"resources": {"policy.base": {"digest": "d", "size": 3}}}, "approval_records": [{"approval_id": "A"}], "extra": {"x": 1}}"#;
        store.write(files::STATE, old.into()).await.unwrap();
        let ledger = Ledger::require(&store).await.unwrap();
        assert_eq!(ledger.state_revision, 0);
        assert!(ledger.approval_was_consumed("A") && !ledger.approval_was_consumed("B"));
        let written = ledger.clone().write(&store, Some(&ledger)).await.unwrap();
        assert_eq!(written.other["extra"]["x"], 1);
        assert_eq!(
            written
                .resource(&Address::Policy("base".to_owned()))
                .unwrap()
                .other["size"],
            3
        );
        for bad in ["", "{}", r#"{"version": 2}"#] {
            let store = memory().await;
            store.write(files::STATE, bad.into()).await.unwrap();
            let error = Ledger::read(&store).await.unwrap_err();
            assert!(
                error.to_string().contains("cluster_state_invalid"),
                "{error}"
            );
        }
    }
}
