//! The socket and its two buffers.
//!
//! Reading and writing are cancel-safe: a future dropped at an await has lost no byte in
//! either direction, so that the loop may race them against cancel requests and clocks.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::wire::message::Frame;

/// From this on the output is sent before more is put in.
pub const FLUSH_AT: usize = 64 * 1024;
/// How far we read ahead while a statement runs, to notice that the client has gone.
const READ_AHEAD: usize = 64 * 1024;
/// What an idle connection may keep.
const IDLE_BUFFER: usize = 8 * 1024;

/// A connection's bytes, in both directions.
pub struct Channel<S> {
    read: ReadHalf<S>,
    write: WriteHalf<S>,
    input: BytesMut,
    /// The last read took all the room it was given: there is more, read it in larger pieces.
    hungry: bool,
    /// Messages that were not sent yet; the first `sent` bytes were.
    pub out: Vec<u8>,
    sent: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub fn new(stream: S) -> Self {
        let (read, write) = tokio::io::split(stream);
        Channel {
            read,
            write,
            input: BytesMut::new(),
            hungry: false,
            out: Vec::new(),
            sent: 0,
        }
    }

    /// The stream again, if nothing is buffered in either direction: what came before a TLS
    /// handshake must not be taken as said inside it.
    pub fn into_stream(self) -> Option<S> {
        (self.input.is_empty() && self.out.len() == self.sent)
            .then(|| self.read.unsplit(self.write))
    }

    /// Reads until `length` bytes are there. `false`: the client closed the connection.
    pub async fn fill(&mut self, length: usize) -> io::Result<bool> {
        while self.input.len() < length {
            if !self.read_some().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn buffered(&self) -> &[u8] {
        &self.input
    }

    pub fn take(&mut self, length: usize) -> bytes::Bytes {
        self.input.split_to(length).freeze()
    }

    /// The next message; `None` when the client closed the connection between messages.
    /// A length that cannot be, or more than `limit`, is FATAL: what follows has no meaning.
    pub async fn frame(&mut self, limit: usize) -> PgResult<Option<Frame>> {
        loop {
            if let Some(frame) = self.buffered_frame(limit)? {
                return Ok(Some(frame));
            }
            if !self.read_some().await.map_err(lost)? {
                if self.input.is_empty() {
                    return Ok(None);
                }
                return Err(PgError::fatal(
                    sqlstate::PROTOCOL_VIOLATION,
                    "unexpected EOF on client connection",
                ));
            }
        }
    }

    /// The next message if all of it is here.
    pub fn buffered_frame(&mut self, limit: usize) -> PgResult<Option<Frame>> {
        let Some((&tag, rest)) = self.input.split_first() else {
            return Ok(None);
        };
        // Before its length: what is no message type has no length either.
        if !(super::message::is_known(tag) || tag == b'p') {
            return Err(super::message::unknown_type(tag));
        }
        let Some(length) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length < 4 || length > limit {
            return Err(PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                format!("invalid message length {length}: a message has 4 to {limit} bytes"),
            ));
        }
        if self.input.len() < 1 + length {
            return Ok(None);
        }
        self.input.advance(5);
        let body = self.input.split_to(length - 4).freeze();
        Ok(Some(Frame { tag, body }))
    }

    /// The type of the next message, if it has arrived.
    pub fn next_tag(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// Returns when the client has gone. Reads ahead, up to a bound, to find out.
    pub async fn gone(&mut self) {
        loop {
            if self.input.len() >= READ_AHEAD {
                return std::future::pending().await;
            }
            match self.read_some().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    async fn read_some(&mut self) -> io::Result<bool> {
        self.input.reserve(if self.hungry {
            FLUSH_AT
        } else {
            IDLE_BUFFER / 2
        });
        let room = self.input.capacity() - self.input.len();
        let read = self.read.read_buf(&mut self.input).await?;
        self.hungry = read >= room;
        Ok(read > 0)
    }

    /// Sends what is in `out`; a dropped call is taken up by the next.
    pub async fn flush(&mut self) -> PgResult<()> {
        self.flush_io().await.map_err(lost)
    }

    async fn flush_io(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            let n = self.write.write(&self.out[self.sent..]).await?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += n;
        }
        self.write.flush().await?;
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    pub fn wants_flush(&self) -> bool {
        self.out.len() - self.sent >= FLUSH_AT
    }

    pub fn has_output(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Gives back the memory that a large message or result took.
    pub fn shrink(&mut self) {
        if self.out.is_empty() && self.out.capacity() > IDLE_BUFFER {
            self.out = Vec::new();
        }
        if self.input.is_empty() && self.input.capacity() > IDLE_BUFFER {
            self.input = BytesMut::new();
        }
    }

    /// Sends what is left and closes; a client that does not read cannot keep us.
    pub async fn close(&mut self) {
        let end = async {
            let _ = self.flush_io().await;
            let _ = self.write.shutdown().await;
        };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), end).await;
    }
}

/// The client cannot be told any more.
fn lost(error: io::Error) -> PgError {
    PgError::fatal(
        sqlstate::CONNECTION_FAILURE,
        format!("connection to client lost: {error}"),
    )
}

pub fn is_lost(error: &PgError) -> bool {
    error.code == sqlstate::CONNECTION_FAILURE
}
