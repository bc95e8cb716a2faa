use super::parse;
use crate::schema::{Schema, SeededIds};

/// The steps from one source to another, as they are shown.
fn steps(from: &str, to: &str) -> Result<Vec<String>, String> {
    let old = parse(from);
    match old.evolve(to, &mut SeededIds(99)) {
        Ok((new, changes)) => {
            assert_eq!(new.source, to);
            assert_eq!(Schema::decode(&new.encode()).unwrap(), new);
            Ok(changes.iter().map(ToString::to_string).collect())
        }
        Err(errors) => Err(errors.errors()[0].message.clone()),
    }
}

const SUPPORTED: &[(&str, &str, &[&str])] = &[
    (
        "node A { x: I32? }",
        "// said otherwise\nnode A { x: I32? }",
        &[],
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? }\nedge E: A -> A",
        &["add edge type E"],
    ),
    (
        "node A { x: I32? }\nnode B { x: I32? }\nedge E: A -> B",
        "node A { x: I32? }",
        &[
            "drop edge type E (older commits keep its rows)",
            "drop node type B (older commits keep its rows)",
        ],
    ),
    (
        "node A { x: I32? }",
        "node B @rename_from(\"A\") { x: I32? }",
        &["rename type A to B"],
    ),
    (
        "node A { x: I32? }",
        "node A @sql(\"b\") { x: I32? }",
        &["rename table a of A to b"],
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32?  y: String? }",
        &["add property A.y: String?"],
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32?  y: String @default(\"-\") }",
        &["add property A.y: String @default(\"-\")"],
    ),
    (
        "node A { x: I32?  y: I32? }",
        "node A { x: I32? }",
        &["drop property A.y (older commits keep its values)"],
    ),
    (
        "node A { x: I32? @index }",
        "node A { y: I32? @rename_from(\"x\") @index }",
        &["rename property A.x to y"],
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? @sql(\"y\") }",
        &["rename column x of A.x to y"],
    ),
    (
        "node A { x: I32?  y: I32 }",
        "node A { x: I32  y: I32? }",
        &["make property A.x required", "make property A.y nullable"],
    ),
    (
        "node A { x: enum(a, b) }",
        "node A { x: enum(c, a, b, d) }",
        &["widen enum A.x by c, d"],
    ),
    (
        "node A { x: enum(a, b) }",
        "node A { x: enum(b, a) }",
        &["change annotations of A.x"],
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? @unique @index @range(0..9) }",
        &[
            "add constraint a_x_key to A: @unique(x)",
            "add constraint a_x_check to A: @range(x, 0..9)",
            "add index a_x_idx to A: @index(x)",
        ],
    ),
    (
        "node A { x: String? @unique @index @check(\"a\\\"b\") }",
        "node A { x: String? }",
        &[
            "drop constraint a_x_key of A: @unique(x)",
            "drop constraint a_x_check of A: @check(x, \"a\\\"b\")",
            "drop index a_x_idx of A: @index(x)",
        ],
    ),
    (
        "node A { x: I32? }\nedge E: A -> A",
        "node A { x: I32? }\nedge E: A -> A @card(1..2)",
        &["change E from @card(0..) to @card(1..2)"],
    ),
    (
        "node A { x: I32? }",
        "node A @description(\"d\") { x: I32? @description(\"e\") }",
        &["change annotations of A.x", "change annotations of A"],
    ),
    (
        "node A { x: I32? @default(1) }",
        "node A { x: I32? @default(2) }",
        &["set the default of A.x to 2"],
    ),
    (
        "node A { x: I32? @default(1) }",
        "node A { x: I32? }",
        &["drop the default of A.x"],
    ),
    (
        "node A { x: I32? }\nedge E: A -> A { @unique(src) }",
        "node A { x: I32? }\nedge E: A -> A { @unique(src, dst) }",
        &[
            "drop constraint e_src_key of E: @unique(src)",
            "add constraint e_src_dst_key to E: @unique(src, dst)",
        ],
    ),
    (
        "node A { x: I32?  y: I32? }",
        "node A { y: I32?  x: I32? }",
        &[],
    ),
];

#[test]
fn supported_changes_become_steps() {
    for (from, to, expected) in SUPPORTED {
        assert_eq!(
            steps(from, to).as_deref(),
            Ok(*expected)
                .map(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>())
                .as_deref(),
            "{from} => {to}"
        );
    }
}

