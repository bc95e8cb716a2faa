use crate::error::Error;
use crate::schema::{Schema, SchemaErrors, SeededIds};

fn mistakes(source: &str) -> SchemaErrors {
    match Schema::parse(source, &mut SeededIds(1)) {
        Ok(_) => panic!("this schema must be refused:\n{source}"),
        Err(errors) => errors,
    }
}

#[test]
fn the_place_is_taken_off_a_message_and_nothing_else() {
    for (message, reason) in [
        (
            "schema.pg:2:8: type \"x: y\" does not exist",
            "type \"x: y\" does not exist",
        ),
        (
            "value of \"n: m\": not unique",
            "value of \"n: m\": not unique",
        ),
    ] {
        assert_eq!(SchemaErrors::without_place(message), reason);
    }
}

#[test]
fn names_have_a_length() {
    let named = |ty: usize, property: usize| {
        let (ty, property) = ("T".repeat(ty), "p".repeat(property));
        format!("node {ty} {{ {property}: I32 }}")
    };
    assert!(Schema::parse(&named(128, 128), &mut SeededIds(1)).is_ok());
    for (source, place) in [(named(100_000, 1), "1:6"), (named(1, 129), "1:10")] {
        let shown = mistakes(&source).to_string();
        assert!(
            shown.contains(&format!(":{place}: a name has at most 128 bytes")),
            "{shown}"
        );
        assert!(shown.len() < 1000, "the name itself is cut: {shown}");
    }
}

#[test]
fn a_mistake_is_shown_with_place_line_caret_and_hint() {
    let errors = mistakes("node A {\n    x: Int\n}\n");
    assert_eq!(
        errors.to_string(),
        "schema.pg:2:8: type \"Int\" does not exist\n 2 |     x: Int\n   |        ^^^\n   = hint: Did you mean I32?"
    );
    let Error::Invalid {
        message,
        detail,
        hint,
    } = Error::from(errors.in_file("people.pg"))
    else {
        panic!("a schema error is an invalid input")
    };
    assert_eq!(message, "people.pg:2:8: type \"Int\" does not exist");
    assert!(detail.unwrap().starts_with("people.pg:2:8:"));
    assert_eq!(hint.as_deref(), Some("Did you mean I32?"));
}

