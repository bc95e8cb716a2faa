//! TLS: the server's certificate, re-read when its files change, and the stream that may or
//! may not be encrypted.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

/// The protocol's name in ALPN.
const ALPN: &[u8] = b"postgresql";
/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// What a server needs to encrypt. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<RwLock<Arc<Loaded>>>,
    /// The files as they were when they were last looked at, for better or worse.
    seen: Arc<RwLock<Modified>>,
}

/// When the certificate and the key were changed.
type Modified = [Option<SystemTime>; 2];

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

struct Loaded {
    config: Arc<ServerConfig>,
    endpoint_hash: Option<Vec<u8>>,
}

impl Tls {
    /// Reads PEM files: the certificate with its chain, and the private key.
    pub fn load(certificate: &Path, key: &Path) -> Result<Tls, String> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        // Taken first: a change while we read is seen the next time.
        let seen = files.modified();
        let loaded = files.load()?;
        Ok(Tls {
            files: Arc::new(files),
            current: Arc::new(RwLock::new(Arc::new(loaded))),
            seen: Arc::new(RwLock::new(seen)),
        })
    }

    /// Looks at the files now and then; a new pair is used for new connections, a broken one is
    /// reported and the old one stays.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            self.reload_if_changed();
        }
    }

    fn reload_if_changed(&self) {
        let modified = self.files.modified();
        if std::mem::replace(&mut *self.seen.write(), modified) == modified {
            return;
        }
        match self.files.load() {
            Ok(loaded) => {
                *self.current.write() = Arc::new(loaded);
                info!("TLS certificate reloaded");
            }
            Err(error) => {
                warn!(%error, "the changed TLS certificate cannot be used, the old one stays")
            }
        }
    }

    /// The handshake after SSLRequest. Returns the certificate's hash with the stream: it may
    /// be replaced before the client proves who it is.
    pub async fn accept<S>(&self, stream: S) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.handshake(Bytes::new(), stream).await
    }

    /// The handshake of a client that began with it; it must name the protocol (ALPN), so that
    /// no other protocol's client can be led here. `hello` was read already.
    pub async fn accept_direct<S>(&self, stream: S, hello: Bytes) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.handshake(hello, stream).await?;
        if let Stream::Tls(tls, _) = &stream
            && tls.get_ref().1.alpn_protocol() != Some(ALPN)
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "direct TLS without ALPN \"postgresql\"",
            ));
        }
        Ok(stream)
    }

    async fn handshake<S>(&self, prefix: Bytes, inner: S) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let loaded = Arc::clone(&self.current.read());
        let acceptor = TlsAcceptor::from(Arc::clone(&loaded.config));
        let stream = acceptor.accept(Prefixed { prefix, inner }).await?;
        Ok(Stream::Tls(Box::new(stream), loaded.endpoint_hash.clone()))
    }
}

impl Files {
    fn modified(&self) -> Modified {
        let time = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
        [time(&self.certificate), time(&self.key)]
    }

    fn load(&self) -> Result<Loaded, String> {
        let certificate = self.certificate.display();
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| format!("TLS certificate {certificate}: {error}"))?;
        let Some(first) = chain.first() else {
            return Err(format!(
                "TLS certificate {certificate}: it holds no certificate"
            ));
        };
        let endpoint_hash = endpoint_hash(first);
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("TLS key {}: {error}", self.key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| format!("TLS: {error}"))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| format!("TLS certificate {certificate} and its key: {error}"))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Loaded {
            config: Arc::new(config),
            endpoint_hash,
        })
    }
}

/// The binding `tls-server-end-point` (RFC 5929): the certificate's hash by the hash function
/// of its signature, SHA-256 instead of MD5 and SHA-1; none for signatures without one.
fn endpoint_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    const SHA256: [&[u8]; 4] = [
        // sha256WithRSAEncryption, ecdsa-with-SHA256, sha1WithRSAEncryption, ecdsa-with-SHA1
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
    ];
    const SHA384: [&[u8]; 2] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c],
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
    ];
    const SHA512: [&[u8]; 2] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d],
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
    ];
    // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, … }, … }
    let (certificate_body, _) = der(certificate, 0x30)?;
    let (_, after_tbs) = der(certificate_body, 0x30)?;
    let (algorithm, _) = der(after_tbs, 0x30)?;
    let (oid, _) = der(algorithm, 0x06)?;
    if SHA256.contains(&oid) {
        Some(Sha256::digest(certificate).to_vec())
    } else if SHA384.contains(&oid) {
        Some(Sha384::digest(certificate).to_vec())
    } else if SHA512.contains(&oid) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

/// One DER value: what is in it and what comes after.
fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        (length, rest)
    };
    (found == tag)
        .then(|| rest.split_at_checked(length))
        .flatten()
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub struct Prefixed<S> {
    prefix: Bytes,
    inner: S,
}

/// A connection, encrypted or not; with the hash of the certificate it was encrypted under.
pub enum Stream<S> {
    Plain(S),
    Tls(Box<TlsStream<Prefixed<S>>>, Option<Vec<u8>>),
}

impl<S> Stream<S> {
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(..))
    }

    /// For SCRAM's channel binding.
    pub fn endpoint_hash(&self) -> Option<&[u8]> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(_, hash) => hash.as_deref(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let length = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..length]);
        self.prefix.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream, _) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_certificate_is_used_and_a_broken_one_is_not() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/tests/tls");
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        std::fs::copy(fixtures.join("server.pem"), &certificate).expect("copied");
        std::fs::copy(fixtures.join("server.key"), &key).expect("copied");
        let tls = Tls::load(&certificate, &key).expect("a certificate");
        let first = Arc::clone(&tls.current.read());

        tls.reload_if_changed();
        assert!(
            Arc::ptr_eq(&first, &tls.current.read()),
            "nothing has changed"
        );
        std::fs::write(&certificate, "broken").expect("written");
        tls.reload_if_changed();
        assert!(
            Arc::ptr_eq(&first, &tls.current.read()),
            "the old one stays"
        );
        std::fs::copy(fixtures.join("server.pem"), &certificate).expect("copied");
        tls.reload_if_changed();
        assert!(
            !Arc::ptr_eq(&first, &tls.current.read()),
            "the new one is used"
        );
        assert_eq!(first.endpoint_hash, tls.current.read().endpoint_hash);
    }

    #[test]
    fn a_truncated_certificate_has_no_hash() {
        assert_eq!(endpoint_hash(&[]), None);
        assert_eq!(endpoint_hash(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(endpoint_hash(&[0x30, 0x03, 0x30, 0x00, 0x30]), None);
    }
}
