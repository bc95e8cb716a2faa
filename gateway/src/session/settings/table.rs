//! Every setting this server knows, one row each. Rows marked [`Effect::Remembered`] change
//! nothing here: PostgreSQL has them and clients set or read them.

/// What a value may be, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Bool,
    Int {
        min: i64,
        max: i64,
        unit: Unit,
    },
    Real {
        min: f64,
        max: f64,
    },
    /// One of these, written in any case.
    Enum(&'static [&'static str]),
    Text,
}

/// What the plain number of an [`Kind::Int`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    None,
    Ms,
    S,
    Min,
    Kb,
    /// Blocks of 8 kB.
    Blocks,
}

/// Who may change it, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Anybody, at any time.
    User,
    /// Fixed when the connection starts.
    Backend,
    /// Fixed when the server starts.
    Postmaster,
    /// Never set, only shown.
    Internal,
}

/// What follows from setting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is checked, remembered and shown.
    Remembered,
    /// Names are resolved anew.
    Path,
    /// Values are read or written differently.
    Format,
    /// Statements, locks or transactions are limited differently.
    Limit,
    /// The current or the next transaction is different.
    Transaction,
    /// The session acts for somebody else, if it may.
    Identity,
}

#[derive(Debug, PartialEq)]
pub struct Setting {
    /// As PostgreSQL writes it.
    pub name: &'static str,
    pub kind: Kind,
    /// In the canonical form that is stored.
    pub default: &'static str,
    pub context: Context,
    pub effect: Effect,
    /// Is the client told with ParameterStatus?
    pub report: bool,
    pub category: &'static str,
    pub doc: &'static str,
}

const CONN: &str = "Client Connection Defaults / Statement Behavior";
const LOCALE: &str = "Client Connection Defaults / Locale and Formatting";
const OTHER: &str = "Client Connection Defaults / Other Defaults";
const COMPAT: &str = "Version and Platform Compatibility / Previous PostgreSQL Versions";
const PRESET: &str = "Preset Options";
const PLANNER: &str = "Query Tuning / Planner Method Configuration";
const COST: &str = "Query Tuning / Planner Cost Constants";
const TUNING: &str = "Query Tuning / Other Planner Options";
const MEMORY: &str = "Resource Usage / Memory";
const LOG: &str = "Reporting and Logging / What to Log";
const WHEN: &str = "Reporting and Logging / When to Log";
const SOCKET: &str = "Connections and Authentication / TCP Settings";
const AUTH: &str = "Connections and Authentication / Authentication";
const TLS: &str = "Connections and Authentication / SSL";
const WAL: &str = "Write-Ahead Log / Settings";
const GRAPH: &str = "Omnigraph";

const BOOL: Kind = Kind::Bool;
const TEXT: Kind = Kind::Text;
const MAX: i64 = i32::MAX as i64;

const fn int(min: i64, max: i64, unit: Unit) -> Kind {
    Kind::Int { min, max, unit }
}

const LEVELS: &[&str] = &[
    "serializable",
    "repeatable read",
    "read committed",
    "read uncommitted",
];
const MESSAGES: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
];

macro_rules! settings {
    ($($name:literal $kind:expr, $default:literal, $context:ident $effect:ident $report:literal, $category:expr, $doc:literal;)*) => {
        &[$(Setting {
            name: $name,
            kind: $kind,
            default: $default,
            context: Context::$context,
            effect: Effect::$effect,
            report: $report,
            category: $category,
            doc: $doc,
        },)*]
    };
}

