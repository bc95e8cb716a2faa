//! Showing a part of a graph: some of its types, some of their columns, some of their rows.
//!
//! A restricted snapshot is a snapshot of a smaller graph. Hidden types and columns are not in
//! its schema, and hidden rows are gone as deleted ones are; an edge is shown only if both its
//! ends are. So whatever reads it, be it a scan, a lookup, a walk, a pattern, a search, a
//! difference or an export, neither knows of restrictions nor can it forget them.
//!
//! Which rows of an immutable file a predicate hides is found once and kept, as a bitmap.
//!
//! | file | what is in it |
//! |---|---|
//! | rows | the rows that are hidden, file by file |
//! | guard | what a transaction may change |

mod guard;
mod rows;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};

use crate::error::{Error, Result};
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{Overlay, ViewColumn};

pub use guard::Guard;

/// The part of a graph that somebody may see, or may change. It belongs to one schema.
#[derive(Debug)]
pub struct Restriction {
    name: String,
    digest: String,
    parts: HashMap<TypeId, Part>,
    schema: Arc<Schema>,
}

/// The part of a type.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Positions in [`TypeDef::properties`]; `None`: all.
    pub properties: Option<BTreeSet<usize>>,
    /// A row belongs to it if one of these says so; none: every row does.
    pub rows: Vec<Arc<dyn RowPredicate>>,
}

/// Decides over rows of one type. Its answers depend on the row alone.
pub trait RowPredicate: fmt::Debug + Send + Sync {
    /// What it looks at: positions in [`TypeDef::columns`].
    fn columns(&self) -> &[usize];

    /// Which of these rows pass, given the columns it looks at. A NULL does not pass.
    fn passes(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray>;
}

impl Restriction {
    /// Types without a part are hidden. Equal names must mean equal parts of equal schemas:
    /// caches go by it.
    pub fn new(name: &str, schema: &Schema, parts: HashMap<TypeId, Part>) -> Arc<Self> {
        let kept = parts
            .iter()
            .map(|(id, part)| (*id, part.properties.clone()))
            .collect();
        Arc::new(Restriction {
            name: name.to_owned(),
            digest: format!("{}/{name}", schema.digest()),
            schema: Arc::new(schema.part(name, &kept)),
            parts,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is left of the schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The part of a type, if it is shown.
    fn part(&self, id: TypeId) -> Option<&Part> {
        self.schema.by_id(id).and_then(|_| self.parts.get(&id))
    }

    /// The properties of a type that are hidden.
    fn hidden_properties(&self, def: &TypeDef) -> Vec<usize> {
        let kept = self.part(def.id).and_then(|part| part.properties.as_ref());
        let all = 0..def.properties.len();
        match kept {
            None => Vec::new(),
            Some(kept) => all.filter(|at| !kept.contains(at)).collect(),
        }
    }
}

/// What a restricted snapshot shows.
#[derive(Debug)]
pub(crate) struct Shown {
    pub restriction: Arc<Restriction>,
    pub tables: HashMap<TypeId, ShownTable>,
}

#[derive(Debug, Clone)]
pub(crate) struct ShownTable {
    /// Where the columns are that are left; `None`: all are.
    pub columns: Option<Vec<ViewColumn>>,
    /// With the hidden rows among the removed ones.
    pub overlay: Option<Arc<Overlay>>,
}

impl Snapshot {
    /// The part of it that a restriction leaves, which was made for its schema.
    pub async fn restricted(&self, restriction: &Arc<Restriction>) -> Result<Snapshot> {
        if self.shown.is_some() {
            return Err(Error::internal("a part of a snapshot is restricted again"));
        }
        let shown = match self.overlays.is_empty() {
            true => {
                let state = &self.state;
                // One entry may bring several commits, and one commit come to lie in other files
                // by a later entry.
                let key = format!(
                    "{} {}.{} {}",
                    restriction.digest, state.branch_id, state.seq, state.commit
                );
                let cache = state.tables.values().next().map(|base| base.resources());
                let make = async { rows::shown(self, restriction).await.map(Arc::new) };
                match cache {
                    Some(resources) => resources
                        .shown()
                        .try_get_with(key, make)
                        .await
                        .map_err(|error| (*error).clone())?,
                    None => make.await?,
                }
            }
            false => Arc::new(rows::shown(self, restriction).await?),
        };
        Ok(Snapshot {
            shown: Some(shown),
            written: Arc::default(),
            ..self.clone()
        })
    }

    /// The name of the restriction that it was put under.
    pub fn restriction(&self) -> Option<&str> {
        self.shown.as_ref().map(|shown| shown.restriction.name())
    }
}
