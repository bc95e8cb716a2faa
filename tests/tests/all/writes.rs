//! INSERT, UPDATE, DELETE, TRUNCATE.

use omnigraph_tests::{Server, code, one, rows, run};

async fn three(client: &tokio_postgres::Client) {
    run(
        client,
        "INSERT INTO person (slug, name, age, email) VALUES
            ('ada', 'Ada', 36, 'ada@x'), ('bob', 'Bob', NULL, NULL), ('cyd', 'Cyd', 20, 'cyd@x')",
    )
    .await;
    run(
        client,
        "INSERT INTO knows (src, dst) VALUES ('ada', 'bob'), ('bob', 'cyd')",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returning_shows_rows_as_they_are_afterwards() {
    let server = Server::start().await;
    let client = server.client().await;
    assert_eq!(
        rows(
            &client,
            "INSERT INTO person (slug, name) VALUES ('ada', 'Ada'), ('bob', 'Bob') RETURNING id, level, upper(name) AS loud"
        )
        .await,
        [["ada", "low", "ADA"], ["bob", "low", "BOB"]]
    );
    assert_eq!(
        rows(
            &client,
            "UPDATE person SET age = 1, level = DEFAULT WHERE slug = 'ada' RETURNING *"
        )
        .await,
        [["ada", "ada", "Ada", "1", "∅", "∅", "low"]]
    );
    assert_eq!(
        rows(&client, "DELETE FROM person WHERE age = 1 RETURNING slug").await,
        [["ada"]]
    );
    let id = one(&client, "INSERT INTO note (text) VALUES ('x') RETURNING id").await;
    assert_eq!(id.len(), 26, "a node without a key has a ULID: {id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_carry_their_fields() {
    let server = Server::start().await;
    let client = server.client().await;
    three(&client).await;
    for (sql, expected, table) in [
        (
            "INSERT INTO person (slug, name) VALUES ('ada', 'X')",
            "23505",
            "person",
        ),
        (
            "INSERT INTO person (slug, name, email) VALUES ('x', 'X', 'ada@x')",
            "23505",
            "person",
        ),
        ("INSERT INTO person (slug) VALUES ('x')", "23502", "person"),
        (
            "INSERT INTO person (slug, name, age) VALUES ('x', 'X', 200)",
            "23514",
            "person",
        ),
        (
            "INSERT INTO person (slug, name, level) VALUES ('x', 'X', 'middle')",
            "23514",
            "person",
        ),
        (
            "INSERT INTO knows (src, dst) VALUES ('ada', 'nobody')",
            "23503",
            "knows",
        ),
        (
            "INSERT INTO note (text, size) VALUES ('x', -1)",
            "23514",
            "note",
        ),
    ] {
        let error = client.simple_query(sql).await.expect_err(sql);
        let error = error.as_db_error().expect("of the server");
        assert_eq!(error.code().code(), expected, "{sql}");
        assert_eq!(error.table(), Some(table), "{sql}");
        assert_eq!(error.schema(), Some("main"), "{sql}");
    }
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_node_deletes_its_edges() {
    let server = Server::start().await;
    let client = server.client().await;
    three(&client).await;
    run(&client, "DELETE FROM person WHERE slug = 'bob'").await;
    assert_eq!(one(&client, "SELECT count(*) FROM knows").await, "0");
    run(
        &client,
        "INSERT INTO knows (src, dst) VALUES ('ada', 'cyd')",
    )
    .await;
    assert_eq!(code(client.simple_query("TRUNCATE person").await), "0A000");
    run(&client, "TRUNCATE person CASCADE").await;
    assert_eq!(one(&client, "SELECT count(*) FROM knows").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_cannot_change_but_can_be_written_back() {
    let server = Server::start().await;
    let client = server.client().await;
    three(&client).await;
    run(
        &client,
        "UPDATE person SET slug = 'ada', name = 'A' WHERE slug = 'ada'",
    )
    .await;
    assert_eq!(
        code(
            client
                .simple_query("UPDATE person SET slug = 'eve' WHERE slug = 'ada'")
                .await
        ),
        "0A000"
    );
    run(&client, "UPDATE knows SET dst = 'cyd' WHERE src = 'ada'").await;
    assert_eq!(
        one(&client, "SELECT dst FROM knows WHERE src = 'ada'").await,
        "cyd"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_conflict_leaves_or_updates() {
    let server = Server::start().await;
    let client = server.client().await;
    three(&client).await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('ada', 'X'), ('dan', 'Dan'), ('dan', 'Dan 2') ON CONFLICT DO NOTHING",
    )
    .await;
    assert_eq!(
        one(&client, "SELECT name FROM person WHERE slug = 'ada'").await,
        "Ada"
    );
    assert_eq!(
        one(&client, "SELECT name FROM person WHERE slug = 'dan'").await,
        "Dan"
    );
    assert_eq!(
        rows(
            &client,
            "INSERT INTO person AS p (slug, name, age) VALUES ('eve', 'Eve', 1), ('ada', 'Ada II', 2), ('bob', 'Bob II', 3)
             ON CONFLICT (slug) DO UPDATE SET name = excluded.name, age = p.age + excluded.age
             WHERE p.slug <> 'bob' RETURNING slug, name, age"
        )
        .await,
        [["eve", "Eve", "1"], ["ada", "Ada II", "38"]]
    );
    assert_eq!(
        code(
            client
                .simple_query(
                    "INSERT INTO person (slug, name) VALUES ('z', '1'), ('z', '2') ON CONFLICT (slug) DO UPDATE SET name = excluded.name"
                )
                .await
        ),
        "21000"
    );
    assert_eq!(
        code(
            client
                .simple_query("INSERT INTO person (slug, name) VALUES ('z', '1') ON CONFLICT (name) DO NOTHING")
                .await
        ),
        "42P10"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn update_from_and_delete_using_join() {
    let server = Server::start().await;
    let client = server.client().await;
    three(&client).await;
    assert_eq!(
        rows(
            &client,
            "UPDATE person SET age = 50 FROM knows WHERE knows.dst = person.id AND knows.src = 'ada' RETURNING person.slug, knows.src"
        )
        .await,
        [["bob", "ada"]]
    );
    run(
        &client,
        "DELETE FROM knows USING person p WHERE knows.src = p.id AND p.age = 50",
    )
    .await;
    assert_eq!(one(&client, "SELECT count(*) FROM knows").await, "1");
    run(
        &client,
        "INSERT INTO note (text, size) SELECT name, age FROM person ORDER BY slug",
    )
    .await;
    assert_eq!(one(&client, "SELECT sum(size) FROM note").await, "106");
}
