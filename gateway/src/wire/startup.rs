//! From the first byte to a session: encryption, the startup packet, version negotiation, proof
//! of identity. All of it within [`LOGIN_TIMEOUT`] and the small limits of this phase.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tracing::debug;

use crate::auth::Authenticator;
use crate::error::{PgError, PgResult, Severity};
use crate::session::protocol::{Backend, Backends, Startup};
use crate::session::registry::{Registered, Registry};
use crate::sqlstate;
use crate::tls::{Stream, Tls};
use crate::wire::channel::{Channel, is_lost};
use crate::wire::connection::Connection;
use crate::wire::message::{Body, violation};
use crate::wire::{MAX_STARTUP, reply};

/// How long a login may take.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
/// The newest minor version of protocol 3 that we speak.
const NEWEST_MINOR: u16 = 2;

/// What all connections of a server share.
pub struct Shared<B> {
    pub backends: B,
    pub registry: Arc<Registry>,
    pub authenticator: Authenticator,
    pub tls: Option<Tls>,
    /// Sessions at a time; one more is 53300.
    pub sessions: Arc<Semaphore>,
    /// Connections that have not logged in by then are dropped.
    pub login_timeout: Duration,
    /// Becomes true when the server stops: who has not logged in by then does not any more.
    pub closing: watch::Receiver<bool>,
}

