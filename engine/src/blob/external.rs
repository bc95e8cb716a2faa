//! Which places outside of the graph blobs may be read from.
//!
//! Nothing may, unless a base says so: `s3://bucket/prefix/` or `file:///folder/`. A URI and a
//! base are compared component by component, after both were read strictly, so that no way of
//! writing a path leads out of what is allowed.

use std::collections::HashMap;
use std::fmt;
use std::path::Path as FilePath;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::storage::Store;

/// Where bytes are: `s3://bucket/key` or `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobUri {
    scheme: Scheme,
    /// The bucket; empty for files.
    bucket: String,
    path: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    File,
    S3,
}

impl BlobUri {
    /// Reads an absolute URI of an object. What could be read in two ways is refused.
    pub fn parse(text: &str) -> Result<BlobUri> {
        let (uri, folder) = Self::read(text)?;
        if folder {
            return Err(refused(text, "it names a folder"));
        }
        Ok(uri)
    }

    /// Reads a base, which ends in "/".
    pub fn parse_base(text: &str) -> Result<BlobUri> {
        let (uri, folder) = Self::read(text)?;
        if !folder {
            return Err(refused(text, "a base ends with \"/\""));
        }
        Ok(uri)
    }

    pub fn is_file(&self) -> bool {
        self.scheme == Scheme::File
    }

    /// Whether what it names is in or below `base`.
    pub fn is_within(&self, base: &BlobUri) -> bool {
        self.scheme == base.scheme
            && self.bucket == base.bucket
            && self.path.starts_with(&base.path)
    }

    fn read(text: &str) -> Result<(BlobUri, bool)> {
        let refused = |why| Err(refused(text, why));
        let (scheme, rest) = match text.split_once("://") {
            Some(("file", rest)) => (Scheme::File, rest),
            Some(("s3", rest)) => (Scheme::S3, rest),
            Some(_) => return refused("only s3:// and file:// are read"),
            None => return refused("it is not absolute"),
        };
        if rest.contains(['?', '#', '\\', '%']) || rest.chars().any(char::is_control) {
            return refused("it has a query, a fragment or escapes");
        }
        let Some((bucket, path)) = rest.split_once('/') else {
            return refused("it has no path");
        };
        if bucket.contains(['@', ':']) {
            return refused("it has credentials or a port");
        }
        if bucket.is_empty() != (scheme == Scheme::File) {
            return refused(match scheme {
                Scheme::File => "a file is file:/// and its absolute path",
                Scheme::S3 => "it names no bucket",
            });
        }
        let folder = path.is_empty() || path.ends_with('/');
        let path: Vec<String> = match path.strip_suffix('/').unwrap_or(path) {
            "" => Vec::new(),
            path => path.split('/').map(str::to_owned).collect(),
        };
        if path
            .iter()
            .any(|part| matches!(part.as_str(), "" | "." | ".."))
        {
            return refused("its path has \"..\", \".\" or an empty part");
        }
        let uri = BlobUri {
            scheme,
            bucket: bucket.to_owned(),
            path,
        };
        Ok((uri, folder))
    }

    /// The path of a file.
    fn file(&self) -> String {
        format!("/{}", self.path.join("/"))
    }
}

impl fmt::Display for BlobUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::File => "file",
            Scheme::S3 => "s3",
        };
        write!(f, "{scheme}://{}/{}", self.bucket, self.path.join("/"))
    }
}

