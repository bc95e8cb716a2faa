//! ALTER TABLE.

use omnigraph_engine::schema::edit::Editor;
use omnigraph_engine::schema::{Property, Schema, TypeDef};
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation, TableConstraint};

use super::columns::{Column, check_unsupported, default, named};
use super::names::{Declared, property_name, type_name};
use super::{Edited, parts, skipping, undefined, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

pub(super) fn alter(alter: &ast::AlterTable, schema: &Schema) -> PgResult<Edited> {
    let (_, name) = parts(&alter.name)?;
    let mut edited = Edited::default();
    let Some(def) = schema.table(&name) else {
        let error = undefined(&name);
        if !alter.if_exists {
            return Err(error);
        }
        edited
            .notices
            .push(skipping(sqlstate::UNDEFINED_TABLE, error.message));
        return Ok(edited);
    };
    let mut altered = Altered {
        editor: Editor::new(schema),
        def,
        edited,
    };
    for operation in &alter.operations {
        altered.apply(operation, schema)?;
    }
    let Altered {
        editor, mut edited, ..
    } = altered;
    edited.source = (editor.source() != schema.source).then(|| editor.source().to_owned());
    Ok(edited)
}

struct Altered<'a> {
    editor: Editor,
    def: &'a TypeDef,
    edited: Edited,
}

