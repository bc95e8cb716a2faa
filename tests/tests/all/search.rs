//! Searching texts and vectors from SQL.

use omnigraph_tests::{Server, one, rows, run};
use tokio_postgres::Client;

const SCHEMA: &str = r#"
node Note {
    slug: String
    title: String?
    body: String?
    size: I32?
    at: Vector(2)?

    @key(slug)
}

edge Cites: Note -> Note
"#;

async fn notes() -> (Server, Client) {
    let server = Server::with(&[("people", SCHEMA)]).await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO note (slug, title, body, size, at) VALUES
         ('a', 'A', 'A small web server', 1, '[1,0]'),
         ('b', 'B', 'A web of servers; a mail server', 2, '[0,1]'),
         ('c', 'C', 'Server for the web, x86-64', 3, '[3,3]'),
         ('d', 'D', NULL, 4, NULL),
         ('e', 'E', 'Nothing of the kind', 5, '[0,0]')",
    )
    .await;
    run(
        &client,
        "INSERT INTO cites (src, dst) VALUES ('a', 'b'), ('c', 'b'), ('b', 'e')",
    )
    .await;
    (server, client)
}

async fn slugs(client: &Client, sql: &str) -> Vec<String> {
    rows(client, sql)
        .await
        .into_iter()
        .map(|row| row[0].clone())
        .collect()
}

