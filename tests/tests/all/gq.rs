//! `.gq` over the wire: the conformance cases, and what stands around a query.

use bytes::Bytes;
use futures::SinkExt;
use omnigraph_tests::{Server, code, describe, one, rows, run};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

const CASES: &str = include_str!("conformance/gq/cases.json");
const SCHEMA: &str = include_str!("conformance/gq/schema.pg");
const DATA: &str = include_str!("conformance/gq/seed.jsonl");

/// Where the language goes further than the system that defined it.
const OTHERWISE: [(&str, &[&str]); 1] = [("list_param", &["ada", "dan"])];

async fn people() -> (Server, Client) {
    let server = Server::with(&[("people", SCHEMA)]).await;
    let client = server.client().await;
    let sink = client
        .copy_in("COPY omnigraph.ndjson FROM STDIN")
        .await
        .expect("COPY");
    futures::pin_mut!(sink);
    sink.send(Bytes::from(DATA)).await.expect("data");
    sink.finish().await.expect("loaded");
    (server, client)
}

fn gq(source: &str, params: &Value) -> String {
    let params = match params {
        Value::Null => "{}".to_owned(),
        params => params.to_string(),
    };
    format!("SELECT * FROM gq($gq${source}$gq$, $gq${params}$gq$)")
}

/// Is a value as a simple query prints it what the case says?
fn same(expected: &Value, found: &str) -> bool {
    match expected {
        Value::Null => found == "∅",
        Value::Bool(value) => found == if *value { "t" } else { "f" },
        Value::Number(number) => {
            let near = |expected: f64, found: f64| {
                (expected - found).abs() <= 1e-6 * expected.abs().max(1e-3)
            };
            number.to_string() == found
                || found
                    .parse()
                    .is_ok_and(|found| near(number.as_f64().unwrap_or(f64::NAN), found))
        }
        Value::String(text) => {
            let time = found.replace(' ', "T").replace("+00", "Z");
            *text == found || text.replace(".000Z", "Z") == time
        }
        Value::Array(items) => {
            let inner = found.trim_matches(['{', '}']);
            let found: Vec<&str> = inner.split(',').filter(|item| !item.is_empty()).collect();
            items.len() == found.len()
                && items
                    .iter()
                    .zip(found)
                    .all(|(item, found)| same(item, found))
        }
        Value::Object(_) => false,
    }
}

/// What is wrong with the rows of a query.
async fn difference(
    client: &Client,
    sql: &str,
    expected: &[Value],
    ordered: bool,
) -> Option<String> {
    let messages = match client.simple_query(sql).await {
        Ok(messages) => messages,
        Err(error) => return Some(describe(&error)),
    };
    let found: Vec<Vec<(String, String)>> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let names = row.columns().iter().map(|column| column.name().to_owned());
                let values = (0..row.len()).map(|at| row.get(at).unwrap_or("∅").to_owned());
                Some(names.zip(values).collect())
            }
            _ => None,
        })
        .collect();
    let fits = |row: &Value, found: &Vec<(String, String)>| {
        row.as_object().map(serde_json::Map::len) == Some(found.len())
            && found
                .iter()
                .all(|(name, found)| row.get(name).is_some_and(|value| same(value, found)))
    };
    let equal = if ordered {
        expected.len() == found.len()
            && expected
                .iter()
                .zip(&found)
                .all(|(row, found)| fits(row, found))
    } else {
        let mut left: Vec<_> = found.iter().collect();
        expected.iter().all(|row| {
            let at = left.iter().position(|found| fits(row, found));
            at.map(|at| left.remove(at)).is_some()
        }) && left.is_empty()
    };
    (!equal).then(|| format!("{found:?}\n   instead of {expected:?}"))
}