/// Serves one connection to its end. `permit` is its place among those that have not logged in.
pub async fn serve<S, B>(
    shared: Arc<Shared<B>>,
    stream: S,
    peer: Option<SocketAddr>,
    permit: Option<OwnedSemaphorePermit>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    B: Backends,
{
    let mut closing = shared.closing.clone();
    // On the heap, so that a session does not carry the space of its login with it.
    let login = Box::pin(login(&shared, stream, peer));
    let session = tokio::select! {
        session = timeout(shared.login_timeout, login) => session,
        Ok(_) = closing.wait_for(|closing| *closing) => return,
    };
    match session {
        Ok(Some(session)) => {
            drop(permit);
            Box::pin(session.connection.run()).await;
        }
        Ok(None) => {}
        Err(_) => debug!(?peer, "no login within {:?}", shared.login_timeout),
    }
}

/// A logged-in connection, with its places among the sessions.
struct Session<S, B: Backend> {
    connection: Connection<S, B>,
    _registered: Registered,
    _permit: OwnedSemaphorePermit,
}

/// `None`: the connection ended, the client was told why.
async fn login<S, B>(
    shared: &Arc<Shared<B>>,
    stream: S,
    peer: Option<SocketAddr>,
) -> Option<Session<Stream<S>, B::Backend>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    B: Backends,
{
    let (mut channel, packet, opened) = match first_packet(shared.tls.as_ref(), stream).await {
        Ok(Opening::Startup(channel, packet, opened)) => (channel, packet, opened),
        Ok(Opening::Cancel { pid, secret }) => {
            shared.registry.cancel(pid, &secret);
            return None;
        }
        Ok(Opening::Gone) => return None,
        Err(mut refusal) => {
            refusal.error.severity = Severity::Fatal;
            debug!(?peer, message = %refusal.error.message, "refused before startup");
            if let Some(mut channel) = refusal.channel {
                reply::error(&mut channel.out, &refusal.error);
                channel.close().await;
            }
            return None;
        }
    };
    match session(shared, &mut channel, packet, opened, peer).await {
        Ok((backend, registered, permit)) => {
            shared.registry.metrics().connected();
            let connection = Connection::new(channel, backend, registered.handle.clone());
            Some(Session {
                connection,
                _registered: registered,
                _permit: permit,
            })
        }
        Err(mut error) => {
            error.severity = Severity::Fatal;
            shared.registry.metrics().login_failed();
            debug!(?peer, code = error.code, message = %error.message, "login failed");
            if !is_lost(&error) {
                reply::error(&mut channel.out, &error);
            }
            channel.close().await;
            None
        }
    }
}

/// How a connection is encrypted.
#[derive(Debug, Default)]
struct Encryption {
    tls: bool,
    /// For channel binding: the hash of the certificate that the handshake used.
    endpoint_hash: Option<Vec<u8>>,
}

impl Encryption {
    fn of<S>(stream: &Stream<S>) -> Self {
        Encryption {
            tls: stream.is_tls(),
            endpoint_hash: stream.endpoint_hash().map(<[u8]>::to_vec),
        }
    }
}

/// What a connection begins with, once it is encrypted or will not be.
enum Opening<S> {
    Startup(Channel<Stream<S>>, Packet, Encryption),
    Cancel { pid: i32, secret: Bytes },
    Gone,
}

/// Why a connection is not even listened to, and where to say so if that makes sense.
struct Refusal<S> {
    error: PgError,
    channel: Option<Channel<Stream<S>>>,
}

/// SSLRequest and GSSENCRequest, each at most once, in any order; or TLS from the first byte.
async fn first_packet<S>(tls: Option<&Tls>, stream: S) -> Result<Opening<S>, Refusal<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut channel = Channel::new(Stream::Plain(stream));
    let mut encryption = Encryption::default();
    let (mut asked_ssl, mut asked_gss) = (false, false);
    loop {
        let refuse = |channel, error| {
            Err(Refusal {
                error,
                channel: Some(channel),
            })
        };
        // A TLS record begins with 22, which no startup packet of ours can.
        let filled = channel.fill(1).await;
        if let (Ok(true), Some(tls), false, false) =
            (&filled, tls, encryption.tls, asked_ssl || asked_gss)
            && channel.buffered().first() == Some(&22)
        {
            let hello = channel.take(channel.buffered().len());
            let Some(Stream::Plain(stream)) = channel.into_stream() else {
                return Ok(Opening::Gone);
            };
            let Ok(stream) = tls.accept_direct(stream, hello).await else {
                return Ok(Opening::Gone);
            };
            encryption = Encryption::of(&stream);
            channel = Channel::new(stream);
            continue;
        }
        if !matches!(channel.fill(4).await, Ok(true)) {
            return Ok(Opening::Gone);
        }
        let head = channel.buffered();
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if !(8..=MAX_STARTUP).contains(&length) {
            return refuse(channel, violation("invalid length of startup packet"));
        }
        if !matches!(channel.fill(length).await, Ok(true)) {
            return Ok(Opening::Gone);
        }
        let mut body = Body {
            rest: channel.take(length).slice(4..),
        };
        let code = match body.u32() {
            Ok(code) => code,
            Err(error) => return refuse(channel, error),
        };
        match code {
            SSL_REQUEST if !asked_ssl && !encryption.tls => {
                asked_ssl = true;
                channel.out.push(if tls.is_some() { b'S' } else { b'N' });
                if channel.flush().await.is_err() {
                    return Ok(Opening::Gone);
                }
                if let Some(tls) = tls {
                    if !channel.buffered().is_empty() {
                        let error = violation("received unencrypted data after SSL request")
                            .detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.");
                        return refuse(channel, error);
                    }
                    let Some(Stream::Plain(stream)) = channel.into_stream() else {
                        return Ok(Opening::Gone);
                    };
                    match tls.accept(stream).await {
                        Ok(stream) => {
                            encryption = Encryption::of(&stream);
                            channel = Channel::new(stream);
                        }
                        Err(error) => {
                            debug!(%error, "TLS handshake failed");
                            return Ok(Opening::Gone);
                        }
                    }
                }
            }
            GSSENC_REQUEST if !asked_gss && !encryption.tls => {
                asked_gss = true;
                channel.out.push(b'N');
                if channel.flush().await.is_err() {
                    return Ok(Opening::Gone);
                }
            }
            CANCEL_REQUEST => {
                let pid = body.u32().map(|pid| pid as i32);
                // 4 bytes before protocol 3.2, up to 256 since.
                return match pid {
                    Ok(pid) if (4..=256).contains(&body.rest.len()) => Ok(Opening::Cancel {
                        pid,
                        secret: body.rest,
                    }),
                    _ => Ok(Opening::Gone),
                };
            }
            SSL_REQUEST | GSSENC_REQUEST => {
                return refuse(channel, violation("encryption was asked for twice"));
            }
            version => {
                return match Packet::parse(version, body) {
                    Ok(packet) => Ok(Opening::Startup(channel, packet, encryption)),
                    Err(error) => refuse(channel, error),
                };
            }
        }
    }
}

/// The startup packet, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) minor: u16,
    pub(super) user: String,
    pub(super) database: Option<String>,
    /// Of `options` first, then the packet's own.
    pub(super) settings: Vec<(String, String)>,
    /// `_pq_.` options, none of which we know.
    pub(super) unknown: Vec<String>,
}

