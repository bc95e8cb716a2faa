//! The log: on standard error, `info` and above unless `OMNIGRAPH_LOG` says otherwise
//! (`OMNIGRAPH_LOG=debug`, `OMNIGRAPH_LOG=info,omnigraph_gateway::wire=trace`).

use std::io::IsTerminal;

use omnigraph_engine::dataset::QUIET;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Sets up the log of this process; the second call does nothing.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_env_var("OMNIGRAPH_LOG")
        .from_env_lossy();
    let filter = if std::env::var_os("OMNIGRAPH_LOG").is_none() {
        // Libraries tell of each file they write: of interest to who asks for it.
        EnvFilter::new(format!(
            "warn,{QUIET},omnigraph_server=info,omnigraph_gateway=info,omnigraph_udfs=info,omnigraph_catalog=info,omnigraph_engine=info,omnigraph_audit=info"
        ))
    } else {
        filter
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would report a log that cannot be written (a full disk) by a print that panics,
        // in the middle of somebody's commit.
        .log_internal_errors(false);
    // An error says that there is a log already.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}
