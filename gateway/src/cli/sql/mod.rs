//! SQL to a server: from the command line, from standard input, or in a conversation.

mod careful;
mod converse;
mod print;
mod words;

use std::io::{IsTerminal, Read};

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::cli::output::Output;
use crate::cli::profile::{Server, ServerName};
use crate::cli::{Exit, Failure};
use careful::Care;
use print::{Printer, Shown};

/// Run SQL on a server: from the command line, from standard input, or one by one at a terminal.
///
/// At a terminal statements end with a semicolon, the arrow keys go through those of earlier
/// sessions (~/.omnigraph/history), the tab key completes names, and \q leaves. What deletes is
/// asked about first, unless the server is on this machine; without a terminal it needs --yes.
#[derive(Debug, Args)]
pub(super) struct Sql {
    #[command(flatten)]
    server: ServerName,
    /// Run this and end; may be given several times
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,
    /// How rows are shown
    #[arg(long, value_enum, default_value_t = Shown::Table)]
    output: Shown,
    /// Do not ask before statements that delete
    #[arg(long)]
    yes: bool,
}

/// A server that answers, and how its answers are shown.
struct Session {
    client: Client,
    server: Server,
    shown: Shown,
    care: Care,
}

impl Sql {
    pub async fn run(self) -> Result<Output, Failure> {
        let terminal = std::io::stdin().is_terminal();
        let server = self.server.find()?;
        let care = Care {
            is_local: server.is_local(),
            confirmed: self.yes,
            terminal,
        };
        let texts = match (self.command.is_empty(), terminal) {
            (false, _) => self.command,
            (true, false) => vec![standard_input()?],
            (true, true) => Vec::new(),
        };
        // Whatever is to be asked is asked before anything runs.
        let mut checked = Vec::with_capacity(texts.len());
        for sql in texts {
            let writes = care.check(&sql, &server)?;
            checked.push((sql, writes));
        }
        let session = Session {
            client: connect(&server).await?,
            shown: self.output,
            care,
            server,
        };
        match checked.is_empty() {
            true => session.converse().await?,
            false => {
                for (sql, writes) in &checked {
                    session.answer(sql, *writes).await?;
                }
            }
        }
        // What was answered was printed as it came.
        Ok(Output::new("", Value::Null))
    }
}

fn standard_input() -> Result<String, Failure> {
    let mut sql = String::new();
    std::io::stdin()
        .read_to_string(&mut sql)
        .map_err(|error| Failure::new(format!("standard input: {error}")))?;
    Ok(sql)
}

/// Connects, or says why not.
pub(super) async fn connect(server: &Server) -> Result<Client, Failure> {
    let mut config = server.config.clone();
    config.application_name("omnigraph");
    let (client, connection) = config.connect(NoTls).await.map_err(|error| told(&error))?;
    // It ends with the client; what fails is told by the statement that it fails.
    tokio::spawn(connection);
    Ok(client)
}

impl Session {
    /// Runs statements and prints what they answer as it comes. An interrupt cancels them.
    async fn answer(&self, sql: &str, writes: bool) -> Result<(), Failure> {
        let cancel = self.client.cancel_token();
        let interrupted = async {
            if tokio::signal::ctrl_c().await.is_ok() {
                // What the server answers then is the end of the statement.
                let _ = cancel.cancel_query(NoTls).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = self.print(sql) => outcome?,
            () = interrupted => {}
        }
        if writes {
            eprintln!("written to {}", self.server.shown);
        }
        Ok(())
    }

    async fn print(&self, sql: &str) -> Result<(), Failure> {
        let messages = self.client.simple_query_raw(sql).await;
        let mut messages = messages.map_err(|error| told(&error))?.boxed();
        let mut printer = Printer::new(self.shown);
        while let Some(message) = messages.try_next().await.map_err(|error| told(&error))? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    let names = columns.iter().map(|column| column.name().to_owned());
                    printer.begin(names.collect())?;
                }
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|at| row.get(at).map(str::to_owned));
                    printer.row(cells.collect())?;
                }
                SimpleQueryMessage::CommandComplete(count) => printer.end(count)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a server answered, as the tool tells it.
pub(super) fn told(error: &tokio_postgres::Error) -> Failure {
    let Some(answer) = error.as_db_error() else {
        let source = std::error::Error::source(error);
        return Failure::new(match source {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        });
    };
    let exit = match answer.code().code() {
        "42501" => Exit::Denied,
        "40001" => Exit::Lost,
        _ => Exit::Failed,
    };
    Failure {
        exit,
        detail: answer.detail().map(str::to_owned),
        hint: answer.hint().map(str::to_owned),
        ..Failure::new(format!("{} [{}]", answer.message(), answer.code().code()))
    }
}
