//! What the language takes and refuses.

use arrow::array::AsArray;

use super::*;
use crate::schema::{RandomIds, Schema};

const SCHEMA: &str = include_str!("../../../tests/tests/all/conformance/gq/schema.pg");

fn schema() -> Schema {
    Schema::parse(SCHEMA, &mut RandomIds).expect("the schema is valid")
}

fn read(source: &str) -> Read {
    let queries = check(
        &format!("query q($n: I32, $t: String?, $l: [String]) {{ {source} }}"),
        &schema(),
    );
    match queries
        .map_err(|errors| errors.to_string())
        .expect("a query")
        .remove(0)
        .body
    {
        Body::Read(read) => read,
        Body::Changes(_) => panic!("it reads"),
    }
}

fn refused(source: &str) -> QueryErrors {
    check(source, &schema()).expect_err("it is wrong")
}

#[track_caller]
fn is_refused(body: &str, kind: Kind, words: &str) {
    let errors = refused(&format!(
        "query q($n: I32, $t: String?, $l: [String]) {{ {body} }}"
    ));
    let told = errors.to_string();
    assert!(told.contains(words), "{told}");
    assert_eq!(errors.kind, kind, "{told}");
}

#[test]
fn a_mistake_is_told_with_its_place_and_a_caret() {
    let source = "query q() {\n    match { $p: Person }\n    return { $p.nope }\n}";
    assert_eq!(
        refused(source).in_file("people.gq").to_string(),
        "people.gq:3:17: query q: type Person has no property \"nope\"
 3 |     return { $p.nope }
   |                 ^^^^
   = hint: Its properties are name, slug, age, score, big, ubig, small, active, born, seen, tier, tags, nums, bio, email, vec."
    );
}

