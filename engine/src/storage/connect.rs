//! From a path or URL to a [`Store`].

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ClientOptions, RetryConfig};

use super::layer::StoreLayer;
use super::{Store, UNREACHABLE_FOR, unavailable};
use crate::error::{Error, Result};

/// What "acknowledged" means on a local file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A commit survives power loss.
    #[default]
    Fsync,
    /// A commit survives the end of the process, not power loss.
    None,
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Durability::Fsync => "fsync",
            Durability::None => "none",
        })
    }
}

#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    pub durability: Durability,
    /// Permit NFS, SMB and FUSE, whose negative lookup caches make "not there" unreliable
    /// unless mounted with `lookupcache=none`.
    pub allow_network_fs: bool,
}

impl Store {
    /// Connects to a directory (a path or `file://`), to `memory:` (a fresh store of this
    /// process) or to `s3://bucket/prefix`, whose endpoint and credentials come from the
    /// usual `AWS_*` environment variables.
    pub async fn connect(url: &str, options: &StoreOptions) -> Result<Store> {
        if url == "memory:" {
            let layer = StoreLayer::new(Arc::new(InMemory::new()), None, Durability::None);
            return Ok(store(layer, Path::default(), url.to_owned()));
        }
        match url.split_once("://") {
            Some(("s3" | "s3a", rest)) => connect_s3(url, rest),
            Some(("file", rest)) => connect_folder(PathBuf::from(rest), options),
            Some((scheme, _)) => Err(Error::Invalid {
                message: format!("\"{scheme}://\" is not a kind of store that is known here"),
                detail: None,
                hint: Some("Give a directory or s3://bucket/prefix.".to_owned()),
            }),
            None => connect_folder(PathBuf::from(url), options),
        }
    }

    /// All files of this machine, to be read.
    pub(crate) fn files() -> Store {
        let layer = StoreLayer::new(Arc::new(LocalFileSystem::new()), None, Durability::None);
        store(layer, Path::default(), "file:///".to_owned())
    }

    /// A bucket of S3, whole.
    pub(crate) fn bucket(name: &str) -> Result<Store> {
        connect_s3(&format!("s3://{name}"), name)
    }
}

fn connect_s3(url: &str, rest: &str) -> Result<Store> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(Error::invalid(format!("\"{url}\" names no bucket")));
    }
    install_tls_provider();
    let mut plain_http = false;
    for variable in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"] {
        if let Ok(endpoint) = std::env::var(variable) {
            plain_http |= is_plain_http(variable, &endpoint)?;
        }
    }
    let inner = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(ClientOptions::new().with_allow_http(plain_http))
        .with_retry(RetryConfig {
            retry_timeout: UNREACHABLE_FOR,
            ..RetryConfig::default()
        })
        .build()
        .map_err(unavailable)?;
    let layer = StoreLayer::new(Arc::new(inner), None, Durability::None);
    Ok(store(layer, Path::from(prefix), url.to_owned()))
}

/// Whether an endpoint is reached without TLS. The client would panic over one that is no URL.
fn is_plain_http(variable: &str, endpoint: &str) -> Result<bool> {
    match url::Url::parse(endpoint) {
        Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "https") => {
            Ok(url.scheme() == "http")
        }
        _ => Err(Error::Invalid {
            message: format!("{variable} is \"{endpoint}\", which is no http:// or https:// URL"),
            detail: None,
            hint: Some("Give it whole, such as http://127.0.0.1:9000, or unset it.".to_owned()),
        }),
    }
}

