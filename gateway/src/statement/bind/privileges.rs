//! `has_*_privilege` and `pg_has_role`: what policy would say, asked before something is tried.
//! Reading is SELECT, changing is INSERT, UPDATE, DELETE and TRUNCATE, both on the branch that
//! the object is in; making objects is a matter of schemas. What nobody can do here (triggers,
//! temporary tables, granting) nobody has.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use omnigraph_catalog::access::Action;
use omnigraph_catalog::lookup::{ClassRef, PrivilegeOn, quote_identifier};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::{Error, Result};

use super::SessionCalls;
use super::catalog_functions::Lookup;
use super::function_body::{Found, booleans, int, oid, reads, text};
use super::text_io::carried;
use crate::text::ObjectNames;

/// What a privilege stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// Policy decides.
    Needs(Action),
    Everybody,
    Nobody,
}

pub(super) fn body(name: &'static str, lookup: &Lookup, session: &Arc<dyn SessionCalls>) -> Found {
    let asked = Asked {
        lookup: lookup.clone(),
        session: Arc::clone(session),
    };
    if name == "pg_has_role" {
        return reads(booleans(move |a, row| asked.has_role(a, row)));
    }
    let on = match name {
        "has_table_privilege" | "has_sequence_privilege" => PrivilegeOn::Class,
        "has_any_column_privilege" | "has_column_privilege" => PrivilegeOn::Column,
        "has_schema_privilege" => PrivilegeOn::Schema,
        "has_database_privilege" => PrivilegeOn::Database,
        "has_function_privilege" => PrivilegeOn::Proc,
        "has_type_privilege" => PrivilegeOn::Type,
        "has_language_privilege" => PrivilegeOn::Language,
        "has_tablespace_privilege" => PrivilegeOn::Tablespace,
        "has_parameter_privilege" => PrivilegeOn::Parameter,
        "has_server_privilege" | "has_foreign_data_wrapper_privilege" => PrivilegeOn::Foreign,
        _ => return None,
    };
    let named_column = name == "has_column_privilege";
    reads(booleans(move |a, row| asked.may(on, named_column, a, row)))
}

struct Asked {
    lookup: Lookup,
    session: Arc<dyn SessionCalls>,
}

impl Asked {
    /// The arguments are an optional user, the object, perhaps its column, and the privileges.
    fn may(
        &self,
        on: PrivilegeOn,
        named_column: bool,
        arrays: &[ArrayRef],
        row: usize,
    ) -> Result<Option<bool>> {
        let last = arrays.len() - 1;
        let object = last - 1 - usize::from(named_column);
        let actor = match object {
            0 => self.session.user(),
            _ => self.actor(arrays, row)?,
        };
        let Some(place) = self.place(on, arrays, object, row)? else {
            return Ok(None);
        };
        if named_column && !self.has_column(&place, arrays, object + 1, row)? {
            return Ok(None);
        }
        let mut any = false;
        for word in text(arrays, last, row).split(',') {
            any |= self.holds(on, &actor, &place, word)?;
        }
        Ok(Some(any))
    }

    /// One privilege of the list.
    fn holds(&self, on: PrivilegeOn, actor: &str, place: &Place, word: &str) -> Result<bool> {
        let upper = word.trim().to_ascii_uppercase();
        let (upper, granting) = match upper.strip_suffix(" WITH GRANT OPTION") {
            Some(bare) => (bare.trim_end().to_owned(), true),
            None => (upper, false),
        };
        let right = right(on, &upper, place).ok_or_else(|| {
            let message = format!("unrecognized privilege type: \"{}\"", word.trim());
            Error::value("22023", message)
        })?;
        Ok(!granting
            && match right {
                Right::Everybody => true,
                Right::Nobody => false,
                Right::Needs(action) => self.session.may(actor, action, place.branch.as_deref()),
            })
    }

