//! Merges of branches of which one has another schema.

use super::merges::{contents, merge, run_all};
use super::*;
use crate::error::Error;
use crate::merge::{MergeOptions, MergeOutcome, OnConflict};
use crate::schema::Schema;

/// `from ⇒ to; …`, applied to the source of the schema.
fn edited(edits: &str) -> String {
    let mut source = SCHEMA.to_owned();
    for edit in edits.split("; ").filter(|edit| !edit.is_empty()) {
        let (from, to) = edit.split_once(" ⇒ ").unwrap();
        assert!(source.contains(from), "{from}");
        source = source.replacen(from, to, 1);
    }
    source
}

/// A branch's rows of one table, each as its values in the order of the columns' names.
async fn shown(graph: &Graph, on: &str, table: &str) -> String {
    let snapshot = graph.snapshot(on).await.unwrap();
    let names: Vec<String> = match snapshot.schema().table(table) {
        Some(def) => def.columns()[1..]
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        None => return "no table".to_owned(),
    };
    let all = contents(graph, on).await;
    let rows = all.iter().filter(|((of, _), _)| of == table);
    let rows: Vec<String> = rows
        .map(|((_, id), values)| {
            let values = values.iter().map(|value| value.as_deref().unwrap_or("-"));
            format!("{id}={}", values.skip(1).collect::<Vec<_>>().join(","))
        })
        .collect();
    format!("{} | {}", names[1..].join(","), rows.join(" "))
}

/// Both branches begin with ada and bob, the one changes the schema and rows of its own, the
/// other rows only. They are merged both ways: into the branch with the new schema and out of it.
async fn both_ways(edits: &str, with_schema: &str, without: &str, table: &str) -> String {
    let mut outcomes = Vec::new();
    for into_new in [true, false] {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        run_all(
            graph,
            "main",
            "put person ada ada 30 -; put person bob bob 40 -",
        )
        .await;
        graph
            .create_branch(&branch("side"), "main", "a")
            .await
            .unwrap();
        let (new, old) = if into_new {
            ("main", "side")
        } else {
            ("side", "main")
        };
        run_all(graph, old, without).await;
        graph
            .migrate(&branch(new), &edited(edits), "a", None)
            .await
            .unwrap();
        run_all(graph, new, with_schema).await;
        let preview = graph.merge_conflicts("side", "main").await;
        let outcome = match merge(graph, "side", "main").await {
            Ok(summary) => {
                assert_eq!(summary.outcome, MergeOutcome::Merged, "{edits}");
                // Somebody else sees the same, and goes on from there.
                let other = fixture.reopened().await;
                assert_eq!(
                    other.snapshot("main").await.unwrap().schema().source,
                    edited(edits)
                );
                let shown = shown(&other, "main", table).await;
                assert!(preview.unwrap().is_empty(), "{edits}");
                let again = merge(&other, "side", "main").await.unwrap();
                assert_eq!(again.outcome, MergeOutcome::UpToDate);
                run_all(&other, "main", "put team late late").await;
                shown
            }
            Err(Error::MergeConflicts { conflicts, .. }) => {
                assert_eq!(preview.unwrap().len(), conflicts.len());
                let first = &conflicts[0];
                let property = first.property.as_deref().unwrap_or_default();
                format!("{} {} {property}", first.kind.name(), first.id)
            }
            Err(Error::Unsupported { message, .. }) => {
                preview.unwrap_err();
                message
                    .replace("\"main\"", "one")
                    .replace("\"side\"", "one")
            }
            Err(error) => panic!("{edits}: {error}"),
        };
        outcomes.push(outcome);
    }
    assert_eq!(outcomes[0], outcomes[1], "{edits}: both ways");
    outcomes.remove(0)
}

