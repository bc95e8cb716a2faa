//! PostgreSQL's functions, chapter by chapter of its manual: what they answer is what
//! PostgreSQL 15 answered, see `tests/sql/regenerate.py`.

use omnigraph_tests::Server;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A chapter's statements and PostgreSQL's answers, one a line.
macro_rules! chapter {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../sql/functions/", $name, ".sql")),
            include_str!(concat!("../../sql/functions/", $name, ".out")),
        )
    };
}

const CHAPTERS: &[(&str, &str, &str)] = &[
    chapter!("aggregate"),
    chapter!("array"),
    chapter!("datetime"),
    chapter!("json"),
    chapter!("math"),
    chapter!("string"),
    chapter!("system"),
    chapter!("textsearch"),
    chapter!("window"),
];

/// Lines on which this server differs, and why, are in `docs/sql/functions.md`.
const DIFFERENT: &[&str] = &[];

/// As `regenerate.py` writes an answer.
async fn answer(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Err(error) => format!("ERROR {}", error.code().map_or("?", |code| code.code())),
        Ok(messages) => {
            let rows: Vec<String> = messages
                .iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                })
                .map(|row| {
                    let cells: Vec<&str> = (0..row.len())
                        .map(|at| row.get(at).unwrap_or("NULL"))
                        .collect();
                    cells.join("|")
                })
                .collect();
            rows.join(" / ").replace('\n', "\\n")
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_answer_what_postgresql_answers() {
    let server = Server::start().await;
    let client = server.client().await;
    client
        .batch_execute(
            "SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1",
        )
        .await
        .expect("settings");
    let mut wrong = Vec::new();
    for (chapter, statements, answers) in CHAPTERS {
        assert_eq!(statements.lines().count(), answers.lines().count());
        for (sql, expected) in statements.lines().zip(answers.lines()) {
            let told = answer(&client, sql).await;
            if (told != expected) != DIFFERENT.contains(&sql) {
                wrong.push(format!(
                    "{chapter}: {sql}\n  expected {expected}\n  told     {told}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The functions of each chapter of PostgreSQL's manual.
const MANUAL: &str = include_str!("../../sql/functions/chapters.txt");

#[tokio::test(flavor = "multi_thread")]
async fn nearly_all_functions_of_the_manual_are_there_and_tried() {
    let server = Server::start().await;
    let client = server.client().await;
    let listed = omnigraph_tests::rows(&client, "SELECT DISTINCT proname FROM pg_proc").await;
    let listed: Vec<&str> = listed.iter().map(|row| row[0].as_str()).collect();
    let tried: String = CHAPTERS
        .iter()
        .map(|(_, statements, _)| *statements)
        .collect();
    let (mut known, mut all, mut without) = (0, 0, Vec::new());
    for line in MANUAL.lines() {
        let (chapter, names) = line.split_once(':').expect("a chapter and its functions");
        let names: Vec<&str> = names.split_whitespace().collect();
        let (there, missing): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| listed.contains(name));
        known += there.len();
        all += names.len();
        without.extend(missing);
        let untried: Vec<&&str> = there
            .iter()
            .filter(|name| !tried.contains(&format!("{name}(")) && !tried.contains(**name))
            .collect();
        assert!(untried.is_empty(), "{chapter}: no case tries {untried:?}");
    }
    assert!(
        known * 100 >= all * 85,
        "{known} of {all} are there; missing: {without:?}"
    );
}

/// The functions of pg_catalog whose arguments can be written: not those of types that have no
/// values, and not those that read and print the modifiers of types.
const CALLABLE: &str = "
SELECT p.proname, oidvectortypes(p.proargtypes), p.proretset FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
  AND oidvectortypes(p.proargtypes) NOT LIKE '%internal%' AND p.prorettype::regtype::text <> 'internal' AND p.proname <> 'domain_in'
  AND NOT EXISTS (SELECT FROM pg_type t WHERE p.oid = t.typmodin OR p.oid = t.typmodout
    OR p.oid IN (t.typinput, t.typoutput, t.typsend)
      AND (t.typtype = 'p' OR t.typcategory = 'A' OR t.typname IN ('inet', 'tsvector', 'tsquery', 'pg_ndistinct',
        'pg_dependencies', 'pg_mcv_list', 'pg_lsn', 'tid', 'aclitem')))
ORDER BY 1, 2";

#[tokio::test(flavor = "multi_thread")]
async fn what_pg_proc_lists_can_be_called() {
    let server = Server::start().await;
    let client = server.client().await;
    let listed = omnigraph_tests::rows(&client, CALLABLE).await;
    assert!(listed.len() > 1000, "{}", listed.len());
    let mut wrong = Vec::new();
    for function in &listed {
        let [name, types, returns_set] = function.as_slice() else {
            panic!("three columns");
        };
        let arguments: Vec<String> = types
            .split(", ")
            .filter(|ty| !ty.is_empty())
            .map(|ty| match ty {
                "\"any\"" | "anyelement" | "anynonarray" | "anycompatible" => {
                    "NULL::int4".to_owned()
                }
                "anyarray" | "anycompatiblearray" => "NULL::int4[]".to_owned(),
                ty => format!("NULL::{ty}"),
            })
            .collect();
        let from = if returns_set == "t" { "* FROM" } else { "" };
        let sql = format!(
            "SELECT {from} pg_catalog.\"{name}\"({})",
            arguments.join(", ")
        );
        let state = omnigraph_tests::code(client.simple_query(&sql).await);
        if matches!(state.as_str(), "42883" | "XX000") {
            wrong.push(format!("{state} {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
