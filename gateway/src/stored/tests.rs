//! What compiling tells of queries, without a server.

use std::collections::BTreeMap;
use std::sync::Arc;

use omnigraph_catalog::cluster::spec::File;
use omnigraph_catalog::stored::{Compiled, Compiler, declared};
use omnigraph_engine::schema::{Schema, SeededIds};

use super::QueryCompiler;
use crate::statement::bind::type_name;

const SCHEMA: &str = "
node Person { slug: String @key  name: String  age: I32?  score: F32? }
edge Knows: Person -> Person { since: Date? }
";

fn compile(path: &str, text: &str) -> Compiled {
    let schema = Schema::parse(SCHEMA, &mut SeededIds(1)).expect("a schema");
    let file = File {
        path: path.to_owned(),
        text: text.to_owned(),
        digest: String::new(),
    };
    let names = declared(&file).expect("heads");
    let queries: BTreeMap<String, File> =
        names.into_iter().map(|name| (name, file.clone())).collect();
    QueryCompiler::new().compile("people", &queries, &Arc::new(schema))
}

/// `signature -> columns`, in the order of names.
fn compiled(path: &str, text: &str) -> Vec<String> {
    let compiled = compile(path, text);
    assert_eq!(compiled.found, []);
    let shown = compiled.queries.iter().map(|query| {
        let columns = match &query.columns {
            None => "?".to_owned(),
            Some(columns) => columns
                .iter()
                .map(|(name, ty)| format!("{name} {}", type_name(*ty)))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let verb = if query.changes { "changes" } else { "reads" };
        format!("{} {verb} {columns}", query.signature(type_name))
    });
    shown.collect()
}

/// `code place: message` of each mistake.
fn mistakes(path: &str, text: &str) -> Vec<String> {
    let found = compile(path, text).found.into_iter().map(|found| {
        let place = found.place.map(|place| place.to_string());
        let address = found.address.unwrap_or_default();
        format!(
            "{} {address} {}: {}",
            found.code,
            place.unwrap_or_default(),
            found.message
        )
    });
    let mut found: Vec<String> = found.collect();
    found.sort_by_key(|one| one.split_once(' ').map(|(_, rest)| rest.to_owned()));
    found
}

#[test]
fn queries_have_names_types_and_columns_of_sql() {
    let text = "
query findPerson($name: String, $minAge: I32?) @description(\"By name\") {
  match { $p: Person { name: $name } $p.age >= $minAge } return { $p.slug, $p.age as years, count($p) }
}
query add($slug: String, $score: F32?) { insert Person { slug: $slug, name: $slug, score: $score } }
query words($q: String) { match { $p: Person  search($p.name, $q) } return { $p.slug } }
";
    assert_eq!(
        compiled("a.gq", text),
        [
            "add(slug text, score real DEFAULT NULL) changes affected_nodes bigint, affected_edges bigint, commit text",
            "find_person(name text, min_age integer DEFAULT NULL) reads p.slug text, years integer, count bigint",
            "words(q text) reads p.slug text",
        ]
    );
    let text = "
-- query: older(least int default 18) returns table(slug text, n bigint)
SELECT slug, count(*) AS n FROM person WHERE age >= :least GROUP BY slug ORDER BY slug LIMIT :least;
-- query: rename(who text, name varchar(5))
UPDATE person SET name = :name WHERE slug = :who RETURNING slug, name AS called;
-- query: forget(who text)
DELETE FROM person WHERE slug = :who;
-- query: both(least int)
-- description: Calls another one
SELECT o.slug FROM older(least => :least) o WHERE o.n > 0;
";
    assert_eq!(
        compiled("a.sql", text),
        [
            "both(least integer) reads slug text",
            "forget(who text) changes affected_nodes bigint, affected_edges bigint, commit text",
            "older(least integer DEFAULT 18) reads slug text, n bigint",
            "rename(who text, name character varying) changes slug text, called text",
        ]
    );
}

#[test]
fn mistakes_have_their_places() {
    assert_eq!(
        mistakes(
            "a.gq",
            "query a() {\n match { $p: Person } return { $p.nope } }\nquery b() { match { $p: Person } return { $p.slug } }"
        ),
        [
            "query_typecheck_failed query.people.a a.gq:2:35: query a: type Person has no property \"nope\""
        ]
    );
    assert_eq!(
        mistakes(
            "a.sql",
            "-- query: a()\n\nSELECT slug,\n  nope FROM person\n-- query: b(x int) returns table(y int)\nSELECT :x AS y, :z AS z\n-- query: c(x strange)\nSELECT 1\n-- query: d()\nSELECT 1; SELECT 2"
        ),
        [
            "query_typecheck_failed query.people.a a.sql:4:3: column \"nope\" does not exist",
            "query_typecheck_failed query.people.b a.sql:6:17: there is no parameter :z",
            "query_invalid query.people.c a.sql:8: type \"strange\" does not exist",
            "query_invalid query.people.d a.sql:10: a query is one statement",
        ]
    );
    assert_eq!(
        mistakes(
            "a.sql",
            "-- query: a() returns table(x int, y int)\nSELECT 1 AS x"
        ),
        [
            "query_typecheck_failed query.people.a a.sql:2: it returns 1 columns, and its head says 2"
        ]
    );
    assert_eq!(
        mistakes(
            "a.sql",
            "-- query: a()\nSELECT * FROM b()\n-- query: b()\nSELECT * FROM a()"
        ),
        [
            "query_typecheck_failed query.people.a a.sql:2:15: the stored query a calls itself",
            "query_typecheck_failed query.people.b a.sql:4:15: the stored query b calls itself",
        ]
    );
    assert_eq!(
        mistakes("a.sql", "-- query: a()\nSELECT $1::int"),
        ["query_typecheck_failed query.people.a a.sql:2:8: there is no parameter $1"]
    );
}

#[test]
fn names_that_sql_has_already_are_refused() {
    assert_eq!(
        mistakes(
            "a.gq",
            "query commits() { match { $p: Person } return { $p } }\nquery isOld() { match { $p: Person } return { $p } }\nquery is_old() { match { $p: Person } return { $p } }"
        ),
        [
            "query_name_taken query.people.commits a.gq: SQL has a function commits() already",
            "query_name_taken query.people.is_old a.gq: SQL would call it is_old(), as query \"isOld\"",
        ]
    );
}
