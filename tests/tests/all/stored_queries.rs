//! Stored queries of a cluster as functions and procedures, through the wire.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use omnigraph_tests::{PEOPLE, Server, code, describe, one, rows, run};
use tempfile::TempDir;
use tokio_postgres::types::Type;

use crate::tool::program;

const CLUSTER: &str = "
version: 1
graphs:
  people: { schema: people.pg, queries: queries/ }
policies:
  base: { file: base.yaml, applies_to: [people] }
";

const POLICY: &str = "
version: 1
groups: { all: [ada, bob, cyd], callers: [ada, bob], writers: [ada, cyd] }
rules:
  - id: read
    allow: { actors: { group: all }, actions: [read], branch_scope: any }
  - id: call
    allow: { actors: { group: callers }, actions: [invoke_query] }
  - id: write
    allow: { actors: { group: writers }, actions: [change], branch_scope: any }
";

const GQ: &str = r#"
query findPerson($name: String, $minAge: I32?) @description("People of a name") {
  match { $p: Person { name: $name } $p.age >= $minAge }
  return { $p.slug as slug, $p.age as years }
  order { $p.slug }
}
query friends($of: String) {
  match { $p: Person { slug: $of } $p knows $f }
  return { $f.slug as slug }
}
query meet($a: String, $b: String) { insert Knows { from: $a, to: $b } }
"#;

const SQL: &str = "
-- query: older(least int default 18) returns table(slug text, age int)
-- description: People of at least an age
SELECT slug, age FROM person WHERE age >= :least ORDER BY slug;
-- query: add_person(slug text, name text, age int default NULL)
INSERT INTO person (slug, name, age) VALUES (:slug, :name, :age);
-- query: rename(who text, to_name text)
UPDATE person SET name = :to_name WHERE slug = :who RETURNING slug, name;
";

fn write(here: &Path, name: &str, text: &str) {
    std::fs::write(here.join(name), text).expect("a file");
}

fn tool(here: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program())
        .args(arguments)
        .current_dir(here)
        .env_remove("OMNIGRAPH_ACTOR")
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn done(here: &Path, arguments: &[&str]) -> String {
    let (succeeded, text) = tool(here, arguments);
    assert!(succeeded, "{arguments:?}: {text}");
    text
}

fn config() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    let here = directory.path();
    std::fs::create_dir(here.join("queries")).expect("a folder");
    write(here, "cluster.yaml", CLUSTER);
    write(here, "people.pg", PEOPLE);
    write(here, "base.yaml", POLICY);
    write(here, "queries/people.gq", GQ);
    write(here, "queries/people.sql", SQL);
    directory
}

