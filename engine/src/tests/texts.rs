//! Searching texts, against a brute force that knows nothing of indexes: over files, deletions,
//! branches, reopened graphs, and what a transaction has not published.

use std::collections::BTreeMap;

use super::merge_histories::Random;
use super::*;
use crate::RowPosition;
use crate::search::{Analyzer, Candidates, TextQuery, Word};

const SCHEMA: &str = "
node Note {
    name: String @key
    text: String?
}
";

const VOCABULARY: [&str; 12] = [
    "web", "webs", "server", "servers", "small", "Mail", "x86", "64", "tool", "toool", "a", "the",
];

type Notes = BTreeMap<String, Option<String>>;

/// BM25 as it is written in books, over the whole model: ids and scores of the rows that have a
/// word or all words, the best first.
fn brute_force(notes: &Notes, words: &[&str], all: bool) -> Vec<(String, f64)> {
    let split = |text: &String| -> Vec<String> {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let texts: BTreeMap<&String, Vec<String>> = notes
        .iter()
        .filter_map(|(id, text)| Some((id, split(text.as_ref()?))))
        .collect();
    let total = texts.len() as f64;
    let average = texts.values().map(Vec::len).sum::<usize>() as f64 / total.max(1.0);
    let mut found = Vec::new();
    for (id, text) in &texts {
        let (mut score, mut has) = (0.0, 0);
        for word in words {
            let count = |text: &Vec<String>| text.iter().filter(|found| found == word).count();
            let frequency = count(text) as f64;
            if frequency == 0.0 {
                continue;
            }
            has += 1;
            let with = texts.values().filter(|text| count(text) > 0).count() as f64;
            let idf = (1.0 + (total - with + 0.5) / (with + 0.5)).ln();
            let norm = 1.2 * (1.0 - 0.75 + 0.75 * text.len() as f64 / average);
            score += idf * frequency * 2.2 / (frequency + norm);
        }
        if has > 0 && (!all || has == words.len()) {
            found.push(((*id).clone(), score));
        }
    }
    // What differs by rounding alone is equal.
    let rounded = |score: f64| (score * 1e9).round() as i64;
    found.sort_by(|(a, s), (b, t)| rounded(*t).cmp(&rounded(*s)).then_with(|| a.cmp(b)));
    found
}

async fn search(snapshot: &Snapshot, query: &TextQuery, most: usize) -> Vec<(String, f64)> {
    let table = snapshot.table_named("note").unwrap();
    let (column, _) = table.def().column("text").unwrap();
    let hits = table.search_text(column, query, most).await.unwrap();
    let positions: Vec<RowPosition> = hits.iter().map(|hit| hit.position).collect();
    let rows = table.rows(&positions, &[0]).await.unwrap();
    let ids = rows.column(0).as_string::<i32>();
    ids.iter()
        .zip(&hits)
        .map(|(id, hit)| (id.unwrap().to_owned(), hit.score))
        .collect()
}

fn agree(found: &[(String, f64)], expected: &[(String, f64)], what: &str) {
    assert_eq!(
        found.len(),
        expected.len(),
        "{what}: {found:?} {expected:?}"
    );
    for ((id, score), (other, expected)) in found.iter().zip(expected) {
        assert!(
            id == other && (score - expected).abs() < 1e-9,
            "{what}: {id} {score}, not {other} {expected}"
        );
    }
}

async fn check(snapshot: &Snapshot, notes: &Notes, random: &mut Random) {
    let first = VOCABULARY[random.below(VOCABULARY.len())].to_lowercase();
    let second = VOCABULARY[random.below(VOCABULARY.len())].to_lowercase();
    let mut words = vec![first.as_str()];
    if second != first {
        words.push(&second);
    }
    let text = words.join(" ");
    let most = [1, 3, usize::MAX][random.below(3)];
    for all in [false, true] {
        let query = match all {
            true => TextQuery::parse(Analyzer::Simple, &text),
            false => TextQuery::any(Analyzer::Simple, &text),
        };
        let mut expected = brute_force(notes, &words, all);
        expected.truncate(most);
        agree(&search(snapshot, &query, most).await, &expected, &text);
    }
}

fn random_text(random: &mut Random) -> Option<String> {
    if random.below(8) == 0 {
        return None;
    }
    let words: Vec<&str> = (0..random.below(9))
        .map(|_| VOCABULARY[random.below(VOCABULARY.len())])
        .collect();
    Some(words.join([" ", ", ", "-"][random.below(3)]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_are_searched_as_by_brute_force() {
    for seed in seeds(6) {
        println!("seed {seed}");
        let mut random = Random(seed);
        let fixture = Fixture::of(SCHEMA).await;
        let mut graph = fixture.reopened().await;
        let mut branches = BTreeMap::from([("main".to_owned(), Notes::new())]);
        for step in 0..25 {
            let names: Vec<String> = branches.keys().cloned().collect();
            let on = names[random.below(names.len())].clone();
            match random.below(10) {
                0 if branches.len() < 3 => {
                    let name = format!("b{step}");
                    graph
                        .create_branch(&branch(&name), &on, "tester")
                        .await
                        .unwrap();
                    branches.insert(name, branches[&on].clone());
                }
                1 => graph = fixture.reopened().await,
                2 => {
                    vacuum(&graph).await;
                }
                _ => write(&graph, &on, &mut branches, &mut random).await,
            }
            for (name, notes) in &branches {
                let snapshot = graph.snapshot(name).await.unwrap();
                check(&snapshot, notes, &mut random).await;
            }
        }
    }
}

/// One transaction, which is searched before it is published, or given up.
async fn write(
    graph: &Graph,
    on: &str,
    branches: &mut BTreeMap<String, Notes>,
    random: &mut Random,
) {
    let mut notes = branches[on].clone();
    let mut transaction = begin(graph, on).await;
    let note = table(&transaction.snapshot(), "note");
    for _ in 0..=random.below(3) {
        let known: Vec<String> = notes.keys().cloned().collect();
        if random.below(3) == 0 && !known.is_empty() {
            let gone = known[random.below(known.len())].clone();
            transaction
                .delete(note, std::slice::from_ref(&gone))
                .await
                .unwrap();
            notes.remove(&gone);
        } else {
            let def = transaction
                .snapshot()
                .schema()
                .table("note")
                .unwrap()
                .clone();
            for _ in 0..=random.below(4) {
                let name = format!("n{}", random.below(30));
                let text = random_text(random);
                let row = [None, Some(name.as_str()), text.as_deref()];
                transaction.upsert(note, rows(&def, &[&row])).await.unwrap();
                notes.insert(name, text);
            }
        }
        check(&transaction.snapshot(), &notes, random).await;
    }
    if random.below(5) > 0 {
        commit(transaction).await.unwrap();
        branches.insert(on.to_owned(), notes);
    }
}

async fn some_notes() -> (Fixture, Snapshot) {
    let fixture = Fixture::of(SCHEMA).await;
    let mut transaction = begin(&fixture.graph, "main").await;
    let texts = [
        ("1", Some("A small web server")),
        ("2", Some("A web of servers; a mail server")),
        ("3", Some("Server for the web, x86-64")),
        ("4", None),
        ("5", Some("")),
        ("6", Some("webserver")),
    ];
    for (name, text) in texts {
        let row = [None, Some(name), text];
        insert(&mut transaction, "note", &[&row]).await.unwrap();
    }
    commit(transaction).await.unwrap();
    let snapshot = fixture.graph.snapshot("main").await.unwrap();
    (fixture, snapshot)
}

async fn ids(snapshot: &Snapshot, query: TextQuery) -> Vec<String> {
    let found = search(snapshot, &query, usize::MAX).await;
    let mut ids: Vec<String> = found.into_iter().map(|(id, _)| id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn phrases_prefixes_and_exclusions_choose_rows() {
    let (_fixture, notes) = some_notes().await;
    for (text, expected) in [
        ("web server", vec!["1", "2", "3"]),
        ("\"web server\"", vec!["1"]),
        ("web -mail", vec!["1", "3"]),
        ("web -\"web server\"", vec!["2", "3"]),
        ("web*", vec!["1", "2", "3", "6"]),
        ("serv* -servers", vec!["1", "3"]),
        ("x86-64", vec!["3"]),
        ("64-x86", vec![]),
        ("-mail", vec![]),
        ("", vec![]),
        ("nowhere web", vec![]),
    ] {
        assert_eq!(
            ids(&notes, TextQuery::parse(Analyzer::Simple, text)).await,
            expected,
            "{text}"
        );
    }
}

#[tokio::test]
async fn english_words_are_found_by_their_stems() {
    let (_fixture, notes) = some_notes().await;
    for (text, expected) in [
        ("the servers", vec!["1", "2", "3"]),
        ("\"web serving\"", vec![]),
        ("\"servers for a web\"", vec!["3"]),
        ("\"servers webs\"", vec![]),
        ("the", vec![]),
    ] {
        let query = TextQuery::parse(Analyzer::English, text);
        assert_eq!(ids(&notes, query).await, expected, "{text}");
    }
    let query = TextQuery::parse(Analyzer::Keyword, "WebServer");
    assert_eq!(ids(&notes, query).await, ["6"]);
}

#[tokio::test]
async fn an_index_has_the_rows_that_conditions_may_be_true_of() {
    let (fixture, _) = some_notes().await;
    let mut transaction = begin(&fixture.graph, "main").await;
    let note = table(&transaction.snapshot(), "note");
    transaction.delete(note, &["1".to_owned()]).await.unwrap();
    insert(
        &mut transaction,
        "note",
        &[&[None, Some("7"), Some("mail")]],
    )
    .await
    .unwrap();
    let notes = transaction.snapshot().table_named("note").unwrap();
    let (column, _) = notes.def().column("text").unwrap();
    let word = |word: &str| Candidates::Word(Word::Exact(word.to_owned()));
    for (wanted, expected) in [
        (word("mail"), vec!["2", "7"]),
        (
            Candidates::All(vec![word("web"), word("server")]),
            vec!["2", "3"],
        ),
        (
            Candidates::Any(vec![word("webserver"), word("x86")]),
            vec!["3", "6"],
        ),
        (Candidates::Any(Vec::new()), vec![]),
        (
            Candidates::Word(Word::Prefix("web".to_owned())),
            vec!["2", "3", "6"],
        ),
    ] {
        let found = notes.rows_with_words(column, Analyzer::Simple, &wanted);
        let rows = notes.rows(&found.await.unwrap(), &[0]).await.unwrap();
        let found = rows.column(0).as_string::<i32>().iter().flatten();
        let mut found: Vec<&str> = found.collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{wanted:?}");
    }
}

#[tokio::test]
async fn words_that_are_near_count_as_one() {
    let (_fixture, notes) = some_notes().await;
    assert_eq!(
        ids(&notes, TextQuery::near(Analyzer::Simple, "sever", 1)).await,
        ["1", "2", "3"]
    );
    assert_eq!(
        ids(&notes, TextQuery::near(Analyzer::Simple, "sever", 0)).await,
        [""; 0]
    );
    assert_eq!(
        ids(&notes, TextQuery::near(Analyzer::Simple, "mial sevrer", 2)).await,
        ["2"]
    );
    // A row with two spellings scores as one with the word twice.
    let near = search(&notes, &TextQuery::near(Analyzer::Simple, "servers", 1), 1).await;
    assert_eq!(near[0].0, "2");
}
