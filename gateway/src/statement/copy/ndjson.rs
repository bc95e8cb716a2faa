//! `COPY omnigraph.ndjson`: a whole graph as lines of JSON, in one commit or from one
//! snapshot. The data is raw: one column, nothing is escaped.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures::StreamExt;
use omnigraph_engine::Snapshot;
use omnigraph_engine::load::{ExportOptions, LoadMode, LoadSummary, export};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::parse::{CopyOption, CopySource};
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{CopyBatch, CopyFormat, CopyOut, Execution, Place};
use crate::sqlstate;

/// Pieces that wait between the connection and the loader, or the other way round.
const WAITING: usize = 16;
/// Lines are sent on in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;

/// A load that takes data in.
pub(crate) struct Load {
    /// `None` inside ends the data; a channel that just closes means that the client gave up.
    sender: mpsc::Sender<Option<Bytes>>,
    task: JoinHandle<omnigraph_engine::Result<LoadSummary>>,
}

pub(super) fn is_graph(source: &CopySource) -> bool {
    matches!(source, CopySource::Table { table, .. }
        if matches!(table.schema.as_deref(), Some("omnigraph" | "pg_omnigraph")) && table.name == "ndjson")
}

/// One column of text.
const FORMAT: CopyFormat = CopyFormat {
    binary: false,
    columns: 1,
};

impl Session {
    pub(super) async fn graph_in(
        &mut self,
        options: &[CopyOption],
        place: Place,
    ) -> PgResult<Execution> {
        self.refuse_read_only()?;
        self.refuse_block("COPY omnigraph.ndjson FROM STDIN", place)?;
        let mode = mode(options)?;
        let branch = self.branch().await?;
        let access = self.attached()?.access.clone();
        let message = self.commit_message();
        let (sender, receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            access
                .load(&branch, mode, Pipe::new(receiver), message)
                .await
        });
        self.copy = Some(super::CopyIn::Graph(Load { sender, task }));
        Ok(Execution::CopyIn(FORMAT))
    }

    pub(super) async fn graph_finish(&mut self, load: Load) -> PgResult<String> {
        // A loader that has failed already takes nothing more, and says why.
        let _ = load.sender.send(None).await;
        let summary = finished(load.task).await?;
        self.committed(summary.commit.as_ref());
        Ok(format!("COPY {}", summary.nodes + summary.edges))
    }

    pub(super) async fn graph_out(&mut self, place: Place) -> PgResult<Execution> {
        let branch = self.branch().await?;
        self.attached()?.access.check_export(branch.as_str())?;
        let snapshots = self.snapshots(std::slice::from_ref(&branch), place).await?;
        let snapshot = snapshots
            .get(&branch)
            .cloned()
            .ok_or_else(|| PgError::new(sqlstate::INTERNAL_ERROR, "no snapshot was taken"))?;
        Ok(Execution::CopyOut(exported(snapshot)))
    }
}

impl Load {
    pub(super) async fn write(&mut self, data: Bytes) -> PgResult<()> {
        if self.sender.send(Some(data)).await.is_ok() {
            return Ok(());
        }
        // It ended before the data did: with an error.
        match finished(std::mem::replace(
            &mut self.task,
            tokio::spawn(std::future::pending()),
        ))
        .await
        {
            Err(error) => Err(error),
            Ok(_) => Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                "the load ended before its data",
            )),
        }
    }
}

async fn finished(
    task: JoinHandle<omnigraph_engine::Result<LoadSummary>>,
) -> PgResult<LoadSummary> {
    match task.await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => Err(PgError::new(
            sqlstate::INTERNAL_ERROR,
            format!("the load ended early: {error}"),
        )),
    }
}

fn mode(options: &[CopyOption]) -> PgResult<LoadMode> {
    let mut mode = LoadMode::Append;
    for option in options {
        let value = option
            .values
            .first()
            .map(|value| value.to_ascii_lowercase())
            .unwrap_or_default();
        mode = match (option.name.as_str(), value.as_str()) {
            ("mode", "append") => LoadMode::Append,
            ("mode", "merge") => LoadMode::Merge,
            ("mode", "overwrite") => LoadMode::Overwrite,
            ("mode", other) => {
                return Err(PgError::new(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    format!("COPY mode \"{other}\" not recognized"),
                )
                .hint("Modes are append, merge and overwrite."));
            }
            ("format", "text") => mode,
            (other, _) => {
                return Err(PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!("option \"{other}\" not recognized for omnigraph.ndjson"),
                ));
            }
        };
    }
    Ok(mode)
}

/// What the connection hands on, as the loader's threads read it.
struct Pipe {
    receiver: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    ended: bool,
}

impl Pipe {
    fn new(receiver: mpsc::Receiver<Option<Bytes>>) -> Self {
        Pipe {
            receiver,
            piece: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            // A thread of its own waits here, whoever runs it.
            match futures::executor::block_on(self.receiver.recv()) {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.ended = true,
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the client gave up before the data ended",
                    ));
                }
            }
        }
        let length = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

fn exported(snapshot: Snapshot) -> CopyOut {
    let (sender, receiver) = mpsc::channel::<PgResult<CopyBatch>>(WAITING);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut piece = Piece::default();
        let options = ExportOptions::default();
        let outcome = runtime.block_on(export(&snapshot, &options, |line| {
            piece.push(line);
            if piece.data.len() < PIECE_BYTES {
                return Ok(());
            }
            // Nobody listens any more: the client has gone, and so has the reason to go on.
            futures::executor::block_on(sender.send(Ok(piece.take())))
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        }));
        let last = match outcome {
            Ok(_) => Ok(piece.take()),
            Err(error) => Err(PgError::from(error)),
        };
        // As above.
        let _ = futures::executor::block_on(sender.send(last));
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|batch| (batch, receiver))
    });
    CopyOut {
        format: FORMAT,
        stream: stream.boxed(),
    }
}

/// Lines that are sent together.
#[derive(Default)]
struct Piece {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Piece {
    fn push(&mut self, line: &str) {
        self.data.extend_from_slice(line.as_bytes());
        if !line.ends_with('\n') {
            self.data.push(b'\n');
        }
        self.ends.push(self.data.len());
    }

    fn take(&mut self) -> CopyBatch {
        let ends = std::mem::take(&mut self.ends);
        CopyBatch {
            data: std::mem::take(&mut self.data).into(),
            rows: ends.len() as u64,
            ends,
        }
    }
}
