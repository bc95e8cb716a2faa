//! Every SQLSTATE this server sends, under PostgreSQL's names (appendix A of its manual),
//! and the one map from our errors to them.

use std::any::Any;
use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use omnigraph_engine as engine;
use omnigraph_engine::error::{ConstraintKind, ConstraintViolation, ObjectKind};
use omnigraph_engine::merge::MergeConflict;

use crate::error::PgError;

macro_rules! sqlstates {
    ($($name:ident = $code:literal;)*) => {
        $(pub const $name: &str = $code;)*
        /// All of them, for the test that compares with PostgreSQL's list.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $code),)*];
    };
}

sqlstates! {
    SUCCESSFUL_COMPLETION = "00000";
    WARNING = "01000";
    NO_DATA = "02000";
    CONNECTION_FAILURE = "08006";
    TRANSACTION_RESOLUTION_UNKNOWN = "08007";
    PROTOCOL_VIOLATION = "08P01";
    FEATURE_NOT_SUPPORTED = "0A000";
    CARDINALITY_VIOLATION = "21000";
    DATA_EXCEPTION = "22000";
    STRING_DATA_RIGHT_TRUNCATION = "22001";
    NUMERIC_VALUE_OUT_OF_RANGE = "22003";
    NULL_VALUE_NOT_ALLOWED = "22004";
    INVALID_DATETIME_FORMAT = "22007";
    DATETIME_FIELD_OVERFLOW = "22008";
    INVALID_TIME_ZONE_DISPLACEMENT_VALUE = "22009";
    DIVISION_BY_ZERO = "22012";
    INTERVAL_FIELD_OVERFLOW = "22015";
    INVALID_ARGUMENT_FOR_LOGARITHM = "2201E";
    INVALID_ARGUMENT_FOR_POWER_FUNCTION = "2201F";
    INVALID_REGULAR_EXPRESSION = "2201B";
    INVALID_ROW_COUNT_IN_LIMIT_CLAUSE = "2201W";
    INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE = "2201X";
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    INVALID_PARAMETER_VALUE = "22023";
    ARRAY_SUBSCRIPT_ERROR = "2202E";
    INVALID_TEXT_REPRESENTATION = "22P02";
    INVALID_BINARY_REPRESENTATION = "22P03";
    BAD_COPY_FILE_FORMAT = "22P04";
    UNTRANSLATABLE_CHARACTER = "22P05";
    NOT_NULL_VIOLATION = "23502";
    FOREIGN_KEY_VIOLATION = "23503";
    UNIQUE_VIOLATION = "23505";
    CHECK_VIOLATION = "23514";
    INVALID_CURSOR_STATE = "24000";
    ACTIVE_SQL_TRANSACTION = "25001";
    READ_ONLY_SQL_TRANSACTION = "25006";
    NO_ACTIVE_SQL_TRANSACTION = "25P01";
    IN_FAILED_SQL_TRANSACTION = "25P02";
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03";
    INVALID_SQL_STATEMENT_NAME = "26000";
    INVALID_AUTHORIZATION_SPECIFICATION = "28000";
    INVALID_PASSWORD = "28P01";
    DEPENDENT_OBJECTS_STILL_EXIST = "2BP01";
    INVALID_CURSOR_NAME = "34000";
    INVALID_SAVEPOINT_SPECIFICATION = "3B001";
    INVALID_CATALOG_NAME = "3D000";
    INVALID_SCHEMA_NAME = "3F000";
    SERIALIZATION_FAILURE = "40001";
    SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION = "42000";
    INSUFFICIENT_PRIVILEGE = "42501";
    SYNTAX_ERROR = "42601";
    INVALID_NAME = "42602";
    UNDEFINED_COLUMN = "42703";
    AMBIGUOUS_COLUMN = "42702";
    UNDEFINED_OBJECT = "42704";
    DUPLICATE_OBJECT = "42710";
    DUPLICATE_ALIAS = "42712";
    AMBIGUOUS_FUNCTION = "42725";
    DUPLICATE_COLUMN = "42701";
    GROUPING_ERROR = "42803";
    DATATYPE_MISMATCH = "42804";
    WRONG_OBJECT_TYPE = "42809";
    CANNOT_COERCE = "42846";
    UNDEFINED_FUNCTION = "42883";
    RESERVED_NAME = "42939";
    UNDEFINED_TABLE = "42P01";
    UNDEFINED_PARAMETER = "42P02";
    DUPLICATE_CURSOR = "42P03";
    DUPLICATE_DATABASE = "42P04";
    DUPLICATE_PREPARED_STATEMENT = "42P05";
    DUPLICATE_SCHEMA = "42P06";
    DUPLICATE_TABLE = "42P07";
    INVALID_TABLE_DEFINITION = "42P16";
    AMBIGUOUS_PARAMETER = "42P08";
    INVALID_COLUMN_REFERENCE = "42P10";
    INDETERMINATE_DATATYPE = "42P18";
    WINDOWING_ERROR = "42P20";
    INVALID_RECURSION = "42P19";
    INSUFFICIENT_RESOURCES = "53000";
    OUT_OF_MEMORY = "53200";
    TOO_MANY_CONNECTIONS = "53300";
    CONFIGURATION_LIMIT_EXCEEDED = "53400";
    PROGRAM_LIMIT_EXCEEDED = "54000";
    STATEMENT_TOO_COMPLEX = "54001";
    TOO_MANY_COLUMNS = "54011";
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    OBJECT_IN_USE = "55006";
    CANT_CHANGE_RUNTIME_PARAM = "55P02";
    LOCK_NOT_AVAILABLE = "55P03";
    DEADLOCK_DETECTED = "40P01";
    QUERY_CANCELED = "57014";
    ADMIN_SHUTDOWN = "57P01";
    CANNOT_CONNECT_NOW = "57P03";
    IDLE_SESSION_TIMEOUT = "57P05";
    IO_ERROR = "58030";
    SNAPSHOT_TOO_OLD = "72000";
    MERGE_CONFLICT = "MG001";
    INTERNAL_ERROR = "XX000";
    DATA_CORRUPTED = "XX001";
}