/// The HTTP client takes the process's default provider; whoever comes first sets it.
fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn connect_folder(folder: PathBuf, options: &StoreOptions) -> Result<Store> {
    let io = |error: std::io::Error| Error::Unavailable {
        message: format!("{}: {error}", folder.display()),
    };
    make_folder(&folder, options.durability).map_err(io)?;
    let folder = folder.canonicalize().map_err(io)?;
    if !options.allow_network_fs
        && let Some(kind) = network_file_system(&folder)?
    {
        return Err(Error::Unsupported {
            message: format!("{} lies on {kind}, where \"not there\" may be a stale answer", folder.display()),
            hint: Some(
                "Use a local disk or S3, or mount with lookupcache=none and pass --allow-network-fs."
                    .to_owned(),
            ),
        });
    }
    let root = Path::from_absolute_path(&folder)
        .map_err(|error| Error::invalid(format!("{}: {error}", folder.display())))?;
    let inner = LocalFileSystem::new().with_fsync(options.durability == Durability::Fsync);
    let layer = StoreLayer::new(Arc::new(inner), Some(folder.clone()), options.durability);
    Ok(store(layer, root, folder.display().to_string()))
}

/// Makes a folder and what is missing above it. What will be written into it survives power
/// loss only if all their names do, each in the folder above.
pub fn make_folder(folder: &std::path::Path, durability: Durability) -> std::io::Result<()> {
    let above = |folder: &std::path::Path| match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let missing: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .map(above)
        .collect();
    std::fs::create_dir_all(folder)?;
    if durability == Durability::None {
        return Ok(());
    }
    for parent in &missing {
        File::open(parent)?.sync_all()?;
    }
    if missing.is_empty() {
        // Another process may have made the folder a moment ago. A parent that may not be
        // read was made by somebody else long before.
        if let Ok(parent) = File::open(above(folder)) {
            parent.sync_all()?;
        }
    }
    Ok(())
}

fn network_file_system(folder: &std::path::Path) -> Result<Option<&'static str>> {
    let status = rustix::fs::statfs(folder).map_err(|error| Error::Unavailable {
        message: format!("{}: {error}", folder.display()),
    })?;
    Ok(network_file_system_of(status.f_type as u64))
}

/// By the magic numbers of statfs(2).
fn network_file_system_of(magic: u64) -> Option<&'static str> {
    match magic & 0xffff_ffff {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

fn store(layer: StoreLayer, root: Path, url: String) -> Store {
    Store {
        layer: Arc::new(layer),
        root,
        url,
        patience: UNREACHABLE_FOR,
    }
}

#[cfg(test)]
impl Store {
    /// A store over whatever a test has made, as far away as S3 is.
    pub(crate) fn over(inner: Arc<dyn object_store::ObjectStore>) -> Store {
        let layer = StoreLayer::new(inner, None, Durability::None);
        store(layer, Path::default(), "s3://test".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_whole_url_or_a_clear_error() {
        assert!(is_plain_http("AWS_ENDPOINT_URL", "http://127.0.0.1:9000").unwrap());
        assert!(!is_plain_http("AWS_ENDPOINT_URL", "https://s3.example.org").unwrap());
        for wrong in ["", "127.0.0.1:9000", "localhost:9000", "ftp://x", "http://"] {
            let error = is_plain_http("AWS_ENDPOINT_URL", wrong).unwrap_err();
            assert!(error.to_string().contains("AWS_ENDPOINT_URL"), "{error}");
        }
    }

    #[test]
    fn file_systems_that_remember_absent_names_are_known() {
        // SMB2's magic is negative as the 32-bit number that some systems give.
        let smb2 = i64::from(0xfe53_4d42_u32 as i32) as u64;
        for (magic, name) in [
            (0x6969, Some("NFS")),
            (smb2, Some("SMB")),
            (0x517b, Some("SMB")),
            (0x6573_5546, Some("FUSE")),
            (0xef53, None),
            (0x0102_1994, None),
        ] {
            assert_eq!(network_file_system_of(magic), name);
        }
    }

    #[test]
    fn folders_are_made_with_all_above_them_and_may_be_there() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        for durability in [Durability::Fsync, Durability::None, Durability::Fsync] {
            make_folder(&deep, durability).unwrap();
            assert!(deep.is_dir());
        }
        std::fs::write(root.path().join("file"), "").unwrap();
        assert!(make_folder(&root.path().join("file/x"), Durability::Fsync).is_err());
    }
}
