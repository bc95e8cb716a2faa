use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type, TimestampMicrosecondType, UInt64Type};
use proptest::prelude::*;

use super::{Decoded, Decoder, Encoder, Mistakes};
use crate::clock::Counting;
use crate::schema::{Schema, SeededIds};

const SCHEMA: &str = r#"
node Person {
    slug: String @key
    age: I32? @range(0..150)
    tier: enum(gold, silver)?
    level: U32 @default(3)
    note: String? @default("none") @check("[a-z]*")
    tags: [String]?
}
node Everything {
    s: String?  b: Blob?  t: Bool?  i: I32?  l: I64?  u: U32?  v: U64?  f: F32?  d: F64?
    day: Date?  at: DateTime?  e: enum(one, two-2)?  ss: [String]?  bs: [Blob]?  ds: [F64]?  days: [Date]?  ats: [DateTime]?
    ls: [I64]?  vec: Vector(3)?  ts: [Bool]?  fs: [F32]?
}
node Pair { a: String  b: I32  @key(a, b) }
node Moment { at: DateTime @key }
edge Knows: Person -> Person { since: Date? }
edge Links: Pair -> Moment
"#;

fn schema() -> Schema {
    Schema::parse(SCHEMA, &mut SeededIds(1)).unwrap()
}

fn decode(text: &str) -> Decoded {
    Decoder::new(&schema(), Arc::new(Counting::default()))
        .decode_chunk(text.as_bytes(), 1)
        .unwrap()
}

fn one(text: &str) -> RecordBatch {
    let decoded = decode(text);
    assert!(
        decoded.mistakes.told.is_empty(),
        "{}",
        decoded.mistakes.told[0]
    );
    assert_eq!(decoded.batches.len(), 1);
    decoded.batches[0].batch.clone()
}

fn encode(schema: &Schema, decoded: &Decoded) -> String {
    let mut out = String::new();
    for batch in &decoded.batches {
        let def = schema.by_id(batch.def.id).unwrap();
        Encoder::new(def).encode(&batch.batch, &mut out).unwrap();
    }
    out
}

#[test]
fn nodes_and_edges_come_in_any_order() {
    let decoded = decode(concat!(
        "{\"edge\":\"Knows\",\"from\":\"ada\",\"to\":\"bob\",\"data\":{\"since\":\"2026-01-31\"}}\n",
        "\n",
        "{\"type\":\"Person\",\"data\":{\"slug\":\"ada\",\"age\":36,\"tags\":[\"x\",null]}}\r\n",
        "  \n",
        "{\"data\":{\"tier\":\"gold\",\"slug\":\"bob\",\"age\":null},\"type\":\"Person\"}\n",
        "{\"edge\":\"Knows\",\"from\":\"bob\",\"to\":\"ada\",\"data\":{\"id\":\"k1\"}}",
    ));
    assert!(
        decoded.mistakes.told.is_empty(),
        "{}",
        decoded.mistakes.told[0]
    );
    let [people, knows] = decoded.batches.as_slice() else {
        panic!("two types")
    };
    assert_eq!(people.lines, [3, 5]);
    assert_eq!(knows.lines, [1, 6]);
    assert_eq!(people.batch.schema(), people.def.arrow_schema());
    let ids = people.batch.column(0).as_string::<i32>();
    assert_eq!((ids.value(0), ids.value(1)), ("ada", "bob"));
    let ages = people.batch.column(2).as_primitive::<Int32Type>();
    assert_eq!((ages.value(0), ages.is_null(1)), (36, true));
    let tags = people.batch.column(6).as_list::<i32>();
    assert_eq!(tags.value(0).null_count(), 1);
    assert!(tags.is_null(1));
    let edge_ids = knows.batch.column(0).as_string::<i32>();
    assert_eq!(edge_ids.value(0).len(), 26);
    assert_eq!(edge_ids.value(1), "k1");
    assert_eq!(knows.batch.column(1).as_string::<i32>().value(0), "ada");
    assert_eq!(knows.batch.column(2).as_string::<i32>().value(0), "bob");
}

#[test]
fn defaults_fill_what_is_not_mentioned() {
    let rows = one(
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\"}}\n{\"type\":\"Person\",\"data\":{\"slug\":\"b\",\"note\":null,\"level\":null}}",
    );
    let note = rows.column(5).as_string::<i32>();
    assert_eq!(note.value(0), "none");
    assert!(note.is_null(1), "a NULL that is written down stays one");
    let level = rows
        .column(4)
        .as_primitive::<arrow::datatypes::UInt32Type>();
    assert_eq!(level.values(), &[3, 3]);
}

