//! Policies by type, column and row: whoever sees a part of a graph sees what another graph
//! would show from which all else was deleted.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::StreamExt;
use omnigraph_tests::{PEOPLE, Server, code, one, rows, run};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::cluster::{done, edit, tool};
use crate::tool::program;

const CLUSTER: &str = "
version: 1
graphs:
  people: { schema: people.pg, queries: queries/ }
policies:
  base: { file: base.yaml, applies_to: [people] }
";

/// ada sees who is young, or herself; bob changes who is young; cyd does everything.
const POLICY: &str = "
version: 1
groups: { young: [ada], writers: [bob], clerks: [dan], all: [cyd] }
protected_branches: [main]
rules:
  - id: young
    allow: { actors: { group: young }, actions: [read, export] }
    types: [Knows]
    columns: { Person: [slug, name, age, level] }
    where: { Person: \"age < 40 OR slug = actor()\" }
  - id: drafts
    allow: { actors: { group: young }, actions: [branch_create], target_branch_scope: any }
  - id: call
    allow: { actors: { group: young }, actions: [invoke_query] }
  - id: call-too
    allow: { actors: { group: all }, actions: [invoke_query] }
  - id: look
    allow: { actors: { group: writers }, actions: [read], branch_scope: any }
  - id: write
    allow: { actors: { group: writers }, actions: [change], branch_scope: any }
    types: [Knows]
    where: { Person: \"age < 40\" }
  - id: clerks
    allow: { actors: { group: clerks }, actions: [read], branch_scope: any }
  - id: mail
    allow: { actors: { group: clerks }, actions: [change], branch_scope: any }
    columns: { Person: [email] }
  - id: everything
    allow: { actors: { group: all }, actions: [read, export, change], branch_scope: any }
  - id: branches
    allow: { actors: { group: all }, actions: [branch_create, branch_merge], target_branch_scope: any }
";

const QUERY: &str = "
query older($least: I32) {
  match { $p: Person $p.age >= $least }
  return { $p.slug as slug }
  order { $p.slug }
}
";

const ROWS: &str = "
INSERT INTO person (slug, name, age, email) VALUES
  ('ann', 'Ann Young', 20, 'ann@x'), ('ben', 'Ben Young', 30, 'ben@x'), ('cat', 'Cat Young', 35, NULL),
  ('old', 'Old Young', 70, 'old@x'), ('ada', 'Ada Self', 80, 'ada@x'), ('who', 'Who Young', NULL, NULL);
INSERT INTO note (text) VALUES ('secret');
INSERT INTO knows (id, src, dst, since) VALUES
  ('ab', 'ann', 'ben', '2020-01-01'), ('bc', 'ben', 'cat', NULL), ('ao', 'ann', 'old', NULL),
  ('oc', 'old', 'cat', NULL), ('ca', 'cat', 'ada', '2021-01-01'), ('wa', 'who', 'ann', NULL);
";

fn config() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    let here = directory.path();
    std::fs::create_dir(here.join("queries")).expect("a folder");
    for (name, text) in [
        ("cluster.yaml", CLUSTER),
        ("people.pg", PEOPLE),
        ("base.yaml", POLICY),
        ("queries/people.gq", QUERY),
    ] {
        std::fs::write(here.join(name), text).expect("a file");
    }
    directory
}

async fn served() -> Server {
    let directory = config();
    done(directory.path(), &["import"]);
    done(directory.path(), &["apply", "--as", "andrew"]);
    let server = Server::of_cluster(directory, &["ada", "bob", "cyd", "dan"]).await;
    let cyd = server.client_of("people", "cyd").await;
    run(&cyd, ROWS).await;
    server
}

async fn copied(client: &Client, statement: &str) -> Result<String, tokio_postgres::Error> {
    let stream = client.copy_out(statement).await?;
    let mut stream = std::pin::pin!(stream);
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        text.push_str(&String::from_utf8_lossy(&chunk?));
    }
    Ok(text)
}

