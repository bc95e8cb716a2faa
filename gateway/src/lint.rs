//! What is wrong with schemas, queries and migrations, each with a code of its own.
//!
//! Codes are for scripts and stay what they are; [`CODES`] says what each means, with an example
//! that has it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use omnigraph_catalog::cluster::spec::File;
use omnigraph_catalog::diagnostic::{Diagnostic, Place};
use omnigraph_catalog::stored::{Compiler, declared};
use omnigraph_engine::query::{self, Kind};
use omnigraph_engine::schema::{RandomIds, Schema, SchemaErrors};

use crate::stored::QueryCompiler;

/// One code: what it means, and files that have it.
#[derive(Debug)]
pub struct Code {
    pub code: &'static str,
    pub means: &'static str,
    /// The schema before; empty: there was none.
    pub before: &'static str,
    pub schema: &'static str,
    /// The name of a file of queries, and its text.
    pub queries: Option<(&'static str, &'static str)>,
}

const fn of_query(code: &'static str, means: &'static str, text: &'static str) -> Code {
    Code {
        code,
        means,
        before: "",
        schema: PERSON,
        queries: Some(("queries.gq", text)),
    }
}

const PERSON: &str = "node Person { slug: String @key  age: I32? }";

#[rustfmt::skip]
pub const CODES: &[Code] = &[
    Code { code: "S001", means: "the schema cannot be read, or names what there is not", before: "", schema: "node Person { slug: Text }", queries: None },
    Code { code: "M001", means: "no steps lead from the old schema to the new one", before: PERSON, schema: "node Person { slug: String @key  age: String? }", queries: None },
    Code { code: "M002", means: "something is dropped: older commits keep it (a warning)", before: PERSON, schema: "node Person { slug: String @key }", queries: None },
    Code { code: "M003", means: "rows that exist are checked first, and may refuse the change (a warning)", before: PERSON, schema: "node Person { slug: String @key  age: I32? @range(age, 0..150) }", queries: None },
    of_query("Q001", "the syntax of a query", "query q() { match { $p: Person } }"),
    of_query("Q002", "something is too long or too deep", ""),
    of_query("Q003", "an unknown type", "query q() { match { $p: Persons } return { $p } }"),
    of_query("Q004", "an unknown property", "query q() { match { $p: Person } return { $p.name } }"),
    of_query("Q005", "an unknown variable", "query q() { match { $p: Person } return { $q } }"),
    of_query("Q006", "an unknown parameter", "query q() { insert Person { slug: $slug } }"),
    of_query("Q007", "values whose types do not go together", "query q() { match { $p: Person  $p.age = \"1\" } return { $p } }"),
    of_query("Q008", "a required property is not given", "query q() { insert Person { age: 1 } }"),
    of_query("Q009", "it can be written, and means nothing", "query q($a: I32, $a: I32) { match { $p: Person } return { $p } }"),
    Code { code: "Q010", means: "a query in SQL", before: "", schema: PERSON, queries: Some(("queries.sql", "-- query: q()\nSELECT nope FROM person;")) },
    Code { code: "Q011", means: "SQL has another function of the name", before: "", schema: PERSON, queries: Some(("queries.sql", "-- query: traverse()\nSELECT 1;")) },
];

/// Finds what is wrong with a schema, the queries over it, and the way to it from an older one.
pub fn lint(before: Option<&File>, schema: &File, queries: &[File]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let parsed = match Schema::parse(&schema.text, &mut RandomIds) {
        Ok(parsed) => Arc::new(parsed),
        Err(errors) => return of_schema("S001", errors, schema),
    };
    if let Some(before) = before {
        match Schema::parse(&before.text, &mut RandomIds) {
            Err(errors) => found.extend(of_schema("S001", errors, before)),
            Ok(old) => found.extend(migration(&old, schema)),
        }
    }
    for file in queries {
        found.extend(of_queries(file, &parsed));
    }
    found
}

fn migration(old: &Schema, schema: &File) -> Vec<Diagnostic> {
    let steps = match old.evolve(&schema.text, &mut RandomIds) {
        Ok((_, steps)) => steps,
        Err(errors) => return of_schema("M001", errors, schema),
    };
    let warning = |code, message: String| {
        Diagnostic::warning(code, message).at(Place {
            file: schema.path.clone(),
            line: None,
            column: None,
        })
    };
    let mut found = Vec::new();
    for step in steps {
        if step.kind.is_soft_drop() {
            found.push(warning("M002", step.to_string()));
        }
        if step.validates() {
            let message = format!("{step}: a row that breaks it refuses the change");
            found.push(warning("M003", message));
        }
    }
    found
}

