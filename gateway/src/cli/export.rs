use std::io::{BufWriter, ErrorKind, Write};

use clap::Args;
use omnigraph_engine::load::{ExportOptions, export};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::{Store, StoreOptions};

use crate::cli::Failure;
use crate::cli::address::Address;
use crate::cli::output::Output;

/// Write a graph's rows to standard output, one JSON object per line.
///
/// Nodes come before edges, each type sorted by id; loading the output gives the same rows.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A branch, a commit, or either followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    branch: String,
    /// Write long blobs to files in this folder, named by their SHA-256; lines refer to them.
    /// Loading them again takes --allow-blobs file:///FOLDER/
    #[arg(long, value_name = "FOLDER")]
    blobs: Option<String>,
    #[command(flatten)]
    address: Address,
}

impl Export {
    pub async fn run(self) -> Result<Output, Failure> {
        let snapshot = self.address.open().await?.snapshot(&self.branch).await?;
        let blobs = match &self.blobs {
            Some(folder) => Some(Store::connect(folder, &StoreOptions::default()).await?),
            None => None,
        };
        let options = ExportOptions { blobs };
        let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout());
        let mut closed = false;
        let written = export(&snapshot, &options, |text| {
            let written = out.write_all(text.as_bytes());
            closed |= matches!(&written, Err(error) if error.kind() == ErrorKind::BrokenPipe);
            written
        })
        .await;
        // `omnigraph export … | head` is no failure.
        if closed {
            return Ok(Output::none());
        }
        written?;
        match out.flush() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("standard output: {error}")))
            }
            _ => Ok(Output::none()),
        }
    }
}
