use std::io::Cursor;

use futures::StreamExt;

use super::*;
use crate::commit::ancestry::Ancestors;
use crate::diff;
use crate::load::{ExportOptions, LoadMode, LoadOptions, export, load};

const LINES: &str = r#"
{"edge":"Knows","from":"ada","to":"bob","data":{"id":"k1","since":1999}}
{"type":"Person","data":{"name":"ada","age":36}}
{"type":"Person","data":{"name":"bob","email":"b@x"}}

{"type":"Team","data":{"name":"red"}}
{"edge":"Leads","from":"ada","to":"red"}
"#;

async fn load_text(
    graph: &Graph,
    mode: LoadMode,
    text: String,
) -> Result<crate::load::LoadSummary> {
    load(
        graph,
        &main(),
        mode,
        Cursor::new(text),
        LoadOptions::default(),
    )
    .await
}

async fn exported(graph: &Graph) -> String {
    let mut text = String::new();
    let snapshot = graph.snapshot("main").await.unwrap();
    export(&snapshot, &ExportOptions::default(), |lines| {
        text.push_str(lines);
        Ok(())
    })
    .await
    .unwrap();
    text
}

#[tokio::test]
async fn a_load_is_one_commit_and_its_export_loads_again() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let summary = load_text(graph, LoadMode::Append, LINES.to_owned())
        .await
        .unwrap();
    assert_eq!((summary.nodes, summary.edges), (3, 2));
    let commits: Vec<_> = graph
        .commits("main", Ancestors::All)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(commits.len(), 2);
    assert_eq!(commits[0].inserted, 5);
    let text = exported(graph).await;
    let other = Fixture::in_memory().await;
    load_text(&other.graph, LoadMode::Overwrite, text.clone())
        .await
        .unwrap();
    assert_eq!(exported(&other.graph).await, text);
}

#[tokio::test]
async fn append_refuses_merge_replaces_overwrite_empties() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    load_text(graph, LoadMode::Append, LINES.to_owned())
        .await
        .unwrap();
    let line = r#"{"type":"Person","data":{"name":"ada","age":40}}"#.to_owned();
    let twice = load_text(graph, LoadMode::Append, line.clone())
        .await
        .unwrap_err();
    assert!(told_lines(twice).contains("line 1: Person: id \"ada\" exists already"));
    load_text(graph, LoadMode::Merge, line.clone())
        .await
        .unwrap();
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(column(&snapshot, "person", "age").await, ["40", "NULL"]);
    let summary = load_text(graph, LoadMode::Overwrite, line).await.unwrap();
    assert_eq!(summary.commit.unwrap().deleted, 5);
    assert_eq!(people(graph, "main").await, ["ada"]);
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(snapshot.table_named("knows").unwrap().row_count(), 0);
}

#[tokio::test]
async fn every_mistake_is_told_by_its_line_and_nothing_is_written() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["old"]).await.unwrap();
    let text = [
        r#"{"type":"Person","data":{"name":"ada","email":"a@x"}}"#,
        r#"{"type":"Person","data":{"name":"ada"}}"#,
        r#"{"type":"Person","data":{"name":"cy","email":"a@x"}}"#,
        r#"{"edge":"Knows","from":"ada","to":"nobody"}"#,
        r#"{"edge":"Knows","from":"old","to":"cy"}"#,
        r#"{"type":"Person","data":{"name":"dan","age":"x"}}"#,
        r#"{"type":"Nothing","data":{}}"#,
        r#"{"type":"Person","data":{"name":"eli","age":999}}"#,
        r#"not json"#,
    ]
    .join("\n");
    let before = fixture.store.list_all("_graph").await.unwrap();
    let told = told_lines(load_text(graph, LoadMode::Append, text).await.unwrap_err());
    for wrong in [2, 3, 4, 6, 7, 8, 9] {
        assert!(
            told.contains(&format!("line {wrong}:")),
            "line {wrong} in\n{told}"
        );
    }
    for right in [1, 5] {
        assert!(
            !told.contains(&format!("line {right}:")),
            "line {right} in\n{told}"
        );
    }
    assert_eq!(fixture.store.list_all("_graph").await.unwrap(), before);
    assert_eq!(people(graph, "main").await, ["old"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_load_goes_to_files_and_keeps_every_rule() {
    let fixture = Fixture::on_disk().await;
    let graph = &fixture.graph;
    let count = 60_000;
    let mut text = String::new();
    for number in 0..count {
        text.push_str(&format!(
            "{{\"type\":\"Person\",\"data\":{{\"name\":\"p{number}\"}}}}\n"
        ));
        let to = (number * 7 + 1) % count;
        text.push_str(&format!(
            "{{\"edge\":\"Knows\",\"from\":\"p{number}\",\"to\":\"p{to}\"}}\n"
        ));
    }
    load_text(graph, LoadMode::Append, text.clone())
        .await
        .unwrap();
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(snapshot.table_named("person").unwrap().row_count(), count);
    assert_eq!(snapshot.table_named("knows").unwrap().row_count(), count);
    let lookup = snapshot
        .table_named("person")
        .unwrap()
        .lookup(&["p59999", "nobody", "p0"], &[1])
        .await
        .unwrap();
    assert_eq!(lookup.index, [Some(0), None, Some(1)]);
    let again = load_text(graph, LoadMode::Append, text.clone())
        .await
        .unwrap_err();
    assert!(told_lines(again).contains("line 1: Person: id \"p0\" exists already"));
    let dangling = text.clone() + r#"{"edge":"Knows","from":"p1","to":"nobody"}"#;
    let dangling = told_lines(
        load_text(graph, LoadMode::Overwrite, dangling)
            .await
            .unwrap_err(),
    );
    assert!(dangling.starts_with("line 120001: Knows.to:"), "{dangling}");
    let merged: String = text
        .lines()
        .filter(|line| line.contains("Person"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let summary = load_text(graph, LoadMode::Merge, merged).await.unwrap();
    let commit = summary.commit.unwrap();
    assert_eq!((commit.inserted, commit.updated), (0, count));
    assert_eq!(
        people(&fixture.reopened().await, "main").await.len() as u64,
        count
    );
}

#[tokio::test]
async fn a_diff_shows_rows_and_not_moves() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let names: Vec<String> = (0..40).map(|number| format!("p{number:02}")).collect();
    // Enough small commits that files are merged in between.
    for name in &names {
        add_people(graph, "main", &[name.as_str()]).await.unwrap();
    }
    let before = graph.snapshot("main~5").await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let person = before.schema().table("person").unwrap().clone();
    transaction
        .update(
            person.id,
            rows(&person, &[&[Some("p01"), Some("p01"), Some("99"), None]]),
        )
        .await
        .unwrap();
    transaction
        .delete(person.id, &["p00".to_owned()])
        .await
        .unwrap();
    commit(transaction).await.unwrap();
    let after = graph.snapshot("main").await.unwrap();
    let pages: Vec<_> = diff::diff(&before, &after, person.id)
        .try_collect()
        .await
        .unwrap();
    let found = &pages[0];
    let shown: Vec<String> = found
        .rows
        .iter()
        .map(|row| format!("{} {}", row.operation(), row.id))
        .collect();
    assert_eq!(
        shown,
        [
            "delete p00",
            "update p01",
            "insert p35",
            "insert p36",
            "insert p37",
            "insert p38",
            "insert p39"
        ]
    );
    assert_eq!(diff::diff(&after, &after, person.id).count().await, 0);
    let knows = table(&after, "knows");
    assert_eq!(diff::diff(&before, &after, knows).count().await, 0);
}