async fn check_merge(client: &Client, id: &str, case: &Value) -> Option<String> {
    let (target, source) = (format!("{id}_target"), format!("{id}_source"));
    for (branch, ops) in [(&target, "target_ops"), (&source, "source_ops")] {
        run(client, &format!("CREATE SCHEMA {branch}")).await;
        run(client, &format!("SET search_path = {branch}")).await;
        for op in case[ops].as_array().expect("operations") {
            let source = format!("query m() {{ {} }}", op.as_str().expect("text"));
            run(client, &gq(&source, &Value::Null)).await;
        }
    }
    let merged = format!("SELECT outcome FROM branch_merge('{source}', into => '{target}')");
    let outcome = client.simple_query(&merged).await;
    match (&outcome, case["status"].as_str()) {
        (Ok(_), Some("ok")) => {}
        (Err(error), Some("error")) if error.code().is_some_and(|code| code.code() == "MG001") => {
            let conflicts = format!("SELECT kind, id FROM merge_conflicts('{source}', '{target}')");
            let found = rows(client, &conflicts).await;
            for conflict in case["conflicts"].as_array().expect("conflicts") {
                let kind = conflict["kind"].as_str().expect("a kind").replace('_', "");
                if !found.iter().any(|row| row[0].eq_ignore_ascii_case(&kind)) {
                    return Some(format!("{found:?} has no {kind}"));
                }
            }
        }
        (Ok(_), _) => return Some("it was merged".to_owned()),
        (Err(error), _) => return Some(describe(error)),
    }
    run(client, &format!("SET search_path = {target}")).await;
    for (after, source) in [
        (
            "target_persons_after",
            "query q() { match { $p: Person } return { $p.slug, $p.name, $p.age, $p.score, $p.email } order { $p.slug } }",
        ),
        (
            "target_likes_after",
            "query q() { match { $a: Person  $a likes $b } return { $a.slug, $b.slug } order { $a.slug, $b.slug } }",
        ),
    ] {
        let expected = case[after].as_array().expect("rows");
        if let Some(wrong) = difference(client, &gq(source, &Value::Null), expected, true).await {
            return Some(wrong);
        }
    }
    None
}

fn is_row(message: &SimpleQueryMessage) -> bool {
    matches!(message, SimpleQueryMessage::Row(_))
}

