//! TLS: by request and from the first byte, and SCRAM bound to it.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{V3_0, pipe, query, startup_packet};
use super::fake::{Fakes, shared};
use crate::auth::Authenticator;
use crate::auth::credentials::Credentials;
use crate::tls::Tls;
use crate::wire::startup::Shared;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/wire/tests/tls")
        .join(name)
}

fn server(authenticator: Authenticator) -> Arc<Shared<Fakes>> {
    let tls = Tls::load(&fixture("server.pem"), &fixture("server.key")).expect("a certificate");
    shared(authenticator, Some(tls))
}

fn credentials() -> Authenticator {
    Authenticator::scram(Credentials::parse(br#"{"ada": "token"}"#).expect("credentials"))
}

/// A client that trusts our authority; `alpn` is what it offers.
fn connector(alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(fixture("ca.pem")).expect("PEM"))
        .expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn handshake(
    stream: DuplexStream,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<DuplexStream>> {
    connector(alpn)
        .connect(ServerName::try_from("localhost").expect("a name"), stream)
        .await
}

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

#[tokio::test]
async fn a_session_is_encrypted_on_request_or_from_the_first_byte() {
    let shared = server(Authenticator::Trust);
    for direct in [false, true] {
        let mut stream = pipe(&shared);
        if !direct {
            stream.write_all(&SSL_REQUEST).await.expect("sent");
            assert_eq!(stream.read_u8().await.expect("an answer"), b'S');
        }
        let mut stream = handshake(stream, &[b"postgresql"]).await.expect("TLS");
        stream
            .write_all(&startup_packet(V3_0, &[("user", "ada")]))
            .await
            .expect("sent");
        stream.write_all(&query("rows 1")).await.expect("sent");
        let mut seen = Vec::new();
        while !seen.ends_with(b"SELECT 1\0Z\0\0\0\x05I") {
            assert!(
                stream.read_buf(&mut seen).await.expect("read") > 0,
                "direct: {direct}"
            );
        }
    }
}

#[tokio::test]
async fn direct_tls_without_our_protocols_name_is_refused() {
    let shared = server(Authenticator::Trust);
    if let Ok(mut stream) = handshake(pipe(&shared), &[]).await {
        let mut nothing = Vec::new();
        // The server hangs up without a word.
        let _ = stream.read_to_end(&mut nothing).await;
        assert!(nothing.is_empty());
    }
    assert!(handshake(pipe(&shared), &[b"http/1.1"]).await.is_err());
}

#[tokio::test]
async fn what_was_sent_before_the_handshake_is_not_taken_as_said_inside_it() {
    let shared = server(Authenticator::Trust);
    let mut stream = pipe(&shared);
    let early = startup_packet(V3_0, &[("user", "mallory")]);
    stream
        .write_all(&[&SSL_REQUEST[..], &early].concat())
        .await
        .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed");
    let text = String::from_utf8_lossy(&answer);
    assert!(
        text.starts_with("SE") && text.contains("unencrypted data after SSL request"),
        "{text}"
    );
}

#[tokio::test]
async fn scram_is_bound_to_the_channel() {
    let shared = server(credentials());
    for (binding, wrong, expected) in [
        (tokio_postgres::config::ChannelBinding::Require, false, true),
        (tokio_postgres::config::ChannelBinding::Disable, false, true),
        (tokio_postgres::config::ChannelBinding::Require, true, false),
    ] {
        let stream = pipe(&shared);
        let result = tokio_postgres::Config::new()
            .user("ada")
            .password("token")
            .ssl_mode(tokio_postgres::config::SslMode::Require)
            .channel_binding(binding)
            .connect_raw(stream, Connect { wrong })
            .await;
        assert_eq!(result.is_ok(), expected, "{binding:?}, wrong: {wrong}");
    }
}

/// tokio-postgres over our TLS client; `wrong` binds to another certificate.
struct Connect {
    wrong: bool,
}

struct Bound {
    stream: TlsStream<DuplexStream>,
    wrong: bool,
}

impl TlsConnect<DuplexStream> for Connect {
    type Stream = Bound;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Bound>> + Send>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        Box::pin(async move {
            let stream = handshake(stream, &[b"postgresql"]).await?;
            Ok(Bound {
                stream,
                wrong: self.wrong,
            })
        })
    }
}

impl tokio_postgres::tls::TlsStream for Bound {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.stream.get_ref();
        let certificate = session.peer_certificates().expect("a certificate")[0].clone();
        let mut hash = Sha256::digest(&certificate).to_vec();
        hash[0] ^= u8::from(self.wrong);
        ChannelBinding::tls_server_end_point(hash)
    }
}

impl AsyncRead for Bound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Bound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[test]
fn a_key_that_does_not_fit_or_a_missing_file_is_named() {
    let error = Tls::load(&fixture("server.pem"), Path::new("/nowhere/key.pem"))
        .err()
        .expect("an error");
    assert!(error.contains("/nowhere/key.pem"), "{error}");
    let error = Tls::load(&fixture("ca.pem"), &fixture("server.key"))
        .err()
        .expect("an error");
    assert!(error.contains("ca.pem"), "{error}");
    let error = Tls::load(&fixture("server.key"), &fixture("server.key"))
        .err()
        .expect("an error");
    assert!(error.contains("no certificate"), "{error}");
}
