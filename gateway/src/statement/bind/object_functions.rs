//! Functions about objects of the catalogs: what they are called, how they are defined, whether
//! the search path shows them, how large they are.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, StringArray, UInt32Array};
use arrow::datatypes::{DataType, UInt32Type};
use omnigraph_catalog::lookup::{CatalogKind, CatalogLookup, RelationSize, SearchPath};

use super::catalog_functions::Lookup;
use super::function_body::{Found, bigints, booleans, int, oid, reads, text, texts};

pub(super) fn body(name: &'static str, lookup: Lookup) -> Found {
    let visible = |kind: CatalogKind| {
        let lookup = lookup.clone();
        reads(booleans(move |a, row| {
            Ok(lookup
                .catalog
                .is_visible(kind, oid(a, 0, row), &lookup.path))
        }))
    };
    let size = |which: RelationSize| {
        let lookup = lookup.clone();
        reads(bigints(move |a, row| {
            Ok(lookup.catalog.relation_size(oid(a, 0, row), which))
        }))
    };
    let printed = |print: fn(&dyn CatalogLookup, u32, &SearchPath) -> Option<String>| {
        let lookup = lookup.clone();
        reads(texts(move |a, row| {
            Ok(print(lookup.catalog.as_ref(), oid(a, 0, row), &lookup.path))
        }))
    };
    match name {
        "pg_table_is_visible" => visible(CatalogKind::Class),
        "pg_type_is_visible" => visible(CatalogKind::Type),
        "pg_function_is_visible" => visible(CatalogKind::Proc),
        "pg_operator_is_visible" => visible(CatalogKind::Operator),
        "pg_collation_is_visible" => visible(CatalogKind::Collation),
        "pg_conversion_is_visible" => visible(CatalogKind::Conversion),
        "pg_opclass_is_visible" => visible(CatalogKind::Opclass),
        "pg_opfamily_is_visible" => visible(CatalogKind::Opfamily),
        "pg_statistics_obj_is_visible" => visible(CatalogKind::StatisticsObject),
        "pg_ts_config_is_visible" => visible(CatalogKind::TsConfig),
        "pg_ts_dict_is_visible" => visible(CatalogKind::TsDict),
        "pg_ts_parser_is_visible" => visible(CatalogKind::TsParser),
        "pg_ts_template_is_visible" => visible(CatalogKind::TsTemplate),
        "pg_relation_size" | "pg_table_size" => size(RelationSize::Data),
        "pg_indexes_size" => size(RelationSize::Indexes),
        "pg_total_relation_size" => size(RelationSize::Total),
        "pg_database_size" => reads(bigints(move |a, row| {
            let database = match a[0].data_type() {
                DataType::UInt32 => Some(oid(a, 0, row)),
                _ => lookup.catalog.database(text(a, 0, row)),
            };
            Ok(database.and_then(|database| lookup.catalog.database_size(database)))
        })),
        "pg_get_constraintdef" => reads(texts(move |a, row| {
            let pretty = a.len() > 1 && a[1].as_boolean().value(row);
            Ok(lookup
                .catalog
                .constraint_def(oid(a, 0, row), pretty, &lookup.path))
        })),
        "pg_get_indexdef" => reads(texts(move |a, row| {
            let (column, pretty) = if a.len() > 1 {
                (int(a, 1, row) as i32, a[2].as_boolean().value(row))
            } else {
                (0, false)
            };
            Ok(lookup
                .catalog
                .index_def(oid(a, 0, row), column, pretty, &lookup.path))
        })),
        "pg_describe_object" => reads(texts(move |a, row| {
            let column = i32::try_from(int(a, 2, row)).unwrap_or(0);
            let (catalog, object) = (oid(a, 0, row), oid(a, 1, row));
            Ok(lookup
                .catalog
                .describe(catalog, object, column, &lookup.path))
        })),
        "pg_get_viewdef" => reads(texts(move |a, row| {
            Ok(match a[0].data_type() {
                DataType::UInt32 => lookup.catalog.view_def(oid(a, 0, row)),
                _ => None,
            })
        })),
        "pg_get_propgraphdef" => printed(|catalog, oid, path| catalog.graph_def(oid, path)),
        "pg_get_functiondef" => printed(|catalog, oid, _| catalog.function_def(oid)),
        "pg_get_function_arguments" => {
            printed(|catalog, oid, path| catalog.function_arguments(oid, path))
        }
        "pg_get_function_identity_arguments" => {
            printed(|catalog, oid, path| catalog.function_identity_arguments(oid, path))
        }
        "pg_get_function_result" => {
            printed(|catalog, oid, path| catalog.function_result(oid, path))
        }
        "pg_get_userbyid" => printed(|catalog, oid, _| Some(catalog.role_text(oid))),
        "pg_get_function_sqlbody"
        | "pg_get_triggerdef"
        | "pg_get_ruledef"
        | "pg_get_partkeydef"
        | "pg_get_statisticsobjdef"
        | "pg_get_statisticsobjdef_columns"
        | "pg_get_partition_constraintdef"
        | "pg_get_function_arg_default"
        | "pg_get_serial_sequence" => reads(texts(|_, _| Ok(None))),
        "pg_get_replica_identity_index" => reads(Arc::new(|_, count| {
            Ok(Arc::new(UInt32Array::from(vec![None; count])))
        })),
        "pg_tablespace_location" => reads(texts(|_, _| Ok(Some(String::new())))),
        // Stored expressions are kept as the SQL they print as.
        "pg_get_expr" => reads(texts(|a, row| Ok(Some(text(a, 0, row).to_owned())))),
        "format_type" => reads(Arc::new(move |a, count| {
            let values: StringArray = (0..count)
                .map(|row| {
                    if a[0].is_null(row) {
                        return None;
                    }
                    let typmod = (!a[1].is_null(row)).then(|| int(a, 1, row) as i32);
                    Some(
                        lookup
                            .catalog
                            .format_type(oid(a, 0, row), typmod, &lookup.path),
                    )
                })
                .collect();
            Ok(Arc::new(values))
        })),
        "obj_description" => reads(texts(move |a, row| {
            let catalog = if a.len() > 1 {
                Some(text(a, 1, row))
            } else {
                None
            };
            Ok(lookup.catalog.description(oid(a, 0, row), catalog))
        })),
        "col_description" => reads(texts(move |a, row| {
            Ok(lookup
                .catalog
                .column_description(oid(a, 0, row), int(a, 1, row) as i32))
        })),
        "shobj_description" => reads(texts(move |a, row| {
            Ok(lookup
                .catalog
                .shared_description(oid(a, 0, row), text(a, 1, row)))
        })),
        "oidvectortypes" => reads(Arc::new(move |a, count| {
            let lists = a[0].as_list::<i32>();
            let values: StringArray = (0..count)
                .map(|row| {
                    (!lists.is_null(row)).then(|| {
                        let types = lists.value(row);
                        let names: Vec<String> = types
                            .as_primitive::<UInt32Type>()
                            .iter()
                            .flatten()
                            .map(|oid| lookup.catalog.format_type(oid, None, &lookup.path))
                            .collect();
                        names.join(", ")
                    })
                })
                .collect();
            Ok(Arc::new(values))
        })),
        "row_security_active" | "pg_relation_is_publishable" | "pg_is_other_temp_schema" => {
            reads(booleans(|_, _| Ok(Some(false))))
        }
        "pg_column_is_updatable" => reads(booleans(|_, _| Ok(Some(true)))),
        // INSERT, UPDATE and DELETE.
        "pg_relation_is_updatable" => reads(Arc::new(|_, count| {
            Ok(Arc::new(Int32Array::from(vec![28; count])))
        })),
        "pg_stat_get_numscans" => reads(bigints(|_, _| Ok(Some(0)))),
        "pg_encoding_to_char" => reads(texts(|a, row| {
            Ok(Some(
                if int(a, 0, row) == 6 { "UTF8" } else { "" }.to_owned(),
            ))
        })),
        "pg_char_to_encoding" => reads(Arc::new(|a, count| {
            let values: Int32Array = (0..count)
                .map(|row| {
                    let name: String = text(a, 0, row)
                        .chars()
                        .filter(char::is_ascii_alphanumeric)
                        .collect();
                    Some(
                        if name.eq_ignore_ascii_case("utf8") || name.eq_ignore_ascii_case("unicode")
                        {
                            6
                        } else {
                            -1
                        },
                    )
                })
                .collect();
            Ok(Arc::new(values))
        })),
        "pg_size_pretty" => reads(texts(|a, row| {
            let bytes = match a[0].data_type() {
                DataType::Int64 => i128::from(int(a, 0, row)),
                _ => omnigraph_udfs::pg::arithmetic::wide(&a[0])?
                    .value(row)
                    .to_i128()
                    .unwrap_or(i128::MAX),
            };
            Ok(Some(pretty_size(bytes)))
        })),
        "pg_index_column_has_property" => reads(booleans(|a, row| {
            Ok(Some(matches!(
                text(a, 2, row).to_ascii_lowercase().as_str(),
                "asc" | "nulls_last" | "orderable" | "returnable" | "search_array" | "search_nulls"
            )))
        })),
        "pg_index_has_property" => reads(booleans(|a, row| {
            Ok(Some(matches!(
                text(a, 1, row).to_ascii_lowercase().as_str(),
                "index_scan" | "bitmap_scan"
            )))
        })),
        "pg_indexam_has_property" => reads(booleans(|a, row| {
            Ok(Some(matches!(
                text(a, 1, row).to_ascii_lowercase().as_str(),
                "can_unique" | "can_multi_col" | "can_order"
            )))
        })),
        _ => None,
    }
}

fn pretty_size(bytes: i128) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let (mut size, mut unit) = (bytes, 0);
    // PostgreSQL changes the unit at ten times it, and rounds half up.
    while size.abs() >= 10 * 1024 && unit + 1 < UNITS.len() {
        size = (size + 512 * size.signum()) / 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS[unit])
}
