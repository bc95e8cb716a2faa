//! `SELECT … FOR UPDATE` and its kind.

use omnigraph_tests::{Server, code, one, rows, run};
use tokio_postgres::Client;

async fn people(server: &Server) -> (Client, Client) {
    let (client, other) = (server.client().await, server.client().await);
    run(
        &client,
        "INSERT INTO person (slug, name, age) VALUES ('ada', 'Ada', 1), ('bob', 'Bob', 1)",
    )
    .await;
    (client, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_read_for_update_prevent_write_skew() {
    let server = Server::start().await;
    let (client, other) = people(&server).await;
    let ages = "SELECT sum(age) FROM (SELECT age FROM person";
    // Each may take one away while both are there: without locks both do.
    for (lock, outcome) in [
        ("", "no error"),
        ("FOR UPDATE", "40001"),
        ("FOR NO KEY UPDATE", "40001"),
        ("FOR SHARE", "40001"),
        ("FOR KEY SHARE", "40001"),
        ("FOR UPDATE OF person SKIP LOCKED", "40001"),
        ("WHERE slug = 'bob' FOR UPDATE NOWAIT", "40001"),
        ("WHERE slug = 'ada' FOR SHARE", "no error"),
    ] {
        run(&client, "UPDATE person SET age = 1").await;
        for (session, slug) in [(&client, "bob"), (&other, "ada")] {
            run(session, "BEGIN").await;
            one(session, &format!("{ages} {lock}) p")).await;
            let take = format!("UPDATE person SET age = 0 WHERE slug = '{slug}'");
            run(session, &take).await;
        }
        run(&client, "COMMIT").await;
        let second = code(other.simple_query("COMMIT").await);
        assert_eq!(second, outcome, "{lock}");
    }
}

/// Who cannot lock a row otherwise writes it as it is, to be alone with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_updated_to_what_it_was_is_held_against_others() {
    let server = Server::start().await;
    let (client, other) = people(&server).await;
    for (mine, theirs, outcome) in [("ada", "ada", "40001"), ("ada", "bob", "no error")] {
        for (session, slug) in [(&client, mine), (&other, theirs)] {
            run(session, "BEGIN").await;
            let touch = format!("UPDATE person SET age = age WHERE slug = '{slug}'");
            run(session, &touch).await;
            run(session, "INSERT INTO note (text) VALUES ('x')").await;
        }
        run(&client, "COMMIT").await;
        let second = code(other.simple_query("COMMIT").await);
        assert_eq!(second, outcome, "{theirs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_locks_on_a_row_conflict_and_shared_ones_do_not() {
    let server = Server::start().await;
    let (client, other) = people(&server).await;
    let note = "INSERT INTO note (text) VALUES ('x')";
    for (mine, theirs, outcome) in [
        ("'ada' FOR UPDATE", "'ada' FOR UPDATE", "40001"),
        ("'ada' FOR UPDATE", "'bob' FOR UPDATE", "no error"),
        ("'ada' FOR SHARE", "'ada' FOR SHARE", "no error"),
    ] {
        for (session, lock) in [(&client, mine), (&other, theirs)] {
            run(session, "BEGIN").await;
            run(
                session,
                &format!("SELECT 1 FROM person WHERE slug = {lock}"),
            )
            .await;
            run(session, note).await;
        }
        run(&client, "COMMIT").await;
        let second = code(other.simple_query("COMMIT").await);
        assert_eq!(second, outcome, "{mine} {theirs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_rows_of_the_result_are_locked() {
    let server = Server::start().await;
    let (client, other) = people(&server).await;
    run(
        &client,
        "INSERT INTO knows (src, dst) VALUES ('ada', 'bob')",
    )
    .await;
    let locked = async |query: &str, slug: &str| {
        run(&client, &format!("BEGIN; {query}")).await;
        run(&client, "INSERT INTO note (text) VALUES ('x')").await;
        run(
            &other,
            &format!("UPDATE person SET age = age + 1 WHERE slug = '{slug}'"),
        )
        .await;
        code(client.simple_query("COMMIT").await) == "40001"
    };
    for (query, ada, bob) in [
        (
            "SELECT 1 FROM person ORDER BY slug LIMIT 1 FOR UPDATE",
            true,
            false,
        ),
        (
            "SELECT 1 FROM person ORDER BY slug DESC LIMIT 1 FOR UPDATE",
            false,
            true,
        ),
        (
            "SELECT 1 FROM person p JOIN knows k ON k.src = p.id FOR UPDATE OF p",
            true,
            false,
        ),
        (
            "SELECT 1 FROM person p JOIN knows k ON k.src = p.id JOIN person q ON q.id = k.dst FOR SHARE OF p, q",
            true,
            true,
        ),
        (
            "SELECT 1 FROM person p JOIN knows k ON k.src = p.id FOR UPDATE OF k",
            false,
            false,
        ),
        (
            "SELECT * FROM (SELECT id FROM person WHERE slug = 'bob') x FOR UPDATE",
            false,
            true,
        ),
        (
            "SELECT * FROM (SELECT id FROM person WHERE slug = 'bob' FOR UPDATE) x, person y",
            false,
            true,
        ),
        (
            "WITH x AS (SELECT id FROM person) SELECT * FROM x, note FOR UPDATE",
            false,
            false,
        ),
        (
            "SELECT (SELECT name FROM person WHERE slug = 'ada' FOR UPDATE)",
            true,
            false,
        ),
        (
            "DECLARE c CURSOR FOR SELECT 1 FROM person WHERE slug = 'ada' FOR UPDATE; FETCH c",
            true,
            false,
        ),
        (
            "SAVEPOINT s; SELECT 1 FROM person FOR UPDATE; ROLLBACK TO s",
            false,
            false,
        ),
    ] {
        assert_eq!(locked(query, "ada").await, ada, "{query}: ada");
        assert_eq!(locked(query, "bob").await, bob, "{query}: bob");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_gives_each_job_once() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO person (slug, name, age) SELECT 'job' || n, 'open', 0 FROM generate_series(1, 12) n",
    )
    .await;
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = server.client().await;
        workers.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let next = rows(
                    &worker,
                    "UPDATE person SET name = 'taken', age = age + 1 WHERE id IN (SELECT id FROM person WHERE name = 'open' ORDER BY slug LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING slug",
                )
                .await;
                match next.into_iter().next() {
                    Some(row) => taken.extend(row),
                    None => return taken,
                }
            }
        }));
    }
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.expect("no conflict is told"));
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 12);
    assert_eq!(
        one(&client, "SELECT min(age) + max(age) FROM person").await,
        "2"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_alone_leave_no_trace() {
    let server = Server::start().await;
    let (client, other) = people(&server).await;
    let count = "SELECT count(*) FROM commits()";
    let before = one(&client, count).await;
    // Outside of a block, and in one that writes nothing.
    run(&client, "SELECT * FROM person FOR UPDATE").await;
    run(&client, "BEGIN; SELECT * FROM person FOR UPDATE").await;
    run(&other, "UPDATE person SET age = 5").await;
    run(&client, "COMMIT").await;
    assert_eq!(
        one(&client, count).await,
        (before.parse::<i64>().expect("a number") + 1).to_string()
    );
    let plan = rows(&client, "EXPLAIN SELECT * FROM person FOR UPDATE").await;
    assert!(plan[0][0].starts_with("LockRows"), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn locking_is_writing_one_branch() {
    let server = Server::start().await;
    let (client, other) = people(&server).await;
    run(&client, "CREATE SCHEMA side").await;
    let locking = "SELECT 1 FROM person FOR UPDATE";
    run(&client, "BEGIN READ ONLY").await;
    assert_eq!(code(client.simple_query(locking).await), "25006");
    run(&client, "ROLLBACK").await;
    run(&client, &format!("BEGIN; {locking}")).await;
    let elsewhere = "INSERT INTO side.note (text) VALUES ('x')";
    assert_eq!(code(client.simple_query(elsewhere).await), "0A000");
    run(&client, "ROLLBACK").await;
    let mixed = "INSERT INTO side.note (text) SELECT name FROM person FOR UPDATE";
    assert_eq!(code(other.simple_query(mixed).await), "0A000");
    let past = "SELECT 1 FROM person FOR SYSTEM_TIME AS OF 'main' FOR UPDATE";
    assert_eq!(code(other.simple_query(past).await), "0A000");
    for cursor in ["c CURSOR WITH HOLD", "c SCROLL CURSOR"] {
        let declare = format!("BEGIN; DECLARE {cursor} FOR {locking}");
        assert_eq!(code(other.simple_query(&declare).await), "0A000");
        run(&other, "ROLLBACK").await;
    }
}
