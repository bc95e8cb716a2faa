//! What the reg* types print and read, in the catalogs that a statement sees.

use std::sync::Arc;

use omnigraph_catalog::lookup::{
    CatalogLookup, SearchPath, parse_qualified_name, quote_identifier,
};
use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::ObjectNames;

#[derive(Debug)]
pub struct CatalogNames {
    pub catalog: Arc<dyn CatalogLookup>,
    pub path: SearchPath,
}

impl ObjectNames for CatalogNames {
    fn name(&self, ty: PgType, oid: u32) -> Option<String> {
        let path = &self.path;
        if oid == 0 {
            return Some("-".to_owned());
        }
        match ty.oid {
            oid_type if oid_type == PgType::REGCLASS.oid => {
                Some(self.catalog.class_text(oid, path))
            }
            oid_type if oid_type == PgType::REGPROC.oid => Some(self.catalog.proc_text(oid, path)),
            oid_type if oid_type == PgType::REGPROCEDURE.oid => {
                Some(self.catalog.procedure_text(oid, path))
            }
            oid_type if oid_type == PgType::REGTYPE.oid => {
                self.catalog.type_by_oid(oid)?;
                Some(self.catalog.format_type(oid, None, path))
            }
            oid_type if oid_type == PgType::REGNAMESPACE.oid => {
                Some(quote_identifier(&self.catalog.namespace_name(oid)?))
            }
            oid_type if oid_type == PgType::REGROLE.oid => {
                Some(quote_identifier(&self.catalog.role_name(oid)?))
            }
            oid_type if oid_type == PgType::REGOPER.oid => {
                Some(self.catalog.operator_by_oid(oid)?.name)
            }
            _ => None,
        }
    }

    fn oid(&self, ty: PgType, text: &str) -> PgResult<u32> {
        if text == "-" {
            return Ok(0);
        }
        if let Ok(oid) = text.parse() {
            return Ok(oid);
        }
        let parts = parse_qualified_name(text).ok_or_else(|| {
            PgError::new(
                sqlstate::INVALID_NAME,
                format!("invalid name syntax: \"{text}\""),
            )
        })?;
        let missing = |code: &'static str, what: &str| {
            PgError::new(code, format!("{what} \"{text}\" does not exist"))
        };
        match ty.oid {
            oid if oid == PgType::REGCLASS.oid => self
                .catalog
                .resolve_class(&parts, &self.path)
                .ok_or_else(|| missing(sqlstate::UNDEFINED_TABLE, "relation")),
            oid if oid == PgType::REGTYPE.oid => self
                .catalog
                .parse_type(text, &self.path)
                .map(|ty| ty.oid)
                .ok_or_else(|| missing(sqlstate::UNDEFINED_OBJECT, "type")),
            oid if oid == PgType::REGNAMESPACE.oid => self
                .catalog
                .namespace(&parts[0])
                .ok_or_else(|| missing(sqlstate::INVALID_SCHEMA_NAME, "schema")),
            oid if oid == PgType::REGROLE.oid => self
                .catalog
                .role(&parts[0])
                .ok_or_else(|| missing(sqlstate::UNDEFINED_OBJECT, "role")),
            oid if oid == PgType::REGPROC.oid => self.proc(&parts, text),
            _ => Err(missing(sqlstate::UNDEFINED_OBJECT, "object")),
        }
    }
}

impl CatalogNames {
    fn proc(&self, parts: &[String], text: &str) -> PgResult<u32> {
        let found: Vec<u32> = match parts {
            [name] => self
                .path
                .schemas
                .iter()
                .flat_map(|schema| self.catalog.procs(schema, name))
                .map(|proc| proc.oid)
                .collect(),
            [schema, name] => self
                .catalog
                .procs(self.path.schema(schema), name)
                .into_iter()
                .map(|proc| proc.oid)
                .collect(),
            _ => Vec::new(),
        };
        match found.as_slice() {
            [oid] => Ok(*oid),
            [] => Err(PgError::new(
                sqlstate::UNDEFINED_FUNCTION,
                format!("function \"{text}\" does not exist"),
            )),
            _ => Err(PgError::new(
                sqlstate::AMBIGUOUS_FUNCTION,
                format!("more than one function named \"{text}\""),
            )),
        }
    }
}
