//! The operator's tool: graphs by path or URL, and SQL to servers. One file per subcommand
//! holds its arguments and what it does; help texts are the doc comments.
//!
//! Results go to standard output, as tables or, with `--json`, as one JSON document;
//! progress and errors go to standard error. [`Exit`] lists the exit codes.

mod address;
mod blob;
mod branch;
mod cleanup;
mod cluster;
mod commits;
mod completion;
mod doctor;
mod export;
mod failure;
mod init;
mod lint;
mod load;
mod login;
mod output;
mod policy;
mod profile;
mod progress;
mod queries;
mod revert;
mod schema;
mod sql;
mod tag;
mod version;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

pub use failure::{Exit, Failure};
use output::Output;

/// A versioned, branchable property graph: make, load, export and inspect graphs.
///
/// A graph is a directory (demo/graphs/knowledge.omni) or a URL (s3://bucket/prefix). Exit
/// codes: 0 done; 1 failed; 2 wrong usage, or changes with --detailed-exitcode; 3 merge
/// conflicts; 4 lost to a concurrent writer, run it again; 5 refused by policy; 130
/// interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "omnigraph",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Load(load::Load),
    Ingest(load::Ingest),
    Export(export::Export),
    Blob(blob::Blob),
    Branch(branch::Branch),
    Commits(commits::Commits),
    Tag(tag::Tag),
    Revert(revert::Revert),
    Schema(schema::Schema),
    Cleanup(cleanup::Cleanup),
    Cluster(cluster::Cluster),
    Policy(policy::Policy),
    Doctor(doctor::Doctor),
    Sql(sql::Sql),
    Profile(profile::Profile),
    Login(login::Login),
    Logout(login::Logout),
    Completion(completion::Completion),
    Queries(queries::Queries),
    Lint(lint::Lint),
    Version(version::Version),
}

/// How results are shown.
#[derive(Debug, Clone, Copy, Args)]
struct Format {
    /// Print one JSON document instead of text for people
    #[arg(long)]
    json: bool,
}

/// Who commits.
#[derive(Debug, Clone, Args)]
struct Actor {
    /// The actor that the commit names [default: the user of the operating system]
    #[arg(
        id = "actor",
        long = "as",
        value_name = "ACTOR",
        env = "OMNIGRAPH_ACTOR"
    )]
    name: Option<String>,
}

impl Actor {
    /// The actor, if one was named.
    fn given(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }

    fn name(&self) -> String {
        self.name
            .clone()
            .or_else(|| std::env::var("USER").ok())
            .or_else(|| std::env::var("LOGNAME").ok())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "unknown".to_owned())
    }
}

impl Cli {
    /// Does what was asked and reports it. An interrupt ends it at once; what was not
    /// committed leaves no trace.
    pub fn run(self) -> LocalBoxFuture<'static, ExitCode> {
        // Boxed, so that it is compiled here and not in the program.
        self.report().boxed_local()
    }

    async fn report(self) -> ExitCode {
        let format = self.command.format();
        let cancels_itself = matches!(self.command, Command::Sql(_));
        let outcome = tokio::select! {
            outcome = self.command.run().boxed_local() => outcome,
            _ = tokio::signal::ctrl_c(), if !cancels_itself => Err(Failure::interrupted()),
        };
        let printed = outcome.and_then(|output| output.print(format.json).map(|()| output.exit));
        match printed {
            Ok(exit) => ExitCode::from(exit as u8),
            Err(failure) => {
                failure.print(format.json);
                ExitCode::from(failure.exit as u8)
            }
        }
    }
}

impl Command {
    fn format(&self) -> Format {
        match self {
            Command::Init(command) => command.format,
            Command::Load(command) => command.format,
            Command::Ingest(command) => command.format,
            // The data is the output.
            Command::Export(_) => Format { json: false },
            Command::Blob(command) => command.format(),
            Command::Branch(command) => command.format(),
            Command::Commits(command) => command.format,
            Command::Tag(command) => command.format(),
            Command::Revert(command) => command.format,
            Command::Schema(command) => command.format(),
            Command::Cleanup(command) => command.format,
            Command::Cluster(command) => command.format(),
            Command::Policy(command) => command.format(),
            Command::Doctor(command) => command.format,
            // Rows have shapes of their own.
            Command::Sql(_) => Format { json: false },
            Command::Profile(command) => command.format(),
            Command::Login(command) => command.format,
            Command::Logout(command) => command.format,
            Command::Completion(_) => Format { json: false },
            Command::Queries(command) => command.format(),
            Command::Lint(command) => command.format,
            Command::Version(command) => command.format,
        }
    }

    /// Each command's future is boxed: together they nest deeper than the compiler looks.
    async fn run(self) -> Result<Output, Failure> {
        match self {
            Command::Init(command) => command.run().boxed_local().await,
            Command::Load(command) => command.run().boxed_local().await,
            Command::Ingest(command) => command.run().boxed_local().await,
            Command::Export(command) => command.run().boxed_local().await,
            Command::Blob(command) => command.run().boxed_local().await,
            Command::Branch(command) => command.run().boxed_local().await,
            Command::Commits(command) => command.run().boxed_local().await,
            Command::Tag(command) => command.run().boxed_local().await,
            Command::Revert(command) => command.run().boxed_local().await,
            Command::Schema(command) => command.run().boxed_local().await,
            Command::Cleanup(command) => command.run().boxed_local().await,
            Command::Cluster(command) => command.run().boxed_local().await,
            Command::Policy(command) => command.run(),
            Command::Doctor(command) => command.run().boxed_local().await,
            Command::Sql(command) => command.run().boxed_local().await,
            Command::Profile(command) => command.run(),
            Command::Login(command) => command.run().boxed_local().await,
            Command::Logout(command) => command.run(),
            Command::Completion(command) => command.run(),
            Command::Queries(command) => command.run(),
            Command::Lint(command) => command.run(),
            Command::Version(command) => Ok(command.run()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_that_the_verb_cannot_use_is_refused() {
        assert!(Cli::try_parse_from(["omnigraph", "commits", "--as", "ada", "g.omni"]).is_err());
        assert!(
            Cli::try_parse_from([
                "omnigraph",
                "branch",
                "create",
                "x",
                "--as",
                "ada",
                "g.omni"
            ])
            .is_ok()
        );
        assert!(
            Cli::try_parse_from([
                "omnigraph",
                "load",
                "--data",
                "-",
                "--mode",
                "append",
                "g.omni"
            ])
            .is_ok()
        );
        assert!(
            Cli::try_parse_from([
                "omnigraph",
                "load",
                "--data",
                "-",
                "--mode",
                "replace",
                "g.omni"
            ])
            .is_err()
        );
    }
}
