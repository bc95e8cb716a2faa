//! Schemas that two sides changed, merged: every pair of changes, both ways.

use super::parse;
use crate::schema::merge::{Refused, SchemaConflict, Side, merge};
use crate::schema::{Schema, SeededIds};

fn evolved(base: &Schema, source: &str, seed: u64) -> Schema {
    match base.evolve(source, &mut SeededIds(seed)) {
        Ok((schema, _)) => schema,
        Err(errors) => panic!("{errors}"),
    }
}

fn merged(
    base: &Schema,
    ours: &Schema,
    theirs: &Schema,
    choose: Option<Side>,
) -> Result<Schema, Refused> {
    let merged = merge(&[base], ours, theirs, choose, &mut SeededIds(900))?;
    assert_eq!(Schema::decode(&merged.encode()).unwrap(), merged);
    Ok(merged)
}

fn on_one_line(source: &str) -> String {
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn told(outcome: &Result<Schema, Refused>) -> String {
    match outcome {
        Ok(schema) => on_one_line(&schema.source),
        Err(Refused::Together(reason)) => format!("together: {reason}"),
        Err(Refused::Conflicts(conflicts)) => {
            let told = conflicts.iter().map(|conflict| {
                let text = |side: &Option<String>| {
                    side.as_deref().map_or_else(|| "-".to_owned(), on_one_line)
                };
                let property = conflict.property.iter();
                let property: String = property.map(|name| format!(".{name}")).collect();
                format!(
                    "{}{property}: {} | {} | {}",
                    conflict.table,
                    text(&conflict.base),
                    text(&conflict.ours),
                    text(&conflict.theirs)
                )
            });
            told.collect::<Vec<_>>().join("; ")
        }
    }
}

/// As the other side sees it.
fn swapped(outcome: Result<Schema, Refused>) -> Result<Schema, Refused> {
    outcome.map_err(|refused| match refused {
        Refused::Conflicts(conflicts) => {
            let conflicts = conflicts.into_iter().map(|conflict| SchemaConflict {
                ours: conflict.theirs,
                theirs: conflict.ours,
                ..conflict
            });
            Refused::Conflicts(conflicts.collect())
        }
        other => other,
    })
}

fn sorted(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text
        .split([' ', ',', '(', ')'])
        .filter(|word| !word.is_empty())
        .collect();
    words.sort_unstable();
    words
}

/// Base, ours, theirs, outcome.
const PAIRS: &[(&str, &str, &str, &str)] = &[
    // Additions.
    (
        "node A { x: I32? }",
        "node A { x: I32? y: I32? }",
        "node A { x: I32? z: String? }",
        "node A { x: I32? y: I32? z: String? }",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? y: I32? }",
        "node A { x: I32? y: I32? }",
        "node A { x: I32? y: I32? }",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? y: I32? }",
        "node A { x: I32? y: String? }",
        "a.y: - | y: I32? | y: String?",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? y: I32? @description(\"one\") }",
        "node A { x: I32? y: I32? }",
        "a.y: - | y: I32? @description(\"one\") | y: I32?",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? }\nnode B { x: I32? }\nedge E: A -> B",
        "node A { x: I32? }\nnode C { x: I32? }\nedge F: C -> A",
        "node A { x: I32? } node B { x: I32? } edge E: A -> B node C { x: I32? } edge F: C -> A",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? }\nnode B { x: I32? }\nedge E: A -> B",
        "node A { x: I32? y: I32? }\nnode B { x: I32? }\nedge E: A -> B",
        "node A { x: I32? y: I32? } node B { x: I32? } edge E: A -> B",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? }\nnode B { x: I32? }",
        "node A { x: I32? }\nnode B { x: I32? y: I32? }",
        "b: - | node B { x: I32? } | node B { x: I32? y: I32? }",
    ),
    // Names.
    (
        "node A { x: I32? }",
        "node A { y: I32? @rename_from(\"x\") }",
        "node A { y: I32? @rename_from(\"x\") }",
        "node A { y: I32? @rename_from(\"x\") }",
    ),
    (
        "node A { x: I32? }",
        "node A { y: I32? @rename_from(\"x\") }",
        "node A { z: I32? @rename_from(\"x\") }",
        "a.y: x: I32? | y: I32? | z: I32?",
    ),
    (
        "node A { x: I32? }",
        "node A { y: I32? @rename_from(\"x\") }",
        "node A { x: I32? @description(\"an x\") }",
        "node A { y: I32? @description(\"an x\") }",
    ),
    (
        "node A { x: I32? }",
        "node A { y: I32? @rename_from(\"x\") }",
        "node A { x: I32? y: String? }",
        "a.y: - | y: I32? | y: String?",
    ),
    (
        "node A { x: I32? }\nedge E: A -> A",
        "node B @rename_from(\"A\") { x: I32? }\nedge E: B -> B",
        "node A { x: I32? }\nedge E: A -> A { w: I32? }",
        "node B @rename_from(\"A\") { x: I32? } edge E: B -> B { w: I32? }",
    ),
    (
        "node A { x: I32? }",
        "node B @rename_from(\"A\") { x: I32? }",
        "node C @rename_from(\"A\") { x: I32? }",
        "b: node A | node B | node C",
    ),
    (
        "node A { x: I32? }",
        "node A @sql(\"one\") { x: I32? }",
        "node A @sql(\"two\") { x: I32? }",
        "one: node A | node A @sql(\"one\") | node A @sql(\"two\")",
    ),
    // What is gone.
    (
        "node A { x: I32? y: I32? }",
        "node A { x: I32? }",
        "node A { y: I32? }",
        "node A { }",
    ),
    (
        "node A { x: I32? y: I32? }",
        "node A { x: I32? }",
        "node A { x: I32? z: I32? @rename_from(\"y\") }",
        "a.z: y: I32? | - | z: I32?",
    ),
    (
        "node A { x: I32? y: I32? }",
        "node A { x: I32? }",
        "node A { x: I32? y: I32? @unique(x, y) }",
        "a.y: y: I32? | - | @unique(x, y)",
    ),
    (
        "node A { x: I32? y: I32? @unique(x, y) @index(y) }",
        "node A { x: I32? }",
        "node A { x: I32? y: I32? z: I32? @unique(x, y) @index(y) }",
        "node A { x: I32? z: I32? }",
    ),
    (
        "node A { x: I32? }\nnode B { x: I32? }",
        "node A { x: I32? }",
        "node A { x: I32? y: I32? }\nnode B { x: I32? }",
        "node A { x: I32? y: I32? }",
    ),
    (
        "node A { x: I32? }\nnode B { x: I32? }",
        "node A { x: I32? }",
        "node A { x: I32? }\nnode B { x: I32? y: I32? }",
        "b: node B | - | node B",
    ),
    (
        "node A { x: I32? }\nnode B { x: I32? }",
        "node A { x: I32? }",
        "node A { x: I32? }\nnode B { x: I32? }\nedge E: A -> B",
        "e: - | - | edge E: A -> B",
    ),
    (
        "node A { x: I32? }\nnode B { x: I32? }\nedge E: A -> B",
        "node A { x: I32? }\nnode B { x: I32? }",
        "node A { x: I32? }\nnode B { x: I32? }\nedge E: A -> B @card(0..1)",
        "e: edge E: A -> B | - | edge E: A -> B @card(0..1)",
    ),
    // Types, rules, words.
    (
        "node A { x: enum(a, b) }",
        "node A { x: enum(a, b, c) }",
        "node A { x: enum(a, d, b) }",
        "node A { x: enum(a, b, c, d) }",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? y: enum(a, b)? }",
        "node A { x: I32? y: enum(a, c)? }",
        "a.y: - | y: enum(a, b)? | y: enum(a, c)?",
    ),
    (
        "node A { x: I32? y: I32? }",
        "node A { x: I32 y: I32? }",
        "node A { x: I32? y: I32 }",
        "node A { x: I32 y: I32 }",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? @range(0..9) }",
        "node A { x: I32? @default(3) }",
        "node A { x: I32? @default(3) @range(0..9) }",
    ),
    (
        "node A { x: I32? }",
        "node A { x: I32? @range(0..9) }",
        "node A { x: I32? @range(0..5) }",
        "a.x: x: I32? | x: I32? @range(0..9) | x: I32? @range(0..5)",
    ),
    (
        "node A { x: I32? @default(1) }",
        "node A { x: I32? @default(2) }",
        "node A { x: I32? @default(3) }",
        "a.x: x: I32? @default(1) | x: I32? @default(2) | x: I32? @default(3)",
    ),
    (
        "node A { x: I32? y: I32? @unique(x) }",
        "node A { x: I32? y: I32? @unique(x) @unique(y) }",
        "node A { x: I32? y: I32? @index(y) }",
        "node A { x: I32? y: I32? @unique(y) @index(y) }",
    ),
    (
        "node A { x: I32? }\nedge E: A -> A @card(0..5)",
        "node A { x: I32? }\nedge E: A -> A @card(0..3)",
        "node A { x: I32? }\nedge E: A -> A @card(0..4)",
        "e: edge E: A -> A @card(0..5) | edge E: A -> A @card(0..3) | edge E: A -> A @card(0..4)",
    ),
    (
        "node A { x: I32? }\nedge E: A -> A @card(0..5)",
        "node A { x: I32? }\nedge E: A -> A @card(0..3)",
        "node A { x: I32? }\nedge E: A -> A @card(0..5) @description(\"e\")",
        "node A { x: I32? } edge E: A -> A @card(0..3) @description(\"e\") { }",
    ),
    // Descriptions and other annotations, each by itself.
    (
        "node A { x: I32? }",
        "node A @description(\"one\") { x: I32? }",
        "node A @owner(\"me\") { x: I32? }",
        "node A @description(\"one\") @owner(\"me\") { x: I32? }",
    ),
    (
        "node A { x: I32? }",
        "node A @description(\"one\") { x: I32? }",
        "node A @description(\"two\") { x: I32? }",
        "a: node A | node A @description(\"one\") | node A @description(\"two\")",
    ),
    // Interfaces.
    (
        "interface N { n: String }\nnode A implements N { x: I32? }",
        "interface N { n: String m: I32? }\nnode A implements N { x: I32? }",
        "interface N { n: String @description(\"a name\") }\nnode A implements N { x: I32? }",
        "interface N { n: String @description(\"a name\") m: I32? } \
         node A implements N { n: String @description(\"a name\") m: I32? x: I32? }",
    ),
    (
        "interface N { n: String }\nnode A implements N { x: I32? }",
        "interface N { n: String m: I32? }\nnode A implements N { x: I32? }",
        "interface N { n: String }\nnode A implements N { x: I32? }\nnode B implements N { }",
        "interface N { n: String m: I32? } node A implements N { x: I32? } node B implements N { }",
    ),
    (
        "interface N { n: String }",
        "interface N { n: String m: I32 }",
        "interface N { n: String }\nnode B implements N { }",
        "together: the rows of \"B\" have no value for the property \"m\" that its interface requires",
    ),
    (
        "interface N { n: String }",
        "interface N { n: String m: I32? }",
        "interface N { n: String m: String? }",
        "N: interface N { n: String } | interface N { n: String m: I32? } | interface N { n: String m: String? }",
    ),
    // Each fits, and the two do not.
    (
        "node A { x: I32? }",
        "node A { x: I32? }\nnode B @sql(\"c\") { x: I32? }",
        "node A { x: I32? }\nnode C { x: I32? }",
        "together: types \"B\" and \"C\" have the same SQL name \"c\"",
    ),
];

