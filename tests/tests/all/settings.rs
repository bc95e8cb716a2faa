//! SET, SHOW, RESET and the startup message.

use omnigraph_tests::{Server, code, one, rows, run};

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_set_shown_and_reset() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "SET statement_timeout = '5s'").await;
    assert_eq!(one(&client, "SHOW statement_timeout").await, "5s");
    run(&client, "SET TIME ZONE 'europe/berlin'").await;
    assert_eq!(one(&client, "SHOW timezone").await, "Europe/Berlin");
    run(&client, "RESET ALL").await;
    assert_eq!(one(&client, "SHOW statement_timeout").await, "0");
    assert_eq!(one(&client, "SHOW TIME ZONE").await, "UTC");
    run(&client, "SET my.custom = 'x'").await;
    assert_eq!(one(&client, "SHOW my.custom").await, "x");
    assert!(rows(&client, "SHOW ALL").await.len() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_and_values_have_their_codes() {
    let server = Server::start().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("SET no_such_guc = 1", "42704"),
        ("SHOW no_such_guc", "42704"),
        ("SET statement_timeout = 'soon'", "22023"),
        ("SET server_version = '17'", "55P02"),
        ("SET branch = 'nope'", "3F000"),
        ("SET ROLE somebody_else", "42501"),
        ("SET client_encoding = 'LATIN1'", "22023"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
    run(
        &client,
        "SET ROLE NONE; SET ROLE ada; SET SESSION AUTHORIZATION DEFAULT",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_takes_settings_back() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "SET work_mem = '1MB'").await;
    run(
        &client,
        "BEGIN; SET work_mem = '2MB'; SAVEPOINT a; SET LOCAL work_mem = '3MB'",
    )
    .await;
    assert_eq!(one(&client, "SHOW work_mem").await, "3MB");
    run(&client, "ROLLBACK TO a").await;
    assert_eq!(one(&client, "SHOW work_mem").await, "2MB");
    run(&client, "ROLLBACK").await;
    assert_eq!(one(&client, "SHOW work_mem").await, "1MB");
    // A query string is one transaction: its error takes the first SET back.
    assert_eq!(
        code(
            client
                .simple_query("SET work_mem = '4MB'; SET jit = perhaps")
                .await
        ),
        "22023"
    );
    assert_eq!(one(&client, "SHOW work_mem").await, "1MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_databases_are_refused_and_postgres_has_no_graph() {
    let server = Server::start().await;
    assert_eq!(code(server.try_client("nope", "ada").await), "3D000");
    assert_eq!(code(server.try_client("people@nope", "ada").await), "3D000");
    let client = server.client_of("postgres", "ada").await;
    assert_eq!(one(&client, "SELECT current_database()").await, "postgres");
    assert_eq!(code(client.simple_query("CREATE SCHEMA x").await), "0A000");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_and_the_branch_are_one_thing() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "CREATE SCHEMA \"review/1\"").await;
    run(&client, "SET branch = 'review/1'").await;
    assert_eq!(one(&client, "SHOW search_path").await, "\"review/1\"");
    assert_eq!(one(&client, "SHOW branch").await, "review/1");
    run(&client, "SET search_path = nowhere, public").await;
    assert_eq!(one(&client, "SHOW branch").await, "main");
    run(&client, "SET search_path = nowhere, \"review/1\", main").await;
    assert_eq!(one(&client, "SHOW branch").await, "review/1");
    run(&client, "SET branch TO DEFAULT").await;
    assert_eq!(one(&client, "SHOW branch").await, "main");
    let other = server.client_of("people@review/1", "ada").await;
    assert_eq!(one(&other, "SHOW branch").await, "review/1");
    assert_eq!(one(&other, "SELECT current_database()").await, "people");
    assert_eq!(one(&other, "SELECT current_schema()").await, "review/1");
}
