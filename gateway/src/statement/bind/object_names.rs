//! What the reg* types print and read, in the catalogs that a statement sees.

use std::sync::Arc;

use omnigraph_catalog::lookup::{
    CatalogLookup, ProcRef, SearchPath, parse_qualified_name, quote_identifier,
};
use omnigraph_catalog::pg_catalog::text_search::{analyzer, configuration};
use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::ObjectNames;

/// The names behind reg* values, by the catalog and path of a statement.
#[derive(Debug)]
pub struct CatalogNames {
    pub catalog: Arc<dyn CatalogLookup>,
    pub path: SearchPath,
}

impl ObjectNames for CatalogNames {
    fn name(&self, ty: PgType, oid: u32) -> Option<String> {
        if oid == 0 {
            return Some("-".to_owned());
        }
        Some(match ty.oid {
            2205 => self.catalog.class_text(oid, &self.path),
            2206 => {
                self.catalog.type_by_oid(oid)?;
                self.catalog.format_type(oid, None, &self.path)
            }
            24 => self.catalog.proc_text(oid, &self.path),
            2202 => self.catalog.procedure_text(oid, &self.path),
            4089 => quote_identifier(&self.catalog.namespace_name(oid)?),
            4096 => quote_identifier(&self.catalog.role_name(oid)?),
            3734 => analyzer(oid)?.name().to_owned(),
            4191 => quote_identifier(&self.catalog.collation_name(oid)?),
            2203 => self.catalog.operator_by_oid(oid)?.name,
            2204 => self.operator_text(oid)?,
            _ => return None,
        })
    }

    fn oid(&self, ty: PgType, name: &str) -> PgResult<u32> {
        let missing = |code, what: String| Err(PgError::new(code, what));
        let parts = || {
            parse_qualified_name(name)
                .ok_or_else(|| PgError::new(sqlstate::INVALID_NAME, "invalid name syntax"))
        };
        match ty.oid {
            2205 => {
                let parts = parts()?;
                if let [schema, _] = parts.as_slice()
                    && self.catalog.namespace(self.path.schema(schema)).is_none()
                {
                    return missing(
                        sqlstate::INVALID_SCHEMA_NAME,
                        format!("schema \"{schema}\" does not exist"),
                    );
                }
                match self.catalog.resolve_class(&parts, &self.path) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::UNDEFINED_TABLE,
                        format!("relation \"{}\" does not exist", parts.join(".")),
                    ),
                }
            }
            2206 => match self.catalog.parse_type(name, &self.path) {
                Some(ty) => Ok(ty.oid),
                None => missing(
                    sqlstate::UNDEFINED_OBJECT,
                    format!("type \"{}\" does not exist", name.trim()),
                ),
            },
            4089 => {
                let parts = parts()?;
                match self.catalog.namespace(&parts.join(".")) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::INVALID_SCHEMA_NAME,
                        format!("schema \"{}\" does not exist", parts.join(".")),
                    ),
                }
            }
            4096 => {
                let parts = parts()?;
                match self.catalog.role(&parts.join(".")) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::UNDEFINED_OBJECT,
                        format!("role \"{}\" does not exist", parts.join(".")),
                    ),
                }
            }
            24 => {
                let found = self.procs(&parts()?);
                match found.as_slice() {
                    [one] => Ok(one.oid),
                    [] => missing(
                        sqlstate::UNDEFINED_FUNCTION,
                        format!("function \"{name}\" does not exist"),
                    ),
                    _ => missing(
                        sqlstate::AMBIGUOUS_FUNCTION,
                        format!("more than one function named \"{name}\""),
                    ),
                }
            }
            2202 => {
                let undefined = || {
                    PgError::new(
                        sqlstate::UNDEFINED_FUNCTION,
                        format!("function \"{name}\" does not exist"),
                    )
                };
                let (base, arguments) = name
                    .trim()
                    .strip_suffix(')')
                    .and_then(|name| name.split_once('('))
                    .ok_or_else(undefined)?;
                let parts = parse_qualified_name(base).ok_or_else(undefined)?;
                let arguments: Option<Vec<u32>> = arguments
                    .split(',')
                    .filter(|argument| !argument.trim().is_empty())
                    .map(|argument| {
                        self.catalog
                            .parse_type(argument.trim(), &self.path)
                            .map(|ty| ty.oid)
                    })
                    .collect();
                let arguments = arguments.ok_or_else(undefined)?;
                self.procs(&parts)
                    .iter()
                    .find(|proc| {
                        proc.arguments
                            .iter()
                            .map(|ty| ty.oid)
                            .eq(arguments.iter().copied())
                    })
                    .map(|proc| proc.oid)
                    .ok_or_else(undefined)
            }
            2203 | 2204 => self.operator(ty, name),
            3734 => {
                let parts = parts()?;
                match parts.last().and_then(|name| configuration(name)) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::UNDEFINED_OBJECT,
                        format!(
                            "text search configuration \"{}\" does not exist",
                            parts.join(".")
                        ),
                    ),
                }
            }
            4191 => {
                let parts = parts()?;
                match parts.last().and_then(|name| self.catalog.collation(name)) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::UNDEFINED_OBJECT,
                        format!(
                            "collation \"{}\" for encoding \"UTF8\" does not exist",
                            parts.join(".")
                        ),
                    ),
                }
            }
            _ => missing(
                sqlstate::UNDEFINED_OBJECT,
                format!(
                    "{} \"{name}\" does not exist",
                    ty.info().map_or("object", |info| info.sql_name)
                ),
            ),
        }
    }
}