impl Packet {
    pub(super) fn parse(version: u32, mut body: Body) -> PgResult<Packet> {
        let (major, minor) = ((version >> 16) as u16, version as u16);
        if major != 3 {
            return Err(PgError::fatal(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!(
                    "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}"
                ),
            ));
        }
        let malformed = || {
            PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                "invalid startup packet layout: expected terminator as last byte",
            )
        };
        let mut packet = Packet {
            minor,
            user: String::new(),
            database: None,
            settings: Vec::new(),
            unknown: Vec::new(),
        };
        let mut own = Vec::new();
        loop {
            let name = body.text()?;
            if name.is_empty() {
                break;
            }
            let value = body.text()?;
            match name.as_str() {
                "user" => packet.user = value,
                "database" => packet.database = Some(value).filter(|name| !name.is_empty()),
                "options" => packet.settings.extend(options(&value)?),
                "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                    return Err(PgError::fatal(
                        sqlstate::FEATURE_NOT_SUPPORTED,
                        "replication connections are not supported",
                    ));
                }
                "replication" => {}
                _ if name.starts_with("_pq_.") => packet.unknown.push(name),
                _ => own.push((name, value)),
            }
        }
        if !body.rest.is_empty() {
            return Err(malformed());
        }
        packet.settings.extend(own);
        if packet.user.is_empty() {
            return Err(PgError::fatal(
                sqlstate::INVALID_AUTHORIZATION_SPECIFICATION,
                "no PostgreSQL user name specified in startup packet",
            ));
        }
        Ok(packet)
    }
}

/// `-c a=b -ca=b --a=b`, words apart by blanks, a backslash before a blank that is meant.
pub(super) fn options(text: &str) -> PgResult<Vec<(String, String)>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);

    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match word.as_str() {
            "-c" => words.next(),
            other => other
                .strip_prefix("--")
                .or_else(|| other.strip_prefix("-c"))
                .map(str::to_owned),
        };
        let pair = setting
            .as_deref()
            .and_then(|setting| setting.split_once('='));
        let Some((name, value)) = pair.filter(|(name, _)| !name.is_empty()) else {
            return Err(PgError::fatal(
                sqlstate::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            )
            .hint("Use options=-c name=value."));
        };
        // As PostgreSQL's long options: `--search-path`.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

type Admitted<B> = (B, Registered, OwnedSemaphorePermit);

/// Proof of identity, a place among the sessions, and the greeting up to ReadyForQuery.
async fn session<S, B>(
    shared: &Arc<Shared<B>>,
    channel: &mut Channel<Stream<S>>,
    packet: Packet,
    opened: Encryption,
    peer: Option<SocketAddr>,
) -> PgResult<Admitted<B::Backend>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    B: Backends,
{
    let minor = match packet.minor {
        0 => 0,
        // 3.1 was never given out.
        1 => 0,
        _ => NEWEST_MINOR,
    };
    if minor != packet.minor || !packet.unknown.is_empty() {
        let version = 3 << 16 | u32::from(minor);
        reply::negotiate_protocol_version(&mut channel.out, version, &packet.unknown);
    }
    let address = peer.map(|peer| unmapped(peer.ip()));
    let endpoint = opened.endpoint_hash.as_deref();
    shared
        .authenticator
        .run(channel, &packet.user, address, endpoint)
        .await?;
    let permit = Arc::clone(&shared.sessions)
        .try_acquire_owned()
        .map_err(|_| {
            PgError::fatal(
                sqlstate::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            )
        })?;
    reply::authentication_ok(&mut channel.out);
    let registered = shared.registry.register(if minor >= 2 { 32 } else { 4 });
    let startup = Startup {
        database: packet.database.unwrap_or_else(|| packet.user.clone()),
        actor: packet.user,
        settings: packet.settings,
        peer,
        tls: opened.tls,
        pid: registered.handle.pid(),
        handle: registered.handle.clone(),
    };
    let backend = shared.backends.connect(startup).await?;
    for (name, value) in backend.parameters() {
        reply::parameter_status(&mut channel.out, name, &value);
    }
    reply::backend_key_data(
        &mut channel.out,
        registered.handle.pid(),
        &registered.secret,
    );
    Ok((backend, registered, permit))
}

/// An IPv4 client on an IPv6 socket is the same client.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
