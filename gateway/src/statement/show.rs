//! SHOW.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use futures::StreamExt;
use omnigraph_catalog::types::PgType;

use super::parse::Show;
use crate::error::PgResult;
use crate::session::Session;
use crate::session::protocol::{Column, Execution, Place, Rows, RowsTag};
use crate::session::settings::find;
use crate::session::transaction::State;

impl Session {
    pub(crate) fn show_columns(&self, show: &Show) -> PgResult<Arc<[Column]>> {
        let text = |name: &str| Column::new(name, PgType::TEXT);
        Ok(match show {
            Show::All => Arc::from([text("name"), text("setting"), text("description")]),
            Show::Name(name) => {
                // The canonical spelling is the column's name; an unknown one is an error now.
                self.common.settings.lock().show(name)?;
                Arc::from([text(find(name).map_or(name.as_str(), |row| row.name))])
            }
        })
    }

    pub(crate) async fn show(&mut self, show: &Show, place: Place) -> PgResult<Execution> {
        let columns = self.show_columns(show)?;
        let rows: Vec<Vec<String>> = match show {
            Show::Name(name) => vec![vec![self.shown(name, place).await?]],
            Show::All => {
                let branch = self.branch().await?.to_string();
                let snapshot = self.snapshot_commit(place).await?;
                self.common
                    .settings
                    .lock()
                    .all()
                    .into_iter()
                    .map(|shown| {
                        let doc = shown.row.map_or("", |row| row.doc).to_owned();
                        let value = match shown.name.as_str() {
                            "branch" => branch.clone(),
                            "snapshot_commit" => snapshot.clone(),
                            _ => shown.value,
                        };
                        vec![shown.name, value, doc]
                    })
                    .collect()
            }
        };
        text_rows(columns, &rows, RowsTag::Fixed("SHOW"))
    }

    async fn shown(&mut self, name: &str, place: Place) -> PgResult<String> {
        match name {
            "branch" => Ok(self.branch().await?.to_string()),
            "snapshot_commit" => self.snapshot_commit(place).await,
            _ => self.common.settings.lock().show(name),
        }
    }

    /// The commit that a statement reads now; empty where there is no graph.
    async fn snapshot_commit(&mut self, place: Place) -> PgResult<String> {
        if self.graph.is_none() {
            return Ok(String::new());
        }
        let branch = self.branch().await?;
        if let State::Open(open) = &self.state
            && self.pinned().is_none()
            && let Some(commit) = open.base(&branch)
        {
            return Ok(commit.to_string());
        }
        let snapshots = self.snapshots(std::slice::from_ref(&branch), place).await?;
        Ok(snapshots
            .get(&branch)
            .map(|snapshot| snapshot.commit().to_string())
            .unwrap_or_default())
    }
}

/// Rows of text, all at once: for answers that are small by nature.
pub(crate) fn text_rows(
    columns: Arc<[Column]>,
    rows: &[Vec<String>],
    tag: RowsTag,
) -> PgResult<Execution> {
    let arrays: Vec<ArrayRef> = (0..columns.len())
        .map(|at| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(
                rows.iter()
                    .map(|row| row.get(at).map_or("", String::as_str)),
            ))
        })
        .collect();
    let fields: Vec<arrow::datatypes::Field> = columns
        .iter()
        .map(|column| arrow::datatypes::Field::new(&column.name, column.ty.arrow(), true))
        .collect();
    let batch = RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), arrays)?;
    Ok(Execution::Rows(Rows {
        columns,
        stream: futures::stream::once(futures::future::ready(Ok(batch))).boxed(),
        tag,
    }))
}