    /// The role that stands first: 42704 if there is none of that name.
    fn actor(&self, arrays: &[ArrayRef], row: usize) -> Result<String> {
        let named = match arrays[0].data_type() {
            DataType::UInt32 => return Ok(self.lookup.catalog.role_text(oid(arrays, 0, row))),
            _ => text(arrays, 0, row),
        };
        if named != "public" {
            self.role(named)?;
        }
        Ok(named.to_owned())
    }

    fn role(&self, name: &str) -> Result<u32> {
        let names = self.lookup.names();
        names
            .oid(PgType::REGROLE, &quote_identifier(name))
            .map_err(|_| Error::value("42704", format!("role \"{name}\" does not exist")))
    }

    /// Where the object is; `None` for an OID that nothing has.
    fn place(
        &self,
        on: PrivilegeOn,
        arrays: &[ArrayRef],
        at: usize,
        row: usize,
    ) -> Result<Option<Place>> {
        if arrays[at].data_type() == &DataType::UInt32 {
            return Ok(self.by_oid(on, oid(arrays, at, row)));
        }
        let name = text(arrays, at, row);
        let catalog = &self.lookup.catalog;
        let missing =
            |code, what: &str| Error::value(code, format!("{what} \"{name}\" does not exist"));
        match on {
            PrivilegeOn::Database => match catalog.database(name) {
                Some(found) => Ok(self.by_oid(on, found)),
                None => Err(missing("3D000", "database")),
            },
            PrivilegeOn::Schema => match catalog.namespace(self.lookup.path.schema(name)) {
                Some(found) => Ok(self.by_oid(on, found)),
                None => Err(missing("3F000", "schema")),
            },
            PrivilegeOn::Language if matches!(name, "internal" | "sql") => {
                Ok(Some(Place::default()))
            }
            PrivilegeOn::Language => Err(missing("42704", "language")),
            PrivilegeOn::Tablespace if matches!(name, "pg_default" | "pg_global") => {
                Ok(Some(Place::default()))
            }
            PrivilegeOn::Tablespace => Err(missing("42704", "tablespace")),
            // A parameter that nobody knows can still be asked about.
            PrivilegeOn::Parameter => Ok(Some(Place::default())),
            PrivilegeOn::Foreign => Err(missing("42704", "server")),
            PrivilegeOn::Class | PrivilegeOn::Column => self.named(PgType::REGCLASS, on, name),
            PrivilegeOn::Proc => self.named(PgType::REGPROCEDURE, on, name),
            PrivilegeOn::Type => self.named(PgType::REGTYPE, on, name),
        }
    }

    fn named(&self, ty: PgType, on: PrivilegeOn, name: &str) -> Result<Option<Place>> {
        let found = self.lookup.names().oid(ty, name).map_err(carried)?;
        Ok(self.by_oid(on, found))
    }

    fn by_oid(&self, on: PrivilegeOn, oid: u32) -> Option<Place> {
        let catalog = &self.lookup.catalog;
        let in_schema = |schema: String, class: Option<ClassRef>| Place {
            built_in: matches!(
                schema.as_str(),
                "pg_catalog" | "information_schema" | "omnigraph" | "pg_omnigraph"
            ),
            branch: Some(schema),
            class,
        };
        match on {
            PrivilegeOn::Class | PrivilegeOn::Column => {
                let class = catalog.class_by_oid(oid)?;
                Some(in_schema(class.schema.clone(), Some(class)))
            }
            PrivilegeOn::Schema => Some(in_schema(catalog.namespace_name(oid)?, None)),
            _ => catalog.exists(on, oid).then(Place::default),
        }
    }

