//! Advisory locks between sessions, and what sessions see of each other.

use std::time::Duration;

use omnigraph_tests::{Server, code, one, rows, run};

#[tokio::test(flavor = "multi_thread")]
async fn an_advisory_lock_is_waited_for() {
    let server = Server::start().await;
    let (first, second) = (server.client().await, server.client().await);
    run(&first, "SELECT pg_advisory_lock(7)").await;
    let pid = one(&second, "SELECT pg_backend_pid()").await;
    let waiting = tokio::spawn(async move {
        run(&second, "SELECT pg_advisory_lock(7)").await;
        one(&second, "SELECT pg_advisory_unlock(7)").await
    });
    let blocked = format!("SELECT pg_blocking_pids({pid}) = ARRAY[pg_backend_pid()]");
    while one(&first, &blocked).await != "t" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let locks = "SELECT granted FROM pg_locks WHERE locktype = 'advisory' ORDER BY granted";
    assert_eq!(rows(&first, locks).await, [["f"], ["t"]]);
    assert_eq!(one(&first, "SELECT pg_advisory_unlock(7)").await, "t");
    assert_eq!(waiting.await.expect("no panic"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_with_the_limit_or_a_cancel() {
    let server = Server::start().await;
    let (first, second) = (server.client().await, server.client().await);
    run(&first, "SELECT pg_advisory_lock(7)").await;
    run(&second, "SET lock_timeout = '20ms'").await;
    let wait = "SELECT pg_advisory_lock(7)";
    assert_eq!(code(second.simple_query(wait).await), "55P03");
    run(&second, "SET lock_timeout = 0").await;
    let pid = one(&second, "SELECT pg_backend_pid()").await;
    let waiting = tokio::spawn(async move { code(second.simple_query(wait).await) });
    let blocked = format!("SELECT cardinality(pg_blocking_pids({pid}))");
    while one(&first, &blocked).await != "1" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        one(&first, &format!("SELECT pg_cancel_backend({pid})")).await,
        "t"
    );
    assert_eq!(waiting.await.expect("no panic"), "57014");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_see_what_the_others_do() {
    let server = Server::start().await;
    let (first, second) = (server.client().await, server.client().await);
    run(&second, "SET application_name = 'the other'").await;
    run(&second, "BEGIN; SELECT 42").await;
    let pid = one(&second, "SELECT pg_backend_pid()").await;
    let seen = format!(
        "SELECT state, query, application_name, xact_start IS NOT NULL FROM pg_stat_activity WHERE pid = {pid}"
    );
    assert_eq!(
        rows(&first, &seen).await,
        [[
            "idle in transaction",
            "SELECT pg_backend_pid()",
            "the other",
            "t"
        ]]
    );
    assert_eq!(
        one(&first, &format!("SELECT pg_terminate_backend({pid})")).await,
        "t"
    );
    assert!(second.simple_query("SELECT 1").await.is_err());
    while !rows(&first, &seen).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_has_one_number() {
    let server = Server::start().await;
    let client = server.client().await;
    run(&client, "BEGIN").await;
    let number = one(&client, "SELECT txid_current()").await;
    assert_eq!(one(&client, "SELECT txid_current()").await, number);
    assert_eq!(
        one(&client, "SELECT txid_current_if_assigned()").await,
        number
    );
    run(&client, "COMMIT").await;
    assert_ne!(one(&client, "SELECT txid_current()").await, number);
}
