//! Functions that look into the catalogs or at the session: `format_type`, `pg_get_*`,
//! `*_is_visible`, privileges, settings, backends.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int32Builder, Int64Array, ListBuilder,
    StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    TimestampMicrosecondType, UInt32Type,
};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Volatility};
use omnigraph_catalog::lookup::{
    CatalogKind, CatalogLookup, PrivilegeOn, RelationSize, SearchPath, quote_identifier,
};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{PgFunction, rows};
use omnigraph_udfs::{Error, Result};

use super::functions::undefined;
use super::text_io::{CatalogNames, carried};
use super::typed::Typed;
use super::{Binder, SessionCalls, unsupported};
use crate::error::PgResult;
use crate::text::ObjectNames;

/// Functions of the catalogs, with the number of arguments they may have.
const KNOWN: &[(&str, &[usize])] = &[
    ("col_description", &[2]),
    ("current_query", &[0]),
    ("current_setting", &[1, 2]),
    ("format_type", &[2]),
    ("getdatabaseencoding", &[0]),
    ("has_any_column_privilege", &[2, 3]),
    ("has_column_privilege", &[3, 4]),
    ("has_database_privilege", &[2, 3]),
    ("has_foreign_data_wrapper_privilege", &[2, 3]),
    ("has_function_privilege", &[2, 3]),
    ("has_language_privilege", &[2, 3]),
    ("has_schema_privilege", &[2, 3]),
    ("has_sequence_privilege", &[2, 3]),
    ("has_server_privilege", &[2, 3]),
    ("has_table_privilege", &[2, 3]),
    ("has_tablespace_privilege", &[2, 3]),
    ("has_type_privilege", &[2, 3]),
    ("inet_client_port", &[0]),
    ("inet_server_port", &[0]),
    ("obj_description", &[1, 2]),
    ("oidvectortypes", &[1]),
    ("pg_advisory_lock", &[1, 2]),
    ("pg_advisory_lock_shared", &[1, 2]),
    ("pg_advisory_unlock", &[1, 2]),
    ("pg_advisory_unlock_all", &[0]),
    ("pg_advisory_unlock_shared", &[1, 2]),
    ("pg_advisory_xact_lock", &[1, 2]),
    ("pg_advisory_xact_lock_shared", &[1, 2]),
    ("pg_backend_pid", &[0]),
    ("pg_cancel_backend", &[1]),
    ("pg_char_to_encoding", &[1]),
    ("pg_client_encoding", &[0]),
    ("pg_collation_is_visible", &[1]),
    ("pg_column_is_updatable", &[3]),
    ("pg_conf_load_time", &[0]),
    ("pg_conversion_is_visible", &[1]),
    ("pg_database_size", &[1]),
    ("pg_encoding_to_char", &[1]),
    ("pg_function_is_visible", &[1]),
    ("pg_get_constraintdef", &[1, 2]),
    ("pg_get_expr", &[2, 3]),
    ("pg_get_function_arg_default", &[2]),
    ("pg_get_function_arguments", &[1]),
    ("pg_get_function_identity_arguments", &[1]),
    ("pg_get_function_result", &[1]),
    ("pg_get_function_sqlbody", &[1]),
    ("pg_get_functiondef", &[1]),
    ("pg_get_indexdef", &[1, 3]),
    ("pg_get_partition_constraintdef", &[1]),
    ("pg_get_partkeydef", &[1]),
    ("pg_get_replica_identity_index", &[1]),
    ("pg_get_ruledef", &[1, 2]),
    ("pg_get_serial_sequence", &[2]),
    ("pg_get_statisticsobjdef", &[1]),
    ("pg_get_statisticsobjdef_columns", &[1]),
    ("pg_get_triggerdef", &[1, 2]),
    ("pg_get_userbyid", &[1]),
    ("pg_get_viewdef", &[1, 2]),
    ("pg_has_role", &[2, 3]),
    ("pg_indexes_size", &[1]),
    ("pg_is_in_recovery", &[0]),
    ("pg_is_other_temp_schema", &[1]),
    ("pg_my_temp_schema", &[0]),
    ("pg_notify", &[2]),
    ("pg_opclass_is_visible", &[1]),
    ("pg_operator_is_visible", &[1]),
    ("pg_opfamily_is_visible", &[1]),
    ("pg_postmaster_start_time", &[0]),
    ("pg_relation_is_publishable", &[1]),
    ("pg_relation_is_updatable", &[2]),
    ("pg_relation_size", &[1, 2]),
    ("pg_size_pretty", &[1]),
    ("pg_sleep", &[1]),
    ("pg_stat_get_numscans", &[1]),
    ("pg_statistics_obj_is_visible", &[1]),
    ("pg_table_is_visible", &[1]),
    ("pg_table_size", &[1]),
    ("pg_tablespace_location", &[1]),
    ("pg_terminate_backend", &[1, 2]),
    ("pg_total_relation_size", &[1]),
    ("pg_trigger_depth", &[0]),
    ("pg_try_advisory_lock", &[1, 2]),
    ("pg_try_advisory_lock_shared", &[1, 2]),
    ("pg_try_advisory_xact_lock", &[1, 2]),
    ("pg_try_advisory_xact_lock_shared", &[1, 2]),
    ("pg_ts_config_is_visible", &[1]),
    ("pg_ts_dict_is_visible", &[1]),
    ("pg_ts_parser_is_visible", &[1]),
    ("pg_ts_template_is_visible", &[1]),
    ("pg_type_is_visible", &[1]),
    ("row_security_active", &[1]),
    ("set_config", &[3]),
    ("shobj_description", &[2]),
    ("to_regclass", &[1]),
    ("to_regnamespace", &[1]),
    ("to_regproc", &[1]),
    ("to_regprocedure", &[1]),
    ("to_regrole", &[1]),
    ("to_regtype", &[1]),
    ("txid_current", &[0]),
    ("txid_current_if_assigned", &[0]),
    ("txid_status", &[1]),
    ("timeofday", &[0]),
    ("pg_sleep_for", &[1]),
    ("pg_sleep_until", &[1]),
    ("pg_blocking_pids", &[1]),
    ("pg_safe_snapshot_blocking_pids", &[1]),
    ("pg_jit_available", &[0]),
    ("pg_current_logfile", &[0, 1]),
    ("pg_notification_queue_usage", &[0]),
    ("pg_index_column_has_property", &[3]),
    ("pg_index_has_property", &[2]),
    ("pg_indexam_has_property", &[2]),
    ("pg_settings_get_flags", &[1]),
    ("pg_get_keywords", &[0]),
    ("pg_listening_channels", &[0]),
    ("pg_partition_ancestors", &[1]),
    ("pg_tablespace_databases", &[1]),
];