/// Sorted by name without regard to case, as SHOW ALL lists them; a test holds it to that.
pub const SETTINGS: &[Setting] = settings! {
    "allow_system_table_mods" BOOL, "off", Internal Remembered false, "Developer Options", "Allows modifications of the structure of system tables.";
    "application_name" TEXT, "", User Remembered true, LOG, "Sets the application name to be reported in statistics and logs.";
    "array_nulls" BOOL, "on", User Remembered false, COMPAT, "Enables input of NULL elements in arrays.";
    "backend_flush_after" int(0, 256, Unit::Blocks), "0", User Remembered false, "Resource Usage / Asynchronous Behavior", "Number of pages after which previously performed writes are flushed to disk.";
    "backslash_quote" Kind::Enum(&["safe_encoding", "on", "off"]), "safe_encoding", User Remembered false, COMPAT, "Sets whether \"\\'\" is allowed in string literals.";
    "block_size" int(8192, 8192, Unit::None), "8192", Internal Remembered false, PRESET, "Shows the size of a disk block.";
    "branch" TEXT, "", User Path false, GRAPH, "The branch that unqualified names mean; the same thing as the first entry of search_path.";
    "bytea_output" Kind::Enum(&["escape", "hex"]), "hex", User Format false, CONN, "Sets the output format for bytea.";
    "check_function_bodies" BOOL, "on", User Remembered false, CONN, "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.";
    "client_connection_check_interval" int(0, MAX, Unit::Ms), "0", User Remembered false, SOCKET, "Sets the time interval between checks for disconnection while running queries.";
    "client_encoding" TEXT, "UTF8", User Format true, LOCALE, "Sets the client's character set encoding.";
    "client_min_messages" Kind::Enum(MESSAGES), "notice", User Remembered false, CONN, "Sets the message levels that are sent to the client.";
    "cluster_name" TEXT, "", Postmaster Remembered false, LOG, "Sets the name of the cluster, which is included in the process title.";
    "commit_message" TEXT, "", User Transaction false, GRAPH, "The message of the commit that this transaction makes; use SET LOCAL.";
    "commit_metadata" TEXT, "", User Transaction false, GRAPH, "A JSON object kept with the commit that this transaction makes; use SET LOCAL.";
    "compute_query_id" Kind::Enum(&["auto", "regress", "on", "off"]), "auto", User Remembered false, "Statistics / Monitoring", "Enables in-core computation of query identifiers.";
    "constraint_exclusion" Kind::Enum(&["partition", "on", "off"]), "partition", User Remembered false, TUNING, "Enables the planner to use constraints to optimize queries.";
    "cpu_index_tuple_cost" Kind::Real { min: 0.0, max: f64::MAX }, "0.005", User Remembered false, COST, "Sets the planner's estimate of the cost of processing each index entry during an index scan.";
    "cpu_operator_cost" Kind::Real { min: 0.0, max: f64::MAX }, "0.0025", User Remembered false, COST, "Sets the planner's estimate of the cost of processing each operator or function call.";
    "cpu_tuple_cost" Kind::Real { min: 0.0, max: f64::MAX }, "0.01", User Remembered false, COST, "Sets the planner's estimate of the cost of processing each tuple (row).";
    "createrole_self_grant" TEXT, "", User Remembered false, CONN, "Sets whether a CREATEROLE user automatically grants the role to themselves, and with which options.";
    "cursor_tuple_fraction" Kind::Real { min: 0.0, max: 1.0 }, "0.1", User Remembered false, TUNING, "Sets the planner's estimate of the fraction of a cursor's rows that will be retrieved.";
    "data_checksums" BOOL, "on", Internal Remembered false, PRESET, "Shows whether data checksums are turned on for this cluster.";
    "DateStyle" TEXT, "ISO, MDY", User Format true, LOCALE, "Sets the display format for date and time values.";
    "deadlock_timeout" int(1, MAX, Unit::Ms), "1000", User Remembered false, "Lock Management", "Sets the time to wait on a lock before checking for deadlock.";
    "debug_assertions" BOOL, "off", Internal Remembered false, PRESET, "Shows whether the running server has assertion checks enabled.";
    "debug_pretty_print" BOOL, "on", User Remembered false, LOG, "Indents parse and plan tree displays.";
    "debug_print_parse" BOOL, "off", User Remembered false, LOG, "Logs each query's parse tree.";
    "debug_print_plan" BOOL, "off", User Remembered false, LOG, "Logs each query's execution plan.";
    "debug_print_rewritten" BOOL, "off", User Remembered false, LOG, "Logs each query's rewritten parse tree.";
    "default_statistics_target" int(1, 10_000, Unit::None), "100", User Remembered false, TUNING, "Sets the default statistics target.";
    "default_table_access_method" TEXT, "heap", User Remembered false, CONN, "Sets the default table access method for new tables.";
    "default_tablespace" TEXT, "", User Remembered false, CONN, "Sets the default tablespace to create tables and indexes in.";
    "default_text_search_config" TEXT, "pg_catalog.english", User Remembered false, LOCALE, "Sets default text search configuration.";
    "default_toast_compression" Kind::Enum(&["pglz", "lz4"]), "pglz", User Remembered false, CONN, "Sets the default compression method for compressible values.";
    "default_transaction_deferrable" BOOL, "off", User Transaction false, CONN, "Sets the default deferrable status of new transactions.";
    "default_transaction_isolation" Kind::Enum(LEVELS), "read committed", User Transaction false, CONN, "Sets the transaction isolation level of each new transaction.";
    "default_transaction_read_only" BOOL, "off", User Transaction true, CONN, "Sets the default read-only status of new transactions.";
    "durability" Kind::Enum(&["fsync", "none"]), "fsync", Internal Remembered false, GRAPH, "Whether an acknowledged commit is on disk (fsync) or in the hands of the operating system (none).";
    "effective_cache_size" int(1, MAX, Unit::Blocks), "524288", User Remembered false, COST, "Sets the planner's assumption about the total size of the data caches.";
    "effective_io_concurrency" int(0, 1000, Unit::None), "1", User Remembered false, "Resource Usage / Asynchronous Behavior", "Number of simultaneous requests that can be handled efficiently by the disk subsystem.";
    "enable_async_append" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of async append plans.";
    "enable_bitmapscan" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of bitmap-scan plans.";
    "enable_gathermerge" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of gather merge plans.";
    "enable_hashagg" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of hashed aggregation plans.";
    "enable_hashjoin" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of hash join plans.";
    "enable_incremental_sort" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of incremental sort steps.";
    "enable_indexonlyscan" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of index-only-scan plans.";
    "enable_indexscan" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of index-scan plans.";
    "enable_material" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of materialization.";
    "enable_memoize" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of memoization.";
    "enable_mergejoin" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of merge join plans.";
    "enable_nestloop" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of nested-loop join plans.";
    "enable_parallel_append" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of parallel append plans.";
    "enable_parallel_hash" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of parallel hash plans.";
    "enable_partition_pruning" BOOL, "on", User Remembered false, PLANNER, "Enables plan-time and execution-time partition pruning.";
    "enable_partitionwise_aggregate" BOOL, "off", User Remembered false, PLANNER, "Enables partitionwise aggregation and grouping.";
    "enable_partitionwise_join" BOOL, "off", User Remembered false, PLANNER, "Enables partitionwise join.";
    "enable_presorted_aggregate" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's ability to produce plans that provide presorted input for ORDER BY / DISTINCT aggregate functions.";
    "enable_seqscan" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of sequential-scan plans.";
    "enable_sort" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of explicit sort steps.";
    "enable_tidscan" BOOL, "on", User Remembered false, PLANNER, "Enables the planner's use of TID scan plans.";
    "escape_string_warning" BOOL, "on", User Remembered false, COMPAT, "Warn about backslash escapes in ordinary string literals.";
    "event_source" TEXT, "PostgreSQL", Postmaster Remembered false, LOG, "Sets the application name used to identify PostgreSQL messages in the event log.";
    "exit_on_error" BOOL, "off", User Remembered false, "Error Handling", "Terminate session on any error.";
    "expected_head" TEXT, "", User Transaction false, GRAPH, "Commit only right after this commit, else fail with 40001; use SET LOCAL.";
    "extra_float_digits" int(-15, 3, Unit::None), "1", User Format false, LOCALE, "Sets the number of digits displayed for floating-point values.";
    "from_collapse_limit" int(1, MAX, Unit::None), "8", User Remembered false, TUNING, "Sets the FROM-list size beyond which subqueries are not collapsed.";
    "fsync" BOOL, "on", Postmaster Remembered false, WAL, "Forces synchronization of updates to disk.";
    "geqo" BOOL, "on", User Remembered false, "Query Tuning / Genetic Query Optimizer", "Enables genetic query optimization.";
    "geqo_threshold" int(2, MAX, Unit::None), "12", User Remembered false, "Query Tuning / Genetic Query Optimizer", "Sets the threshold of FROM items beyond which GEQO is used.";
    "gin_fuzzy_search_limit" int(0, MAX, Unit::None), "0", User Remembered false, OTHER, "Sets the maximum allowed result for exact search by GIN.";
    "gin_pending_list_limit" int(64, MAX, Unit::Kb), "4096", User Remembered false, CONN, "Sets the maximum size of the pending list for GIN index.";
    "hash_mem_multiplier" Kind::Real { min: 1.0, max: 1000.0 }, "2", User Remembered false, MEMORY, "Multiple of work_mem to use for hash tables.";
    "hot_standby" BOOL, "on", Postmaster Remembered false, "Replication / Standby Servers", "Allows connections and queries during recovery.";
    "icu_validation_level" Kind::Enum(&["disabled", "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]), "warning", User Remembered false, LOCALE, "Log level for reporting invalid ICU locale strings.";
    "idempotency_key" TEXT, "", User Transaction false, GRAPH, "The client's own name for the commit of this transaction, which is then made once; only with SET LOCAL.";
    "idle_in_transaction_session_timeout" int(0, MAX, Unit::Ms), "0", User Limit false, CONN, "Sets the maximum allowed idle time between queries, when in a transaction.";
    "idle_session_timeout" int(0, MAX, Unit::Ms), "0", User Limit false, CONN, "Sets the maximum allowed idle time between queries, when not in a transaction.";
    "ignore_system_indexes" BOOL, "off", Backend Remembered false, "Developer Options", "Disables reading from system indexes.";
    "in_hot_standby" BOOL, "off", Internal Remembered true, PRESET, "Shows whether hot standby is currently active.";
    "integer_datetimes" BOOL, "on", Internal Remembered true, PRESET, "Shows whether datetimes are integer based.";
    "IntervalStyle" Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]), "postgres", User Format true, LOCALE, "Sets the display format for interval values.";
    "is_superuser" BOOL, "off", Internal Remembered true, PRESET, "Shows whether the current user is a superuser.";
    "jit" BOOL, "off", User Remembered false, TUNING, "Allow JIT compilation.";
    "jit_above_cost" Kind::Real { min: -1.0, max: f64::MAX }, "100000", User Remembered false, COST, "Perform JIT compilation if query is more expensive.";
    "jit_inline_above_cost" Kind::Real { min: -1.0, max: f64::MAX }, "500000", User Remembered false, COST, "Perform JIT inlining if query is more expensive.";
    "jit_optimize_above_cost" Kind::Real { min: -1.0, max: f64::MAX }, "500000", User Remembered false, COST, "Optimize JIT-compiled functions if query is more expensive.";
    "join_collapse_limit" int(1, MAX, Unit::None), "8", User Remembered false, TUNING, "Sets the FROM-list size beyond which JOIN constructs are not flattened.";
    "krb_server_keyfile" TEXT, "", Postmaster Remembered false, AUTH, "Sets the location of the Kerberos server key file.";
    "last_commit" TEXT, "", Internal Remembered false, GRAPH, "The commit that this session's last writing transaction made; empty if none.";
    "lc_collate" TEXT, "C", Internal Remembered false, LOCALE, "Shows the collation order locale.";
    "lc_ctype" TEXT, "C", Internal Remembered false, LOCALE, "Shows the character classification and case conversion locale.";
    "lc_messages" TEXT, "C", User Remembered false, LOCALE, "Sets the language in which messages are displayed.";
    "lc_monetary" TEXT, "C", User Remembered false, LOCALE, "Sets the locale for formatting monetary amounts.";
    "lc_numeric" TEXT, "C", User Remembered false, LOCALE, "Sets the locale for formatting numbers.";
    "lc_time" TEXT, "C", User Remembered false, LOCALE, "Sets the locale for formatting date and time values.";
    "listen_addresses" TEXT, "localhost", Postmaster Remembered false, "Connections and Authentication / Connection Settings", "Sets the host name or IP address(es) to listen to.";
    "lo_compat_privileges" BOOL, "off", User Remembered false, COMPAT, "Enables backward compatibility mode for privilege checks on large objects.";
    "local_preload_libraries" TEXT, "", User Remembered false, OTHER, "Lists unprivileged shared libraries to preload into each backend.";
    "lock_timeout" int(0, MAX, Unit::Ms), "0", User Limit false, CONN, "Sets the maximum allowed duration of any wait for a lock.";
    "log_duration" BOOL, "off", User Remembered false, LOG, "Logs the duration of each completed SQL statement.";
    "log_error_verbosity" Kind::Enum(&["terse", "default", "verbose"]), "default", User Remembered false, LOG, "Sets the verbosity of logged messages.";
    "log_lock_waits" BOOL, "off", User Remembered false, LOG, "Logs long lock waits.";
    "log_min_duration_statement" int(-1, MAX, Unit::Ms), "-1", User Remembered false, WHEN, "Sets the minimum execution time above which all statements will be logged.";
    "log_min_error_statement" Kind::Enum(MESSAGES), "error", User Remembered false, WHEN, "Causes all statements generating error at or above this level to be logged.";
    "log_min_messages" Kind::Enum(MESSAGES), "warning", User Remembered false, WHEN, "Sets the message levels that are logged.";
    "log_statement" Kind::Enum(&["none", "ddl", "mod", "all"]), "none", User Remembered false, LOG, "Sets the type of statements logged.";
    "logical_decoding_work_mem" int(64, MAX, Unit::Kb), "65536", User Remembered false, MEMORY, "Sets the maximum memory to be used for logical decoding.";
    "maintenance_work_mem" int(1024, MAX, Unit::Kb), "65536", User Remembered false, MEMORY, "Sets the maximum memory to be used for maintenance operations.";
    "max_connections" int(1, 262_143, Unit::None), "100", Postmaster Remembered false, "Connections and Authentication / Connection Settings", "Sets the maximum number of concurrent connections.";
    "max_function_args" int(100, 100, Unit::None), "100", Internal Remembered false, PRESET, "Shows the maximum number of function arguments.";
    "max_identifier_length" int(63, 63, Unit::None), "63", Internal Remembered false, PRESET, "Shows the maximum identifier length.";
    "max_index_keys" int(32, 32, Unit::None), "32", Internal Remembered false, PRESET, "Shows the maximum number of index keys.";
    "max_locks_per_transaction" int(10, MAX, Unit::None), "64", Postmaster Remembered false, "Lock Management", "Sets the maximum number of locks per transaction.";
    "max_parallel_maintenance_workers" int(0, 1024, Unit::None), "2", User Remembered false, "Resource Usage / Asynchronous Behavior", "Sets the maximum number of parallel processes per maintenance operation.";
    "max_parallel_workers" int(0, 1024, Unit::None), "8", User Remembered false, "Resource Usage / Asynchronous Behavior", "Sets the maximum number of parallel workers that can be active at one time.";
    "max_parallel_workers_per_gather" int(0, 1024, Unit::None), "2", User Remembered false, "Resource Usage / Asynchronous Behavior", "Sets the maximum number of parallel processes per executor node.";
    "max_prepared_transactions" int(0, 262_143, Unit::None), "0", Postmaster Remembered false, MEMORY, "Sets the maximum number of simultaneously prepared transactions.";
    "max_stack_depth" int(100, MAX, Unit::Kb), "2048", User Remembered false, MEMORY, "Sets the maximum stack depth, in kilobytes.";
    "max_wal_senders" int(0, 262_143, Unit::None), "0", Postmaster Remembered false, "Replication / Sending Servers", "Sets the maximum number of simultaneously running WAL sender processes.";
    "min_parallel_index_scan_size" int(0, 715_827_882, Unit::Blocks), "64", User Remembered false, COST, "Sets the minimum amount of index data for a parallel scan.";
    "min_parallel_table_scan_size" int(0, 715_827_882, Unit::Blocks), "1024", User Remembered false, COST, "Sets the minimum amount of table data for a parallel scan.";
    "omnigraph.catalog" Kind::Enum(&["all", "path"]), "all", User Path false, GRAPH, "Which branches the catalogs list: all, or those in search_path.";
    "omnigraph.vector_recall" Kind::Real { min: 0.0, max: 1.0 }, "0.99", User Format false, GRAPH, "How much of what is nearest to a vector has to be found where an index is declared; 1: all of it, without the index.";
    "parallel_leader_participation" BOOL, "on", User Remembered false, "Resource Usage / Asynchronous Behavior", "Controls whether Gather and Gather Merge also run subplans.";
    "parallel_setup_cost" Kind::Real { min: 0.0, max: f64::MAX }, "1000", User Remembered false, COST, "Sets the planner's estimate of the cost of starting up worker processes for parallel query.";
    "parallel_tuple_cost" Kind::Real { min: 0.0, max: f64::MAX }, "0.1", User Remembered false, COST, "Sets the planner's estimate of the cost of passing each tuple (row) from worker to leader backend.";
    "password_encryption" Kind::Enum(&["md5", "scram-sha-256"]), "scram-sha-256", User Remembered false, AUTH, "Chooses the algorithm for encrypting passwords.";
    "plan_cache_mode" Kind::Enum(&["auto", "force_generic_plan", "force_custom_plan"]), "auto", User Remembered false, TUNING, "Controls the planner's selection of custom or generic plan.";
    "port" int(1, 65_535, Unit::None), "5432", Postmaster Remembered false, "Connections and Authentication / Connection Settings", "Sets the TCP port the server listens on.";
    "post_auth_delay" int(0, 2147, Unit::S), "0", Backend Remembered false, "Developer Options", "Sets the amount of time to wait after authentication on connection startup.";
    "quote_all_identifiers" BOOL, "off", User Remembered false, COMPAT, "When generating SQL fragments, quote all identifiers.";
    "random_page_cost" Kind::Real { min: 0.0, max: f64::MAX }, "4", User Remembered false, COST, "Sets the planner's estimate of the cost of a nonsequentially fetched disk page.";
    "recursive_worktable_factor" Kind::Real { min: 0.001, max: 1_000_000.0 }, "10", User Remembered false, TUNING, "Sets the planner's estimate of the average size of a recursive query's working table.";
    "role" TEXT, "none", User Identity false, CONN, "Sets the current role.";
    "row_security" BOOL, "on", User Remembered false, CONN, "Enable row security.";
    "search_path" TEXT, "\"$user\", public", User Path false, CONN, "Sets the schema search order for names that are not schema-qualified.";
    "segment_size" int(131_072, 131_072, Unit::Blocks), "131072", Internal Remembered false, PRESET, "Shows the number of pages per disk file.";
    "seq_page_cost" Kind::Real { min: 0.0, max: f64::MAX }, "1", User Remembered false, COST, "Sets the planner's estimate of the cost of a sequentially fetched disk page.";
    "server_encoding" TEXT, "UTF8", Internal Remembered true, PRESET, "Shows the server (database) character set encoding.";
    "server_version" TEXT, "16.6", Internal Remembered true, PRESET, "Shows the server version.";
    "server_version_num" int(160_006, 160_006, Unit::None), "160006", Internal Remembered false, PRESET, "Shows the server version as an integer.";
    "session_authorization" TEXT, "", User Identity true, CONN, "Sets the session user name.";
    "session_preload_libraries" TEXT, "", User Remembered false, OTHER, "Lists shared libraries to preload into each backend.";
    "session_replication_role" Kind::Enum(&["origin", "replica", "local"]), "origin", User Remembered false, CONN, "Sets the session's behavior for triggers and rewrite rules.";
    "shared_buffers" int(16, 1_073_741_823, Unit::Blocks), "16384", Postmaster Remembered false, MEMORY, "Sets the number of shared memory buffers used by the server.";
    "snapshot" TEXT, "", User Path false, GRAPH, "The state that is read instead of the head of the session's branch: a branch, tag, commit or timestamp, or one of them with ~n.";
    "snapshot_commit" TEXT, "", Internal Remembered false, GRAPH, "The commit that a statement of this session reads now.";
    "ssl" BOOL, "off", Postmaster Remembered false, TLS, "Enables SSL connections.";
    "standard_conforming_strings" BOOL, "on", User Format true, COMPAT, "Causes '...' strings to treat backslashes literally.";
    "statement_timeout" int(0, MAX, Unit::Ms), "0", User Limit false, CONN, "Sets the maximum allowed duration of any statement.";
    "superuser_reserved_connections" int(0, 262_143, Unit::None), "3", Postmaster Remembered false, "Connections and Authentication / Connection Settings", "Sets the number of connection slots reserved for superusers.";
    "synchronize_seqscans" BOOL, "on", User Remembered false, COMPAT, "Enable synchronized sequential scans.";
    "synchronous_commit" Kind::Enum(&["local", "remote_write", "remote_apply", "on", "off"]), "on", User Remembered false, WAL, "Sets the current transaction's synchronization level.";
    "tcp_keepalives_count" int(0, MAX, Unit::None), "0", User Remembered false, SOCKET, "Maximum number of TCP keepalive retransmits.";
    "tcp_keepalives_idle" int(0, MAX, Unit::S), "0", User Remembered false, SOCKET, "Time between issuing TCP keepalives.";
    "tcp_keepalives_interval" int(0, MAX, Unit::S), "0", User Remembered false, SOCKET, "Time between TCP keepalive retransmits.";
    "tcp_user_timeout" int(0, MAX, Unit::Ms), "0", User Remembered false, SOCKET, "TCP user timeout.";
    "temp_buffers" int(100, 1_073_741_823, Unit::Blocks), "1024", User Remembered false, MEMORY, "Sets the maximum number of temporary buffers used by each session.";
    "temp_file_limit" int(-1, MAX, Unit::Kb), "-1", User Remembered false, "Resource Usage / Disk", "Limits the total size of all temporary files used by each process.";
    "temp_tablespaces" TEXT, "", User Remembered false, CONN, "Sets the tablespace(s) to use for temporary tables and sort files.";
    "TimeZone" TEXT, "UTC", User Format true, LOCALE, "Sets the time zone for displaying and interpreting time stamps.";
    "timezone_abbreviations" TEXT, "Default", User Remembered false, LOCALE, "Selects a file of time zone abbreviations.";
    "track_activities" BOOL, "on", User Remembered false, "Statistics / Cumulative Query and Index Statistics", "Collects information about executing commands.";
    "track_counts" BOOL, "on", User Remembered false, "Statistics / Cumulative Query and Index Statistics", "Collects statistics on database activity.";
    "track_functions" Kind::Enum(&["none", "pl", "all"]), "none", User Remembered false, "Statistics / Cumulative Query and Index Statistics", "Collects function-level statistics on database activity.";
    "track_io_timing" BOOL, "off", User Remembered false, "Statistics / Cumulative Query and Index Statistics", "Collects timing statistics for database I/O activity.";
    "transaction_deferrable" BOOL, "off", User Transaction false, CONN, "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.";
    "transaction_isolation" Kind::Enum(LEVELS), "read committed", User Transaction false, CONN, "Sets the current transaction's isolation level.";
    "transaction_read_only" BOOL, "off", User Transaction false, CONN, "Sets the current transaction's read-only status.";
    "transform_null_equals" BOOL, "off", User Remembered false, "Version and Platform Compatibility / Other Platforms and Clients", "Treats \"expr=NULL\" as \"expr IS NULL\".";
    "vacuum_cost_delay" Kind::Real { min: 0.0, max: 100.0 }, "0", User Remembered false, "Resource Usage / Cost-Based Vacuum Delay", "Vacuum cost delay in milliseconds.";
    "wal_level" Kind::Enum(&["minimal", "replica", "logical"]), "replica", Postmaster Remembered false, WAL, "Sets the level of information written to the WAL.";
    "wal_segment_size" int(16_777_216, 16_777_216, Unit::None), "16777216", Internal Remembered false, PRESET, "Shows the size of write ahead log segments.";
    "work_mem" int(64, MAX, Unit::Kb), "65536", User Limit false, MEMORY, "Sets the maximum memory to be used for query workspaces.";
    "xmlbinary" Kind::Enum(&["base64", "hex"]), "base64", User Remembered false, CONN, "Sets how binary values are to be encoded in XML.";
    "xmloption" Kind::Enum(&["content", "document"]), "content", User Remembered false, CONN, "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments.";
};

/// The row of a name, in any case; `time zone` is how SET and SHOW may spell one of them.
pub fn find(name: &str) -> Option<&'static Setting> {
    fn folded(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().map(|byte| byte.to_ascii_lowercase())
    }
    SETTINGS
        .binary_search_by(|row| folded(row.name).cmp(folded(name)))
        .ok()
        .map(|at| &SETTINGS[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::value;

    #[test]
    fn rows_are_sorted_and_found_in_any_case() {
        let names: Vec<String> = SETTINGS
            .iter()
            .map(|row| row.name.to_ascii_lowercase())
            .collect();
        for pair in names.windows(2) {
            assert!(pair[0] < pair[1], "{} before {}", pair[0], pair[1]);
        }
        assert_eq!(find("TIMEZONE").map(|row| row.name), Some("TimeZone"));
        assert!(find("no_such_guc").is_none());
    }

    #[test]
    fn every_default_is_a_value_in_its_canonical_form() {
        for row in SETTINGS {
            assert_eq!(
                value::parse(row, row.default).expect(row.name),
                row.default,
                "{}",
                row.name
            );
        }
    }
}
