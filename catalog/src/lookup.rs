//! What the binder asks of a graph's catalogs while it gives names their meaning: objects by
//! name and by OID, types in every spelling, and what PostgreSQL's `pg_get_*` functions print.
//!
//! Everything answers from memory, without waiting, and never fails: `None` says that there is
//! no such object, and the caller knows which error its context wants.

use std::sync::Arc;

use crate::types::PgType;

/// The schemas in which unqualified names are sought, in order, and what `public` stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SearchPath {
    /// The effective path, with the implicit entries in their places: `pg_catalog`, the
    /// session's branch, `omnigraph`.
    pub schemas: Arc<[String]>,
    /// The session's branch: `public.person` means its table.
    pub branch: String,
}

impl SearchPath {
    /// The path of a session on `branch`.
    pub fn of_branch(branch: &str) -> Self {
        SearchPath {
            schemas: ["pg_catalog", branch, "omnigraph"].map(String::from).into(),
            branch: branch.to_owned(),
        }
    }

    /// The schema that a written qualifier names: `public` is the session's branch, and the
    /// catalogs list `omnigraph` under a name that clients hide.
    pub fn schema<'a>(&'a self, written: &'a str) -> &'a str {
        match written {
            "public" => &self.branch,
            "pg_omnigraph" => "omnigraph",
            other => other,
        }
    }
}

/// A relation, as `regclass` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassRef {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// `pg_class.relkind`.
    pub kind: char,
}

/// A function, as `regproc` and `regprocedure` know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcRef {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub arguments: Vec<PgType>,
}

/// An operator, as `regoper` and `regoperator` know it. A missing side has type OID 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRef {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub left: PgType,
    pub right: PgType,
}

/// The catalogs that hold named, schema-qualified objects besides the ones with methods of
/// their own; for `pg_*_is_visible`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatalogKind {
    Class,
    Type,
    Proc,
    Operator,
    Collation,
    Conversion,
    Opclass,
    Opfamily,
    StatisticsObject,
    TsConfig,
    TsDict,
    TsParser,
    TsTemplate,
}

/// What `has_*_privilege` is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivilegeOn {
    Database,
    Schema,
    Class,
    Column,
    Proc,
    Type,
    Language,
    Tablespace,
    Parameter,
    /// A foreign server or data wrapper.
    Foreign,
}

/// Which size of a relation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationSize {
    /// `pg_relation_size`, `pg_table_size` of tables.
    Data,
    /// `pg_indexes_size`.
    Indexes,
    /// `pg_total_relation_size`.
    Total,
}

/// The catalogs of one graph, as far as names and printing go.
///
/// Schema names are plain (`review/1`), never quoted; `public` has to be resolved by
/// [`SearchPath::schema`] before it is passed. Printed names are quoted where PostgreSQL
/// would quote them, and qualified when the path does not show them.
pub trait CatalogLookup: std::fmt::Debug + Send + Sync {
    fn namespace(&self, name: &str) -> Option<u32>;
    fn namespace_name(&self, oid: u32) -> Option<String>;
    fn database(&self, name: &str) -> Option<u32>;
    fn role(&self, name: &str) -> Option<u32>;
    fn role_name(&self, oid: u32) -> Option<String>;

    /// A table, view or index of one schema.
    fn class(&self, schema: &str, name: &str) -> Option<u32>;
    fn class_by_oid(&self, oid: u32) -> Option<ClassRef>;

    /// A type by its catalog name (`int4`, `_text`, `person`) in one schema.
    fn type_in(&self, schema: &str, name: &str) -> Option<u32>;
    /// Its schema and catalog name.
    fn type_by_oid(&self, oid: u32) -> Option<(String, String)>;
    /// A type in any of PostgreSQL's spellings: `int`, `varchar(10)`, `text[]`, `"char"`,
    /// `timestamp(3) with time zone`, `pg_catalog.int4`, `"review/1".person`.
    fn parse_type(&self, text: &str, path: &SearchPath) -> Option<PgType>;
    /// `format_type`: with `None` as modifier, the name alone.
    fn format_type(&self, oid: u32, typmod: Option<i32>, path: &SearchPath) -> String;

