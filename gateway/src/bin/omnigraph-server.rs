//! `omnigraph-server`: serves every graph of a store, or what was applied to a cluster, to
//! PostgreSQL clients.
//!
//! Exit codes: 0 stopped as asked, 1 could not start or failed while running, 2 wrong arguments.

use std::process::ExitCode;

use omnigraph_gateway::config;
use omnigraph_gateway::serve::{STACK_BYTES, serve};
use omnigraph_gateway::telemetry;

fn main() -> ExitCode {
    let (args, mut mistakes) = match config::read(std::env::args_os().collect()) {
        Ok(read) => read,
        Err(error) => error.exit(),
    };
    let checked = args.check().map_err(|found| mistakes.extend(found));
    let config = match checked {
        Ok(config) if mistakes.is_empty() => config,
        _ => {
            for mistake in mistakes {
                eprintln!("omnigraph-server: {mistake}");
            }
            return ExitCode::from(2);
        }
    };
    telemetry::start(args.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("omnigraph-server: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("omnigraph-server: {error}");
            ExitCode::FAILURE
        }
    }
}
