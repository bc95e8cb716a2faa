//! Merges of branches whose schemas differ: of which one side has another, or both.

use std::collections::BTreeMap;

use super::merges::{contents, merge, run_all};
use super::*;
use crate::error::Error;
use crate::merge::{ConflictKind, MergeOptions, MergeOutcome, MergeSummary, OnConflict};
use crate::schema::Schema;

/// What is done on a branch, step by step: `alter from ⇒ to; …` edits its schema, all else are
/// operations on rows.
async fn all(graph: &Graph, on: &str, steps: &str) {
    for step in steps.split(" | ").filter(|step| !step.is_empty()) {
        match step.strip_prefix("alter ") {
            None => run_all(graph, on, step).await,
            Some(edits) => {
                let snapshot = graph.snapshot(on).await.unwrap();
                let mut source = snapshot.schema().source.clone();
                for edit in edits.split("; ") {
                    let (from, to) = edit.split_once(" ⇒ ").unwrap();
                    assert!(source.contains(from), "{from} in {source}");
                    source = source.replacen(from, to, 1);
                }
                graph
                    .migrate(&branch(on), &source, "a", None)
                    .await
                    .unwrap();
            }
        }
    }
}

/// A branch's rows of one table: the columns by name, and each row's values.
async fn shown(graph: &Graph, on: &str, table: &str) -> String {
    let snapshot = graph.snapshot(on).await.unwrap();
    let names: Vec<String> = match snapshot.schema().table(table) {
        Some(def) => def.columns()[2..]
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        None => return "no table".to_owned(),
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|at| &names[*at]);
    let all = contents(graph, on).await;
    let rows = all.iter().filter(|((of, _), _)| of == table);
    let rows: Vec<String> = rows
        .map(|((_, id), values)| {
            let cells = order.iter();
            let cells = cells.map(|at| values[at + 1].as_deref().unwrap_or("-"));
            format!("{id}={}", cells.collect::<Vec<_>>().join(","))
        })
        .collect();
    let names: Vec<&str> = order.iter().map(|at| names[*at].as_str()).collect();
    format!("{} | {}", names.join(","), rows.join(" "))
}

/// `main` and `side`, forked where `base` was done.
async fn forked(base: &str, main: &str, side: &str) -> Fixture {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    all(graph, "main", base).await;
    graph
        .create_branch(&branch("side"), "main", "a")
        .await
        .unwrap();
    all(graph, "main", main).await;
    all(graph, "side", side).await;
    fixture
}

fn told(outcome: Result<MergeSummary>) -> Result<MergeSummary, String> {
    match outcome {
        Ok(summary) => Ok(summary),
        Err(Error::MergeConflicts { conflicts, .. }) => {
            let told = conflicts.iter().map(|conflict| {
                let property = conflict.property.as_deref().unwrap_or("-");
                // Each side may call it otherwise.
                let base = conflict
                    .base
                    .as_ref()
                    .and_then(|base| base.as_string_opt::<i32>());
                let first = base.and_then(|base| base.value(0).split_once(": "));
                let property = match (conflict.kind, first) {
                    (ConflictKind::DivergentSchema, Some((first, _))) if property != "-" => first,
                    _ => property,
                };
                let text = |side: &Option<ArrayRef>| {
                    let side = side.as_ref().unwrap();
                    side.as_string::<i32>().value(0).to_owned()
                };
                let what = match (conflict.kind, conflict.id.as_str()) {
                    // Of two rows, whose side each is on does not matter here.
                    (ConflictKind::UniqueViolation, _) => {
                        let mut rows = [text(&conflict.ours), text(&conflict.theirs)];
                        rows.sort();
                        rows.join("-")
                    }
                    (_, "") => conflict.table.clone(),
                    (_, id) => id.to_owned(),
                };
                format!("{} {what} {property}", conflict.kind.name())
            });
            let mut told: Vec<String> = told.collect();
            told.sort();
            told.dedup();
            Err(told.join("; "))
        }
        Err(error) => Err(error.to_string()),
    }
}

