use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use omnigraph_engine::blob::{Blobs, stored_values};
use omnigraph_engine::error::{Error, ObjectKind};
use omnigraph_engine::names::BranchName;
use serde_json::json;

use crate::cli::address::{Address, ExternalBlobs};
use crate::cli::output::{Output, grouped};
use crate::cli::{Failure, Format};

/// Read the blob of a row.
#[derive(Debug, Args)]
pub(super) struct Blob {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Get(Get),
    Stat(Stat),
}

/// Write a blob's bytes to standard output or a file, however many there are
#[derive(Debug, Args)]
struct Get {
    #[command(flatten)]
    place: Place,
    /// The file to write; - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Show a blob's length, its SHA-256 if it is known, and where it is
#[derive(Debug, Args)]
struct Stat {
    #[command(flatten)]
    place: Place,
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
    /// A branch, tag or commit, or one of them followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    branch: String,
    #[command(flatten)]
    external: ExternalBlobs,
    #[command(flatten)]
    address: Address,
}

impl Blob {
    pub fn format(&self) -> Format {
        match &self.command {
            Command::Get(_) => Format { json: false },
            Command::Stat(stat) => stat.format,
        }
    }

    pub async fn run(self) -> Result<Output, Failure> {
        match self.command {
            Command::Get(get) => get.run().await,
            Command::Stat(stat) => stat.run().await,
        }
    }
}

impl Get {
    async fn run(self) -> Result<Output, Failure> {
        let (blobs, value) = self.place.value().await?;
        let mut pieces = blobs.stream(&value);
        let path = &self.output;
        let failed = |error| Failure::file(path, &error);
        let mut out: Box<dyn Write> = match path.as_os_str() == "-" {
            true => Box::new(std::io::stdout().lock()),
            false => Box::new(std::fs::File::create(path).map_err(failed)?),
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
        let (blobs, value) = self.place.value().await?;
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

impl Place {
    /// The blobs of the graph, and the value of this one.
    async fn value(&self) -> Result<(Arc<Blobs>, Vec<u8>), Failure> {
        let graph = self.address.open().await?;
        self.external.allow(&graph, &self.address).await?;
        let snapshot = graph.snapshot(&self.branch).await?;
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
        let found = table.lookup(&[&self.id], &[column]).await?;
        let Some(Some(row)) = found.index.first() else {
            return Err(Failure::new(format!(
                "{of_type} \"{}\" does not exist on {}",
                self.id, self.branch
            )));
        };
        let values = stored_values(found.batch.column(0))?;
        let row = *row as usize;
        if values.is_null(row) {
            return Err(Failure::new(format!(
                "{} of \"{}\" is NULL",
                self.property, self.id
            )));
        }
        let value = values.as_binary::<i64>().value(row).to_vec();
        Ok((graph.blobs().clone(), value))
    }
}
