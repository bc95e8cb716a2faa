//! PostgreSQL's text search through the wire. What is expected is what PostgreSQL 15 answers.

use omnigraph_tests::{Server, code, one, rows, run};
use tokio_postgres::Client;

const SCHEMA: &str = r#"
node Note {
    slug: String
    title: String?
    body: String? @index(analyzer="english")

    @key(slug)
}
"#;

async fn notes() -> (Server, Client) {
    let server = Server::with(&[("people", SCHEMA)]).await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO note (slug, title, body) VALUES
         ('a', 'A web', 'Servers for the web, small ones'),
         ('b', 'B', 'A server of bread'),
         ('c', 'C', 'The small bridge'),
         ('d', 'D', NULL)",
    )
    .await;
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_queries_are_written_as_in_postgres() {
    let (_server, client) = notes().await;
    for (sql, expected) in [
        (
            "to_tsvector('english', 'The quick foxes and a quick dog')",
            "'dog':7 'fox':3 'quick':2,6",
        ),
        ("to_tsvector('simple', 'It''s')", "'it':1 's':2"),
        ("to_tsvector('The rats')", "'rat':2"),
        (
            "plainto_tsquery('The Fat Rats, the fat')",
            "'fat' & 'rat' & 'fat'",
        ),
        (
            "phraseto_tsquery('english', 'cats of the rats')",
            "'cat' <3> 'rat'",
        ),
        (
            "websearch_to_tsquery('\"sad cats\" or rats -dogs')",
            "'sad' <-> 'cat' | 'rat' & !'dog'",
        ),
        ("to_tsquery('fat & the & rats:*')", "'fat' & 'rat':*"),
        (
            "to_tsquery('simple', 'a <2> (b | !c)')",
            "'a' <2> ( 'b' | !'c' )",
        ),
        ("'a fat:2,4 cat:3'::tsvector", "'a' 'cat':3 'fat':2,4"),
        ("'fat:ab & !cat'::tsquery::text", "'fat':AB & !'cat'"),
        (
            "'a:1 b:2'::tsvector || setweight('b:1 c:2', 'A')",
            "'a':1 'b':2,3A 'c':4A",
        ),
        ("strip('a:1 b:2'::tsvector)", "'a' 'b'"),
        ("length('a:1 b:2'::tsvector)", "2"),
        ("tsvector_to_array('b:1 a:2'::tsvector)", "{a,b}"),
        ("'a'::tsquery && 'b'::tsquery", "'a' & 'b'"),
        ("'a'::tsquery || 'b'", "'a' | 'b'"),
        ("'a'::tsquery <-> 'b'::tsquery", "'a' <-> 'b'"),
        ("!! 'a'::tsquery", "!'a'"),
        ("numnode('a & b'::tsquery)", "3"),
        ("'a:1'::tsvector = ' a:1 '::tsvector", "t"),
        ("to_tsvector('fat cats') @@ to_tsquery('cat & !dog')", "t"),
        ("to_tsquery('dog') @@ to_tsvector('fat cats')", "f"),
        ("'fat cats' @@ 'cats'::text", "t"),
        ("'fat cats'::text @@ to_tsquery('cat')", "t"),
        ("get_current_ts_config()", "english"),
        ("'simple'::regconfig", "simple"),
        (
            "ts_rank('a:1 cat:3,9B fat:2,4 rat:5A', 'fat & rat')",
            "0.52478105",
        ),
        (
            "ts_rank('{0.1, 0.2, 0.4, 1.0}', 'a:1 cat:3,9B fat:2,4 rat:5A', 'fat & rat', 1)",
            "0.18693078",
        ),
        (
            "ts_rank_cd('a:1 cat:3,9B fat:2,4 rat:5A', 'fat & rat')",
            "0.18181819",
        ),
        (
            "ts_headline('english', 'Small engines, for building bridges.', websearch_to_tsquery('engine bridge'))",
            "Small <b>engines</b>, for building <b>bridges</b>.",
        ),
        (
            "ts_headline('Small engines', to_tsquery('engine'), 'StartSel=<i>, StopSel=</i>')",
            "Small <i>engines</i>",
        ),
    ] {
        let found = one(&client, &format!("SELECT {sql}")).await;
        assert_eq!(found, expected, "{sql}");
    }
    for (sql, expected) in [
        ("'a b'::tsquery", "42601"),
        ("to_tsquery('a b')", "42601"),
        ("'a:x'::tsvector", "42601"),
        ("to_tsvector('klingon', 'x')", "42704"),
        (
            "ts_rank('{1}'::float4[], 'a:1'::tsvector, 'a'::tsquery)",
            "2202E",
        ),
        ("ts_headline('a', 'a'::tsquery, 'MinWords=0')", "22023"),
        ("setweight('a:1', 'x')", "22023"),
    ] {
        let refused = client.simple_query(&format!("SELECT {sql}")).await;
        assert_eq!(code(refused), expected, "{sql}");
    }
    run(
        &client,
        "SET default_text_search_config = 'pg_catalog.simple'",
    )
    .await;
    assert_eq!(
        one(&client, "SELECT to_tsvector('The rats')").await,
        "'rats':2 'the':1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_by_their_words() {
    let (_server, client) = notes().await;
    let slugs = |condition: &str| format!("SELECT slug FROM note WHERE {condition} ORDER BY slug");
    for (condition, expected) in [
        (
            "to_tsvector('english', body) @@ plainto_tsquery('english', 'server')",
            vec!["a", "b"],
        ),
        (
            "to_tsvector(body) @@ websearch_to_tsquery('small -bridge')",
            vec!["a"],
        ),
        ("body @@ to_tsquery('brid:*')", vec!["c"]),
        ("NOT body @@ to_tsquery('bridge')", vec!["a", "b"]),
        ("body @@ to_tsquery('!bridge')", vec!["a", "b"]),
        ("body @@ to_tsquery('bridge | !small')", vec!["b", "c"]),
        (
            "to_tsvector('simple', body) @@ 'server'::tsquery",
            vec!["b"],
        ),
        ("body @@ ''::tsquery", vec![]),
        (
            "to_tsvector(coalesce(title, '') || ' ' || coalesce(body, '')) @@ to_tsquery('web & small')",
            vec!["a"],
        ),
        (
            "setweight(to_tsvector(title), 'A') || to_tsvector(body) @@ to_tsquery('web:A')",
            vec!["a"],
        ),
        ("has_words(body, 'servers -web', 'english')", vec!["b"]),
        (
            "has_any_word(body, 'bridges bread', 'english') AND slug > 'b'",
            vec!["c"],
        ),
        ("has_words(body, 'servers')", vec!["a"]),
        (
            "matches_text(body, 'bridges bread -web', 'english')",
            vec!["b", "c"],
        ),
        ("has_near_words(body, 'brigde', 2)", vec!["c"]),
    ] {
        let found = rows(&client, &slugs(condition)).await.concat();
        assert_eq!(found, expected, "{condition}");
    }
    let plan = rows(
        &client,
        &format!(
            "EXPLAIN {}",
            slugs("to_tsvector('english', body) @@ to_tsquery('small')")
        ),
    )
    .await
    .concat()
    .join("\n");
    assert!(plan.contains("Index Scan"), "{plan}");
    let statement = client
        .prepare("SELECT slug, ts_rank(to_tsvector('english', body), q) FROM note, plainto_tsquery('english', $1) q WHERE to_tsvector('english', body) @@ q ORDER BY 2 DESC, 1")
        .await;
    let statement = match statement {
        Ok(statement) => statement,
        Err(error) => panic!("{error:?}"),
    };
    for (words, expected) in [("small", 2), ("bridges", 1), ("nothing", 0)] {
        let found = client.query(&statement, &[&words]).await.expect("rows");
        assert_eq!(found.len(), expected, "{words}");
    }
    let direct = client
        .prepare("SELECT slug FROM note WHERE to_tsvector('english', body) @@ plainto_tsquery('english', $1)")
        .await
        .expect("it is known before Bind");
    for (words, expected) in [("small", 2), ("bridges", 1), ("nothing", 0)] {
        let found = client.query(&direct, &[&words]).await.expect("rows");
        assert_eq!(found.len(), expected, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_take_the_words_that_a_property_declares() {
    let (_server, client) = notes().await;
    for (call, expected) in [
        ("search('note', 'body', 'servers')", vec!["a", "b"]),
        (
            "search('note', 'body', 'servers', analyzer => 'simple')",
            vec!["a"],
        ),
        (
            "match_text('note', 'body', '\"servers for a web\"')",
            vec!["a"],
        ),
        ("search('note', 'title', 'webs')", vec![]),
        (
            "search('note', 'title', 'webs', analyzer => 'english')",
            vec!["a"],
        ),
        (
            "search('note', 'title', 'a WEB', analyzer => 'keyword')",
            vec!["a"],
        ),
    ] {
        let found = rows(&client, &format!("SELECT slug FROM {call} ORDER BY slug"))
            .await
            .concat();
        assert_eq!(found, expected, "{call}");
    }
    let refused = client
        .simple_query("SELECT * FROM search('note', 'body', 'x', analyzer => 'klingon')")
        .await;
    assert_eq!(code(refused), "22023");
    let refused = client
        .simple_query("SELECT has_words('a', 'b', 'klingon')")
        .await;
    assert_eq!(code(refused), "22023");
}