async fn fails(client: &Client, sql: &str) -> (String, String) {
    let error = client.simple_query(sql).await.expect_err(sql);
    let error = error.as_db_error().expect("an answer");
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn words_find_rows_with_scores() {
    let (_server, client) = notes().await;
    let sql = "SELECT slug, title, size, round(score::numeric, 4) FROM search('note', 'body', 'small mail')";
    // BM25 by hand: 4 texts of 4, 7, 6 and 4 words; each word is in one of them.
    assert_eq!(
        rows(&client, sql).await,
        [["a", "A", "1", "1.3339"], ["b", "B", "2", "1.0595"]]
    );
    for (call, expected) in [
        ("search('note', 'body', 'web server')", vec!["a", "c", "b"]),
        ("search('note', 'body', 'web server', k => 1)", vec!["a"]),
        ("search('note', 'body', 'web server', k => 0)", vec![]),
        ("search('Note', 'body', 'KIND', k => NULL)", vec!["e"]),
        ("match_text('note', 'body', '\"web server\"')", vec!["a"]),
        ("match_text('note', 'body', 'web -mail x86*')", vec!["c"]),
        ("match_text('note', 'body', 'mail', 10)", vec!["b"]),
        (
            "fuzzy('note', 'body', 'sevrer', edits => 2, k => 9)",
            vec!["a", "c", "b"],
        ),
        ("fuzzy('note', 'body', 'smal')", vec!["a"]),
    ] {
        let sql = format!("SELECT slug FROM {call}");
        assert_eq!(slugs(&client, &sql).await, expected, "{call}");
    }
    let sql = "SELECT n.slug, c.dst FROM search('note', 'body', 'web') n JOIN cites c ON c.src = n.id WHERE n.size < 3 ORDER BY n.score DESC";
    assert_eq!(rows(&client, sql).await, [["a", "b"], ["b", "e"]]);
    assert_eq!(
        one(
            &client,
            "SELECT count(*) FROM search('note', 'body', 'web')"
        )
        .await,
        "3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_searched_is_what_the_statement_reads() {
    let (_server, client) = notes().await;
    let web = "SELECT slug FROM search('note', 'body', 'web') ORDER BY slug";
    run(&client, "CREATE SCHEMA review; SET branch = review").await;
    run(&client, "DELETE FROM note WHERE slug = 'a'").await;
    assert_eq!(slugs(&client, web).await, ["b", "c"]);
    run(&client, "SET branch = main").await;
    assert_eq!(slugs(&client, web).await, ["a", "b", "c"]);
    run(
        &client,
        "BEGIN; UPDATE note SET body = 'web' WHERE slug = 'd'; DELETE FROM note WHERE slug = 'c'",
    )
    .await;
    assert_eq!(slugs(&client, web).await, ["a", "b", "d"]);
    run(
        &client,
        "SAVEPOINT s; INSERT INTO note (slug, body) VALUES ('f', 'web')",
    )
    .await;
    assert_eq!(slugs(&client, web).await, ["a", "b", "d", "f"]);
    run(&client, "ROLLBACK TO s").await;
    assert_eq!(slugs(&client, web).await, ["a", "b", "d"]);
    run(&client, "ROLLBACK").await;
    assert_eq!(slugs(&client, web).await, ["a", "b", "c"]);
    run(&client, "DELETE FROM note WHERE slug = 'b'").await;
    assert_eq!(slugs(&client, web).await, ["a", "c"]);
    run(&client, "SET snapshot = 'main~1'").await;
    assert_eq!(slugs(&client, web).await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_may_be_parameters_and_columns() {
    let (_server, client) = notes().await;
    let statement = client
        .prepare("SELECT slug, score FROM search('note', 'body', $1, k => $2)")
        .await
        .expect("it is known before Bind");
    for (words, expected) in [("mail", 1), ("web", 2), ("nowhere", 0)] {
        let found = client
            .query(&statement, &[&words, &2_i64])
            .await
            .expect("good parameters");
        assert_eq!(found.len(), expected, "{words}");
    }
    let sql = "SELECT w, s.slug FROM (VALUES ('mail'), ('kind')) v (w), LATERAL search('note', 'body', w) s ORDER BY 1";
    assert_eq!(rows(&client, sql).await, [["kind", "e"], ["mail", "b"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_say_what_is_wrong() {
    let (_server, client) = notes().await;
    for (call, code) in [
        ("search('nope', 'body', 'x')", "42P01"),
        ("search('note', 'nope', 'x')", "42703"),
        ("search('note', 'size', 'x')", "22023"),
        ("search('note', 'body', NULL)", "22004"),
        ("search('note', 'body', 'x', k => -1)", "22023"),
        ("fuzzy('note', 'body', 'x', edits => 3)", "22023"),
        ("search('note', 'body')", "42883"),
    ] {
        let sql = format!("SELECT * FROM {call}");
        assert_eq!(fails(&client, &sql).await.0, code, "{call}");
    }
    let (code, message) = fails(&client, "SELECT * FROM search('note', 'size', 'x')").await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "22023",
            "search(): argument \"property\" names \"size\", which is not a text"
        )
    );
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_rows_come_with_their_distance() {
    let (_server, client) = notes().await;
    for (call, expected) in [
        (
            "nearest('note', 'at', '[2,0]', metric => 'l2')",
            vec!["a 1", "e 2", "b 2.23606797749979", "c 3.1622776601683795"],
        ),
        // Without a direction there is no angle.
        (
            "nearest('Note', 'at', '[2,0]', k => NULL)",
            vec!["a 0", "c 0.2928932188134524", "b 1", "e NaN"],
        ),
        ("nearest('note', 'at', '[2,0]', 1, 'ip')", vec!["c -6"]),
        (
            "nearest('note', 'at', ARRAY[2,0]::vector, k => 2, metric => 'l1')",
            vec!["a 1", "e 2"],
        ),
        (
            "nearest('note', 'at', '[2,0]', metric => 'l2', filter => 'size > 1 AND title <> ''E'' OR slug = ''zz''')",
            vec!["b 2.23606797749979", "c 3.1622776601683795"],
        ),
        (
            "nearest('note', 'at', '[2,0]', k => 1, metric => 'l2', filter => 'id IN (SELECT dst FROM cites WHERE src = ''a'')')",
            vec!["b 2.23606797749979"],
        ),
    ] {
        let found = rows(&client, &format!("SELECT slug, distance FROM {call}")).await;
        let found: Vec<String> = found.iter().map(|row| row.join(" ")).collect();
        assert_eq!(found, expected, "{call}");
    }
    let sql = "SELECT n.title, c.dst FROM nearest('note', 'at', '[1,0]', k => 2) n JOIN cites c ON c.src = n.id ORDER BY n.distance";
    assert_eq!(rows(&client, sql).await, [["A", "b"], ["C", "b"]]);
    run(&client, "BEGIN; INSERT INTO note (slug, at) VALUES ('0', '[1,0]'); DELETE FROM note WHERE slug = 'c'").await;
    let nearest = "SELECT slug FROM nearest('note', 'at', '[1,0]', k => 3)";
    assert_eq!(slugs(&client, nearest).await, ["0", "a", "b"]);
    run(&client, "ROLLBACK").await;
    assert_eq!(slugs(&client, nearest).await, ["a", "c", "b"]);
    let prepared = client
        .prepare("SELECT slug FROM nearest('note', 'at', $1::text::vector, k => $2)")
        .await
        .expect("it is known before Bind");
    for count in 1..4 {
        let found = client.query(&prepared, &[&"[1,0]", &count]).await;
        assert_eq!(found.expect("rows").len() as i64, count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_nearest_say_what_is_wrong() {
    let (_server, client) = notes().await;
    for (call, expected) in [
        ("nearest('nope', 'at', '[1,0]')", "42P01"),
        ("nearest('note', 'nope', '[1,0]')", "42703"),
        ("nearest('note', 'size', '[1,0]')", "22023"),
        ("nearest('note', 'at', '[1,0]', metric => 'nope')", "22023"),
        (
            "nearest('note', 'at', '[1,0]', filter => 'size >')",
            "42601",
        ),
        (
            "nearest('note', 'at', '[1,0]', filter => 'nope = 1')",
            "42703",
        ),
        ("nearest('note', 'at', '[1,0]', filter => 'size')", "42804"),
        (
            "nearest('note', 'at', '[1,0]', filter => 'true; DELETE FROM note')",
            "42601",
        ),
        ("nearest('note', 'at', '[1,0,0]')", "22000"),
        ("nearest('note', 'at', '[1,0]', k => -1)", "2201W"),
        ("nearest('note', 'at')", "42883"),
        ("note n, LATERAL nearest('note', 'at', n.at)", "0A000"),
    ] {
        let sql = format!("SELECT * FROM {call}");
        assert_eq!(fails(&client, &sql).await.0, expected, "{call}");
    }
    assert_eq!(one(&client, "SELECT count(*) FROM note").await, "5");
}
