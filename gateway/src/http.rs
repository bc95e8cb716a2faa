//! The port for those who look after the server: is it alive, can it be used, what does it do.
//!
//! | | |
//! |---|---|
//! | `/healthz` | 200 while the process answers |
//! | `/readyz` | 200 while connections are accepted and a graph is served, else 503; each graph with its reason |
//! | `/metrics` | figures in Prometheus' text format |
//!
//! It asks for no credentials and tells nothing of what graphs hold.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use omnigraph_catalog::access::State;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::metrics::Page;
use crate::session::registry::{Phase, Registry};
use crate::session::shared::Shared;

/// Connections at a time; one more waits.
const CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long one connection may stay.
const STAY: Duration = Duration::from_secs(60);
/// After an error of the listener itself it rests.
const PAUSE: Duration = Duration::from_millis(100);
/// The text format's version is part of its type.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the pages tell of.
#[derive(Debug)]
pub struct Status {
    pub registry: Arc<Registry>,
    pub shared: Arc<Shared>,
}

/// Listens where it was told to.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let message = format!("cannot listen for HTTP on {address}: {error}");
        io::Error::new(error.kind(), message)
    })
}

/// Answers until the process ends.
pub async fn serve(listener: TcpListener, status: Arc<Status>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept a connection for HTTP");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let status = Arc::clone(&status);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let answered = answer(&request, &status);
                async move { Ok::<_, Infallible>(answered) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), answer);
            match tokio::time::timeout(STAY, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "a connection for HTTP failed"),
                Err(_) => debug!("a connection for HTTP stayed too long"),
            }
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, status: &Status) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new());
        let methods = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, methods);
        return refused;
    }
    match request.uri().path() {
        "/healthz" => page(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" => {
            let (ready, document) = status.readiness();
            let code = match ready {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            page(code, "application/json", format!("{document:#}\n"))
        }
        "/metrics" => page(StatusCode::OK, METRICS, status.metrics()),
        _ => {
            let pages = "There are /healthz, /readyz and /metrics.\n";
            page(StatusCode::NOT_FOUND, "text/plain", pages.to_owned())
        }
    }
}

fn page(code: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Status {
    /// Can the server be used, and what is the matter with each graph?
    fn readiness(&self) -> (bool, Value) {
        let databases = &self.shared.databases;
        let phase = self.registry.phase();
        let graphs = databases.list();
        let served = graphs
            .iter()
            .any(|(_, state)| matches!(state, State::Serving(_)));
        // An empty store is waiting for its first graph.
        let ready = phase == Phase::Accepting && (served || graphs.is_empty());
        let each: serde_json::Map<String, Value> = graphs
            .into_iter()
            .map(|(name, state)| {
                let told = match state {
                    State::Serving(_) => json!({ "state": "serving" }),
                    State::Quarantined { code, error } => json!({
                        "state": "quarantined", "code": code, "reason": error.to_string(),
                    }),
                };
                (name, told)
            })
            .collect();
        let document = json!({
            "ready": ready,
            "phase": phase.name(),
            "revision": databases.revision(),
            "graphs": each,
        });
        (ready, document)
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        page.head("omnigraph_build_info", "gauge", "Always 1.");
        page.value(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.registry.metrics().write(&mut page);
        page.head(
            "omnigraph_gateway_connections",
            "gauge",
            "Sessions that are open.",
        );
        page.value(&[], self.registry.len() as u64);
        let graphs = self.shared.databases.list();
        let serving = graphs
            .iter()
            .filter(|(_, state)| matches!(state, State::Serving(_)));
        let serving = serving.count();
        page.head(
            "omnigraph_catalog_graphs",
            "gauge",
            "Graphs by their state.",
        );
        page.value(&[("state", "serving")], serving as u64);
        page.value(&[("state", "quarantined")], (graphs.len() - serving) as u64);
        let counts = self.shared.databases.store().counts();
        page.head(
            "omnigraph_engine_store_requests_total",
            "counter",
            "Requests sent to the store.",
        );
        for (operation, count) in [
            ("get", counts.gets),
            ("head", counts.heads),
            ("put", counts.puts),
            ("list", counts.lists),
            ("delete", counts.deletes),
        ] {
            page.value(&[("operation", operation)], count);
        }
        page.head(
            "omnigraph_engine_store_read_bytes_total",
            "counter",
            "Bytes read from the store.",
        );
        page.value(&[], counts.bytes_read);
        page.head(
            "omnigraph_engine_store_written_bytes_total",
            "counter",
            "Bytes written to the store.",
        );
        page.value(&[], counts.bytes_written);
        page.head(
            "omnigraph_engine_cache_bytes",
            "gauge",
            "What is kept of immutable files.",
        );
        for (cache, bytes) in self.shared.databases.cached_bytes() {
            page.value(&[("cache", cache)], bytes);
        }
        let (reserved, limit) = self.shared.executor.memory();
        page.head(
            "omnigraph_gateway_memory_bytes",
            "gauge",
            "Memory that running statements have asked for.",
        );
        page.value(&[], reserved);
        page.head(
            "omnigraph_gateway_memory_limit_bytes",
            "gauge",
            "Memory that all statements may have together.",
        );
        page.value(&[], limit);
        page.finish()
    }
}
