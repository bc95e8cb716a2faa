//! `pg_describe_object`: an object of the catalogs in words.

use super::PgCatalog;
use super::objects::Object;
use crate::lookup::{CatalogLookup, SearchPath, quote_identifier};

/// Catalogs by OID, as `classid` columns hold them.
const PG_TYPE: u32 = 1247;
const PG_PROC: u32 = 1255;
const PG_CLASS: u32 = 1259;
const PG_AUTHID: u32 = 1260;
const PG_DATABASE: u32 = 1262;
const PG_AM: u32 = 2601;
const PG_ATTRDEF: u32 = 2604;
const PG_CAST: u32 = 2605;
const PG_CONSTRAINT: u32 = 2606;
const PG_NAMESPACE: u32 = 2615;
const PG_OPERATOR: u32 = 2617;
const PG_COLLATION: u32 = 3456;

impl PgCatalog {
    /// `None`: there is no such object, or no such catalog.
    pub(super) fn words_for(
        &self,
        catalog: u32,
        object: u32,
        column: i32,
        path: &SearchPath,
    ) -> Option<String> {
        let type_name = |oid: u32| self.format_type(oid, None, path);
        match catalog {
            PG_CLASS => self.class_in_words(object, column, path),
            PG_TYPE => {
                self.type_by_oid(object)?;
                Some(format!("type {}", type_name(object)))
            }
            PG_PROC => {
                self.proc_by_oid(object)?;
                Some(format!("function {}", self.procedure_text(object, path)))
            }
            PG_OPERATOR => {
                let operator = self.operator_by_oid(object)?;
                let side = |oid: u32| match oid {
                    0 => "NONE".to_owned(),
                    oid => type_name(oid),
                };
                let (left, right) = (side(operator.left.oid), side(operator.right.oid));
                Some(format!("operator {}({left},{right})", operator.name))
            }
            PG_CAST => {
                let cast = self
                    .system()?
                    .casts
                    .iter()
                    .find(|cast| cast.oid == object)?;
                let (from, to) = (type_name(cast.source), type_name(cast.target));
                Some(format!("cast from {from} to {to}"))
            }
            PG_CONSTRAINT => {
                let (branch, Object::Constraint(table, at)) = self.object(object)? else {
                    return None;
                };
                let table = &branch.objects()?.tables[table];
                let name = quote_identifier(&table.constraints[at].name);
                let of = self.class_text(branch.block.relocate(table.class), path);
                Some(format!("constraint {name} on table {of}"))
            }
            PG_ATTRDEF => {
                let (branch, Object::Default(table, column)) = self.object(object)? else {
                    return None;
                };
                let table = &branch.objects()?.tables[table];
                let name = quote_identifier(&table.columns[column].name);
                let of = self.class_text(branch.block.relocate(table.class), path);
                Some(format!("default value for column {name} of table {of}"))
            }
            PG_NAMESPACE => {
                let name = self.namespace_name(object)?;
                Some(format!("schema {}", quote_identifier(&name)))
            }
            PG_AUTHID => Some(format!("role {}", self.role_name(object)?)),
            PG_DATABASE => {
                let databases = &self.inner.graph.databases;
                let found = databases.iter().find(|known| known.oid == object)?;
                Some(format!("database {}", found.name))
            }
            PG_COLLATION => {
                let name = self.collation_name(object)?;
                Some(format!("collation {}", quote_identifier(&name)))
            }
            PG_AM => match object {
                2 => Some("access method heap".to_owned()),
                403 => Some("access method btree".to_owned()),
                _ => None,
            },
            _ => None,
        }
    }

    fn class_in_words(&self, oid: u32, column: i32, path: &SearchPath) -> Option<String> {
        let class = self.class_by_oid(oid)?;
        let name = self.class_text(oid, path);
        let relation = match class.kind {
            'i' => format!("index {name}"),
            'v' => format!("view {name}"),
            _ => format!("table {name}"),
        };
        if column == 0 {
            return Some(relation);
        }
        let columns = self.columns(oid);
        let column = columns.get(usize::try_from(column).ok()?.checked_sub(1)?)?;
        Some(format!("column {} of {relation}", quote_identifier(column)))
    }
}