impl Altered<'_> {
    fn apply(&mut self, operation: &AlterTableOperation, schema: &Schema) -> PgResult<()> {
        match operation {
            AlterTableOperation::AddColumn {
                if_not_exists,
                column_def,
                ..
            } => self.add_column(column_def, *if_not_exists),
            AlterTableOperation::DropColumn {
                column_names,
                if_exists,
                ..
            } => column_names
                .iter()
                .try_for_each(|column| self.drop_column(&fold(column), *if_exists)),
            AlterTableOperation::RenameColumn {
                old_column_name,
                new_column_name,
            } => self.rename_column(&fold(old_column_name), &fold(new_column_name)),
            AlterTableOperation::RenameTable { table_name } => {
                let (ast::RenameTableNameKind::To(name) | ast::RenameTableNameKind::As(name)) =
                    table_name;
                self.rename(&parts(name)?.1, schema)
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.alter_column(&fold(column_name), op)
            }
            AlterTableOperation::AddConstraint { constraint, .. } => {
                self.add_constraint(constraint)
            }
            other => Err(unsupported(
                &format!("ALTER TABLE … {other}"),
                "What SQL does not say is changed by schema_apply(), which takes the whole schema.",
            )),
        }
    }

    /// The property behind a column, which the type itself declares.
    fn property(&self, column: &str) -> PgResult<&'_ Property> {
        let mut properties = self.def.properties.iter();
        let Some(property) = properties.find(|property| property.column == column) else {
            if self.def.columns().iter().any(|known| known.name == column) {
                return Err(unsupported(
                    &format!("altering column \"{column}\""),
                    "It belongs to every table of its kind.",
                ));
            }
            return Err(self.undefined_column(column));
        };
        if !self.editor.declares(&self.def.name, &property.name) {
            return Err(unsupported(
                &format!("altering column \"{column}\", which an interface declares"),
                "Change the interface with schema_apply().",
            ));
        }
        Ok(property)
    }

    fn undefined_column(&self, column: &str) -> PgError {
        PgError::new(
            sqlstate::UNDEFINED_COLUMN,
            format!(
                "column \"{column}\" of relation \"{}\" does not exist",
                self.def.table
            ),
        )
    }

    fn has_column(&self, column: &str) -> bool {
        self.def.columns().iter().any(|known| known.name == column)
    }

    /// What a column is to be declared as; 42701 if there is one of the name.
    fn new_column(&self, column: &str) -> PgResult<Declared> {
        if self.has_column(column) {
            return Err(PgError::new(
                sqlstate::DUPLICATE_COLUMN,
                format!(
                    "column \"{column}\" of relation \"{}\" already exists",
                    self.def.table
                ),
            ));
        }
        Ok(property_name(column, |name| {
            let mut properties = self.def.properties.iter();
            properties.any(|property| property.name == name)
                || self.editor.declares(&self.def.name, name)
        }))
    }

    fn add_column(&mut self, def: &ast::ColumnDef, if_not_exists: bool) -> PgResult<()> {
        let column = Column::of(def)?;
        let declared = match self.new_column(&column.name) {
            Err(error) if if_not_exists => {
                let notice = skipping(sqlstate::DUPLICATE_COLUMN, error.message);
                self.edited.notices.push(notice);
                return Ok(());
            }
            declared => declared?,
        };
        if column.primary || column.references.is_some() {
            return Err(unsupported(
                "a key in a column that is added",
                "A table's primary key is declared with it; rows are connected by edges.",
            ));
        }
        let property = column.property(&declared);
        self.editor.add_property(&self.def.name, &property);
        Ok(())
    }

    fn drop_column(&mut self, column: &str, if_exists: bool) -> PgResult<()> {
        if if_exists && !self.has_column(column) {
            let error = self.undefined_column(column);
            let notice = skipping(sqlstate::UNDEFINED_COLUMN, error.message);
            self.edited.notices.push(notice);
            return Ok(());
        }
        let property = self.property(column)?.name.clone();
        self.editor.remove_property(&self.def.name, &property);
        Ok(())
    }

    fn rename_column(&mut self, column: &str, new: &str) -> PgResult<()> {
        let property = self.property(column)?.name.clone();
        let declared = self.new_column(new)?;
        let annotation = declared.annotation();
        let sql = (!annotation.is_empty()).then(|| annotation.trim());
        self.editor.annotate(&self.def.name, &property, "sql", sql);
        self.editor
            .rename_property(&self.def.name, &property, &declared.name);
        Ok(())
    }

    fn rename(&mut self, new: &str, schema: &Schema) -> PgResult<()> {
        if schema.table(new).is_some() {
            return Err(PgError::new(
                sqlstate::DUPLICATE_TABLE,
                format!("relation \"{new}\" already exists"),
            ));
        }
        let declared = type_name(new, schema);
        let sql = declared.sql.as_deref();
        self.editor.rename_type(&self.def.name, &declared.name, sql);
        Ok(())
    }

    fn alter_column(&mut self, column: &str, operation: &AlterColumnOperation) -> PgResult<()> {
        let property = self.property(column)?.name.clone();
        let (editor, ty) = (&mut self.editor, &self.def.name);
        match operation {
            AlterColumnOperation::SetNotNull => editor.set_nullable(ty, &property, false),
            AlterColumnOperation::DropNotNull => editor.set_nullable(ty, &property, true),
            AlterColumnOperation::SetDefault { value } => {
                let text = default(value)?.map(|value| format!("@default({value})"));
                editor.annotate(ty, &property, "default", text.as_deref());
            }
            AlterColumnOperation::DropDefault => editor.annotate(ty, &property, "default", None),
            other => {
                return Err(unsupported(
                    &format!("ALTER COLUMN … {other}"),
                    "Add a column of the other type, UPDATE it, and drop the first.",
                ));
            }
        }
        Ok(())
    }

    fn add_constraint(&mut self, constraint: &TableConstraint) -> PgResult<()> {
        let columns = match constraint {
            TableConstraint::Unique(unique) => named(&unique.columns)?,
            TableConstraint::Check(_) => return Err(check_unsupported()),
            other => return Err(unsupported(&format!("ADD {other}"), "Use UNIQUE.")),
        };
        let properties = columns.iter().map(|column| {
            let mut properties = self.def.properties.iter();
            let found = properties.find(|property| property.column == *column);
            found
                .map(|property| property.name.clone())
                .ok_or_else(|| self.undefined_column(column))
        });
        let properties = properties.collect::<PgResult<Vec<_>>>()?;
        let unique = format!("@unique({})", properties.join(", "));
        self.editor.add_property(&self.def.name, &unique);
        Ok(())
    }
}