pub(super) fn is_implemented(name: &str, arity: usize) -> bool {
    KNOWN
        .iter()
        .any(|(known, arities)| *known == name && arities.contains(&arity))
}

type Body = Arc<dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync>;

/// The longest that pg_sleep sleeps, and how long before it looks whether it should stop.
const MAX_SLEEP_SECONDS: f64 = 86_400.0;
const SLEEP_SLICE: std::time::Duration = std::time::Duration::from_millis(20);

impl Binder<'_> {
    pub(super) fn catalog_function(
        &mut self,
        name: &'static str,
        args: Vec<Typed>,
        result: PgType,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let text = |value: &str| {
            Ok(Typed::value(
                ScalarValue::Utf8(Some(value.to_owned())),
                result,
            ))
        };
        let bool = |value: bool| {
            Ok(Typed::value(
                ScalarValue::Boolean(Some(value)),
                PgType::BOOL,
            ))
        };
        match name {
            "getdatabaseencoding" | "pg_client_encoding" => return text("UTF8"),
            "current_query" => {
                let sql = self.sql.clone();
                return text(&sql);
            }
            "pg_is_in_recovery" => return bool(false),
            "pg_my_temp_schema" => {
                return Ok(Typed::value(ScalarValue::UInt32(Some(0)), PgType::OID));
            }
            "pg_trigger_depth" => {
                return Ok(Typed::value(ScalarValue::Int32(Some(0)), PgType::INT4));
            }
            "pg_postmaster_start_time" | "pg_conf_load_time" => {
                return Ok(Typed::value(
                    ScalarValue::TimestampMicrosecond(Some(started_at()), Some("UTC".into())),
                    PgType::TIMESTAMPTZ,
                ));
            }
            "pg_jit_available" => return bool(false),
            "pg_current_logfile" => {
                return Ok(Typed::value(ScalarValue::Utf8(None), PgType::TEXT));
            }
            "pg_notification_queue_usage" => {
                return Ok(Typed::value(
                    ScalarValue::Float64(Some(0.0)),
                    PgType::FLOAT8,
                ));
            }
            "inet_client_port" | "inet_server_port" => {
                return Ok(Typed::value(ScalarValue::Int32(None), PgType::INT4));
            }
            _ => {}
        }
        if name.starts_with("to_reg") {
            return Ok(self.to_reg(&args, result));
        }
        let lookup = Lookup {
            catalog: Arc::clone(&self.catalog),
            path: self.path.clone(),
        };
        let session = self.env.session();
        let (body, volatility) =
            body_of(name, lookup, session).ok_or_else(|| undefined(name, &args, at))?;
        let mut exprs: Vec<Expr> = args.into_iter().map(|arg| arg.expr).collect();
        if name.starts_with("txid_") || name == "pg_sleep_until" {
            // What belongs to the transaction, or is measured from it, is told when it began.
            exprs.push(self.transaction_time());
        }
        let mut function = PgFunction::new(name, result.arrow(), volatility, body)
            .identity(format!("{:?}", self.path.schemas));
        if matches!(name, "set_config" | "current_setting" | "format_type") {
            function = function.lenient();
        }
        Ok(Typed::new(function.over(exprs), result))
    }

    /// `to_regclass` and its kind: NULL where the cast would fail.
    fn to_reg(&mut self, args: &[Typed], result: PgType) -> Typed {
        let names = CatalogNames {
            catalog: Arc::clone(&self.catalog),
            path: self.path.clone(),
        };
        let body: Body = Arc::new(move |arrays, _| {
            let texts = arrays[0].as_string::<i32>();
            let values: arrow::array::UInt32Array = rows(arrays, |row| {
                let text = texts.value(row);
                Ok(match text.parse::<u32>() {
                    Ok(number) => Some(number),
                    Err(_) => names.oid(result, text).ok(),
                })
            })?;
            Ok(Arc::new(values))
        });
        let identity = format!("{result:?}{:?}", self.path.schemas);
        let function = PgFunction::new("to_reg", DataType::UInt32, Volatility::Immutable, body)
            .identity(identity);
        Typed::new(
            function.over(args.iter().map(|arg| arg.expr.clone()).collect()),
            result,
        )
    }

    /// Set-returning functions of the catalogs.
    pub(super) fn catalog_set(
        &mut self,
        name: &str,
        _args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Vec<(String, Typed)>> {
        let list = |values: Vec<&str>| -> PgResult<Typed> {
            let values = values
                .into_iter()
                .map(|value| ScalarValue::Utf8(Some(value.to_owned())))
                .collect();
            Ok(Typed::value(
                crate::text::read::list(PgType::TEXT, values)?,
                PgType::TEXT_ARRAY,
            ))
        };
        match name {
            "pg_listening_channels" => Ok(vec![(name.to_owned(), list(Vec::new())?)]),
            // Nothing is partitioned, and there are no tablespaces to be in.
            "pg_partition_ancestors" | "pg_tablespace_databases" => {
                let element = if name == "pg_partition_ancestors" {
                    PgType::REGCLASS
                } else {
                    PgType::OID
                };
                let ty = element.array().unwrap_or(PgType::OID_ARRAY);
                Ok(vec![(
                    name.to_owned(),
                    Typed::value(crate::text::read::list(element, Vec::new())?, ty),
                )])
            }
            "pg_get_keywords" => {
                let words: Vec<&str> = RESERVED_KEYWORDS.to_vec();
                let (codes, descriptions) = (vec!["R"; words.len()], vec!["reserved"; words.len()]);
                Ok(vec![
                    ("word".to_owned(), list(words)?),
                    ("catcode".to_owned(), list(codes)?),
                    ("catdesc".to_owned(), list(descriptions)?),
                ])
            }
            _ => Err(unsupported(&format!("{name}()"), at)),
        }
    }
}

