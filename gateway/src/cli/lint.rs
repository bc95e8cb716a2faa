use std::path::{Path, PathBuf};

use clap::Args;
use omnigraph_catalog::cluster::spec::File;
use omnigraph_catalog::diagnostic::Diagnostic;
use serde_json::json;

use crate::cli::cluster::lines;
use crate::cli::output::Output;
use crate::cli::{Exit, Failure, Format};
use crate::lint;

/// Check a schema, the queries over it, and the way to it from an older schema.
///
/// Every mistake comes with a code, a place and what to do about it; the codes are listed by
/// --codes. Warnings alone do not fail.
#[derive(Debug, Args)]
pub(super) struct Lint {
    /// The schema, a .pg file
    #[arg(long, value_name = "FILE", required_unless_present = "codes")]
    schema: Option<PathBuf>,
    /// The schema that a graph has now, a .pg file
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Files of stored queries, .gq or .sql
    #[arg(value_name = "QUERIES")]
    queries: Vec<PathBuf>,
    /// Print what each code means, as a page of Markdown
    #[arg(long)]
    codes: bool,
    #[command(flatten)]
    pub format: Format,
}

impl Lint {
    pub fn run(self) -> Result<Output, Failure> {
        let Some(schema) = self.schema.filter(|_| !self.codes) else {
            let codes = lint::CODES.iter();
            let codes: Vec<_> = codes
                .map(|code| json!({ "code": code.code, "means": code.means }))
                .collect();
            return Ok(Output::new(lint::page(), json!({ "codes": codes })));
        };
        let from = self.from.as_deref().map(read).transpose()?;
        let queries = self.queries.iter().map(|path| read(path));
        let queries = queries.collect::<Result<Vec<File>, Failure>>()?;
        let found = lint::lint(from.as_ref(), &read(&schema)?, &queries);
        let (errors, warnings): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
            found.iter().partition(|one| one.is_error());
        let mut text = lines(&found);
        text.push_str(&format!(
            "{} errors, {} warnings\n",
            errors.len(),
            warnings.len()
        ));
        let mut output = Output::new(text, json!({ "errors": errors, "warnings": warnings }));
        if !errors.is_empty() {
            output.exit = Exit::Failed;
        }
        Ok(output)
    }
}

fn read(path: &Path) -> Result<File, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    Ok(File {
        path: path.display().to_string(),
        digest: String::new(),
        text,
    })
}
