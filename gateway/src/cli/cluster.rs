use clap::Args;

use crate::cli::output::Output;
use crate::cli::{Exit, Failure};

/// Manage a cluster of graphs from declared files (not part of this version).
///
/// This version serves the graphs of a directory: `omnigraph-server --store DIR` serves
/// every DIR/graphs/NAME.omni.
#[derive(Debug, Args)]
pub(super) struct Cluster {
    /// validate, plan, apply, approve, status, refresh, import, force-unlock or gc
    #[arg(
        value_name = "VERB",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    verb: Vec<String>,
}

impl Cluster {
    pub fn run(&self) -> Result<Output, Failure> {
        let command = ["cluster"]
            .into_iter()
            .chain(self.verb.first().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ");
        Err(Failure {
            exit: Exit::Failed,
            ..Failure::new(format!("`omnigraph {command}` is not part of this version"))
        }
        .hint(
            "Make graphs with `omnigraph init --schema FILE DIR/graphs/NAME.omni` and serve them with `omnigraph-server --store DIR`.",
        ))
    }
}
