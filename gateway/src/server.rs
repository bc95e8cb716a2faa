//! The server: listens, lets connections in, drains and stops.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument, debug, debug_span, info, warn};

use crate::config::{Config, CredentialSource};
use crate::session::protocol::{Backends, terminated};
use crate::session::registry::{Phase, Registry};
use crate::wire::startup::{LOGIN_TIMEOUT, Shared, serve};

/// Connections that have not logged in, beyond which new ones are closed unheard.
const MAX_UNAUTHENTICATED: usize = 256;
/// How long sessions that were told to end may take to.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// After an error of the listener itself (no file descriptors left) it rests.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the start-up log says of the store.
#[derive(Debug, Clone, Default)]
pub struct Banner {
    /// The graphs that are served.
    pub graphs: Vec<String>,
    /// Where health and metrics are told.
    pub http: Option<SocketAddr>,
}

/// Listens and serves until the process is told to stop. Prints `OMNIGRAPH_LISTEN_ADDR=…` on
/// standard output once connections are accepted. `registry` is the one that `backends` know.
pub async fn run<B: Backends>(
    config: Config,
    backends: B,
    registry: Arc<Registry>,
    banner: Banner,
) -> io::Result<()> {
    let mut stops = Stops::new()?;
    let mut listeners = Vec::new();
    for address in &config.binds {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?;
        listeners.push(listener);
    }
    let addresses = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<io::Result<Vec<_>>>()?;
    greet(&config, &banner, &addresses);
    announce(&addresses, banner.http)?;

    if let Some(tls) = &config.tls {
        tokio::spawn(tls.clone().watch());
    }
    if let CredentialSource::File { path, .. } = &config.credentials
        && let Some(watched) = config.authenticator.watched(path)
    {
        tokio::spawn(watched.follow());
    }
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        backends,
        registry: Arc::clone(&registry),
        authenticator: config.authenticator,
        tls: config.tls,
        sessions: Arc::new(Semaphore::new(config.max_connections)),
        login_timeout: LOGIN_TIMEOUT,
        closing: stopped.clone(),
    });
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&shared), stopped.clone()));
    }

    registry.enter(Phase::Accepting);
    stops.next().await;
    registry.enter(Phase::Stopping);
    info!(sessions = registry.len(), drain = ?config.drain, "stopping: no new connections, running statements finish");
    // Receivers are there until the accepting tasks end.
    let _ = stop.send(true);
    drain(&registry, &mut accepting, config.drain, &mut stops).await;
    info!("stopped");
    Ok(())
}

/// Ends idle sessions, waits for the others, then ends them too. A second signal ends the wait.
async fn drain(
    registry: &Registry,
    accepting: &mut JoinSet<()>,
    patience: Duration,
    stops: &mut Stops,
) {
    let error = terminated();
    let deadline = Instant::now() + patience;
    let all_done = async { while accepting.join_next().await.is_some() {} };
    tokio::pin!(all_done);
    loop {
        // Again and again: a session may have logged in just now.
        registry.drain(&error);
        tokio::select! {
            () = &mut all_done => return,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = sleep_until(deadline) => {
                warn!(sessions = registry.len(), "ending statements that are still running");
                break;
            }
            () = stops.next() => {
                warn!(sessions = registry.len(), "told to stop a second time: ending at once");
                break;
            }
        }
    }
    registry.terminate(&error);
    if timeout(LAST_WORDS, &mut all_done).await.is_err() {
        warn!("some sessions did not end in time");
    }
}

/// Accepts until told to stop, then waits for its connections.
async fn accept<B: Backends>(
    listener: TcpListener,
    shared: Arc<Shared<B>>,
    mut stopped: watch::Receiver<bool>,
) {
    let unauthenticated = Arc::new(Semaphore::new(MAX_UNAUTHENTICATED));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Ok(permit) = Arc::clone(&unauthenticated).try_acquire_owned() else {
                        debug!(%peer, "too many connections that have not logged in");
                        continue;
                    };
                    let connection = connect(Arc::clone(&shared), stream, peer, permit);
                    connections.spawn(connection.instrument(debug_span!("connection", %peer)));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connect<B: Backends>(
    shared: Arc<Shared<B>>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    // Answers are small and awaited.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "no TCP_NODELAY");
    }
    serve(shared, stream, Some(peer), Some(permit)).await;
}

/// SIGINT and SIGTERM, one after the other.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    fn new() -> io::Result<Self> {
        Ok(Stops {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn greet(config: &Config, banner: &Banner, addresses: &[SocketAddr]) {
    info!(version = env!("CARGO_PKG_VERSION"), "omnigraph-server");
    match &config.credentials {
        CredentialSource::File { path, actors } => {
            info!(file = %path.display(), actors, "credentials");
        }
        CredentialSource::Environment { name, actors } => {
            info!(variable = name, actors, "credentials");
        }
        CredentialSource::Nobody => {
            warn!("--unauthenticated: everybody on this machine may do everything, under any name");
        }
    }
    info!(root = %config.store, durability = ?config.durability, "store");
    info!(
        count = banner.graphs.len(),
        names = banner.graphs.join(", "),
        "graphs"
    );
    if let Some(address) = banner.http {
        info!(%address, "listening for HTTP");
    }
    for address in addresses {
        info!(%address, tls = config.tls.is_some(), max_connections = config.max_connections, "listening");
    }
}

/// For whoever started us and has to know the port.
fn announce(addresses: &[SocketAddr], http: Option<SocketAddr>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for address in addresses {
        writeln!(out, "OMNIGRAPH_LISTEN_ADDR={address}")?;
    }
    if let Some(address) = http {
        writeln!(out, "OMNIGRAPH_HTTP_LISTEN_ADDR={address}")?;
    }
    out.flush()
}