const UNSUPPORTED: &[(&str, &str, &str)] = &[
    (
        "node A { x: I32? }",
        "node A { x: I64? }",
        "the type of property \"A.x\" cannot be changed from I32 to I64",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32?  y: I32 }",
        "required property \"A.y\" cannot be added: rows that exist would have no value",
    ),
    (
        "node A { x: enum(a, b)? }",
        "node A { x: enum(b, c)? }",
        "enum \"A.x\" cannot lose a: rows may have it",
    ),
    (
        "node A { x: enum(a, b)? }",
        "node A { x: String? }",
        "the type of property \"A.x\" cannot be changed from enum(a, b) to String",
    ),
    (
        "node A { x: I32 }",
        "node A { x: I32 @key }",
        "the key of \"A\" cannot be changed from (none) to (x)",
    ),
    (
        "node A { x: I32  y: I32 @key }",
        "node A { x: I32 @key  y: I32 }",
        "the key of \"A\" cannot be changed from (y) to (x)",
    ),
    (
        "node A { x: I32 }\nnode B { x: I32 }\nedge E: A -> A",
        "node A { x: I32 }\nnode B { x: I32 }\nedge E: A -> B",
        "the endpoints of \"E\" cannot be changed from A -> A to A -> B",
    ),
    (
        "node A { x: I32 }\nedge E: A -> A",
        "node A { x: I32 }\nnode E { x: I32 }",
        "edge type \"E\" cannot become a node type",
    ),
    (
        "node A { x: I32 }",
        "node B @rename_from(\"C\") { x: I32 }",
        "there is no type \"C\" to rename to \"B\"",
    ),
    (
        "node A { x: I32 }",
        "node A { x: I32 }\nnode B @rename_from(\"A\") { x: I32 }",
        "type \"A\" cannot be renamed to \"B\": it is still declared",
    ),
    (
        "node A { x: I32 }",
        "node B @rename_from(\"A\") { x: I32 }\nnode C @rename_from(\"A\") { x: I32 }",
        "type \"A\" is renamed twice",
    ),
    (
        "node A { x: I32? }",
        "node A { y: I32? @rename_from(\"z\") }",
        "there is no property \"A.z\" to rename to \"y\"",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32?  y: I32? @rename_from(\"x\") }",
        "property \"A.x\" cannot be renamed to \"y\": it is still declared",
    ),
];

#[test]
fn unsupported_changes_say_why() {
    for (from, to, expected) in UNSUPPORTED {
        assert_eq!(
            steps(from, to),
            Err((*expected).to_owned()),
            "{from} => {to}"
        );
    }
}

#[test]
fn identities_and_numbers_survive_and_are_never_reused() {
    let first = parse("node A { x: I32?  k: String @key }\nnode B { x: I32? }\nedge E: A -> A");
    let second = first
        .evolve(
            "node Z @rename_from(\"A\") { y: I32? @rename_from(\"x\")  k: String @key }\nedge E: Z -> Z",
            &mut SeededIds(2),
        )
        .unwrap()
        .0;
    assert_eq!(second.types[0].id, first.types[0].id);
    assert_eq!(
        second.types[0].properties[0].id,
        first.types[0].properties[0].id
    );
    assert_eq!(
        second.types[0].arrow_schema(),
        first.types[0].arrow_schema()
    );
    assert_eq!(
        second.types[0].shape_digest(),
        first.types[0].shape_digest()
    );
    assert_eq!((second.types[0].number, second.types[1].number), (0, 2));
    // The rename stays written down; it asks for nothing any more.
    let (third, changes) = second
        .evolve(
            &format!("{}\nnode B {{ x: I32? }}", second.source),
            &mut SeededIds(3),
        )
        .unwrap();
    assert_eq!(changes.len(), 1);
    let b = third.by_name("B").unwrap();
    assert_eq!(b.number, 3);
    assert_ne!(b.id, first.by_name("B").unwrap().id);
    assert_eq!(Schema::decode(&third.encode()).unwrap(), third);
}

#[test]
fn a_poor_source_of_identities_is_harmless() {
    struct Zero;
    impl crate::schema::IdSource for Zero {
        fn next_id(&mut self) -> u64 {
            7
        }
    }
    let schema = Schema::parse("node A { x: I32?  y: I32? }", &mut Zero).unwrap();
    let next = schema
        .evolve("node A { x: I32?  y: I32?  z: I32? }", &mut Zero)
        .unwrap()
        .0;
    let ids: std::collections::HashSet<u64> = next.types[0]
        .properties
        .iter()
        .map(|property| property.id.0)
        .collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn only_tightened_rules_look_at_rows() {
    let validating = |from: &str, to: &str| {
        parse(from)
            .evolve(to, &mut SeededIds(5))
            .unwrap()
            .1
            .iter()
            .filter(|change| change.validates())
            .count()
    };
    let edge = |card: &str| format!("node A {{ x: I32? }}\nedge E: A -> A {card}");
    assert_eq!(validating(&edge(""), &edge("@card(0..1)")), 1);
    assert_eq!(validating(&edge("@card(0..1)"), &edge("@card(0..2)")), 0);
    assert_eq!(validating(&edge("@card(0..1)"), &edge("@card(1..2)")), 1);
    assert_eq!(
        validating("node A { x: I32? }", "node A { x: I32? @unique @index }"),
        1
    );
}