const RESERVED_KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

#[derive(Clone)]
struct Lookup {
    catalog: Arc<dyn CatalogLookup>,
    path: SearchPath,
}

fn oid(arrays: &[ArrayRef], at: usize, row: usize) -> u32 {
    arrays[at].as_primitive::<UInt32Type>().value(row)
}

/// An integer of any width.
fn int(arrays: &[ArrayRef], at: usize, row: usize) -> i64 {
    match arrays[at].data_type() {
        DataType::Int16 => i64::from(arrays[at].as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => i64::from(arrays[at].as_primitive::<Int32Type>().value(row)),
        DataType::UInt32 => i64::from(arrays[at].as_primitive::<UInt32Type>().value(row)),
        _ => arrays[at].as_primitive::<Int64Type>().value(row),
    }
}

fn text(arrays: &[ArrayRef], at: usize, row: usize) -> &str {
    arrays[at].as_string::<i32>().value(row)
}

/// A function that answers with text, by row.
fn texts(
    each: impl Fn(&[ArrayRef], usize) -> Result<Option<String>> + Send + Sync + 'static,
) -> Body {
    Arc::new(move |arrays, count| {
        let mut out = StringBuilder::new();
        for row in 0..count {
            let null = arrays.iter().any(|array| array.is_null(row));
            out.append_option(if null { None } else { each(arrays, row)? });
        }
        Ok(Arc::new(out.finish()))
    })
}

fn booleans(
    each: impl Fn(&[ArrayRef], usize) -> Result<Option<bool>> + Send + Sync + 'static,
) -> Body {
    Arc::new(move |arrays, count| {
        let values: BooleanArray = (0..count)
            .map(|row| {
                if arrays.iter().any(|array| array.is_null(row)) {
                    Ok(None)
                } else {
                    each(arrays, row)
                }
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .collect();
        Ok(Arc::new(values))
    })
}

fn bigints(
    each: impl Fn(&[ArrayRef], usize) -> Result<Option<i64>> + Send + Sync + 'static,
) -> Body {
    Arc::new(move |arrays, count| {
        let values: Int64Array = (0..count)
            .map(|row| {
                if arrays.iter().any(|array| array.is_null(row)) {
                    Ok(None)
                } else {
                    each(arrays, row)
                }
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .collect();
        Ok(Arc::new(values))
    })
}

fn body_of(
    name: &'static str,
    lookup: Lookup,
    session: Arc<dyn SessionCalls>,
) -> Option<(Body, Volatility)> {
    let reads = |body: Body| Some((body, Volatility::Immutable));
    let acts = |body: Body| Some((body, Volatility::Volatile));
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
        "pg_get_viewdef" => reads(texts(move |a, row| {
            Ok(match a[0].data_type() {
                DataType::UInt32 => lookup.catalog.view_def(oid(a, 0, row)),
                _ => None,
            })
        })),
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
            Ok(Arc::new(arrow::array::UInt32Array::from(vec![None; count])))
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
        _ if name.starts_with("has_") && name.ends_with("_privilege") => {
            privilege(name, lookup).and_then(reads)
        }
        "pg_has_role" => {
            let user = session.user();
            reads(booleans(move |a, row| has_role(&lookup, &user, a, row)))
        }
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
        "pg_backend_pid" => reads(Arc::new(move |_, count| {
            Ok(Arc::new(Int32Array::from(vec![
                session.backend_pid();
                count
            ])))
        })),
        "current_setting" => acts(Arc::new(move |a, count| {
            let mut out = StringBuilder::new();
            for row in 0..count {
                if a[0].is_null(row) {
                    out.append_null();
                    continue;
                }
                let name = text(a, 0, row);
                let missing_ok = a.get(1).is_some_and(|missing| {
                    !missing.is_null(row) && missing.as_boolean().value(row)
                });
                match session.setting(name) {
                    Some(value) => out.append_value(value),
                    None if missing_ok => out.append_null(),
                    None => {
                        return Err(Error::value(
                            "42704",
                            format!("unrecognized configuration parameter \"{name}\""),
                        ));
                    }
                }
            }
            Ok(Arc::new(out.finish()))
        })),
        "set_config" => acts(Arc::new(move |a, count| {
            let mut out = StringBuilder::new();
            for row in 0..count {
                if a[0].is_null(row) {
                    return Err(Error::value("22004", "SET requires parameter name"));
                }
                let value = (!a[1].is_null(row)).then(|| text(a, 1, row));
                let local = !a[2].is_null(row) && a[2].as_boolean().value(row);
                out.append_value(
                    session
                        .set_config(text(a, 0, row), value, local)
                        .map_err(carried)?,
                );
            }
            Ok(Arc::new(out.finish()))
        })),
        "pg_cancel_backend" => acts(booleans(move |a, row| {
            session
                .cancel_backend(int(a, 0, row) as i32)
                .map(Some)
                .map_err(carried)
        })),
        "pg_terminate_backend" => acts(booleans(move |a, row| {
            session
                .terminate_backend(int(a, 0, row) as i32)
                .map(Some)
                .map_err(carried)
        })),
        "pg_notify" => acts(texts(move |a, row| {
            session
                .notify(text(a, 0, row), text(a, 1, row))
                .map_err(carried)?;
            Ok(Some(String::new()))
        })),
        "pg_sleep" => acts(texts(move |a, row| {
            let seconds = a[0]
                .as_primitive::<arrow::datatypes::Float64Type>()
                .value(row);
            sleep(session.as_ref(), seconds)
        })),
        "pg_sleep_for" => acts(texts(move |a, row| {
            let interval = a[0].as_primitive::<IntervalMonthDayNanoType>().value(row);
            let days = f64::from(interval.months) * 30.0 + f64::from(interval.days);
            sleep(
                session.as_ref(),
                days * 86_400.0 + interval.nanoseconds as f64 / 1e9,
            )
        })),
        "pg_sleep_until" => acts(texts(move |a, row| {
            let until = a[0].as_primitive::<TimestampMicrosecondType>().value(row);
            let left = until.saturating_sub(super::now_micros());
            sleep(session.as_ref(), left as f64 / 1e6)
        })),
        "timeofday" => acts(texts(|_, _| {
            let now = chrono::Utc::now();
            Ok(Some(now.format("%a %b %d %H:%M:%S%.6f %Y UTC").to_string()))
        })),
        "txid_current" => acts(bigints(move |a, row| {
            Ok(Some(session.transaction_id(began(a, row))))
        })),
        "txid_current_if_assigned" => acts(bigints(move |a, row| {
            Ok(session.assigned_transaction_id(began(a, row)))
        })),
        "txid_status" => acts(texts(move |a, row| {
            // Only one's own transaction is known; PostgreSQL forgets old ones, too.
            let own = session.assigned_transaction_id(began(a, row));
            Ok((own == Some(int(a, 0, row))).then(|| "in progress".to_owned()))
        })),
        "pg_blocking_pids" => acts(integer_lists(move |a, row| {
            session.blocking_pids(int(a, 0, row) as i32)
        })),
        "pg_safe_snapshot_blocking_pids" => reads(integer_lists(|_, _| Vec::new())),
        "pg_settings_get_flags" => reads(Arc::new(move |a, count| {
            let mut out = ListBuilder::new(StringBuilder::new()).with_field(Field::new(
                "item",
                DataType::Utf8,
                true,
            ));
            for row in 0..count {
                let known = a[0].is_valid(row) && session.setting(text(a, 0, row)).is_some();
                out.append(known);
            }
            Ok(Arc::new(out.finish()))
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
        _ if name.contains("advisory") => advisory(name, session).and_then(acts),
        _ => None,
    }
}

/// Advisory locks: one int8 key, or two int4 that make one.
fn advisory(name: &'static str, session: Arc<dyn SessionCalls>) -> Option<Body> {
    let (shared, of_transaction) = (name.ends_with("_shared"), name.contains("_xact_"));
    let key = |a: &[ArrayRef], row: usize| {
        if a.len() > 1 {
            int(a, 0, row) << 32 | (int(a, 1, row) & 0xffff_ffff)
        } else {
            int(a, 0, row)
        }
    };
    if name == "pg_advisory_unlock_all" {
        return Some(texts(move |_, _| {
            session.advisory_unlock_all().map_err(carried)?;
            Ok(Some(String::new()))
        }));
    }
    if name.starts_with("pg_advisory_unlock") {
        return Some(booleans(move |a, row| {
            session
                .advisory_unlock(key(a, row), shared)
                .map(Some)
                .map_err(carried)
        }));
    }
    if name.starts_with("pg_try_advisory") {
        return Some(booleans(move |a, row| {
            session
                .try_advisory_lock(key(a, row), shared, of_transaction)
                .map(Some)
                .map_err(carried)
        }));
    }
    Some(texts(move |a, row| {
        let key = key(a, row);
        aside(|| session.advisory_lock(key, shared, of_transaction)).map_err(carried)?;
        Ok(Some(String::new()))
    }))
}

/// Runs what blocks the thread while the others of the runtime go on.
fn aside<T>(block: impl FnOnce() -> T) -> T {
    let several = tokio::runtime::Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if several {
        tokio::task::block_in_place(block)
    } else {
        block()
    }
}

fn sleep(session: &dyn SessionCalls, seconds: f64) -> Result<Option<String>> {
    let seconds = seconds.clamp(0.0, MAX_SLEEP_SECONDS);
    let until = std::time::Instant::now() + std::time::Duration::from_secs_f64(seconds);
    aside(|| {
        loop {
            session.check_interrupt().map_err(carried)?;
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Ok(Some(String::new()));
            }
            std::thread::sleep(left.min(SLEEP_SLICE));
        }
    })
}

/// When the transaction began: the last argument of what is asked about it.
fn began(arrays: &[ArrayRef], row: usize) -> i64 {
    arrays.last().map_or(0, |array| {
        array.as_primitive::<TimestampMicrosecondType>().value(row)
    })
}

fn integer_lists(each: impl Fn(&[ArrayRef], usize) -> Vec<i32> + Send + Sync + 'static) -> Body {
    Arc::new(move |arrays, count| {
        let mut out = ListBuilder::new(Int32Builder::new()).with_field(Field::new(
            "item",
            DataType::Int32,
            true,
        ));
        for row in 0..count {
            let known = arrays.iter().all(|array| array.is_valid(row));
            if known {
                for value in each(arrays, row) {
                    out.values().append_value(value);
                }
            }
            out.append(known);
        }
        Ok(Arc::new(out.finish()))
    })
}

/// One is a member of oneself and of nobody else. Roles are names or OIDs; without a first one
/// it is about the session's user.
fn has_role(lookup: &Lookup, user: &str, arrays: &[ArrayRef], row: usize) -> Result<Option<bool>> {
    let names = CatalogNames {
        catalog: Arc::clone(&lookup.catalog),
        path: lookup.path.clone(),
    };
    let by_name = |name: &str| {
        names
            .oid(PgType::REGROLE, &quote_identifier(name))
            .map_err(|_| Error::value("42704", format!("role \"{name}\" does not exist")))
    };
    let role = |at: usize| match arrays[at].data_type() {
        DataType::UInt32 => Ok(oid(arrays, at, row)),
        _ => by_name(text(arrays, at, row)),
    };
    let privilege = text(arrays, arrays.len() - 1, row).to_ascii_uppercase();
    for word in privilege.split(',') {
        let word = word.trim();
        let word = word.strip_suffix(" WITH ADMIN OPTION").unwrap_or(word);
        let word = word.strip_suffix(" WITH GRANT OPTION").unwrap_or(word);
        if !matches!(word, "MEMBER" | "USAGE" | "SET") {
            return Err(Error::value(
                "22023",
                format!("unrecognized privilege type: \"{}\"", word.to_lowercase()),
            ));
        }
    }
    let member = if arrays.len() > 2 {
        role(0)?
    } else {
        by_name(user)?
    };
    Ok(Some(member == role(arrays.len() - 2)?))
}

/// What exists may be used: policy is asked where data is read and written.
fn privilege(name: &'static str, lookup: Lookup) -> Option<Body> {
    let (on, ty, last) = match name {
        "has_table_privilege" | "has_any_column_privilege" | "has_sequence_privilege" => {
            (PrivilegeOn::Class, PgType::REGCLASS, 1)
        }
        "has_column_privilege" => (PrivilegeOn::Class, PgType::REGCLASS, 2),
        "has_schema_privilege" => (PrivilegeOn::Schema, PgType::REGNAMESPACE, 1),
        "has_database_privilege" => (PrivilegeOn::Database, PgType::TEXT, 1),
        "has_function_privilege" => (PrivilegeOn::Proc, PgType::REGPROCEDURE, 1),
        "has_type_privilege" => (PrivilegeOn::Type, PgType::REGTYPE, 1),
        "has_language_privilege" => (PrivilegeOn::Language, PgType::TEXT, 1),
        "has_tablespace_privilege" => (PrivilegeOn::Tablespace, PgType::TEXT, 1),
        // There are no foreign servers and wrappers.
        "has_server_privilege" | "has_foreign_data_wrapper_privilege" => {
            return Some(booleans(|a, row| {
                let object = a.len().saturating_sub(2);
                if a[object].data_type() == &DataType::UInt32 {
                    return Ok(None);
                }
                let name = text(a, object, row);
                Err(Error::value("42704", format!("\"{name}\" does not exist")))
            }));
        }
        _ => return Some(booleans(|_, _| Ok(Some(true)))),
    };
    Some(booleans(move |a, row| {
        // The object stands before the privilege, a user may stand before that.
        let object = a.len().saturating_sub(last + 1);
        if a[object].data_type() == &DataType::UInt32 {
            return Ok(lookup
                .catalog
                .exists(on, oid(a, object, row))
                .then_some(true));
        }
        let name = text(a, object, row);
        let names = CatalogNames {
            catalog: Arc::clone(&lookup.catalog),
            path: lookup.path.clone(),
        };
        match on {
            PrivilegeOn::Database if lookup.catalog.database(name).is_none() => Err(Error::value(
                "3D000",
                format!("database \"{name}\" does not exist"),
            )),
            PrivilegeOn::Database | PrivilegeOn::Language | PrivilegeOn::Tablespace => {
                Ok(Some(true))
            }
            PrivilegeOn::Schema => {
                let found = lookup.catalog.namespace(lookup.path.schema(name)).is_some();
                if found {
                    Ok(Some(true))
                } else {
                    Err(Error::value(
                        "3F000",
                        format!("schema \"{name}\" does not exist"),
                    ))
                }
            }
            _ => names.oid(ty, name).map(|_| Some(true)).map_err(carried),
        }
    }))
}

fn pretty_size(bytes: i128) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let (mut size, mut unit) = (bytes, 0);
    // PostgreSQL changes the unit at ten times it, and rounds half up.
    while size.abs() >= 10 * 1024 && unit + 1 < UNITS.len() {
        size = if unit == 0 { size } else { size };
        size = (size + 512 * size.signum()) / 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS[unit])
}

/// `current_schemas(with_implicit)`.
pub(super) fn schemas(path: &SearchPath, implicit: Expr) -> Expr {
    let all: Vec<String> = path.schemas.to_vec();
    let shown: Vec<String> = all
        .iter()
        .filter(|schema| !matches!(schema.as_str(), "pg_catalog" | "omnigraph"))
        .cloned()
        .collect();
    let identity = format!("{all:?}");
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    PgFunction::new(
        "current_schemas",
        DataType::List(Arc::clone(&field)),
        Volatility::Immutable,
        Arc::new(move |arrays, count| {
            let mut out = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(&field));
            for row in 0..count {
                let schemas = if arrays[0].as_boolean().value(row) {
                    &all
                } else {
                    &shown
                };
                for schema in schemas {
                    out.values().append_value(schema);
                }
                out.append(true);
            }
            Ok(Arc::new(out.finish()))
        }),
    )
    .identity(identity)
    .over(vec![implicit])
}

/// `clock_timestamp()`.
pub(super) fn clock() -> Expr {
    PgFunction::new(
        "clock_timestamp",
        PgType::TIMESTAMPTZ.arrow(),
        Volatility::Volatile,
        Arc::new(|_, count| {
            Ok(Arc::new(
                TimestampMicrosecondArray::from(vec![super::now_micros(); count])
                    .with_timezone("UTC"),
            ))
        }),
    )
    .over(Vec::new())
}

/// `gen_random_uuid()`.
pub(super) fn random_uuid() -> Expr {
    PgFunction::new(
        "gen_random_uuid",
        DataType::Utf8,
        Volatility::Volatile,
        Arc::new(|_, count| {
            let values: StringArray = (0..count)
                .map(|_| {
                    let bits =
                        (rand::random::<u128>() & !(0xf << 76 | 0x3 << 62)) | 0x4 << 76 | 0x2 << 62;
                    let hex = format!("{bits:032x}");
                    Some(format!(
                        "{}-{}-{}-{}-{}",
                        &hex[..8],
                        &hex[8..12],
                        &hex[12..16],
                        &hex[16..20],
                        &hex[20..]
                    ))
                })
                .collect();
            Ok(Arc::new(values))
        }),
    )
    .over(Vec::new())
}

/// When this process first asked: the server's start, near enough.
fn started_at() -> i64 {
    static STARTED: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *STARTED.get_or_init(super::now_micros)
}