/// Source, place of the first mistake, message.
const TABLE: &[(&str, &str, &str)] = &[
    ("node A { x: I32 y }", "1:19", "expected \":\""),
    ("node A { x I32 }", "1:12", "expected \":\", found \"I32\""),
    (
        "nodes A { }",
        "1:1",
        "expected node, edge or interface, found \"nodes\"",
    ),
    ("node A { x: [I32 }", "1:18", "expected \"]\", found \"}\""),
    (
        "node A { x: String @check(x, \"abc }",
        "1:30",
        "the string that begins here has no end",
    ),
    ("edge E: A > B", "1:11", "expected \"->\", found \">\""),
    ("node A { x: enum(a b) }", "1:20", "expected"),
    ("node a { x: I32 }", "1:6", "\"a\" is not a type name"),
    ("node A { X: I32 }", "1:10", "\"X\" is not a property name"),
    (
        "node A { x: I32 }\nnode A { y: I32 }",
        "2:6",
        "node type \"A\" is declared twice",
    ),
    (
        "node A { x: I32 }\nedge A: A -> A",
        "2:6",
        "edge type \"A\" is declared twice",
    ),
    (
        "node N { x: I32 }\nedge Ab: N -> N\nedge AB: N -> N",
        "3:6",
        "edge types \"Ab\" and \"AB\" differ only in case",
    ),
    (
        "node WorksAt { x: I32 }\nnode Works_at { x: I32 }",
        "2:6",
        "types \"WorksAt\" and \"Works_at\" have the same SQL name \"works_at\"",
    ),
    (
        "node A { x: I32  x: I64 }",
        "1:18",
        "property \"x\" of \"A\" is declared twice",
    ),
    (
        "node A { aB: I32  a_b: I64 }",
        "1:19",
        "properties \"aB\" and \"a_b\" have the same SQL name \"a_b\"",
    ),
    (
        "node A { id: String }",
        "1:10",
        "\"id\" is a reserved property name",
    ),
    (
        "node A { _rowid: String }",
        "1:10",
        "\"_rowid\" is a reserved property name",
    ),
    (
        "node A { x: I32 }\nedge E: A -> A { src: String }",
        "2:18",
        "\"src\" is a reserved property name",
    ),
    (
        "node A { x: I32 @sql(\"id\") }",
        "1:10",
        "\"id\" is a reserved property name",
    ),
    ("edge E: A -> B", "1:9", "node type \"A\" does not exist"),
    (
        "node A { x: I32 }\nedge E: A -> A\nedge F: A -> E",
        "3:14",
        "\"E\" is an edge type; edges connect nodes",
    ),
    (
        "node A implements I { x: I32 }",
        "1:19",
        "interface \"I\" does not exist",
    ),
    (
        "interface I { x: I32 }\nnode A implements I { x: I64 }",
        "2:23",
        "property \"x\" is I64, but an interface of \"A\" declares it as I32",
    ),
    (
        "interface I { x: I32 }\ninterface J { x: I32? }\nnode A implements I, J { y: I32 }",
        "3:22",
        "interface \"J\" declares property \"x\" as I32?, another interface of \"A\" as I32",
    ),
    (
        "interface I { x: I32  @unique(x) }",
        "1:23",
        "interface \"I\" cannot have @unique",
    ),
    (
        "node A { x: I32  @key(y) }",
        "1:23",
        "\"A\" has no property \"y\"",
    ),
    (
        "node A { x: I32? @key }",
        "1:18",
        "property \"x\" belongs to the key of \"A\" and cannot be nullable",
    ),
    (
        "node A { x: [I32] @key }",
        "1:19",
        "@key cannot name property \"x\" of type [I32]",
    ),
    (
        "node A { x: Vector(3) @unique }",
        "1:23",
        "@unique cannot name property \"x\" of type Vector(3)",
    ),
    (
        "node A { x: I32 @key  y: I32 @key }",
        "1:30",
        "\"A\" has two keys",
    ),
    (
        "node A { x: I32  @unique(x, x) }",
        "1:29",
        "@unique names one property twice",
    ),
    (
        "node A { x: I32  @unique() }",
        "1:18",
        "@unique names no property",
    ),
    (
        "node A { x: Blob @index }",
        "1:18",
        "property \"x\" of type Blob cannot be indexed",
    ),
    (
        "node A { x: I32 @index(analyzer=\"english\") }",
        "1:17",
        "@index cannot have analyzer=\"english\" here",
    ),
    (
        "node A { x: String @index(analyzer=\"klingon\") }",
        "1:20",
        "@index cannot have analyzer=\"klingon\" here",
    ),
    (
        "node A { x: String  @range(x, 0..1) }",
        "1:21",
        "@range needs a number; property \"x\" is of type String",
    ),
    (
        "node A { x: I32  @range(x, 0..1.5) }",
        "1:28",
        "the bound 1.5 is not a value of type I32, the type of property \"x\"",
    ),
    (
        "node A { x: U32  @range(x, -1..) }",
        "1:28",
        "the bound -1 is not a value of type U32",
    ),
    (
        "node A { x: I32  @range(x, 5..1) }",
        "1:28",
        "no number is in the range 5..1",
    ),
    (
        "node A { x: I32  @range(x, ..) }",
        "1:28",
        "the range has no bound",
    ),
    (
        "node A { x: I32  @range(x) }",
        "1:18",
        "@range has the wrong arguments",
    ),
    (
        "node A { x: String  @check(x, \"[a-\") }",
        "1:31",
        "the regular expression is not valid: ",
    ),
    (
        "node A { x: String  @check(x, \"a)(b\") }",
        "1:31",
        "the regular expression is not valid: ",
    ),
    (
        "node A { x: I32  @check(x, \"a\") }",
        "1:18",
        "@check needs a String; property \"x\" is of type I32",
    ),
    (
        "node A { x: I32 }\nedge E: A -> A @card(2..1)",
        "2:16",
        "the maximum of @card must be at least 1",
    ),
    (
        "node A { x: I32 }\nedge E: A -> A @card(1)",
        "2:16",
        "@card takes a range of whole numbers",
    ),
    (
        "node A @card(0..1) { x: I32 }",
        "1:8",
        "only edge types have @card",
    ),
    (
        "node A { x: I32 }\nedge E: A -> A { y: I32 @range(0..1) }",
        "2:25",
        "edge types cannot have @range",
    ),
    (
        "node A { x: I32 }\nedge E: A -> A { y: I32 @key }",
        "2:25",
        "edge types cannot have @key",
    ),
    (
        "node A { x: Vector(0) }",
        "1:13",
        "a vector has 1 to 16000 dimensions, not 0",
    ),
    (
        "node A { v: Vector(3) @embed(\"t\") }",
        "1:10",
        "\"A\" has no property \"t\"",
    ),
    (
        "node A { v: Vector(3) @embed(\"t\")  t: I32 }",
        "1:10",
        "@embed takes its text from a String",
    ),
    (
        "node A { t: String @embed(\"t\") }",
        "1:10",
        "@embed needs a Vector",
    ),
    (
        "node A { x: enum(a, b, a) }",
        "1:24",
        "the enum has \"a\" twice",
    ),
    (
        "node A { x: I32 @default(\"1\") }",
        "1:17",
        "the default of property \"x\" is \"1\", which is not a value of type I32",
    ),
    (
        "node A { x: enum(a, b) @default(c) }",
        "1:24",
        "the default of property \"x\" is c, which is not a word of enum(a, b)",
    ),
    (
        "node A { x: U32 @default(-1) }",
        "1:17",
        "the default of property \"x\" is -1",
    ),
    (
        "node A { x: I32 @default(null) }",
        "1:17",
        "the default of property \"x\" is null, but the property is required",
    ),
    (
        "node A { x: Category }",
        "1:13",
        "type \"Category\" does not exist",
    ),
    (
        "node A { @description(\"x\") y: I32 }",
        "1:10",
        "@description has no property before it",
    ),
    (
        "node A { x: I32 @sql(\"\") }",
        "1:17",
        "an SQL name has 1 to 63 bytes",
    ),
    ("node A { x: I32 @sql }", "1:17", "@sql takes one string"),
    (
        "/* never closed",
        "1:1",
        "the comment that begins here has no end",
    ),
];