    /// The functions of one name in one schema.
    fn procs(&self, schema: &str, name: &str) -> Vec<ProcRef>;
    fn proc_by_oid(&self, oid: u32) -> Option<ProcRef>;
    fn operators(&self, schema: &str, name: &str) -> Vec<OperatorRef>;
    fn operator_by_oid(&self, oid: u32) -> Option<OperatorRef>;
    fn collation(&self, name: &str) -> Option<u32>;
    fn collation_name(&self, oid: u32) -> Option<String>;

    /// `pg_*_is_visible`; `None` when there is no such object.
    fn is_visible(&self, kind: CatalogKind, oid: u32, path: &SearchPath) -> Option<bool>;
    /// Does an object with this OID exist? What `has_*_privilege` answers follows from it.
    fn exists(&self, on: PrivilegeOn, oid: u32) -> bool;

    /// The columns of a relation by their numbers, from 1; empty if there is no such relation.
    fn columns(&self, class: u32) -> Vec<String>;
    /// `pg_describe_object`, by the OIDs of the catalog and of the object.
    fn describe(&self, catalog: u32, object: u32, column: i32, path: &SearchPath)
    -> Option<String>;

    fn constraint_def(&self, oid: u32, pretty: bool, path: &SearchPath) -> Option<String>;
    /// `column` 0: the whole definition; otherwise the name of that column alone, and an
    /// empty string beyond the last.
    fn index_def(&self, oid: u32, column: i32, pretty: bool, path: &SearchPath) -> Option<String>;
    fn view_def(&self, oid: u32) -> Option<String>;
    fn graph_def(&self, oid: u32, path: &SearchPath) -> Option<String>;
    fn function_def(&self, oid: u32) -> Option<String>;
    fn function_arguments(&self, oid: u32, path: &SearchPath) -> Option<String>;
    fn function_identity_arguments(&self, oid: u32, path: &SearchPath) -> Option<String>;
    fn function_result(&self, oid: u32, path: &SearchPath) -> Option<String>;

    /// `obj_description`; without a catalog's name, in any of them.
    fn description(&self, oid: u32, catalog: Option<&str>) -> Option<String>;
    fn column_description(&self, table: u32, column: i32) -> Option<String>;
    fn shared_description(&self, oid: u32, catalog: &str) -> Option<String>;

    /// Bytes; `None` when there is no such relation.
    fn relation_size(&self, oid: u32, which: RelationSize) -> Option<i64>;
    fn database_size(&self, oid: u32) -> Option<i64>;

    /// A relation by a name as written: `person`, `main.person`, `knowledge.main.person`.
    fn resolve_class(&self, name: &[String], path: &SearchPath) -> Option<u32> {
        match name {
            [name] => path
                .schemas
                .iter()
                .find_map(|schema| self.class(schema, name)),
            [schema, name] => self.class(path.schema(schema), name),
            [database, schema, name] => {
                self.database(database)?;
                self.class(path.schema(schema), name)
            }
            _ => None,
        }
    }

    /// `oid::regclass::text`.
    fn class_text(&self, oid: u32, path: &SearchPath) -> String {
        match self.class_by_oid(oid) {
            Some(class) if self.is_visible(CatalogKind::Class, oid, path) == Some(true) => {
                quote_identifier(&class.name)
            }
            Some(class) => format!(
                "{}.{}",
                quote_identifier(&class.schema),
                quote_identifier(&class.name)
            ),
            None if oid == 0 => "-".to_owned(),
            None => oid.to_string(),
        }
    }

    /// `oid::regproc::text`: the bare name when it says which function is meant.
    fn proc_text(&self, oid: u32, path: &SearchPath) -> String {
        let Some(proc) = self.proc_by_oid(oid) else {
            return if oid == 0 {
                "-".to_owned()
            } else {
                oid.to_string()
            };
        };
        let found: Vec<ProcRef> = path
            .schemas
            .iter()
            .flat_map(|schema| self.procs(schema, &proc.name))
            .collect();
        if found.len() == 1 && found[0].oid == oid {
            quote_identifier(&proc.name)
        } else {
            format!(
                "{}.{}",
                quote_identifier(&proc.schema),
                quote_identifier(&proc.name)
            )
        }
    }

