use arrow::datatypes::DataType;
use proptest::prelude::*;

use super::parse;
use crate::schema::{
    Cardinality, CheckRule, Literal, PropertyType, Scalar, Schema, SeededIds, TypeKind,
};

const EVERYTHING: &str = r#"
/* A block comment, also over
   several lines. */
interface Named { name: String @description("What people say")  alias: String? }
node Person @description("A \"person\"") implements Named {
    slug: String @key          // the key
    age: I32? @index
    score: F64?, big: I64?; ubig: U64?
    tier: enum(gold, silver-2, 3rd)? @index
    tags: [String]?
    bio: String? @index(analyzer="english")
    email: String? @unique
    vec: Vector(4)? @embed("bio", model="m", on="write") @index(metric="l2")
    raw: Blob?
    seen: DateTime? @default("2026-01-02T03:04:05Z")
    level: U32 @default(3)
    @range(age, 0..150)
    @range(score, ..0.5)
    @check(slug, "^[a-z0-9-]+$")
    @check(email, ".*@.*\.org")
    @index(name, age)
}
node Pair { a: String  b: I32  label: String?  @key(a, b) }
edge Knows: Person -> Person { since: Date?  @unique(src, dst)  @index(src, since) }
edge WorksAt: Person -> Pair @card(0..1) @description("Employment")
edge Likes: Person -> Person
edge HTTPLink: Pair -> Pair @sql("link") @card(1..) { weight: F64? @sql("w") }
"#;

#[test]
fn every_construct_is_understood() {
    let schema = parse(EVERYTHING);
    let names: Vec<&str> = schema.types.iter().map(|ty| ty.name.as_str()).collect();
    assert_eq!(
        names,
        ["Person", "Pair", "Knows", "WorksAt", "Likes", "HTTPLink"]
    );
    let person = schema.by_name("Person").unwrap();
    assert_eq!(person.description(), Some("A \"person\""));
    let columns: Vec<&str> = person
        .columns()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(
        columns,
        [
            "id", "name", "alias", "slug", "age", "score", "big", "ubig", "tier", "tags", "bio",
            "email", "vec", "raw", "seen", "level"
        ]
    );
    assert_eq!(
        person.property("name").unwrap().1.description(),
        Some("What people say")
    );
    assert_eq!(person.key, [2]);
    assert_eq!(person.constraints.primary, "person_pkey");
    assert_eq!(person.constraints.key.as_deref(), Some("person_slug_key"));
    assert_eq!(
        person.constraints.id_is_key.as_deref(),
        Some("person_id_is_key")
    );
    let checks: Vec<&str> = person
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(
        checks,
        [
            "person_age_check",
            "person_score_check",
            "person_slug_check",
            "person_email_check"
        ]
    );
    assert_eq!(
        person.checks[3].rule,
        CheckRule::Regex(".*@.*\\.org".to_owned())
    );
    assert_eq!(
        person.checks[1].rule,
        CheckRule::Range {
            min: None,
            max: Some(Literal::Number("0.5".to_owned()))
        }
    );
    let tier = person.property("tier").unwrap().1;
    assert_eq!(tier.enum_constraint.as_deref(), Some("person_tier_check"));
    assert_eq!(
        tier.ty,
        PropertyType::Enum(vec!["gold".into(), "silver-2".into(), "3rd".into()])
    );
    let vector = person.property("vec").unwrap().1;
    let embedding = vector.embedding().unwrap();
    assert_eq!(
        (embedding.source, embedding.model, embedding.on_write),
        ("bio", Some("m"), true)
    );
    assert_eq!(
        vector.ty.data_type().to_string(),
        "FixedSizeList(4 x Float32)"
    );
    let indexes: Vec<&str> = person
        .indexes
        .iter()
        .map(|index| index.name.as_str())
        .collect();
    assert_eq!(
        indexes,
        [
            "person_age_idx",
            "person_tier_idx",
            "person_bio_idx",
            "person_vec_idx",
            "person_name_age_idx"
        ]
    );
    let default = person.property("seen").unwrap().1.default_array(2).unwrap();
    assert_eq!(default.len(), 2);
    assert_eq!(default.null_count(), 0);
    assert_eq!(default.data_type(), &Scalar::DateTime.data_type());

    let knows = schema.table("knows").unwrap();
    assert_eq!(knows.endpoints(), Some((person.id, person.id)));
    assert_eq!(knows.uniques[0].columns, [1, 2]);
    assert_eq!(knows.uniques[0].properties, Vec::<usize>::new());
    assert_eq!(knows.uniques[0].name, "knows_src_dst_key");
    assert_eq!(knows.indexes[0].columns, [1, 3]);
    assert_eq!(knows.constraints.src.as_deref(), Some("knows_src_fkey"));
    let works_at = schema.table("works_at").unwrap();
    assert_eq!(
        works_at.cardinality(),
        Some(Cardinality {
            min: 0,
            max: Some(1)
        })
    );
    assert_eq!(works_at.constraints.card.as_deref(), Some("works_at_card"));
    let link = schema.table("link").unwrap();
    assert_eq!(link.column("w").unwrap().0, 3);
    assert_eq!(link.cardinality(), Some(Cardinality { min: 1, max: None }));
    assert_eq!(schema.table("likes").unwrap().constraints.card, None);
    assert_eq!(schema.edges_of(person.id).count(), 3);
    assert_eq!(schema.implementers("Named").count(), 1);
    assert_eq!(schema.interfaces[0].label, "named");
}

