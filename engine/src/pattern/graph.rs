//! The tables, dictionaries and adjacencies behind the element types of a pattern, at one
//! snapshot; and the properties of elements, fetched when somebody needs them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, StringArray, StringBuilder, UInt64Array, new_null_array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;

use crate::error::{Error, ObjectKind, Result};
use crate::pattern::PropertyKind;
use crate::pattern::frame::Element;
use crate::schema::{ID_COLUMN, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{Chunk, RowPosition, Table};
use crate::traverse::{Adjacency, Dictionary, Ends};

#[derive(Debug)]
pub(super) struct Elements {
    tables: Vec<ElementTable>,
    by_type: HashMap<TypeId, u32>,
    /// Adjacencies that were there, and those that had to be made.
    pub cached: usize,
    pub built: usize,
}

/// What edge types are used for.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// They are walked against their direction.
    pub backwards: HashSet<TypeId>,
    /// They are asked whether they join two nodes.
    pub joins: HashSet<TypeId>,
}

#[derive(Debug)]
pub(super) struct ElementTable {
    table: Table,
    chunks: Arc<Vec<Chunk>>,
    source: Source,
    /// Where each chunk's rows begin in the table, deleted ones counted.
    starts: Vec<u32>,
}

#[derive(Debug)]
pub(super) enum Source {
    Nodes(Arc<Dictionary>),
    Edges(EdgeSource),
}

#[derive(Debug)]
pub(super) struct EdgeSource {
    pub adjacency: Arc<Adjacency>,
    /// The tables of the nodes at its ends.
    pub from: u32,
    pub to: u32,
}

impl Elements {
    /// Opens what elements of these types need.
    pub(super) async fn open(snapshot: &Snapshot, types: &[TypeId], uses: &Uses) -> Result<Self> {
        let mut elements = Elements {
            tables: Vec::new(),
            by_type: HashMap::new(),
            cached: 0,
            built: 0,
        };
        for &id in types {
            elements.add(snapshot, id, uses).await?;
        }
        Ok(elements)
    }

    pub(super) fn number(&self, id: TypeId) -> Option<u32> {
        self.by_type.get(&id).copied()
    }

    pub(super) fn edges(&self, table: u32) -> Option<&EdgeSource> {
        match &self.tables.get(table as usize)?.source {
            Source::Edges(edges) => Some(edges),
            Source::Nodes(_) => None,
        }
    }

    /// One more than the greatest number of a table's nodes.
    pub(super) fn node_count(&self, table: u32) -> Option<usize> {
        match &self.tables.get(table as usize)?.source {
            Source::Nodes(dictionary) => Some(dictionary.len()),
            Source::Edges(_) => None,
        }
    }

    /// The nodes with these ids, which exist.
    pub(super) fn nodes(&self, id: TypeId, ids: &StringArray) -> Result<Vec<Element>> {
        let number = self
            .number(id)
            .ok_or_else(|| Error::internal("a match begins at a table that it did not open"))?;
        let Source::Nodes(dictionary) = &self.tables[number as usize].source else {
            return Err(Error::internal("a match begins at an edge table"));
        };
        ids.iter()
            .flatten()
            .map(|id| {
                let node = dictionary
                    .find(id)
                    .ok_or_else(|| Error::internal("a node that its dictionary does not know"))?;
                Ok(Element::new(number, node))
            })
            .collect()
    }

