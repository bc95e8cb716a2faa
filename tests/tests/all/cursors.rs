//! DECLARE, FETCH, MOVE, CLOSE.

use omnigraph_tests::{Server, code, rows, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_keeps_its_snapshot() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO person (slug, name) VALUES ('a', 'A'), ('b', 'B'), ('c', 'C')",
    )
    .await;
    run(
        &client,
        "BEGIN; DECLARE c CURSOR FOR SELECT slug FROM person ORDER BY slug",
    )
    .await;
    assert_eq!(rows(&client, "FETCH 2 FROM c").await, [["a"], ["b"]]);
    run(&client, "DELETE FROM person").await;
    assert_eq!(rows(&client, "FETCH ALL c").await, [["c"]]);
    assert_eq!(
        code(client.simple_query("FETCH BACKWARD 1 FROM c").await),
        "55000"
    );
    run(&client, "ROLLBACK").await;
    assert_eq!(code(client.simple_query("FETCH c").await), "34000");
    assert_eq!(
        code(client.simple_query("DECLARE c CURSOR FOR SELECT 1").await),
        "25P01"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_cursor_outlives_its_transaction() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT * FROM generate_series(1, 5); COMMIT",
    )
    .await;
    run(&client, "MOVE 3 IN c").await;
    assert_eq!(rows(&client, "FETCH c").await, [["4"]]);
    assert_eq!(rows(&client, "FETCH PRIOR c").await, [["3"]]);
    run(&client, "CLOSE c").await;
}
