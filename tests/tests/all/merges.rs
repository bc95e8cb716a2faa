//! Merging branches and comparing states, in SQL.

use omnigraph_tests::{Server, code, one, rows, run};
use tokio_postgres::Client;

/// Statements that end with a line, each in a message and so in a commit of its own.
async fn run_each(client: &Client, statements: &str) {
    for statement in statements.split(";\n") {
        run(client, statement).await;
    }
}

/// Two people who know each other, on `main` and on branch `b`.
async fn branched(server: &Server) -> Client {
    let client = server.client().await;
    run_each(
        &client,
        "INSERT INTO person (slug, name, age) VALUES ('ada', 'Ada', 30), ('bob', 'Bob', 40);
         INSERT INTO knows (id, src, dst) VALUES ('k', 'ada', 'bob');
         CREATE SCHEMA b;",
    )
    .await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_forwarded_merged_and_deleted() {
    let server = Server::start().await;
    let client = branched(&server).await;
    let outcome = "SELECT outcome FROM branch_merge('b')";
    assert_eq!(one(&client, outcome).await, "already up to date");
    run(&client, "UPDATE b.person SET age = 31 WHERE slug = 'ada'").await;
    assert_eq!(
        rows(
            &client,
            "SELECT outcome, inserted, updated, deleted, tables, source_deleted FROM branch_merge('b')"
        )
        .await,
        [[
            "fast-forward",
            "0",
            "1",
            "0",
            r#"{"person": {"deleted": 0, "updated": 1, "inserted": 0}}"#,
            "f"
        ]]
    );
    run_each(
        &client,
        "UPDATE b.person SET age = 32 WHERE slug = 'ada';
         UPDATE person SET name = 'Ada L.' WHERE slug = 'ada';
         INSERT INTO person (slug, name) VALUES ('cyd', 'Cyd')",
    )
    .await;
    let message = "SELECT outcome, source_deleted FROM branch_merge('b', into => 'main', message => 'reviewed', delete_source => true)";
    assert_eq!(rows(&client, message).await, [["merged", "t"]]);
    assert_eq!(
        one(&client, "SHOW last_commit").await,
        one(&client, "SELECT id FROM commits() LIMIT 1").await
    );
    assert_eq!(
        rows(&client, "SELECT slug, name, age FROM person ORDER BY slug").await,
        [
            ["ada", "Ada L.", "32"],
            ["bob", "Bob", "40"],
            ["cyd", "Cyd", "∅"]
        ]
    );
    assert_eq!(
        rows(
            &client,
            "SELECT kind, array_length(parents, 1), message FROM commits() LIMIT 1"
        )
        .await,
        [["merge", "2", "reviewed"]]
    );
    assert_eq!(one(&client, "SELECT count(*) FROM branches()").await, "1");
    assert_eq!(
        rows(
            &client,
            "SELECT op, type, id, before ->> 'age', after ->> 'age' FROM commit_changes('main')"
        )
        .await,
        [["update", "person", "ada", "31", "32"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_told_and_resolved() {
    let server = Server::start().await;
    let client = branched(&server).await;
    run_each(
        &client,
        "UPDATE person SET age = 1 WHERE slug = 'ada';
         UPDATE b.person SET age = 2, email = 'a@x' WHERE slug = 'ada';
         INSERT INTO person (slug, name) VALUES ('x', 'X');
         DELETE FROM b.person WHERE slug = 'bob';
         INSERT INTO knows (id, src, dst) VALUES ('n', 'ada', 'bob')",
    )
    .await;
    let found = "SELECT kind, type, id, property, base, ours, theirs FROM merge_conflicts('b')";
    assert_eq!(
        rows(&client, found).await,
        [
            ["DivergentUpdate", "person", "ada", "age", "30", "1", "2"],
            ["OrphanEdge", "knows", "n", "dst", "∅", "\"bob\"", "∅"],
        ]
    );
    let refused = client.simple_query("SELECT * FROM branch_merge('b')").await;
    let error = refused.expect_err("they disagree");
    let error = error.as_db_error().expect("the server says so").clone();
    assert_eq!(error.code().code(), "MG001");
    assert_eq!(
        error.message(),
        "merging \"b\" into \"main\" meets 2 conflicts"
    );
    let detail: serde_json::Value =
        serde_json::from_str(error.detail().unwrap_or_default()).expect("JSON");
    assert_eq!(detail[0]["kind"], "DivergentUpdate");
    assert_eq!(detail[0]["theirs"], 2);
    assert!(error.hint().unwrap_or_default().contains("merge_conflicts"));
    assert_eq!(
        one(&client, "SELECT age FROM person WHERE slug = 'ada'").await,
        "1"
    );
    // By a write to the source for the one, by choosing a side for the other.
    run(&client, "UPDATE b.person SET age = 1 WHERE slug = 'ada'").await;
    let merge = "SELECT outcome FROM branch_merge('b', on_conflict => 'ours')";
    assert_eq!(one(&client, merge).await, "merged");
    assert_eq!(
        rows(&client, "SELECT slug, age, email FROM person ORDER BY slug").await,
        [["ada", "1", "a@x"], ["bob", "40", "∅"], ["x", "∅", "∅"]]
    );
    assert_eq!(one(&client, "SELECT id FROM knows").await, "n");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_both_branches_changed_are_merged() {
    let server = Server::start().await;
    let client = branched(&server).await;
    let apply = async |branch: &str, edits: &[(&str, &str)]| {
        run(&client, &format!("SET search_path = {branch}")).await;
        let mut wanted = one(&client, "SELECT * FROM schema_source()").await;
        for (from, to) in edits {
            assert!(wanted.contains(from), "{wanted}");
            wanted = wanted.replacen(from, to, 1);
        }
        run(
            &client,
            &format!("SELECT * FROM schema_apply($${wanted}$$)"),
        )
        .await;
        run(&client, "SET search_path = main").await;
    };
    let added = "age: I32?\n nick: String?\n rank: I32?";
    apply("main", &[("age: I32?", added)]).await;
    let renamed = "years: I32? @rename_from(\"age\")\n nick: String?\n rank: I64?";
    apply(
        "b",
        &[("age: I32?", renamed), ("@range(age", "@range(years")],
    )
    .await;
    let found = "SELECT kind, type, id, property, base, ours, theirs FROM merge_conflicts('b')";
    assert_eq!(
        rows(&client, found).await,
        [[
            "DivergentSchema",
            "person",
            "∅",
            "rank",
            "∅",
            "\"rank: I32?\"",
            "\"rank: I64?\""
        ]]
    );
    let refused = client.simple_query("SELECT * FROM branch_merge('b')").await;
    let error = refused.expect_err("they disagree");
    let error = error.as_db_error().expect("the server says so").clone();
    assert_eq!(error.code().code(), "MG001");
    assert!(
        error.hint().unwrap_or_default().contains("definition"),
        "{error:?}"
    );
    apply("b", &[("rank: I64?", "")]).await;
    run_each(
        &client,
        "UPDATE person SET nick = 'countess', rank = 1 WHERE slug = 'ada';
         UPDATE b.person SET nick = 'bobby', years = 41 WHERE slug = 'bob';
         INSERT INTO b.person (slug, name, years) VALUES ('cyd', 'Cyd', 5)",
    )
    .await;
    let merge = "SELECT outcome, inserted, updated FROM branch_merge('b')";
    assert_eq!(rows(&client, merge).await, [["merged", "1", "1"]]);
    let people = "SELECT slug, years, nick, rank FROM person ORDER BY slug";
    assert_eq!(
        rows(&client, people).await,
        [
            ["ada", "30", "countess", "1"],
            ["bob", "41", "bobby", "∅"],
            ["cyd", "5", "∅", "∅"]
        ]
    );
    assert_eq!(
        one(&client, "SELECT nick FROM b.person WHERE slug = 'bob'").await,
        "bobby"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_is_a_statement_of_its_own() {
    let server = Server::start().await;
    let client = branched(&server).await;
    run(
        &client,
        "INSERT INTO b.person (slug, name) VALUES ('x', 'X')",
    )
    .await;
    for (sql, expected) in [
        ("SELECT count(*) FROM person, branch_merge('b') m", "0A000"),
        ("SELECT * FROM branch_merge('nope')", "3F000"),
        ("SELECT * FROM branch_merge('b', into => 'nope')", "3F000"),
        (
            "SELECT * FROM branch_merge('b', on_conflict => 'mine')",
            "22023",
        ),
        (
            "SELECT * FROM branch_merge('b', on_conflict => NULL)",
            "22004",
        ),
        ("SELECT * FROM merge_conflicts('nope')", "3F000"),
        (
            "SELECT * FROM branch_merge('main', 'b', delete_source => true)",
            "0A000",
        ),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
    run(&client, "BEGIN").await;
    assert_eq!(
        code(client.simple_query("SELECT * FROM branch_merge('b')").await),
        "25001"
    );
    run(&client, "ROLLBACK").await;
    run(&client, "SET default_transaction_read_only = on").await;
    assert_eq!(
        code(client.simple_query("CALL branch_merge('b')").await),
        "25006"
    );
    run(&client, "SET default_transaction_read_only = off").await;
    run(&client, "CALL branch_merge('b')").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_compared_with_its_types() {
    let server = Server::start().await;
    let client = branched(&server).await;
    run_each(
        &client,
        "UPDATE b.person SET age = 31, tags = '{x,y}' WHERE slug = 'ada';
         DELETE FROM b.person WHERE slug = 'bob';
         INSERT INTO b.note (id, text, size, big) VALUES ('n', 't', 4000000000, 18446744073709551615)",
    )
    .await;
    assert_eq!(
        rows(
            &client,
            "SELECT op, id, before_age + 1, after_age, after_tags FROM table_diff('person', 'main', 'b')"
        )
        .await,
        [
            ["update", "ada", "31", "31", "{x,y}"],
            ["delete", "bob", "41", "∅", "∅"]
        ]
    );
    assert_eq!(
        rows(
            &client,
            "SELECT id, after_size, after_big FROM table_diff('note', from_ref => 'main', to_ref => 'b')"
        )
        .await,
        [["n", "4000000000", "18446744073709551615"]]
    );
    for (sql, expected) in [
        ("SELECT * FROM table_diff('nope', 'main', 'b')", "42P01"),
        (
            "SELECT * FROM table_diff('person', 'main', 'nope')",
            "3F000",
        ),
        ("SELECT * FROM commit_changes('nope')", "3F000"),
    ] {
        assert_eq!(code(client.simple_query(sql).await), expected, "{sql}");
    }
}