    /// `oid::regprocedure::text`.
    fn procedure_text(&self, oid: u32, path: &SearchPath) -> String {
        let Some(proc) = self.proc_by_oid(oid) else {
            return if oid == 0 {
                "-".to_owned()
            } else {
                oid.to_string()
            };
        };
        let arguments: Vec<String> = proc
            .arguments
            .iter()
            .map(|argument| self.format_type(argument.oid, None, path))
            .collect();
        let name = if self.is_visible(CatalogKind::Proc, oid, path) == Some(true) {
            quote_identifier(&proc.name)
        } else {
            format!(
                "{}.{}",
                quote_identifier(&proc.schema),
                quote_identifier(&proc.name)
            )
        };
        format!("{name}({})", arguments.join(","))
    }

    /// `pg_get_userbyid`.
    fn role_text(&self, oid: u32) -> String {
        self.role_name(oid)
            .unwrap_or_else(|| format!("unknown (OID={oid})"))
    }
}

/// Splits `a."b c".d` as PostgreSQL's `stringToQualifiedNameList`: unquoted parts are folded
/// to lower case. `None`: not a name.
pub fn parse_qualified_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = parse_identifier(rest)?;
        parts.push(part);
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(parts);
        }
        rest = rest.strip_prefix('.')?.trim_start();
    }
}

/// One identifier at the front of the text, and what follows it.
pub(crate) fn parse_identifier(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut part = String::new();
        let mut chars = quoted.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '"' {
                part.push(c);
            } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                part.push('"');
            } else {
                return (!part.is_empty()).then(|| (part, &quoted[at + 1..]));
            }
        }
        return None;
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .unwrap_or(text.len());
    let first = text.chars().next()?;
    if end == 0 || first.is_ascii_digit() || first == '$' {
        return None;
    }
    Some((text[..end].to_ascii_lowercase(), &text[end..]))
}

/// `quote_ident`: quoted unless it is lower case, plain and no keyword.
pub fn quote_identifier(name: &str) -> String {
    let plain = name
        .bytes()
        .enumerate()
        .all(|(at, byte)| matches!(byte, b'a'..=b'z' | b'_') || (at > 0 && byte.is_ascii_digit()));
    if plain && !name.is_empty() && KEYWORDS.binary_search(&name).is_err() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// PostgreSQL 15's keywords that are not free to be names everywhere, sorted.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast", "char", "character",
    "check", "coalesce", "collate", "collation", "column", "concurrently", "constraint", "create",
    "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
    "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable", "desc", "distinct",
    "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float", "for", "foreign",
    "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having", "ilike", "in",
    "initially", "inner", "inout", "int", "integer", "intersect", "interval", "into", "is", "isnull",
    "join", "lateral", "leading", "least", "left", "like", "limit", "localtime", "localtimestamp",
    "national", "natural", "nchar", "none", "normalize", "not", "notnull", "null", "nullif", "numeric",
    "offset", "on", "only", "or", "order", "out", "outer", "overlaps", "overlay", "placing",
    "position", "precision", "primary", "real", "references", "returning", "right", "row", "select",
    "session_user", "setof", "similar", "smallint", "some", "substring", "symmetric", "table",
    "tablesample", "then", "time", "timestamp", "to", "trailing", "treat", "trim", "true", "union",
    "unique", "user", "using", "values", "varchar", "variadic", "verbose", "when", "where", "window",
    "with", "xmlattributes", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces",
    "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn names_are_split_and_folded() {
        let name = |text| parse_qualified_name(text);
        assert_eq!(name("Person"), Some(vec!["person".to_owned()]));
        assert_eq!(
            name(" \"review/1\" . \"Odd\"\"One\" "),
            Some(vec!["review/1".to_owned(), "Odd\"One".to_owned()])
        );
        assert_eq!(name("a.b.c").map(|parts| parts.len()), Some(3));
        for wrong in ["", "1a", "a.", "a b", "\"", "\"\"", "a..b"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_quoted_when_they_need_it() {
        assert_eq!(quote_identifier("person"), "person");
        assert_eq!(quote_identifier("review/1"), "\"review/1\"");
        assert_eq!(quote_identifier("Person"), "\"Person\"");
        assert_eq!(quote_identifier("user"), "\"user\"");
        assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_identifier("1a"), "\"1a\"");
    }
}
