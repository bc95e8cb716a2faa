//! Names and OIDs of one graph's catalogs, for the binder.

use super::definition::{self, Arguments};
use super::objects::{ConstraintObject, ConstraintRule, IndexObject, Object, TableObject};
use super::oid::{FIRST_OVERFLOW, NAMESPACE, OMNIGRAPH, block_number};
use super::tables::{BUILT_IN_NAMESPACES, COLLATIONS, TABLESPACES};
use super::{Branch, PgCatalog, data, definitions, type_text};
use crate::lookup::{
    CatalogKind, CatalogLookup, ClassRef, OperatorRef, PrivilegeOn, ProcRef, RelationSize,
    SearchPath, quote_identifier,
};
use crate::types::PgType;

impl PgCatalog {
    /// What a marked slot stands for, and in which branch.
    pub(super) fn object(&self, oid: u32) -> Option<(&Branch, Object)> {
        let inside = self
            .inner
            .branch_blocks
            .get(&block_number(oid))
            .map(|at| &self.inner.branches[*at]);
        let branch = match inside {
            Some(branch) => branch,
            None if oid < FIRST_OVERFLOW => return None,
            None => self
                .inner
                .branches
                .iter()
                .find(|branch| branch.block.slot(oid).is_some())?,
        };
        let slot = branch.block.slot(oid)?;
        Some((branch, branch.objects()?.at(slot)?))
    }

    fn index(&self, oid: u32) -> Option<(&Branch, &TableObject, &IndexObject)> {
        match self.object(oid)? {
            (branch, Object::Index(table, index)) => {
                let table = &branch.objects()?.tables[table];
                Some((branch, table, &table.indexes[index]))
            }
            _ => None,
        }
    }

    fn constraint(&self, oid: u32) -> Option<(&Branch, &TableObject, &ConstraintObject)> {
        match self.object(oid)? {
            (branch, Object::Constraint(table, constraint)) => {
                let table = &branch.objects()?.tables[table];
                Some((branch, table, &table.constraints[constraint]))
            }
            _ => None,
        }
    }

    /// A branch's table by its OID.
    fn table(&self, oid: u32) -> Option<(&Branch, &TableObject)> {
        match self.object(oid)? {
            (branch, Object::Table(table)) => Some((branch, &branch.objects()?.tables[table])),
            _ => None,
        }
    }

    fn proc(&self, oid: u32) -> Option<&super::Proc> {
        let mut both = self.system().into_iter().chain(self.stored());
        both.find_map(|system| system.procs.get(&oid))
    }

    /// The schema and name of an object that has both, by the catalog it is in.
    fn qualified(&self, kind: CatalogKind, oid: u32) -> Option<(String, String)> {
        let built_in = |name: &str| Some(("pg_catalog".to_owned(), name.to_owned()));
        match kind {
            CatalogKind::Class => self
                .class_by_oid(oid)
                .map(|class| (class.schema, class.name)),
            CatalogKind::Type => self.type_by_oid(oid),
            CatalogKind::Proc => self.proc_by_oid(oid).map(|proc| (proc.schema, proc.name)),
            CatalogKind::Operator => self
                .operator_by_oid(oid)
                .map(|operator| (operator.schema, operator.name)),
            CatalogKind::Collation => built_in(&self.collation_name(oid)?),
            CatalogKind::Opclass => built_in(data::opclass_row(oid)?.name),
            CatalogKind::Opfamily => {
                built_in(data::opfamilies().iter().find(|row| row.oid == oid)?.name)
            }
            CatalogKind::Conversion
            | CatalogKind::StatisticsObject
            | CatalogKind::TsConfig
            | CatalogKind::TsDict
            | CatalogKind::TsParser
            | CatalogKind::TsTemplate => None,
        }
    }
}

/// The schema of functions has two names.
fn canonical(schema: &str) -> &str {
    if schema == "pg_omnigraph" {
        "omnigraph"
    } else {
        schema
    }
}

impl CatalogLookup for PgCatalog {
    fn namespace(&self, name: &str) -> Option<u32> {
        if canonical(name) == "omnigraph" {
            return Some(OMNIGRAPH);
        }
        let built_in = BUILT_IN_NAMESPACES.iter().find(|(_, known)| *known == name);
        match built_in {
            Some((oid, _)) => Some(*oid),
            None => self
                .branch(name)
                .map(|branch| branch.block.relocate(NAMESPACE)),
        }
    }

    fn namespace_name(&self, oid: u32) -> Option<String> {
        if let Some((_, name)) = BUILT_IN_NAMESPACES.iter().find(|(known, _)| *known == oid) {
            return Some((*name).to_owned());
        }
        let branch = &self.inner.branches[*self.inner.branch_blocks.get(&block_number(oid))?];
        (branch.block.namespace() == oid).then(|| branch.name.clone())
    }