const PEOPLE: &str = "put person ada ada 30 -; put person bob bob 40 -";

/// Merges what was done to `base` on two sides, both ways: the rows of a table, or the conflicts.
async fn both_ways(base: &str, one: &str, other: &str, table: &str) -> String {
    let mut outcomes = Vec::new();
    for (main, side) in [(one, other), (other, one)] {
        // A commit of its own on each side, so that nothing is a fast-forward.
        let main = format!("put knows m bob bob 1 | {main}");
        let side = format!("put knows s bob bob 2 | {side}");
        let fixture = forked(&format!("{PEOPLE} | {base}"), &main, &side).await;
        let graph = &fixture.graph;
        let preview = graph.merge_conflicts("side", "main").await;
        let before = contents(graph, "main").await;
        outcomes.push(match told(merge(graph, "side", "main").await) {
            Ok(summary) => {
                assert_eq!(summary.outcome, MergeOutcome::Merged, "{main} and {side}");
                assert!(preview.unwrap().is_empty(), "{main} and {side}");
                // Somebody else sees the same, and goes on from there, either way.
                let other = fixture.reopened().await;
                let merged = shown(&other, "main", table).await;
                let schema = other.snapshot("main").await.unwrap().schema().clone();
                assert_eq!(Schema::decode(&schema.encode()).unwrap(), *schema);
                let again = merge(&other, "side", "main").await.unwrap();
                assert_eq!(again.outcome, MergeOutcome::UpToDate);
                all(&other, "main", "put knows late bob bob 3").await;
                all(&other, "side", "put knows other bob bob 4").await;
                merge(&other, "main", "side").await.unwrap();
                assert_eq!(
                    shown(&other, "side", table).await,
                    merged,
                    "{main} and {side}"
                );
                all(&other, "main", "put knows last bob bob 5").await;
                merge(&other, "side", "main").await.unwrap();
                assert_eq!(shown(&other, "main", table).await, merged);
                merged
            }
            Err(told) => {
                if let Ok(preview) = preview {
                    assert!(!preview.is_empty());
                }
                assert_eq!(
                    contents(graph, "main").await,
                    before,
                    "nothing was published"
                );
                told
            }
        });
    }
    assert_eq!(outcomes[0], outcomes[1], "{one} and {other}: both ways");
    outcomes.remove(0)
}

async fn table_of_truth(table: &str, cases: &[(&str, &str, &str, &str)]) {
    for (base, one, other, expected) in cases {
        let outcome = both_ways(base, one, other, table).await;
        assert_eq!(&outcome, expected, "{base}: {one} and {other}");
    }
}

const SIZE: &str = "alter age: I64? ⇒ age: I64?\n size: I64?";
const YEARS: &str =
    "alter age: I64? ⇒ years: I64? @rename_from(\"age\"); @range(age ⇒ @range(years";
const NO_AGE: &str = "alter age: I64? ⇒ ; @range(age, 0..150) ⇒ ";