async fn check_change(client: &Client, id: &str, case: &Value) -> Option<String> {
    run(client, &format!("CREATE SCHEMA {id}")).await;
    run(client, &format!("SET search_path = {id}")).await;
    let head = format!("SELECT head FROM branches() WHERE name = '{id}'");
    let before = one(client, &head).await;
    let sql = gq(case["source"].as_str().expect("text"), &case["params"]);
    let done = client.simple_query(&sql).await;
    let after = one(client, &head).await;
    let row = match (done, case["status"].as_str()) {
        (Ok(messages), Some("ok")) if !messages.iter().any(is_row) => {
            return Some("it tells nothing".to_owned());
        }
        (Ok(messages), Some("ok")) => messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((
                row.get(0).map(str::to_owned),
                row.get(1).map(str::to_owned),
                row.get(2).map(str::to_owned),
            )),
            _ => None,
        })?,
        (Err(_), Some("error")) => {
            return (before != after).then(|| "something was written".to_owned());
        }
        (Ok(_), _) => return Some("it was done".to_owned()),
        (Err(error), _) => return Some(describe(&error)),
    };
    let (nodes, edges, commit) = row;
    let result = &case["result"];
    let expected = (
        Some(result["affected_nodes"].to_string()),
        Some(result["affected_edges"].to_string()),
    );
    if (nodes.clone(), edges.clone()) != expected {
        return Some(format!("{nodes:?} and {edges:?} instead of {expected:?}"));
    }
    if commit.as_ref() != (case["committed"] == true).then_some(&after)
        || commit.is_some() != (before != after)
    {
        return Some(format!("the commit is {commit:?} from {before} to {after}"));
    }
    let follow_up = case.get("follow_up")?;
    let source = follow_up["source"].as_str().expect("text");
    let sql = gq(&format!("query q() {{ {source} }}"), &Value::Null);
    difference(
        client,
        &sql,
        follow_up["rows"].as_array().expect("rows"),
        true,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_cases_hold() {
    let (_server, client) = people().await;
    let cases: serde_json::Map<String, Value> = serde_json::from_str(CASES).expect("cases");
    let mut wrong = Vec::new();
    for (id, case) in &cases {
        run(&client, "SET search_path = main").await;
        let found = if id.starts_with("merge_") {
            check_merge(&client, id, case).await
        } else if id.starts_with("mut_") {
            check_change(&client, id, case).await
        } else {
            let source = case["source"].as_str().expect("text");
            let sql = gq(source, &case["params"]);
            let ordered = source.contains("order {");
            let otherwise = OTHERWISE.iter().find(|(known, _)| known == id);
            if let Some((_, values)) = otherwise {
                let expected: Vec<Value> = values
                    .iter()
                    .map(|value| serde_json::json!({ "p.slug": value }))
                    .collect();
                difference(&client, &sql, &expected, ordered).await
            } else if case["status"] == "error" {
                let found = client.simple_query(&sql).await;
                found
                    .is_ok()
                    .then(|| format!("no error, though {}", case["about"]))
            } else {
                let expected = case["rows"].as_array().expect("rows");
                difference(&client, &sql, expected, ordered).await
            }
        };
        wrong.extend(found.map(|found| format!("{id}: {found}")));
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

async fn lines(client: &Client, source: &str) -> Vec<String> {
    let sql = gq(source, &Value::Null);
    let rows = rows(client, &sql).await;
    rows.iter().map(|row| row.join(" ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_searched_can_be_ranked_and_shown() {
    let (_server, client) = people().await;
    for (source, expected) in [
        (
            "query q() { match { $p: Person  search($p.bio, \"engine compilers\") } return { $p.slug } order { bm25($p.bio, \"compilers\") desc } limit 9 }",
            &["cyn"][..],
        ),
        (
            "query q() { match { $p: Person  match_text($p.bio, \"engine* -bridges\") } return { $p.slug } }",
            &["ada"],
        ),
        (
            "query q() { match { $p: Person  fuzzy($p.bio, \"compilrs\") } return { $p.slug } }",
            &["cyn"],
        ),
        (
            "query q() { match { $p: Person } return { $p.slug, nearest($p.vec, [0, 1, 0, 0]) as d } order { nearest($p.vec, [0, 1, 0, 0]) } limit 1 }",
            &["bob 0"],
        ),
        (
            "query q() { match { $p: Person  not { search($p.bio, \"a bridges\") } $p.bio is not null } return { $p.slug } order { $p.slug } }",
            &["ada", "cyn", "eve"],
        ),
        (
            "query q() { match { $p: Person } return { $p.slug, rrf(nearest($p.vec, [1, 0, 0, 0]), bm25($p.bio, \"bridges\"), 9) as r } order { rrf(nearest($p.vec, [1, 0, 0, 0]), bm25($p.bio, \"bridges\"), 9) } limit 2 }",
            &["bob 0.18333333333333335", "ada 0.1"],
        ),
    ] {
        assert_eq!(lines(&client, source).await, expected, "{source}");
    }
    let text = "query q() { match { $p: Person } return { $p.slug } order { nearest($p.vec, \"engines\") } limit 1 }";
    let refused = client.simple_query(&gq(text, &Value::Null)).await;
    assert_eq!(code(refused), "0A000");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_language_has_beyond_the_original() {
    let (_server, client) = people().await;
    for (source, expected) in [
        (
            "query q() { match { $p: Person  $p.age < 1 or ($p.tier = \"silver\" and not $p.active) } return { $p.slug } order { $p.slug } }",
            &["bob", "eve"][..],
        ),
        (
            "query q() { match { $p: Person  $p.slug in [\"ada\", \"dan\", \"nobody\"] } return { $p.slug } order { $p.slug desc } }",
            &["dan", "ada"],
        ),
        (
            "query q() { match { $p: Person  $p.tier is null } return { $p.slug } }",
            &["dan"],
        ),
        (
            "query q() { match { $p: Person  $p.score is not null  $p.score <= -3.25 + 0 } return { $p.slug, -$p.age * 2 as x } }",
            &["bob -82"],
        ),
        (
            "query q() { match { $p: Person } return distinct { $p.tier } order { $p.tier } offset 1 }",
            &["bronze", "gold", "silver"],
        ),
        (
            "query q() { match { $p: Person } return { $p.slug } order { $p.tier desc } limit 2 offset 1 }",
            &["fay", "ada"],
        ),
        (
            "query q() { match { $p: Person } return { count(distinct $p.tier) as tiers, count($p) } }",
            &["3 6"],
        ),
        (
            "query q() { match { $p: Named  $p.name starts_with \"A\" } return { $p.name } }",
            &["Ada"],
        ),
        (
            "query q() { match { $a: Person { slug: \"ada\" }  $a knows{0,} $b } return { $b } order { $b } }",
            &["ada", "bob", "cyn", "dan"],
        ),
        (
            "query q() { match { $a: Person  not { $a knows $b  not { $b likes $_ } } } return { $a.slug } order { $a.slug } }",
            &["bob", "cyn", "dan", "fay"],
        ),
        (
            "query q() { match { $a: Person  $a.slug != \"eve\"  not { $x: Org { slug: \"nowhere\" } }  $a knows $a } return { $a.slug } }",
            &[],
        ),
    ] {
        assert_eq!(lines(&client, source).await, expected, "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_a_relation_whose_types_are_known() {
    let (_server, client) = people().await;
    let source = "query q($of: String, $least: I32?) { match { $p: Person { slug: $of }  $p knows $f  $f.age >= $least } return { $f.slug as slug, $f.age, $f.tags, $f.seen } order { $f.slug } }";
    let sql = format!(
        "SELECT q.slug, \"f.age\" + 1 AS next, w.dst FROM gq($gq${source}$gq$, $1) AS q LEFT JOIN works_at w ON w.src = q.slug ORDER BY 1"
    );
    let statement = client.prepare(&sql).await.expect("types");
    let names: Vec<&str> = statement
        .columns()
        .iter()
        .map(|column| column.type_().name())
        .collect();
    assert_eq!(names, ["text", "int4", "text"]);
    assert_eq!(statement.params()[0].name(), "json");
    for (params, expected) in [
        (r#"{"of": "ada", "least": 0}"#, vec![("bob", 42, "acme")]),
        (r#"{"of": "ada"}"#, vec![]),
        (r#"{"of": "nobody", "least": 0}"#, vec![]),
    ] {
        let json = tokio_postgres_json(params);
        let found = client.query(&statement, &[&json]).await.expect("rows");
        let found: Vec<(&str, i32, &str)> = found
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        assert_eq!(found, expected, "{params}");
    }
    for params in [
        r#"{}"#,
        r#"{"of": null}"#,
        r#"{"of": 1}"#,
        r#"{"of": "a", "x": 1}"#,
    ] {
        let json = tokio_postgres_json(params);
        assert_eq!(
            code(client.query(&statement, &[&json]).await),
            "22023",
            "{params}"
        );
    }
    run(&client, "CREATE SCHEMA draft").await;
    run(
        &client,
        "UPDATE draft.person SET name = 'Ada!' WHERE slug = 'ada'",
    )
    .await;
    run(&client, "SET search_path = draft").await;
    let source = "query q() { match { $p: Person { slug: \"ada\" } } return { $p.name } }";
    assert_eq!(lines(&client, source).await, ["Ada!"]);
    let union = format!(
        "SELECT * FROM gq($${source}$$) UNION ALL SELECT slug FROM main.person WHERE slug = 'bob'"
    );
    let mut both = rows(&client, &union).await;
    both.sort();
    assert_eq!(both, [["Ada!"], ["bob"]]);
}

/// A JSON parameter as its text is sent.
fn tokio_postgres_json(text: &str) -> Json {
    Json(text.to_owned())
}

#[derive(Debug)]
struct Json(String);

impl tokio_postgres::types::ToSql for Json {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(ty: &tokio_postgres::types::Type) -> bool {
        *ty == tokio_postgres::types::Type::JSON
    }

    tokio_postgres::types::to_sql_checked!();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_stand_alone_or_join_a_transaction() {
    let (_server, client) = people().await;
    let insert = "query add($slug: String) { insert Person { slug: $slug, name: \"New\", tags: [\"x\"], vec: [1, 2, 3, -4.5], seen: now() } insert Likes { from: $slug, to: \"ada\" } update Likes set { to: \"bob\" } where from = $slug }";
    let call = format!("CALL gq($gq${insert}$gq$, '{{\"slug\": \"zoe\"}}')");
    let done = rows(&client, &call).await;
    assert_eq!((done[0][0].as_str(), done[0][1].as_str()), ("1", "2"));
    assert_eq!(one(&client, "SHOW last_commit").await, done[0][2]);
    assert_eq!(
        one(&client, "SELECT dst FROM likes WHERE src = 'zoe'").await,
        "bob"
    );

    run(&client, "BEGIN").await;
    let call = format!("SELECT * FROM gq($gq${insert}$gq$, '{{\"slug\": \"yan\"}}')");
    assert_eq!(rows(&client, &call).await, [["1", "2", "∅"]]);
    assert_eq!(
        one(&client, "SELECT count(*) FROM likes WHERE src = 'yan'").await,
        "1"
    );
    run(&client, "ROLLBACK").await;
    assert_eq!(
        one(&client, "SELECT count(*) FROM person WHERE slug = 'yan'").await,
        "0"
    );

    // The second change fails, and the first is taken back with it.
    let half = "query half() { insert Person { slug: \"half\", name: \"Half\" } insert Likes { from: \"half\", to: \"nobody\" } }";
    run(&client, "BEGIN").await;
    run(&client, "SAVEPOINT s").await;
    assert_eq!(
        code(client.simple_query(&gq(half, &Value::Null)).await),
        "23503"
    );
    run(&client, "ROLLBACK TO s").await;
    assert_eq!(
        one(&client, "SELECT count(*) FROM person WHERE slug = 'half'").await,
        "0"
    );
    run(&client, "COMMIT").await;

    let statement = client
        .prepare(&format!("SELECT * FROM gq($gq${insert}$gq$, $1)"))
        .await
        .expect("a statement");
    let done = client
        .query_one(&statement, &[&tokio_postgres_json(r#"{"slug": "wim"}"#)])
        .await
        .expect("done");
    assert_eq!((done.get::<_, i64>(0), done.get::<_, i64>(1)), (1, 2));
    assert!(done.get::<_, Option<&str>>(2).is_some());
    let missing = client
        .query(&statement, &[&tokio_postgres_json("{}")])
        .await;
    assert_eq!(code(missing), "22023");
    let larger = format!("SELECT commit FROM gq($gq${insert}$gq$, '{{\"slug\": \"x\"}}')");
    assert_eq!(code(client.simple_query(&larger).await), "0A000");
    run(&client, "SET default_transaction_read_only = on").await;
    assert_eq!(code(client.simple_query(&call).await), "25006");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_their_places() {
    let (_server, client) = people().await;
    for (source, expected, words) in [
        (
            "query q() { match { $p: Person } return { $p.nope } }",
            "42703",
            "gq:1:46: query q: type Person has no property \"nope\"",
        ),
        (
            "query q() { match { $p: Nope } return { $p } }",
            "42P01",
            "node type Nope does not exist",
        ),
        (
            "query q() { match { $p: Person  $p.age = \"x\" } return { $p } }",
            "42804",
            "cannot compare I32? with String",
        ),
        (
            "query q() { match { $p: Person } }",
            "42601",
            "expected return, found \"}\"",
        ),
        (
            "query q() { insert Person { slug: \"a\" } }",
            "23502",
            "insert of Person needs \"name\"",
        ),
        (
            "query q() { match { $p: Person } return { $p } } query r() { match { $p: Person } return { $p } }",
            "42601",
            "several queries",
        ),
        ("", "42601", "no query"),
    ] {
        let error = client
            .simple_query(&gq(source, &Value::Null))
            .await
            .expect_err(source);
        let told = describe(&error);
        assert!(told.starts_with(expected) && told.contains(words), "{told}");
    }
    assert_eq!(code(client.prepare("SELECT * FROM gq($1)").await), "0A000");
    assert_eq!(
        code(client.simple_query("SELECT * FROM gq()").await),
        "42883"
    );
}
