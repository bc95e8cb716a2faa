// pgjdbc against the server under test: what its metadata calls find, and a few statements.
// Prints one JSON line for each case.
import java.sql.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.*;

public class Cases {
    interface Case { void run() throws Exception; }

    static final Map<String, Case> CASES = new LinkedHashMap<>();
    static final List<String> TABLES = List.of("company", "knows", "person", "sample", "works_at");
    static String host, port, user, password, branch, ca, wrongCa;
    static boolean external;

    static Connection connect(String graph, String... more) throws SQLException {
        Properties properties = new Properties();
        properties.put("user", user);
        properties.put("password", password);
        properties.put("loginTimeout", "20");
        for (int i = 0; i < more.length; i += 2) properties.put(more[i], more[i + 1]);
        return DriverManager.getConnection("jdbc:postgresql://" + host + ":" + port + "/" + graph, properties);
    }

    static void eq(Object got, Object want, String what) {
        if (!String.valueOf(got).equals(String.valueOf(want))) throw new AssertionError(what + ": got " + got + ", want " + want);
    }

    static void ok(boolean condition, String what) {
        if (!condition) throw new AssertionError(what);
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        try (rows) { while (rows.next()) values.add(rows.getString(name)); }
        return values;
    }

    static Set<String> rows(ResultSet rows, String... names) throws SQLException {
        Set<String> values = new TreeSet<>();
        try (rows) {
            while (rows.next()) {
                StringJoiner row = new StringJoiner(" ");
                for (String name : names) row.add(rows.getString(name));
                values.add(row.toString());
            }
        }
        return values;
    }

