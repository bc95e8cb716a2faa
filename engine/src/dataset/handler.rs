//! How Lance finds and publishes a detached version here: by its number alone, without a
//! request, and under a constant tag, so that its caches hold what they hold.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lance_io::object_store::ObjectStore;
use lance_table::format::{IndexMetadata, Manifest, Transaction, is_detached_version};
use lance_table::io::commit::{
    CommitError, CommitHandler, ConditionalPutCommitHandler, ManifestLocation,
    ManifestNamingScheme, ManifestWriter,
};
use object_store::path::Path;

/// Knows the size of the one manifest it was made to open; Lance otherwise asks for it.
pub(super) struct PinnedHandler {
    pub version: u64,
    pub size: Option<u64>,
}

impl PinnedHandler {
    pub fn writer() -> Arc<dyn CommitHandler> {
        Arc::new(PinnedHandler {
            version: 0,
            size: None,
        })
    }
}

impl fmt::Debug for PinnedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedHandler").finish_non_exhaustive()
    }
}

fn tag(version: u64) -> Option<String> {
    Some(format!("d{version}"))
}

#[async_trait]
impl CommitHandler for PinnedHandler {
    async fn resolve_version_location(
        &self,
        base_path: &Path,
        version: u64,
        object_store: &dyn object_store::ObjectStore,
    ) -> lance_core::Result<ManifestLocation> {
        if !is_detached_version(version) {
            return ConditionalPutCommitHandler
                .resolve_version_location(base_path, version, object_store)
                .await;
        }
        Ok(ManifestLocation {
            version,
            path: ManifestNamingScheme::V2.manifest_path(base_path, version),
            size: self.size.filter(|_| version == self.version),
            naming_scheme: ManifestNamingScheme::V2,
            e_tag: tag(version),
            identity: None,
        })
    }

    async fn commit(
        &self,
        manifest: &mut Manifest,
        indices: Option<Vec<IndexMetadata>>,
        base_path: &Path,
        object_store: &ObjectStore,
        manifest_writer: ManifestWriter,
        naming_scheme: ManifestNamingScheme,
        transaction: Option<Transaction>,
    ) -> Result<ManifestLocation, CommitError> {
        let version = manifest.version;
        let mut location = ConditionalPutCommitHandler
            .commit(
                manifest,
                indices,
                base_path,
                object_store,
                manifest_writer,
                naming_scheme,
                transaction,
            )
            .await?;
        if is_detached_version(version) {
            location.e_tag = tag(version);
        }
        Ok(location)
    }
}