#[test]
fn every_pair_of_changes_has_its_outcome_both_ways() {
    for (base, ours, theirs, expected) in PAIRS {
        let base = parse(base);
        let (ours, theirs) = (evolved(&base, ours, 10), evolved(&base, theirs, 20));
        let outcome = merged(&base, &ours, &theirs, None);
        assert_eq!(told(&outcome), *expected, "{}", ours.source);
        let back = swapped(merged(&base, &theirs, &ours, None));
        match (&outcome, &back) {
            (Ok(one), Ok(other)) => {
                let [one, other] = [one, other].map(|schema| on_one_line(&schema.source));
                assert_eq!(sorted(&one), sorted(&other));
            }
            (Err(Refused::Conflicts(one)), Err(Refused::Conflicts(other))) => {
                let tables = |all: &[SchemaConflict]| -> Vec<[Option<String>; 3]> {
                    let states = all.iter();
                    states
                        .map(|one| [one.base.clone(), one.ours.clone(), one.theirs.clone()])
                        .collect()
                };
                assert_eq!(tables(one), tables(other));
            }
            (one, other) => assert!(one.is_err() && other.is_err(), "{other:?}"),
        }
        if let Ok(merged_once) = outcome {
            again(&theirs, &merged_once);
        }
    }
}

/// Merging on: both what the other side has left as it was, and back into it.
fn again(theirs: &Schema, merged_once: &Schema) {
    let nothing_new = merged(theirs, merged_once, theirs, None).unwrap();
    assert_eq!(&nothing_new, merged_once);
    let more = format!("{}\nnode More {{ x: I32? }}", theirs.source);
    let more = evolved(theirs, &more, 30);
    let on = merged(theirs, merged_once, &more, None).unwrap();
    assert_eq!(on.types.len(), merged_once.types.len() + 1);
    // Everything that was one thing stays one, whichever way it goes.
    for side in [theirs, &more] {
        for def in &side.types {
            let Some(known) = on.by_name(&def.name) else {
                continue;
            };
            assert_eq!(on.identity(def.id.0), known.id.0, "{}", def.name);
        }
    }
    let back = merged(theirs, &more, merged_once, None).unwrap();
    for def in &more.types {
        let kept = back.by_id(def.id);
        assert!(kept.is_some() || on.by_name(&def.name).is_none());
    }
    let numbers: std::collections::BTreeSet<u32> = on.types.iter().map(|def| def.number).collect();
    assert_eq!(
        numbers.len(),
        on.types.len(),
        "every type has its own number"
    );
}

