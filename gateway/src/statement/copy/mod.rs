//! COPY … TO STDOUT and COPY … FROM STDIN, in text, csv and binary.

mod binary;
mod lines;
mod ndjson;
mod read;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use omnigraph_catalog::lookup::quote_identifier;

use super::bind::{Relation, RelationKind};
use super::parse::{
    self, Copy, CopyDirection, CopyOption, CopySource, ParsedStatement, QualifiedName,
    Statement as Parsed,
};
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{CopyFormat, Execution, Place};
use crate::sqlstate;
use crate::statement::bind::Environment;

use lines::{Dialect, Header, Quoted};
use read::RowsIn;

/// A COPY that takes data in.
pub(crate) enum CopyIn {
    Rows(Box<RowsIn>),
    Graph(ndjson::Load),
}

impl Session {
    pub(crate) async fn copy_in_write(&mut self, data: Bytes) -> PgResult<()> {
        match &mut self.copy {
            Some(CopyIn::Rows(_)) => self.rows_in_write(&data).await,
            Some(CopyIn::Graph(load)) => load.write(data).await,
            None => Err(no_copy()),
        }
    }

    pub(crate) async fn copy_in_finish(&mut self) -> PgResult<String> {
        match self.copy.take() {
            Some(CopyIn::Rows(rows)) => self.rows_in_finish(rows).await,
            Some(CopyIn::Graph(load)) => self.graph_finish(load).await,
            None => Err(no_copy()),
        }
    }

    pub(crate) async fn copy(&mut self, copy: &Copy, place: Place) -> PgResult<Execution> {
        if copy.direction == CopyDirection::Server {
            return Err(PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                "permission denied to COPY to or from a file or program of the server",
            )
            .hint("Use STDIN or STDOUT; psql's \\copy reads and writes files of the client."));
        }
        if let Some(position) = copy.where_position {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "COPY FROM with WHERE is not supported",
            )
            .hint("Filter the data before it is copied, or delete rows afterwards.")
            .at(position));
        }
        if ndjson::is_graph(&copy.source) {
            return match copy.direction {
                CopyDirection::FromStdin => self.graph_in(&copy.options, place).await,
                CopyDirection::ToStdout | CopyDirection::Server => self.graph_out(place).await,
            };
        }
        let form = form(&copy.options)?;
        match copy.direction {
            CopyDirection::FromStdin => self.copy_in(copy, form).await,
            CopyDirection::ToStdout | CopyDirection::Server => {
                self.copy_out(copy, form, place).await
            }
        }
    }

    async fn copy_out(&mut self, copy: &Copy, form: Form, place: Place) -> PgResult<Execution> {
        let query: Arc<ParsedStatement> = match &copy.source {
            CopySource::Query(query) if matches!(query.statement, Parsed::Query(_)) => {
                Arc::new(query.clone())
            }
            CopySource::Query(query) => {
                // INSERT … RETURNING and its kind: run, and what is returned is copied.
                return self
                    .copy_returned(Arc::new(query.clone()), form, place)
                    .await;
            }
            CopySource::Table { table, columns } => {
                let relation = self.relation(table).await?;
                if relation.kind != RelationKind::Catalog {
                    self.attached()?.access.check_export(&relation.schema)?;
                }
                Arc::new(select_of(&relation, columns.as_deref())?)
            }
        };
        let statement = self.bind(query, &[]).await?;
        let (work, snapshots) = self.current_with_snapshots(&statement, place).await?;
        let rows = self.rows(&work, snapshots, &[], place).await?;
        Ok(Execution::CopyOut(write::copy_out(
            rows,
            form,
            self.current_format(),
            self.current_names(),
        )))
    }

    async fn copy_returned(
        &mut self,
        query: Arc<ParsedStatement>,
        form: Form,
        place: Place,
    ) -> PgResult<Execution> {
        let statement = self.bind(query, &[]).await?;
        match Box::pin(self.write(&statement, &[], place)).await? {
            Execution::Rows(rows) => Ok(Execution::CopyOut(write::copy_out(
                rows,
                form,
                self.current_format(),
                self.current_names(),
            ))),
            _ => Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "COPY query must have a RETURNING clause",
            )),
        }
    }

    /// A relation by name, or 42P01.
    pub(crate) async fn relation(&mut self, table: &QualifiedName) -> PgResult<Relation> {
        for fresh in [false, true, true] {
            let frozen = self.frozen(fresh).await?;
            if let Some(relation) = frozen.relation(table.schema.as_deref(), &table.name)? {
                return Ok(relation);
            }
            if let Some(branch) = frozen.asked().missing {
                self.learn_branch(&branch).await?;
            }
        }
        let name = match &table.schema {
            Some(schema) => format!("{schema}.{}", table.name),
            None => table.name.clone(),
        };
        Err(PgError::new(
            sqlstate::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
        .at(table.position))
    }
}