    static Object one(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) statement.setObject(i + 1, values[i]);
            ResultSet rows = statement.executeQuery();
            rows.next();
            return rows.getObject(1);
        }
    }

    static String state(Connection connection, String sql) {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
            return "none";
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    static String unique() { return "zz-" + UUID.randomUUID().toString().substring(0, 12); }

    static void register() {
        CASES.put("knows_the_product_and_the_schemas", () -> {
            try (Connection connection = connect("knowledge", "ApplicationName", "tests")) {
                DatabaseMetaData data = connection.getMetaData();
                eq(data.getDatabaseProductName(), "PostgreSQL", "product");
                ok(data.getDatabaseMajorVersion() >= 15, "version " + data.getDatabaseMajorVersion());
                eq(connection.getSchema(), "main", "schema");
                eq(connection.getCatalog(), "knowledge", "catalog");
                ok(connection.isValid(5), "isValid");
                List<String> schemas = column(data.getSchemas(), "TABLE_SCHEM");
                ok(schemas.containsAll(List.of("main", branch, "pg_catalog", "information_schema")), "" + schemas);
                ok(column(data.getCatalogs(), "TABLE_CAT").contains("knowledge"), "catalogs");
                ok(column(data.getTableTypes(), "TABLE_TYPE").contains("TABLE"), "table types");
                data.getSQLKeywords();
            }
        });
        CASES.put("finds_tables", () -> {
            try (Connection connection = connect("knowledge")) {
                DatabaseMetaData data = connection.getMetaData();
                eq(column(data.getTables(null, "main", "%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"}), "TABLE_NAME"), TABLES, "tables");
                eq(column(data.getTables(null, branch, "p%", new String[] {"TABLE"}), "TABLE_NAME"), "[person]", "tables of a branch");
                ok(column(data.getTables(null, "pg_catalog", "pg_c%", null), "TABLE_NAME").contains("pg_class"), "system tables");
            }
        });
        CASES.put("finds_columns", () -> {
            try (Connection connection = connect("knowledge")) {
                List<String> found = new ArrayList<>();
                try (ResultSet rows = connection.getMetaData().getColumns(null, "main", "person", "%")) {
                    while (rows.next()) found.add(rows.getString("COLUMN_NAME") + ":" + rows.getString("TYPE_NAME") + ":" + rows.getInt("DATA_TYPE") + ":" + rows.getInt("NULLABLE") + ":" + rows.getInt("ORDINAL_POSITION"));
                }
                eq(found, "[id:text:12:0:1, slug:text:12:0:2, name:text:12:0:3, age:int4:4:1:4, score:float8:8:1:5, active:bool:-7:1:6, born:date:91:1:7, created_at:timestamptz:93:1:8, tags:_text:2003:1:9]", "columns");
                if (!external) try (Connection other = connect("everything"); ResultSet rows = other.getMetaData().getColumns(null, "main", "everything", "small")) {
                    ok(rows.next(), "no column small");
                    eq(rows.getString("REMARKS"), "Thirty-two bits, signed", "comment");
                }
            }
        });
        CASES.put("finds_keys", () -> {
            try (Connection connection = connect("knowledge")) {
                DatabaseMetaData data = connection.getMetaData();
                for (String table : TABLES) eq(column(data.getPrimaryKeys(null, "main", table), "COLUMN_NAME"), "[id]", "primary key of " + table);
                eq(rows(data.getImportedKeys(null, "main", "works_at"), "FKCOLUMN_NAME", "PKTABLE_SCHEM", "PKTABLE_NAME", "PKCOLUMN_NAME", "DELETE_RULE"),
                    "[dst main company id 0, src main person id 0]", "imported keys");
                eq(rows(data.getExportedKeys(null, "main", "person"), "FKTABLE_NAME", "FKCOLUMN_NAME"), "[knows dst, knows src, works_at src]", "exported keys");
                eq(rows(data.getImportedKeys(null, branch, "knows"), "PKTABLE_SCHEM", "FKCOLUMN_NAME"), "[" + branch + " dst, " + branch + " src]", "imported keys of a branch");
                eq(column(data.getCrossReference(null, "main", "person", null, "main", "knows"), "FKCOLUMN_NAME").size(), 2, "cross reference");
                eq(column(data.getBestRowIdentifier(null, "main", "person", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME"), "[id]", "best row identifier");
            }
        });
        CASES.put("finds_indexes", () -> {
            try (Connection connection = connect("knowledge")) {
                Set<String> found = rows(connection.getMetaData().getIndexInfo(null, "main", "person", true, false), "COLUMN_NAME", "NON_UNIQUE");
                ok(found.contains("id f") && found.contains("slug f"), "" + found);
                ok(connection.getMetaData().getIndexInfo(null, "main", "knows", false, true).next(), "no index on knows");
            }
        });
        CASES.put("finds_types_and_functions", () -> {
            try (Connection connection = connect("knowledge")) {
                DatabaseMetaData data = connection.getMetaData();
                List<String> types = column(data.getTypeInfo(), "TYPE_NAME");
                ok(types.containsAll(List.of("text", "int4", "int8", "float4", "float8", "bool", "date", "timestamptz", "bytea", "numeric", "_text")), "" + types);
                ok(column(data.getFunctions(null, "pg_catalog", "lower"), "FUNCTION_NAME").contains("lower"), "lower");
                column(data.getProcedures(null, "main", "%"), "PROCEDURE_NAME");
                column(data.getTablePrivileges(null, "main", "person"), "PRIVILEGE");
                column(data.getUDTs(null, "main", "%", null), "TYPE_NAME");
            }
        });
        CASES.put("sends_and_reads_every_type", () -> {
            for (String threshold : new String[] {"0", "1", "5"}) try (Connection connection = connect("scratch", "prepareThreshold", threshold)) {
                connection.setAutoCommit(false);
                String slug = unique();
                try (PreparedStatement insert = connection.prepareStatement("insert into person (id, slug, name, age, score, active, born, created_at, tags) values (?,?,?,?,?,?,?,?,?)")) {
                    insert.setString(1, slug); insert.setString(2, slug); insert.setString(3, "Jäva '\\");
                    insert.setInt(4, 7); insert.setDouble(5, 1.25); insert.setBoolean(6, true);
                    insert.setObject(7, LocalDate.of(1999, 1, 2)); insert.setObject(8, OffsetDateTime.parse("2024-01-02T03:04:05.678Z"));
                    insert.setArray(9, connection.createArrayOf("text", new String[] {"a", "b,c", "d\"e"}));
                    eq(insert.executeUpdate(), 1, "inserted");
                }
                for (int i = 0; i < 7; i++) try (PreparedStatement query = connection.prepareStatement("select * from person where slug = ? and age = ?")) {
                    query.setString(1, slug); query.setInt(2, 7);
                    ResultSet row = query.executeQuery();
                    ok(row.next(), "no row");
                    eq(row.getString("name"), "Jäva '\\", "name");
                    eq(row.getInt("age") + " " + row.getDouble("score") + " " + row.getBoolean("active"), "7 1.25 true", "values");
                    eq(row.getObject("born", LocalDate.class), "1999-01-02", "born");
                    eq(row.getObject("created_at", OffsetDateTime.class).toInstant(), "2024-01-02T03:04:05.678Z", "created_at");
                    eq(Arrays.toString((String[]) row.getArray("tags").getArray()), "[a, b,c, d\"e]", "tags");
                }
                connection.rollback();
                eq(one(connection, "select count(*) from person where slug = ?", slug), 0, "rolled back");
            }
        });
        CASES.put("describes_results_and_parameters", () -> {
            try (Connection connection = connect("knowledge")) {
                try (PreparedStatement statement = connection.prepareStatement("select p.age as a, p.name, count(*) as n from person p where p.slug = ? and p.age > ? group by 1, 2")) {
                    ResultSetMetaData data = statement.getMetaData();
                    eq(data.getColumnLabel(1) + " " + data.getColumnTypeName(1) + " " + data.getColumnTypeName(2) + " " + data.getColumnTypeName(3), "a int4 text int8", "columns");
                    eq(statement.getParameterMetaData().getParameterTypeName(1) + " " + statement.getParameterMetaData().getParameterTypeName(2), "text int4", "parameters");
                }
                ResultSetMetaData data = connection.createStatement().executeQuery("select age as a, name from person limit 1").getMetaData();
                eq(((org.postgresql.PGResultSetMetaData) data).getBaseColumnName(1), "age", "base column");
                eq(((org.postgresql.PGResultSetMetaData) data).getBaseTableName(1), "person", "base table");
                eq(data.isNullable(2), ResultSetMetaData.columnNoNulls, "nullability");
            }
        });
        CASES.put("fetches_in_pieces", () -> {
            try (Connection connection = connect("knowledge")) {
                connection.setAutoCommit(false);
                Statement statement = connection.createStatement();
                statement.setFetchSize(7);
                eq(new TreeSet<>(column(statement.executeQuery("select slug from person"), "slug")).size(), 36, "rows");
                statement.setFetchSize(1000);
                eq(column(statement.executeQuery("select i from generate_series(1, 20000) as g(i)"), "i").size(), 20000, "series");
                connection.commit();
            }
        });
        CASES.put("batches", () -> {
            for (String rewrite : new String[] {"false", "true"}) try (Connection connection = connect("scratch", "reWriteBatchedInserts", rewrite)) {
                connection.setAutoCommit(false);
                String slug = unique();
                try (PreparedStatement insert = connection.prepareStatement("insert into company (id, slug, name) values (?,?,?)")) {
                    for (int i = 0; i < 100; i++) { insert.setString(1, slug + i); insert.setString(2, slug + i); insert.setString(3, "b"); insert.addBatch(); }
                    eq(insert.executeBatch().length, 100, "batch");
                }
                eq(one(connection, "select count(*) from company where slug like ?", slug + "%"), 100, "rows");
                Statement both = connection.createStatement();
                both.addBatch("update company set name = 'u' where slug like '" + slug + "1%'");
                both.addBatch("delete from company where slug = '" + slug + "0'");
                eq(Arrays.toString(both.executeBatch()), "[11, 1]", "counts");
                connection.rollback();
            }
        });
        CASES.put("tells_errors_apart", () -> {
            try (Connection connection = connect("scratch")) {
                eq(state(connection, "selec 1"), "42601", "syntax");
                eq(state(connection, "select nope from person"), "42703", "column");
                eq(state(connection, "insert into person (id, slug, name) values ('ada', 'ada', 'x')"), "23505", "duplicate");
                eq(state(connection, "insert into knows (src, dst) values ('ada', 'nobody')"), "23503", "dangling edge");
                connection.setAutoCommit(false);
                eq(state(connection, "select 1/0"), "22012", "division");
                eq(state(connection, "select 1"), "25P02", "failed transaction");
                connection.rollback();
                Savepoint savepoint = connection.setSavepoint("s");
                state(connection, "select 1/0");
                connection.rollback(savepoint);
                eq(one(connection, "select 1"), 1, "after the savepoint");
                connection.rollback();
            }
            try { connect("no_such_graph"); throw new AssertionError("connected"); } catch (SQLException error) { eq(error.getSQLState(), "3D000", "no such graph"); }
        });
        CASES.put("connects_in_every_way", () -> {
            for (String[] option : new String[][] {{"sslmode", "disable"}, {"sslmode", "prefer"}, {"preferQueryMode", "simple"}, {"preferQueryMode", "extendedForPrepared"},
                    {"readOnly", "true"}, {"options", "-c statement_timeout=30000"}, {"binaryTransfer", "false"}, {"stringtype", "unspecified"}, {"currentSchema", "main"}, {"autosave", "always"}}) {
                try (Connection connection = connect("knowledge", option)) {
                    eq(one(connection, "select age from person where slug = 'ada'"), 36, option[0] + "=" + option[1]);
                }
            }
            try (Connection connection = connect("knowledge", "currentSchema", "\"" + branch + "\"")) {
                eq(one(connection, "select age from person where slug = 'ada'"), 99, "branch");
                connection.setSchema("main");
                eq(one(connection, "select age from person where slug = 'ada'"), 36, "main");
            }
            if (ca != null) {
                host = "localhost";
                try (Connection connection = connect("knowledge", "sslmode", "verify-full", "sslrootcert", ca)) { eq(one(connection, "select 1"), 1, "verify-full"); }
                try { connect("knowledge", "sslmode", "verify-full", "sslrootcert", wrongCa); throw new AssertionError("trusted another authority"); } catch (SQLException expected) { ok(String.valueOf(expected.getCause()).contains("PKIX") || String.valueOf(expected.getMessage()).contains("SSL"), "" + expected); }
            }
        });
    }

    static String json(String text) {
        if (text == null) return "null";
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    public static void main(String[] arguments) {
        Map<String, String> environment = System.getenv();
        host = environment.get("TEST_HOST"); port = environment.get("TEST_PORT"); user = environment.get("TEST_USER");
        password = environment.get("TEST_PASSWORD"); branch = environment.get("TEST_BRANCH"); ca = environment.get("TEST_CA");
        wrongCa = environment.get("TEST_WRONG_CA"); external = environment.containsKey("TEST_EXTERNAL");
        register();
        String loopback = host;
        for (Map.Entry<String, Case> entry : CASES.entrySet()) {
            long started = System.nanoTime();
            String detail = null;
            host = loopback;
            try { entry.getValue().run(); } catch (Throwable error) {
                detail = error + (error instanceof SQLException ? " [" + ((SQLException) error).getSQLState() + "]" : "");
                for (StackTraceElement at : error.getStackTrace()) if (at.getClassName().startsWith("Cases") && !at.getMethodName().matches("eq|ok")) { detail += " (line " + at.getLineNumber() + ")"; break; }
            }
            System.out.println("{\"name\":" + json(entry.getKey()) + ",\"detail\":" + json(detail) + ",\"seconds\":" + (System.nanoTime() - started) / 1e9 + "}");
        }
        System.exit(0);
    }
}
