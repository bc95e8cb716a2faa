//! The queries of DataFusion's test files that PostgreSQL 15 answers, too: here they have to be
//! answered as PostgreSQL does. `tests/slt/run.py` sieves them, and asks by both protocols.

use std::collections::HashSet;

use omnigraph_tests::Server;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

/// One JSON object a line: the query, whether its order is given, and PostgreSQL's rows.
const QUERIES: &str = include_str!("../../slt/queries.jsonl");
/// Those that are answered otherwise, one JSON string a line.
const DIFFERENT: &str = include_str!("../../slt/different.txt");

async fn rows(client: &Client, sql: &str) -> Result<Vec<String>, String> {
    let messages = client
        .simple_query(sql)
        .await
        .map_err(|error| omnigraph_tests::describe(&error))?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let cells: Vec<&str> = (0..row.len())
                .map(|at| row.get(at).unwrap_or("NULL"))
                .collect();
            Some(cells.join("|"))
        }
        _ => None,
    });
    Ok(rows.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn datafusions_queries_are_answered_as_postgresql_answers_them() {
    let server = Server::start().await;
    let client = server.client().await;
    omnigraph_tests::run(&client, "SET timezone = 'UTC'").await;
    let different: HashSet<String> = DIFFERENT
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON string"))
        .collect();
    let (mut all, mut wrong) = (0, Vec::new());
    for line in QUERIES.lines() {
        let query: Value = serde_json::from_str(line).expect("a JSON object");
        let sql = query["sql"].as_str().expect("a query");
        all += 1;
        if different.contains(sql) {
            continue;
        }
        let expected: Vec<&str> = query["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let told = rows(&client, sql).await.map(|mut rows| {
            if query["ordered"] == false {
                rows.sort_unstable();
            }
            rows
        });
        if told
            .as_ref()
            .map(|rows| rows.iter().map(String::as_str).collect())
            != Ok(expected.clone())
        {
            wrong.push(format!(
                "{sql}\n  expected {expected:?}\n  told     {told:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {all}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        different.len() * 10 <= all,
        "{} of {all} are answered otherwise",
        different.len()
    );
}
