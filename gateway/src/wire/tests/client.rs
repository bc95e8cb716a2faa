//! A client that says exactly what it is told to, and shows replies as short texts.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use super::fake::{Fakes, shared};
use crate::auth::Authenticator;
use crate::wire::startup::{Shared, serve};

pub(super) struct Client {
    pub(super) stream: DuplexStream,
    pub(super) shared: Arc<Shared<Fakes>>,
}

/// The pipe holds little, so that back-pressure is part of every test.
const PIPE: usize = 16 * 1024;
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A pipe to a server task.
pub(super) fn pipe(shared: &Arc<Shared<Fakes>>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    tokio::spawn(serve(Arc::clone(shared), theirs, None, None));
    ours
}

pub(super) fn startup_packet(version: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in pairs {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut packet = ((body.len() + 4) as u32).to_be_bytes().to_vec();
    packet.extend(body);
    packet
}

pub(super) const V3_0: u32 = 3 << 16;
pub(super) const V3_2: u32 = 3 << 16 | 2;

pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&((body.len() + 4) as u32).to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub(super) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), &[0]].concat())
}

pub(super) fn parse(name: &str, sql: &str, oids: &[u32]) -> Vec<u8> {
    let mut body = [name.as_bytes(), &[0], sql.as_bytes(), &[0]].concat();
    body.extend_from_slice(&(oids.len() as u16).to_be_bytes());
    for oid in oids {
        body.extend_from_slice(&oid.to_be_bytes());
    }
    message(b'P', &body)
}

pub(super) fn bind(
    portal: &str,
    statement: &str,
    params: &[(i16, Option<&[u8]>)],
    results: &[i16],
) -> Vec<u8> {
    let mut body = [portal.as_bytes(), &[0], statement.as_bytes(), &[0]].concat();
    body.extend_from_slice(&(params.len() as u16).to_be_bytes());
    for (format, _) in params {
        body.extend_from_slice(&format.to_be_bytes());
    }
    body.extend_from_slice(&(params.len() as u16).to_be_bytes());
    for (_, value) in params {
        match value {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(value) => {
                body.extend_from_slice(&(value.len() as u32).to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    body.extend_from_slice(&(results.len() as u16).to_be_bytes());
    for format in results {
        body.extend_from_slice(&format.to_be_bytes());
    }
    message(b'B', &body)
}

pub(super) fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[kind], name.as_bytes(), &[0]].concat())
}

pub(super) fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[kind], name.as_bytes(), &[0]].concat())
}

pub(super) fn execute(portal: &str, max_rows: u32) -> Vec<u8> {
    message(
        b'E',
        &[portal.as_bytes(), &[0], &max_rows.to_be_bytes()].concat(),
    )
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', &[])
}

pub(super) fn flush() -> Vec<u8> {
    message(b'H', &[])
}

impl Client {
    /// Logged in, up to the first ReadyForQuery.
    pub(super) async fn connect() -> Client {
        Client::to(shared(Authenticator::Trust, None)).await
    }

    pub(super) async fn to(shared: Arc<Shared<Fakes>>) -> Client {
        let stream = pipe(&shared);
        let mut client = Client { stream, shared };
        let packet = startup_packet(V3_0, &[("user", "ada"), ("database", "company")]);
        client.send(&packet).await;
        client.until("Z(I)").await;
        client
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .await
            .expect("the server reads");
    }

    /// Sends and reads up to ReadyForQuery.
    pub(super) async fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        self.ready().await
    }

    pub(super) async fn ready(&mut self) -> String {
        self.until("Z(").await
    }

    /// Reads messages up to one that begins with `end`.
    pub(super) async fn until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let Some((tag, body)) = self.read().await else {
                seen.push("EOF".to_owned());
                break;
            };
            let text = show(tag, &body);
            let last = text.starts_with(end);
            seen.push(text);
            if last {
                break;
            }
        }
        seen.join(" ")
    }

    /// The next message; `None` at the end of the connection.
    pub(super) async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let tag = self.stream.read_u8().await.ok()?;
            let length = self.stream.read_u32().await.ok()? as usize;
            let mut body = vec![0; length - 4];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((tag, body))
        };
        timeout(PATIENCE, read).await.expect("the server answers")
    }

    pub(super) fn journal(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.backends.journal.lock())
    }
}

/// `D(1,NULL)`, `C(SELECT 1)`, `E(22012)`, `Z(I)`, `T(n:23)`.
pub(super) fn show(tag: u8, body: &[u8]) -> String {
    let letter = char::from(tag);
    let inner = match tag {
        b'D' => row(body)
            .into_iter()
            .map(|v| v.map_or("NULL".to_owned(), |v| printable(&v)))
            .collect::<Vec<_>>()
            .join(","),
        b'C' => printable(&body[..body.len() - 1]),
        b'E' | b'N' => field(body, b'C').unwrap_or_default(),
        b'Z' => printable(body),
        b'T' => columns(body),
        b't' => body[2..]
            .chunks(4)
            .map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]).to_string())
            .collect::<Vec<_>>()
            .join(","),
        b'S' => printable(&body[..body.len() - 1]).replacen("\\x00", "=", 1),
        b'R' => u32::from_be_bytes([body[0], body[1], body[2], body[3]]).to_string(),
        b'd' => printable(body),
        b'A' => printable(&body[4..]),
        _ if body.is_empty() => return letter.to_string(),
        _ => format!("{} bytes", body.len()),
    };
    format!("{letter}({inner})")
}

pub(super) fn row(body: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*head);
        if length < 0 {
            values.push(None);
            rest = tail;
        } else {
            let (value, tail) = tail.split_at(length as usize);
            values.push(Some(value.to_vec()));
            rest = tail;
        }
    }
    values
}

/// A field of an ErrorResponse.
pub(super) fn field(body: &[u8], code: u8) -> Option<String> {
    body.split(|&byte| byte == 0)
        .find(|field| field.first() == Some(&code))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
}

fn columns(body: &[u8]) -> String {
    let mut rest = &body[2..];
    let mut shown = Vec::new();
    while let Some(end) = rest.iter().position(|&byte| byte == 0) {
        let name = String::from_utf8_lossy(&rest[..end]);
        let after = &rest[end + 1..];
        let oid = u32::from_be_bytes([after[6], after[7], after[8], after[9]]);
        let format = after[17];
        shown.push(if format == 1 {
            format!("{name}:{oid}:b")
        } else {
            format!("{name}:{oid}")
        });
        rest = &after[18..];
    }
    shown.join(",")
}

fn printable(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&b| {
            if (0x20..0x7f).contains(&b) {
                char::from(b).to_string()
            } else {
                format!("\\x{b:02x}")
            }
        })
        .collect()
}