    fn database(&self, name: &str) -> Option<u32> {
        let found = self
            .inner
            .graph
            .databases
            .iter()
            .find(|database| database.name == name)?;
        Some(found.oid)
    }

    fn role(&self, name: &str) -> Option<u32> {
        let found = self
            .inner
            .graph
            .roles
            .iter()
            .find(|role| role.name == name)?;
        Some(found.oid)
    }

    fn role_name(&self, oid: u32) -> Option<String> {
        let found = self.inner.graph.roles.iter().find(|role| role.oid == oid)?;
        Some(found.name.clone())
    }

    fn class(&self, schema: &str, name: &str) -> Option<u32> {
        if let Some(def) = definitions().relation(schema, name) {
            return Some(def.oid);
        }
        self.table_oid(schema, name)
    }

    fn class_by_oid(&self, oid: u32) -> Option<ClassRef> {
        if let Some(def) = definitions().by_oid(oid) {
            return Some(ClassRef {
                oid,
                schema: def.schema.to_owned(),
                name: def.name.to_owned(),
                kind: def.kind,
            });
        }
        let (branch, object) = self.object(oid)?;
        let (name, kind) = match object {
            Object::Table(table) => (&branch.objects()?.tables[table].name, 'r'),
            Object::Index(table, index) => {
                (&branch.objects()?.tables[table].indexes[index].name, 'i')
            }
            Object::Graph => (&branch.part.names.graph, 'g'),
            _ => return None,
        };
        Some(ClassRef {
            oid,
            schema: branch.name.clone(),
            name: name.clone(),
            kind,
        })
    }

    fn type_in(&self, schema: &str, name: &str) -> Option<u32> {
        if let Some(branch) = self.branch(schema) {
            return Some(branch.block.relocate(branch.objects()?.type_by_name(name)?));
        }
        if let Some(row) = data::types()
            .iter()
            .find(|row| row.schema == schema && row.name == name)
        {
            return Some(row.oid);
        }
        if let Some(def) = definitions().relation(schema, name) {
            return Some(def.row_type);
        }
        let array = definitions().relation(schema, name.strip_prefix('_')?)?;
        Some(array.array_type).filter(|oid| *oid != 0)
    }

    fn type_by_oid(&self, oid: u32) -> Option<(String, String)> {
        if let Some(row) = data::type_row(oid) {
            return Some((row.schema.to_owned(), row.name.to_owned()));
        }
        if let Some((branch, object)) = self.object(oid) {
            let name = match object {
                Object::RowType(table) => &branch.objects()?.tables[table].name,
                Object::ArrayType(table) => &branch.objects()?.tables[table].array_name,
                _ => return None,
            };
            return Some((branch.name.clone(), name.clone()));
        }
        definitions()
            .relations
            .iter()
            .filter(|_| oid != 0)
            .find_map(|def| {
                if def.row_type == oid {
                    Some((def.schema.to_owned(), def.name.to_owned()))
                } else if def.array_type == oid {
                    Some((def.schema.to_owned(), format!("_{}", def.name)))
                } else {
                    None
                }
            })
    }

    fn parse_type(&self, text: &str, path: &SearchPath) -> Option<PgType> {
        let written = type_text::parse(text)?;
        let oid = match &written.schema {
            Some(schema) => self.type_in(path.schema(schema), &written.name)?,
            None => path
                .schemas
                .iter()
                .find_map(|schema| self.type_in(schema, &written.name))
                .or_else(|| self.type_in("pg_catalog", &written.name))?,
        };
        let oid = if written.is_array {
            self.array_of(oid)?
        } else {
            oid
        };
        Some(PgType::new(oid).with_typmod(written.typmod))
    }

    fn format_type(&self, oid: u32, typmod: Option<i32>, path: &SearchPath) -> String {
        if oid == 0 {
            return "-".to_owned();
        }
        let built_in = match typmod {
            Some(typmod) => type_text::with_modifier(oid, typmod),
            None => type_text::built_in_text(oid),
        };
        if let Some(text) = built_in {
            return text;
        }
        if let Some(element) = self.element_of(oid) {
            return format!("{}[]", self.format_type(element, None, path));
        }
        let Some((schema, name)) = self.type_by_oid(oid) else {
            return "???".to_owned();
        };
        if self.is_visible(CatalogKind::Type, oid, path) == Some(true) {
            quote_identifier(&name)
        } else {
            format!("{}.{}", quote_identifier(&schema), quote_identifier(&name))
        }
    }

