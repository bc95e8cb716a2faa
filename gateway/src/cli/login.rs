//! Keeping the password of a profile.

use std::borrow::Cow;
use std::io::{IsTerminal, Read};

use clap::Args;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Editor, Helper};
use serde_json::json;

use crate::cli::output::Output;
use crate::cli::profile::{Passwords, Profiles, Server, parsed, without_password};
use crate::cli::{Failure, Format, sql};

/// Keep the password of a profile, once the server has accepted it.
///
/// It is asked for at the terminal, or read from standard input, and kept in
/// ~/.omnigraph/credentials.json, which only its owner can read.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// The profile
    #[arg(value_name = "NAME")]
    profile: String,
    #[command(flatten)]
    pub format: Format,
}

/// Forget the password of a profile.
#[derive(Debug, Args)]
pub(super) struct Logout {
    /// The profile
    #[arg(value_name = "NAME")]
    profile: String,
    #[command(flatten)]
    pub format: Format,
}

impl Login {
    pub async fn run(self) -> Result<Output, Failure> {
        let dsn = Profiles::read()?.server(&self.profile)?.to_owned();
        let shown = without_password(&dsn);
        let password = password(&shown)?;
        let mut config = parsed(&dsn)?;
        config.password(&password);
        let server = Server { config, shown };
        sql::connect(&server).await?;
        Passwords::read()?.set(&self.profile, Some(password))?;
        let text = format!(
            "logged in to {} as profile \"{}\"",
            server.shown, self.profile
        );
        Ok(Output::new(
            text,
            json!({ "profile": self.profile, "login": true }),
        ))
    }
}

impl Logout {
    pub fn run(self) -> Result<Output, Failure> {
        let known = Passwords::read()?.set(&self.profile, None)?;
        let text = match known {
            true => format!("the password of profile \"{}\" is forgotten", self.profile),
            false => format!("no password of profile \"{}\" was kept", self.profile),
        };
        Ok(Output::new(
            text,
            json!({ "profile": self.profile, "login": false }),
        ))
    }
}

/// The password, without showing it.
fn password(server: &str) -> Result<String, Failure> {
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        let broken = |error| Failure::new(format!("the terminal: {error}"));
        let mut editor: Editor<Hidden, DefaultHistory> = Editor::new().map_err(broken)?;
        editor.set_helper(Some(Hidden));
        let prompt = format!("password for {server}: ");
        text = editor.readline(&prompt).map_err(broken)?;
    } else {
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| Failure::new(format!("standard input: {error}")))?;
    }
    let password = text.trim_end_matches(['\n', '\r']).to_owned();
    match password.is_empty() {
        true => Err(Failure::usage("the password is empty")),
        false => Ok(password),
    }
}

/// Shows stars for what is typed.
struct Hidden;

impl Highlighter for Hidden {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        "*".repeat(line.chars().count()).into()
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Completer for Hidden {
    type Candidate = String;
}

impl Hinter for Hidden {
    type Hint = String;
}

impl Validator for Hidden {}

impl Helper for Hidden {}