async fn served() -> Server {
    let directory = config();
    done(directory.path(), &["cluster", "import"]);
    done(directory.path(), &["cluster", "apply", "--as", "andrew"]);
    let server = Server::of_cluster(directory, &["ada", "bob", "cyd"]).await;
    let ada = server.client_of("people", "ada").await;
    for (slug, age) in [("ada", 36), ("bob", 12), ("eve", 20)] {
        let sql = format!("CALL add_person('{slug}', 'N', {age})");
        run(&ada, &sql).await;
    }
    run(&ada, "CALL meet('ada', 'bob')").await;
    run(&ada, "SELECT * FROM meet(b => 'eve', a => 'ada')").await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_relations_with_named_and_typed_parameters() {
    let server = served().await;
    let ada = server.client_of("people", "ada").await;
    for (sql, expected) in [
        // NULL matches nothing.
        ("SELECT * FROM find_person('N')", ""),
        ("SELECT * FROM find_person('N', 0)", "ada 36,bob 12,eve 20"),
        (
            "SELECT * FROM find_person(name => 'N', min_age => 20)",
            "ada 36,eve 20",
        ),
        ("SELECT * FROM omnigraph.find_person('N', NULL)", ""),
        (
            "SELECT f.slug, f.years + 1 FROM find_person('N', 0) f WHERE f.years < 30 ORDER BY 2",
            "bob 13,eve 21",
        ),
        ("SELECT * FROM older()", "ada 36,eve 20"),
        ("SELECT * FROM older(least => 30)", "ada 36"),
        ("SELECT * FROM older(30::bigint)", "ada 36"),
        (
            "SELECT o.slug FROM older(0) AS o(slug, years) JOIN person p USING (slug) ORDER BY p.age",
            "bob,eve,ada",
        ),
        ("SELECT friends('ada') ORDER BY 1", "bob,eve"),
        (
            "SELECT p.slug, f.slug FROM person p, friends(p.slug) f ORDER BY 1, 2",
            "ada bob,ada eve",
        ),
        (
            "SELECT p.slug, o.slug FROM person p CROSS JOIN LATERAL older(p.age) o ORDER BY 1, 2",
            "ada ada,bob ada,bob bob,bob eve,eve ada,eve eve",
        ),
        (
            "SELECT count(*) FROM older((SELECT min(age) FROM person))",
            "3",
        ),
        (
            "WITH person AS (SELECT 1 AS age) SELECT * FROM older(), person",
            "ada 36 1,eve 20 1",
        ),
    ] {
        let found = rows(&ada, sql).await;
        let found: Vec<String> = found.iter().map(|row| row.join(" ")).collect();
        let mut found = found.join(",");
        if sql.contains("friends('ada')") {
            let mut parts: Vec<&str> = found.split(',').collect();
            parts.sort_unstable();
            found = parts.join(",");
        }
        assert_eq!(found, expected, "{sql}");
    }
    for (sql, expected) in [
        ("SELECT * FROM find_person()", "42883"),
        ("SELECT * FROM find_person(who => 'N')", "42883"),
        ("SELECT * FROM find_person(name => 'N', 3)", "42601"),
        ("SELECT * FROM find_person(NULL)", "22023"),
        ("SELECT * FROM older('x')", "22P02"),
        ("SELECT * FROM older(true)", "42883"),
        ("SELECT * FROM person, add_person('x', 'X')", "0A000"),
        ("SELECT * FROM nothing(a => 1)", "42883"),
        ("CALL nothing()", "42883"),
        ("CALL person", "42601"),
        ("CALL meet('ada', 'nobody')", "23503"),
    ] {
        assert_eq!(code(ada.simple_query(sql).await), expected, "{sql}");
    }
    for (sql, wrong) in [
        (
            "SELECT * FROM find_person()",
            "Argument \"name\" is missing.",
        ),
        (
            "SELECT * FROM find_person('N', who => 'x')",
            "It has no argument \"who\".",
        ),
        (
            "SELECT * FROM find_person('N', name => 'x')",
            "Argument \"name\" is given twice.",
        ),
        (
            "SELECT * FROM find_person('N', 1, 2)",
            "There are too many arguments.",
        ),
        (
            "SELECT * FROM find_person('N', true)",
            "Argument \"min_age\" is of type integer, not boolean: cast the value with ::integer.",
        ),
    ] {
        let error = describe(&ada.simple_query(sql).await.expect_err(sql));
        let signature = "Its signature is find_person(name text, min_age integer DEFAULT NULL).";
        assert!(error.contains(&format!("{wrong} {signature}")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_prepared_calls_have_the_types_that_were_declared() {
    let server = served().await;
    let ada = server.client_of("people", "ada").await;
    let statement = ada
        .prepare("SELECT * FROM find_person(name => $1, min_age => $2)")
        .await
        .expect("it can be prepared");
    assert_eq!(statement.params(), [Type::TEXT, Type::INT4]);
    let columns: Vec<&str> = statement
        .columns()
        .iter()
        .map(|column| column.name())
        .collect();
    assert_eq!(columns, ["slug", "years"]);
    for (least, expected) in [(Some(20), 2), (None, 0), (Some(0), 3)] {
        let found = ada.query(&statement, &[&"N", &least]).await.expect("rows");
        assert_eq!(found.len(), expected, "{least:?}");
    }
    let none: Option<&str> = None;
    let missing = ada.query(&statement, &[&none, &None::<i32>]).await;
    assert_eq!(code(missing), "22023");
    let call = ada
        .prepare("CALL add_person($1, $2, $3)")
        .await
        .expect("it can be prepared");
    assert_eq!(call.params(), [Type::TEXT, Type::TEXT, Type::INT4]);
    let told = ada
        .query(&call, &[&"dan", &"Dan", &None::<i32>])
        .await
        .expect("a row");
    assert_eq!((told[0].get::<_, i64>(0), told[0].get::<_, i64>(1)), (1, 0));
    assert!(
        told[0]
            .get::<_, Option<&str>>(2)
            .is_some_and(|commit| commit.len() == 26)
    );
    let renamed = ada
        .query("SELECT * FROM rename($1, $2)", &[&"dan", &"Daniel"])
        .await
        .expect("a row");
    assert_eq!(renamed[0].get::<_, &str>("name"), "Daniel");
    // Inside of a block it is part of the block's commit.
    run(&ada, "BEGIN; CALL rename('dan', 'D'); ROLLBACK").await;
    assert_eq!(
        one(&ada, "SELECT name FROM person WHERE slug = 'dan'").await,
        "Daniel"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogs_list_them_to_those_who_may_call_them() {
    let server = served().await;
    let ada = server.client_of("people", "ada").await;
    let listed = "SELECT proname, prokind, pg_get_function_arguments(oid), pg_get_function_result(oid), obj_description(oid, 'pg_proc') FROM pg_proc WHERE oid BETWEEN 36000 AND 39999 ORDER BY 1";
    assert_eq!(
        rows(&ada, listed).await,
        [
            [
                "add_person",
                "p",
                "IN slug text, IN name text, IN age integer DEFAULT NULL",
                "∅",
                "∅"
            ],
            [
                "find_person",
                "f",
                "name text, min_age integer DEFAULT NULL",
                "TABLE(slug text, years integer)",
                "People of a name"
            ],
            ["friends", "f", "of text", "TABLE(slug text)", "∅"],
            ["meet", "p", "IN a text, IN b text", "∅", "∅"],
            [
                "older",
                "f",
                "\"least\" integer DEFAULT 18",
                "TABLE(slug text, age integer)",
                "People of at least an age"
            ],
            ["rename", "p", "IN who text, IN to_name text", "∅", "∅"],
        ]
    );
    assert_eq!(
        rows(&ada, "SELECT routine_name, routine_type FROM information_schema.routines WHERE specific_name LIKE 'older%'").await,
        [["older", "FUNCTION"]]
    );
    assert_eq!(
        rows(&ada, "SELECT parameter_name, data_type, parameter_mode FROM information_schema.parameters WHERE specific_name LIKE 'older%' ORDER BY ordinal_position").await,
        [["least", "integer", "IN"], ["slug", "text", "OUT"], ["age", "integer", "OUT"]]
    );
    assert_eq!(
        one(&ada, "SELECT 'older'::regproc::oid::regproc").await,
        "older"
    );
    // To who may not call them they do not exist.
    let cyd = server.client_of("people", "cyd").await;
    assert!(rows(&cyd, listed).await.is_empty());
    for sql in ["SELECT * FROM older()", "CALL meet('a', 'b')"] {
        let unknown = cyd
            .simple_query(&sql.replace("older", "nothing").replace("meet", "nothing"))
            .await;
        let hidden = cyd.simple_query(sql).await;
        let told = |result: Result<_, tokio_postgres::Error>| match result {
            Ok::<Vec<_>, _>(_) => panic!("{sql}"),
            Err(error) => describe(&error),
        };
        assert_eq!(
            told(hidden)
                .replace("older", "nothing")
                .replace("meet", "nothing"),
            told(unknown)
        );
    }
    // Whoever may call and not change is told so of a query that changes.
    let bob = server.client_of("people", "bob").await;
    assert_eq!(one(&bob, "SELECT count(*) FROM older()").await, "2");
    for sql in ["CALL meet('bob', 'ada')", "CALL add_person('x', 'X')"] {
        assert_eq!(code(bob.simple_query(sql).await), "42501", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_revision_is_called_without_a_restart() {
    let server = served().await;
    let here = server.store().to_owned();
    let ada = server.client_of("people", "ada").await;
    let prepared = ada
        .prepare("SELECT slug FROM older($1)")
        .await
        .expect("it can be prepared");
    let count = async |least: i32| ada.query(&prepared, &[&least]).await.map(|rows| rows.len());
    assert_eq!(count(18).await.expect("rows"), 2);
    write(
        &here,
        "queries/people.sql",
        &SQL.replace("age >= :least", "age < :least"),
    );
    done(&here, &["cluster", "apply", "--as", "andrew"]);
    for attempt in 0.. {
        if count(18).await.expect("rows") == 1 {
            break;
        }
        assert!(attempt < 200, "the new revision is not served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A right that is taken away is gone from statements that were prepared with it.
    let policy = std::fs::read_to_string(here.join("base.yaml")).expect("a file");
    write(
        &here,
        "base.yaml",
        &policy.replace("callers: [ada, bob]", "callers: [bob]"),
    );
    done(&here, &["cluster", "apply", "--as", "andrew"]);
    for attempt in 0.. {
        if code(count(18).await) == "42883" {
            break;
        }
        assert!(attempt < 200, "the new policy is not served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_no_longer_fits_sets_its_graph_aside() {
    let directory = config();
    let here = directory.path();
    let two = CLUSTER.replace("policies:", "  other: { schema: people.pg }\npolicies:");
    write(here, "cluster.yaml", &two);
    done(here, &["cluster", "import"]);
    done(here, &["cluster", "apply", "--as", "andrew"]);
    // Behind the cluster's back.
    let plain: String = PEOPLE
        .lines()
        .filter(|line| !line.contains("age"))
        .collect::<Vec<_>>()
        .join("\n");
    write(here, "plain.pg", &plain);
    done(
        here,
        &[
            "schema",
            "apply",
            "--schema",
            "plain.pg",
            "graphs/people.omni",
        ],
    );
    let server = Server::of_cluster(directory, &["ada"]).await;
    assert_eq!(code(server.try_client("people", "ada").await), "3D000");
    let other = server.client_of("other", "ada").await;
    assert_eq!(one(&other, "SELECT count(*) FROM person").await, "0");
}

#[test]
fn the_tool_lists_and_checks_them() {
    let directory = config();
    let here = directory.path();
    let listed = done(here, &["queries", "list"]);
    for line in [
        "people  find_person(name text, min_age integer DEFAULT NULL)",
        "people  meet(a text, b text)",
        "queries/people.sql  People of at least an age",
    ] {
        assert!(listed.contains(line), "{listed}");
    }
    assert_eq!(done(here, &["queries", "validate"]), "valid: 6 queries\n");
    write(
        here,
        "queries/people.sql",
        &SQL.replace("age >= :least", "years >= :least"),
    );
    let (succeeded, text) = tool(here, &["queries", "validate"]);
    assert!(!succeeded);
    assert!(
        text.contains("error[query_typecheck_failed] queries/people.sql:4:36 query.people.older: column \"years\" does not exist"),
        "{text}"
    );
    let (succeeded, text) = tool(
        here,
        &[
            "lint",
            "--schema",
            "people.pg",
            "queries/people.sql",
            "queries/people.gq",
        ],
    );
    assert!(!succeeded);
    assert!(
        text.contains("error[Q010] queries/people.sql:4:36"),
        "{text}"
    );
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/reference/lint.md"
    ));
    assert_eq!(
        page.expect("a page"),
        done(here, &["lint", "--codes"]),
        "make docs writes the page anew"
    );
}
