use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use futures::FutureExt;
use omnigraph_engine::error::{Error, ObjectKind};
use omnigraph_engine::load::{LoadMode, LoadOptions, LoadProgress, LoadSummary, load};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::ndjson::Mistakes;
use omnigraph_engine::{CommitMessage, Graph};
use serde_json::json;

use crate::cli::address::{Address, Durable, ExternalBlobs};
use crate::cli::output::{Output, grouped};
use crate::cli::progress::Progress;
use crate::cli::{Actor, Failure, Format};

/// Load rows from NDJSON in one commit: all of them, or none.
#[derive(Debug, Args)]
pub(super) struct Load {
    /// What happens to rows that are there already
    #[arg(long, value_enum)]
    mode: Mode,
    /// If the branch does not exist, make it from here: a branch, a commit, or either followed by ~n
    #[arg(long, value_name = "REF")]
    from: Option<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    pub format: Format,
}

/// The old spelling of `load --from main --mode merge`.
#[derive(Debug, Args)]
pub(super) struct Ingest {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Debug, Args)]
struct Source {
    /// The file, plain or compressed by gzip; - is standard input
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The branch to write
    #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
    branch: String,
    /// Why, for the commit
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    external: ExternalBlobs,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// An id that exists is an error
    Append,
    /// A row with an id that exists replaces it
    Merge,
    /// The file replaces all rows of the branch
    Overwrite,
}

impl Load {
    pub async fn run(self) -> Result<Output, Failure> {
        let mode = match self.mode {
            Mode::Append => LoadMode::Append,
            Mode::Merge => LoadMode::Merge,
            Mode::Overwrite => LoadMode::Overwrite,
        };
        self.source.run(mode, self.from.as_deref()).await
    }
}

impl Ingest {
    pub async fn run(self) -> Result<Output, Failure> {
        self.source
            .run(LoadMode::Merge, Some(BranchName::MAIN))
            .await
    }
}

impl Source {
    async fn run(self, mode: LoadMode, from: Option<&str>) -> Result<Output, Failure> {
        let branch = BranchName::parse(&self.branch)?;
        let (file, total) = self.file()?;
        let graph = self.address.open_to_write(self.durable).await?;
        self.external.allow(&graph, &self.address).await?;
        let made = self.make_branch(&graph, &branch, from).await?;
        let started = Instant::now();
        let loaded = self.load(&graph, &branch, mode, file, total).await;
        if loaded.is_err() && made {
            // The branch was made for this load alone, and holds nothing of its own.
            let _ = graph
                .delete_branch(&branch, false, &self.actor.name())
                .await;
        }
        let summary = loaded?;
        let seconds = started.elapsed().as_secs_f64();
        let commit = summary.commit.as_ref().map(|commit| commit.id.to_string());
        let deleted = summary.commit.as_ref().map_or(0, |commit| commit.deleted);
        let text = format!(
            "loaded {} nodes and {} edges into {branch}{} in {seconds:.1} s, commit {}",
            grouped(summary.nodes),
            grouped(summary.edges),
            match deleted {
                0 => String::new(),
                rows => format!(", deleted {} others", grouped(rows)),
            },
            commit.as_deref().unwrap_or("none: nothing changed"),
        );
        Ok(Output::new(
            text,
            json!({
                "branch": branch.as_str(),
                "branch_made": made,
                "commit": commit,
                "nodes": summary.nodes,
                "edges": summary.edges,
                "types": summary.types,
                "deleted": deleted,
                "seconds": seconds,
            }),
        ))
    }