#[test]
fn a_chosen_side_decides_each_conflict_by_itself() {
    for (base, ours, theirs, by_ours, by_theirs) in [
        (
            "node A { x: I32? }",
            "node A { y: I32? @rename_from(\"x\") u: I32? }",
            "node A { z: I32? @rename_from(\"x\") v: I32? }",
            "node A { y: I32? u: I32? v: I32? }",
            "node A { z: I32? u: I32? v: I32? }",
        ),
        (
            "node A { x: I32? }",
            "node A { x: I32? y: I32? u: I32? }",
            "node A { x: I32? y: String? }",
            "node A { x: I32? y: I32? u: I32? }",
            "node A { x: I32? u: I32? y: String? }",
        ),
        // Who dropped can be chosen; what the target dropped it has no values of.
        (
            "node A { x: I32? y: I32? }",
            "node A { x: I32? }",
            "node A { x: I32? z: I32? @rename_from(\"y\") }",
            "node A { x: I32? }",
            "a.z: y: I32? | - | z: I32?",
        ),
        (
            "node A { x: I32? y: I32? }",
            "node A { x: I32? z: I32? @rename_from(\"y\") }",
            "node A { x: I32? }",
            "node A { x: I32? z: I32? @rename_from(\"y\") }",
            "node A { x: I32? }",
        ),
        (
            "node A { x: I32? }\nnode B { x: I32? }",
            "node A { x: I32? }",
            "node A { x: I32? }\nnode B { x: I32? y: I32? }",
            "node A { x: I32? }",
            "node A { x: I32? } node B { x: I32? y: I32? }",
        ),
        (
            "node A { x: I32? }\nnode B { x: I32? }",
            "node A { x: I32? }",
            "node A { x: I32? }\nnode B { x: I32? }\nedge E: A -> B",
            "node A { x: I32? }",
            "e: - | - | edge E: A -> B",
        ),
    ] {
        let base = parse(base);
        let (ours, theirs) = (evolved(&base, ours, 10), evolved(&base, theirs, 20));
        for (side, expected) in [(Side::Ours, by_ours), (Side::Theirs, by_theirs)] {
            let outcome = merged(&base, &ours, &theirs, Some(side));
            assert_eq!(told(&outcome), expected, "{side:?} of {}", ours.source);
        }
    }
}

