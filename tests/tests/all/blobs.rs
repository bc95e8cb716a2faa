//! Blobs through the wire: bytes of any length as `bytea`, and what is known of them unread.

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use omnigraph_tests::{Server, code, one, rows, run};
use tokio_postgres::Client;

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

/// Notes with blobs of some lengths, one empty and one NULL.
async fn notes(client: &Client) {
    for length in [0, 10, 5_000, 3_000_000] {
        let text = format!("n{length}");
        client
            .execute(
                "INSERT INTO note (text, size, raw) VALUES ($1, $2, $3)",
                &[&text, &(length as i64), &noise(length)],
            )
            .await
            .expect("inserted");
    }
    run(client, "INSERT INTO note (text) VALUES ('null')").await;
}

async fn raw(client: &Client, sql: &str) -> Vec<Option<Vec<u8>>> {
    let rows = client.query(sql, &[]).await.expect(sql);
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_back_in_every_clause() {
    let server = Server::start().await;
    let client = server.client().await;
    notes(&client).await;
    let all = raw(&client, "SELECT raw FROM note ORDER BY size NULLS LAST").await;
    let expected: Vec<Option<Vec<u8>>> = [0, 10, 5_000, 3_000_000]
        .map(|length| Some(noise(length)))
        .into_iter()
        .chain([None])
        .collect();
    assert!(all == expected);
    assert!(
        raw(
            &client,
            "SELECT raw FROM note ORDER BY size DESC NULLS LAST LIMIT 1"
        )
        .await
            == expected[3..4]
    );
    assert!(
        raw(
            &client,
            "SELECT x FROM (SELECT raw AS x, size FROM note) s WHERE length(x) = 5000"
        )
        .await
            == expected[2..3]
    );
    for (sql, expected) in [
        ("SELECT count(*) FROM note WHERE raw IS NULL", "1"),
        ("SELECT count(raw) FROM note", "4"),
        ("SELECT count(DISTINCT raw) FROM note", "4"),
        ("SELECT sum(length(raw)) FROM note", "3005010"),
        ("SELECT text FROM note WHERE raw = ''", "n0"),
        ("SELECT text FROM note WHERE length(raw) > 5000", "n3000000"),
        (
            "SELECT max(length(raw)) FROM note WHERE size < 3000000",
            "5000",
        ),
        (
            "SELECT count(*) FROM note a JOIN note b ON a.raw = b.raw",
            "4",
        ),
        (
            "SELECT count(*) FROM note a LEFT JOIN note b ON a.raw = b.raw AND b.size > 10",
            "5",
        ),
        (
            "SELECT length(raw) FROM note GROUP BY raw, size HAVING length(raw) = 10",
            "10",
        ),
        (
            "SELECT length((SELECT raw FROM note b WHERE b.size = a.size)) FROM note a WHERE size = 10",
            "10",
        ),
        (
            "SELECT count(*) FROM note WHERE raw IN (SELECT raw FROM note WHERE size >= 10)",
            "3",
        ),
        (
            "SELECT length(encode(raw, 'hex')) FROM note WHERE size = 5000",
            "10000",
        ),
        (
            "SELECT length(coalesce(raw, 'xyz')) FROM note WHERE text = 'null'",
            "3",
        ),
        (
            "SELECT count(*) FROM (SELECT raw FROM note UNION SELECT raw FROM note) u",
            "5",
        ),
        (
            "WITH w AS (SELECT raw FROM note WHERE size = 10) SELECT length(raw) FROM w",
            "10",
        ),
        (
            "SELECT length(first_value(raw) OVER (ORDER BY size)) FROM note WHERE size = 10",
            "10",
        ),
    ] {
        assert_eq!(one(&client, sql).await, expected, "{sql}");
    }
    assert_eq!(
        one(&client, "SELECT length(r) FROM GRAPH_TABLE (people MATCH (n IS note WHERE n.size = 5000) COLUMNS (n.raw AS r))").await,
        "5000"
    );
    assert_eq!(
        one(&client, "SELECT t FROM GRAPH_TABLE (people MATCH (n IS note WHERE length(n.raw) = 10) COLUMNS (n.text AS t))").await,
        "n10"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_and_parts_are_read_without_the_rest() {
    let server = Server::start().await;
    let client = server.client().await;
    notes(&client).await;
    assert_eq!(
        rows(
            &client,
            "SELECT text, blob_length(raw), blob_uri(raw) FROM note ORDER BY size NULLS LAST"
        )
        .await,
        [
            ["n0", "0", "∅"],
            ["n10", "10", "∅"],
            ["n5000", "5000", "∅"],
            ["n3000000", "3000000", "∅"],
            ["null", "∅", "∅"]
        ]
    );
    let part = raw(
        &client,
        "SELECT blob_read(raw, 2999990, 100) FROM note WHERE size = 3000000",
    )
    .await;
    assert!(part == [Some(noise(3_000_000)[2_999_990..].to_vec())]);
    let parts = raw(
        &client,
        "SELECT blob_read(raw, 4, 3) FROM note ORDER BY size NULLS LAST",
    )
    .await;
    assert!(
        parts
            == [
                Some(vec![]),
                Some(noise(10)[4..7].to_vec()),
                Some(noise(10)[4..7].to_vec()),
                Some(noise(10)[4..7].to_vec()),
                None
            ]
    );
    // Of bytes that no table holds.
    assert_eq!(one(&client, "SELECT blob_length('\\x010203')").await, "3");
    assert!(raw(&client, "SELECT blob_read('\\x010203', 1, 5)").await == [Some(vec![2, 3])]);
    for sql in [
        "SELECT blob_read(raw, -1, 5) FROM note",
        "SELECT blob_read(raw, 0, -5) FROM note",
    ] {
        assert_eq!(code(client.query(sql, &[]).await), "22023", "{sql}");
    }
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

/// Bytes are read above what leaves rows out, and where nobody looks at them not at all.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_read_late_or_not_at_all() {
    let server = Server::start().await;
    let client = server.client().await;
    let steps = |sql: &'static str| {
        let client = &client;
        async move {
            let plan = rows(client, &format!("EXPLAIN (COSTS OFF) {sql}")).await;
            let steps = plan.iter().filter_map(|line| {
                let line = line[0].trim_start().trim_start_matches("->").trim();
                (!line.contains(": ")).then(|| line.to_owned())
            });
            steps.collect::<Vec<_>>()
        }
    };
    let sorted = steps("SELECT raw FROM note ORDER BY size LIMIT 1").await;
    assert_eq!(sorted[0], "Read Blobs", "{sorted:?}");
    assert_eq!(
        sorted.iter().filter(|step| *step == "Read Blobs").count(),
        1
    );
    let filtered = steps("SELECT raw FROM note WHERE size = 1").await;
    assert_eq!(filtered[0], "Read Blobs", "{filtered:?}");
    let compared = steps("SELECT text FROM note WHERE raw = ''").await;
    assert!(compared.contains(&"Read Blobs".to_owned()), "{compared:?}");
    for sql in [
        "SELECT text FROM note ORDER BY size",
        "SELECT count(raw) FROM note",
        "SELECT text FROM note WHERE raw IS NOT NULL",
        "SELECT blob_length(raw), blob_uri(raw) FROM note",
        "SELECT text FROM (SELECT text, raw FROM note) n",
    ] {
        let steps = steps(sql).await;
        assert!(
            !steps.contains(&"Read Blobs".to_owned()),
            "{sql}: {steps:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_keep_their_blobs_through_every_write() {
    let server = Server::start().await;
    let client = server.client().await;
    notes(&client).await;
    let large = [Some(noise(3_000_000))];
    run(&client, "UPDATE note SET done = true").await;
    assert!(raw(&client, "SELECT raw FROM note WHERE size = 3000000").await == large);
    assert!(
        raw(
            &client,
            "UPDATE note SET text = 'x' WHERE size = 3000000 RETURNING raw"
        )
        .await
            == large
    );
    // From one row to another, also by way of an expression.
    run(
        &client,
        "UPDATE note SET raw = b.raw FROM note b WHERE note.text = 'null' AND b.size = 3000000",
    )
    .await;
    assert!(raw(&client, "SELECT raw FROM note WHERE text = 'null'").await == large);
    run(
        &client,
        "UPDATE note SET raw = CASE WHEN done THEN raw END WHERE text = 'null'",
    )
    .await;
    assert!(raw(&client, "SELECT raw FROM note WHERE text = 'null'").await == large);
    run(
        &client,
        "INSERT INTO note (text, raw) SELECT 'copy', raw FROM note WHERE text = 'null'",
    )
    .await;
    assert!(raw(&client, "SELECT raw FROM note WHERE text = 'copy'").await == large);
    run(&client, "UPDATE note SET raw = DEFAULT WHERE text = 'copy'").await;
    assert!(raw(&client, "SELECT raw FROM note WHERE text = 'copy'").await == [None]);
    assert_eq!(
        rows(&client, "INSERT INTO note (text, raw) VALUES ('v', 'abc'), ('w', DEFAULT), ('y', NULL) RETURNING text, length(raw)").await,
        [["v", "3"], ["w", "∅"], ["y", "∅"]]
    );
    run(
        &client,
        "MERGE INTO note n USING (SELECT raw AS r FROM note WHERE size = 5000) s ON n.text = 'v'
         WHEN MATCHED THEN UPDATE SET raw = s.r",
    )
    .await;
    assert_eq!(
        one(&client, "SELECT length(raw) FROM note WHERE text = 'v'").await,
        "5000"
    );
    let deleted = raw(&client, "DELETE FROM note WHERE text = 'v' RETURNING raw").await;
    assert!(deleted == [Some(noise(5_000))]);
    // What a transaction has written it reads, and others do not.
    client
        .batch_execute("BEGIN; UPDATE note SET raw = decode(encode(raw, 'hex') || '7a', 'hex') WHERE size = 3000000")
        .await
        .expect("updated");
    assert_eq!(
        one(&client, "SELECT length(raw) FROM note WHERE size = 3000000").await,
        "3000001"
    );
    let other = server.client().await;
    assert_eq!(
        one(&other, "SELECT length(raw) FROM note WHERE size = 3000000").await,
        "3000000"
    );
    client.batch_execute("ROLLBACK").await.expect("rolled back");
    assert!(raw(&client, "SELECT raw FROM note WHERE size = 3000000").await == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_histories_have_the_bytes() {
    let server = Server::start().await;
    let client = server.client().await;
    let sink = client
        .copy_in::<_, Bytes>("COPY note (text, raw) FROM STDIN")
        .await
        .expect("begun");
    let mut sink = std::pin::pin!(sink);
    let hex: String = noise(5_000)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    sink.send(Bytes::from(format!("a\t\\\\x{hex}\n")))
        .await
        .expect("sent");
    sink.as_mut().finish().await.expect("copied");
    assert!(raw(&client, "SELECT raw FROM note").await == [Some(noise(5_000))]);
    let copied = |sql: &'static str| {
        let client = &client;
        async move {
            let pieces: Vec<Bytes> = client
                .copy_out(sql)
                .await
                .expect(sql)
                .try_collect()
                .await
                .expect(sql);
            String::from_utf8(pieces.concat()).expect("UTF-8")
        }
    };
    assert_eq!(
        copied("COPY note (text, raw) TO STDOUT").await,
        format!("a\t\\\\x{hex}\n")
    );
    let lines = copied("COPY omnigraph.ndjson TO STDOUT").await;
    assert!(lines.contains("\"raw\":\"base64:"), "{lines}");
    run(
        &client,
        "UPDATE note SET raw = decode(encode(raw, 'hex') || '7a', 'hex')",
    )
    .await;
    let before = raw(
        &client,
        "SELECT raw FROM note FOR SYSTEM_TIME AS OF 'main~1'",
    )
    .await;
    assert!(before == [Some(noise(5_000))]);
    let changed = rows(&client, "SELECT op, length(before_raw), length(after_raw) FROM table_diff('note', 'main~1', 'main')").await;
    assert_eq!(changed, [["update", "5000", "5001"]]);
    let told = one(
        &client,
        "SELECT after ->> 'raw' FROM diff('main~1', 'main')",
    )
    .await;
    assert!(
        told.starts_with("sha256:") && told.ends_with(":5001"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn places_outside_are_closed_unless_they_are_allowed() {
    let server = Server::start().await;
    let client = server.client().await;
    for sql in [
        "SELECT blob_from_uri('s3://assets/a')",
        "SELECT blob_from_uri('file:///etc/passwd')",
        "INSERT INTO note (text, raw) VALUES ('a', blob_from_uri('file:///etc/passwd'))",
        "INSERT INTO note (text, raw) SELECT 'a', blob_from_uri('s3://assets/a')",
    ] {
        assert_eq!(code(client.query(sql, &[]).await), "42501", "{sql}");
    }
    let add = "query add($raw: Blob?) { insert Note { text: \"a\", raw: $raw } }";
    let uri = r#"{"raw": "file:///etc/passwd"}"#;
    let constant = format!("SELECT * FROM gq($q${add}$q$, '{uri}')");
    assert_eq!(code(client.query(&constant, &[]).await), "42501");
    let passed = format!("SELECT * FROM gq($q${add}$q$, $1::text::json)");
    assert_eq!(code(client.query(&passed, &[&uri]).await), "42501");
    for sql in [
        "SELECT blob_from_uri('/etc/passwd')",
        "INSERT INTO note (text, raw) VALUES ('a', blob_from_uri('http://assets/a'))",
    ] {
        assert_eq!(code(client.query(sql, &[]).await), "22023", "{sql}");
    }
    let sink = client
        .copy_in::<_, Bytes>("COPY omnigraph.ndjson FROM STDIN")
        .await
        .expect("begun");
    let mut sink = std::pin::pin!(sink);
    let line = r#"{"type":"Note","data":{"text":"a","raw":"file:///etc/passwd"}}"#;
    sink.send(Bytes::from_static(line.as_bytes()))
        .await
        .expect("sent");
    let refused = sink.as_mut().finish().await.expect_err("refused");
    let detail = refused
        .as_db_error()
        .and_then(|error| error.detail().map(str::to_owned));
    let detail = detail.expect("the line");
    assert!(
        detail.contains("line 1: Note.raw: blobs may not be read from file:///etc/passwd"),
        "{detail}"
    );
    assert_eq!(one(&client, "SELECT count(*) FROM note").await, "0");
}

/// A parameter of a query that changes the graph is a value as INSERT has it; of one that reads
/// it is bytes.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_queries_are_blobs() {
    let server = Server::start().await;
    let client = server.client().await;
    let add = "query add($text: String, $raw: Blob?) { insert Note { text: $text, raw: $raw } }";
    let passed = format!("SELECT * FROM gq($q${add}$q$, $1::text::json)");
    // One begins like a reference.
    for (text, raw) in [("a", "AG9tbmlncmFwaC5ibG9iAAE="), ("b", "")] {
        let json = |text: &str| format!(r#"{{"text": "{text}", "raw": "base64:{raw}"}}"#);
        let inserted = client.query(&passed, &[&json(text)]).await;
        inserted.expect("inserted");
        let constant = format!("SELECT * FROM gq($q${add}$q$, '{}')", json("c"));
        run(&client, &constant).await;
        let same = "SELECT string_agg(encode(raw, 'base64'), ' ' ORDER BY text) FROM note WHERE text IN ($1, 'c')";
        let found = client.query_one(same, &[&text]).await.expect(same);
        assert_eq!(found.get::<_, String>(0), format!("{raw} {raw}"));
        run(&client, "DELETE FROM note WHERE text = 'c'").await;
    }
    client
        .query(&passed, &[&r#"{"text": "n"}"#])
        .await
        .expect("NULL");
    assert_eq!(
        one(&client, "SELECT count(*) FROM note WHERE raw IS NULL").await,
        "1"
    );
    let set =
        "query put($text: String, $raw: Blob) { update Note set { raw: $raw } where text = $text }";
    let set = format!(r#"SELECT * FROM gq($q${set}$q$, '{{"text": "n", "raw": "base64:aGk="}}')"#);
    run(&client, &set).await;
    assert_eq!(
        one(
            &client,
            "SELECT encode(raw, 'escape') FROM note WHERE text = 'n'"
        )
        .await,
        "hi"
    );
    let find = "query find($raw: Blob) { match { $n: Note } return { $n.text as text } }";
    let find = format!(r#"SELECT * FROM gq($q${find}$q$, '{{"raw": "s3://assets/a"}}')"#);
    assert_eq!(code(client.query(&find, &[]).await), "22023");
}
