//! The extended protocol: types before Bind, binary values, prepared statements.

use std::time::Duration;

use omnigraph_tests::{Server, code, run};
use tokio_postgres::types::Type;

#[tokio::test(flavor = "multi_thread")]
async fn types_are_known_before_bind() {
    let server = Server::start().await;
    let client = server.client().await;
    let insert = client
        .prepare(
            "INSERT INTO person (slug, name, age, tags) VALUES ($1, $2, $3, $4) RETURNING id, age",
        )
        .await
        .expect("prepared");
    assert_eq!(
        insert.params(),
        [Type::TEXT, Type::TEXT, Type::INT4, Type::TEXT_ARRAY]
    );
    let columns: Vec<(&str, Type)> = insert
        .columns()
        .iter()
        .map(|column| (column.name(), column.type_().clone()))
        .collect();
    assert_eq!(columns, [("id", Type::TEXT), ("age", Type::INT4)]);
    let lookup = client
        .prepare("SELECT name FROM person WHERE slug = ANY($1) LIMIT $2")
        .await
        .expect("prepared");
    assert_eq!(lookup.params(), [Type::TEXT_ARRAY, Type::INT8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_travel_in_binary() {
    let server = Server::start().await;
    let client = server.client().await;
    let tags = vec!["x".to_owned(), "y z".to_owned()];
    client
        .execute(
            "INSERT INTO person (slug, name, age, tags) VALUES ($1, $2, $3, $4)",
            &[&"ada", &"Ada", &36i32, &tags],
        )
        .await
        .expect("inserted");
    let row = client
        .query_one(
            "SELECT name, age, tags, email FROM person WHERE id = $1",
            &[&"ada"],
        )
        .await
        .expect("a row");
    assert_eq!(row.get::<_, &str>(0), "Ada");
    assert_eq!(row.get::<_, i32>(1), 36);
    assert_eq!(row.get::<_, Vec<String>>(2), tags);
    assert_eq!(row.get::<_, Option<String>>(3), None);
    client
        .execute(
            "INSERT INTO note (text, size, ratio, raw, done) VALUES ($1, $2, $3, $4, $5)",
            &[&"n", &7i64, &0.5f64, &&b"\x00\xff"[..], &true],
        )
        .await
        .expect("inserted");
    let row = client
        .query_one("SELECT size, ratio, raw, done FROM note", &[])
        .await
        .expect("a row");
    assert_eq!(row.get::<_, i64>(0), 7);
    assert_eq!(row.get::<_, f64>(1), 0.5);
    assert_eq!(row.get::<_, &[u8]>(2), b"\x00\xff");
    assert!(row.get::<_, bool>(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_lookup_sees_each_new_commit_and_its_own_transaction() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let lookup = client
        .prepare("SELECT name, age FROM person WHERE slug = $1")
        .await
        .expect("prepared");
    assert!(
        client
            .query_opt(&lookup, &[&"ada"])
            .await
            .expect("runs")
            .is_none()
    );
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('ada', 'Ada')",
    )
    .await;
    let row = client.query_one(&lookup, &[&"ada"]).await.expect("a row");
    assert_eq!(row.get::<_, &str>(0), "Ada");
    let transaction = client.transaction().await.expect("begun");
    transaction
        .execute("UPDATE person SET name = 'A' WHERE slug = $1", &[&"ada"])
        .await
        .expect("updated");
    let row = transaction
        .query_one(&lookup, &[&"ada"])
        .await
        .expect("a row");
    assert_eq!(row.get::<_, &str>(0), "A");
    transaction.rollback().await.expect("rolled back");
    let row = client.query_one(&lookup, &[&"ada"]).await.expect("a row");
    assert_eq!(row.get::<_, &str>(0), "Ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_codes_and_positions() {
    let server = Server::start().await;
    let client = server.client().await;
    for (sql, expected, position) in [
        ("SELEC 1", "42601", Some(1)),
        ("SELECT * FROM nope", "42P01", Some(15)),
        ("SELECT nope FROM person", "42703", Some(8)),
        ("SELECT nope(1)", "42883", Some(8)),
        ("CREATE VIEW v AS SELECT 1", "0A000", None),
        ("SELECT * FROM person p JOIN knows k", "42601", None),
        ("SELECT * FROM person p LEFT JOIN knows k", "42601", None),
        (r"SELECT U&'a\0000b'", "42601", Some(8)),
        ("SELECT lpad('x', 1000000000)", "54000", None),
        (
            "SELECT sum(length(repeat('x' || g, 1000000))) FROM generate_series(1, 5000) g",
            "54000",
            None,
        ),
    ] {
        let error = client.simple_query(sql).await.expect_err(sql);
        let error = error.as_db_error().expect("of the server");
        assert_eq!(error.code().code(), expected, "{sql}");
        if let Some(position) = position {
            assert_eq!(
                error.position(),
                Some(&tokio_postgres::error::ErrorPosition::Original(position)),
                "{sql}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prepare_execute_and_deallocate_by_sql() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "PREPARE add (text, text) AS INSERT INTO person (slug, name) VALUES ($1, $2)",
    )
    .await;
    run(&client, "EXECUTE add('ada', 'Ada')").await;
    assert_eq!(
        code(client.simple_query("EXECUTE add('ada')").await),
        "42601"
    );
    assert_eq!(
        code(client.simple_query("PREPARE add AS SELECT 1").await),
        "42P05"
    );
    run(&client, "DEALLOCATE add").await;
    assert_eq!(
        code(client.simple_query("EXECUTE add('bob', 'Bob')").await),
        "26000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_can_be_cancelled_and_times_out() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "SET statement_timeout = '100ms'").await;
    assert_eq!(
        code(client.simple_query("SELECT pg_sleep(30)").await),
        "57014"
    );
    // Also one that never waits, once it is done.
    run(&client, "SET statement_timeout = '1ms'").await;
    let busy = "SELECT sum(length(repeat('x' || g, 10))) FROM generate_series(1, 200000) g";
    assert_eq!(code(client.simple_query(busy).await), "57014");
    run(&client, "SET statement_timeout = 0").await;
    let token = client.cancel_token();
    let cancel = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        token.cancel_query(tokio_postgres::NoTls).await
    });
    assert_eq!(
        code(
            client
                .simple_query("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
                .await
        ),
        "57014"
    );
    cancel.await.expect("joined").expect("sent");
    run(&client, "SELECT 1").await;
}

/// It reads no table, so it is kept whole; what it says of the session is of each execution.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_plan_without_a_table_speaks_of_now() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "CREATE SCHEMA dev").await;
    let statement = client
        .prepare("SELECT 1 + 1, current_schema(), now()::text, current_setting('application_name')")
        .await
        .expect("prepared");
    let mut times = std::collections::BTreeSet::new();
    for (branch, name) in [("main", "a"), ("main", "b"), ("dev", "b"), ("main", "c")] {
        run(&client, &format!("SET branch = '{branch}'")).await;
        run(&client, &format!("SET application_name = '{name}'")).await;
        for _ in 0..2 {
            let row = client.query_one(&statement, &[]).await.expect("a row");
            assert_eq!(row.get::<_, i32>(0), 2);
            assert_eq!(row.get::<_, &str>(1), branch);
            times.insert(row.get::<_, String>(2));
            assert_eq!(row.get::<_, &str>(3), name);
        }
    }
    assert_eq!(times.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_plan_serves_all_values() {
    let server = Server::start().await;
    let client = server.client().await;
    client
        .batch_execute(
            "INSERT INTO person (slug, name, age) VALUES ('ada', 'Ada', 36), ('bob', 'Bob', NULL), ('cyd', 'Cyd', 9)",
        )
        .await
        .expect("inserted");
    // A comparison, which any value fits; a condition that is another one for NULL; a LIMIT.
    let statement = client
        .prepare(
            "SELECT slug FROM person WHERE name LIKE $1 AND ($2::int4 IS NULL OR age > $2) ORDER BY slug LIMIT $3",
        )
        .await
        .expect("prepared");
    let by_name = client
        .prepare("SELECT count(*), max(age) FROM person WHERE name >= $1 AND slug = ANY($2)")
        .await
        .expect("prepared");
    for _ in 0..2 {
        for (like, above, limit, expected) in [
            ("%", None, 9i64, vec!["ada", "bob", "cyd"]),
            ("%", Some(10), 9, vec!["ada"]),
            ("%d%", Some(1), 1, vec!["ada"]),
            ("C%", None, 1, vec!["cyd"]),
            ("%", None, 0, vec![]),
        ] {
            let rows = client
                .query(&statement, &[&like, &above, &limit])
                .await
                .expect("rows");
            let found: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(found, expected, "{like} {above:?} {limit}");
        }
        for (least, slugs, count, oldest) in [
            ("A", vec!["ada", "bob"], 2i64, Some(36)),
            ("B", vec!["ada", "bob"], 1, None),
            ("A", vec![], 0, None),
            ("A", vec!["cyd", "cyd"], 1, Some(9)),
        ] {
            let row = client
                .query_one(&by_name, &[&least, &slugs])
                .await
                .expect("a row");
            assert_eq!(row.get::<_, i64>(0), count, "{least} {slugs:?}");
            assert_eq!(row.get::<_, Option<i32>>(1), oldest, "{least} {slugs:?}");
        }
    }
}