    /// By name it has to be there (42703); by number NULL is the answer.
    fn has_column(
        &self,
        place: &Place,
        arrays: &[ArrayRef],
        at: usize,
        row: usize,
    ) -> Result<bool> {
        let Some(class) = &place.class else {
            return Ok(false);
        };
        let columns = self.lookup.catalog.columns(class.oid);
        if arrays[at].data_type() != &DataType::Utf8 {
            let number = int(arrays, at, row);
            return Ok(number >= 1 && number <= columns.len() as i64);
        }
        let name = text(arrays, at, row);
        if columns.iter().any(|column| column == name) {
            return Ok(true);
        }
        let message = format!(
            "column \"{name}\" of relation \"{}\" does not exist",
            class.name
        );
        Err(Error::value("42703", message))
    }

    /// One is a member of oneself and of nobody else.
    fn has_role(&self, arrays: &[ArrayRef], row: usize) -> Result<Option<bool>> {
        let role = |at: usize| match arrays[at].data_type() {
            DataType::UInt32 => Ok(oid(arrays, at, row)),
            _ => self.role(text(arrays, at, row)),
        };
        let last = arrays.len() - 1;
        for word in text(arrays, last, row).split(',') {
            let upper = word.trim().to_ascii_uppercase();
            let bare = upper
                .strip_suffix(" WITH ADMIN OPTION")
                .or_else(|| upper.strip_suffix(" WITH GRANT OPTION"))
                .unwrap_or(&upper);
            if !matches!(bare, "MEMBER" | "USAGE" | "SET") {
                let message = format!("unrecognized privilege type: \"{}\"", word.trim());
                return Err(Error::value("22023", message));
            }
        }
        let member = match last {
            1 => self.role(&self.session.user())?,
            _ => role(0)?,
        };
        Ok(Some(member == role(last - 1)?))
    }
}

/// What an object is part of.
#[derive(Debug, Default)]
struct Place {
    /// The schema it is in or is: a branch, unless it is built in.
    branch: Option<String>,
    built_in: bool,
    class: Option<ClassRef>,
}

fn right(on: PrivilegeOn, word: &str, place: &Place) -> Option<Right> {
    let on_branch = |action| {
        if place.built_in {
            Right::Nobody
        } else {
            Right::Needs(action)
        }
    };
    Some(match (on, word) {
        (PrivilegeOn::Class | PrivilegeOn::Column, "SELECT") if place.built_in => Right::Everybody,
        (PrivilegeOn::Class | PrivilegeOn::Column, "SELECT") => Right::Needs(Action::Read),
        (PrivilegeOn::Class | PrivilegeOn::Column, "INSERT" | "UPDATE") => {
            on_branch(Action::Change)
        }
        (PrivilegeOn::Class | PrivilegeOn::Column, "REFERENCES") => on_branch(Action::SchemaApply),
        (PrivilegeOn::Class, "DELETE" | "TRUNCATE") => on_branch(Action::Change),
        (PrivilegeOn::Class, "TRIGGER") => Right::Nobody,
        // Of sequences, which there are none of.
        (PrivilegeOn::Class, "USAGE") => Right::Nobody,
        (PrivilegeOn::Schema, "USAGE") if place.built_in => Right::Everybody,
        (PrivilegeOn::Schema, "USAGE") => Right::Needs(Action::Read),
        (PrivilegeOn::Schema, "CREATE") => on_branch(Action::SchemaApply),
        // Who is connected may connect.
        (PrivilegeOn::Database, "CONNECT") => Right::Everybody,
        (PrivilegeOn::Database, "CREATE") => Right::Needs(Action::BranchCreate),
        (PrivilegeOn::Database, "TEMP" | "TEMPORARY") => Right::Nobody,
        (PrivilegeOn::Proc, "EXECUTE") => Right::Everybody,
        (PrivilegeOn::Type | PrivilegeOn::Language, "USAGE") => Right::Everybody,
        (PrivilegeOn::Tablespace, "CREATE") => Right::Nobody,
        (PrivilegeOn::Parameter, "SET") => Right::Everybody,
        (PrivilegeOn::Parameter, "ALTER SYSTEM") => Right::Nobody,
        (PrivilegeOn::Foreign, "USAGE") => Right::Nobody,
        _ => return None,
    })
}