#[tokio::test]
async fn rows_of_one_side_are_merged_under_the_schema_of_the_other() {
    let age = "age: I64? ⇒ age: I64?";
    for (edits, with_schema, without, expected) in [
        // A new property is NULL, or has its default, in the other side's rows.
        (
            format!("{age}\n size: I64?"),
            "put person ada ada 30 7 -",
            "put person bob bob 41 -; put person cyd cyd 50 -",
            "age,size,email | ada=30,7,- bob=41,-,- cyd=50,-,-",
        ),
        (
            format!("{age}\n size: I64 @default(5)"),
            "put person ada ada 30 7 -",
            "put person bob bob 41 -; put person cyd cyd 50 -",
            "age,size,email | ada=30,7,- bob=41,5,- cyd=50,5,-",
        ),
        // Values follow a property to its new name.
        (
            "age: I64? ⇒ years: I64? @rename_from(\"age\"); @range(age ⇒ @range(years".to_owned(),
            "put person ada ada 31 -",
            "put person bob bob 41 a@b",
            "years,email | ada=31,- bob=41,a@b",
        ),
        (
            "age: I64? ⇒ years: I64? @rename_from(\"age\"); @range(age ⇒ @range(years".to_owned(),
            "put person ada ada 31 -",
            "put person ada ada 32 -",
            "DivergentUpdate ada years",
        ),
        // Columns of one row from both sides.
        (
            format!("{age}\n size: I64?"),
            "put person ada ada 30 7 -",
            "put person ada ada 33 a@b",
            "age,size,email | ada=33,7,a@b bob=40,-,-",
        ),
        (
            format!("{age}\n size: I64?"),
            "put person ada ada 30 7 -",
            "delete person ada",
            "DeleteVsUpdate ada size",
        ),
        // What is taken away or newly asked for must not meet changed rows.
        (
            "age: I64? ⇒ ; @range(age, 0..150) ⇒ ".to_owned(),
            "",
            "put team red red",
            "email | ada=- bob=-",
        ),
        (
            "age: I64? ⇒ ; @range(age, 0..150) ⇒ ".to_owned(),
            "",
            "put person bob bob 41 -",
            "one changed rows of Person, and one drops its property \"age\"",
        ),
        (
            "@range(age, 0..150) ⇒ @range(age, 0..40)".to_owned(),
            "",
            "put person bob bob 41 -",
            "one changed rows of Person, and one adds constraint \"person_age_check\" to it",
        ),
        (
            "age: I64? ⇒ age: I64".to_owned(),
            "",
            "put person cyd cyd - -",
            "one changed rows of Person, and one requires its property \"age\"",
        ),
        (
            "@range(age, 0..150) ⇒ ".to_owned(),
            "put person ada ada 300 -",
            "put person bob bob 41 -",
            "age,email | ada=300,- bob=41,-",
        ),
    ] {
        let outcome = both_ways(&edits, with_schema, without, "person").await;
        assert_eq!(outcome, expected, "{edits}");
    }
}

#[tokio::test]
async fn types_come_and_go_with_a_merge() {
    let club =
        "node Team { ⇒ node Club {\n name: String @key\n}\nedge Joins: Person -> Club\nnode Team {";
    let with_rows = "put club red red; put joins j1 ada red";
    assert_eq!(
        both_ways(club, with_rows, "put person cyd cyd 50 -", "joins").await,
        "dst | j1=red"
    );
    // An edge of the new type to a node that the other side deleted is told as ever.
    assert_eq!(
        both_ways(club, with_rows, "delete person ada", "joins").await,
        "OrphanEdge j1 src"
    );
    let dropped =
        "edge Leads: Person -> Team @card(0..2) ⇒ ; node Team {\n    name: String @key\n} ⇒ ";
    let source = edited(dropped);
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", "put person ada ada 30 -").await;
    graph
        .create_branch(&branch("side"), "main", "a")
        .await
        .unwrap();
    graph
        .migrate(&branch("side"), &source, "a", None)
        .await
        .unwrap();
    run_all(graph, "main", "put person bob bob 40 -").await;
    merge(graph, "side", "main").await.unwrap();
    assert_eq!(
        shown(&fixture.reopened().await, "main", "team").await,
        "no table"
    );
    assert_eq!(people(graph, "main").await, ["ada", "bob"]);
    // The state before the merge has the type still.
    assert_eq!(shown(graph, "main~1", "team").await, " | ");
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    graph
        .create_branch(&branch("side"), "main", "a")
        .await
        .unwrap();
    graph
        .migrate(&branch("side"), &source, "a", None)
        .await
        .unwrap();
    run_all(graph, "main", "put team red red").await;
    let error = merge(graph, "side", "main").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"main\" changed rows of Team, and \"side\" drops it"
    );
}

#[tokio::test]
async fn what_nobody_could_decide_is_refused() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    graph
        .create_branch(&branch("side"), "main", "a")
        .await
        .unwrap();
    for (on, edits) in [
        ("main", "age: I64? ⇒ age: I64?\n size: I64?"),
        (
            "side",
            "node Team { ⇒ node Club {\n name: String @key\n}\nnode Team {",
        ),
    ] {
        graph
            .migrate(&branch(on), &edited(edits), "a", None)
            .await
            .unwrap();
    }
    let error = merge(graph, "side", "main").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"main\" and \"side\" have both changed the schema"
    );
    // A side is chosen for rows that both have, not for types that come with the merge.
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    graph
        .create_branch(&branch("side"), "main", "a")
        .await
        .unwrap();
    let club = edited("node Team { ⇒ node Club {\n name: String @key\n}\nnode Team {");
    graph
        .migrate(&branch("side"), &club, "a", None)
        .await
        .unwrap();
    run_all(graph, "main", "put person ada ada 30 -").await;
    let by = |on_conflict| MergeOptions {
        on_conflict,
        ..MergeOptions::default()
    };
    run_all(graph, "side", "put club red red").await;
    let error = graph
        .merge("side", &main(), by(OnConflict::Ours))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    graph
        .merge("side", &main(), by(OnConflict::Fail))
        .await
        .unwrap();
    assert_eq!(shown(graph, "main", "club").await, " | red=");
    // The schema of the merge can be read from the commit, and forked from.
    graph
        .create_branch(&branch("next"), "main", "a")
        .await
        .unwrap();
    run_all(graph, "next", "put club blue blue").await;
    assert_eq!(shown(graph, "next", "club").await, " | blue= red=");
    assert!(Schema::decode(&graph.snapshot("next").await.unwrap().schema().encode()).is_ok());
}