/// Every way to look at rows.
const LOOKS: &[&str] = &[
    "SELECT slug, name, age, level FROM person ORDER BY slug",
    "SELECT count(*) FROM person",
    "SELECT count(*), max(age) FROM person WHERE age > 10",
    "SELECT slug FROM person WHERE slug = 'old'",
    "SELECT slug FROM person WHERE slug IN ('old', 'ann', 'ada') ORDER BY 1",
    "SELECT name FROM person WHERE id = 'ben'",
    "SELECT id, src, dst, since FROM knows ORDER BY id",
    "SELECT p.name, q.name FROM knows k JOIN person p ON k.src = p.id JOIN person q ON k.dst = q.id ORDER BY k.id",
    "SELECT slug FROM person p WHERE NOT EXISTS (SELECT FROM knows WHERE src = p.id) ORDER BY 1",
    "SELECT dst, count(*) FROM knows GROUP BY dst ORDER BY 1",
    "SELECT slug, row_number() OVER (ORDER BY age DESC) FROM person ORDER BY 1",
    "SELECT slug FROM person FOR SYSTEM_TIME AS OF now() ORDER BY 1",
    "SELECT * FROM GRAPH_TABLE (people MATCH (a)-[k IS knows]->(b IS person) COLUMNS (a.id, b.slug)) ORDER BY 1, 2",
    "SELECT * FROM GRAPH_TABLE (people MATCH (a IS person WHERE a.slug = 'ann')-[IS knows]->{1,4}(b IS person) COLUMNS (b.slug)) ORDER BY 1",
    "SELECT * FROM GRAPH_TABLE (people MATCH ANY SHORTEST (a IS person)-[IS knows]->*(b IS person) COLUMNS (a.slug, b.slug AS other)) ORDER BY 1, 2",
    "SELECT * FROM gq('query q() { match { $p: Person $p knows $f } return { $p.slug as p, $f.slug as f } order { $p.slug, $f.slug } }')",
    "SELECT * FROM gq('query q() { match { $p: Person not { $p knows $_ } } return { $p.slug as p } order { $p.slug } }')",
    "SELECT slug FROM older(20)",
    "SELECT id, depth FROM traverse('knows', 'ann', max_hops => 9) ORDER BY 2, 1",
    "SELECT id, depth FROM traverse('knows', 'old', min_hops => 0, max_hops => 9) ORDER BY 2, 1",
    "SELECT * FROM neighbors('knows', 'ann') ORDER BY 1, 2",
    "SELECT id FROM reachable('knows', ARRAY['ann', 'who']) ORDER BY 1",
    "SELECT id, out_degree, in_degree FROM degree('knows') ORDER BY 1",
    "SELECT count(*) FROM pagerank('knows')",
    "SELECT id, score FROM search('person', 'name', 'young self', k => 10) ORDER BY 1",
    "SELECT id, score FROM match_text('person', 'name', 'old OR self OR young', k => 10) ORDER BY 1",
    "SELECT slug FROM person WHERE to_tsvector('simple', name) @@ to_tsquery('simple', 'old | self | young') ORDER BY 1",
    "WITH RECURSIVE r(id) AS (SELECT 'ann' UNION SELECT dst FROM knows JOIN r ON src = r.id) SELECT * FROM r ORDER BY 1",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_what_a_graph_shows_that_lacks_the_rest() {
    let server = served().await;
    let ada = server.client_of("people", "ada").await;
    let cyd = server.client_of("people", "cyd").await;
    // The same graph without what ada does not see.
    run(&cyd, "CREATE SCHEMA seen").await;
    run(&cyd, "SET branch = 'seen'").await;
    run(
        &cyd,
        "DELETE FROM person WHERE NOT COALESCE(age < 40 OR slug = 'ada', false)",
    )
    .await;
    for sql in LOOKS {
        let expected = rows(&cyd, sql).await;
        assert_eq!(rows(&ada, sql).await, expected, "{sql}");
    }
    assert_eq!(one(&ada, "SELECT count(*) FROM person").await, "4");
    let prepared = ada
        .prepare("SELECT name FROM person WHERE slug = $1")
        .await
        .expect("prepared");
    for (slug, shown) in [("ann", 1), ("old", 0), ("ada", 1), ("who", 0)] {
        let found = ada.query(&prepared, &[&slug]).await.expect("rows");
        assert_eq!(found.len(), shown, "{slug}");
    }
    // Files too.
    for copy in [
        "COPY person (slug, name, age) TO STDOUT",
        "COPY (SELECT slug FROM person ORDER BY slug) TO STDOUT (FORMAT csv)",
    ] {
        let expected = copied(&cyd, copy).await.expect("a file");
        assert_eq!(
            copied(&ada, copy).await.expect("a file"),
            expected,
            "{copy}"
        );
    }
    let lines = copied(&ada, "COPY omnigraph.ndjson TO STDOUT")
        .await
        .expect("a file");
    assert_eq!(lines.lines().count(), 4 + 3, "{lines}");
    for hidden in ["old", "who", "email", "Note", "secret"] {
        assert!(!lines.contains(hidden), "{hidden}: {lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_not_there_for_names_catalogs_and_history() {
    let server = served().await;
    let ada = server.client_of("people", "ada").await;
    let cyd = server.client_of("people", "cyd").await;
    for (sql, expected) in [
        ("SELECT email FROM person", "42703"),
        ("SELECT person.email FROM person", "42703"),
        ("SELECT * FROM note", "42P01"),
        ("SELECT * FROM wrote", "42P01"),
        ("SELECT 'note'::regclass", "42P01"),
        (
            "SELECT * FROM GRAPH_TABLE (people MATCH (n IS note) COLUMNS (n.id))",
            "42704",
        ),
        (
            "SELECT * FROM GRAPH_TABLE (people MATCH (n IS person) COLUMNS (n.email))",
            "42703",
        ),
        ("SELECT schema_source()", "42501"),
        ("SELECT * FROM merge_conflicts('main', 'main')", "42501"),
        ("SELECT * FROM branch_merge('main', 'main')", "42501"),
        ("INSERT INTO person (slug, name) VALUES ('x', 'X')", "42501"),
        ("UPDATE person SET name = 'X'", "42501"),
        // A branch that is not protected would show the same part: rules hold for any branch.
        ("CREATE SCHEMA draft", "no error"),
        ("SELECT count(*) FROM draft.person", "no error"),
    ] {
        assert_eq!(code(ada.simple_query(sql).await), expected, "{sql}");
    }
    assert_eq!(one(&ada, "SELECT count(*) FROM draft.person").await, "4");
    for (sql, expected) in [
        (
            "SELECT string_agg(table_name, ',' ORDER BY table_name) FROM information_schema.tables WHERE table_schema = 'main'",
            "knows,person",
        ),
        (
            "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'main' AND table_name = 'person'",
            "id,slug,name,age,level",
        ),
        (
            "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'person'::regclass AND attnum > 0",
            "id,slug,name,age,level",
        ),
        (
            "SELECT count(*) FROM pg_constraint WHERE conname LIKE '%email%'",
            "0",
        ),
        (
            "SELECT count(*) FROM pg_class WHERE relname LIKE '%email%' OR relname LIKE '%note%'",
            "0",
        ),
        (
            "SELECT reltuples FROM pg_class WHERE relname = 'person' AND relnamespace = 'main'::regnamespace",
            "4",
        ),
        (
            "SELECT string_agg(id, ',' ORDER BY id) FROM (SELECT DISTINCT id FROM changes()) c WHERE id !~ '^0'",
            "ab,ada,ann,bc,ben,ca,cat",
        ),
        ("SELECT count(*) FROM diff('main~1', 'main')", "7"),
        ("SELECT count(*) FROM commit_changes('main')", "7"),
    ] {
        assert_eq!(one(&ada, sql).await, expected, "{sql}");
    }
    // What comes to be young comes to be seen, with its edges.
    run(&cyd, "UPDATE person SET age = 39 WHERE slug = 'old'").await;
    let edges = "SELECT string_agg(id, ',' ORDER BY id) FROM knows";
    assert_eq!(one(&ada, edges).await, "ab,ao,bc,ca,oc");
    let change = "SELECT string_agg(op || ' ' || id, ',' ORDER BY id) FROM diff('main~1', 'main')";
    assert_eq!(one(&ada, change).await, "insert ao,insert oc,insert old");
    assert_eq!(one(&cyd, change).await, "update old");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_keep_to_the_part_that_may_be_changed() {
    let server = served().await;
    let bob = server.client_of("people", "bob").await;
    let dan = server.client_of("people", "dan").await;
    for (sql, expected) in [
        (
            "INSERT INTO person (slug, name, age) VALUES ('new', 'N', 20)",
            "no error",
        ),
        (
            "INSERT INTO person (slug, name, age) VALUES ('aged', 'N', 60)",
            "42501",
        ),
        (
            "INSERT INTO person (slug, name) VALUES ('none', 'N')",
            "42501",
        ),
        (
            "UPDATE person SET name = 'A' WHERE slug = 'ann'",
            "no error",
        ),
        ("UPDATE person SET age = 41 WHERE slug = 'ann'", "42501"),
        ("UPDATE person SET age = 20 WHERE slug = 'old'", "42501"),
        ("UPDATE person SET name = upper(name)", "42501"),
        (
            "INSERT INTO person (slug, name, age) VALUES ('old', 'O', 20) ON CONFLICT (slug) DO UPDATE SET age = 20",
            "42501",
        ),
        (
            "MERGE INTO person p USING (VALUES ('old')) v(s) ON p.slug = v.s WHEN MATCHED THEN DELETE",
            "42501",
        ),
        ("DELETE FROM person WHERE slug = 'old'", "42501"),
        ("DELETE FROM person WHERE slug = 'new'", "no error"),
        ("TRUNCATE knows", "42501"),
        (
            "INSERT INTO knows (src, dst) VALUES ('ann', 'cat')",
            "no error",
        ),
        (
            "INSERT INTO knows (src, dst) VALUES ('ann', 'old')",
            "42501",
        ),
        ("INSERT INTO note (text) VALUES ('n')", "42501"),
        (
            "SELECT * FROM gq('query q() { insert Person { slug: \"old\", name: \"O\", age: 20 } }')",
            "42501",
        ),
        ("SELECT revert('main')", "42501"),
    ] {
        assert_eq!(code(bob.simple_query(sql).await), expected, "{sql}");
    }
    // In a transaction the rest stays, and reads show it.
    run(
        &bob,
        "BEGIN; UPDATE person SET age = 21 WHERE slug = 'ann'; SAVEPOINT s",
    )
    .await;
    assert_eq!(
        code(
            bob.simple_query("DELETE FROM person WHERE slug = 'ada'")
                .await
        ),
        "42501"
    );
    run(&bob, "ROLLBACK TO s").await;
    assert_eq!(
        one(&bob, "SELECT age FROM person WHERE slug = 'ann'").await,
        "21"
    );
    run(&bob, "COMMIT").await;
    assert_eq!(one(&bob, "SELECT sum(age) FROM person").await, "236");
    for (sql, expected) in [
        (
            "UPDATE person SET email = 'o@x' WHERE slug = 'old'",
            "no error",
        ),
        (
            "UPDATE person SET email = NULL, name = 'O' WHERE slug = 'old'",
            "42501",
        ),
        ("INSERT INTO person (slug, name) VALUES ('x', 'X')", "42501"),
    ] {
        assert_eq!(code(dan.simple_query(sql).await), expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_shows_another_part_at_once() {
    let server = served().await;
    let ada = server.client_of("people", "ada").await;
    let statement = ada
        .prepare("SELECT slug FROM person ORDER BY 1")
        .await
        .expect("prepared");
    assert_eq!(ada.query(&statement, &[]).await.expect("rows").len(), 4);
    let here = server.store();
    edit(
        here,
        "base.yaml",
        "age < 40 OR slug = actor()",
        "age < 25 AND actor_in('young') AND NOT actor_in('all')",
    );
    edit(here, "base.yaml", "[slug, name, age, level]", "[slug, age]");
    done(here, &["apply", "--as", "andrew"]);
    for _ in 0..200 {
        if one(&ada, "SELECT count(*) FROM person").await == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let found = ada.query(&statement, &[]).await.expect("rows");
    assert_eq!(
        found
            .iter()
            .map(|row| row.get::<_, &str>(0))
            .collect::<Vec<_>>(),
        ["ann"]
    );
    assert_eq!(
        code(ada.simple_query("SELECT name FROM person").await),
        "42703"
    );
    assert_eq!(one(&ada, "SELECT count(*) FROM knows").await, "0");
}

#[test]
fn parts_are_checked_against_the_schema_and_explained() {
    let directory = config();
    let here: &Path = directory.path();
    done(here, &["validate"]);
    for (from, to, message) in [
        (
            "types: [Knows]\n    columns",
            "types: [Knows, Nobody]\n    columns",
            "there is no type \"Nobody\"",
        ),
        (
            "level]",
            "level, salary]",
            "Person has no column \"salary\"",
        ),
        (
            "age < 40 OR slug = actor()",
            "salary < 40",
            "column \"salary\" does not exist",
        ),
        (
            "age < 40 OR slug = actor()",
            "age < 40; DROP TABLE x",
            "syntax error",
        ),
        (
            "age < 40 OR slug = actor()",
            "age + 7",
            "must be type boolean",
        ),
        (
            "age < 40 OR slug = actor()",
            "EXISTS (SELECT FROM knows)",
            "not supported",
        ),
        (
            "age < 40 OR slug = actor()",
            "now() > '2020-01-01'",
            "not supported",
        ),
        (
            "age < 40 OR slug = actor()",
            "random() < 0.5",
            "not supported",
        ),
        (
            "age < 40 OR slug = actor()",
            "actor_in(slug)",
            "not supported",
        ),
    ] {
        edit(here, "base.yaml", from, to);
        let output = tool(here, &["validate"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{to}");
        assert!(
            text.contains("policy_part_invalid") && text.contains(message),
            "{to}: {text}"
        );
        edit(here, "base.yaml", to, from);
    }
    let explained = Command::new(program())
        .args(["policy", "explain", "base.yaml"])
        .current_dir(here)
        .output()
        .expect("the program runs");
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    let words = "young: young may read, export on any branch: Knows; Person (age, level, name, slug) where age < 40 OR slug = actor()";
    assert!(explained.contains(words), "{explained}");
    assert!(explained.contains("@part(\"Knows; Person ("), "{explained}");
}
