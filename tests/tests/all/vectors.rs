//! Vectors through the wire: pgvector's operators, functions, casts, formats and errors.

use std::error::Error;

use bytes::BytesMut;
use omnigraph_tests::{Server, one, rows};
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

const SCHEMA: &str = r#"
node Item {
    slug: String
    kind: String?
    embedding: Vector(3)?

    @key(slug)
}
"#;

/// A vector as client libraries send it, in binary.
#[derive(Debug, PartialEq)]
struct Vector(Vec<f32>);

impl ToSql for Vector {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&u16::try_from(self.0.len())?.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        for value in &self.0 {
            out.extend_from_slice(&value.to_be_bytes());
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "vector"
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Vector {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let numbers = raw[4..].chunks_exact(4);
        Ok(Vector(
            numbers
                .map(|bytes| f32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect(),
        ))
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "vector"
    }
}

async fn items() -> (Server, Client) {
    let server = Server::with(&[("people", SCHEMA)]).await;
    let client = server.client().await;
    client
        .batch_execute(
            "INSERT INTO item (slug, kind, embedding) VALUES
             ('a', 'x', '[1,0,0]'), ('b', 'y', '[0,1,0]'), ('c', 'x', '[0.5,0.5,0]'),
             ('d', 'y', '[0,0,3]'), ('e', 'x', NULL)",
        )
        .await
        .expect("INSERT");
    (server, client)
}

async fn column(client: &Client, sql: &str) -> Vec<String> {
    rows(client, sql).await.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_functions_are_pgvectors() {
    let (_server, client) = items().await;
    for (sql, expected) in [
        ("'[0,0]'::vector <-> '[3,4]'", "5"),
        ("'[1,2]'::vector <#> '[3,4]'", "-11"),
        ("'[1,2]'::vector <=> '[2,4]'", "0"),
        ("'[0,0]'::vector <=> '[2,4]'", "NaN"),
        ("'[0,0]'::vector <+> '[3,-4]'", "7"),
        ("1 - ('[1,0]'::vector <=> '[0,1]')", "0"),
        // As tightly as any other operator: tighter than a comparison, looser than addition.
        ("0.5 > '[1,2]'::vector <=> '[2,4]'", "t"),
        ("'[1,2]'::vector + '[2,1]' <+> '[3,3]'", "0"),
        ("'[0,0]'::vector<+>'[3,-4]'", "7"),
        ("l2_distance('[0,0]', '[3,4]')", "5"),
        ("inner_product('[1,2]', '[3,4]')", "11"),
        ("cosine_distance('[1,1]', '[-1,-1]')", "2"),
        ("l1_distance('[0,0]', '[3,4]')", "7"),
        ("vector_dims('[1,2,3]')", "3"),
        ("vector_norm('[3,4]')", "5"),
        ("l2_normalize('[3,4]')", "[0.6,0.8]"),
        ("subvector('[1,2,3,4]', 2, 2)", "[2,3]"),
        ("'[1,2]'::vector + '[3,4]'", "[4,6]"),
        ("'[1,2]'::vector - '[3,4]'", "[-2,-2]"),
        ("'[1,2]'::vector * '[3,4]'", "[3,8]"),
        ("'[1,2]'::vector || '[3]'", "[1,2,3]"),
        ("'[1,2]'::vector < '[1,3]'", "t"),
        ("'[1,2]'::vector = '[1,2]'::vector(2)", "t"),
        ("'[1,2]'::vector <> '[1,2,3]'", "t"),
        ("ARRAY[1,2,3]::vector", "[1,2,3]"),
        ("ARRAY[1.5,2]::numeric[]::vector(2)", "[1.5,2]"),
        ("'{1,2}'::double precision[]::vector", "[1,2]"),
        ("'[1,2.5]'::vector::real[]", "{1,2.5}"),
        ("'[1,2]'::vector(2)::text", "[1,2]"),
        ("'[1,2]'::text::vector", "[1,2]"),
        ("array_length('[1,2]'::vector::real[], 1)", "2"),
        ("pg_typeof('[1,2]'::vector)", "vector"),
        (
            "CASE WHEN true THEN '[1,2]'::vector(2) ELSE '[1,2,3]'::vector(3) END",
            "[1,2]",
        ),
    ] {
        assert_eq!(
            one(&client, &format!("SELECT {sql}")).await,
            expected,
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_rows_come_first() {
    let (_server, client) = items().await;
    let near = |operator: &str, rest: &str| {
        format!(
            "SELECT slug FROM item {rest} ORDER BY embedding {operator} '[1,0,0]', slug LIMIT 3"
        )
    };
    assert_eq!(column(&client, &near("<->", "")).await, ["a", "c", "b"]);
    assert_eq!(column(&client, &near("<=>", "")).await, ["a", "c", "b"]);
    assert_eq!(column(&client, &near("<#>", "")).await, ["a", "c", "b"]);
    assert_eq!(column(&client, &near("<+>", "")).await, ["a", "c", "b"]);
    // The condition goes first: there are as many rows as match it.
    let y = near("<->", "WHERE kind = 'y'");
    assert_eq!(column(&client, &y).await, ["b", "d"]);
    // What a transaction wrote is found in it.
    client.batch_execute("BEGIN").await.expect("BEGIN");
    client
        .batch_execute("INSERT INTO item (slug, embedding) VALUES ('f', '[0.9,0,0]')")
        .await
        .expect("INSERT");
    client
        .batch_execute("UPDATE item SET embedding = ARRAY[9,9,9]::real[] WHERE slug = 'a'")
        .await
        .expect("UPDATE");
    assert_eq!(column(&client, &near("<->", "")).await, ["f", "c", "b"]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    assert_eq!(column(&client, &near("<->", "")).await, ["a", "c", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_text_or_binary() {
    let (_server, client) = items().await;
    let nearest = client
        .prepare("SELECT slug, embedding, embedding <-> $1 AS d FROM item WHERE embedding IS NOT NULL ORDER BY embedding <-> $1 LIMIT $2")
        .await
        .expect("the types follow from the column");
    assert_eq!(nearest.params()[0].name(), "vector");
    let found = client
        .query(&nearest, &[&Vector(vec![0.0, 0.0, 1.0]), &1_i64])
        .await
        .expect("rows");
    assert_eq!(found[0].get::<_, String>(0), "c");
    let found = client
        .query(&nearest, &[&Vector(vec![0.0, 0.0, 2.5]), &1_i64])
        .await
        .expect("rows");
    assert_eq!(found[0].get::<_, String>(0), "d");
    assert_eq!(found[0].get::<_, Vector>(1), Vector(vec![0.0, 0.0, 3.0]));
    assert_eq!(found[0].get::<_, f64>(2), 0.5);
    let insert = client
        .prepare("INSERT INTO item (slug, embedding) VALUES ($1, $2)")
        .await
        .expect("INSERT");
    client
        .execute(&insert, &[&"n", &Vector(vec![7.0, 7.0, 7.0])])
        .await
        .expect("three dimensions");
    assert_eq!(
        one(&client, "SELECT embedding FROM item WHERE slug = 'n'").await,
        "[7,7,7]"
    );
    let error = client
        .execute(&insert, &[&"m", &Vector(vec![7.0])])
        .await
        .expect_err("one dimension");
    assert_eq!(error.code().map(|code| code.code()), Some("22000"));
    let sql = "SELECT slug FROM item ORDER BY embedding <-> $1::text::vector LIMIT 1";
    let found = client.query(sql, &[&"[7,7,8]"]).await.expect("as text");
    assert_eq!(found[0].get::<_, String>(0), "n");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_in_pgvectors_words() {
    let (_server, client) = items().await;
    for (sql, state, message) in [
        (
            "SELECT '[1,2,3]'::vector <-> '[1,2]'",
            "22000",
            "different vector dimensions 3 and 2",
        ),
        (
            "SELECT slug FROM item ORDER BY embedding <=> '[1,2]' LIMIT 1",
            "22000",
            "different vector dimensions 3 and 2",
        ),
        (
            "SELECT '[1,2]'::vector(3)",
            "22000",
            "expected 3 dimensions, not 2",
        ),
        (
            "SELECT '[1,2]'::vector::vector(3)",
            "22000",
            "expected 3 dimensions, not 2",
        ),
        (
            "INSERT INTO item (slug, embedding) VALUES ('z', '[1,2]')",
            "22000",
            "expected 3 dimensions, not 2",
        ),
        (
            "SELECT '[]'::vector",
            "22000",
            "vector must have at least 1 dimension",
        ),
        (
            "SELECT '[1,nan]'::vector",
            "22000",
            "NaN not allowed in vector",
        ),
        (
            "SELECT '[1,x]'::vector",
            "22P02",
            "invalid input syntax for type vector: \"[1,x]\"",
        ),
        (
            "SELECT ARRAY[1,NULL]::vector",
            "22004",
            "array must not contain nulls",
        ),
        (
            "SELECT '[1]'::vector(0)",
            "22023",
            "dimensions for type vector must be at least 1",
        ),
        (
            "SELECT '[1]'::vector(16001)",
            "22023",
            "dimensions for type vector cannot exceed 16000",
        ),
        (
            "SELECT '[1]'::vector <-> ARRAY[1.0]::float8[]",
            "42883",
            "operator does not exist: vector <-> double precision[]",
        ),
    ] {
        let error = client.simple_query(sql).await.expect_err(sql);
        let error = error.as_db_error().expect("an answer");
        assert_eq!(
            (error.code().code(), error.message()),
            (state, message),
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogs_list_them() {
    let (_server, client) = items().await;
    let sql = "SELECT o.oprname, p.proname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
               WHERE o.oprleft = 'vector'::regtype AND o.oprresult = 'float8'::regtype ORDER BY 1";
    let listed: Vec<String> = rows(&client, sql)
        .await
        .iter()
        .map(|row| row.join(" "))
        .collect();
    assert_eq!(
        listed,
        [
            "<#> vector_negative_inner_product",
            "<+> l1_distance",
            "<-> l2_distance",
            "<=> cosine_distance"
        ]
    );
    let sql = "SELECT castsource::regtype, castcontext FROM pg_cast WHERE casttarget = 'vector'::regtype ORDER BY castsource";
    let listed: Vec<String> = rows(&client, sql)
        .await
        .iter()
        .map(|row| row.join(" "))
        .collect();
    assert_eq!(
        listed,
        [
            "integer[] a",
            "real[] a",
            "double precision[] a",
            "numeric[] a",
            "vector i"
        ]
    );
}
