use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::output::Output;
use crate::cli::{Cli, Failure};

/// Print what completes this program's arguments in a shell.
///
/// bash: omnigraph completion bash > /etc/bash_completion.d/omnigraph; zsh: a file _omnigraph in
/// fpath; fish: ~/.config/fish/completions/omnigraph.fish.
#[derive(Debug, Args)]
pub(super) struct Completion {
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completion {
    pub fn run(self) -> Result<Output, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "omnigraph", &mut script);
        let text = String::from_utf8_lossy(&script).into_owned();
        let document = json!({ "completion": text });
        Ok(Output::new(text, document))
    }
}