#[test]
fn ids_and_endpoints_are_canonical() {
    let rows = one(r#"{"type":"Pair","data":{"a":"x\"","b":1}}"#);
    assert_eq!(rows.column(0).as_string::<i32>().value(0), r#"["x\"","1"]"#);
    for id in [r#""[\"x\",\"1\"]""#, r#"["x", 1]"#, r#"["x","01"]"#] {
        let rows = one(&format!(
            r#"{{"type":"Pair","data":{{"id":{id},"a":"x","b":1}}}}"#
        ));
        assert_eq!(rows.column(0).as_string::<i32>().value(0), r#"["x","1"]"#);
    }
    let rows = one(r#"{"edge":"Links","from":["x",1],"to":"2026-01-02T03:00:00+01:00","data":{}}"#);
    assert_eq!(rows.column(1).as_string::<i32>().value(0), r#"["x","1"]"#);
    assert_eq!(
        rows.column(2).as_string::<i32>().value(0),
        "2026-01-02T02:00:00Z"
    );
}

#[test]
fn numbers_keep_every_digit() {
    let rows = one(concat!(
        r#"{"type":"Everything","data":{"l":9007199254740993,"v":18446744073709551615,"f":0.1,"d":-0.0,"at":"1969-12-31T23:59:59.123Z"}}"#,
        "\n",
        r#"{"type":"Everything","data":{"l":"-9223372036854775808","v":"7","f":"NaN","d":"-Infinity"}}"#,
    ));
    assert_eq!(
        rows.column(5)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .values(),
        &[9_007_199_254_740_993, i64::MIN]
    );
    assert_eq!(
        rows.column(7).as_primitive::<UInt64Type>().values(),
        &[u64::MAX, 7]
    );
    assert_eq!(
        rows.column(8).as_primitive::<Float32Type>().value(0),
        0.1f32
    );
    assert!(
        rows.column(8)
            .as_primitive::<Float32Type>()
            .value(1)
            .is_nan()
    );
    let doubles = rows
        .column(9)
        .as_primitive::<arrow::datatypes::Float64Type>();
    assert!(doubles.value(0) == 0.0 && doubles.value(0).is_sign_negative());
    assert_eq!(doubles.value(1), f64::NEG_INFINITY);
    assert_eq!(
        rows.column(11)
            .as_primitive::<TimestampMicrosecondType>()
            .value(0),
        -877_000
    );
}

/// Line, how its error is shown.
const REFUSED: &[(&str, &str)] = &[
    (
        "{",
        "line 1: not valid JSON: expected \"\"\", found the end of the line",
    ),
    (
        "[]",
        "line 1: not valid JSON: expected \"{\" at column 1, found '['",
    ),
    ("{}", "line 1: the line names neither a type nor an edge"),
    (
        "{\"type\":\"Person\"} x",
        "line 1: Person: not valid JSON: expected the end of the line at column 19, found 'x'",
    ),
    (
        "{\"type\":\"Nope\",\"data\":{}}",
        "line 1: type: the schema has no node type \"Nope\"",
    ),
    (
        "{\"type\":\"Knows\",\"data\":{}}",
        "line 1: type: \"Knows\" is an edge type; write \"edge\"",
    ),
    (
        "{\"edge\":\"Person\",\"data\":{}}",
        "line 1: edge: \"Person\" is a node type; write \"type\"",
    ),
    (
        "{\"type\":7}",
        "line 1: type: expected the name of a type, found 7",
    ),
    (
        "{\"type\":\"Person\",\"type\":\"Person\"}",
        "line 1: Person.type: the line names its type twice",
    ),
    (
        "{\"type\":\"Person\",\"data\":{},\"data\":{}}",
        "line 1: Person.data: the member is given twice",
    ),
    (
        "{\"type\":\"Person\",\"extra\":1,\"data\":{}}",
        "line 1: Person.extra: unknown member; a line has type and data, or edge, from, to and data",
    ),
    (
        "{\"type\":\"Person\",\"data\":[]}",
        "line 1: Person.data: expected an object, found []",
    ),
    (
        "{\"type\":\"Person\",\"from\":\"a\",\"data\":{\"slug\":\"a\"}}",
        "line 1: Person.from: a node has no such member",
    ),
    (
        "{\"edge\":\"Knows\",\"from\":\"a\",\"data\":{}}",
        "line 1: Knows.to: an edge needs it",
    ),
    (
        "{\"edge\":\"Knows\",\"from\":null,\"to\":\"b\"}",
        "line 1: Knows.from: expected the id or key of a node",
    ),
    (
        "{\"edge\":\"Knows\",\"from\":\"a\",\"from\":\"a\",\"to\":\"b\"}",
        "line 1: Knows.from: the member is given twice",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"slug\":\"a\"}}",
        "line 1: Person.slug: the property is given twice",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"age\":null,\"age\":1}}",
        "line 1: Person.age: the property is given twice",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"height\":1}}",
        "line 1: Person.height: unknown property",
    ),
    (
        "{\"type\":\"Person\",\"data\":{}}",
        "line 1: Person.slug: a required property is missing",
    ),
    (
        "{\"type\":\"Person\"}",
        "line 1: Person.slug: a required property is missing",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":null}}",
        "line 1: Person.slug: a required property is missing",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":5}}",
        "line 1: Person.slug: expected a String, found 5",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"age\":\"5\"}}",
        "line 1: Person.age: expected an I32 (a whole number), found \"5\"",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"age\":5.0}}",
        "line 1: Person.age: expected an I32 (a whole number), found 5.0",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"age\":3000000000}}",
        "line 1: Person.age: 3000000000 is out of range for I32",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"age\":151}}",
        "line 1: Person.age: new row for relation \"person\" violates check constraint \"person_age_check\"",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"note\":\"A\"}}",
        "line 1: Person.note: new row for relation \"person\" violates check constraint \"person_note_check\"",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"tier\":\"tin\"}}",
        "line 1: Person.tier: \"tin\" is not one of gold, silver",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"tags\":\"x\"}}",
        "line 1: Person.tags: expected a list of String, found \"x\"",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"tags\":[\"x\",1,{}]}}",
        "line 1: Person.tags: element 2: expected a String, found 1",
    ),
    (
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"id\":\"b\"}}",
        "line 1: Person.id: the id \"b\" is not the key, \"a\"",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"id\":\"\"}}",
        "line 1: Everything.id: the id is empty",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"vec\":[1,2]}}",
        "line 1: Everything.vec: the vector has 2 numbers, not 3",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"vec\":[1,2,null]}}",
        "line 1: Everything.vec: expected a number as the element of a vector, found null",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"d\":1e999}}",
        "line 1: Everything.d: 1e999 is out of range for F64",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"d\":\"1.5\"}}",
        "line 1: Everything.d: expected an F64 (a number), found \"1.5\"",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"v\":-1}}",
        "line 1: Everything.v: -1 is out of range for U64",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"day\":\"2026-02-30\"}}",
        "line 1: Everything.day: expected a Date (\"2026-01-31\"), found \"2026-02-30\"",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"at\":\"2026-02-01T00:00:00\"}}",
        "line 1: Everything.at: expected a DateTime (\"2026-01-31T12:00:00Z\"), found \"2026-02-01T00:00:00\"",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"b\":\"base64:?\"}}",
        "line 1: Everything.b: not valid base64: Invalid symbol 63, offset 0.",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"bs\":[\"s3://x/y\"]}}",
        "line 1: Everything.bs: element 1: \"s3://x/y\" lies outside the graph; write its bytes as \"base64:…\"",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"t\":1}}",
        "line 1: Everything.t: expected a Bool (true or false), found 1",
    ),
    (
        "{\"type\":\"Everything\",\"data\":{\"s\":\"\\u0000\"}}",
        "line 1: Everything: a text cannot hold the character \\u0000",
    ),
];

#[test]
fn every_mistake_is_told_by_line_type_and_property() {
    for (line, expected) in REFUSED {
        let decoded = decode(line);
        assert_eq!(
            decoded
                .mistakes
                .told
                .first()
                .map(ToString::to_string)
                .as_deref(),
            Some(*expected),
            "{line}"
        );
        let rows: usize = decoded
            .batches
            .iter()
            .map(|batch| batch.batch.num_rows())
            .sum();
        assert!(rows == 0 || expected.contains("check constraint"), "{line}");
    }
}

#[test]
fn all_wrong_properties_of_a_line_are_told() {
    let decoded = decode(
        "{\"type\":\"Person\",\"data\":{\"slug\":1,\"age\":\"x\",\"nope\":[{\"a\":1}],\"tier\":\"tin\"}}\n\n{\"type\":\"Nope\"}",
    );
    let shown: Vec<(u64, Option<&str>)> = decoded
        .mistakes
        .told
        .iter()
        .map(|error| (error.line, error.property.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            (1, Some("slug")),
            (1, Some("age")),
            (1, Some("nope")),
            (1, Some("tier")),
            (3, Some("type"))
        ]
    );
}

#[test]
fn mistakes_are_counted_the_first_are_told_and_good_lines_are_kept() {
    let good = "{\"type\":\"Moment\",\"data\":{\"at\":\"2026-01-01T00:00:00Z\"}}\n";
    let decoded = decode(&format!("{good}{}", "{\"type\":\"Nope\"}\n".repeat(1050)));
    assert_eq!(decoded.mistakes.total, 1050);
    assert_eq!(decoded.mistakes.told.len(), Mistakes::MAX_TOLD);
    assert_eq!(decoded.mistakes.told[19].line, 21);
    assert_eq!(decoded.batches[0].batch.num_rows(), 1);
    let decoded = decode(&format!(
        "{}{good}",
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\",\"age\":-1}}\n".repeat(1050)
    ));
    assert_eq!(decoded.mistakes.total, 1050);
    assert_eq!(decoded.mistakes.told.len(), Mistakes::MAX_TOLD);
}

#[test]
fn bytes_that_are_no_text_are_told_by_line() {
    let decoder = Decoder::new(&schema(), Arc::new(Counting::default()));
    let mut bytes = b"{\"type\":\"Moment\",\"data\":{\"at\":\"2026-01-01T00:00:00Z\"}}\n".to_vec();
    bytes.extend(b"{\"type\":\"Mo\xff\"}\n{\"type\":\"Nope\"}\n");
    let decoded = decoder.decode_chunk(&bytes, 10).unwrap();
    let shown: Vec<String> = decoded
        .mistakes
        .told
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "line 11: not valid UTF-8",
            "line 12: type: the schema has no node type \"Nope\""
        ]
    );
    assert_eq!(decoded.batches[0].lines, [10]);
}

#[test]
fn what_is_exported_is_what_was_loaded() {
    let schema = schema();
    let text = concat!(
        "{\"type\":\"Person\",\"data\":{\"slug\":\"a\\\"\\n\\u0001é\",\"age\":36,\"tier\":\"gold\",\"level\":0,\"note\":null,\"tags\":[\"x\",null,\"\"]}}\n",
        "{\"type\":\"Everything\",\"data\":{\"id\":\"e\",\"s\":\"\",\"b\":\"base64:AP8=\",\"t\":false,\"i\":-1,\"l\":9007199254740993,\"u\":4294967295,\"v\":18446744073709551615,\"f\":0.1,\"d\":-0,\"day\":\"0001-01-01\",\"at\":\"2026-01-02T03:04:05.000001Z\",\"e\":\"two-2\",\"ss\":[],\"bs\":[\"base64:\"],\"ds\":[\"NaN\",1e+300,null],\"days\":[\"-0001-12-31\"],\"ats\":[\"infinity\"],\"ls\":[-9223372036854775808],\"vec\":[1,-0,1e-45],\"ts\":[true],\"fs\":[3.4028235e+38]}}\n",
        "{\"type\":\"Everything\",\"data\":{\"id\":\"f\"}}\n",
        "{\"type\":\"Pair\",\"data\":{\"a\":\"x\",\"b\":1}}\n",
        "{\"edge\":\"Knows\",\"from\":\"a\",\"to\":\"b\",\"data\":{\"id\":\"k\",\"since\":\"2026-01-31\"}}\n",
        "{\"edge\":\"Links\",\"from\":\"[\\\"x\\\",\\\"1\\\"]\",\"to\":\"2026-01-01T00:00:00Z\",\"data\":{\"id\":\"l\"}}\n",
    );
    let decoded = decode(text);
    assert!(
        decoded.mistakes.told.is_empty(),
        "{}",
        decoded.mistakes.told[0]
    );
    assert_eq!(encode(&schema, &decoded), text);
}

#[test]
fn slices_are_exported_as_themselves() {
    let schema = schema();
    let text = "{\"type\":\"Everything\",\"data\":{\"id\":\"a\",\"ss\":[\"x\",\"y\"],\"vec\":[1,2,3]}}\n{\"type\":\"Everything\",\"data\":{\"id\":\"b\",\"ss\":[\"z\"],\"vec\":[4,5,6]}}\n";
    let rows = one(text);
    let mut out = String::new();
    Encoder::new(schema.by_name("Everything").unwrap())
        .encode(&rows.slice(1, 1), &mut out)
        .unwrap();
    assert_eq!(out, text.lines().nth(1).unwrap().to_owned() + "\n");
}

fn json_text() -> impl Strategy<Value = String> {
    "[a-c\"\\\\\n\u{1}\u{1f}é😀 ]{0,8}"
}

prop_compose! {
    fn everything()(
        id in "[a-z0-9]{1,6}",
        s in proptest::option::of(json_text()),
        i in proptest::option::of(any::<i32>()),
        l in proptest::option::of(any::<i64>()),
        v in proptest::option::of(any::<u64>()),
        f in proptest::option::of(any::<f32>()),
        d in proptest::option::of(any::<f64>()),
        day in proptest::option::of(any::<i32>()),
        at in proptest::option::of(any::<i64>()),
        ss in proptest::option::of(proptest::collection::vec(proptest::option::of(json_text()), 0..4)),
        blob in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        vec in proptest::option::of(proptest::array::uniform3(-1e30f32..1e30)),
    ) -> String {
        use crate::schema::key::push_json_string;
        use crate::schema::text::{push_date, push_datetime};
        use base64::Engine;
        let mut line = format!("{{\"type\":\"Everything\",\"data\":{{\"id\":\"{id}\"");
        let mut member = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                line.push_str(&format!(",\"{name}\":{value}"));
            }
        };
        let quoted = |text: &str| {
            let mut out = String::new();
            push_json_string(&mut out, text);
            out
        };
        let float = |value: f64, text: String| if value.is_finite() { text } else if value.is_nan() { "\"NaN\"".into() } else if value > 0.0 { "\"Infinity\"".into() } else { "\"-Infinity\"".into() };
        member("s", s.map(|s| quoted(&s)));
        member("i", i.map(|i| i.to_string()));
        member("l", l.map(|l| l.to_string()));
        member("v", v.map(|v| v.to_string()));
        member("f", f.map(|f| float(f.into(), format!("{f:e}"))));
        member("d", d.map(|d| float(d, format!("{d:e}"))));
        member("day", day.map(|day| { let mut out = String::new(); push_date(&mut out, day); quoted(&out) }));
        member("at", at.map(|at| { let mut out = String::new(); push_datetime(&mut out, at); quoted(&out) }));
        member("ss", ss.map(|ss| format!("[{}]", ss.iter().map(|s| s.as_deref().map_or("null".into(), quoted)).collect::<Vec<_>>().join(","))));
        member("b", blob.map(|b| quoted(&format!("base64:{}", base64::engine::general_purpose::STANDARD.encode(b)))));
        member("vec", vec.map(|v| format!("[{:e},{:e},{:e}]", v[0], v[1], v[2])));
        line.push_str("}}\n");
        line
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_rows_survive_export_and_load(lines in proptest::collection::vec(everything(), 1..5)) {
        let schema = schema();
        let decoded = decode(&lines.concat());
        prop_assert!(decoded.mistakes.told.is_empty(), "{}", decoded.mistakes.told[0]);
        let exported = encode(&schema, &decoded);
        let again = decode(&exported);
        prop_assert!(again.mistakes.is_empty(), "{}", again.mistakes.told[0]);
        prop_assert_eq!(encode(&schema, &again), exported);
        // NaN is equal to nothing, so what is shown of the columns is compared.
        prop_assert_eq!(again.batches[0].batch.num_rows(), decoded.batches[0].batch.num_rows());
        for (one, other) in again.batches[0].batch.columns().iter().zip(decoded.batches[0].batch.columns()) {
            prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }

    #[test]
    fn nothing_makes_the_decoder_panic(text in "[\\[\\]{}:,\"\\\\a-z0-9.eE+u \n-]{0,120}") {
        let _ = decode(&text);
    }

    #[test]
    fn no_mutation_makes_the_decoder_panic(line in everything(), at in 0usize..400, cut in 0usize..6, insert in "\\PC{0,3}") {
        let mut bytes = line.into_bytes();
        let at = at.min(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, insert.bytes());
        let decoder = Decoder::new(&schema(), Arc::new(Counting::default()));
        let decoded = decoder.decode_chunk(&bytes, 1).unwrap();
        let rows: usize = decoded.batches.iter().map(|batch| batch.batch.num_rows()).sum();
        prop_assert!(rows > 0 || !decoded.mistakes.told.is_empty());
    }
}