    async fn add(&mut self, snapshot: &Snapshot, id: TypeId, uses: &Uses) -> Result<u32> {
        if let Some(&known) = self.by_type.get(&id) {
            return Ok(known);
        }
        let table = snapshot
            .table(id)
            .ok_or_else(|| Error::not_found(ObjectKind::Type, format!("{:016x}", id.0)))?;
        let topologies = Arc::clone(table.topologies());
        let source = match table.def().endpoints() {
            None => Source::Nodes(topologies.dictionary(&table).await?),
            Some((from, to)) => {
                let numbered = async {
                    let from = Box::pin(self.add(snapshot, from, uses)).await?;
                    let to = Box::pin(self.add(snapshot, to, uses)).await?;
                    Ok::<_, Error>((from, to))
                };
                let (numbered, ()) = tokio::join!(numbered, topologies.read_ahead(&table));
                let (from, to) = numbered?;
                let ends = Ends {
                    from: self.dictionary(from)?,
                    to: self.dictionary(to)?,
                };
                match topologies.has_adjacency(&table, &ends) {
                    true => self.cached += 1,
                    false => self.built += 1,
                }
                let adjacency = topologies.adjacency(&table, &ends).await?;
                if uses.backwards.contains(&id) {
                    topologies.prepare_reverse(&adjacency).await?;
                }
                if uses.joins.contains(&id) {
                    topologies.prepare_joins(&adjacency).await?;
                }
                Source::Edges(EdgeSource {
                    adjacency,
                    from,
                    to,
                })
            }
        };
        let chunks = table.chunks().await?;
        let mut starts = Vec::with_capacity(chunks.len());
        let mut start = 0u32;
        for chunk in chunks.iter() {
            starts.push(start);
            start = start.saturating_add(chunk.rows);
        }
        let number = self.tables.len() as u32;
        self.tables.push(ElementTable {
            table,
            chunks,
            source,
            starts,
        });
        self.by_type.insert(id, number);
        Ok(number)
    }

    fn dictionary(&self, table: u32) -> Result<Arc<Dictionary>> {
        match &self.tables[table as usize].source {
            Source::Nodes(dictionary) => Ok(Arc::clone(dictionary)),
            Source::Edges(_) => Err(Error::internal("an edge that ends at an edge")),
        }
    }

    /// One array for each property, one row for each element.
    pub(super) async fn fetch(
        &self,
        elements: &[Element],
        properties: &[(&PropertyKind, DataType)],
    ) -> Result<Vec<ArrayRef>> {
        if properties.is_empty() {
            return Ok(Vec::new());
        }
        let mut by_table: Vec<(u32, Vec<u32>)> = Vec::new();
        for (row, element) in elements.iter().enumerate() {
            match by_table
                .iter_mut()
                .find(|(table, _)| *table == element.table())
            {
                Some((_, rows)) => rows.push(row as u32),
                None => by_table.push((element.table(), vec![row as u32])),
            }
        }
        if let [(table, _)] = by_table.as_slice() {
            let numbers: Vec<u32> = elements.iter().map(|element| element.number()).collect();
            return self.tables[*table as usize]
                .fetch(&numbers, properties)
                .await;
        }
        // Each table's rows, one after the other, and then in their places.
        let mut pieces: Vec<Vec<ArrayRef>> = vec![Vec::new(); properties.len()];
        let mut places = vec![0u64; elements.len()];
        let mut done = 0;
        for (table, rows) in &by_table {
            let numbers: Vec<u32> = rows
                .iter()
                .map(|&row| elements[row as usize].number())
                .collect();
            let arrays = self.tables[*table as usize]
                .fetch(&numbers, properties)
                .await?;
            for (piece, array) in pieces.iter_mut().zip(arrays) {
                piece.push(array);
            }
            for (place, &row) in rows.iter().enumerate() {
                places[row as usize] = done + place as u64;
            }
            done += rows.len() as u64;
        }
        let places = UInt64Array::from(places);
        pieces
            .iter()
            .zip(properties)
            .map(|(pieces, (_, data_type))| {
                let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
                if pieces.is_empty() {
                    return Ok(new_null_array(data_type, 0));
                }
                Ok(take(&concat(&pieces)?, &places, None)?)
            })
            .collect()
    }
}

