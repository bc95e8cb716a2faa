//! What the ledger says, without touching a graph.

use super::address::{Address, digest};
use super::approval::{self, Approval};
use super::error::Result;
use super::intent::{self, Intent};
use super::ledger::{Ledger, Resource};
use super::lock::{self, Holder};
use super::{Cluster, files};
use crate::diagnostic::Diagnostic;

#[derive(Debug)]
pub struct Standing {
    pub ledger: Ledger,
    pub lock: Option<Holder>,
    pub approvals: Vec<Approval>,
    pub unsettled: Vec<Intent>,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
}

/// Is a payload what the ledger says?
#[derive(Debug)]
pub enum Condition {
    Whole,
    /// Lost or tampered with.
    Bad(Diagnostic),
    Unreadable(Diagnostic),
}

impl Cluster {
    pub async fn status(&self) -> Result<Standing> {
        let ledger = Ledger::require(&self.store).await?;
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        for (address, resource) in ledger.resources() {
            match self.check_payload(&address, resource).await {
                Condition::Whole => {}
                Condition::Bad(found) => warnings.push(found),
                Condition::Unreadable(found) => errors.push(found),
            }
        }
        Ok(Standing {
            lock: lock::holder(&self.store).await?,
            approvals: approval::open(&self.store, &ledger).await?,
            unsettled: intent::open(&self.store).await?,
            ledger,
            errors,
            warnings,
        })
    }

    pub(super) async fn check_payload(&self, address: &Address, resource: &Resource) -> Condition {
        match self.payload(address, resource).await {
            Ok(_) => Condition::Whole,
            Err(found) if found.is_error() => Condition::Unreadable(found),
            Err(found) => Condition::Bad(found),
        }
    }

    /// The payload of an applied resource, checked; a warning says that it is lost or tampered
    /// with, an error that it cannot be read.
    pub async fn payload(
        &self,
        address: &Address,
        resource: &Resource,
    ) -> Result<Option<String>, Diagnostic> {
        let extension = match address {
            Address::Schema(_) => "pg",
            Address::Policy(_) => "yaml",
            _ => resource.extension.as_deref().unwrap_or("gq"),
        };
        let Some(key) = files::payload(address, &resource.digest, extension) else {
            return Ok(None);
        };
        let about = |found: Diagnostic| {
            found
                .about(address.to_string())
                .hint("`omnigraph cluster refresh`, then `omnigraph cluster apply`.")
        };
        match self.store.read(&key).await {
            // A graph's schema is in the graph; one that was never applied here has no payload.
            Ok(None) if matches!(address, Address::Schema(_)) => Ok(None),
            Ok(None) => {
                let message = format!("{key} is missing");
                Err(about(Diagnostic::warning(
                    "catalog_payload_missing",
                    message,
                )))
            }
            Ok(Some(bytes)) if digest(&bytes) == resource.digest => {
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Ok(Some(_)) => {
                let message = format!("{key} does not have the digest of its name");
                Err(about(Diagnostic::warning(
                    "catalog_payload_digest_mismatch",
                    message,
                )))
            }
            Err(error) => {
                let message = format!("{key} cannot be read: {error}");
                Err(about(Diagnostic::error(
                    "catalog_payload_unreadable",
                    message,
                )))
            }
        }
    }
}
