use clap::Args;
use serde_json::json;

use crate::cli::Format;
use crate::cli::output::Output;

/// Print the version of this tool.
#[derive(Debug, Args)]
pub(super) struct Version {
    #[command(flatten)]
    pub format: Format,
}

impl Version {
    pub fn run(&self) -> Output {
        let version = env!("CARGO_PKG_VERSION");
        Output::new(
            format!("omnigraph {version}"),
            json!({ "name": "omnigraph", "version": version }),
        )
    }
}