    async fn load(
        &self,
        graph: &Graph,
        branch: &BranchName,
        mode: LoadMode,
        file: Box<dyn Read + Send>,
        total: Option<u64>,
    ) -> Result<LoadSummary, Failure> {
        let progress = Progress::new("loading", total);
        let input =
            plain(progress.count(file)).map_err(|error| Failure::file(&self.data, &error))?;
        let shown = progress.clone();
        let options = LoadOptions {
            actor: self.actor.name(),
            message: CommitMessage {
                message: self.message.clone(),
                ..CommitMessage::default()
            },
            progress: Some(Arc::new(move |state: LoadProgress| shown.rows(state.rows))),
        };
        let loaded = load(graph, branch, mode, input, options)
            .boxed_local()
            .await;
        progress.finish();
        match loaded {
            Err(Error::Lines(mut mistakes)) => {
                // Standard input is gone by now.
                if self.data != Path::new("-") {
                    let (file, _) = self.file()?;
                    let named = plain(file).and_then(|file| name_ends(&mut mistakes, file));
                    named.map_err(|error| Failure::file(&self.data, &error))?;
                }
                Err(Error::Lines(mistakes).into())
            }
            loaded => Ok(loaded?),
        }
    }

    /// The branch, made if that was asked for and it is not there. Was it?
    async fn make_branch(
        &self,
        graph: &Graph,
        branch: &BranchName,
        from: Option<&str>,
    ) -> Result<bool, Failure> {
        let missing = match graph.branch(branch).await {
            Ok(_) => return Ok(false),
            Err(
                error @ Error::NotFound {
                    kind: ObjectKind::Branch,
                    ..
                },
            ) => error,
            Err(error) => return Err(error.into()),
        };
        let Some(from) = from else {
            return Err(Failure::from(missing)
                .hint(format!("--from main makes \"{branch}\" from main first.")));
        };
        match graph.create_branch(branch, from, &self.actor.name()).await {
            Ok(_) => Ok(true),
            // Somebody else made it in between.
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What to read, and how many bytes it has.
    fn file(&self) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
        if self.data == Path::new("-") {
            return Ok((Box::new(std::io::stdin()), None));
        }
        let failed = |error| Failure::file(&self.data, &error);
        let file = File::open(&self.data).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Failure::new(format!(
                "{} is a directory",
                self.data.display()
            )));
        }
        let total = metadata.is_file().then_some(metadata.len());
        Ok((Box::new(file), total))
    }
}

/// Says which node an edge looks for in vain. A load keeps no more of it than a hash and the line.
fn name_ends(mistakes: &mut Mistakes, input: impl Read) -> std::io::Result<()> {
    let mut lines = BufReader::new(input).split(b'\n');
    let mut read = 0;
    let mut line = Vec::new();
    for mistake in &mut mistakes.told {
        while read < mistake.line {
            let Some(next) = lines.next() else {
                return Ok(());
            };
            line = next?;
            read += 1;
        }
        let Some(end @ ("from" | "to")) = mistake.property.as_deref() else {
            continue;
        };
        let members: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
        let Some(named) = members[end].as_str().map(|named| format!("\"{named}\"")) else {
            continue;
        };
        if !mistake.reason.contains(&named) {
            mistake.reason = format!("{named} {}", mistake.reason);
        }
    }
    Ok(())
}

/// The text inside, if the input is compressed by gzip. Told by its first bytes, not its name.
fn plain(mut input: impl Read + Send + 'static) -> std::io::Result<Box<dyn Read + Send>> {
    const MAGIC: [u8; 2] = [0x1f, 0x8b];
    let mut head = Vec::with_capacity(2);
    (&mut input).take(2).read_to_end(&mut head)?;
    let compressed = head == MAGIC;
    let whole = BufReader::with_capacity(1 << 18, std::io::Cursor::new(head).chain(input));
    Ok(if compressed {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn gzip_is_seen_through() {
        let text = b"{\"type\":\"A\"}\n{\"type\":\"B\"}\n".repeat(1000);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).expect("memory");
        let compressed = encoder.finish().expect("memory");
        for input in [compressed, text.clone(), Vec::new(), b"x".to_vec()] {
            let expected = if input.starts_with(&[0x1f]) {
                text.clone()
            } else {
                input.clone()
            };
            let mut read = Vec::new();
            plain(std::io::Cursor::new(input))
                .expect("memory")
                .read_to_end(&mut read)
                .expect("memory");
            assert_eq!(read, expected);
        }
    }
}
