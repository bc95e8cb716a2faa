//! What a cluster says about blobs outside of its graphs.

use omnigraph_engine::Store;
use omnigraph_engine::blob::{BlobUri, ExternalBlobs};
use serde_json::Value as Json;

use super::address::Address;
use super::error::Result;
use super::ledger::{Ledger, Resource};

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A server, for others: only what is safe for that.
    Server,
    /// A program on the store itself.
    Embedded,
}

/// The bases that were applied for a graph. What cannot be read as a base allows nothing.
pub(super) fn allowed(resource: Option<&Resource>, reader: Reader) -> ExternalBlobs {
    let all = resource
        .and_then(|resource| resource.external_blobs.as_ref()?.get("allow")?.as_array())
        .map_or(&[][..], Vec::as_slice);
    let bases = all.iter().filter_map(|entry| {
        let text = |name: &str| entry.get(name).and_then(Json::as_str);
        let base = BlobUri::parse_base(text("base")?).ok()?;
        let is_safe = text("scope") == Some("server_safe") && !base.is_file();
        (reader == Reader::Embedded || is_safe).then_some(base)
    });
    ExternalBlobs::new(bases.collect())
}

/// For a program that opens a graph of a cluster itself: what was applied for the graph.
/// `None`: there is no cluster.
pub async fn external_blobs(cluster: &Store, graph: &str) -> Result<Option<Vec<BlobUri>>> {
    let Some(ledger) = Ledger::read(cluster).await? else {
        return Ok(None);
    };
    let resource = ledger.resource(&Address::Graph(graph.to_owned()));
    Ok(Some(allowed(resource, Reader::Embedded).into_bases()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_reads_what_is_safe_for_it_and_a_program_on_the_store_all() {
        let resource = Resource {
            external_blobs: Some(json!({ "allow": [
                { "base": "s3://assets/a/", "scope": "server_safe" },
                { "base": "s3://private/", "scope": "embedded_only" },
                { "base": "file:///srv/blobs/", "scope": "embedded_only" },
                { "base": "file:///etc/", "scope": "server_safe" },
            ] })),
            ..Resource::default()
        };
        let may = |reader, uri| allowed(Some(&resource), reader).check(uri).is_ok();
        assert!(may(Reader::Server, "s3://assets/a/x"));
        for uri in ["s3://private/x", "file:///srv/blobs/x", "file:///etc/x"] {
            assert!(!may(Reader::Server, uri), "{uri}");
            assert!(may(Reader::Embedded, uri), "{uri}");
        }
        assert!(!may(Reader::Embedded, "s3://assets/b"));
        assert!(
            allowed(None, Reader::Embedded)
                .check("s3://assets/a/x")
                .is_err()
        );
    }
}
