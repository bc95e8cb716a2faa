//! Queries and writes of more than one kind at once: subqueries that become joins, WITH that
//! writes, MERGE, EXPLAIN, and the lookups behind them.

use omnigraph_tests::{Server, code, one, rows, run};
use tokio_postgres::Client;

/// Four people, their notes, and who knows whom.
async fn people() -> (Server, Client) {
    let server = Server::start().await;
    let client = server.client().await;
    for statement in [
        "INSERT INTO person (slug, name, age) VALUES ('ada', 'Ada', 36), ('bob', 'Bob', 40), ('cyd', 'Cyd', NULL), ('dan', 'Dan', 20)",
        "INSERT INTO knows (src, dst) VALUES ('ada', 'bob'), ('ada', 'cyd'), ('bob', 'cyd'), ('dan', 'ada')",
    ] {
        run(&client, statement).await;
    }
    (server, client)
}

async fn lines(client: &Client, sql: &str) -> Vec<String> {
    rows(client, sql)
        .await
        .iter()
        .map(|row| row.join(" "))
        .collect()
}

async fn plan(client: &Client, sql: &str) -> String {
    lines(client, &format!("EXPLAIN (COSTS off) {sql}"))
        .await
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn correlated_subqueries_are_joins_with_the_same_rows() {
    let (_server, client) = people().await;
    for (sql, expected, node) in [
        (
            "SELECT slug FROM person p WHERE EXISTS (SELECT 1 FROM knows k WHERE k.src = p.id) ORDER BY 1",
            &["ada", "bob", "dan"][..],
            "Semi Join",
        ),
        (
            "SELECT slug FROM person p WHERE NOT EXISTS (SELECT 1 FROM knows k WHERE k.src = p.id LIMIT 1) ORDER BY 1",
            &["cyd"],
            "Anti Join",
        ),
        (
            "SELECT slug FROM person p WHERE id IN (SELECT k.dst FROM knows k WHERE k.src <> p.id) ORDER BY 1",
            &["ada", "bob", "cyd"],
            "Semi Join",
        ),
        (
            "SELECT slug, (SELECT count(*) FROM knows k WHERE k.src = p.id) FROM person p ORDER BY 1",
            &["ada 2", "bob 1", "cyd 0", "dan 1"],
            "Join",
        ),
        (
            "SELECT slug, EXISTS (SELECT 1 FROM knows k WHERE k.dst = p.id) FROM person p ORDER BY 1",
            &["ada t", "bob t", "cyd t", "dan f"],
            "Join",
        ),
        (
            "SELECT k.src, (SELECT p.name FROM person p WHERE p.id = k.dst) AS whom FROM knows k ORDER BY 1, 2",
            &["ada Bob", "ada Cyd", "bob Cyd", "dan Ada"],
            "Join",
        ),
        (
            "SELECT slug, (SELECT coalesce(max(o.age), -1) + 1 FROM knows k JOIN person o ON o.id = k.dst WHERE k.src = p.id) FROM person p ORDER BY 1",
            &["ada 41", "bob 0", "cyd 0", "dan 37"],
            "Join",
        ),
    ] {
        assert_eq!(lines(&client, sql).await, expected, "{sql}");
        let plan = plan(&client, sql).await;
        assert!(
            plan.contains(node) && !plan.contains("SubPlan"),
            "{sql}\n{plan}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_keeps_its_nulls_and_few_rows_keep_their_lookups() {
    let (_server, client) = people().await;
    let sql =
        "SELECT slug FROM person WHERE age NOT IN (SELECT age FROM person WHERE slug = 'cyd')";
    assert!(lines(&client, sql).await.is_empty());
    let sql =
        "SELECT (SELECT count(*) FROM knows k WHERE k.src = p.id) FROM person p WHERE p.id = 'ada'";
    assert_eq!(lines(&client, sql).await, ["2"]);
    let plan = plan(&client, sql).await;
    assert!(
        plan.contains("SubPlan") && plan.contains("Index Scan"),
        "{plan}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_lists_and_arrays_are_looked_up() {
    let (_server, client) = people().await;
    for condition in [
        "id = 'ada'",
        "id IN ('ada', 'bob')",
        "id = ANY ('{ada,bob}')",
        "id = ANY (ARRAY['ada', 'bob'])",
        "slug = 'ada' AND age > 3",
        "email = 'a@b'",
    ] {
        let plan = plan(
            &client,
            &format!("SELECT name FROM person WHERE {condition}"),
        )
        .await;
        assert!(plan.contains("Index Scan using"), "{condition}\n{plan}");
    }
    let keys = vec!["ada", "nobody", "cyd"];
    let sql = "SELECT name FROM person WHERE id = ANY ($1) ORDER BY 1";
    let found = client.query(sql, &[&keys]).await.expect("a query");
    let names: Vec<&str> = found.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["Ada", "Cyd"]);
    let sql = "SELECT name FROM person WHERE id <> ALL ($1) ORDER BY 1";
    let found = client.query(sql, &[&keys]).await.expect("a query");
    let names: Vec<&str> = found.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["Bob", "Dan"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_may_write() {
    let (_server, client) = people().await;
    let sql = "WITH gone AS (DELETE FROM knows WHERE src = 'ada' RETURNING dst), \
               back AS (INSERT INTO knows (src, dst) SELECT dst, 'ada' FROM gone RETURNING src) \
               SELECT count(*), (SELECT count(*) FROM knows) FROM gone";
    // Every part reads what was there before.
    assert_eq!(lines(&client, sql).await, ["2 4"]);
    let sql = "SELECT src, dst FROM knows ORDER BY 1, 2";
    assert_eq!(
        lines(&client, sql).await,
        ["bob ada", "bob cyd", "cyd ada", "dan ada"]
    );
    let sql = "WITH old AS (SELECT id FROM person WHERE age > 30) \
               UPDATE person SET level = 'high' FROM old WHERE person.id = old.id RETURNING slug";
    let mut told = lines(&client, sql).await;
    told.sort();
    assert_eq!(told, ["ada", "bob"]);
    let sql = "WITH n AS (INSERT INTO person (slug, name) VALUES ('eve', 'Eve') RETURNING id) \
               INSERT INTO person (slug, name) SELECT 'fay', id FROM n";
    run(&client, sql).await;
    let sql = "SELECT name FROM person WHERE slug = 'fay'";
    assert_eq!(one(&client, sql).await, "eve");
    // All of it is one statement: an error undoes every part.
    let sql = "WITH n AS (INSERT INTO person (slug, name) VALUES ('gus', 'Gus')) \
               INSERT INTO person (slug, name) VALUES ('ada', 'Ada')";
    assert_eq!(code(client.simple_query(sql).await), "23505");
    let sql = "SELECT count(*) FROM person WHERE slug = 'gus'";
    assert_eq!(one(&client, sql).await, "0");
    for (sql, expected) in [
        (
            "SELECT * FROM (WITH x AS (DELETE FROM knows) SELECT 1) t",
            "0A000",
        ),
        ("WITH x AS (DELETE FROM knows) SELECT * FROM x", "0A000"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
    let sql = "WITH n AS (UPDATE person SET age = $1 WHERE slug = $2 RETURNING age) SELECT age + $3 FROM n";
    let row = client
        .query_one(sql, &[&50, &"dan", &1])
        .await
        .expect("a row");
    assert_eq!(row.get::<_, i32>(0), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_does_what_the_first_fitting_clause_says() {
    let (_server, client) = people().await;
    let sql = "MERGE INTO person p USING (VALUES ('ada', 37), ('bob', 0), ('cyd', 5), ('zoe', 9)) AS s(slug, age) \
               ON p.slug = s.slug \
               WHEN MATCHED AND s.age = 0 THEN DO NOTHING \
               WHEN MATCHED AND p.age IS NULL THEN UPDATE SET age = s.age, level = DEFAULT \
               WHEN MATCHED THEN UPDATE SET age = p.age + 1 \
               WHEN NOT MATCHED THEN INSERT (slug, name, age) VALUES (s.slug, upper(s.slug), s.age)";
    let messages = client.simple_query(sql).await.expect("MERGE");
    let done = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    assert_eq!(done, Some(3));
    let all = "SELECT slug, name, age FROM person ORDER BY 1";
    assert_eq!(
        lines(&client, all).await,
        [
            "ada Ada 37",
            "bob Bob 40",
            "cyd Cyd 5",
            "dan Dan 20",
            "zoe ZOE 9"
        ]
    );
    let sql = "MERGE INTO person p USING (VALUES ('zoe'), ('zoe')) AS s(slug) ON p.slug = s.slug \
               WHEN MATCHED THEN UPDATE SET age = 1";
    assert_eq!(code(client.simple_query(sql).await), "21000");
    let sql = "MERGE INTO person p USING person s ON p.slug = s.slug AND s.age < 10 WHEN MATCHED THEN DELETE";
    run(&client, sql).await;
    let sql = "SELECT slug FROM person ORDER BY 1";
    assert_eq!(lines(&client, sql).await, ["ada", "bob", "dan"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn subqueries_stand_where_they_may() {
    let (_server, client) = people().await;
    let sql = "UPDATE person SET age = 1 WHERE slug = 'ada' RETURNING slug, (SELECT count(*) FROM knows k WHERE k.src = person.id)";
    assert_eq!(lines(&client, sql).await, ["ada 2"]);
    let sql = "INSERT INTO person (slug, name) VALUES ('ada', 'x') ON CONFLICT (slug) DO UPDATE \
               SET age = (SELECT max(age) FROM person) WHERE person.age < (SELECT 100) RETURNING age";
    assert_eq!(lines(&client, sql).await, ["40"]);
    let sql = "SELECT (SELECT count(*) FROM knows k WHERE k.src = p.id) AS n, count(*) FROM person p GROUP BY 1 ORDER BY 1";
    assert_eq!(lines(&client, sql).await, ["0 1", "1 2", "2 1"]);
    let sql = "SELECT p.slug, k.dst FROM person p LEFT JOIN knows k ON k.src = p.id AND k.dst IN (SELECT id FROM person WHERE age > 30) ORDER BY 1, 2";
    assert_eq!(
        lines(&client, sql).await,
        ["ada bob", "bob ∅", "cyd ∅", "dan ada"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_of_the_share_asked_for() {
    let (_server, client) = people().await;
    for (sql, expected) in [
        (
            "SELECT count(*) FROM person TABLESAMPLE BERNOULLI (100)",
            "4",
        ),
        ("SELECT count(*) FROM person TABLESAMPLE SYSTEM (0)", "0"),
    ] {
        assert_eq!(one(&client, sql).await, expected, "{sql}");
    }
    let sql = "SELECT slug FROM person TABLESAMPLE BERNOULLI (50) REPEATABLE (3) ORDER BY 1";
    assert_eq!(lines(&client, sql).await, lines(&client, sql).await);
    let sql = "SELECT * FROM person TABLESAMPLE BERNOULLI (101)";
    assert_eq!(code(client.simple_query(sql).await), "2202H");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_is_laid_out_as_postgresql_does() {
    let (_server, client) = people().await;
    assert_eq!(
        plan(&client, "SELECT name FROM person WHERE id = 'ada'").await,
        "Index Scan using person_pkey on person\n  Index Cond: (id = 'ada'::text)"
    );
    let told = plan(&client, "SELECT count(*) FROM person WHERE age > 30").await;
    assert_eq!(
        told,
        "Aggregate\n  ->  Seq Scan on person\n        Filter: (age > 30)"
    );
    let told = plan(
        &client,
        "SELECT p.name FROM person p JOIN knows k ON k.src = p.id",
    )
    .await;
    assert!(told.starts_with("Hash Join\n  Hash Cond: ("), "{told}");
    assert!(told.contains("\n        ->  Seq Scan on "), "{told}");
    assert_eq!(
        plan(&client, "DELETE FROM person WHERE id = 'ada'").await,
        "Delete on person\n  ->  Index Scan using person_pkey on person\n        Index Cond: (id = 'ada'::text)"
    );
    let sql = "EXPLAIN (ANALYZE, FORMAT JSON) SELECT name FROM person";
    let document = one(&client, sql).await;
    let document: serde_json::Value = serde_json::from_str(&document).expect("one JSON document");
    let root = &document[0]["Plan"];
    assert_eq!(root["Node Type"], "Seq Scan");
    assert_eq!(root["Relation Name"], "person");
    assert_eq!(root["Actual Rows"], 4);
    assert!(document[0]["Execution Time"].is_number());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_may_be_computed() {
    let (_server, client) = people().await;
    for (sql, expected) in [
        (
            "SELECT slug FROM person ORDER BY slug LIMIT (SELECT 2)",
            &["ada", "bob"][..],
        ),
        (
            "SELECT slug FROM person ORDER BY slug DESC LIMIT 1 + 1 OFFSET (SELECT count(*) FROM knows) - 3",
            &["cyd", "bob"],
        ),
        (
            "SELECT slug FROM person ORDER BY slug LIMIT (SELECT NULL::int) OFFSET 2",
            &["cyd", "dan"],
        ),
        (
            "SELECT slug FROM person ORDER BY slug OFFSET length('abc')",
            &["dan"],
        ),
        (
            "SELECT p.slug, f.slug FROM person p, LATERAL (SELECT slug FROM person q WHERE q.slug > p.slug ORDER BY slug LIMIT (SELECT 1)) f ORDER BY 1",
            &["ada bob", "bob cyd", "cyd dan"],
        ),
    ] {
        assert_eq!(lines(&client, sql).await, expected, "{sql}");
    }
    for (sql, state) in [
        ("SELECT 1 LIMIT (SELECT -1)", "2201W"),
        ("SELECT 1 OFFSET (SELECT -1)", "2201X"),
        ("SELECT slug FROM person LIMIT age", "42703"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), state, "{sql}");
    }
    let ties = "SELECT src FROM knows ORDER BY src FETCH FIRST 1 ROW WITH TIES";
    assert_eq!(rows(&client, ties).await.len(), 2);
    let behind = "SELECT src FROM knows ORDER BY src OFFSET 1 FETCH FIRST 1 ROW WITH TIES";
    assert_eq!(rows(&client, behind).await.len(), 1);
    let unordered = "SELECT src FROM knows FETCH FIRST 1 ROW WITH TIES";
    assert_eq!(code(client.simple_query(unordered).await), "42601");
    let limited = "SELECT slug FROM person ORDER BY slug LIMIT (SELECT 2)";
    assert!(plan(&client, limited).await.starts_with("Limit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_tells_what_it_listens_to() {
    let server = Server::start().await;
    let client = server.client().await;
    let listening = "SELECT * FROM pg_listening_channels()";
    assert_eq!(lines(&client, listening).await, [""; 0]);
    run(&client, "LISTEN news; LISTEN weather").await;
    assert_eq!(lines(&client, listening).await, ["news", "weather"]);
    run(&client, "UNLISTEN news").await;
    assert_eq!(lines(&client, listening).await, ["weather"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_may_name_a_key_twice_and_read_the_time() {
    let (_server, client) = people().await;
    for sql in [
        "SELECT sum(age) OVER (PARTITION BY name, name ORDER BY slug, slug) FROM person ORDER BY 1 LIMIT 1",
        "SELECT count(now()) OVER (PARTITION BY current_date > '2000-01-01' ORDER BY slug) FROM person ORDER BY 1 LIMIT 1",
        "SELECT max(txid_current()) OVER (PARTITION BY slug ORDER BY slug, age) > 0 FROM person LIMIT 1",
        "SELECT DISTINCT age IS NULL FROM person LIMIT 1",
    ] {
        assert_eq!(rows(&client, sql).await.len(), 1, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_in_the_order_of_the_rows_they_are_made_of() {
    let (_server, client) = people().await;
    for (sql, expected) in [
        (
            "SELECT string_agg(slug, '') FROM (SELECT slug FROM person ORDER BY name DESC) s",
            "dancydbobada",
        ),
        (
            "SELECT array_agg(slug) FROM (SELECT slug FROM person ORDER BY age, name LIMIT 3) s WHERE slug <> 'bob'",
            "{dan,ada}",
        ),
        (
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT array_agg(n) FROM r WHERE n <> 4",
            "{1,2,3,5,6,7,8,9}",
        ),
        (
            "SELECT json_agg(s) FROM (SELECT slug, age FROM person WHERE age < 40 ORDER BY age) s",
            "[{\"slug\":\"dan\",\"age\":20}, \n {\"slug\":\"ada\",\"age\":36}]",
        ),
    ] {
        assert_eq!(one(&client, sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_belong_to_the_query_whose_columns_they_are_over() {
    let (_server, client) = people().await;
    for (sql, expected) in [
        (
            "SELECT (SELECT sum(p.age) FROM knows k LIMIT 1) FROM person p",
            &["96"][..],
        ),
        (
            "SELECT p.age > 30, (SELECT string_agg(p.slug, ',' ORDER BY p.slug)) FROM person p WHERE age > 0 GROUP BY 1 ORDER BY 1",
            &["f dan", "t ada,bob"],
        ),
        (
            "SELECT (SELECT sum(p.age + length(k.src)) FROM knows k) FROM person p WHERE slug = 'dan'",
            &["92"],
        ),
    ] {
        assert_eq!(lines(&client, sql).await, expected, "{sql}");
    }
    for (sql, expected) in [
        (
            "SELECT (SELECT sum(p.age) FROM knows k) FROM person p",
            "21000",
        ),
        (
            "SELECT 1 FROM person p WHERE (SELECT count(p.age)) > 1",
            "42803",
        ),
        (
            "SELECT (SELECT count(p.age)) FROM person p GROUP BY 1",
            "42803",
        ),
        (
            "SELECT row_number() OVER () FROM person GROUP BY 1",
            "42P20",
        ),
        ("SELECT count(*) AS n FROM person GROUP BY n", "42803"),
        ("UPDATE person SET person.name = 'x'", "42703"),
    ] {
        assert_eq!(code(client.batch_execute(sql).await), expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_select_may_have_no_columns_and_strings_several_lines() {
    let (_server, client) = people().await;
    assert_eq!(client.query("SELECT", &[]).await.expect("valid").len(), 1);
    assert_eq!(client.query("SELECT;", &[]).await.expect("valid").len(), 1);
    assert_eq!(one(&client, "SELECT 'a'\n  'b'").await, "ab");
    assert_eq!(code(client.batch_execute("SELECT 'a' 'b'").await), "42601");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_databases_have_the_size_of_their_files() {
    let (_server, client) = people().await;
    let sql = "SELECT pg_relation_size('person') > 500, pg_total_relation_size('knows') > 500, pg_indexes_size('person'), pg_relation_size('person') + pg_relation_size('knows') <= pg_database_size(current_database())";
    assert_eq!(lines(&client, sql).await, ["t t 0 t"]);
    let size = "SELECT pg_relation_size('person')";
    let before: i64 = one(&client, size).await.parse().expect("a number");
    let more = "INSERT INTO person (slug, name) SELECT 'p' || n, repeat('x', 100) || n FROM generate_series(1, 200) n";
    run(&client, more).await;
    let after: i64 = one(&client, size).await.parse().expect("a number");
    assert!(after > before + 1_000, "{before} {after}");
    // A branch shares the files of the one it was made from.
    let database = "SELECT pg_database_size(current_database())";
    let alone = one(&client, database).await;
    run(&client, "CREATE SCHEMA \"b\"").await;
    assert_eq!(one(&client, database).await, alone);
}