/// What a client is told of a panic. Arrow knows no other way to say that the values of one
/// batch of rows are longer than its offsets can count.
pub fn from_panic(panic: &(dyn Any + Send)) -> PgError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    if text.is_some_and(|text| text.contains("offset overflow")) {
        return PgError::new(
            PROGRAM_LIMIT_EXCEEDED,
            "the values of one column exceed 2 GB within one batch of rows",
        )
        .hint("Make the values shorter, or select fewer rows at a time with LIMIT.");
    }
    PgError::new(
        INTERNAL_ERROR,
        "internal error: the statement failed unexpectedly",
    )
    .hint("The server's log says more. The connection can be used further.")
}

/// Mistakes in lines that an error's detail names.
const TOLD_LINES: usize = 20;

/// What a client is told of an engine error.
pub fn from_engine(error: &engine::Error) -> PgError {
    match error {
        engine::Error::NotFound { kind, .. } => PgError::new(not_found(*kind), error.to_string()),
        engine::Error::AlreadyExists { kind, name } => already_exists(*kind, name),
        engine::Error::Conflict {
            table,
            id,
            branch,
            expected,
            actual,
        } => conflict(error, table, id, branch, expected, actual),
        engine::Error::Constraint(violation) => constraint(violation),
        engine::Error::Invalid {
            message,
            detail,
            hint,
        } => PgError {
            detail: detail.clone(),
            hint: hint.clone(),
            ..PgError::new(INVALID_PARAMETER_VALUE, message)
        },
        engine::Error::Lines(mistakes) => {
            let told = mistakes.told.iter().take(TOLD_LINES);
            let told: Vec<String> = told.map(ToString::to_string).collect();
            PgError::new(BAD_COPY_FILE_FORMAT, error.to_string()).detail(told.join("\n"))
        }
        engine::Error::Unsupported { message, hint } => PgError {
            hint: hint.clone(),
            ..PgError::new(FEATURE_NOT_SUPPORTED, message)
        },
        engine::Error::LimitExceeded { .. } => {
            PgError::new(CONFIGURATION_LIMIT_EXCEEDED, error.to_string()).hint(
                "Do the work in smaller transactions, or load bulk data with \"omnigraph load\".",
            )
        }
        engine::Error::BranchDeleted { .. } => PgError::new(INVALID_SCHEMA_NAME, error.to_string())
            .detail("Nothing of this transaction was kept."),
        engine::Error::Expired { hint, .. } => {
            PgError::new(SNAPSHOT_TOO_OLD, error.to_string()).hint(hint)
        }
        engine::Error::Unmerged { name } => PgError::new(
            DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop schema {name} because other objects depend on it"),
        )
        .detail(error.to_string())
        .hint("Use DROP ... CASCADE to drop the branch with its commits, or merge it first."),
        engine::Error::MergeConflicts {
            source_branch,
            target,
            conflicts,
        } => merge_conflicts(error, source_branch, target, conflicts),
        engine::Error::Unavailable { .. } => PgError::new(IO_ERROR, error.to_string())
            .hint("Nothing was published. Try again when the store answers."),
        engine::Error::OutcomeUnknown { commit } => {
            PgError::new(TRANSACTION_RESOLUTION_UNKNOWN, error.to_string())
                .detail(commit.clone())
                .hint(format!(
                    "SELECT * FROM commit_outcome('{commit}') settles and tells what became of it."
                ))
        }
        engine::Error::Corrupt { .. } | engine::Error::Missing { .. } => {
            PgError::new(DATA_CORRUPTED, error.to_string())
        }
        engine::Error::ReadOnly { .. } => {
            PgError::new(READ_ONLY_SQL_TRANSACTION, error.to_string())
        }
        engine::Error::NotAllowed { message, hint } => {
            PgError::new(INSUFFICIENT_PRIVILEGE, message).hint(hint)
        }
        engine::Error::Denied { .. } => PgError::new(INSUFFICIENT_PRIVILEGE, error.to_string()),
        engine::Error::Cancelled => {
            PgError::new(QUERY_CANCELED, "canceling statement due to user request")
        }
        engine::Error::Internal(_) => PgError::new(INTERNAL_ERROR, error.to_string()),
    }
}