#[test]
fn comments_and_order_stay_where_a_declaration_was_changed_by_one_side() {
    let base =
        parse("// all\nnode A { x: I32? } // a\n\n/* b */\nnode B {\n  x: I32? // x\n}\n// end");
    let ours =
        "// all\nnode A { x: I32? y: I32? } // a\n\n/* b */\nnode B {\n  x: I32? // x\n}\n// end";
    let theirs = "// all\nnode A { x: I32? } // a\n\n/* b */\nnode B {\n  x: I32? // x\n  y: I32? // y\n}\n\n// c\nedge C: A -> B // not more\n";
    let (ours, theirs) = (evolved(&base, ours, 10), evolved(&base, theirs, 20));
    assert_eq!(
        merged(&base, &ours, &theirs, None).unwrap().source,
        "// all\nnode A { x: I32? y: I32? }\n\n// a\n\n/* b */\nnode B {\n  x: I32? // x\n  y: I32? // y\n}\n\n// c\nedge C: A -> B\n\n// end\n"
    );
}

#[test]
fn criss_cross_bases_that_differ_are_none() {
    let first = parse("node A { x: I32? }");
    let second = evolved(&first, "node A { x: I32? @description(\"second\") }", 5);
    let ours = evolved(&first, "node A { x: I32? @description(\"ours\") }", 10);
    let both = |theirs: &Schema| {
        let bases = [&first, &second];
        merge(&bases, &ours, theirs, None, &mut SeededIds(7)).is_ok()
    };
    // It is what one of the bases has, and still a choice between two.
    assert!(!both(&evolved(
        &second,
        "node A { x: I32? @description(\"other\") }",
        20
    )));
    assert!(!both(&second));
    assert!(both(&ours));
}