impl ElementTable {
    async fn fetch(
        &self,
        numbers: &[u32],
        properties: &[(&PropertyKind, DataType)],
    ) -> Result<Vec<ArrayRef>> {
        let def = self.table.def();
        let mut columns: Vec<usize> = Vec::new();
        let wanted: Vec<Option<usize>> = properties
            .iter()
            .map(|(property, data_type)| {
                let column = match property {
                    PropertyKind::ElementId => ID_COLUMN,
                    PropertyKind::Column(name) => {
                        let (at, column) = def.column(name)?;
                        // Of another type's property by the same name.
                        if column.data_type != *data_type {
                            return None;
                        }
                        at
                    }
                };
                if !columns.contains(&column) {
                    columns.push(column);
                }
                columns.iter().position(|known| *known == column)
            })
            .collect();
        let batch = match columns.is_empty() {
            true => None,
            false => {
                let positions = self.positions(numbers).await?;
                Some(self.table.with_bytes(&positions, &columns).await?)
            }
        };
        Ok(properties
            .iter()
            .zip(wanted)
            .map(|((property, data_type), column)| match (&batch, column) {
                (Some(batch), Some(column)) => match property {
                    PropertyKind::Column(_) => Arc::clone(batch.column(column)),
                    PropertyKind::ElementId => element_ids(&def.table, batch.column(column)),
                },
                _ => new_null_array(data_type, numbers.len()),
            })
            .collect())
    }

    /// Where the rows of these nodes or edges are.
    async fn positions(&self, numbers: &[u32]) -> Result<Vec<RowPosition>> {
        match &self.source {
            Source::Edges(edges) => numbers
                .iter()
                .map(|&number| {
                    let (piece, offset) = edges
                        .adjacency
                        .row(number)
                        .ok_or_else(|| Error::internal("an edge without a place in its table"))?;
                    Ok(RowPosition {
                        chunk: piece as u32,
                        offset,
                    })
                })
                .collect(),
            Source::Nodes(dictionary) => self.node_positions(dictionary, numbers).await,
        }
    }

    /// Numbers mostly follow the rows of the table: the row there is looked at first, and the
    /// id is looked up where another node has come to be.
    async fn node_positions(
        &self,
        dictionary: &Dictionary,
        numbers: &[u32],
    ) -> Result<Vec<RowPosition>> {
        let mut positions = Vec::with_capacity(numbers.len());
        let mut moved: Vec<usize> = Vec::new();
        let mut ids: HashMap<usize, StringArray> = HashMap::new();
        for (at, &number) in numbers.iter().enumerate() {
            let chunk = self
                .starts
                .partition_point(|start| *start <= number)
                .saturating_sub(1);
            let offset = number - self.starts.get(chunk).copied().unwrap_or_default();
            let mut found = false;
            if let Some(known) = self.chunks.get(chunk)
                && offset < known.rows
                && known.is_live(offset)
            {
                let ids = match ids.entry(chunk) {
                    Entry::Occupied(read) => read.into_mut(),
                    Entry::Vacant(unread) => unread.insert(self.ids(known).await?),
                };
                found = ids.value(offset as usize) == dictionary.id(number);
            }
            if !found {
                moved.push(at);
            }
            positions.push(RowPosition {
                chunk: chunk as u32,
                offset,
            });
        }
        if !moved.is_empty() {
            let ids: Vec<&str> = moved.iter().map(|&at| dictionary.id(numbers[at])).collect();
            for (&at, position) in moved.iter().zip(self.table.find_ids(&ids).await?) {
                positions[at] =
                    position.ok_or_else(|| Error::internal("an edge that leads to no node"))?;
            }
        }
        Ok(positions)
    }

    async fn ids(&self, chunk: &Chunk) -> Result<StringArray> {
        let columns = self.table.chunk_columns(chunk, &[ID_COLUMN]).await?;
        columns
            .first()
            .and_then(|column| column.as_string_opt::<i32>())
            .cloned()
            .ok_or_else(|| Error::internal("an id column that is not text"))
    }
}

fn element_ids(table: &str, ids: &ArrayRef) -> ArrayRef {
    let ids = ids.as_string::<i32>();
    let mut out = StringBuilder::with_capacity(
        ids.len(),
        ids.value_data().len() + ids.len() * (table.len() + 1),
    );
    let mut text = String::new();
    for id in ids {
        match id {
            None => out.append_null(),
            Some(id) => {
                text.clear();
                text.push_str(table);
                text.push(':');
                text.push_str(id);
                out.append_value(&text);
            }
        }
    }
    Arc::new(out.finish())
}
