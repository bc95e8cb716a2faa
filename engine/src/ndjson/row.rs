//! Reads the lines of one chunk, each into one row.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};

use super::cell::{Cell, Refusal, read_reference};
use super::columns::ColumnBuilder;
use super::decode::{Decoded, Decoder, LineError, Mistakes, TypeBatch, TypePlan};
use super::json::{Kind, Scanner, shown};
use crate::clock::ulid;
use crate::error::{ConstraintViolation, Result};
use crate::schema::key::{KeyValue, canonical_id, push_key};
use crate::schema::{PropertyType, Scalar, TypeDef};

/// The state of reading one chunk.
pub(super) struct Work<'d, 'a> {
    decoder: &'d Decoder,
    tables: Vec<Option<TableBuilder>>,
    row: Row<'a>,
    mistakes: Mistakes,
    line: u64,
}

/// The members of one line; its buffers are used again for the next.
#[derive(Default)]
struct Row<'a> {
    id: Option<Cow<'a, str>>,
    from: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
    cells: Vec<Cell<'a>>,
    /// The id of the last row with a key, as text.
    key: String,
}

struct TableBuilder {
    ids: StringBuilder,
    endpoints: Option<(StringBuilder, StringBuilder)>,
    columns: Vec<ColumnBuilder>,
    lines: Vec<u64>,
}

impl TableBuilder {
    fn new(plan: &TypePlan) -> Self {
        TableBuilder {
            ids: StringBuilder::new(),
            endpoints: plan
                .def
                .is_edge()
                .then(|| (StringBuilder::new(), StringBuilder::new())),
            columns: plan
                .def
                .properties
                .iter()
                .map(|property| ColumnBuilder::of_rows(&property.ty))
                .collect(),
            lines: Vec::new(),
        }
    }
}

/// A refused line; the property that is to blame, and why.
struct Mistake {
    property: Option<String>,
    reason: String,
}

impl From<String> for Mistake {
    fn from(reason: String) -> Self {
        Mistake {
            property: None,
            reason,
        }
    }
}

fn mistake(property: &str, reason: impl Into<String>) -> Mistake {
    Mistake {
        property: Some(property.to_owned()),
        reason: reason.into(),
    }
}

impl<'d, 'a> Work<'d, 'a> {
    pub fn new(decoder: &'d Decoder, first_line: u64) -> Self {
        Work {
            decoder,
            tables: decoder.plans.iter().map(|_| None).collect(),
            row: Row::default(),
            mistakes: Mistakes::default(),
            line: first_line,
        }
    }

    pub fn line(&mut self, line: &'a str) {
        let line = if self.line == 1 {
            line.trim_start_matches('\u{FEFF}')
        } else {
            line
        };
        if line.bytes().all(|byte| byte.is_ascii_whitespace()) {
            self.line += 1;
            return;
        }
        let mut plan = None;
        match self.read_line(line, &mut plan) {
            Ok(()) => self.line += 1,
            Err(mistake) => {
                let name = plan.map(|at: usize| self.decoder.plans[at].def.name.clone());
                self.refuse_line(name, mistake.property, mistake.reason)
            }
        }
    }

    pub fn refuse_line(
        &mut self,
        type_name: Option<String>,
        property: Option<String>,
        reason: String,
    ) {
        self.report(type_name, property, reason);
        self.line += 1;
    }

    fn report(&mut self, type_name: Option<String>, property: Option<String>, reason: String) {
        self.mistakes.add(LineError {
            line: self.line,
            type_name,
            property,
            reason,
        });
    }

    fn read_line(&mut self, line: &'a str, plan: &mut Option<usize>) -> Result<(), Mistake> {
        let mut scanner = Scanner::new(line);
        let before = self.mistakes.total;
        self.row.id = None;
        self.row.from = None;
        self.row.to = None;
        let mut is_edge = false;
        // Data that comes before the type is read when the line has ended.
        let mut data = Data::Missing;
        scanner.expect(b'{')?;
        if !scanner.eat(b'}') {
            loop {
                let member = scanner.string()?;
                scanner.expect(b':')?;
                match &*member {
                    "type" | "edge" => {
                        if plan.is_some() {
                            return Err(mistake(&member, "the line names its type twice"));
                        }
                        is_edge = member == "edge";
                        *plan = Some(self.type_named(&mut scanner, is_edge)?);
                    }
                    "from" if self.row.from.is_none() => {
                        self.row.from = endpoint(&mut scanner, "from")?
                    }
                    "to" if self.row.to.is_none() => self.row.to = endpoint(&mut scanner, "to")?,
                    "data" if matches!(data, Data::Missing) => {
                        if scanner.kind()? != Kind::Object {
                            let found = shown(scanner.skip()?);
                            return Err(mistake(
                                "data",
                                format!("expected an object, found {found}"),
                            ));
                        }
                        data = match *plan {
                            Some(at) => {
                                self.read_data(&mut scanner, at)?;
                                Data::Read
                            }
                            None => Data::Deferred(scanner.skip()?),
                        };
                    }
                    "from" | "to" | "data" => {
                        return Err(mistake(&member, "the member is given twice"));
                    }
                    other => {
                        return Err(mistake(
                            other,
                            "unknown member; a line has type and data, or edge, from, to and data",
                        ));
                    }
                }
                if !scanner.eat(b',') {
                    break;
                }
            }
            scanner.expect(b'}')?;
        }
        scanner.end()?;
        let at = plan
            .ok_or_else(|| Mistake::from("the line names neither a type nor an edge".to_owned()))?;
        match data {
            Data::Read => {}
            Data::Missing => self.read_data(&mut Scanner::new("{}"), at)?,
            Data::Deferred(text) => self.read_data(&mut Scanner::new(text), at)?,
        }
        for (name, given) in [
            ("from", self.row.from.is_some()),
            ("to", self.row.to.is_some()),
        ] {
            if given != is_edge {
                let reason = if is_edge {
                    "an edge needs it"
                } else {
                    "a node has no such member"
                };
                return Err(mistake(name, reason));
            }
        }
        // Some properties were refused, and reported, while the rest of the line was read.
        if self.mistakes.total > before {
            return Ok(());
        }
        self.add_row(at)
    }