    fn procs(&self, schema: &str, name: &str) -> Vec<ProcRef> {
        let schema = canonical(schema);
        self.system()
            .into_iter()
            .chain(self.stored())
            .flat_map(|system| system.procs_named(schema, name))
            .map(proc_ref)
            .collect()
    }

    fn proc_by_oid(&self, oid: u32) -> Option<ProcRef> {
        self.proc(oid).map(proc_ref)
    }

    fn operators(&self, schema: &str, name: &str) -> Vec<OperatorRef> {
        if schema != "pg_catalog" {
            return Vec::new();
        }
        self.system()
            .into_iter()
            .flat_map(|system| system.operators_named(name))
            .map(operator_ref)
            .collect()
    }

    fn operator_by_oid(&self, oid: u32) -> Option<OperatorRef> {
        self.system()?.operators.get(&oid).map(operator_ref)
    }

    fn collation(&self, name: &str) -> Option<u32> {
        COLLATIONS
            .iter()
            .find(|(_, known, ..)| *known == name)
            .map(|(oid, ..)| *oid)
    }

    fn collation_name(&self, oid: u32) -> Option<String> {
        let (_, name, ..) = COLLATIONS.iter().find(|(known, ..)| *known == oid)?;
        Some((*name).to_owned())
    }

    fn is_visible(&self, kind: CatalogKind, oid: u32, path: &SearchPath) -> Option<bool> {
        let (own, name) = self.qualified(kind, oid)?;
        let own = canonical(&own);
        // Visible: found first along the path under its bare name. Functions and operators of
        // one name are told apart by their arguments, so only the path itself counts there.
        for schema in path.schemas.iter().map(|schema| canonical(schema)) {
            if schema == own {
                return Some(true);
            }
            let hidden = match kind {
                CatalogKind::Class => self.class(schema, &name).is_some(),
                CatalogKind::Type => self.type_in(schema, &name).is_some(),
                _ => false,
            };
            if hidden {
                return Some(false);
            }
        }
        // What is built in is found even on a path that does not name it.
        Some(own == "pg_catalog")
    }

    fn exists(&self, on: PrivilegeOn, oid: u32) -> bool {
        match on {
            PrivilegeOn::Database => self
                .inner
                .graph
                .databases
                .iter()
                .any(|database| database.oid == oid),
            PrivilegeOn::Schema => self.namespace_name(oid).is_some(),
            PrivilegeOn::Class | PrivilegeOn::Column => self.class_by_oid(oid).is_some(),
            PrivilegeOn::Proc => self.proc(oid).is_some(),
            PrivilegeOn::Type => self.type_by_oid(oid).is_some(),
            PrivilegeOn::Language => matches!(oid, 12 | 14),
            PrivilegeOn::Tablespace => TABLESPACES.iter().any(|(known, _)| *known == oid),
            // Settings have no OIDs, and there are no foreign servers.
            PrivilegeOn::Parameter | PrivilegeOn::Foreign => false,
        }
    }

    fn columns(&self, class: u32) -> Vec<String> {
        if let Some(def) = definitions().by_oid(class) {
            return def
                .columns
                .iter()
                .map(|column| column.name.to_owned())
                .collect();
        }
        match self.table(class) {
            Some((_, table)) => {
                let names = table.columns.iter().map(|column| &column.name);
                names.cloned().collect()
            }
            None => Vec::new(),
        }
    }

    fn describe(
        &self,
        catalog: u32,
        object: u32,
        column: i32,
        path: &SearchPath,
    ) -> Option<String> {
        self.words_for(catalog, object, column, path)
    }

    fn constraint_def(&self, oid: u32, pretty: bool, path: &SearchPath) -> Option<String> {
        let (branch, table, constraint) = self.constraint(oid)?;
        let referenced = match &constraint.kind {
            ConstraintRule::Foreign { table } => {
                let class = branch.objects()?.tables[*table].class;
                self.class_text(branch.block.relocate(class), path)
            }
            _ => String::new(),
        };
        Some(definition::constraint_text(
            table,
            &constraint.columns,
            &constraint.kind,
            &referenced,
            pretty,
        ))
    }

    fn index_def(&self, oid: u32, column: i32, pretty: bool, path: &SearchPath) -> Option<String> {
        let (branch, table, index) = self.index(oid)?;
        if column != 0 {
            return Some(definition::index_column_text(table, index, column));
        }
        let relation = if pretty {
            self.class_text(branch.block.relocate(table.class), path)
        } else {
            format!(
                "{}.{}",
                quote_identifier(&branch.name),
                quote_identifier(&table.name)
            )
        };
        Some(definition::index_text(table, index, &relation))
    }

    fn view_def(&self, _: u32) -> Option<String> {
        // The built-in views are no queries, and there are no others.
        None
    }

