//! BEGIN, COMMIT, ROLLBACK, savepoints, and what a commit is.

use omnigraph_tests::{Server, code, one, run};

async fn commits(client: &tokio_postgres::Client) -> usize {
    one(client, "SELECT count(*) FROM commits()")
        .await
        .parse()
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_statement_is_one_commit_and_reading_is_none() {
    let server = Server::start().await;
    let client = server.client().await;
    let before = commits(&client).await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('ada', 'Ada'), ('bob', 'Bob')",
    )
    .await;
    let first = one(&client, "SHOW last_commit").await;
    assert_eq!(commits(&client).await, before + 1);
    run(&client, "UPDATE person SET age = 36 WHERE slug = 'ada'").await;
    run(&client, "SELECT * FROM person").await;
    run(&client, "DELETE FROM person WHERE slug = 'nobody'").await;
    assert_eq!(commits(&client).await, before + 2);
    assert_ne!(one(&client, "SHOW last_commit").await, first);
    assert_eq!(
        one(&client, "SHOW last_commit").await,
        one(&client, "SHOW snapshot_commit").await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_one_commit_and_a_rollback_is_none() {
    let server = Server::start().await;
    let client = server.client().await;
    let other = server.client().await;
    let before = commits(&client).await;
    run(&client, "BEGIN").await;
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
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "2");
    assert_eq!(one(&other, "SELECT count(*) FROM person").await, "0");
    run(&client, "SET LOCAL commit_message = 'two people'; COMMIT").await;
    assert_eq!(one(&other, "SELECT count(*) FROM person").await, "2");
    assert_eq!(commits(&client).await, before + 1);
    assert_eq!(
        one(&client, "SELECT message FROM commits() LIMIT 1").await,
        "two people"
    );
    run(&client, "BEGIN; DELETE FROM person; ROLLBACK").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "2");
    assert_eq!(commits(&client).await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_string_is_one_commit() {
    let server = Server::start().await;
    let client = server.client().await;
    let before = commits(&client).await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('a', 'A'); INSERT INTO person (slug, name) VALUES ('b', 'B')",
    )
    .await;
    assert_eq!(commits(&client).await, before + 1);
    let failed = client
        .simple_query("INSERT INTO person (slug, name) VALUES ('c', 'C'); SELECT 1/0")
        .await;
    assert_eq!(code(failed), "22012");
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "2");
    assert_eq!(commits(&client).await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_take_back_part_of_a_block() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "BEGIN; INSERT INTO person (slug, name) VALUES ('a', 'A'); SAVEPOINT s",
    )
    .await;
    assert_eq!(
        code(
            client
                .simple_query("INSERT INTO person (slug, name) VALUES ('a', 'again')")
                .await
        ),
        "23505"
    );
    assert_eq!(code(client.simple_query("SELECT 1").await), "25P02");
    run(
        &client,
        "ROLLBACK TO s; INSERT INTO person (slug, name) VALUES ('b', 'B'); RELEASE s",
    )
    .await;
    assert_eq!(code(client.simple_query("ROLLBACK TO s").await), "3B001");
    // COMMIT of a failed block is a rollback.
    run(&client, "COMMIT").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "0");
    assert_eq!(code(client.simple_query("SAVEPOINT s").await), "25P01");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_reads_one_snapshot() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    run(&client, "BEGIN; SELECT count(*) FROM person").await;
    run(&other, "INSERT INTO person (slug, name) VALUES ('a', 'A')").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "0");
    run(&client, "COMMIT").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_written_by_another_conflict_and_others_do_not() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('a', 'A'), ('b', 'B')",
    )
    .await;
    run(&client, "BEGIN; UPDATE person SET age = 1 WHERE slug = 'a'").await;
    run(&other, "UPDATE person SET age = 2 WHERE slug = 'b'").await;
    run(&client, "COMMIT").await;
    run(&client, "BEGIN; UPDATE person SET age = 3 WHERE slug = 'a'").await;
    run(&other, "UPDATE person SET age = 4 WHERE slug = 'a'").await;
    let lost = client.simple_query("COMMIT").await.expect_err("a conflict");
    let lost = lost.as_db_error().expect("of the server").clone();
    assert_eq!(lost.code().code(), "40001");
    assert!(
        lost.detail()
            .is_some_and(|detail| detail.contains("\"table\":\"person\"")),
        "{lost:?}"
    );
    // The session is idle again.
    run(&client, "BEGIN; ROLLBACK").await;
    assert_eq!(
        one(&client, "SELECT age FROM person WHERE slug = 'a'").await,
        "4"
    );
}