    fn type_named(&self, scanner: &mut Scanner<'a>, edge: bool) -> Result<usize, Mistake> {
        let member = if edge { "edge" } else { "type" };
        if scanner.kind()? != Kind::String {
            let found = shown(scanner.skip()?);
            return Err(mistake(
                member,
                format!("expected the name of a type, found {found}"),
            ));
        }
        let name = scanner.string()?;
        let (own, other) = if edge {
            (&self.decoder.edges, &self.decoder.nodes)
        } else {
            (&self.decoder.nodes, &self.decoder.edges)
        };
        own.get(&*name).copied().ok_or_else(|| {
            let noun = if edge { "edge type" } else { "node type" };
            let name_shown = shown(&name);
            mistake(
                member,
                match (other.contains_key(&*name), edge) {
                    (true, true) => format!("\"{name_shown}\" is a node type; write \"type\""),
                    (true, false) => format!("\"{name_shown}\" is an edge type; write \"edge\""),
                    (false, _) => format!("the schema has no {noun} \"{name_shown}\""),
                },
            )
        })
    }

    /// Reads the properties into the row's cells. A property that is refused is reported at
    /// once; only malformed JSON ends the line.
    fn read_data(&mut self, scanner: &mut Scanner<'a>, at: usize) -> Result<(), Mistake> {
        let plan = &self.decoder.plans[at];
        let properties = &plan.def.properties;
        self.row.cells.clear();
        self.row.cells.resize(properties.len(), Cell::Absent);
        let mut id_given = false;
        // Lines tend to have their properties in one order: the next is guessed first.
        let mut guess = 0;
        scanner.expect(b'{')?;
        if !scanner.eat(b'}') {
            loop {
                let name = scanner.string()?;
                scanner.expect(b':')?;
                let found = match properties.get(guess) {
                    Some(property) if property.name == *name => Some(guess),
                    _ => plan.properties.get(&*name).copied(),
                };
                match found {
                    Some(position) => {
                        guess = position + 1;
                        if !matches!(self.row.cells[position], Cell::Absent) {
                            self.refuse_property(
                                plan,
                                &name,
                                "the property is given twice".to_owned(),
                            );
                            scanner.skip()?;
                        } else {
                            match Cell::read(scanner, &properties[position].ty) {
                                Ok(cell) => self.row.cells[position] = cell,
                                Err(Refusal::Malformed(reason)) => return Err(reason.into()),
                                Err(Refusal::Unsuitable(reason)) => {
                                    self.refuse_property(plan, &name, reason);
                                    // Not missing, and not there twice either.
                                    self.row.cells[position] = Cell::Null;
                                }
                            }
                        }
                    }
                    None if &*name == "id" => {
                        if id_given {
                            self.refuse_property(
                                plan,
                                "id",
                                "the property is given twice".to_owned(),
                            );
                        }
                        id_given = true;
                        self.row.id = read_reference(scanner)?;
                    }
                    None => {
                        self.refuse_property(plan, &name, "unknown property".to_owned());
                        scanner.skip()?;
                    }
                }
                if !scanner.eat(b',') {
                    break;
                }
            }
            scanner.expect(b'}')?;
        }
        Ok(())
    }

    fn refuse_property(&mut self, plan: &TypePlan, property: &str, reason: String) {
        self.report(Some(plan.def.name.clone()), Some(shown(property)), reason);
    }

