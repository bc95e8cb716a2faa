//! Asking before something is deleted on a server that is not on this machine.

use std::io::{BufRead, Write};

use crate::cli::Failure;
use crate::cli::profile::Server;
use crate::statement::parse;

pub(super) struct Care {
    pub is_local: bool,
    pub confirmed: bool,
    /// Is there somebody to ask?
    pub terminal: bool,
}

impl Care {
    /// Asks where there is something to ask; `true`: the statements write.
    pub fn check(&self, sql: &str, server: &Server) -> Result<bool, Failure> {
        // What is no SQL, the server refuses.
        let Ok(statements) = parse::parse(sql) else {
            return Ok(false);
        };
        let writes = statements
            .iter()
            .any(|one| one.statement.is_write() || one.statement.destroys());
        if self.is_local || self.confirmed || !statements.iter().any(|one| one.statement.destroys())
        {
            return Ok(writes);
        }
        if !self.terminal {
            return Err(Failure::usage(format!("this deletes on {}", server.shown))
                .hint("Give --yes to run it without being asked."));
        }
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "This deletes on {}. Run it? [y/N] ", server.shown);
        let _ = stderr.flush();
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        match read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes") {
            true => Ok(writes),
            false => Err(Failure::new("not run")),
        }
    }
}