impl CatalogNames {
    /// `regoper` by its name alone, `regoperator` with its operands' types.
    fn operator(&self, ty: PgType, written: &str) -> PgResult<u32> {
        let undefined = || {
            PgError::new(
                sqlstate::UNDEFINED_FUNCTION,
                format!("operator does not exist: {written}"),
            )
        };
        let (name, operands) = match written.trim().strip_suffix(')') {
            Some(inner) if ty.oid == PgType::REGOPERATOR.oid => {
                let (name, operands) = inner.split_once('(').ok_or_else(undefined)?;
                (name.trim(), Some(operands))
            }
            _ => (written.trim(), None),
        };
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        let mut found = self.catalog.operators("pg_catalog", name);
        if let Some(operands) = operands {
            let types: Option<Vec<u32>> = operands
                .split(',')
                .map(|operand| match operand.trim() {
                    none if none.eq_ignore_ascii_case("none") => Some(0),
                    operand => Some(self.catalog.parse_type(operand, &self.path)?.oid),
                })
                .collect();
            let types = types.ok_or_else(undefined)?;
            found.retain(|operator| types == [operator.left.oid, operator.right.oid]);
        }
        match found.as_slice() {
            [] => Err(undefined()),
            [one] => Ok(one.oid),
            _ => Err(PgError::new(
                sqlstate::AMBIGUOUS_FUNCTION,
                format!("more than one operator named {written}"),
            )),
        }
    }

    fn operator_text(&self, oid: u32) -> Option<String> {
        let operator = self.catalog.operator_by_oid(oid)?;
        let side = |ty: PgType| match ty.oid {
            0 => "NONE".to_owned(),
            oid => self.catalog.format_type(oid, None, &self.path),
        };
        let (left, right) = (side(operator.left), side(operator.right));
        Some(format!("{}({left},{right})", operator.name))
    }

    fn procs(&self, parts: &[String]) -> Vec<ProcRef> {
        match parts {
            [name] => self
                .path
                .schemas
                .iter()
                .flat_map(|schema| self.catalog.procs(schema, name))
                .collect(),
            [schema, name] => self.catalog.procs(self.path.schema(schema), name),
            _ => Vec::new(),
        }
    }
}
