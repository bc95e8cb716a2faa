use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, LargeBinaryArray, RecordBatch};
use bytes::Bytes;
use clap::{Args, Subcommand};
use futures::{Stream, TryStreamExt};
use omnigraph_engine::blob::{self, Blobs, stored_values};
use omnigraph_engine::error::{Error, ObjectKind};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::TypeDef;
use omnigraph_engine::{CommitInfo, CommitMessage, Graph, Snapshot, TransactionOptions};
use serde_json::json;

use crate::cli::address::{Address, Durable, ExternalBlobs};
use crate::cli::output::{Output, grouped};
use crate::cli::{Actor, Exit, Failure, Format};

/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;
/// How often somebody else may change the row meanwhile.
const ATTEMPTS: usize = 10;

/// Read and write the blob of a row.
#[derive(Debug, Args)]
pub(super) struct Blob {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Get(Get),
    Stat(Stat),
    Put(Put),
}

/// Write a blob's bytes to standard output or a file, however many there are
#[derive(Debug, Args)]
struct Get {
    #[command(flatten)]
    source: Source,
    /// The file to write; - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Show a blob's length, its SHA-256 if it is known, and where it is
#[derive(Debug, Args)]
struct Stat {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    format: Format,
}

/// Replace a blob by the bytes of a file in one commit, however many there are
#[derive(Debug, Args)]
struct Put {
    #[command(flatten)]
    place: Place,
    /// The file to read; - is standard input
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// The branch to write
    #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
    branch: String,
    /// Why, for the commit
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    format: Format,
}

/// Which blob.
#[derive(Debug, Args)]
struct Place {
    /// The property, as Type.property
    #[arg(value_name = "TYPE.PROPERTY")]
    property: String,
    /// The id of the node or edge
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    address: Address,
}

/// A blob as it was at some time.
#[derive(Debug, Args)]
struct Source {
    #[command(flatten)]
    place: Place,
    /// A branch, tag or commit, or one of them followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    branch: String,
    #[command(flatten)]
    external: ExternalBlobs,
}

impl Blob {
    pub fn format(&self) -> Format {
        match &self.command {
            Command::Get(_) => Format { json: false },
            Command::Stat(stat) => stat.format,
            Command::Put(put) => put.format,
        }
    }

    pub async fn run(self) -> Result<Output, Failure> {
        match self.command {
            Command::Get(get) => get.run().await,
            Command::Stat(stat) => stat.run().await,
            Command::Put(put) => put.run().await,
        }
    }
}

impl Get {
    async fn run(self) -> Result<Output, Failure> {
        let (blobs, value) = self.source.value().await?;
        let mut pieces = blobs.stream(&value);
        let path = &self.output;
        let failed = |error| Failure::file(path, &error);
        let mut out: Box<dyn Write> = match path.as_os_str() == "-" {
            true => Box::new(std::io::stdout().lock()),
            false => Box::new(File::create(path).map_err(failed)?),
        };
        while let Some(piece) = pieces.try_next().await? {
            out.write_all(&piece).map_err(failed)?;
        }
        out.flush().map_err(failed)?;
        Ok(Output::none())
    }
}

impl Stat {
    async fn run(self) -> Result<Output, Failure> {
        let (blobs, value) = self.source.value().await?;
        let stat = blobs.stat(&value).await?;
        let mut text = format!("length  {}", grouped(stat.length));
        if let Some(sha256) = &stat.sha256 {
            text.push_str(&format!("\nsha256  {sha256}"));
        }
        if let Some(uri) = &stat.uri {
            text.push_str(&format!("\nuri     {uri}"));
        }
        Ok(Output::new(
            text,
            json!({ "length": stat.length, "sha256": stat.sha256, "uri": stat.uri }),
        ))
    }
}

impl Put {
    async fn run(self) -> Result<Output, Failure> {
        let branch = BranchName::parse(&self.branch)?;
        let graph = self.place.address.open_to_write(self.durable).await?;
        // A row that is not there is told before the bytes are sent.
        let snapshot = graph.snapshot(branch.as_str()).await?;
        self.place.row(&snapshot, &self.branch).await?;
        let value = graph.blobs().write(self.pieces()?).await?;
        let mut attempt = 1;
        let commit = loop {
            match self.commit(&graph, &branch, &value).await {
                Err(failure) if failure.exit == Exit::Lost && attempt < ATTEMPTS => attempt += 1,
                outcome => break outcome?,
            }
        };
        let length = blob::length(&value)?.unwrap_or_default();
        let digest = blob::known_digest(&value)?;
        let text = format!("wrote {} bytes, commit {}", grouped(length), commit.id);
        Ok(Output::new(
            text,
            json!({ "length": length, "sha256": digest, "branch": branch.as_str(), "commit": commit.id.to_string() }),
        ))
    }

