//! Branches as schemas.

use omnigraph_tests::{Server, code, one, rows, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_a_branch_leaves_main_alone() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('ada', 'Ada')",
    )
    .await;
    run(&client, "CREATE SCHEMA \"review/1\"; ").await;
    run(&client, "SET branch = 'review/1'").await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('bob', 'Bob')",
    )
    .await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "2");
    assert_eq!(one(&client, "SELECT count(*) FROM main.person").await, "1");
    assert_eq!(
        rows(
            &client,
            "SELECT p.slug FROM \"review/1\".person p LEFT JOIN main.person m USING (slug) WHERE m.slug IS NULL"
        )
        .await,
        [["bob"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_made_and_dropped_by_the_rules() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "CREATE SCHEMA a; CREATE SCHEMA IF NOT EXISTS a").await;
    for (sql, expected) in [
        ("CREATE SCHEMA a", "42P06"),
        ("CREATE SCHEMA pg_x", "42939"),
        ("CREATE SCHEMA \"a b\"", "42602"),
        ("DROP SCHEMA nope", "3F000"),
        ("DROP SCHEMA main", "2BP01"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
    run(
        &client,
        "INSERT INTO a.person (slug, name) VALUES ('x', 'X')",
    )
    .await;
    assert_eq!(code(client.simple_query("DROP SCHEMA a").await), "2BP01");
    run(&client, "BEGIN").await;
    assert_eq!(
        code(client.simple_query("DROP SCHEMA a CASCADE").await),
        "25001"
    );
    run(&client, "ROLLBACK").await;
    run(&client, "DROP SCHEMA IF EXISTS nope").await;
    run(&client, "DROP SCHEMA a CASCADE").await;
    assert_eq!(
        code(client.simple_query("SELECT * FROM a.person").await),
        "42P01"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_writes_one_branch() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "CREATE SCHEMA b").await;
    run(
        &client,
        "BEGIN; INSERT INTO person (slug, name) VALUES ('a', 'A'); SELECT * FROM b.person",
    )
    .await;
    assert_eq!(
        code(
            client
                .simple_query("INSERT INTO b.person (slug, name) VALUES ('a', 'A')")
                .await
        ),
        "0A000"
    );
    run(
        &client,
        "ROLLBACK; BEGIN; INSERT INTO person (slug, name) VALUES ('a', 'A')",
    )
    .await;
    assert_eq!(code(client.simple_query("CREATE SCHEMA c").await), "25001");
    run(&client, "ROLLBACK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_reads_the_past() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "INSERT INTO person (slug, name) VALUES ('a', 'A')").await;
    run(&client, "INSERT INTO person (slug, name) VALUES ('b', 'B')").await;
    run(&client, "SET snapshot = 'main~1'").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "1");
    assert_eq!(
        code(client.simple_query("DELETE FROM person").await),
        "25006"
    );
    run(&client, "RESET snapshot").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_made_and_deleted_by_functions_too() {
    let server = Server::start().await;
    let client = server.client().await;
    let made = one(
        &client,
        "SELECT * FROM branch_create('x/1', from_ref => 'main')",
    )
    .await;
    assert_eq!(made, one(&client, "SHOW snapshot_commit").await);
    run(&client, "CALL branch_create('x/2')").await;
    assert_eq!(one(&client, "SELECT count(*) FROM branches()").await, "3");
    assert_eq!(
        code(client.simple_query("CALL branch_create('x/2')").await),
        "42P06"
    );
    run(&client, "EXPLAIN SELECT * FROM branch_delete('x/1')").await;
    run(&client, "CALL branch_delete('x/1')").await;
    assert_eq!(one(&client, "SELECT count(*) FROM branches()").await, "2");
    run(&client, "BEGIN").await;
    assert_eq!(
        code(
            client
                .simple_query("SELECT * FROM branch_create('x/3')")
                .await
        ),
        "25001"
    );
}