    fn graph_def(&self, oid: u32, path: &SearchPath) -> Option<String> {
        let (branch, object) = self.object(oid)?;
        let Object::Graph = object else {
            return None;
        };
        let objects = branch.objects()?;
        let name = format!(
            "{}.{}",
            quote_identifier(&branch.name),
            quote_identifier(&branch.part.names.graph)
        );
        let relation = |class| self.class_text(branch.block.relocate(class), path);
        Some(definition::graph_text(objects, &name, relation))
    }

    fn function_def(&self, oid: u32) -> Option<String> {
        let proc = self.proc(oid)?;
        let path = SearchPath::of_branch("");
        definition::function_definition(proc, &proc.schema, |ty| self.format_type(ty, None, &path))
    }

    fn function_arguments(&self, oid: u32, path: &SearchPath) -> Option<String> {
        let format = |ty| self.format_type(ty, None, path);
        Some(definition::function_arguments(
            self.proc(oid)?,
            Arguments::Full,
            format,
        ))
    }

    fn function_identity_arguments(&self, oid: u32, path: &SearchPath) -> Option<String> {
        let format = |ty| self.format_type(ty, None, path);
        Some(definition::function_arguments(
            self.proc(oid)?,
            Arguments::Identity,
            format,
        ))
    }

    fn function_result(&self, oid: u32, path: &SearchPath) -> Option<String> {
        definition::function_result(self.proc(oid)?, |ty| self.format_type(ty, None, path))
    }

    fn description(&self, oid: u32, catalog: Option<&str>) -> Option<String> {
        if catalog.is_none_or(|catalog| catalog == "pg_class")
            && let Some((_, table)) = self.table(oid)
        {
            return table.description.clone();
        }
        let mut both = self.system().into_iter().chain(self.stored());
        both.find_map(|system| system.description(oid, catalog))
            .map(str::to_owned)
    }

    fn column_description(&self, table: u32, column: i32) -> Option<String> {
        let (_, table) = self.table(table)?;
        let at = usize::try_from(column).ok()?.checked_sub(1)?;
        table.columns.get(at)?.description.clone()
    }

    fn shared_description(&self, oid: u32, catalog: &str) -> Option<String> {
        if catalog != "pg_database" {
            return None;
        }
        let database = self
            .inner
            .graph
            .databases
            .iter()
            .find(|database| database.oid == oid)?;
        database.description.clone()
    }

    fn relation_size(&self, oid: u32, which: RelationSize) -> Option<i64> {
        let (branch, table) = match self.object(oid)? {
            (branch, Object::Table(table)) => (branch, &branch.objects()?.tables[table]),
            (_, Object::Index(..)) => return Some(0),
            _ => return None,
        };
        let size = branch.sizes.get(&table.type_id).copied().unwrap_or(0);
        match which {
            RelationSize::Data | RelationSize::Total => i64::try_from(size).ok(),
            // What finds rows by their values is part of the data's files.
            RelationSize::Indexes => Some(0),
        }
    }

    fn database_size(&self, oid: u32) -> Option<i64> {
        let database = self
            .inner
            .graph
            .databases
            .iter()
            .find(|database| database.oid == oid)?;
        database.size
    }
}

impl PgCatalog {
    fn array_of(&self, element: u32) -> Option<u32> {
        if let Some(row) = data::type_row(element) {
            return Some(row.array).filter(|oid| *oid != 0);
        }
        if let Some((branch, Object::RowType(table))) = self.object(element) {
            return Some(
                branch
                    .block
                    .relocate(branch.objects()?.tables[table].array_type),
            );
        }
        let def = definitions()
            .relations
            .iter()
            .find(|def| def.row_type == element)?;
        Some(def.array_type).filter(|oid| *oid != 0)
    }

    /// The row type under an array type over it.
    fn element_of(&self, array: u32) -> Option<u32> {
        if let Some((branch, Object::ArrayType(table))) = self.object(array) {
            return Some(
                branch
                    .block
                    .relocate(branch.objects()?.tables[table].row_type),
            );
        }
        let def = definitions()
            .relations
            .iter()
            .find(|def| def.array_type == array && array != 0)?;
        Some(def.row_type)
    }
}

fn proc_ref(proc: &super::Proc) -> ProcRef {
    ProcRef {
        oid: proc.oid,
        schema: proc.schema.clone(),
        name: proc.name.clone(),
        arguments: proc.arguments.iter().map(|oid| PgType::new(*oid)).collect(),
    }
}

fn operator_ref(operator: &super::system::Operator) -> OperatorRef {
    OperatorRef {
        oid: operator.oid,
        schema: "pg_catalog".to_owned(),
        name: operator.name.clone(),
        left: PgType::new(operator.left),
        right: PgType::new(operator.right),
    }
}
