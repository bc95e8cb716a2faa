//! Rows that are made once and shown by many.
//!
//! A *segment* holds the rows of one schema's objects, whatever branch shows them: OIDs are
//! marked slots ([`super::oid`]), names of the branch and the graph are marks in the text. A
//! *part* is a segment as one branch shows it: on first use of a relation the marked columns
//! are replaced and everything else is shared. So fifty branches with one schema hold one copy
//! of what is large, and a new branch costs nothing until somebody looks.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, UInt32Type};
use omnigraph_engine::Result;
use omnigraph_engine::schema::Schema;
use parking_lot::Mutex;

use super::def::RelationDef;
use super::input::Registry;
use super::objects::Objects;
use super::oid::{Block, OWN};
use super::system::System;
use super::tables;
use super::value::Rows;
use crate::lookup::quote_identifier;

/// Marks in the text of shared rows.
pub mod mark {
    /// The branch's name.
    pub const SCHEMA: &str = "\u{1}";
    /// The branch's name as it is written in SQL.
    pub const QUOTED: &str = "\u{2}";
    /// The graph's name.
    pub const DATABASE: &str = "\u{3}";
    /// The property graph's name.
    pub const GRAPH: &str = "\u{6}";
    const OID: char = '\u{4}';
    const END: char = '\u{5}';

    /// The decimal digits of a marked slot's OID.
    pub fn oid(slot: u32) -> String {
        format!("{OID}{slot}{END}")
    }

    pub(super) fn is_marked(text: &str) -> bool {
        text.bytes().any(|byte| matches!(byte, 1..=4 | 6))
    }