fn no_copy() -> PgError {
    PgError::new(sqlstate::PROTOCOL_VIOLATION, "no COPY is running")
}

/// `SELECT columns FROM relation`, as a statement.
fn select_of(relation: &Relation, columns: Option<&[String]>) -> PgResult<ParsedStatement> {
    let columns: Vec<String> = match columns {
        Some(columns) => columns
            .iter()
            .map(|column| quote_identifier(column))
            .collect(),
        None => relation
            .columns
            .iter()
            .map(|column| quote_identifier(&column.name))
            .collect(),
    };
    let text = format!(
        "SELECT {} FROM {}.{}",
        columns.join(", "),
        quote_identifier(&relation.schema),
        quote_identifier(&relation.name)
    );
    parse::parse(&text)?
        .pop()
        .ok_or_else(|| PgError::new(sqlstate::INTERNAL_ERROR, "the query of a COPY is empty"))
}

/// How the data is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Lines(Dialect),
    Binary,
}

impl Form {
    fn copy_format(&self, columns: usize) -> CopyFormat {
        CopyFormat {
            binary: *self == Form::Binary,
            columns: u16::try_from(columns).unwrap_or(u16::MAX),
        }
    }
}

/// The options, checked.
fn form(options: &[CopyOption]) -> PgResult<Form> {
    let value = |option: &CopyOption| option.values.first().cloned().unwrap_or_default();
    let format = options
        .iter()
        .find(|option| option.name == "format")
        .map(value);
    let mut dialect = match format.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("text") => Dialect::text(),
        Some("csv") => Dialect::csv(),
        Some("binary") => {
            return match options
                .iter()
                .find(|option| !["format", "freeze"].contains(&option.name.as_str()))
            {
                None => Ok(Form::Binary),
                Some(option) => Err(PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!(
                        "cannot specify {} in BINARY mode",
                        option.name.to_ascii_uppercase()
                    ),
                )),
            };
        }
        Some(other) => {
            return Err(PgError::new(
                sqlstate::INVALID_PARAMETER_VALUE,
                format!("COPY format \"{other}\" not recognized"),
            ));
        }
    };
    for option in options {
        let text = value(option);
        match option.name.as_str() {
            "format" | "freeze" => {}
            "delimiter" => dialect.delimiter = one_byte(&option.name, &text)?,
            "null" => dialect.null = text,
            "header" => {
                dialect.header = match text.to_ascii_lowercase().as_str() {
                    "match" => Header::Match,
                    "" | "on" | "true" | "1" | "yes" => Header::Yes,
                    "off" | "false" | "0" | "no" => Header::No,
                    _ => {
                        return Err(PgError::new(
                            sqlstate::SYNTAX_ERROR,
                            "header requires a Boolean value or \"match\"",
                        ));
                    }
                }
            }
            "quote" | "escape" if !dialect.csv => {
                return Err(PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!(
                        "COPY {} requires CSV mode",
                        option.name.to_ascii_uppercase()
                    ),
                ));
            }
            "quote" => {
                let quote = one_byte(&option.name, &text)?;
                if dialect.escape == dialect.quote {
                    dialect.escape = quote;
                }
                dialect.quote = quote;
            }
            "escape" => dialect.escape = one_byte(&option.name, &text)?,
            "encoding"
                if ["utf8", "utf-8", "unicode"].contains(&text.to_ascii_lowercase().as_str()) => {}
            "force_quote" if !dialect.csv => {
                return Err(PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    "COPY force quote available only in CSV mode",
                ));
            }
            "force_quote" => {
                dialect.quoted = match option.values.as_slice() {
                    [all] if all == "*" => Quoted::All,
                    names => Quoted::Columns(names.to_vec()),
                }
            }
            "force_null" | "force_not_null" | "encoding" => {
                return Err(PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!(
                        "COPY option {} is not supported",
                        option.name.to_ascii_uppercase()
                    ),
                ));
            }
            other => {
                return Err(PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!("option \"{other}\" not recognized"),
                ));
            }
        }
    }
    if dialect.csv && dialect.delimiter == dialect.quote {
        return Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            "COPY delimiter and quote must be different",
        ));
    }
    Ok(Form::Lines(dialect))
}

fn one_byte(name: &str, text: &str) -> PgResult<u8> {
    match text.as_bytes() {
        [byte] if !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err(PgError::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("COPY {name} must be a single one-byte character"),
        )),
    }
}
