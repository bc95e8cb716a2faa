//! The operator's tool.

use std::process::ExitCode;

use clap::Parser;
use omnigraph_gateway::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // A thread may still wait for standard input; it must not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("error: the system gives no threads: {error}");
            ExitCode::FAILURE
        }
    }
}
