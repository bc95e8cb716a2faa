//! A conversation at a terminal: a line editor with history and completion.

use rustyline::Editor;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;

use super::Session;
use super::words::{Words, is_farewell};
use crate::cli::Failure;
use crate::cli::profile::private_file;

const HISTORY: &str = "history";

impl Session {
    pub(super) async fn converse(&self) -> Result<(), Failure> {
        let broken = |error: ReadlineError| Failure::new(format!("the terminal: {error}"));
        let mut editor: Editor<Words, FileHistory> = Editor::new().map_err(broken)?;
        editor.set_helper(Some(Words::of(&self.client).await));
        // Without a place to keep it there is a history of this conversation alone.
        let history = private_file(HISTORY).ok();
        if let Some(history) = &history {
            // There is none the first time.
            let _ = editor.load_history(history);
        }
        eprintln!("{}; \\q leaves", self.server.shown);
        loop {
            let asked = tokio::task::spawn_blocking(move || {
                let line = editor.readline("omnigraph> ");
                (editor, line)
            });
            let line;
            (editor, line) = asked
                .await
                .map_err(|error| Failure::new(format!("the terminal: {error}")))?;
            let sql = match line {
                Ok(sql) if sql.trim().is_empty() => continue,
                Ok(sql) if is_farewell(&sql) => return Ok(()),
                Ok(sql) => sql,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(broken(error)),
            };
            if editor.add_history_entry(sql.as_str()).is_ok()
                && let Some(history) = &history
            {
                // A history that cannot be kept is no reason to stop.
                let _ = editor.append_history(history);
            }
            let answered = match self.care.check(&sql, &self.server) {
                Ok(writes) => self.answer(&sql, writes).await,
                refused => refused.map(drop),
            };
            match answered {
                Ok(()) => {}
                Err(failure) if self.client.is_closed() => return Err(failure),
                Err(failure) => failure.print(false),
            }
        }
    }
}