#[test]
fn every_mistake_has_its_place_and_message() {
    let mut wrong = Vec::new();
    for (source, place, message) in TABLE {
        let errors = mistakes(source);
        let first = &errors.errors()[0];
        if format!("{}:{}", first.line, first.column) != *place
            || !first.message.starts_with(message)
        {
            wrong.push(format!("wanted {place} {message}\n{errors}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn all_mistakes_are_reported_together() {
    let errors = mistakes("node A { x: Foo\n y: Bar\n @key(z) }\nedge E: A -> Nope\n");
    let messages: Vec<&str> = errors
        .errors()
        .iter()
        .map(|error| error.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "type \"Foo\" does not exist",
            "type \"Bar\" does not exist",
            "\"A\" has no property \"z\"",
            "node type \"Nope\" does not exist",
        ]
    );
}

#[test]
fn reading_goes_on_after_a_syntax_error() {
    let errors =
        mistakes("node A { x I32 }\nnode B { y: String }\nedge E: B => B\nnode C { z: I32 }");
    let lines: Vec<usize> = errors.errors().iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn a_mistake_of_an_interface_is_told_once() {
    let errors = mistakes(
        "interface I { x: I32 @check(\"a\") }\nnode A implements I { }\nnode B implements I { }",
    );
    assert_eq!(errors.errors().len(), 1, "{errors}");
}

#[test]
fn many_mistakes_are_cut() {
    let source: String = (0..30)
        .map(|at| format!("node A{at} {{ x: Foo }}\n"))
        .collect();
    let errors = mistakes(&source);
    assert_eq!(errors.errors().len(), SchemaErrors::LIMIT);
    assert!(errors.to_string().ends_with("and 10 more"));
}

#[test]
fn long_lines_are_cut_around_the_caret() {
    let source = format!(
        "node A {{ {} bad: Foo }}",
        "x: I32? // ".repeat(0)
            + &(0..80)
                .map(|at| format!("x{at}: I32? "))
                .collect::<String>()
    );
    let shown = mistakes(&source).to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].len() < 140, "{shown}");
    let caret = lines[2].find('^').unwrap();
    assert_eq!(&lines[1][caret..caret + 3], "Foo");
}

#[test]
fn characters_are_counted_not_bytes() {
    let errors = mistakes("node A @description(\"äöü\") { x: Foo }");
    assert_eq!(errors.errors()[0].column, 33);
}