/// A plain INSERT of a key that somebody else inserted meanwhile is a duplicate. What ON CONFLICT
/// decided about a row that was not there rests on that, as under REPEATABLE READ elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_taken_meanwhile_is_a_duplicate_unless_the_statement_would_decide_otherwise() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    for (number, (clause, outcome)) in [
        ("", "23505"),
        ("ON CONFLICT DO NOTHING", "40001"),
        ("ON CONFLICT (slug) DO NOTHING", "40001"),
        (
            "ON CONFLICT (slug) DO UPDATE SET name = excluded.name",
            "40001",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let insert = format!("INSERT INTO person (slug, name) VALUES ('p{number}', 'P') {clause}");
        for session in [&client, &other] {
            run(session, "BEGIN").await;
            run(session, &insert).await;
        }
        run(&client, "COMMIT").await;
        let second = code(other.simple_query("COMMIT").await);
        assert_eq!(second, outcome, "{clause}");
        // On its own it is run again, and then finds the row.
        if outcome == "40001" {
            run(&other, &insert).await;
        }
    }
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn autocommit_statements_are_run_again() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO person (slug, name, age) VALUES ('n', 'N', 0)",
    )
    .await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let client = server.client().await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..5 {
                run(&client, "UPDATE person SET age = age + 1 WHERE slug = 'n'").await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("no conflict is told");
    }
    assert_eq!(
        one(&client, "SELECT age FROM person WHERE slug = 'n'").await,
        "20"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_transactions_refuse_writes() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "BEGIN READ ONLY").await;
    assert_eq!(
        code(
            client
                .simple_query("INSERT INTO person (slug, name) VALUES ('a', 'A')")
                .await
        ),
        "25006"
    );
    run(&client, "ROLLBACK; SET default_transaction_read_only = on").await;
    assert_eq!(
        code(client.simple_query("DELETE FROM person").await),
        "25006"
    );
    run(&client, "BEGIN READ WRITE; DELETE FROM person; COMMIT").await;
    run(&client, "BEGIN ISOLATION LEVEL SERIALIZABLE").await;
    assert_eq!(
        one(&client, "SHOW transaction_isolation").await,
        "serializable"
    );
    run(&client, "COMMIT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serializable_transactions_do_not_skew() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    // Each of these reads what the other writes, and nothing is there to be read.
    for read in [
        "SELECT count(*) FROM person",
        "SELECT 1 FROM person WHERE slug = 'x'",
        "SELECT * FROM traverse('knows', start => ARRAY[]::text[])",
    ] {
        run(
            &client,
            &format!("{begin}; {read}; INSERT INTO note (text) VALUES ('c')"),
        )
        .await;
        run(&other, "INSERT INTO person (slug, name) VALUES ('b', 'B')").await;
        assert_eq!(code(client.simple_query("COMMIT").await), "40001", "{read}");
        run(&client, "DELETE FROM person").await;
    }
    // Reading alone never fails, and a second branch could not be validated.
    run(&client, &format!("{begin}; SELECT count(*) FROM person")).await;
    run(&other, "INSERT INTO person (slug, name) VALUES ('c', 'C')").await;
    run(&other, "CREATE SCHEMA side").await;
    run(&client, "COMMIT").await;
    run(&client, &format!("{begin}; SELECT count(*) FROM person")).await;
    assert_eq!(
        code(
            client
                .simple_query("SELECT count(*) FROM side.person")
                .await
        ),
        "0A000"
    );
    run(&client, "ROLLBACK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_can_be_made_conditional_on_the_head() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "INSERT INTO person (slug, name) VALUES ('a', 'A')").await;
    let head = one(&client, "SELECT id FROM commits() LIMIT 1").await;
    assert_eq!(
        code(client.simple_query("SET expected_head = 'main'").await),
        "22023"
    );
    let write = |slug| {
        format!(
            "BEGIN; SET LOCAL expected_head = '{head}'; INSERT INTO person (slug, name) VALUES ('{slug}', 'B')"
        )
    };
    run(&client, &write("b")).await;
    run(&client, "COMMIT").await;
    run(&client, &write("c")).await;
    assert_eq!(code(client.simple_query("COMMIT").await), "40001");
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "2");
    assert_eq!(one(&client, "SHOW expected_head").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_a_key_counts_once() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    run(
        &client,
        "INSERT INTO person (slug, name, age) VALUES ('a', 'A', 0)",
    )
    .await;
    let add = "BEGIN; SET LOCAL idempotency_key = 'k'; UPDATE person SET age = age + 1; COMMIT";
    run(&client, add).await;
    let first = one(&client, "SHOW last_commit").await;
    // As after a lost answer, on another connection; and what was written meanwhile stays.
    run(&client, "UPDATE person SET name = 'B'").await;
    run(&other, add).await;
    assert_eq!(one(&other, "SHOW last_commit").await, first);
    let seen = "SELECT name || age FROM person";
    assert_eq!(one(&other, seen).await, "B1");
    // Nothing left to write is no other commit either, and a key ends with its transaction.
    run(
        &other,
        "BEGIN; SET LOCAL idempotency_key = 'k'; DELETE FROM person WHERE slug = 'z'; COMMIT",
    )
    .await;
    assert_eq!(one(&other, "SHOW last_commit").await, first);
    run(&other, "UPDATE person SET age = age + 1").await;
    assert_eq!(one(&other, seen).await, "B2");
    for lasting in [
        "SET idempotency_key = 'k'",
        "SELECT set_config('idempotency_key', 'k', false)",
    ] {
        assert_eq!(code(client.simple_query(lasting).await), "0A000");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_commit_is_told() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "INSERT INTO person (slug, name) VALUES ('a', 'A')").await;
    let id = one(&client, "SHOW last_commit").await;
    let ask = format!("SELECT * FROM commit_outcome('{id}')");
    assert_eq!(one(&client, &ask).await, "committed");
    for (query, expected) in [
        (
            "SELECT * FROM commit_outcome('01K7Z3JX5Q8YV2M4N6P8R0T2W4')",
            "42704",
        ),
        ("SELECT * FROM commit_outcome('main')", "22023"),
        ("BEGIN; SELECT * FROM commit_outcome('main')", "25001"),
    ] {
        assert_eq!(code(client.simple_query(query).await), expected, "{query}");
        run(&client, "ROLLBACK").await;
    }
}
