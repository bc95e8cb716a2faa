//! GRAPH_TABLE over the wire: the conformance cases, and what stands around a pattern.

use bytes::Bytes;
use futures::SinkExt;
use omnigraph_tests::{Server, code, describe, one, rows, run};
use serde_json::Value;
use tokio_postgres::Client;

const CASES: &str = include_str!("conformance/graph-table.json");
const SCHEMA: &str = include_str!("conformance/social.pg");
const DATA: &str = include_str!("conformance/social.jsonl");

async fn social() -> (Server, Client) {
    let server = Server::with(&[("social", SCHEMA)]).await;
    let client = server.client_of("social", "ada").await;
    let sink = client
        .copy_in("COPY omnigraph.ndjson FROM STDIN")
        .await
        .expect("COPY");
    futures::pin_mut!(sink);
    sink.send(Bytes::from(DATA)).await.expect("data");
    sink.finish().await.expect("loaded");
    (server, client)
}

/// A value as a simple query prints it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "∅".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            format!("{{{}}}", items.join(","))
        }
        other => other.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_cases_hold() {
    let (_server, client) = social().await;
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("cases");
    let mut wrong = Vec::new();
    for case in &cases {
        let (id, sql) = (case["id"].as_str().unwrap(), case["sql"].as_str().unwrap());
        let sql = match case["params"].as_array().map(Vec::as_slice) {
            // A simple query has no parameters; PREPARE has.
            Some([parameter]) => {
                run(&client, &format!("PREPARE {id} AS {sql}")).await;
                format!("EXECUTE {id} ({parameter})")
            }
            _ => sql.to_owned(),
        };
        match (client.simple_query(&sql).await, case.get("error")) {
            (Ok(_), Some(error)) => wrong.push(format!("{id}: no error, {error} was expected")),
            (Err(error), Some(expected)) => {
                let found = error.code().map_or("", |code| code.code());
                if expected != "any" && expected != found {
                    wrong.push(format!("{id}: {found} instead of {expected}"));
                }
            }
            (Err(error), None) => wrong.push(format!("{id}: {}", describe(&error))),
            (Ok(_), None) => {
                let mut found = rows(&client, &sql).await;
                let expected = case["expected"].as_array().unwrap();
                let mut expected: Vec<Vec<String>> = expected
                    .iter()
                    .map(|row| row.as_array().unwrap().iter().map(text).collect())
                    .collect();
                if case["ordered"] != true {
                    found.sort();
                    expected.sort();
                }
                if found != expected {
                    wrong.push(format!("{id}: {found:?}\n   instead of {expected:?}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

async fn lines(client: &Client, sql: &str) -> Vec<String> {
    let mut found: Vec<String> = rows(client, sql)
        .await
        .iter()
        .map(|row| row.join(" "))
        .collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_is_a_relation_like_any_other() {
    let (_server, client) = social().await;
    let knows = "GRAPH_TABLE (social MATCH (a IS person)-[IS knows]->(b IS person) COLUMNS (a.num AS a, b.num AS b))";
    let sql = format!(
        "WITH k AS (SELECT * FROM {knows}) SELECT x.a, y.b FROM k x JOIN k y ON x.b = y.a WHERE x.a = 1"
    );
    assert_eq!(lines(&client, &sql).await, ["1 1", "1 3", "1 3", "1 4"]);
    let sql = format!("SELECT a FROM {knows} UNION SELECT b FROM {knows} ORDER BY 1");
    assert_eq!(lines(&client, &sql).await, ["1", "2", "3", "4", "5"]);
    let sql = format!("SELECT count(*) FROM (SELECT DISTINCT a FROM {knows} AS g) s");
    assert_eq!(one(&client, &sql).await, "5");
    let sql = format!("SELECT g.x FROM {knows} AS g (x, y) WHERE g.y = 4");
    assert_eq!(lines(&client, &sql).await, ["3"]);
    run(&client, "BEGIN").await;
    run(
        &client,
        &format!("DECLARE c CURSOR FOR SELECT * FROM {knows}"),
    )
    .await;
    assert_eq!(rows(&client, "FETCH 3 FROM c").await.len(), 3);
    run(&client, "COMMIT").await;
    let plan = lines(
        &client,
        &format!("EXPLAIN SELECT * FROM {knows} WHERE a = 1"),
    )
    .await;
    assert!(
        plan.iter().any(|line| line.contains("Graph Match from")),
        "{plan:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_stand_anywhere_in_a_pattern() {
    let (_server, client) = social().await;
    let sql = "SELECT n FROM GRAPH_TABLE (social MATCH (a IS person WHERE a.num = $1)-[k IS knows WHERE k.since < $2]->{1,3}(b) \
               WHERE b.name <> $3 COLUMNS (b.name || $4 AS n)) ORDER BY n";
    let statement = client.prepare(sql).await.expect("types from the columns");
    for (start, expected) in [(1, vec!["Bob!", "Cat!", "Cat!"]), (3, vec![])] {
        let found = client
            .query(&statement, &[&start, &2015, &"Ann", &"!"])
            .await
            .expect("rows");
        let found: Vec<&str> = found.iter().map(|row| row.get(0)).collect();
        assert_eq!(found, expected, "{start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_matches_its_own_writes() {
    let (_server, client) = social().await;
    let sql = "SELECT b FROM GRAPH_TABLE (social MATCH (a IS person WHERE a.num = 6)-[IS knows]-{1,2}(b IS person) COLUMNS (b.num AS b))";
    assert!(lines(&client, sql).await.is_empty());
    run(&client, "BEGIN").await;
    run(&client, "INSERT INTO person (num, name) VALUES (7, 'Gil')").await;
    run(
        &client,
        "INSERT INTO knows (id, src, dst, num) VALUES ('n', '6', '7', 1)",
    )
    .await;
    run(&client, "DELETE FROM knows WHERE id = '106'").await;
    assert_eq!(lines(&client, sql).await, ["6", "7"]);
    let chain = "SELECT count(*) FROM GRAPH_TABLE (social MATCH (a WHERE a.num = 3)-[k IS knows]->(b)-[IS knows]->(c WHERE c.num = 5) COLUMNS (1 AS x))";
    assert_eq!(one(&client, chain).await, "0");
    run(&client, "ROLLBACK").await;
    assert!(lines(&client, sql).await.is_empty());
    assert_eq!(one(&client, chain).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_matched_apart() {
    let (_server, client) = social().await;
    run(&client, "CREATE SCHEMA draft").await;
    run(&client, "DELETE FROM draft.knows WHERE src = '1'").await;
    let count = |graph: &str| {
        format!(
            "SELECT count(*) FROM GRAPH_TABLE ({graph} MATCH ()-[k IS knows]->() COLUMNS (1 AS x))"
        )
    };
    assert_eq!(one(&client, &count("social")).await, "8");
    assert_eq!(one(&client, &count("draft.social")).await, "5");
    assert_eq!(
        code(client.simple_query(&count("nowhere.social")).await),
        "3F000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn subqueries_and_other_tables_reach_into_a_pattern() {
    let (_server, client) = social().await;
    let oldest = "SELECT n FROM GRAPH_TABLE (social MATCH (p IS person WHERE p.age = (SELECT max(age) FROM person)) COLUMNS (p.name AS n))";
    assert_eq!(lines(&client, oldest).await, ["Fay"]);
    let lateral = "SELECT c.name, g.n FROM company c LEFT JOIN LATERAL (SELECT count(*) AS n FROM GRAPH_TABLE \
                   (social MATCH (p IS person)-[IS works_at]->(x IS company WHERE x.num = c.num) COLUMNS (1 AS x))) g ON true";
    assert_eq!(lines(&client, lateral).await, ["Acme 3", "Bolt 2"]);
    let exists = "SELECT n FROM GRAPH_TABLE (social MATCH (p IS person) WHERE EXISTS (SELECT 1 FROM works_at w WHERE w.src = p.id) \
                  AND NOT EXISTS (MATCH (p)-[IS likes]->(x IS post)) COLUMNS (p.name AS n))";
    assert_eq!(lines(&client, exists).await, ["Dan", "Fay"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_modes_and_groups_combine() {
    let (_server, client) = social().await;
    let of = |pattern: &str, columns: &str| {
        format!("SELECT * FROM GRAPH_TABLE (social MATCH {pattern} COLUMNS ({columns}))")
    };
    // From a key at the right end, and from one at the left: the same walks.
    let right = of(
        "(a IS person)-[k IS knows]->{1,3}(b WHERE b.num = 4)",
        "a.num AS a, array_agg(k.num) AS ks",
    );
    let left = of(
        "(b WHERE b.num = 4)<-[k IS knows]-{1,3}(a IS person)",
        "a.num AS a, array_agg(k.num) AS ks",
    );
    let mut reversed: Vec<Vec<String>> = rows(&client, &left).await;
    for row in &mut reversed {
        let mut edges: Vec<&str> = row[1].trim_matches(['{', '}']).split(',').collect();
        edges.reverse();
        row[1] = format!("{{{}}}", edges.join(","));
    }
    reversed.sort();
    let mut forward = rows(&client, &right).await;
    forward.sort();
    assert_eq!(forward, reversed);
    assert_eq!(forward.len(), 6);
    let shortest = of(
        "p = ALL SHORTEST TRAIL (a WHERE a.num = 1)-[k IS knows]->{2,4}(b WHERE b.num = 1)",
        "path_length(p) AS l, path_vertices(p) AS v",
    );
    assert_eq!(lines(&client, &shortest).await, ["2 {1,3,1}"]);
    let groups = of(
        "p = SHORTEST 2 GROUPS (a WHERE a.num = 1)-[k IS knows]->+(b WHERE b.num = 3)",
        "path_length(p) AS l",
    );
    assert_eq!(lines(&client, &groups).await, ["1", "2", "2"]);
    let body = of(
        "(a WHERE a.num = 1)((x)-[k IS knows]->(y) WHERE x.age > y.age OR y.num = 2){1,2}(b)",
        "b.num AS b, string_agg(y.name, '>') AS names",
    );
    assert_eq!(
        lines(&client, &body).await,
        ["2 Bob", "2 Bob", "3 Bob>Cat", "3 Bob>Cat", "3 Cat"]
    );
    let different = of(
        "DIFFERENT EDGES (a WHERE a.num = 5)-[IS knows]->(b)-[IS knows]->(c)",
        "c.num AS c",
    );
    assert!(lines(&client, &different).await.is_empty());
    let step = of(
        "p = ANY SHORTEST (a WHERE a.num = 3)-[k IS knows]->*(b WHERE b.num = 5) ONE ROW PER STEP (x, e, y)",
        "element_number(e) AS n, x.name AS x, e.num AS e, y.name AS y",
    );
    assert_eq!(
        lines(&client, &step).await,
        ["2 Cat 105 Dan", "4 Dan 106 Eve"]
    );
    let cheapest = of(
        "p = ANY CHEAPEST (a WHERE a.num = 1)-[k IS knows COST k.weight]->*(b IS person)",
        "b.num AS b, path_cost(p) AS c",
    );
    assert_eq!(
        lines(&client, &cheapest).await,
        ["1 0", "2 0.5", "3 2.5", "4 3.5", "5 4.5"]
    );
    let negative = of(
        "p = ANY CHEAPEST (a)-[k IS knows COST 0 - k.weight]->*(b)",
        "path_cost(p) AS c",
    );
    assert_eq!(code(client.simple_query(&negative).await), "22023");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_their_place() {
    let (_server, client) = social().await;
    for (body, expected, word) in [
        (
            "social MATCH (p IS robot) COLUMNS (1 AS x)",
            "42704",
            "(p IS robot",
        ),
        (
            "social MATCH (p IS person) COLUMNS (p.salary)",
            "42703",
            "p.salary",
        ),
        ("social MATCH (p IS person) COLUMNS 1", "42601", "1"),
        (
            "social MATCH (p IS person)-[k IS knows]->>(q) COLUMNS (1 AS x)",
            "42601",
            ">(q)",
        ),
        (
            "social MATCH (p IS person WHERE p.num = 'x') COLUMNS (1 AS x)",
            "22P02",
            "'x'",
        ),
        ("person MATCH (p) COLUMNS (1 AS x)", "42809", "person"),
        ("nothing MATCH (p) COLUMNS (1 AS x)", "42P01", "nothing"),
        (
            "social MATCH (p)-[k IS knows]->{1,2}(q) COLUMNS (k.num)",
            "42803",
            "k.num",
        ),
        ("social MATCH (p)-[p]->(q) COLUMNS (1 AS x)", "42601", "p]"),
    ] {
        let sql = format!("SELECT *\n  FROM GRAPH_TABLE ({body})");
        let error = client.simple_query(&sql).await.expect_err(&sql);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.code().code(), expected, "{sql}: {}", error.message());
        let at = sql.find(word).expect("the word") + 1;
        let place = tokio_postgres::error::ErrorPosition::Original(at as u32);
        assert_eq!(error.position(), Some(&place), "{sql}: {}", error.message());
    }
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_apart_is_not_walked_twice() {
    let (_server, client) = social().await;
    // Each form without the walks gives what is distinct of the form with them.
    for pattern in [
        "(a IS person)-[IS knows]->{1,3}(b IS person)",
        "(a IS person)<-[IS knows]-{2,4}(b IS person)",
        "(a IS person)-[IS knows]-{0,2}(b)",
        "(a IS person)-[IS knows]->(b)-[IS works_at]->(c)",
        "(a IS person)-[]->{1,2}(b)",
        "(a IS person)-[IS knows]->{3}(b IS person WHERE b.num <> 2), (b)-[]-(a)",
    ] {
        let table = format!(
            "GRAPH_TABLE (social MATCH {pattern} COLUMNS (element_id(a) AS a, element_id(b) AS b))"
        );
        let walked = format!("SELECT a, b FROM {table} GROUP BY a, b");
        let reached = format!("SELECT DISTINCT a, b FROM {table}");
        let expected = lines(&client, &walked).await;
        assert!(!expected.is_empty(), "{pattern}");
        assert_eq!(lines(&client, &reached).await, expected, "{pattern}");
        let counted = format!("SELECT count(DISTINCT b) FROM {table}");
        let grouped = format!("SELECT count(*) FROM (SELECT b FROM {table} GROUP BY b) g");
        assert_eq!(
            one(&client, &counted).await,
            one(&client, &grouped).await,
            "{pattern}"
        );
    }
    let both = "SELECT count(*), count(DISTINCT b) FROM GRAPH_TABLE (social MATCH (a IS person WHERE a.num = 1)-[IS knows]->{2}(b) COLUMNS (b.id AS b))";
    assert_eq!(rows(&client, both).await, [["4", "3"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_is_in_the_catalogs() {
    let (_server, client) = social().await;
    run(&client, "CREATE SCHEMA draft").await;
    let graphs = "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'g'";
    assert_eq!(
        lines(&client, graphs).await,
        ["draft social g", "main social g"]
    );
    assert_eq!(
        one(&client, "SELECT 'draft.social'::regclass").await,
        "draft.social"
    );
    let elements = "SELECT e.pgealias, e.pgekind, s.pgealias, d.pgealias, e.pgesrckey FROM pg_propgraph_element e \
                    LEFT JOIN pg_propgraph_element s ON s.oid = e.pgesrcvertexid LEFT JOIN pg_propgraph_element d ON d.oid = e.pgedestvertexid \
                    WHERE e.pgepgid = 'main.social'::regclass AND e.pgealias IN ('person', 'works_at')";
    assert_eq!(
        lines(&client, elements).await,
        ["person v ∅ ∅ ∅", "works_at e person company {2}"]
    );
    let labels = "SELECT l.pgllabel FROM pg_propgraph_label l JOIN pg_propgraph_element_label el ON el.pgellabelid = l.oid \
                  JOIN pg_propgraph_element e ON e.oid = el.pgelelid WHERE e.pgerelid = 'main.person'::regclass";
    assert_eq!(lines(&client, labels).await, ["agent", "person"]);
    let properties = "SELECT p.pgpname FROM pg_propgraph_label_property lp JOIN pg_propgraph_property p ON p.oid = lp.plppropid \
                      JOIN pg_propgraph_element_label el ON el.oid = lp.plpellabelid JOIN pg_propgraph_label l ON l.oid = el.pgellabelid \
                      JOIN pg_propgraph_element e ON e.oid = el.pgelelid WHERE e.pgerelid = 'main.person'::regclass AND l.pgllabel = 'agent'";
    assert_eq!(lines(&client, properties).await, ["id", "name"]);
    let components = "SELECT edge_table_alias, vertex_table_alias, edge_end, edge_table_column_name FROM information_schema.pg_edge_table_components \
                      WHERE property_graph_schema = 'main' AND property_graph_name = 'social' AND edge_table_alias = 'works_at'";
    assert_eq!(
        lines(&client, components).await,
        [
            "works_at company DESTINATION dst",
            "works_at person SOURCE src"
        ]
    );
    let types = "SELECT property_name, data_type FROM information_schema.pg_property_data_types WHERE property_graph_schema = 'main' AND property_name IN ('age', 'weight')";
    assert_eq!(
        lines(&client, types).await,
        ["age integer", "weight double precision"]
    );
    assert_eq!(
        lines(
            &client,
            "SELECT property_graph_schema FROM information_schema.property_graphs"
        )
        .await,
        ["draft", "main"]
    );
    // What psql's \\dG asks.
    let listed = "SELECT n.nspname as \"Schema\", c.relname as \"Name\", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'g' THEN 'property graph' END as \"Type\", \
                  pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                  WHERE c.relkind IN ('g','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' \
                  AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2";
    assert_eq!(
        lines(&client, listed).await,
        ["main social property graph omnigraph"]
    );
    let definition = one(
        &client,
        "SELECT pg_get_propgraphdef('main.social'::regclass)",
    )
    .await;
    let expected = "CREATE PROPERTY GRAPH main.social
    VERTEX TABLES (
        person KEY (id) DEFAULT LABEL PROPERTIES (id, name, num, age, city) LABEL agent PROPERTIES (id, name),
        company KEY (id) DEFAULT LABEL PROPERTIES (id, name, num, country) LABEL agent PROPERTIES (id, name),
        post KEY (id) PROPERTIES (id, num, title, score)
    )
    EDGE TABLES (
        knows KEY (id) SOURCE KEY (src) REFERENCES person (id) DESTINATION KEY (dst) REFERENCES person (id) PROPERTIES (id, src, dst, num, since, weight),
        works_at KEY (id) SOURCE KEY (src) REFERENCES person (id) DESTINATION KEY (dst) REFERENCES company (id) PROPERTIES (id, src, dst, num, role),
        likes KEY (id) SOURCE KEY (src) REFERENCES person (id) DESTINATION KEY (dst) REFERENCES post (id) PROPERTIES (id, src, dst, num),
        has_creator KEY (id) SOURCE KEY (src) REFERENCES post (id) DESTINATION KEY (dst) REFERENCES person (id) PROPERTIES (id, src, dst, num)
    )";
    assert_eq!(definition, expected);
    let none = "SELECT pg_get_propgraphdef('main.person'::regclass) IS NULL";
    assert_eq!(one(&client, none).await, "t");
    assert_eq!(
        code(client.simple_query("SELECT * FROM social").await),
        "42809"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_may_have_the_graphs_name() {
    let server = Server::with(&[(
        "company",
        "node Company { name: String @key }\nedge Owns: Company -> Company",
    )])
    .await;
    let client = server.client_of("company", "ada").await;
    run(&client, "INSERT INTO company (name) VALUES ('a')").await;
    assert_eq!(
        lines(&client, "SELECT relname FROM pg_class WHERE relkind = 'g'").await,
        ["company_graph"]
    );
    for name in ["company", "company_graph"] {
        let sql =
            format!("SELECT * FROM GRAPH_TABLE ({name} MATCH (c IS company) COLUMNS (c.name))");
        assert_eq!(lines(&client, &sql).await, ["a"]);
    }
    assert_eq!(lines(&client, "SELECT name FROM company").await, ["a"]);
}

const SKEWED: &str = "
node Person { name: String @key }
node Company { name: String @key }
node Post { name: String @key }
edge WorksAt: Person -> Company
edge Likes: Person -> Post
";

/// So many people and companies, and edges from and to them in turns.
async fn skewed(people: u32, companies: u32, jobs: u32, likes: u32) -> (Server, Client) {
    let server = Server::with(&[("skewed", SKEWED)]).await;
    let client = server.client_of("skewed", "ada").await;
    for (table, count) in [("person", people), ("company", companies), ("post", 10)] {
        let insert = format!(
            "INSERT INTO {table} (name) SELECT 'n' || i FROM generate_series(1, {count}) i"
        );
        run(&client, &insert).await;
    }
    for (table, count, to) in [("works_at", jobs, companies), ("likes", likes, 10)] {
        let insert = format!(
            "INSERT INTO {table} (src, dst) SELECT 'n' || (1 + i % {people}), 'n' || (1 + i % {to}) FROM generate_series(1, {count}) i"
        );
        run(&client, &insert).await;
    }
    (server, client)
}

/// The variable that matches begin at, and the steps.
async fn explained(client: &Client, pattern: &str) -> (String, String) {
    let sql = format!("EXPLAIN SELECT * FROM GRAPH_TABLE (skewed MATCH {pattern})");
    let plan: Vec<String> = rows(client, &sql).await.concat();
    let find = |what: &str| {
        let line = plan.iter().find_map(|line| line.split_once(what));
        line.unwrap_or_else(|| panic!("no {what} in {plan:#?}"))
            .1
            .to_owned()
    };
    let begins = find("Graph Match from ");
    let begins = begins
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    (begins, find("Steps: "))
}

#[tokio::test(flavor = "multi_thread")]
async fn where_matches_begin_and_go_on_follows_from_the_numbers() {
    let pattern =
        "(p IS person)-[IS works_at]->(c IS company) COLUMNS (p.name, c.name AS works_at)";
    let both = "(p IS person WHERE p.id = 'n1')-[IS works_at]->(c IS company), (p)-[IS likes]->(o IS post) COLUMNS (c.name, o.name AS post)";
    // Few companies with many people each; many liked posts.
    let (_server, client) = skewed(200, 4, 200, 1000).await;
    let (begins, steps) = explained(&client, pattern).await;
    assert_eq!(begins, "c", "{steps}");
    assert!(
        steps.starts_with("(c) rows=4, <-[works_at]-(p) rows=200"),
        "{steps}"
    );
    let (begins, steps) = explained(&client, both).await;
    assert_eq!(begins, "p", "{steps}");
    assert!(steps.find("works_at") < steps.find("likes"), "{steps}");
    // Few people with many jobs.
    let (_server, client) = skewed(4, 200, 400, 8).await;
    let (begins, steps) = explained(&client, pattern).await;
    assert_eq!(begins, "p", "{steps}");
    let (_, steps) = explained(&client, both).await;
    assert!(steps.find("likes") < steps.find("works_at"), "{steps}");
    // As many of both, and a condition at the far end.
    let (_server, client) = skewed(50, 50, 100, 50).await;
    let far = "(p IS person)-[IS works_at]->(c IS company WHERE c.id = 'n7') COLUMNS (p.name)";
    let (begins, steps) = explained(&client, far).await;
    assert_eq!(begins, "c", "{steps}");
    let ends = "ANY SHORTEST (p IS person WHERE p.id = 'n3')-[IS works_at]-*(c IS company WHERE c.id = 'n7') COLUMNS (p.name)";
    let (_, steps) = explained(&client, ends).await;
    assert!(steps.contains("a shortest path from both ends"), "{steps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_match_did_is_told() {
    let (_server, client) = skewed(20, 4, 40, 0).await;
    let sql = "EXPLAIN (ANALYZE, COSTS off) SELECT * FROM GRAPH_TABLE (skewed MATCH (c IS company)<-[IS works_at]-(p IS person) COLUMNS (p.name))";
    let told = async || rows(&client, sql).await.concat().join("\n");
    let first = told().await;
    for expected in [
        "Frontier Sizes: 4, 40",
        "Edges Scanned: 40",
        "Topology: 0 cached, 1 built",
    ] {
        assert!(first.contains(expected), "{expected} in\n{first}");
    }
    let second = told().await;
    assert!(second.contains("Topology: 1 cached, 0 built"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pattern_has_more_than_the_memory_of_statements() {
    let schema = "node Person { name: String @key }\nedge Knows: Person -> Person";
    let server = Server::with_memory(&[("crowd", schema)], 8 << 20).await;
    let client = server.client_of("crowd", "ada").await;
    run(
        &client,
        "INSERT INTO person (name) SELECT 'p' || i FROM generate_series(1, 50) i",
    )
    .await;
    let all = "INSERT INTO knows (src, dst) SELECT a.id, b.id FROM person a JOIN person b ON a.id <> b.id";
    run(&client, all).await;
    for pattern in [
        "TRAIL (a)-[k IS knows]->*(b)",
        "SHORTEST 1000000 (a)-[k IS knows]->*(b)",
        "SHORTEST 1000000 GROUPS (a)-[k IS knows]->*(b)",
    ] {
        let sql = format!(
            "SELECT count(*) FROM GRAPH_TABLE (crowd MATCH p = {pattern} WHERE a.id = 'p1' COLUMNS (path_length(p) AS n))"
        );
        assert_eq!(code(client.simple_query(&sql).await), "53200", "{pattern}");
        assert_eq!(one(&client, "SELECT count(*) FROM knows").await, "2450");
    }
}