fn refused(text: &str, why: &str) -> Error {
    Error::Invalid {
        message: format!("\"{}\" is no URI of a blob: {why}", shortened(text)),
        detail: None,
        hint: Some("Write s3://bucket/key or file:///path.".to_owned()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The bases that blobs may be read from.
#[derive(Debug, Default)]
pub struct ExternalBlobs {
    bases: Vec<BlobUri>,
    /// The stores that were read from, by bucket.
    stores: Mutex<HashMap<String, Store>>,
}

impl ExternalBlobs {
    pub fn new(bases: Vec<BlobUri>) -> Self {
        ExternalBlobs {
            bases,
            stores: Mutex::default(),
        }
    }

    pub fn into_bases(self) -> Vec<BlobUri> {
        self.bases
    }

    /// The URI, if what it names may be read.
    pub fn check(&self, text: &str) -> Result<BlobUri> {
        let uri = BlobUri::parse(text)?;
        if self.bases.iter().any(|base| uri.is_within(base)) {
            return Ok(uri);
        }
        Err(outside(&uri))
    }

    /// Where the bytes are that a URI names.
    pub(super) async fn locate(&self, text: &str) -> Result<(Store, String)> {
        let uri = self.check(text)?;
        if uri.is_file() {
            // A link within an allowed folder may lead out of it.
            let file = uri.file();
            let bases = self.bases.iter().filter(|base| base.is_file());
            let bases: Vec<String> = bases.map(BlobUri::file).collect();
            let stays = tokio::task::spawn_blocking(move || stays_within(&file, &bases))
                .await
                .map_err(Error::internal)?;
            if !stays {
                return Err(outside(&uri));
            }
        }
        let mut stores = self.stores.lock();
        let store = match stores.get(&uri.bucket) {
            Some(store) => store.clone(),
            None => {
                let store = match uri.scheme {
                    Scheme::File => Store::files(),
                    Scheme::S3 => Store::bucket(&uri.bucket)?,
                };
                stores.insert(uri.bucket.clone(), store.clone());
                store
            }
        };
        Ok((store, uri.path.join("/")))
    }
}

/// Whether a file, links followed, is in one of the folders. A file that is not there is: its
/// absence is told by whoever reads it.
fn stays_within(file: &str, bases: &[String]) -> bool {
    let Ok(real) = FilePath::new(file).canonicalize() else {
        return true;
    };
    bases
        .iter()
        .filter_map(|base| FilePath::new(base).canonicalize().ok())
        .any(|base| real.starts_with(base))
}

fn outside(uri: &BlobUri) -> Error {
    Error::NotAllowed {
        message: format!("blobs may not be read from {uri}"),
        hint: "Only what is below a base of external_blobs.allow may be read: cluster.yaml says them for a server's graph, --allow-blobs for the omnigraph tool.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(base: &str, uri: &str) -> bool {
        let all = ExternalBlobs::new(vec![BlobUri::parse_base(base).unwrap()]);
        all.check(uri).is_ok()
    }

    #[test]
    fn what_is_below_a_base_is_allowed_and_nothing_else() {
        assert!(allowed("s3://assets/a/", "s3://assets/a/b.png"));
        assert!(allowed("s3://assets/", "s3://assets/a/b.png"));
        assert!(allowed("file:///srv/blobs/", "file:///srv/blobs/x/y"));
        for (base, uri) in [
            ("s3://assets/a/", "s3://assets/ab/c"),
            ("s3://assets/a/", "s3://assets/b"),
            ("s3://assets/a/", "s3://other/a/b"),
            ("s3://assets/a/", "s3://assets/a/../b"),
            ("s3://assets/a/", "s3://assets/a/%2e%2e/b"),
            ("s3://assets/a/", "s3://assets//a/b"),
            ("s3://assets/a/", "s3://user@assets/a/b"),
            ("s3://assets/a/", "s3://assets:80/a/b"),
            ("s3://assets/a/", "s3://assets/a/b?x"),
            ("s3://assets/a/", "s3://assets/a/b#x"),
            ("s3://assets/a/", "s3://assets/a/"),
            ("s3://assets/a/", "S3://assets/a/b"),
            ("s3://assets/a/", "http://assets/a/b"),
            ("file:///srv/blobs/", "file:///srv/blobs/../secret"),
            ("file:///srv/blobs/", "file://host/srv/blobs/x"),
            ("file:///srv/blobs/", "/srv/blobs/x"),
        ] {
            assert!(!allowed(base, uri), "{uri}");
        }
        assert!(ExternalBlobs::default().check("s3://assets/a").is_err());
        assert!(BlobUri::parse_base("s3://assets/a").is_err());
    }

    #[tokio::test]
    async fn a_link_does_not_lead_out_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("in")).unwrap();
        std::fs::write(root.join("secret"), "x").unwrap();
        std::fs::write(root.join("in/file"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("in/link")).unwrap();
        let base = BlobUri::parse_base(&format!("file://{}/in/", root.display())).unwrap();
        let all = ExternalBlobs::new(vec![base]);
        let at = |name: &str| format!("file://{}/in/{name}", root.display());
        assert!(all.locate(&at("file")).await.is_ok());
        let error = all.locate(&at("link")).await.unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{error}");
    }
}
