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
