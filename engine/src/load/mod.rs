//! Loading a file of lines: one commit, all or nothing, in memory that does not grow with it.
//!
//! Chunks of lines are decoded side by side, in order; keys go to sorted runs, rows to files.
//! Every mistake is counted, the first thousand are told by their lines, and then nothing is
//! published.

mod blobs;
mod check;
mod export;
pub(crate) mod keys;
mod write;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use blobs::admitted;
use check::Checks;
use write::Writer;

use crate::commit::CommitInfo;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::names::BranchName;
use crate::ndjson::{Decoded, Decoder, LineChunk, split_lines};
use crate::schema::TypeKind;
use crate::write::transaction::CommitMessage;

pub use export::{ExportOptions, export};

/// What becomes of rows that the graph has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// A line whose id exists is an error.
    Append,
    /// A line whose id exists replaces that row.
    Merge,
    /// The lines replace all rows of the graph.
    Overwrite,
}

#[derive(Clone, Default)]
pub struct LoadOptions {
    pub actor: String,
    pub message: CommitMessage,
    pub progress: Option<Arc<dyn Fn(LoadProgress) + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Bytes of the input whose rows are written.
    pub bytes: u64,
    pub rows: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LoadSummary {
    /// `None`: the input held nothing that changes the graph.
    pub commit: Option<CommitInfo>,
    pub nodes: u64,
    pub edges: u64,
    /// Rows by type, as declared.
    pub types: BTreeMap<String, u64>,
}

/// Loads NDJSON into a branch.
pub async fn load(
    graph: &Graph,
    branch: &BranchName,
    mode: LoadMode,
    input: impl Read + Send + 'static,
    options: LoadOptions,
) -> Result<LoadSummary> {
    let base = graph.snapshot(branch.as_str()).await?;
    let schema = base.schema().clone();
    let decoder = Arc::new(Decoder::new(&schema, graph.environment().clone()));
    let mut checks = Checks::new(base.clone(), mode);
    let mut writer = Writer::new(graph.clone(), branch.clone(), base, mode);
    let mut summary = LoadSummary {
        commit: None,
        nodes: 0,
        edges: 0,
        types: BTreeMap::new(),
    };
    let blobs = graph.blobs().clone();
    let mut progress = LoadProgress::default();
    let mut chunks = decoded(input, decoder);
    while let Some((bytes, decoded)) = chunks.try_next().await? {
        checks.mistakes.append(decoded.mistakes);
        for rows in decoded.batches {
            let count = rows.batch.num_rows() as u64;
            *summary.types.entry(rows.def.name.clone()).or_default() += count;
            match rows.def.kind {
                TypeKind::Node => summary.nodes += count,
                TypeKind::Edge { .. } => summary.edges += count,
            }
            progress.rows += count;
            let found = checks.add(&rows).await?;
            for error in blobs::misplaced(&blobs, &rows)? {
                checks.mistakes.add(error);
            }
            if !checks.mistakes.is_empty() {
                continue;
            }
            match admitted(&blobs, rows, mode).await? {
                Ok(rows) => writer.write(rows, found).await?,
                Err(error) => checks.mistakes.add(error),
            }
        }
        progress.bytes += bytes;
        if let Some(report) = &options.progress {
            report(progress);
        }
    }
    drop(chunks);
    let mistakes = tokio::task::spawn_blocking(move || checks.finish())
        .await
        .map_err(Error::internal)??;
    if !mistakes.is_empty() {
        return Err(Error::Lines(Box::new(mistakes)));
    }
    summary.commit = writer.publish(options.actor, options.message).await?;
    Ok(summary)
}

/// The input's chunks, decoded on other threads, in their order.
fn decoded(
    mut input: impl Read + Send + 'static,
    decoder: Arc<Decoder>,
) -> futures::stream::BoxStream<'static, Result<(u64, Decoded)>> {
    // Chunks read ahead of those that are decoded; each is some megabytes.
    let (send, receive) = tokio::sync::mpsc::channel::<Result<LineChunk>>(2);
    tokio::task::spawn_blocking(move || {
        for chunk in split_lines(&mut input) {
            let failed = chunk.is_err();
            if send.blocking_send(chunk).is_err() || failed {
                break;
            }
        }
    });
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    futures::stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|chunk| (chunk, receive))
    })
    .map(move |chunk| {
        let decoder = decoder.clone();
        async move {
            let chunk = chunk?;
            tokio::task::spawn_blocking(move || {
                let decoded = decoder.decode_chunk(&chunk.bytes, chunk.first_line)?;
                Ok((chunk.bytes.len() as u64, decoded))
            })
            .await
            .map_err(Error::internal)?
        }
    })
    .buffered(workers)
    .boxed()
}