#[tokio::test]
async fn rows_of_one_side_are_merged_under_the_schema_of_the_other() {
    let age = "put person bob bob 41 -";
    table_of_truth(
        "person",
        &[
            // A new property is NULL, or has its default, in the other side's rows.
            (
                "",
                &format!("{SIZE} | put person ada ada 30 7 -"),
                "put person bob bob 41 -; put person cyd cyd 50 -",
                "age,email,size | ada=30,-,7 bob=41,-,- cyd=50,-,-",
            ),
            (
                "",
                &format!("{SIZE} @default(5) | put person ada ada 30 7 -"),
                "put person bob bob 41 -; put person cyd cyd 50 -",
                "age,email,size | ada=30,-,7 bob=41,-,5 cyd=50,-,5",
            ),
            // Values follow a property to its new name.
            (
                "",
                &format!("{YEARS} | put person ada ada 31 -"),
                "put person bob bob 41 a@b",
                "email,years | ada=-,31 bob=a@b,41",
            ),
            (
                "",
                &format!("{YEARS} | put person ada ada 31 -"),
                "put person ada ada 32 -",
                "DivergentUpdate ada years",
            ),
            // Columns of one row from both sides.
            (
                "",
                &format!("{SIZE} | put person ada ada 30 7 -"),
                "put person ada ada 33 a@b",
                "age,email,size | ada=33,a@b,7 bob=40,-,-",
            ),
            (
                "",
                &format!("{SIZE} | put person ada ada 30 7 -"),
                "delete person ada",
                "DeleteVsUpdate ada size",
            ),
            // What is dropped takes no value with it that the other side has changed.
            ("", NO_AGE, "put team red red", "email | ada=- bob=-"),
            (
                "",
                NO_AGE,
                "put person bob bob 40 b@c",
                "email | ada=- bob=b@c",
            ),
            (
                "",
                NO_AGE,
                "put person cyd cyd - -",
                "email | ada=- bob=- cyd=-",
            ),
            ("", NO_AGE, "delete person ada", "email | bob=-"),
            ("", NO_AGE, age, "DeleteVsUpdate bob age"),
            (
                "",
                NO_AGE,
                "put person cyd cyd 9 -",
                "DeleteVsUpdate cyd age",
            ),
            // Rows keep what the other side newly asks of them, or are named.
            (
                "",
                "alter @range(age, 0..150) ⇒ @range(age, 0..40)",
                age,
                "ValueConstraintViolation bob age",
            ),
            (
                "",
                "alter @range(age, 0..150) ⇒ @range(age, 0..40)",
                "put person bob bob 39 -",
                "age,email | ada=30,- bob=39,-",
            ),
            (
                "",
                "alter age: I64? ⇒ age: I64",
                "put person cyd cyd - -",
                "ValueConstraintViolation cyd age",
            ),
            (
                "",
                "alter age: I64? ⇒ age: I64",
                "put person cyd cyd 5 -; put person bob bob 40 b@c",
                "age,email | ada=30,- bob=40,b@c cyd=5,-",
            ),
            (
                "",
                "alter age: I64? ⇒ age: I64? @unique",
                "put person cyd cyd 30 -",
                "UniqueViolation ada-cyd age",
            ),
            (
                "",
                "alter age: I64? ⇒ age: I64? @unique",
                "put person cyd cyd 7 -; put person dan dan 7 -",
                "UniqueViolation cyd-dan age",
            ),
            (
                "",
                "alter age: I64? ⇒ age: I64? @unique",
                "put person cyd cyd 40 -; put person bob bob 41 -",
                "age,email | ada=30,- bob=41,- cyd=40,-",
            ),
            (
                "",
                "alter @range(age, 0..150) ⇒  | put person ada ada 300 -",
                age,
                "age,email | ada=300,- bob=41,-",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn properties_that_both_sides_changed_have_their_outcomes() {
    let size_of = |row: &str| format!("{SIZE} | put person {row}");
    table_of_truth(
        "person",
        &[
            // Each side adds one.
            (
                "",
                &size_of("ada ada 30 7 -"),
                "alter email: ⇒ city: String?\n email: | put person bob bob 40 rome -",
                "age,city,email,size | ada=30,-,-,7 bob=40,rome,-,-",
            ),
            // Both add the same.
            (
                "",
                &size_of("ada ada 30 7 -; put person cyd cyd 1 2 -"),
                &size_of("bob bob 40 8 -"),
                "age,email,size | ada=30,-,7 bob=40,-,8 cyd=1,-,2",
            ),
            (
                "",
                &size_of("ada ada 30 7 -"),
                &size_of("ada ada 30 7 -"),
                "age,email,size | ada=30,-,7 bob=40,-,-",
            ),
            (
                "",
                &size_of("ada ada 30 7 -"),
                &size_of("ada ada 30 8 -"),
                "DivergentUpdate ada size",
            ),
            // Under one name, something else.
            (
                "",
                SIZE,
                "alter age: I64? ⇒ age: I64?\n size: String?",
                "DivergentSchema person size",
            ),
            // Add and drop.
            (
                "",
                &size_of("ada ada 30 7 -"),
                NO_AGE,
                "email,size | ada=-,7 bob=-,-",
            ),
            (
                "",
                &size_of("ada ada 31 7 -"),
                NO_AGE,
                "DeleteVsUpdate ada age",
            ),
            ("", NO_AGE, NO_AGE, "email | ada=- bob=-"),
            ("", NO_AGE, YEARS, "DivergentSchema person age"),
            // Dropped and added again, it is another property.
            (
                "",
                &format!("{NO_AGE} | alter name: String @key ⇒ name: String @key\n age: String? | put person ada ada old -"),
                "put team red red",
                "age,email | ada=old,- bob=-,-",
            ),
            (
                "",
                &format!("{NO_AGE} | alter name: String @key ⇒ name: String @key\n age: String?"),
                "put person bob bob 41 -",
                "DeleteVsUpdate bob age",
            ),
            // Names.
            (
                "",
                &format!("{YEARS} | put person ada ada 31 -"),
                &size_of("bob bob 41 7 -"),
                "email,size,years | ada=-,-,31 bob=-,7,41",
            ),
            ("", YEARS, YEARS, "email,years | ada=-,30 bob=-,40"),
            (
                "",
                YEARS,
                "alter age: I64? ⇒ old: I64? @rename_from(\"age\"); @range(age ⇒ @range(old",
                "DivergentSchema person age",
            ),
            // Words.
            (
                "alter age: I64? ⇒ age: I64?\n mood: enum(calm, glad)?",
                "alter glad) ⇒ glad, sad) | put person ada ada 30 sad -",
                "alter glad) ⇒ glad, wild) | put person bob bob 40 wild -",
                "age,email,mood | ada=30,-,sad bob=40,-,wild",
            ),
            // A rule of one side, the rows and another rule of the other.
            (
                "",
                &size_of("bob bob 41 7 -"),
                "alter @range(age, 0..150) ⇒ @range(age, 0..40)",
                "ValueConstraintViolation bob age",
            ),
            (
                "",
                &format!("{SIZE} @unique | put person bob bob 39 7 -"),
                "alter @range(age, 0..150) ⇒ @range(age, 0..40)",
                "age,email,size | ada=30,-,- bob=39,-,7",
            ),
            (
                "",
                &format!("{SIZE} @unique | put person bob bob 40 7 -"),
                &format!("{SIZE} | put person ada ada 30 7 -"),
                "UniqueViolation ada-bob size",
            ),
        ],
    )
    .await;
}

const CLUB: &str = "alter node Team { ⇒ node Club {\n name: String @key\n city: String?\n}\nedge Joins: Person -> Club\nnode Team {";
const NO_TEAM: &str =
    "alter edge Leads: Person -> Team @card(0..2) ⇒ ; node Team {\n    name: String @key\n} ⇒ ";

#[tokio::test]
async fn types_that_come_and_go_have_their_outcomes() {
    let club = format!("{CLUB} | put club red red rome | put joins j1 ada red");
    table_of_truth(
        "joins",
        &[
            ("", &club, "put person cyd cyd 50 -", "dst | j1=red"),
            // An edge of the new type to a node that the other side deleted is told as ever.
            ("", &club, "delete person ada", "OrphanEdge j1 src"),
            ("", &club, SIZE, "dst | j1=red"),
            // Both add the same types, with rows.
            (
                "",
                &club,
                &format!(
                    "{CLUB} | put club blue blue - | put joins j2 bob blue; put joins j3 ada blue"
                ),
                "dst | j1=red j2=blue j3=blue",
            ),
            (
                "",
                &club,
                &format!("{CLUB} | put club red red bonn | put joins j2 bob red"),
                "DivergentInsert red city",
            ),
            (
                "",
                &club,
                &format!("{CLUB} | put club red red rome | put joins j1 ada red"),
                "dst | j1=red",
            ),
            (
                "",
                &club,
                &CLUB.replace("city", "town"),
                "DivergentSchema club -",
            ),
            (
                "",
                &club,
                &CLUB.replace("Person -> Club", "Person -> Club @card(0..1)"),
                "DivergentSchema joins -",
            ),
        ],
    )
    .await;
    table_of_truth(
        "team",
        &[
            ("", NO_TEAM, "put person cyd cyd 50 -", "no table"),
            ("put team red red", NO_TEAM, SIZE, "no table"),
            ("put team red red", NO_TEAM, "delete team red", "no table"),
            ("", NO_TEAM, "put team red red", "DeleteVsUpdate red -"),
            (
                "put team red red",
                NO_TEAM,
                "alter name: String @key\n}\nedge Knows ⇒ name: String @key\n size: I64?\n}\nedge Knows",
                "DivergentSchema team -",
            ),
            (
                "put team red red",
                NO_TEAM,
                "alter edge Leads ⇒ edge Owns: Person -> Team\nedge Leads",
                "DivergentSchema owns -",
            ),
            (
                "put team red red",
                "alter node Team { ⇒ node Group @rename_from(\"Team\") {; -> Team ⇒ -> Group",
                "put team blue blue",
                "no table",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn edges_are_counted_for_the_side_that_has_not_asked_for_it() {
    let narrow = "alter @card(0..2) ⇒ @card(0..1)";
    let base = "put team red red; put team blue blue; put leads l1 ada red";
    let all_know = "put knows k1 ada bob 1; put knows k2 bob ada 2";
    let must_know = "alter edge Knows: Person -> Person ⇒ edge Knows: Person -> Person @card(1..)";
    table_of_truth(
        "leads",
        &[
            (base, narrow, "put leads l2 bob red", "dst | l1=red l2=red"),
            (base, narrow, "put leads l2 ada blue", "CardinalityViolation ada src"),
            (
                base,
                narrow,
                "put leads l2 bob red; put leads l3 bob blue",
                "CardinalityViolation bob src",
            ),
            (base, narrow, "put leads l2 ada blue; delete leads l1", "dst | l2=blue"),
            (
                &format!("{base} | {all_know}"),
                must_know,
                "put person cyd cyd 5 -",
                "CardinalityViolation cyd src",
            ),
            (
                &format!("{base} | {all_know}"),
                must_know,
                "put person cyd cyd 5 -; put knows k3 cyd ada 1",
                "dst | l1=red",
            ),
            // An edge type that every node must have edges of, and a node that has none.
            (
                base,
                "alter edge Leads ⇒ edge Likes: Person -> Team\nedge Leads | put likes a ada red; put likes b bob red | alter edge Likes: Person -> Team ⇒ edge Likes: Person -> Team @card(1..)",
                "put person cyd cyd 5 -",
                "CardinalityViolation cyd src",
            ),
            (
                base,
                "alter edge Leads ⇒ edge Likes: Person -> Team\nedge Leads | put likes a ada red; put likes b bob red | alter edge Likes: Person -> Team ⇒ edge Likes: Person -> Team @card(1..)",
                "put team blue blue",
                "dst | l1=red",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_side_is_chosen_for_schemas_and_for_the_rows_under_them() {
    let club = format!("{CLUB} | put club red red rome | put joins j1 ada red");
    let kept = "alter age: I64? ⇒ age: I64? @description(\"in years\")";
    for (main, side, table, by_ours, by_theirs) in [
        // Types with rows that only the source has.
        (
            "put person cyd cyd 5 -",
            club.as_str(),
            "joins",
            "dst | j1=red",
            "dst | j1=red",
        ),
        (
            "delete person ada",
            club.as_str(),
            "joins",
            "dst | ",
            "dst | j1=red",
        ),
        // A definition and its column.
        (
            &format!("{SIZE} | put person ada ada 30 7 -"),
            "alter age: I64? ⇒ age: I64?\n size: String? | put person bob bob 40 big -",
            "person",
            "age,email,size | ada=30,-,7 bob=40,-,-",
            "age,email,size | ada=30,-,- bob=40,-,big",
        ),
        (
            YEARS,
            "alter age: I64? ⇒ old: I64? @rename_from(\"age\"); @range(age ⇒ @range(old | put person bob bob 41 -",
            "person",
            "email,years | ada=-,30 bob=-,41",
            "email,old | ada=-,30 bob=-,41",
        ),
        // What the other side dropped stays, with its values.
        (
            &format!("{kept} | put person ada ada 31 -"),
            &format!("{NO_AGE} | put person bob bob b@c; put person cyd cyd -"),
            "person",
            "age,email | ada=31,- bob=40,b@c cyd=-,-",
            "email | ada=- bob=b@c cyd=-",
        ),
        // What the target dropped has no values any more; and a value is not silently lost.
        (
            &format!("{NO_AGE} | put person bob bob b@c"),
            &format!("{kept} | put person ada ada 31 -"),
            "person",
            "email | ada=- bob=b@c",
            "DivergentSchema person age",
        ),
        (
            NO_AGE,
            "put person ada ada 31 -",
            "person",
            "email | ada=- bob=-",
            "DeleteVsUpdate ada age",
        ),
        // Types.
        (
            &format!("put team red red | {NO_TEAM}"),
            "put team blue blue | alter name: String @key\n}\nedge Knows ⇒ name: String @key\n size: I64?\n}\nedge Knows",
            "team",
            "no table",
            "size | blue=-",
        ),
        (
            "put team red red | alter name: String @key\n}\nedge Knows ⇒ name: String @key\n size: I64?\n}\nedge Knows",
            NO_TEAM,
            "team",
            "size | red=-",
            "no table",
        ),
    ] {
        for (on_conflict, expected) in
            [(OnConflict::Ours, by_ours), (OnConflict::Theirs, by_theirs)]
        {
            let side = format!("put knows s bob bob 2 | {side}");
            let fixture = forked(PEOPLE, main, &side).await;
            let options = MergeOptions {
                on_conflict,
                ..MergeOptions::default()
            };
            let merged = fixture.graph.merge("side", &super::main(), options).await;
            let outcome = match told(merged) {
                Ok(_) => shown(&fixture.reopened().await, "main", table).await,
                Err(told) => told,
            };
            assert_eq!(outcome, expected, "{on_conflict:?}: {main} and {side}");
        }
    }
}

#[tokio::test]
async fn a_merged_schema_is_in_its_commit_and_the_state_before_has_the_other() {
    let fixture = forked("put team red red", SIZE, NO_TEAM).await;
    let graph = &fixture.graph;
    merge(graph, "side", "main").await.unwrap();
    assert_eq!(shown(graph, "main", "team").await, "no table");
    assert_eq!(shown(graph, "main~1", "team").await, " | red=");
    graph
        .create_branch(&branch("next"), "main", "a")
        .await
        .unwrap();
    let club = CLUB.replace("node Team {", "edge Knows:");
    all(graph, "next", &format!("{club} | put club blue blue -")).await;
    assert_eq!(shown(graph, "next", "club").await, "city | blue=-");
    let source = &graph
        .snapshot("main")
        .await
        .unwrap()
        .schema()
        .source
        .clone();
    assert!(
        source.contains("size: I64?") && !source.contains("Team"),
        "{source}"
    );
    let definitions = graph.merge_conflicts("side", "main").await.unwrap();
    assert!(definitions.is_empty());
}

#[tokio::test]
async fn a_conflict_of_definitions_shows_all_three() {
    let base = "alter age: I64? ⇒ age: I64? @description(\"a\")";
    let (main, side) = (
        "alter @description(\"a\") ⇒ @description(\"b\")",
        "alter @description(\"a\") ⇒ @description(\"c\")",
    );
    let fixture = forked(base, main, side).await;
    let found = fixture.graph.merge_conflicts("side", "main").await.unwrap();
    let texts = [&found[0].base, &found[0].ours, &found[0].theirs].map(|side| {
        let side = side.as_ref().unwrap();
        side.as_string::<i32>().value(0).to_owned()
    });
    let text = |word| format!("age: I64? @description(\"{word}\") @range(0..150)");
    assert_eq!(texts, [text("a"), text("b"), text("c")]);
    assert_eq!((found.len(), found[0].id.as_str()), (1, ""));
    // The remedy: the source says what the target says.
    all(
        &fixture.graph,
        "side",
        "alter @description(\"c\") ⇒ @description(\"b\")",
    )
    .await;
    merge(&fixture.graph, "side", "main").await.unwrap();
}

mod histories {
    //! Random histories in which every branch adds properties and types of its own accord,
    //! often the same ones.

    use super::super::merge_histories::{Expected, Model, Random};
    use super::super::merges::{Rows, conflicts};
    use super::*;

    const HISTORIES: u64 = 16;
    const STEPS: usize = 30;
    /// What a branch may add to its people, and what those have who know nothing of it.
    const ADDED: [(&str, &str, Option<&str>); 3] = [
        ("one", "one: I64?", None),
        ("two", "two: String?", None),
        ("six", "six: I64? @default(6)", Some("6")),
    ];

    /// All rows, people with every column that they could have.
    async fn state(graph: &Graph, on: &str) -> Rows {
        let snapshot = graph.snapshot(on).await.unwrap();
        let person = snapshot.schema().table("person").unwrap().clone();
        let mut rows = contents(graph, on).await;
        for ((table, _), cells) in &mut rows {
            if table == "person" {
                let value = |name: &str| {
                    let at = person.column(name).map(|(at, _)| at - 1);
                    at.map(|at| cells[at].clone())
                };
                let base = ["name", "age", "email"].map(|name| value(name).unwrap());
                let added = ADDED.map(|(name, _, default)| {
                    value(name).unwrap_or_else(|| default.map(str::to_owned))
                });
                *cells = base.into_iter().chain(added).collect();
            }
        }
        rows
    }

    async fn add(graph: &Graph, on: &str, random: &mut Random) -> bool {
        let schema = graph.snapshot(on).await.unwrap().schema().clone();
        let source = &schema.source;
        let wanted = if random.below(4) == 0 {
            "node Club {\n name: String @key\n city: String?\n}\n"
        } else {
            ADDED[random.below(ADDED.len())].1
        };
        let first = wanted.split('{').next().unwrap();
        if source.contains(first) {
            return false;
        }
        let source = match wanted.starts_with("node") {
            true => format!("{source}\n{wanted}"),
            false => source.replacen("email:", &format!("{wanted}\n email:"), 1),
        };
        graph
            .migrate(&branch(on), &source, "a", None)
            .await
            .unwrap();
        true
    }

    async fn write(graph: &Graph, on: &str, random: &mut Random) {
        let mut transaction = begin(graph, on).await;
        let schema = transaction.snapshot().schema().clone();
        let name = random.of(&["a", "b", "c", "d"]);
        let club = schema.table("club").filter(|_| random.below(3) == 0);
        let def = club.or(schema.table("person")).unwrap().clone();
        if random.below(5) == 0 {
            let _ = transaction.delete(def.id, &[name.to_owned()]).await;
        } else {
            let found = transaction
                .snapshot()
                .table(def.id)
                .unwrap()
                .lookup(&[name], &[0])
                .await
                .unwrap();
            let held = found.index[0].is_some();
            let number = random.below(3).to_string();
            let changed = 2 + random.below(def.columns().len() - 2);
            let all = state(graph, on).await;
            let old = all.get(&(def.table.clone(), name.to_owned())).cloned();
            let cells: Vec<Option<String>> = def
                .columns()
                .iter()
                .enumerate()
                .map(|(at, column)| match column.name.as_str() {
                    "id" | "name" => Some(name.to_owned()),
                    _ if at == changed => Some(number.clone()),
                    _ if !held => None,
                    other => {
                        let names = ["name", "age", "email", "one", "two", "six"];
                        let at = match other {
                            "city" => 1,
                            other => names.iter().position(|name| *name == other).unwrap(),
                        };
                        old.as_ref().and_then(|old| old[at].clone())
                    }
                })
                .collect();
            let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
            let batch = rows(&def, &[&cells]);
            let outcome = transaction.upsert(def.id, batch).await;
            assert!(matches!(outcome, Ok(_) | Err(Error::Constraint(_))));
        }
        commit(transaction).await.unwrap();
    }

    async fn history(seed: u64, reached: &mut BTreeMap<&'static str, usize>) {
        let mut random = Random(seed);
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        let mut model = Model::default();
        model.commit("main", Vec::new(), Rows::new());
        for name in ["x", "y"] {
            graph
                .create_branch(&branch(name), "main", "a")
                .await
                .unwrap();
            model.heads.insert(name.to_owned(), 0);
        }
        for _ in 0..STEPS {
            let on = random.of(&["main", "x", "y"]);
            let head = model.heads[on];
            match random.below(8) {
                0 | 1 => {
                    if add(graph, on, &mut random).await {
                        model.commit(on, vec![head], state(graph, on).await);
                    }
                }
                2..=4 => {
                    let before = graph.snapshot(on).await.unwrap().commit();
                    write(graph, on, &mut random).await;
                    if graph.snapshot(on).await.unwrap().commit() != before {
                        model.commit(on, vec![head], state(graph, on).await);
                    }
                }
                _ => {
                    let source = random.of(&["main", "x", "y"]);
                    let kind = one_merge(graph, &mut model, source, on).await;
                    *reached.entry(kind).or_default() += 1;
                }
            }
        }
        let reopened = fixture.reopened().await;
        for on in ["main", "x", "y"] {
            assert_eq!(&state(&reopened, on).await, model.rows(on));
        }
    }

    async fn one_merge(
        graph: &Graph,
        model: &mut Model,
        source: &str,
        target: &str,
    ) -> &'static str {
        let expected = model.merge(source, target);
        let into = branch(target);
        let outcome = graph.merge(source, &into, MergeOptions::default()).await;
        let after = state(graph, target).await;
        let (ours, theirs) = (model.heads[target], model.heads[source]);
        match expected {
            Expected::UpToDate => {
                assert_eq!(outcome.unwrap().outcome, MergeOutcome::UpToDate);
                "nothing"
            }
            Expected::Forward => {
                assert_eq!(outcome.unwrap().outcome, MergeOutcome::FastForward);
                model.heads.insert(target.to_owned(), theirs);
                assert_eq!(&after, model.rows(target));
                "forward"
            }
            Expected::Merged(rows) => {
                assert_eq!(outcome.unwrap().outcome, MergeOutcome::Merged);
                assert_eq!(after, rows, "{source} into {target}");
                model.commit(target, vec![ours, theirs], rows);
                "merged"
            }
            Expected::Rows(rows) => {
                let of_rows = ["DivergentInsert", "DivergentUpdate", "DeleteVsUpdate"];
                let found = conflicts(outcome).into_iter();
                let found = found.filter(|one| of_rows.contains(&one.kind.name()));
                let found =
                    found.map(|one| (one.kind.name().to_owned(), one.table.clone(), one.id));
                assert_eq!(found.collect::<std::collections::BTreeSet<_>>(), rows);
                "conflicts"
            }
            Expected::Rules(_) => {
                conflicts(outcome);
                "rules"
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn random_schemas_grow_together_as_the_model_says() {
        let mut reached = BTreeMap::new();
        for seed in seeds(HISTORIES) {
            println!("seed {seed}");
            history(seed, &mut reached).await;
        }
        for kind in ["nothing", "forward", "merged", "conflicts"] {
            assert!(reached.contains_key(kind), "{reached:?}");
        }
    }
}
