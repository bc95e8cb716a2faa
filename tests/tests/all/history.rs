//! Time travel, tags, going back, the change feed and VACUUM, through the wire.

use std::time::Duration;

use futures::StreamExt;
use omnigraph_tests::{Server, code, one, rows, run};
use tokio_postgres::{AsyncMessage, NoTls};

/// Three commits: ada, bob, and ada renamed.
async fn world() -> (Server, tokio_postgres::Client) {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('ada', 'Ada')",
    )
    .await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('bob', 'Bob')",
    )
    .await;
    run(
        &client,
        "UPDATE person SET name = 'Countess' WHERE slug = 'ada'",
    )
    .await;
    (server, client)
}

/// The first value of a row, counted from 0.
async fn nth(client: &tokio_postgres::Client, sql: &str, row: usize) -> String {
    rows(client, sql).await[row][0].clone()
}

const NAMES: &str = "SELECT name FROM person ORDER BY slug";

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_read_as_of_any_reference() {
    let (_server, client) = world().await;
    let as_of = |reference: &str| {
        format!("SELECT name FROM person FOR SYSTEM_TIME AS OF {reference} ORDER BY slug")
    };
    assert_eq!(rows(&client, &as_of("'main~1'")).await, [["Ada"], ["Bob"]]);
    assert_eq!(rows(&client, &as_of("'main~2' p")).await, [["Ada"]]);
    assert_eq!(rows(&client, &as_of("'main~2' AS p")).await, [["Ada"]]);
    let commit = nth(&client, "SELECT id FROM commits()", 1).await;
    assert_eq!(
        rows(&client, &as_of(&format!("'{commit}'"))).await,
        [["Ada"], ["Bob"]]
    );
    let then = nth(&client, "SELECT created_at FROM commits()", 1).await;
    assert_eq!(
        rows(&client, &as_of(&format!("timestamptz '{then}'"))).await,
        [["Ada"], ["Bob"]]
    );
    assert_eq!(
        rows(&client, &as_of("now()")).await,
        [["Countess"], ["Bob"]]
    );
    // Two points in time in one statement.
    let changed = "SELECT b.name, a.name FROM person a JOIN person FOR SYSTEM_TIME AS OF 'main~1' b USING (slug) WHERE a.name <> b.name";
    assert_eq!(rows(&client, changed).await, [["Ada", "Countess"]]);
    let between = "SELECT count(*) FROM person FOR SYSTEM_TIME AS OF 'main~1' a FULL JOIN person FOR SYSTEM_TIME AS OF 'main~2' b USING (slug) WHERE b.name IS NULL";
    assert_eq!(one(&client, between).await, "1");
    // A branch's table, and a statement that is run again.
    run(&client, "CREATE SCHEMA x").await;
    run(&client, "DELETE FROM x.person").await;
    assert_eq!(
        one(
            &client,
            "SELECT count(*) FROM x.person FOR SYSTEM_TIME AS OF 'x~1'"
        )
        .await,
        "2"
    );
    let prepared = client
        .prepare("SELECT count(*) FROM person FOR SYSTEM_TIME AS OF 'main~1' WHERE slug <> $1")
        .await
        .unwrap();
    for expected in [1i64, 2] {
        let found: i64 = client.query_one(&prepared, &[&"ada"]).await.unwrap().get(0);
        assert_eq!(found, expected);
        run(
            &client,
            "INSERT INTO person (slug, name) VALUES ('cyd', 'Cyd') ON CONFLICT DO NOTHING",
        )
        .await;
        run(&client, "UPDATE person SET age = 1 WHERE slug = 'cyd'").await;
    }
    for (sql, expected) in [
        (as_of("'nope'"), "3F000"),
        (as_of("'main~99'"), "22023"),
        (as_of("'2999-01-01'"), "22023"),
        (as_of("timestamptz '2999-01-01'"), "22023"),
        (as_of("'2001-01-01'"), "22023"),
        (as_of("'a b'"), "22023"),
        (as_of("NULL"), "22004"),
        (as_of("1"), "42846"),
        (
            "SELECT * FROM nothing FOR SYSTEM_TIME AS OF 'main'".to_owned(),
            "42P01",
        ),
    ] {
        assert_eq!(code(client.simple_query(&sql).await), expected, "{sql}");
    }
    assert_eq!(
        code(
            client
                .prepare("SELECT * FROM person FOR SYSTEM_TIME AS OF $1::text")
                .await
        ),
        "0A000"
    );
    // The words it uses are names elsewhere.
    assert_eq!(one(&client, "SELECT count(*) FROM person at").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_are_matched_as_of_any_reference() {
    let (_server, client) = world().await;
    for change in [
        "INSERT INTO knows (src, dst) VALUES ('ada', 'bob')",
        "UPDATE person SET name = 'Robert' WHERE slug = 'bob'",
        "CREATE SCHEMA x",
        "DELETE FROM knows",
        "DELETE FROM x.knows",
    ] {
        run(&client, change).await;
    }
    let graph = one(&client, "SELECT current_database()").await;
    let known = |from: &str| {
        format!(
            "SELECT a, b FROM GRAPH_TABLE ({from} MATCH (x IS person WHERE x.slug = 'ada')\
             -[IS knows]->(y IS person) COLUMNS (x.name AS a, y.name AS b))"
        )
    };
    let as_of = |time: &str| known(&format!("{graph} FOR SYSTEM_TIME AS OF {time}"));
    let none: [[&str; 2]; 0] = [];
    assert_eq!(rows(&client, &known(&graph)).await, none);
    assert_eq!(
        rows(&client, &as_of("'main~1'")).await,
        [["Countess", "Robert"]]
    );
    assert_eq!(
        rows(&client, &as_of("'main~2'")).await,
        [["Countess", "Bob"]]
    );
    assert_eq!(rows(&client, &as_of("'main~3'")).await, none);
    // Another branch, and a pattern inside of the pattern, which reads the same state.
    let on_x = known(&format!("x.{graph} FOR SYSTEM_TIME AS OF 'x~1'"));
    assert_eq!(rows(&client, &on_x).await, [["Countess", "Robert"]]);
    let inside = |time: &str| {
        format!(
            "SELECT n FROM GRAPH_TABLE ({graph} FOR SYSTEM_TIME AS OF {time} MATCH (x IS person) \
             WHERE EXISTS (MATCH (x)-[IS knows]->(y IS person WHERE y.name = 'Bob')) COLUMNS (x.name AS n))"
        )
    };
    assert_eq!(rows(&client, &inside("'main~2'")).await, [["Countess"]]);
    assert_eq!(rows(&client, &inside("'main~1'")).await.len(), 0);
    // Two points in time in one statement, with a parameter.
    let both = format!(
        "SELECT count(*) FROM ({}) o JOIN ({}) n USING (a) WHERE o.b <> n.b AND o.a = $1",
        as_of("'main~2'"),
        as_of("'main~1'")
    );
    let changed = client
        .query_one(&both, &[&"Countess"])
        .await
        .expect("one row");
    assert_eq!(changed.get::<_, i64>(0), 1);
    for (time, expected) in [
        ("'nope'", "3F000"),
        ("$1::text", "0A000"),
        ("NULL", "22004"),
    ] {
        assert_eq!(code(client.prepare(&as_of(time)).await), expected, "{time}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_in_pages() {
    let (_server, client) = world().await;
    let all = rows(&client, "SELECT seq FROM commits()").await;
    assert_eq!(all.len(), 4);
    for offset in 0..5 {
        for limit in 0..5 {
            let page = format!("SELECT seq FROM commits() OFFSET {offset} LIMIT {limit}");
            let expected: Vec<_> = all.iter().skip(offset).take(limit).cloned().collect();
            assert_eq!(rows(&client, &page).await, expected, "{page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_the_past_until_it_is_told_otherwise() {
    let (_server, client) = world().await;
    run(
        &client,
        "SELECT tag_create('v1', 'main~2', message => 'the first')",
    )
    .await;
    for reference in ["main~2", "v1", "tag:v1"] {
        run(&client, &format!("SET snapshot = '{reference}'")).await;
        assert_eq!(rows(&client, NAMES).await, [["Ada"]], "{reference}");
        assert_eq!(one(&client, "SELECT count(*) FROM commits()").await, "2");
        assert_eq!(
            code(client.simple_query("DELETE FROM person").await),
            "25006"
        );
    }
    run(&client, "RESET snapshot").await;
    assert_eq!(rows(&client, NAMES).await, [["Countess"], ["Bob"]]);
    run(&client, "BEGIN; SELECT 1 FROM person").await;
    assert_eq!(
        code(client.simple_query("SET snapshot = 'v1'").await),
        "25001"
    );
    run(&client, "ROLLBACK").await;
    assert_eq!(
        code(client.simple_query("SET snapshot = '2999-01-01'").await),
        "22023"
    );
    run(&client, "BEGIN; SET LOCAL snapshot = 'v1'").await;
    assert_eq!(rows(&client, NAMES).await, [["Ada"]]);
    run(&client, "COMMIT").await;
    assert_eq!(rows(&client, NAMES).await, [["Countess"], ["Bob"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_made_listed_and_taken_away() {
    let (_server, client) = world().await;
    let commit = one(&client, "SELECT tag_create('v1', 'main~1', 'released')").await;
    assert_eq!(
        rows(&client, "SELECT name, commit, actor, message FROM tags()").await,
        [["v1", commit.as_str(), "ada", "released"]]
    );
    assert_eq!(
        rows(
            &client,
            "SELECT name FROM person FOR SYSTEM_TIME AS OF 'v1' ORDER BY slug"
        )
        .await,
        [["Ada"], ["Bob"]]
    );
    for (sql, expected) in [
        ("SELECT tag_create('v1')", "42710"),
        ("CREATE SCHEMA v1", "42710"),
        ("SELECT tag_create('main')", "42P06"),
        ("SELECT tag_create('2026-01-01')", "22023"),
        ("SELECT tag_delete('nope')", "42704"),
        ("BEGIN; SELECT tag_create('v2')", "25001"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
        run(&client, "ROLLBACK").await;
    }
    assert_eq!(
        one(&client, "SELECT branch_create('from_tag', 'v1')").await,
        commit
    );
    assert_eq!(one(&client, "SELECT tag_delete('v1')").await, commit);
    assert!(rows(&client, "SELECT * FROM tags()").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_taken_back_and_branches_led_back() {
    let (_server, client) = world().await;
    let second = nth(&client, "SELECT id FROM commits()", 1).await;
    let made = one(&client, &format!("SELECT revert('{second}')")).await;
    assert_eq!(rows(&client, NAMES).await, [["Countess"]]);
    assert_eq!(
        rows(&client, "SELECT id, kind, deleted FROM commits() LIMIT 1").await,
        [[made.as_str(), "revert", "1"]]
    );
    let first = nth(&client, "SELECT id FROM commits()", 3).await;
    assert_eq!(
        code(
            client
                .simple_query(&format!("SELECT revert('{first}')"))
                .await
        ),
        "22023"
    );
    assert_eq!(
        one(&client, "SELECT branch_reset('main', 'main~2')").await,
        second
    );
    assert_eq!(rows(&client, NAMES).await, [["Ada"], ["Bob"]]);
    assert_eq!(
        rows(&client, "SELECT kind FROM commits() LIMIT 2").await,
        [["reset"], ["data"]]
    );
    assert_eq!(
        code(
            client
                .simple_query("SELECT branch_reset('nope', 'main')")
                .await
        ),
        "3F000"
    );
    assert_eq!(
        code(
            client
                .simple_query("BEGIN; SELECT branch_reset('main', 'main~1')")
                .await
        ),
        "25001"
    );
    run(&client, "ROLLBACK").await;
    run(&client, &format!("CALL branch_reset('main', '{made}')")).await;
    assert_eq!(rows(&client, NAMES).await, [["Countess"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_follows_the_feed_by_its_cursor() {
    let (_server, client) = world().await;
    let all = rows(
        &client,
        "SELECT op, type, id, before ->> 'name', after ->> 'name' FROM changes()",
    )
    .await;
    assert_eq!(
        all,
        [
            ["insert", "person", "ada", "∅", "Ada"],
            ["insert", "person", "bob", "∅", "Bob"],
            ["update", "person", "ada", "Ada", "Countess"],
        ]
    );
    let cursor = nth(&client, "SELECT cursor FROM changes(\"limit\" => 2)", 1).await;
    assert_eq!(
        one(&client, "SELECT count(*) FROM changes(\"limit\" => 2)").await,
        "2"
    );
    let rest = format!("SELECT op, id FROM changes(since => '{cursor}')");
    assert_eq!(rows(&client, &rest).await, [["update", "ada"]]);
    let now = one(&client, "SELECT changes_cursor()").await;
    assert_eq!(
        one(&client, &format!("SELECT count(*) FROM changes('{now}')")).await,
        "0"
    );
    run(&client, "DELETE FROM person WHERE slug = 'bob'").await;
    assert_eq!(
        rows(&client, &format!("SELECT op, id FROM changes('{now}')")).await,
        [["delete", "bob"]]
    );
    run(&client, "CREATE SCHEMA x; SET branch = 'x'").await;
    assert_eq!(code(client.simple_query(&rest).await), "22023");
    assert_eq!(
        code(
            client
                .simple_query("SELECT * FROM changes('nonsense.x')")
                .await
        ),
        "3F000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_reports_and_old_states_are_too_old() {
    let (_server, client) = world().await;
    run(&client, "SELECT tag_create('v1', 'main~2')").await;
    let cursor = one(&client, "SELECT cursor FROM changes(\"limit\" => 1)").await;
    let second = nth(&client, "SELECT id FROM commits()", 1).await;
    for sql in [
        "VACUUM",
        "VACUUM ANALYZE person",
        "VACUUM (VERBOSE, ANALYZE) main.person",
    ] {
        run(&client, sql).await;
    }
    run(&client, "VACUUM (DRY RUN, RETAIN '0', GRACE '0')").await;
    assert_eq!(
        one(
            &client,
            "SELECT count(*) FROM person FOR SYSTEM_TIME AS OF 'main~1'"
        )
        .await,
        "2"
    );
    run(&client, "VACUUM (RETAIN '0 seconds', GRACE '0')").await;
    assert_eq!(rows(&client, NAMES).await, [["Countess"], ["Bob"]]);
    assert_eq!(
        rows(
            &client,
            "SELECT name FROM person FOR SYSTEM_TIME AS OF 'v1'"
        )
        .await,
        [["Ada"]]
    );
    for sql in [
        format!("SELECT * FROM person FOR SYSTEM_TIME AS OF '{second}'"),
        format!("SET snapshot = '{second}'"),
        format!("SELECT * FROM changes('{cursor}')"),
        format!("SELECT branch_create('b', '{second}')"),
    ] {
        assert_eq!(code(client.simple_query(&sql).await), "72000", "{sql}");
    }
    assert_eq!(
        one(
            &client,
            "SELECT count(*) FROM commits() WHERE kind = 'data'"
        )
        .await,
        "3"
    );
    for (sql, expected) in [
        ("VACUUM nope", "42P01"),
        ("VACUUM (RETAIN 'soon')", "22007"),
        ("VACUUM (RETAIN '-1 day')", "22023"),
        ("VACUUM (NONSENSE)", "42601"),
        ("BEGIN; VACUUM", "25001"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
        run(&client, "ROLLBACK").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_other_servers_are_told_to_listeners() {
    let server = Server::start().await;
    let address = server.address();
    let (client, mut connection) = tokio_postgres::Config::new()
        .host(address.ip().to_string())
        .port(address.port())
        .user("ada")
        .dbname("people")
        .connect(NoTls)
        .await
        .unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages =
            futures::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_owned());
            }
        }
    });
    let mut told = async || {
        let payload = tokio::time::timeout(Duration::from_secs(30), receiver.recv()).await;
        let payload = payload.expect("a notification").expect("a connection");
        let payload: serde_json::Value = serde_json::from_str(&payload).unwrap();
        (
            payload["branch"].as_str().unwrap().to_owned(),
            payload["commit"].as_str().unwrap().to_owned(),
        )
    };
    run(&client, "LISTEN commits").await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('ada', 'Ada')",
    )
    .await;
    let own = one(&client, "SHOW last_commit").await;
    assert_eq!(told().await, ("main".to_owned(), own));
    // The same store, opened by somebody else.
    let root = server.store().join("graphs/people.omni");
    let other = omnigraph_tests::open(&root).await;
    let name = omnigraph_tests::branch("x");
    other.create_branch(&name, "main", "eve").await.unwrap();
    let made = omnigraph_tests::delete_everybody(&other, &name).await;
    assert_eq!(told().await, ("x".to_owned(), made));
    let back = other.snapshot("main~1").await.unwrap();
    let shown = other
        .reset_branch(&omnigraph_tests::branch("main"), &back, "eve")
        .await
        .unwrap();
    assert_eq!(
        told().await,
        ("main".to_owned(), shown.commit().to_string())
    );
}
