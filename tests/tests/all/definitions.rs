//! CREATE TABLE, ALTER TABLE and DROP TABLE.

use omnigraph_tests::{Server, code, one, rows, run};
use tokio_postgres::Client;

const CITY: &str = "CREATE TABLE city (
    code varchar(3) PRIMARY KEY,
    name text NOT NULL DEFAULT 'nowhere',
    \"Population\" bigint,
    founded date,
    tags text[],
    place vector(2),
    UNIQUE (name, founded)
)";
const LIVES_IN: &str = "CREATE TABLE lives_in (
    src text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    dst text NOT NULL,
    since date,
    FOREIGN KEY (dst) REFERENCES city,
    UNIQUE (src, since)
)";

async fn cities() -> (Server, Client) {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, CITY).await;
    run(&client, LIVES_IN).await;
    for insert in [
        "INSERT INTO person (slug, name) VALUES ('ada', 'Ada')",
        "INSERT INTO city (code, name, \"Population\", tags, place) VALUES ('LDN', 'London', 9000000, '{big,old}', '[51.5,0]')",
        "INSERT INTO city (code) VALUES ('XXX')",
        "INSERT INTO lives_in (src, dst, since) VALUES ('ada', 'LDN', '1835-01-01')",
    ] {
        run(&client, insert).await;
    }
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_as_it_was_declared() {
    let (_server, client) = cities().await;
    let columns = rows(
        &client,
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
         WHERE table_name = 'city' AND table_schema = 'main' ORDER BY ordinal_position",
    )
    .await;
    let columns: Vec<String> = columns.iter().map(|row| row.join(" ")).collect();
    assert_eq!(
        columns,
        [
            "id text NO",
            "code text NO",
            "name text NO",
            "Population bigint YES",
            "founded date YES",
            "tags ARRAY YES",
            "place vector YES",
        ]
    );
    assert_eq!(
        rows(
            &client,
            "SELECT id, name, \"Population\" FROM city ORDER BY 1"
        )
        .await,
        [["LDN", "London", "9000000"], ["XXX", "nowhere", "∅"]]
    );
    let who = "SELECT who FROM GRAPH_TABLE (people MATCH (p IS person)-[IS lives_in]->(c IS city WHERE c.code = 'LDN') COLUMNS (p.name AS who))";
    assert_eq!(one(&client, who).await, "Ada");
    for (sql, expected) in [
        ("INSERT INTO city (code) VALUES ('LDN')", "23505"),
        ("INSERT INTO city (code) VALUES ('long')", "23514"),
        (
            "INSERT INTO city (code, name) VALUES ('ABC', NULL)",
            "23502",
        ),
        (
            "INSERT INTO lives_in (src, dst) VALUES ('ada', 'nowhere')",
            "23503",
        ),
        (
            "INSERT INTO lives_in (src, dst, since) VALUES ('ada', 'XXX', '1835-01-01')",
            "23505",
        ),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
    run(&client, "DELETE FROM city WHERE code = 'LDN'").await;
    assert_eq!(one(&client, "SELECT count(*) FROM lives_in").await, "0");
    // Each definition was one commit after the first, and the branch before it had no such table.
    let kinds = "SELECT count(*) FROM commits() WHERE kind = 'schema'";
    assert_eq!(one(&client, kinds).await, "3");
    let before = "SELECT * FROM lives_in FOR SYSTEM_TIME AS OF 'main~6'";
    assert_eq!(code(client.simple_query(before).await), "42P01");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_table_keeps_its_rows() {
    let (_server, client) = cities().await;
    for alter in [
        "ALTER TABLE city ADD COLUMN mayor text, ADD area double precision",
        "ALTER TABLE city ADD COLUMN IF NOT EXISTS mayor text",
        "ALTER TABLE city RENAME COLUMN \"Population\" TO people",
        "ALTER TABLE city RENAME people TO \"Inhabitants\"",
        "ALTER TABLE city ALTER COLUMN mayor SET DEFAULT 'nobody''s \"own\"'",
        "ALTER TABLE city DROP COLUMN tags, DROP COLUMN IF EXISTS nothing",
        "ALTER TABLE city ADD CONSTRAINT one UNIQUE (name, mayor)",
        "ALTER TABLE city RENAME TO \"Town\"",
        "ALTER TABLE IF EXISTS city ADD COLUMN x text",
        "ALTER TABLE lives_in RENAME TO stays_at",
    ] {
        run(&client, alter).await;
    }
    run(&client, "INSERT INTO \"Town\" (code) VALUES ('NEW')").await;
    assert_eq!(
        rows(
            &client,
            "SELECT code, \"Inhabitants\", mayor, area FROM \"Town\" ORDER BY code"
        )
        .await,
        [
            ["LDN", "9000000", "∅", "∅"],
            ["NEW", "∅", "nobody's \"own\"", "∅"],
            ["XXX", "∅", "∅", "∅"]
        ]
    );
    assert_eq!(one(&client, "SELECT dst FROM stays_at").await, "LDN");
    let twice = "INSERT INTO \"Town\" (code, name, mayor) VALUES ('A', 'n', 'm'), ('B', 'n', 'm')";
    assert_eq!(code(client.simple_query(twice).await), "23505");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_is_there_in_the_past() {
    let (_server, client) = cities().await;
    assert_eq!(code(client.simple_query("DROP TABLE city").await), "2BP01");
    run(&client, "CREATE SCHEMA review").await;
    run(&client, "DROP TABLE city CASCADE").await;
    for gone in ["city", "lives_in"] {
        let sql = format!("SELECT * FROM {gone}");
        assert_eq!(code(client.simple_query(&sql).await), "42P01");
    }
    let past = "SELECT count(*) FROM city FOR SYSTEM_TIME AS OF 'main~1'";
    assert_eq!(one(&client, past).await, "2");
    assert_eq!(
        one(&client, "SELECT count(*) FROM review.lives_in").await,
        "1"
    );
    run(&client, "DROP TABLE review.lives_in, review.city").await;
    run(&client, "DROP TABLE IF EXISTS city").await;
    // A new table of the name begins empty.
    run(&client, "CREATE TABLE city (code text PRIMARY KEY)").await;
    assert_eq!(one(&client, "SELECT count(*) FROM city").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_schema_says_is_refused_and_changes_nothing() {
    let (_server, client) = cities().await;
    let head = one(&client, "SELECT id FROM commits() LIMIT 1").await;
    for (sql, expected) in [
        ("CREATE TABLE city (x text)", "42P07"),
        ("CREATE TABLE t (id serial PRIMARY KEY)", "0A000"),
        ("CREATE TABLE t (id bigint PRIMARY KEY)", "0A000"),
        ("CREATE TABLE t (n numeric(10, 2))", "0A000"),
        ("CREATE TABLE t (at timestamp)", "0A000"),
        ("CREATE TABLE t (n int CHECK (n > 0))", "0A000"),
        ("CREATE TABLE t (n int REFERENCES city)", "0A000"),
        ("CREATE TABLE t (n int DEFAULT random())", "0A000"),
        ("CREATE TABLE t (n int, n text)", "42701"),
        (
            "CREATE TABLE t (n int PRIMARY KEY, m int PRIMARY KEY)",
            "42P16",
        ),
        ("CREATE TABLE t (n int, UNIQUE (m))", "42703"),
        (
            "CREATE TABLE t (src text REFERENCES nobody, dst text REFERENCES city)",
            "42P01",
        ),
        (
            "CREATE TABLE t (src text REFERENCES lives_in, dst text REFERENCES city)",
            "0A000",
        ),
        ("CREATE TABLE t AS SELECT 1", "0A000"),
        ("CREATE TABLE nowhere.t (n int)", "3F000"),
        ("CREATE TABLE t (n int", "42601"),
        ("ALTER TABLE nothing ADD COLUMN x text", "42P01"),
        ("ALTER TABLE city ADD COLUMN name text", "42701"),
        ("ALTER TABLE city ADD COLUMN x int NOT NULL", "42P16"),
        ("ALTER TABLE city DROP COLUMN nothing", "42703"),
        ("ALTER TABLE city DROP COLUMN id", "0A000"),
        ("ALTER TABLE city RENAME COLUMN name TO code", "42701"),
        ("ALTER TABLE city ALTER COLUMN name TYPE bytea", "0A000"),
        ("ALTER TABLE city OWNER TO ada", "0A000"),
        ("ALTER TABLE city RENAME TO person", "42P07"),
        ("DROP TABLE nothing", "42P01"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
    run(&client, "BEGIN").await;
    let block = client.simple_query("CREATE TABLE t (n int)").await;
    assert_eq!(code(block), "25001");
    run(&client, "ROLLBACK").await;
    run(&client, "CREATE TABLE IF NOT EXISTS city (x text)").await;
    run(&client, "ALTER TABLE IF EXISTS nothing ADD COLUMN x text").await;
    assert_eq!(one(&client, "SELECT id FROM commits() LIMIT 1").await, head);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_made_at_the_same_time_are_all_there() {
    let server = Server::start().await;
    let clients = [
        server.client().await,
        server.client().await,
        server.client().await,
    ];
    let makers = clients
        .iter()
        .enumerate()
        .map(|(number, client)| async move {
            for table in 0..5 {
                run(client, &format!("CREATE TABLE t_{number}_{table} (n int)")).await;
            }
        });
    futures::future::join_all(makers).await;
    let made =
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'main' AND tablename LIKE 't\\_%'";
    assert_eq!(one(&clients[0], made).await, "15");
}

/// From nothing to rows, in SQL alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_made_and_filled_in_sql() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "CREATE DATABASE library").await;
    run(
        &client,
        "CREATE DATABASE notes WITH (schema => $$node Note { text: String }$$)",
    )
    .await;
    let library = server.client_of("library", "ada").await;
    run(
        &library,
        "CREATE TABLE book (isbn text PRIMARY KEY, title text NOT NULL)",
    )
    .await;
    run(
        &library,
        "INSERT INTO book (isbn, title) VALUES ('1', 'Notes')",
    )
    .await;
    assert_eq!(one(&library, "SELECT title FROM book").await, "Notes");
    let notes = server.client_of("notes", "ada").await;
    run(&notes, "INSERT INTO note (text) VALUES ('first')").await;
    assert_eq!(one(&notes, "SELECT text FROM note").await, "first");
    assert_eq!(
        rows(&client, "SELECT datname FROM pg_database ORDER BY 1").await,
        [["library"], ["notes"], ["people"], ["postgres"]]
    );
    for (sql, expected) in [
        ("CREATE DATABASE library", "42P04"),
        ("CREATE DATABASE postgres", "42602"),
        ("CREATE DATABASE \"../x\"", "42602"),
        ("CREATE DATABASE x WITH (schema => 'node x')", "22023"),
        ("CREATE DATABASE x ENCODING 'LATIN1'", "0A000"),
        ("CREATE DATABASE x OWNER ada", "42601"),
        ("CREATE DATABASE x WITH (policy => 'version: 1')", "0A000"),
        ("DROP DATABASE library", "55006"),
        ("DROP DATABASE people", "55006"),
        ("DROP DATABASE nowhere", "3D000"),
        ("DROP DATABASE IF EXISTS nowhere", "no error"),
        ("BEGIN; DROP DATABASE library", "25001"),
        ("ROLLBACK", "no error"),
        ("BEGIN; CREATE DATABASE x", "25001"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
    run(&client, "ROLLBACK").await;
    drop((library, notes));
    // The server sees them leave a moment later.
    for attempt in 0.. {
        match code(client.simple_query("DROP DATABASE library").await).as_str() {
            "no error" => break,
            "55006" if attempt < 200 => {
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(code(server.try_client("library", "ada").await), "3D000");
    // The name is free again, and nothing is left of what had it.
    run(&client, "CREATE DATABASE library").await;
    let library = server.client_of("library", "ada").await;
    assert_eq!(
        code(library.simple_query("SELECT FROM book").await),
        "42P01"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_declared_and_taken_away() {
    let (_server, client) = cities().await;
    for (sql, declared) in [
        (
            "CREATE INDEX ON city USING hnsw (place vector_cosine_ops) WITH (m = 16, ef_construction = 64)",
            "@index(metric=\"cosine\", kind=\"hnsw\")",
        ),
        (
            "CREATE INDEX CONCURRENTLY named ON main.city USING gin (to_tsvector('english', name))",
            "@index(analyzer=\"english\")",
        ),
        ("CREATE INDEX ON city (founded)", "@index"),
    ] {
        run(&client, sql).await;
        let source = one(&client, "SELECT schema_source()").await;
        assert!(source.contains(declared), "{source}");
    }
    let definitions = "SELECT indexname FROM pg_indexes WHERE tablename = 'city' AND indexname LIKE '%idx' ORDER BY 1";
    let names = ["city_founded_idx", "city_name_idx", "city_place_idx"];
    assert_eq!(rows(&client, definitions).await.concat(), names);
    run(&client, "DROP INDEX city_place_idx, city_founded_idx").await;
    run(&client, "DROP INDEX IF EXISTS nope").await;
    run(
        &client,
        "CREATE INDEX IF NOT EXISTS city_name_idx ON city (name)",
    )
    .await;
    assert_eq!(rows(&client, definitions).await.concat(), ["city_name_idx"]);
    for (sql, expected) in [
        ("CREATE INDEX ON nope (a)", "42P01"),
        ("CREATE INDEX ON city (nope)", "42703"),
        ("CREATE INDEX ON city (name)", "42P07"),
        ("CREATE UNIQUE INDEX ON city (founded)", "0A000"),
        ("CREATE INDEX ON city (founded, code)", "0A000"),
        ("CREATE INDEX ON city (lower(code))", "0A000"),
        (
            "CREATE INDEX ON city (founded) WHERE founded IS NULL",
            "0A000",
        ),
        ("CREATE INDEX ON city USING gin (tags)", "0A000"),
        ("CREATE INDEX ON city USING hnsw (code)", "0A000"),
        ("CREATE INDEX ON city USING hnsw (place nope_ops)", "42704"),
        ("CREATE INDEX ON city USING nope (code)", "42704"),
        ("DROP INDEX nope", "42704"),
    ] {
        let refused = client.simple_query(sql).await;
        assert_eq!(code(refused), expected, "{sql}");
    }
}