fn not_found(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Graph => INVALID_CATALOG_NAME,
        ObjectKind::Branch => INVALID_SCHEMA_NAME,
        ObjectKind::Commit | ObjectKind::Ref | ObjectKind::Tag => UNDEFINED_OBJECT,
        ObjectKind::Type => UNDEFINED_TABLE,
        ObjectKind::Property => UNDEFINED_COLUMN,
        ObjectKind::Savepoint => INVALID_SAVEPOINT_SPECIFICATION,
    }
}

fn already_exists(kind: ObjectKind, name: &str) -> PgError {
    match kind {
        ObjectKind::Graph => PgError::new(
            DUPLICATE_DATABASE,
            format!("database \"{name}\" already exists"),
        ),
        ObjectKind::Branch => PgError::new(
            DUPLICATE_SCHEMA,
            format!("schema \"{name}\" already exists"),
        ),
        ObjectKind::Type => PgError::new(
            DUPLICATE_TABLE,
            format!("relation \"{name}\" already exists"),
        ),
        ObjectKind::Property => PgError::new(
            DUPLICATE_COLUMN,
            format!("column \"{name}\" already exists"),
        ),
        ObjectKind::Commit | ObjectKind::Ref | ObjectKind::Tag | ObjectKind::Savepoint => {
            PgError::new(
                DUPLICATE_OBJECT,
                format!("{kind} \"{name}\" already exists"),
            )
        }
    }
}

fn conflict(
    error: &engine::Error,
    table: &str,
    id: &str,
    branch: &str,
    expected: &str,
    actual: &str,
) -> PgError {
    let detail = serde_json::json!({
        "table": table, "id": id, "branch": branch, "expected": expected, "actual": actual,
    });
    PgError {
        schema: Some(branch.to_owned()),
        table: Some(table.to_owned()),
        ..PgError::new(SERIALIZATION_FAILURE, error.to_string())
            .detail(detail.to_string())
            .hint("The transaction might succeed if retried.")
    }
}