    /// The row as it is now, with the new value, in a commit.
    async fn commit(
        &self,
        graph: &Graph,
        branch: &BranchName,
        value: &[u8],
    ) -> Result<CommitInfo, Failure> {
        let options = TransactionOptions {
            actor: self.actor.name(),
            ..TransactionOptions::default()
        };
        let mut transaction = graph.begin(branch, options).await?;
        let found = self
            .place
            .row(&transaction.snapshot(), &self.branch)
            .await?;
        let mut columns = found.row.columns().to_vec();
        for column in found.def.blob_columns() {
            columns[column] = stored_values(&columns[column])?;
        }
        columns[found.column] = Arc::new(LargeBinaryArray::from_vec(vec![value]));
        let row = RecordBatch::try_new(found.def.value_schema(), columns).map_err(Error::from)?;
        transaction.update(found.def.id, row).await?;
        let message = CommitMessage {
            message: self.message.clone(),
            ..CommitMessage::default()
        };
        let commit = transaction.commit(message).await?;
        commit.ok_or_else(|| Error::internal("a row was written and nothing committed").into())
    }

    fn pieces(&self) -> Result<impl Stream<Item = Result<Bytes, Failure>>, Failure> {
        let path = self.input.clone();
        let input: Box<dyn Read> = match path.as_os_str() == "-" {
            true => Box::new(std::io::stdin()),
            false => Box::new(File::open(&path).map_err(|error| Failure::file(&path, &error))?),
        };
        Ok(futures::stream::try_unfold(input, move |mut input| {
            let mut piece = Vec::new();
            let read = (&mut input).take(PIECE).read_to_end(&mut piece);
            let piece = match read {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some((Bytes::from(piece), input))),
                Err(error) => Err(Failure::file(&path, &error)),
            };
            futures::future::ready(piece)
        }))
    }
}

impl Source {
    /// The blobs of the graph, and the value of this one.
    async fn value(&self) -> Result<(Arc<Blobs>, Vec<u8>), Failure> {
        let graph = self.place.address.open().await?;
        self.external.allow(&graph, &self.place.address).await?;
        let snapshot = graph.snapshot(&self.branch).await?;
        let found = self.place.row(&snapshot, &self.branch).await?;
        let values = stored_values(found.row.column(found.column))?;
        let Some(value) = values.as_binary::<i64>().iter().flatten().next() else {
            let place = &self.place;
            return Err(Failure::new(format!(
                "{} of \"{}\" is NULL",
                place.property, place.id
            )));
        };
        Ok((graph.blobs().clone(), value.to_vec()))
    }
}

/// A row with a blob.
struct Found {
    def: Arc<TypeDef>,
    /// Of the blob.
    column: usize,
    row: RecordBatch,
}

impl Place {
    async fn row(&self, snapshot: &Snapshot, shown: &str) -> Result<Found, Failure> {
        let (of_type, property) = self
            .property
            .split_once('.')
            .ok_or_else(|| Failure::new(format!("\"{}\" is not Type.property", self.property)))?;
        let schema = snapshot.schema();
        let def = schema
            .by_name(of_type)
            .or_else(|| schema.table(of_type))
            .ok_or_else(|| Error::not_found(ObjectKind::Type, of_type))?;
        let (at, _) = def
            .property(property)
            .ok_or_else(|| Error::not_found(ObjectKind::Property, &self.property))?;
        let column = def.property_column(at);
        if !def.columns()[column].is_blob() {
            return Err(Failure::new(format!("{} is not a Blob", self.property)));
        }
        let table = snapshot
            .table(def.id)
            .ok_or_else(|| Error::not_found(ObjectKind::Type, of_type))?;
        let columns: Vec<usize> = (0..def.columns().len()).collect();
        let row = table.lookup(&[&self.id], &columns).await?.batch;
        if row.num_rows() == 0 {
            return Err(Failure::new(format!(
                "{of_type} \"{}\" does not exist on {shown}",
                self.id
            )));
        }
        let def = def.clone();
        Ok(Found { def, column, row })
    }
}
