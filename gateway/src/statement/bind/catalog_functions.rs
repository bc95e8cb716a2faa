//! Functions that look into the catalogs or at the session: `format_type`, `pg_get_*`,
//! `*_is_visible`, privileges, settings, backends.

use std::sync::Arc;

use arrow::array::{AsArray, ListBuilder, StringBuilder, UInt32Array};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Volatility};
use omnigraph_catalog::lookup::{CatalogLookup, SearchPath};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::function::Body;
use omnigraph_udfs::pg::{PgFunction, rows};

use super::functions::undefined;
use super::object_names::CatalogNames;
use super::session_functions::started_at;
use super::typed::Typed;
use super::{
    Binder, acl_functions, catalog_sets, object_functions, privileges, session_functions,
    snapshot_functions,
};
use crate::error::PgResult;
use crate::text::ObjectNames;

/// What functions see of the catalogs.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) catalog: Arc<dyn CatalogLookup>,
    pub(super) path: SearchPath,
}

impl Lookup {
    pub(super) fn names(&self) -> CatalogNames {
        CatalogNames {
            catalog: Arc::clone(&self.catalog),
            path: self.path.clone(),
        }
    }
}

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
    ("pg_get_propgraphdef", &[1]),
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
    ("acldefault", &[2]),
    ("has_parameter_privilege", &[2, 3]),
    ("makeaclitem", &[4]),
    ("pg_current_snapshot", &[0]),
    ("pg_current_xact_id", &[0]),
    ("pg_current_xact_id_if_assigned", &[0]),
    ("pg_describe_object", &[3]),
    ("pg_snapshot_xmax", &[1]),
    ("pg_snapshot_xmin", &[1]),
    ("pg_visible_in_snapshot", &[2]),
    ("pg_xact_status", &[1]),
    ("setseed", &[1]),
    ("to_regcollation", &[1]),
    ("to_regoper", &[1]),
    ("to_regoperator", &[1]),
    ("txid_current_snapshot", &[0]),
    ("txid_snapshot_xmax", &[1]),
    ("txid_snapshot_xmin", &[1]),
    ("txid_visible_in_snapshot", &[2]),
];

pub(super) fn is_implemented(name: &str, arity: usize) -> bool {
    KNOWN
        .iter()
        .any(|(known, arities)| *known == name && arities.contains(&arity))
        || catalog_sets::is_implemented(name)
}

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
        let lookup = self.lookup();
        let session = self.env.session();
        let (body, volatility) = privileges::body(name, &lookup, &session)
            .or_else(|| acl_functions::body(name, &lookup))
            .or_else(|| snapshot_functions::body(name, Arc::clone(&session)))
            .or_else(|| session_functions::body(name, session))
            .or_else(|| object_functions::body(name, lookup))
            .ok_or_else(|| undefined(name, &args, at))?;
        let mut exprs: Vec<Expr> = args.into_iter().map(|arg| arg.expr).collect();
        if is_about_transaction(name) {
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

    pub(super) fn lookup(&self) -> Lookup {
        Lookup {
            catalog: Arc::clone(&self.catalog),
            path: self.path.clone(),
        }
    }

    /// `to_regclass` and its kind: NULL where the cast would fail.
    fn to_reg(&mut self, args: &[Typed], result: PgType) -> Typed {
        let names = self.lookup().names();
        let body: Body = Arc::new(move |arrays, _| {
            let texts = arrays[0].as_string::<i32>();
            let values: UInt32Array = rows(arrays, |row| {
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
}

/// Its body is told, behind its arguments, when the transaction began.
fn is_about_transaction(name: &str) -> bool {
    matches!(
        name,
        "pg_current_snapshot"
            | "pg_current_xact_id"
            | "pg_current_xact_id_if_assigned"
            | "pg_sleep_until"
            | "pg_xact_status"
            | "txid_current"
            | "txid_current_if_assigned"
            | "txid_current_snapshot"
            | "txid_status"
    )
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
