//! CREATE INDEX and DROP INDEX: an `@index` on a property, or none any more.

use omnigraph_engine::schema::edit::Editor;
use omnigraph_engine::schema::{PropertyType, Scalar, Schema};
use omnigraph_engine::search::Analyzer;
use sqlparser::ast::{self, IndexType};

use super::{Edited, parts, skipping, undefined, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

pub(super) fn create(index: &ast::CreateIndex, schema: &Schema) -> PgResult<Edited> {
    let (_, table) = parts(&index.table_name)?;
    let def = schema.table(&table).ok_or_else(|| undefined(&table))?;
    refuse(index)?;
    let [indexed] = index.columns.as_slice() else {
        return Err(unsupported(
            "an index over several columns",
            "Declare @index(a, b) in the schema, by schema_apply().",
        ));
    };
    let (column, analyzer) = column(&indexed.column.expr)?;
    let property = def
        .properties
        .iter()
        .position(|property| property.column == column);
    let Some(number) = property else {
        return Err(PgError::new(
            sqlstate::UNDEFINED_COLUMN,
            format!("column \"{column}\" does not exist"),
        ));
    };
    let property = &def.properties[number];
    let class = indexed.operator_class.as_ref().map(parts);
    let class = class.transpose()?.map(|(_, class)| class);
    let annotation = annotation(index, &property.ty, analyzer, class.as_deref())?;
    let mut edited = Edited::default();
    if let Some(there) = def
        .indexes
        .iter()
        .find(|index| index.properties == [number])
    {
        let message = format!("relation \"{}\" already exists", there.name);
        if index.if_not_exists {
            edited
                .notices
                .push(skipping(sqlstate::DUPLICATE_TABLE, message));
            return Ok(edited);
        }
        let error = PgError::new(sqlstate::DUPLICATE_TABLE, message);
        return Err(error.hint("A column has one index: DROP INDEX takes it away."));
    }
    let mut editor = Editor::new(schema);
    if !editor.declares(&def.name, &property.name) {
        return Err(unsupported(
            "an index on a property of an interface",
            "Declare @index in the interface, by schema_apply().",
        ));
    }
    editor.annotate(&def.name, &property.name, "index", Some(&annotation));
    edited.source = Some(editor.source().to_owned());
    Ok(edited)
}

pub(super) fn drop(
    names: &[ast::ObjectName],
    if_exists: bool,
    schema: &Schema,
) -> PgResult<Edited> {
    let mut edited = Edited::default();
    let mut editor = Editor::new(schema);
    for name in names {
        let (_, name) = parts(name)?;
        let mut tables = schema.nodes().chain(schema.edges());
        let found = tables.find_map(|def| {
            let index = def.indexes.iter().find(|index| index.name == name)?;
            Some((def, index))
        });
        let Some((def, index)) = found else {
            let message = format!("index \"{name}\" does not exist");
            if !if_exists {
                return Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message));
            }
            edited
                .notices
                .push(skipping(sqlstate::SUCCESSFUL_COMPLETION, message));
            continue;
        };
        let before = editor.source().to_owned();
        if let [property] = index.properties.as_slice() {
            let property = &def.properties[*property].name;
            editor.annotate(&def.name, property, "index", None);
        }
        if editor.source() == before {
            return Err(unsupported(
                "DROP INDEX of an index that the type declares as a whole",
                "Take it out of the schema, by schema_apply().",
            ));
        }
    }
    edited.source = (editor.source() != schema.source).then(|| editor.source().to_owned());
    Ok(edited)
}

/// What an index here has no counterpart for.
fn refuse(index: &ast::CreateIndex) -> PgResult<()> {
    if index.unique {
        return Err(unsupported(
            "CREATE UNIQUE INDEX",
            "Use ALTER TABLE … ADD UNIQUE (…).",
        ));
    }
    if index.predicate.is_some() || !index.include.is_empty() {
        return Err(unsupported(
            "an index over some of the rows, or with other columns in it",
            "Leave out WHERE and INCLUDE: an index has all rows.",
        ));
    }
    Ok(())
}

/// The column, and how its texts become words if that is what is indexed.
fn column(expr: &ast::Expr) -> PgResult<(String, Option<Analyzer>)> {
    let other = || {
        unsupported(
            "an index over this expression",
            "There are indexes over columns, and over to_tsvector('english' or 'simple', column).",
        )
    };
    match expr {
        ast::Expr::Identifier(name) => Ok((fold(name), None)),
        ast::Expr::Nested(inner) => column(inner),
        ast::Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("to_tsvector") => {
            let ast::FunctionArguments::List(list) = &call.args else {
                return Err(other());
            };
            let mut args = list.args.iter().map(|arg| match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
                _ => Err(other()),
            });
            let (Some(configuration), Some(text), None) = (args.next(), args.next(), args.next())
            else {
                return Err(other());
            };
            let ast::Expr::Value(configuration) = configuration? else {
                return Err(other());
            };
            let configuration = configuration.value.clone().into_string();
            let configuration = configuration.unwrap_or_default();
            let name = configuration.trim_start_matches("pg_catalog.");
            let analyzer = Analyzer::named(name).ok_or_else(|| {
                PgError::new(
                    sqlstate::UNDEFINED_OBJECT,
                    format!("text search configuration \"{configuration}\" does not exist"),
                )
            })?;
            match column(text?)? {
                (column, None) => Ok((column, Some(analyzer))),
                _ => Err(other()),
            }
        }
        _ => Err(other()),
    }
}

/// `@index` as the schema language writes it.
fn annotation(
    index: &ast::CreateIndex,
    ty: &PropertyType,
    analyzer: Option<Analyzer>,
    class: Option<&str>,
) -> PgResult<String> {
    let method = match &index.using {
        None | Some(IndexType::BTree) => "btree".to_owned(),
        Some(IndexType::Hash) => "hash".to_owned(),
        Some(IndexType::GIN) => "gin".to_owned(),
        Some(IndexType::Custom(name)) => fold(name),
        Some(other) => other.to_string().to_lowercase(),
    };
    match (method.as_str(), analyzer, ty) {
        ("hnsw" | "ivfflat", None, PropertyType::Vector(_)) => {
            let metric = match class {
                None | Some("vector_l2_ops") => "l2",
                Some("vector_cosine_ops") => "cosine",
                Some("vector_ip_ops") => "ip",
                Some("vector_l1_ops") => "l1",
                Some(class) => {
                    return Err(PgError::new(
                        sqlstate::UNDEFINED_OBJECT,
                        format!(
                            "operator class \"{class}\" does not exist for access method \"{method}\""
                        ),
                    ));
                }
            };
            Ok(format!("@index(metric=\"{metric}\", kind=\"{method}\")"))
        }
        ("gin", Some(analyzer), PropertyType::Scalar(Scalar::String)) => {
            Ok(format!("@index(analyzer=\"{}\")", analyzer.name()))
        }
        ("btree" | "hash", None, PropertyType::Scalar(_) | PropertyType::Enum(_)) => {
            Ok("@index".to_owned())
        }
        ("btree" | "hash" | "gin" | "hnsw" | "ivfflat", ..) => Err(unsupported(
            &format!("an index of kind {method} over this"),
            "There are btree over single values, gin over to_tsvector of a text, hnsw and ivfflat over vectors.",
        )),
        _ => Err(PgError::new(
            sqlstate::UNDEFINED_OBJECT,
            format!("access method \"{method}\" does not exist"),
        )),
    }
}