fn of_schema(code: &'static str, errors: SchemaErrors, file: &File) -> Vec<Diagnostic> {
    let each = errors.errors().iter();
    each.map(|error| Diagnostic {
        hint: error.hint.clone(),
        ..Diagnostic::error(code, error.message.clone()).at(Place {
            file: file.path.clone(),
            line: Some(error.line),
            column: Some(error.column),
        })
    })
    .collect()
}

fn of_queries(file: &File, schema: &Arc<Schema>) -> Vec<Diagnostic> {
    if file.extension() == "gq"
        && let Err(errors) = query::check(&file.text, schema)
    {
        let each = errors.each();
        return each
            .map(|(kind, error)| Diagnostic {
                hint: error.hint.clone(),
                ..Diagnostic::error(code_of(kind), error.message.clone()).at(Place {
                    file: file.path.clone(),
                    line: Some(error.line),
                    column: Some(error.column),
                })
            })
            .collect();
    }
    let names = match declared(file) {
        Ok(names) => names,
        Err(found) => {
            return vec![Diagnostic {
                code: "Q001",
                ..found
            }];
        }
    };
    let queries: BTreeMap<String, File> =
        names.into_iter().map(|name| (name, file.clone())).collect();
    let compiled = QueryCompiler::new().compile("lint", &queries, schema);
    let coded = compiled.found.into_iter().map(|found| Diagnostic {
        code: match found.code {
            "query_name_taken" => "Q011",
            _ => "Q010",
        },
        address: None,
        ..found
    });
    coded.collect()
}

fn code_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Syntax => "Q001",
        Kind::Limit => "Q002",
        Kind::UnknownType => "Q003",
        Kind::UnknownProperty => "Q004",
        Kind::UnknownVariable => "Q005",
        Kind::UnknownParameter => "Q006",
        Kind::Type => "Q007",
        Kind::Missing => "Q008",
        Kind::Meaning => "Q009",
    }
}

/// The page that lists the codes.
pub fn page() -> String {
    let mut page = "# Codes of omnigraph lint\n\nThis page is made by `omnigraph lint --codes`.\n\n| code | means | an example |\n|---|---|---|\n".to_owned();
    for code in CODES {
        let example = match code.queries {
            Some((_, "")) => String::new(),
            Some((_, text)) => format!("`{}`", text.replace('\n', " ")),
            None if code.before.is_empty() => format!("`{}`", code.schema),
            None => format!("`{}` becomes `{}`", code.before, code.schema),
        };
        // Writing to a string does not fail.
        let _ = writeln!(page, "| {} | {} | {example} |", code.code, code.means);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
            digest: String::new(),
        }
    }

    #[test]
    fn each_example_has_its_code_and_no_other() {
        for code in CODES {
            let text = match code.queries {
                // A query as deep as this is no example for a page.
                Some((_, "")) => format!(
                    "query q() {{ match {{ $p: Person }} return {{ {}1{} }} }}",
                    "(".repeat(10_000),
                    ")".repeat(10_000)
                ),
                Some((_, text)) => text.to_owned(),
                None => String::new(),
            };
            let queries: Vec<File> = code
                .queries
                .iter()
                .map(|(path, _)| file(path, &text))
                .collect();
            let before = (!code.before.is_empty()).then(|| file("before.pg", code.before));
            let found = lint(before.as_ref(), &file("schema.pg", code.schema), &queries);
            let codes: Vec<&str> = found.iter().map(|one| one.code).collect();
            assert_eq!(codes, [code.code], "{found:?}");
            assert!(found[0].place.is_some(), "{found:?}");
        }
    }

    #[test]
    fn what_is_right_is_found_right() {
        let queries = [
            file(
                "a.gq",
                "query q($least: I32?) { match { $p: Person  $p.age >= $least } return { $p.slug } }",
            ),
            file(
                "b.sql",
                "-- query: of_age(least int)\nSELECT slug FROM person WHERE age >= :least",
            ),
        ];
        let schema = file("schema.pg", PERSON);
        assert_eq!(lint(Some(&schema), &schema, &queries), []);
    }
}