    /// Fills in what the line left out and adds the row to its table.
    fn add_row(&mut self, at: usize) -> Result<(), Mistake> {
        let plan = &self.decoder.plans[at];
        let mut missing = false;
        for (position, property) in plan.def.properties.iter().enumerate() {
            let cell = &mut self.row.cells[position];
            if matches!(cell, Cell::Absent) || (matches!(cell, Cell::Null) && !property.nullable) {
                if let Some(default) = &plan.defaults[position] {
                    *cell = default.clone();
                } else if !property.nullable {
                    missing = true;
                    let reason = "a required property is missing".to_owned();
                    self.report(
                        Some(plan.def.name.clone()),
                        Some(property.name.clone()),
                        reason,
                    );
                }
            }
        }
        if missing {
            return Ok(());
        }
        let row = &mut self.row;
        let keyed = !plan.def.key.is_empty();
        if keyed {
            make_key(plan, row)?;
        }
        let mut fresh = [0; ulid::ULID_LEN];
        let id: &str = match &row.id {
            Some(given) if keyed => {
                if **given != row.key && canonical_id(&plan.def, given) != row.key {
                    let reason = format!(
                        "the id \"{}\" is not the key, \"{}\"",
                        shown(given),
                        shown(&row.key)
                    );
                    return Err(mistake("id", reason));
                }
                &row.key
            }
            None if keyed => &row.key,
            Some(given) if given.is_empty() => return Err(mistake("id", "the id is empty")),
            Some(given) => given,
            None => ulid(&*self.decoder.environment).array_to_str(&mut fresh),
        };
        let table = self.tables[at].get_or_insert_with(|| TableBuilder::new(plan));
        table.ids.append_value(id);
        if let (Some((from, to)), Some((src, dst))) = (&plan.endpoints, &mut table.endpoints) {
            append_endpoint(src, from, row.from.as_deref().unwrap_or_default());
            append_endpoint(dst, to, row.to.as_deref().unwrap_or_default());
        }
        for (column, cell) in table.columns.iter_mut().zip(&row.cells) {
            column.append(cell);
        }
        table.lines.push(self.line);
        Ok(())
    }

    pub fn finish(self) -> Result<Decoded> {
        let mut decoded = Decoded {
            batches: Vec::new(),
            mistakes: self.mistakes,
        };
        for (plan, table) in self.decoder.plans.iter().zip(self.tables) {
            let Some(mut table) = table else { continue };
            let mut columns: Vec<ArrayRef> = vec![Arc::new(table.ids.finish())];
            if let Some((mut src, mut dst)) = table.endpoints {
                columns.push(Arc::new(src.finish()));
                columns.push(Arc::new(dst.finish()));
            }
            for column in &mut table.columns {
                columns.push(column.finish()?);
            }
            let batch = RecordBatch::try_new(plan.def.value_schema(), columns)?;
            if plan.has_checks {
                for (row, violation) in plan.checker.refused(&batch) {
                    let error = broken_check(&plan.def, table.lines[row], &violation);
                    decoded.mistakes.add(error);
                }
            }
            decoded.batches.push(TypeBatch {
                def: Arc::clone(&plan.def),
                batch,
                lines: table.lines,
            });
        }
        decoded.mistakes.sort();
        Ok(decoded)
    }
}

enum Data<'a> {
    Missing,
    Read,
    Deferred(&'a str),
}

fn endpoint<'a>(scanner: &mut Scanner<'a>, member: &str) -> Result<Option<Cow<'a, str>>, Mistake> {
    match read_reference(scanner)? {
        Some(text) => Ok(Some(text)),
        None => Err(mistake(member, "expected the id or key of a node")),
    }
}

fn append_endpoint(ids: &mut StringBuilder, node: &TypeDef, text: &str) {
    let is_text = match node.key.as_slice() {
        [] => true,
        [only] => matches!(
            node.properties[*only].ty,
            PropertyType::Scalar(Scalar::String) | PropertyType::Enum(_)
        ),
        _ => false,
    };
    if is_text {
        ids.append_value(text);
    } else {
        ids.append_value(canonical_id(node, text));
    }
}

/// Puts the id that the row's key makes into `row.key`.
fn make_key(plan: &TypePlan, row: &mut Row<'_>) -> Result<(), Mistake> {
    row.key.clear();
    let mut values: Vec<KeyValue<'_>> = Vec::with_capacity(plan.def.key.len());
    for &at in &plan.def.key {
        let name = &plan.def.properties[at].name;
        match row.cells[at].key_value() {
            Some(value) if value.is_finite() => values.push(value),
            _ => return Err(mistake(name, "a key must be a finite number")),
        }
    }
    push_key(&mut row.key, values.into_iter());
    Ok(())
}

fn broken_check(def: &TypeDef, line: u64, violation: &ConstraintViolation) -> LineError {
    let property = violation
        .constraint
        .as_ref()
        .and_then(|name| def.checks.iter().find(|check| check.name == *name))
        .map(|check| def.properties[check.property].name.clone());
    LineError {
        line,
        type_name: Some(def.name.clone()),
        property,
        reason: violation.message.clone(),
    }
}
