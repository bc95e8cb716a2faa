//! The table functions, called from SQL.

use omnigraph_tests::{Server, code, rows};
use tokio_postgres::Client;
use tokio_postgres::error::ErrorPosition;

/// `ada → bob → cyd → ada`, and `dan`, whom nobody knows.
async fn people() -> (Server, Client) {
    let server = Server::start().await;
    let client = server.client().await;
    for statement in [
        "INSERT INTO person (slug, name) VALUES ('ada', 'Ada'), ('bob', 'Bob'), ('cyd', 'Cyd'), ('dan', 'Dan')",
        "INSERT INTO knows (id, src, dst) VALUES ('1', 'ada', 'bob'), ('2', 'bob', 'cyd'), ('3', 'cyd', 'ada')",
    ] {
        client.batch_execute(statement).await.expect(statement);
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

#[tokio::test(flavor = "multi_thread")]
async fn traverse_walks_with_names_defaults_and_arrays() {
    let (_server, client) = people().await;
    let sql = "SELECT * FROM traverse('knows', start => 'ada', max_hops => 99)";
    assert_eq!(
        lines(&client, sql).await,
        ["ada bob person 1", "ada cyd person 2"]
    );
    let sql = "SELECT id FROM traverse('knows', 'ada')";
    assert_eq!(lines(&client, sql).await, ["bob"]);
    let sql = "SELECT start, id, depth FROM traverse(ARRAY['knows'], ARRAY['dan', 'bob', 'nobody'], 'in', 0, 1)";
    assert_eq!(
        lines(&client, sql).await,
        ["dan dan 0", "bob bob 0", "bob ada 1"]
    );
    let sql = "SELECT id FROM omnigraph.traverse(edges => 'knows', start => 'ada', max_hops => NULL) WHERE depth <= 1";
    assert_eq!(lines(&client, sql).await, ["bob"]);
    let sql = "SELECT p.name, t.depth FROM traverse('knows', 'ada', max_hops => 9) t JOIN person p ON p.id = t.id ORDER BY 1";
    assert_eq!(lines(&client, sql).await, ["Bob 1", "Cyd 2"]);
    let sql = "SELECT count(*) FROM traverse('knows', start => ARRAY(SELECT id FROM person), min_hops => 0, max_hops => 9)";
    assert_eq!(lines(&client, sql).await, ["10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn traverse_takes_parameters() {
    let (_server, client) = people().await;
    let statement = client
        .prepare("SELECT id, depth FROM traverse('knows', $1, max_hops => $2)")
        .await
        .expect("it is known before Bind");
    for (start, hops, expected) in [("ada", 1, 1), ("ada", 5, 2), ("dan", 5, 0)] {
        let found = client
            .query(&statement, &[&start, &hops])
            .await
            .expect("good parameters");
        assert_eq!(found.len(), expected, "{start} {hops}");
    }
}

/// Its plan is kept: each execution has values, a snapshot and a place of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_walk_runs_beside_itself_and_sees_what_was_written() {
    let (_server, mut client) = people().await;
    let counting = client
        .prepare(
            "SELECT count(*), max(depth) FROM traverse('knows', $1, max_hops => 9) WHERE depth > 1",
        )
        .await
        .expect("it is known before Bind");
    let (from_ada, from_dan) = tokio::join!(
        client.query_one(&counting, &[&"ada"]),
        client.query_one(&counting, &[&"dan"])
    );
    let told = |row: Result<tokio_postgres::Row, _>| -> (i64, Option<i32>) {
        let row = row.expect("good parameters");
        (row.get(0), row.get(1))
    };
    assert_eq!(told(from_ada), (1, Some(2)));
    assert_eq!(told(from_dan), (0, None));
    client
        .batch_execute("INSERT INTO knows (src, dst) VALUES ('cyd', 'dan')")
        .await
        .expect("INSERT");
    assert_eq!(
        told(client.query_one(&counting, &[&"ada"]).await),
        (2, Some(3))
    );

    // Two portals of one statement, read in turns.
    let walk = client
        .prepare("SELECT id FROM traverse('knows', $1, max_hops => 9) ORDER BY depth, id")
        .await
        .expect("it is known before Bind");
    let block = client.transaction().await.expect("BEGIN");
    let one = block.bind(&walk, &[&"ada"]).await.expect("a portal");
    let two = block.bind(&walk, &[&"bob"]).await.expect("a portal");
    let mut seen = Vec::new();
    for portal in [&one, &two, &one, &two] {
        let rows = block.query_portal(portal, 1).await.expect("a row");
        seen.push(rows[0].get::<_, String>(0));
    }
    assert_eq!(seen, ["bob", "cyd", "cyd", "ada"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_walks_its_own_writes() {
    let (_server, client) = people().await;
    client.batch_execute("BEGIN").await.expect("BEGIN");
    client
        .batch_execute("INSERT INTO knows (src, dst) VALUES ('cyd', 'dan')")
        .await
        .expect("INSERT");
    client
        .batch_execute("DELETE FROM knows WHERE id = '1'")
        .await
        .expect("DELETE");
    let walk =
        "SELECT id FROM traverse('knows', ARRAY['ada', 'bob'], max_hops => 9) ORDER BY depth, id";
    assert_eq!(lines(&client, walk).await, ["cyd", "ada", "dan"]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    assert_eq!(lines(&client, walk).await, ["bob", "cyd", "ada", "cyd"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbors_are_edges() {
    let (_server, client) = people().await;
    let sql = "SELECT edge_id, direction, id FROM neighbors('knows', 'bob', direction => 'both')";
    assert_eq!(lines(&client, sql).await, ["2 out cyd", "1 in ada"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_told() {
    let (_server, client) = people().await;
    let sql = "SELECT actor, kind, inserted, updated, deleted FROM commits() LIMIT 2";
    assert_eq!(
        lines(&client, sql).await,
        ["ada data 3 0 0", "ada data 4 0 0"]
    );
    client
        .batch_execute("CREATE SCHEMA \"review/1\"")
        .await
        .expect("a new branch");
    client
        .batch_execute("UPDATE \"review/1\".person SET name = 'Robert' WHERE slug = 'bob'")
        .await
        .expect("UPDATE");
    let sql = "SELECT name, ahead, behind FROM branches() ORDER BY name";
    assert_eq!(lines(&client, sql).await, ["main 0 0", "review/1 1 0"]);
    let sql = "SELECT op, kind, type, id, before ->> 'name', after ->> 'name' FROM diff('main', 'review/1')";
    assert_eq!(
        lines(&client, sql).await,
        ["update node person bob Bob Robert"]
    );
    client
        .batch_execute("SET branch = 'review/1'")
        .await
        .expect("it exists");
    assert_eq!(
        lines(&client, "SELECT updated FROM commits() LIMIT 1").await,
        ["1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_have_their_codes() {
    let (_server, client) = people().await;
    for (sql, expected) in [
        ("SELECT * FROM traverse('likes', 'ada')", "22023"),
        ("SELECT * FROM traverse('person', 'ada')", "22023"),
        (
            "SELECT * FROM traverse('knows', 'ada', direction => 'up')",
            "22023",
        ),
        (
            "SELECT * FROM traverse('knows', 'ada', min_hops => 3, max_hops => 2)",
            "22023",
        ),
        (
            "SELECT * FROM traverse('knows', 'ada', direction => NULL)",
            "22004",
        ),
        ("SELECT * FROM traverse('knows')", "42883"),
        ("SELECT * FROM traverse('knows', 'ada', hops => 3)", "42883"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
        assert_eq!(
            lines(&client, "SELECT 1").await,
            ["1"],
            "the connection stays usable"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn algorithms_answer_for_each_node() {
    let (_server, client) = people().await;
    let sql = "SELECT id, out_degree, in_degree FROM degree('knows') ORDER BY id";
    assert_eq!(
        lines(&client, sql).await,
        ["ada 1 1", "bob 1 1", "cyd 1 1", "dan 0 0"]
    );
    for function in ["connected_components", "strongly_connected_components"] {
        let sql = format!(
            "SELECT string_agg(id, ',' ORDER BY id) FROM {function}('knows') GROUP BY component ORDER BY 1"
        );
        assert_eq!(
            lines(&client, &sql).await,
            ["ada,bob,cyd", "dan"],
            "{function}"
        );
    }
    let sql = "SELECT id, triangles FROM triangle_count(edges => 'knows') WHERE triangles > 0 ORDER BY id";
    assert_eq!(lines(&client, sql).await, ["ada 1", "bob 1", "cyd 1"]);
    let sql = "SELECT round(sum(rank)::numeric, 6) FROM pagerank('knows', iterations => 50)";
    assert_eq!(lines(&client, sql).await, ["1.000000"]);
    let sql = "SELECT id, betweenness FROM betweenness('knows') ORDER BY id";
    assert_eq!(
        lines(&client, sql).await,
        ["ada 1", "bob 1", "cyd 1", "dan 0"]
    );
    let sql = "SELECT count(DISTINCT community) FROM label_propagation('knows')";
    assert_eq!(lines(&client, sql).await, ["2"]);
    let sql = "SELECT count(*) FROM degree('wrote')";
    assert_eq!(lines(&client, sql).await, ["4"], "the people, and no note");
    for sql in [
        "SELECT * FROM pagerank('person')",
        "SELECT * FROM pagerank('knows', damping => 2)",
        "SELECT * FROM betweenness('knows', samples => 0)",
        "SELECT * FROM label_propagation('knows', iterations => -1)",
    ] {
        assert_eq!(code(client.simple_query(sql).await), "22023", "{sql}");
    }
}

/// What is wrong with a call, where, and the hint.
async fn refusal(client: &Client, sql: &str) -> (String, u32, String) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let error = error.as_db_error().expect(sql);
    let position = match error.position() {
        Some(ErrorPosition::Original(position)) => *position,
        other => panic!("{sql}: {other:?}"),
    };
    (
        format!("{} {}", error.code().code(), error.message()),
        position,
        error.hint().unwrap_or_default().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_found_under_both_names_of_their_schema() {
    let (_server, client) = people().await;
    for schema in ["omnigraph", "pg_omnigraph", "people.pg_omnigraph"] {
        let sql = format!("SELECT id FROM {schema}.traverse('knows', 'ada')");
        assert_eq!(lines(&client, &sql).await, ["bob"], "{sql}");
    }
    let sql = "SELECT name FROM pg_omnigraph.branches()";
    assert_eq!(lines(&client, sql).await, ["main"]);
    let sql = "SELECT pg_omnigraph.blob_length('\\x0102'), omnigraph.blob_length('\\x01')";
    assert_eq!(lines(&client, sql).await, ["2 1"]);
    let sql = "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'pg_omnigraph' AND p.proname IN ('blob_length', 'branches')";
    assert_eq!(lines(&client, sql).await, ["2"]);
    for sql in [
        "SELECT * FROM main.traverse('knows', 'ada')",
        "SELECT omnigraph.upper('a')",
    ] {
        assert_eq!(code(client.batch_execute(sql).await), "42883", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_fit_says_which_argument_and_why() {
    let (_server, client) = people().await;
    for (sql, message, position, hint) in [
        (
            "SELECT * FROM traverse('knows', start => 5)",
            "42883 function traverse(unknown, start => integer) does not exist",
            42,
            "Argument \"start\" is of type text or text[], not integer: cast the value with ::text.",
        ),
        (
            "SELECT * FROM traverse(start => 'ada')",
            "42883 function traverse(start => unknown) does not exist",
            15,
            "Argument \"edges\" is missing.",
        ),
        (
            "SELECT * FROM traverse('knows', 'ada', hops => 3)",
            "42883 function traverse(unknown, unknown, hops => integer) does not exist",
            48,
            "It has no argument \"hops\".",
        ),
        (
            "SELECT * FROM traverse('knows', 'ada', edges => 'knows')",
            "42883 function traverse(unknown, unknown, edges => unknown) does not exist",
            49,
            "Argument \"edges\" is given twice.",
        ),
        (
            "SELECT * FROM traverse(edges => 'knows', 'ada')",
            "42601 positional argument cannot follow named argument",
            42,
            "",
        ),
        (
            "SELECT make_interval(days => 3, 4)",
            "42601 positional argument cannot follow named argument",
            33,
            "",
        ),
        (
            "SELECT * FROM traverse(edges => 'knows', edges => 'knows')",
            "42601 argument name \"edges\" used more than once",
            42,
            "",
        ),
    ] {
        let (said, at, hinted) = refusal(&client, sql).await;
        assert_eq!((said.as_str(), at), (message, position), "{sql}");
        assert!(hinted.starts_with(hint), "{sql}: {hinted}");
        let signature = "traverse(edges text|text[], start text|text[], direction text DEFAULT 'out'::text, min_hops integer DEFAULT 1, max_hops integer DEFAULT 1).";
        assert!(hint.is_empty() || hinted.ends_with(signature), "{hinted}");
    }
    assert_eq!(lines(&client, "SELECT 1").await, ["1"]);
}