#[test]
fn arrow_columns_are_named_after_identities() {
    let schema = parse("node A { x: I32  y: [Date]? }\nedge E: A -> A { z: Bool? }");
    let a = schema.table("a").unwrap();
    let arrow = a.arrow_schema();
    assert_eq!(arrow.field(0).name(), "id");
    assert_eq!(
        arrow.field(1).name(),
        &format!("p{:016x}", a.properties[0].id.0)
    );
    assert_eq!(arrow.field(1).data_type(), &DataType::Int32);
    assert!(!arrow.field(1).is_nullable());
    assert!(arrow.field(2).is_nullable());
    let e = schema.table("e").unwrap();
    assert_eq!(e.property_column(0), 3);
    assert_eq!(e.columns()[3].property, Some(0));
    assert_eq!(e.columns()[1].property, None);
}

#[test]
fn compact_and_loose_layouts_mean_the_same() {
    let loose = parse("node A\n{\n\tx : I32 ?\n\n y: String @key\n}\nedge E : A\n->\nA");
    let compact = parse("node A{x:I32? y:String@key}edge E:A->A");
    assert_eq!(loose.types[0].properties, compact.types[0].properties);
    assert_eq!(loose.types[1].kind, compact.types[1].kind);
}

#[test]
fn names_like_keywords_are_names() {
    let schema = parse(
        "node Node { node: String  edge: I32?  enum: enum(enum, node)  interface: Bool?  implements: Date? }\nedge Edge: Node -> Node",
    );
    assert_eq!(schema.types[0].properties.len(), 5);
}

#[test]
fn rules_behind_a_property_speak_of_it() {
    let schema = parse(
        "node A { n: I32 @range(1..5) @check_me  s: String @check(\"a+\") @key  t: String @unique }",
    );
    let a = &schema.types[0];
    assert_eq!(a.checks.len(), 2);
    assert_eq!(a.key, [1]);
    assert_eq!(a.uniques[0].columns, [3]);
    assert_eq!(a.properties[0].annotations[0].name, "check_me");
}

#[test]
fn endpoints_may_be_spelled_with_a_sign() {
    let schema = parse("node A { x: I32? }\nedge E: A -> A @card(1..1) { @unique(@src, @dst) @card_note(1) }\nedge F: A -> A { @card(0..2) }".replace("@card_note(1)", "").as_str());
    assert_eq!(schema.types[1].uniques[0].columns, [1, 2]);
    assert_eq!(
        schema.types[2].cardinality(),
        Some(Cardinality {
            min: 0,
            max: Some(2)
        })
    );
}

#[test]
fn schemas_survive_encoding() {
    let schema = parse(EVERYTHING);
    let bytes = schema.encode();
    let decoded = Schema::decode(&bytes).unwrap();
    assert_eq!(decoded, schema);
    assert_eq!(decoded.encode(), bytes);
    assert_eq!(decoded.digest(), schema.digest());
    assert_eq!(schema.digest().len(), 64);
    let other = Schema::parse(EVERYTHING, &mut SeededIds(2)).unwrap();
    assert_ne!(other.digest(), schema.digest());
    assert!(Schema::decode(b"{}").is_err());
    assert!(Schema::decode(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn an_empty_schema_declares_nothing() {
    for source in ["", " \n", "// only a comment", "/* x */\n"] {
        assert!(parse(source).types.is_empty());
    }
}

#[test]
fn shapes_ignore_names_indexes_and_descriptions() {
    let shape = |source: &str| parse(source).types[0].shape_digest();
    let plain = shape("node A { x: I32?  y: String? }");
    assert_eq!(
        plain,
        shape("node A @description(\"a\") { x: I32? @index  y: String? @description(\"b\") }")
    );
    assert_eq!(plain, shape("node B { z: I32?  y: String? }"));
    for other in [
        "node A { x: I32  y: String? }",
        "node A { x: I64?  y: String? }",
        "node A { x: I32? @unique  y: String? }",
        "node A { x: I32? @range(0..)  y: String? }",
    ] {
        assert_ne!(plain, shape(other), "{other}");
    }
}

#[test]
fn node_and_edge_kinds_are_told_apart() {
    let schema = parse("node A { x: I32? }\nedge E: A -> A");
    assert_eq!(schema.nodes().count(), 1);
    assert_eq!(schema.edges().count(), 1);
    assert_eq!(schema.types[0].kind, TypeKind::Node);
    assert_eq!((schema.types[0].number, schema.types[1].number), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_makes_the_parser_panic(source in "\\PC{0,200}") {
        let _ = Schema::parse(&source, &mut SeededIds(1));
    }

    #[test]
    fn no_mutation_makes_the_parser_panic(
        at in 0usize..EVERYTHING.len(),
        length in 0usize..40,
        insert in "[-@(){}\\[\\]:?,.\"/*a-zA-Z0-9 \n\u{e9}]{0,6}",
    ) {
        let mut bytes = EVERYTHING.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, insert.bytes());
        let source = String::from_utf8_lossy(&bytes);
        match Schema::parse(&source, &mut SeededIds(1)) {
            Ok(schema) => prop_assert_eq!(Schema::decode(&schema.encode()).unwrap(), schema),
            Err(errors) => prop_assert!(!errors.errors().is_empty() && !errors.to_string().is_empty()),
        }
    }
}
