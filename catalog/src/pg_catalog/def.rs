//! The relations of `pg_catalog` and `information_schema`: PostgreSQL 15's names, columns and
//! OIDs, from the compiled-in table that `scripts/dump_pg_catalog.sh` writes, the columns
//! that PostgreSQL 16 added and its clients ask a server of that version for, and what
//! PostgreSQL 19 has for property graphs.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::data::{self, Fields};
use crate::types::PgType;

const RELATIONS: &str = concat!(
    include_str!("data/relations.tsv"),
    include_str!("data/property_graphs.tsv")
);

/// What PostgreSQL 16 added to relations that its `psql` reads when it lists databases,
/// collations, role grants and subscriptions.
const LATER: &[(&str, &[(&str, PgType)])] = &[
    ("pg_database", &[("daticurules", PgType::TEXT)]),
    ("pg_collation", &[("collicurules", PgType::TEXT)]),
    (
        "pg_auth_members",
        &[
            ("oid", PgType::OID),
            ("inherit_option", PgType::BOOL),
            ("set_option", PgType::BOOL),
        ],
    ),
    (
        "pg_subscription",
        &[
            ("subpasswordrequired", PgType::BOOL),
            ("subrunasowner", PgType::BOOL),
            ("suborigin", PgType::TEXT),
        ],
    ),
];

#[derive(Debug)]
pub struct RelationDef {
    pub schema: &'static str,
    pub name: &'static str,
    /// `pg_class.relkind`: `r` or `v`.
    pub kind: char,
    pub oid: u32,
    pub row_type: u32,
    /// 0: none.
    pub array_type: u32,
    /// One for all databases.
    pub shared: bool,
    pub columns: Vec<ColumnDef>,
    pub arrow: SchemaRef,
    positions: HashMap<&'static str, usize>,
}

#[derive(Debug)]
pub struct ColumnDef {
    pub name: &'static str,
    /// As in `pg_attribute`: may be a domain.
    pub declared: PgType,
    /// What the domain is over; what a client is told.
    pub ty: PgType,
    pub not_null: bool,
    pub dimensions: i16,
    pub collation: u32,
}

impl RelationDef {
    pub fn position(&self, column: &str) -> Option<usize> {
        self.positions.get(column).copied()
    }

    fn finish(&mut self) {
        self.arrow = Arc::new(Schema::new(
            self.columns
                .iter()
                .map(|column| Field::new(column.name, column.ty.arrow(), !column.not_null))
                .collect::<Vec<_>>(),
        ));
        self.positions = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| (column.name, at))
            .collect();
    }
}

#[derive(Debug)]
pub struct Definitions {
    pub relations: Vec<RelationDef>,
    by_name: HashMap<(&'static str, &'static str), usize>,
    by_oid: HashMap<u32, usize>,
}

impl Definitions {
    pub fn relation(&self, schema: &str, name: &str) -> Option<&RelationDef> {
        self.by_name
            .get(&(schema, name))
            .map(|at| &self.relations[*at])
    }

    pub fn by_oid(&self, oid: u32) -> Option<&RelationDef> {
        self.by_oid.get(&oid).map(|at| &self.relations[*at])
    }
}

/// Read once; a test reads every line.
pub fn definitions() -> &'static Definitions {
    static DEFINITIONS: OnceLock<Definitions> = OnceLock::new();
    DEFINITIONS.get_or_init(parse)
}

fn parse() -> Definitions {
    let mut relations: Vec<RelationDef> = Vec::new();
    for line in RELATIONS.lines() {
        let mut fields = Fields::new(line);
        if line.starts_with('@') {
            fields.text();
            relations.push(RelationDef {
                schema: fields.text(),
                name: fields.text(),
                kind: fields.char(),
                oid: fields.oid(),
                row_type: fields.oid(),
                array_type: fields.oid(),
                shared: fields.flag(),
                columns: Vec::new(),
                arrow: Arc::new(Schema::empty()),
                positions: HashMap::new(),
            });
        } else if let Some(relation) = relations.last_mut() {
            let name = fields.text();
            let declared = PgType::new(fields.oid()).with_typmod(fields.int());
            relation.columns.push(ColumnDef {
                name,
                declared,
                ty: data::base_type(declared),
                not_null: fields.flag(),
                dimensions: fields.int(),
                collation: fields.oid(),
            });
        }
    }
    for relation in &mut relations {
        let later = LATER
            .iter()
            .filter(|(name, _)| relation.schema == "pg_catalog" && *name == relation.name)
            .flat_map(|(_, columns)| columns.iter());
        relation.columns.extend(later.map(|(name, ty)| ColumnDef {
            name,
            declared: *ty,
            ty: *ty,
            not_null: false,
            dimensions: 0,
            collation: 0,
        }));
        relation.finish();
    }
    let by_name = relations
        .iter()
        .enumerate()
        .map(|(at, relation)| ((relation.schema, relation.name), at))
        .collect();
    let by_oid = relations
        .iter()
        .enumerate()
        .map(|(at, relation)| (relation.oid, at))
        .collect();
    Definitions {
        relations,
        by_name,
        by_oid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_and_column_of_the_dump_is_known() {
        let known = definitions();
        let heads = RELATIONS
            .lines()
            .filter(|line| line.starts_with('@'))
            .count();
        assert_eq!(known.relations.len(), heads);
        let later: usize = LATER.iter().map(|(_, columns)| columns.len()).sum();
        let columns: usize = known
            .relations
            .iter()
            .map(|relation| relation.columns.len())
            .sum();
        assert_eq!(columns, RELATIONS.lines().count() - heads + later);
    }

    #[test]
    fn domains_are_shown_as_what_they_are_over() {
        let columns = &definitions()
            .relation("information_schema", "columns")
            .expect("is there")
            .columns;
        assert_eq!(columns[0].ty, PgType::NAME);
        assert_eq!(columns[0].declared.oid, 13226);
        let nullable = columns
            .iter()
            .find(|column| column.name == "is_nullable")
            .expect("is there");
        assert_eq!(nullable.ty, PgType::VARCHAR.with_typmod(7));
    }

    #[test]
    fn well_known_oids_are_postgresqls() {
        let oid = |name| {
            definitions()
                .relation("pg_catalog", name)
                .map(|relation| relation.oid)
        };
        assert_eq!(oid("pg_class"), Some(1259));
        assert_eq!(oid("pg_type"), Some(1247));
        assert_eq!(oid("nosuch"), None);
    }
}