#[test]
fn all_mistakes_of_all_queries_are_told() {
    let source = "query a() { match { $p: Nope } return { $p.slug } }
query b() { match { $p: Person  $p.age = \"x\" } return { $p.slug, $q } }
query a() { match { $p: Person } return { $p } }";
    let told = refused(source).to_string();
    for words in [
        "query a: node type Nope does not exist",
        "query b: cannot compare I32? with String",
        "query b: $q is neither a parameter nor bound by a clause",
        "query a: it is declared twice",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let broken = refused("query a( { }\n  query b() { match { } return }");
    assert_eq!(broken.kind, Kind::Syntax);
    assert_eq!(broken.errors().errors().len(), 2, "{broken}");
}

#[test]
fn names_and_types_are_checked() {
    use Kind::*;
    let person = |rest: &str| format!("match {{ $p: Person  {rest} }} return {{ $p.slug }}");
    is_refused(
        &person("$p flies $q"),
        UnknownType,
        "edge type flies does not exist",
    );
    is_refused(
        &person("$p worksAt $p"),
        Type,
        "$p is Person and cannot be Org here",
    );
    is_refused(&person("$p <worksAt> $o"), Type, "has no direction");
    is_refused(
        &person("$p worksAt{1,2} $o"),
        Type,
        "cannot be followed twice",
    );
    is_refused(
        &person("$p $w:knows{1,2} $q"),
        Meaning,
        "it cannot have hops",
    );
    is_refused(&person("$p knows{3,2} $q"), Meaning, "not below the least");
    is_refused(
        &person("$p $w:knows $q  $w = $p"),
        Type,
        "the edge $w is not a value",
    );
    is_refused(
        &person("$p.tier = \"iron\""),
        Type,
        "\"iron\" is not one of gold, silver, bronze",
    );
    is_refused(
        &person("$p.tier in [\"gold\", \"tin\"]"),
        Type,
        "\"tin\" is not one of",
    );
    is_refused(&person("$p.tags contains 1"), Type, "has no I64 in it");
    is_refused(
        &person("$p.name contains 1"),
        Type,
        "contains cannot take String and I64",
    );
    is_refused(&person("$p.active < true"), Type, "have no order");
    is_refused(
        &person("$p.born = \"yesterday\""),
        Type,
        "cannot compare Date? with String",
    );
    is_refused(&person("$p.born = date(\"x\")"), Type, "is not a date");
    is_refused(
        &person("$p.age + $t = 1"),
        Type,
        "arithmetic takes numbers, not String?",
    );
    is_refused(
        &person("count($p) > 1"),
        Meaning,
        "count() stands in return and order only",
    );
    is_refused(&person("$p.age = $m"), UnknownVariable, "$m is neither");
    is_refused(&person("$p.age in $n"), Type, "I32 is not a list");
    is_refused(
        &person("not { $x: Org } $x.slug = \"a\""),
        UnknownVariable,
        "$x is not bound",
    );
    is_refused(
        "match { $p: Person } return { sum($p.name) }",
        Type,
        "sum() cannot take String",
    );
    is_refused(
        "match { $p: Person } return { $p.slug } order { nope }",
        UnknownVariable,
        "no output called nope",
    );
    is_refused(
        "match { $p: Person } return { count($p) as n } order { $p.slug }",
        Meaning,
        "with aggregates",
    );
    is_refused(
        "match { $p: Person } return { $p.slug } order { nearest($p.vec, $t) }",
        Meaning,
        "needs a limit",
    );
}

#[test]
fn changes_are_checked() {
    use Kind::*;
    is_refused(
        "insert Person { slug: \"a\" }",
        Missing,
        "insert of Person needs \"name\"",
    );
    is_refused("insert Knows { from: \"a\" }", Missing, "needs \"to\"");
    is_refused(
        "insert Person { slug: \"a\", name: null }",
        Missing,
        "cannot be null",
    );
    is_refused(
        "insert Person { slug: \"a\", name: \"A\", age: 1.5 }",
        Type,
        "\"age\" is I32?, not F64",
    );
    is_refused(
        "insert Person { slug: \"a\", name: \"A\", vec: [1, 2] }",
        Type,
        "the list has 2 numbers",
    );
    is_refused(
        "update Person set { slug: \"b\" } where slug = \"a\"",
        Meaning,
        "is of the key",
    );
    is_refused(
        "update Person set { nope: 1 } where slug = \"a\"",
        UnknownProperty,
        "no property \"nope\"",
    );
    is_refused(
        "delete Person where nope = 1",
        UnknownProperty,
        "no property \"nope\"",
    );
    is_refused(
        "delete Person where slug = $x",
        UnknownParameter,
        "no parameter $x",
    );
    is_refused(
        "insert Loose { text: \"a\" } delete Person where slug = \"a\"",
        Meaning,
        "a query that deletes cannot insert or update",
    );
    let source = "query q() { insert Knows { from: \"a\", to: \"b\", weight: -1 } update Knows set { to: \"c\" } where from = \"a\" and weight < 0 }";
    let Body::Changes(changes) = check(source, &schema()).expect("a query").remove(0).body else {
        panic!("it changes");
    };
    let Change::Insert { values, .. } = &changes[0] else {
        panic!("an insert")
    };
    let columns: Vec<&str> = values.iter().map(|(column, _)| column.as_str()).collect();
    assert_eq!(columns, ["src", "dst", "weight"]);
}

#[test]
fn the_order_of_clauses_means_nothing() {
    let read =
        read("match { $a.slug = $t  $a knows $b  $b: Person  not { $b knows $_ } } return { $b }");
    let types: Vec<usize> = read
        .variables
        .iter()
        .map(|variable| variable.types.len())
        .collect();
    assert_eq!(types, [1, 1, 1]);
    assert_eq!(
        read.variables
            .iter()
            .map(|variable| variable.is_inner)
            .collect::<Vec<_>>(),
        [false, false, true]
    );
}

#[test]
fn operators_bind_as_everywhere() {
    let read = read(
        "match { $p: Person  $p.age + 1 * 2 > -3 or not $p.active and $p.age is not null  $l contains $p.slug } return { $p.slug }",
    );
    let [
        _,
        Clause::Condition(Expr::Or(parts)),
        Clause::Condition(Expr::Member { negated: false, .. }),
    ] = read.clauses.as_slice()
    else {
        panic!("{:?}", read.clauses);
    };
    let [Expr::Binary(Operator::Greater, sum, three), Expr::And(both)] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    assert!(matches!(**sum, Expr::Binary(Operator::Add, ..)));
    assert!(matches!(**three, Expr::Negative(_)));
    assert!(matches!(
        both.as_slice(),
        [Expr::Not(_), Expr::IsNull { negated: true, .. }]
    ));
}

#[test]
fn outputs_are_named_and_can_be_ordered_by() {
    let read = read(
        "match { $p: Person } return distinct { $p.slug, $p, $t, $p.age as years, 1 } order { years desc, $p.slug } limit 3 offset 1",
    );
    let names: Vec<&str> = read
        .outputs
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    assert_eq!(names, ["p.slug", "p", "t", "years", "?column?"]);
    assert_eq!(read.order[0].value, read.outputs[3].value);
    assert!(read.order[0].descending && read.distinct);
    assert_eq!((read.limit, read.offset), (Some(3), Some(1)));
}

#[test]
fn an_interface_is_all_types_that_implement_it() {
    let read = read("match { $p: Named  $p.name starts_with \"A\" } return { $p.name }");
    assert_eq!(read.variables[0].types.len(), 1);
}

#[test]
fn what_is_nested_too_deep_is_refused_and_nothing_breaks() {
    let deep = format!(
        "query q() {{ match {{ $p: Person  {}1{} = 1 }} return {{ $p }} }}",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    assert_eq!(refused(&deep).kind, Kind::Limit);
    let long = format!(
        "query q() {{ match {{ $p: Person  1{} = 1 }} return {{ $p }} }}",
        " + 1".repeat(5000)
    );
    assert_eq!(refused(&long).kind, Kind::Limit);
    let signs = format!(
        "query q() {{ match {{ $p: Person  {}1 = 1 }} return {{ $p }} }}",
        "- ".repeat(5000)
    );
    assert!(check(&signs, &schema()).is_ok());
}

#[test]
fn every_example_reads() {
    let pg = include_str!("../../../examples/company/company.pg");
    let schema = Schema::parse(pg, &mut RandomIds).expect("the schema is valid");
    for (name, source) in [
        (
            "changes",
            include_str!("../../../examples/company/queries/changes.gq"),
        ),
        (
            "decisions",
            include_str!("../../../examples/company/queries/decisions.gq"),
        ),
        (
            "people",
            include_str!("../../../examples/company/queries/people.gq"),
        ),
        (
            "search",
            include_str!("../../../examples/company/queries/search.gq"),
        ),
    ] {
        let queries = check(source, &schema).map_err(|errors| errors.to_string());
        assert!(!queries.expect(name).is_empty());
    }
}

#[test]
fn arguments_are_read_by_their_types() {
    let queries = check(
        "query q($a: I64, $b: [String]?, $c: Date?) { match { $p: Person } return { $p } }",
        &schema(),
    );
    let parameters = queries.expect("a query").remove(0).parameters;
    let read = |json: &str| {
        let read = arguments(json, &parameters, BlobUris::Refused);
        read.map_err(|error| error.to_string())
    };
    let values = read(r#"{"a": "9007199254740993", "b": ["x"]}"#).expect("they suit");
    assert_eq!(values.len(), 3);
    assert_eq!(values[2].null_count(), 1);
    for (json, words) in [
        ("{}", "$a of type I64 is required"),
        (r#"{"a": null}"#, "is required"),
        (r#"{"a": 1, "x": 2}"#, "no parameter $x"),
        (r#"{"a": "abc"}"#, "$a: expected an I64"),
        (r#"{"a": 1, "a": 2}"#, "given twice"),
        ("[1]", "not a JSON object"),
        (r#"{"a": 1} x"#, "not a JSON object"),
    ] {
        let error = read(json).expect_err(json);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_blob_among_arguments_is_bytes_or_a_value() {
    let queries = check(
        "query q($a: Blob) { match { $p: Person } return { $p } }",
        &schema(),
    );
    let parameters = queries.expect("a query").remove(0).parameters;
    let read = |value: &str, uris| arguments(&format!(r#"{{"a": "{value}"}}"#), &parameters, uris);
    let bytes = read("base64:aGk=", BlobUris::Refused).expect("bytes");
    assert_eq!(bytes[0].as_binary::<i32>().value(0), b"hi");
    let value = read("base64:aGk=", BlobUris::Taken).expect("a value");
    assert_eq!(value[0].as_binary::<i64>().value(0), b"hi");
    let value = read("s3://a/b", BlobUris::Taken).expect("a URI");
    let uri = crate::blob::uri(value[0].as_binary::<i64>().value(0)).expect("a value");
    assert_eq!(uri, Some("s3://a/b"));
    let refused = read("s3://a/b", BlobUris::Refused).expect_err("a URI");
    assert!(
        refused.to_string().contains("outside the graph"),
        "{refused}"
    );
}