/// Conflicts told in an error's detail; `merge_conflicts()` gives all.
const TOLD_CONFLICTS: usize = 100;

fn merge_conflicts(
    error: &engine::Error,
    source: &str,
    target: &str,
    conflicts: &[MergeConflict],
) -> PgError {
    let told = conflicts.iter().take(TOLD_CONFLICTS);
    let detail: Vec<serde_json::Value> = told.map(omnigraph_udfs::merge_conflicts::json).collect();
    let remedy = conflicts.first().map_or("", |first| first.kind.remedy());
    PgError::new(MERGE_CONFLICT, error.to_string())
        .detail(serde_json::Value::from(detail).to_string())
        .hint(format!(
            "SELECT * FROM merge_conflicts('{source}', '{target}') shows all of them. {remedy}, or choose a side with on_conflict => 'ours' or 'theirs'."
        ))
}

fn constraint(violation: &ConstraintViolation) -> PgError {
    let code = match violation.kind {
        ConstraintKind::NotNull => NOT_NULL_VIOLATION,
        ConstraintKind::Unique => UNIQUE_VIOLATION,
        ConstraintKind::ForeignKey => FOREIGN_KEY_VIOLATION,
        ConstraintKind::Check => CHECK_VIOLATION,
    };
    PgError {
        detail: violation.detail.clone(),
        table: Some(violation.table.clone()),
        column: violation.column.clone(),
        constraint: violation.constraint.clone(),
        ..PgError::new(code, violation.message.clone())
    }
}

/// What a client is told of an error that came out of DataFusion. Ours travel through it as
/// `External`, wrapped by whatever was running: the first one of ours from the top is told.
pub fn from_datafusion(error: &DataFusionError) -> PgError {
    let mut at: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = at {
        if let Some(ours) = cause.downcast_ref::<PgError>() {
            return ours.clone();
        }
        if let Some(ours) = cause.downcast_ref::<engine::Error>() {
            return from_engine(ours);
        }
        if let Some(ours) = cause.downcast_ref::<omnigraph_udfs::Error>() {
            return from_function(ours);
        }
        at = match cause.downcast_ref::<ArrowError>() {
            Some(ArrowError::ExternalError(inner)) => Some(inner.as_ref()),
            _ => cause.source(),
        };
    }
    foreign(error)
}

/// What a client is told when a table function fails.
pub fn from_function(error: &omnigraph_udfs::Error) -> PgError {
    match error {
        omnigraph_udfs::Error::Argument { hint, .. } => PgError {
            hint: hint.clone(),
            ..PgError::new(INVALID_PARAMETER_VALUE, error.to_string())
        },
        omnigraph_udfs::Error::NullArgument { .. } => {
            PgError::new(NULL_VALUE_NOT_ALLOWED, error.to_string())
        }
        omnigraph_udfs::Error::Value {
            code,
            message,
            hint,
        } => PgError {
            hint: hint.clone(),
            ..PgError::new(code, message)
        },
        omnigraph_udfs::Error::Engine(inner) => from_engine(inner),
    }
}

/// An error that began in DataFusion itself.
fn foreign(error: &DataFusionError) -> PgError {
    match error {
        DataFusionError::ArrowError(inner, _) => from_arrow(inner),
        DataFusionError::IoError(inner) => PgError::new(IO_ERROR, inner.to_string()),
        DataFusionError::NotImplemented(what) => PgError::new(FEATURE_NOT_SUPPORTED, what),
        DataFusionError::ResourcesExhausted(what) => {
            PgError::new(OUT_OF_MEMORY, "out of memory").detail(what)
        }
        DataFusionError::Execution(what) if what == MANY_ROWS => PgError::new(
            CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        ),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            foreign(inner)
        }
        DataFusionError::Shared(inner) => foreign(inner),
        DataFusionError::Collection(all) if !all.is_empty() => foreign(&all[0]),
        DataFusionError::ExecutionJoin(inner) if inner.is_cancelled() => {
            from_engine(&engine::Error::Cancelled)
        }
        _ => PgError::new(INTERNAL_ERROR, error.strip_backtrace()),
    }
}