    pub(super) fn replace(
        text: &str,
        names: &super::Names,
        relocate: impl Fn(u32) -> u32,
    ) -> String {
        let mut out = String::with_capacity(text.len() + 16);
        let mut rest = text;
        while let Some(at) = rest.find(|c| matches!(c, '\u{1}'..='\u{4}' | '\u{6}')) {
            out.push_str(&rest[..at]);
            let mark = &rest[at..=at];
            rest = &rest[at + 1..];
            match mark {
                SCHEMA => out.push_str(&names.schema),
                QUOTED => out.push_str(&names.quoted),
                DATABASE => out.push_str(&names.database),
                GRAPH => out.push_str(&names.graph),
                _ => {
                    let end = rest.find(END).unwrap_or(rest.len());
                    if let Ok(slot) = rest[..end].parse() {
                        out.push_str(&relocate(slot).to_string());
                    }
                    rest = rest.get(end + 1..).unwrap_or("");
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// The rows of one relation as a segment holds them.
#[derive(Debug)]
pub struct Template {
    batch: RecordBatch,
    columns: Vec<ColumnMarks>,
}

#[derive(Debug, Clone, Copy, Default)]
struct ColumnMarks {
    /// Holds marked slots or marks in text.
    any: bool,
    /// Holds nothing but marked slots.
    all: bool,
}

impl Template {
    fn new(batch: RecordBatch) -> Self {
        let columns = batch
            .columns()
            .iter()
            .map(|column| match column.data_type() {
                DataType::UInt32 => {
                    let oids = column.as_primitive::<UInt32Type>();
                    ColumnMarks {
                        any: oids.iter().flatten().any(|oid| oid & OWN != 0),
                        all: oids.iter().all(|oid| oid.is_some_and(|oid| oid & OWN != 0)),
                    }
                }
                DataType::Utf8 => ColumnMarks {
                    any: column
                        .as_string::<i32>()
                        .iter()
                        .flatten()
                        .any(mark::is_marked),
                    all: false,
                },
                _ => ColumnMarks::default(),
            })
            .collect();
        Template { batch, columns }
    }

    fn shown(&self, names: &Names, block: Option<Block>) -> Result<RecordBatch> {
        let relocate = |oid| block.map_or(oid, |block| block.relocate(oid));
        let columns = self
            .batch
            .columns()
            .iter()
            .zip(&self.columns)
            .map(|(column, marks)| -> ArrayRef {
                match column.data_type() {
                    DataType::UInt32 if marks.any => Arc::new(
                        column
                            .as_primitive::<UInt32Type>()
                            .unary::<_, UInt32Type>(relocate),
                    ),
                    DataType::Utf8 if marks.any => Arc::new(
                        column
                            .as_string::<i32>()
                            .iter()
                            .map(|text| text.map(|text| mark::replace(text, names, relocate)))
                            .collect::<StringArray>(),
                    ),
                    _ => Arc::clone(column),
                }
            })
            .collect();
        Ok(RecordBatch::try_new(self.batch.schema(), columns)?)
    }
}

/// What a segment's rows are made from.
#[derive(Debug)]
pub enum Source {
    /// One schema's objects.
    Schema(Objects),
    /// PostgreSQL's own relations and types, and what runs.
    System(System),
    /// What is called in one graph only.
    Stored(System),
}

#[derive(Debug)]
pub struct Segment {
    pub source: Source,
    /// By the relation's OID.
    templates: Mutex<HashMap<u32, Arc<Template>>>,
}

impl Segment {
    fn new(source: Source) -> Self {
        Segment {
            source,
            templates: Mutex::default(),
        }
    }

    fn template(&self, def: &'static RelationDef) -> Result<Arc<Template>> {
        if let Some(template) = self.templates.lock().get(&def.oid) {
            return Ok(Arc::clone(template));
        }
        let mut rows = Rows::new(def);
        match &self.source {
            Source::Schema(objects) => tables::of_schema(def, objects, &mut rows)?,
            Source::System(system) => tables::of_system(def, system, &mut rows)?,
            Source::Stored(queries) => tables::of_stored(def, queries, &mut rows)?,
        }
        let template = Arc::new(Template::new(rows.finish()?));
        self.templates.lock().insert(def.oid, Arc::clone(&template));
        Ok(template)
    }
}

/// The names that a part shows where its segment has marks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    pub schema: String,
    pub quoted: String,
    pub database: String,
    /// Of the property graph.
    pub graph: String,
}

impl Names {
    pub fn new(schema: &str, database: &str) -> Self {
        Names {
            schema: schema.to_owned(),
            quoted: quote_identifier(schema),
            database: database.to_owned(),
            graph: database.to_owned(),
        }
    }

    /// A graph is called like its database, unless a table is.
    pub fn with_graph(self, taken: bool) -> Self {
        match taken {
            true => Names {
                graph: format!("{}_graph", self.database),
                ..self
            },
            false => self,
        }
    }
}

/// A segment as one branch (or the system, to one graph) shows it.
#[derive(Debug)]
pub struct Part {
    pub segment: Arc<Segment>,
    pub names: Names,
    pub block: Option<Block>,
    shown: Mutex<HashMap<u32, Arc<PartRows>>>,
}

impl Part {
    /// What no other state shows.
    pub fn alone(source: Source, names: Names) -> Arc<Part> {
        Arc::new(Part {
            segment: Arc::new(Segment::new(source)),
            names,
            block: None,
            shown: Mutex::default(),
        })
    }

    pub fn rows(&self, def: &'static RelationDef) -> Result<Arc<PartRows>> {
        if let Some(rows) = self.shown.lock().get(&def.oid) {
            return Ok(Arc::clone(rows));
        }
        let template = self.segment.template(def)?;
        let rows = Arc::new(PartRows::new(template.shown(&self.names, self.block)?));
        self.shown.lock().insert(def.oid, Arc::clone(&rows));
        Ok(rows)
    }

    /// How many rows, without showing them.
    pub fn len(&self, def: &'static RelationDef) -> Result<usize> {
        Ok(self.segment.template(def)?.batch.num_rows())
    }

    /// Could this OID be in this column? Told from where the branch's objects lie.
    pub fn may_hold(&self, def: &'static RelationDef, column: usize, oid: u32) -> Result<bool> {
        let template = self.segment.template(def)?;
        let own = template.columns.get(column).is_some_and(|marks| marks.all);
        Ok(!own || self.block.is_none_or(|block| block.slot(oid).is_some()))
    }
}

/// Rows as a scan reads them, with indexes that are made when they are first asked for.
#[derive(Debug)]
pub struct PartRows {
    pub batch: RecordBatch,
    indexes: Vec<OnceLock<OidIndex>>,
}

/// The rows of a column of OIDs by value: sorted, so that equal ones lie together.
type OidIndex = Vec<(u32, u32)>;

impl PartRows {
    pub fn new(batch: RecordBatch) -> Self {
        let indexes = (0..batch.num_columns()).map(|_| OnceLock::new()).collect();
        PartRows { batch, indexes }
    }

    /// The rows in which this column of OIDs has this value, ascending; `None`: it is not a
    /// column of OIDs.
    pub fn find(&self, column: usize, oid: u32) -> Option<impl Iterator<Item = u32> + '_> {
        let oids = self
            .batch
            .columns()
            .get(column)?
            .as_primitive_opt::<UInt32Type>()?;
        let index = self.indexes.get(column)?.get_or_init(|| index_of(oids));
        let first = index.partition_point(|(value, _)| *value < oid);
        Some(
            index[first..]
                .iter()
                .take_while(move |(value, _)| *value == oid)
                .map(|(_, row)| *row),
        )
    }
}

fn index_of(oids: &UInt32Array) -> OidIndex {
    let mut index: OidIndex = oids
        .iter()
        .enumerate()
        // Catalogs have far fewer rows than 2^32.
        .filter_map(|(row, oid)| Some((oid?, u32::try_from(row).ok()?)))
        .collect();
    index.sort_unstable();
    index
}

/// Segments and parts that states of catalogs have in common. One for the process.
#[derive(Debug, Default)]
pub struct CatalogCache {
    inner: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    /// Most recently used last.
    segments: Vec<(Arc<Schema>, Arc<Segment>)>,
    system: Option<(Arc<Registry>, Arc<Segment>)>,
    parts: Vec<Arc<Part>>,
}

/// Schemas whose rows are kept for the next state of a graph.
const MAX_SEGMENTS: usize = 256;
/// Branches whose rows are kept.
const MAX_PARTS: usize = 2_048;

impl CatalogCache {
    /// The segment of a schema. Schemas that are equal share one.
    pub fn schema_segment(&self, schema: &Arc<Schema>) -> Arc<Segment> {
        let mut cached = self.inner.lock();
        // The digest is of all that a schema holds, identities and numbers included.
        let found = cached
            .segments
            .iter()
            .rposition(|(known, _)| known.digest() == schema.digest());
        if let Some(at) = found {
            let entry = cached.segments.remove(at);
            let segment = Arc::clone(&entry.1);
            cached.segments.push(entry);
            return segment;
        }
        let segment = Arc::new(Segment::new(Source::Schema(Objects::new(schema))));
        push_bounded(
            &mut cached.segments,
            MAX_SEGMENTS,
            (Arc::clone(schema), Arc::clone(&segment)),
        );
        segment
    }

    pub fn system_segment(&self, registry: &Arc<Registry>) -> Arc<Segment> {
        let mut cached = self.inner.lock();
        if let Some((known, segment)) = &cached.system
            && Arc::ptr_eq(known, registry)
        {
            return Arc::clone(segment);
        }
        let segment = Arc::new(Segment::new(Source::System(System::new(registry))));
        cached.system = Some((Arc::clone(registry), Arc::clone(&segment)));
        segment
    }

    pub fn part(&self, segment: &Arc<Segment>, names: Names, block: Option<Block>) -> Arc<Part> {
        let mut cached = self.inner.lock();
        let found = cached.parts.iter().rposition(|part| {
            Arc::ptr_eq(&part.segment, segment) && part.block == block && part.names == names
        });
        if let Some(at) = found {
            return Arc::clone(&cached.parts[at]);
        }
        let part = Arc::new(Part {
            segment: Arc::clone(segment),
            names,
            block,
            shown: Mutex::default(),
        });
        push_bounded(&mut cached.parts, MAX_PARTS, Arc::clone(&part));
        part
    }
}

fn push_bounded<T>(list: &mut Vec<T>, most: usize, item: T) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_replaced() {
        let names = Names::new("review/1", "knowledge");
        let text = format!(
            "{}.{} {} {}_x",
            mark::SCHEMA,
            mark::QUOTED,
            mark::DATABASE,
            mark::oid(OWN | 7)
        );
        assert!(mark::is_marked(&text));
        assert_eq!(
            mark::replace(&text, &names, |oid| oid & !OWN),
            "review/1.\"review/1\" knowledge 7_x"
        );
        assert!(!mark::is_marked("plain\ttext\n"));
    }

    #[test]
    fn an_index_finds_every_row() {
        let def = crate::pg_catalog::definitions()
            .relation("pg_catalog", "pg_attribute")
            .expect("is there");
        let mut rows = Rows::new(def);
        for oid in [5u32, 3, 5] {
            rows.push(super::super::value::row!["attrelid" => oid])
                .expect("fits");
        }
        let rows = PartRows::new(rows.finish().expect("fits"));
        let column = def.position("attrelid").expect("is there");
        assert_eq!(
            rows.find(column, 5).expect("oids").collect::<Vec<_>>(),
            [0, 2]
        );
        assert_eq!(rows.find(column, 4).expect("oids").count(), 0);
        assert!(
            rows.find(def.position("attname").expect("is there"), 5)
                .is_none()
        );
    }
}