/// How DataFusion says that a scalar subquery gave several rows; a test holds it to that.
const MANY_ROWS: &str = "Scalar subquery returned more than one row";

fn from_arrow(error: &ArrowError) -> PgError {
    match error {
        ArrowError::DivideByZero => PgError::new(DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => {
            PgError::new(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range")
        }
        ArrowError::CastError(what) | ArrowError::ParseError(what) => {
            PgError::new(INVALID_TEXT_REPRESENTATION, what)
        }
        ArrowError::NotYetImplemented(what) => PgError::new(FEATURE_NOT_SUPPORTED, what),
        ArrowError::MemoryError(what) => PgError::new(OUT_OF_MEMORY, "out of memory").detail(what),
        ArrowError::OffsetOverflowError(_) => PgError::new(
            PROGRAM_LIMIT_EXCEEDED,
            "a column of one result chunk is larger than 2 GiB",
        ),
        ArrowError::IoError(what, _) => PgError::new(IO_ERROR, what),
        _ => PgError::new(INTERNAL_ERROR, error.to_string()),
    }
}

impl From<engine::Error> for PgError {
    fn from(error: engine::Error) -> Self {
        from_engine(&error)
    }
}

impl From<DataFusionError> for PgError {
    fn from(error: DataFusionError) -> Self {
        from_datafusion(&error)
    }
}

impl From<ArrowError> for PgError {
    fn from(error: ArrowError) -> Self {
        from_datafusion(&DataFusionError::from(error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::buffer::OffsetBuffer;

    use super::*;

    fn code(error: engine::Error) -> &'static str {
        PgError::from(error).code
    }

    #[test]
    fn what_arrow_cannot_count_is_a_limit_and_other_panics_are_faults() {
        let code = |work: fn()| {
            let panic = std::panic::catch_unwind(work).expect_err("it panics");
            from_panic(panic.as_ref()).code
        };
        let too_long = || drop(OffsetBuffer::<i32>::from_repeated_length(1 << 20, 1 << 12));
        assert_eq!(code(too_long), PROGRAM_LIMIT_EXCEEDED);
        assert_eq!(code(|| panic!("a mistake")), INTERNAL_ERROR);
    }

    #[test]
    fn every_code_is_five_characters_and_named_once() {
        for (at, (name, code)) in ALL.iter().enumerate() {
            assert!(
                code.len() == 5
                    && code
                        .bytes()
                        .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()),
                "{name}"
            );
            assert!(
                ALL[at + 1..].iter().all(|(_, other)| other != code),
                "{name} is there twice"
            );
        }
    }

    #[test]
    fn every_engine_error_has_its_code() {
        let found = |kind| code(engine::Error::not_found(kind, "x"));
        assert_eq!(found(ObjectKind::Graph), "3D000");
        assert_eq!(found(ObjectKind::Branch), "3F000");
        assert_eq!(found(ObjectKind::Commit), "42704");
        assert_eq!(found(ObjectKind::Ref), "42704");
        assert_eq!(found(ObjectKind::Type), "42P01");
        assert_eq!(found(ObjectKind::Property), "42703");
        assert_eq!(found(ObjectKind::Savepoint), "3B001");
        let exists = |kind| {
            code(engine::Error::AlreadyExists {
                kind,
                name: "x".into(),
            })
        };
        assert_eq!(exists(ObjectKind::Graph), "42P04");
        assert_eq!(exists(ObjectKind::Branch), "42P06");
        assert_eq!(exists(ObjectKind::Type), "42P07");
        assert_eq!(exists(ObjectKind::Property), "42701");
        for (error, expected) in [
            (engine::Error::invalid("x"), "22023"),
            (
                engine::Error::Unsupported {
                    message: "x".into(),
                    hint: None,
                },
                "0A000",
            ),
            (
                engine::Error::LimitExceeded {
                    what: "x".into(),
                    limit: 1,
                    actual: 2,
                },
                "53400",
            ),
            (engine::Error::BranchDeleted { name: "x".into() }, "3F000"),
            (engine::Error::Unmerged { name: "x".into() }, "2BP01"),
            (
                engine::Error::MergeConflicts {
                    source_branch: "x".into(),
                    target: "main".into(),
                    conflicts: [].into(),
                },
                "MG001",
            ),
            (
                engine::Error::Unavailable {
                    message: "x".into(),
                },
                "58030",
            ),
            (
                engine::Error::OutcomeUnknown { commit: "x".into() },
                "08007",
            ),
            (
                engine::Error::Corrupt {
                    object: "x".into(),
                    message: "y".into(),
                },
                "XX001",
            ),
            (engine::Error::ReadOnly { reason: "x".into() }, "25006"),
            (
                engine::Error::Denied {
                    actor: "x".into(),
                    action: "read".into(),
                    on: String::new(),
                },
                "42501",
            ),
            (engine::Error::Cancelled, "57014"),
            (engine::Error::internal("x"), "XX000"),
        ] {
            assert_eq!(code(error), expected);
        }
    }

    #[test]
    fn constraints_carry_their_fields() {
        for (kind, expected) in [
            (ConstraintKind::NotNull, "23502"),
            (ConstraintKind::ForeignKey, "23503"),
            (ConstraintKind::Unique, "23505"),
            (ConstraintKind::Check, "23514"),
        ] {
            let error = PgError::from(engine::Error::from(ConstraintViolation {
                kind,
                table: "person".into(),
                column: Some("slug".into()),
                constraint: Some("person_slug_key".into()),
                message: "no".into(),
                detail: Some("why".into()),
            }));
            assert_eq!(error.code, expected);
            assert_eq!(error.table.as_deref(), Some("person"));
            assert_eq!(error.column.as_deref(), Some("slug"));
            assert_eq!(error.constraint.as_deref(), Some("person_slug_key"));
            assert_eq!(error.detail.as_deref(), Some("why"));
        }
    }

    #[test]
    fn a_conflict_says_which_row_as_json() {
        let error = PgError::from(engine::Error::Conflict {
            table: "person".into(),
            id: "a\"b".into(),
            branch: "main".into(),
            expected: "1".into(),
            actual: "2".into(),
        });
        let detail: serde_json::Value =
            serde_json::from_str(error.detail.as_deref().expect("a detail")).expect("JSON");
        assert_eq!(error.code, "40001");
        assert_eq!(detail["id"], "a\"b");
        assert!(error.hint.is_some());
    }

    #[test]
    fn ours_are_found_below_datafusion() {
        let ours = PgError::new(DIVISION_BY_ZERO, "division by zero").at(7);
        let wrapped = DataFusionError::Context(
            "rule simplify_expressions failed".into(),
            Box::new(DataFusionError::Shared(Arc::new(
                DataFusionError::ArrowError(
                    Box::new(ArrowError::ExternalError(Box::new(ours.clone()))),
                    None,
                ),
            ))),
        );
        assert_eq!(from_datafusion(&wrapped), ours);
        let engine = DataFusionError::External(Box::new(engine::Error::Cancelled));
        assert_eq!(from_datafusion(&engine).code, "57014");
    }

    #[test]
    fn foreign_errors_have_codes_too() {
        for (error, expected) in [
            (
                DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None),
                "22012",
            ),
            (
                DataFusionError::ArrowError(Box::new(ArrowError::CastError("x".into())), None),
                "22P02",
            ),
            (DataFusionError::NotImplemented("x".into()), "0A000"),
            (DataFusionError::ResourcesExhausted("x".into()), "53200"),
            (DataFusionError::Execution(MANY_ROWS.into()), "21000"),
            (DataFusionError::Internal("x".into()), "XX000"),
        ] {
            assert_eq!(from_datafusion(&error).code, expected);
        }
    }
}
