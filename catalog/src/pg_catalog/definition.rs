//! Definitions of indexes, constraints and functions as PostgreSQL prints them.

use super::objects::{ConstraintRule, IndexObject, Objects, TableObject};
use super::operator_classes::{index_method, opclass_suffix};
use super::system::Proc;
use crate::lookup::quote_identifier;

/// `CREATE [UNIQUE] INDEX … ON <relation> USING btree (…)`; the relation is given as it is to
/// be written.
pub fn index_text(table: &TableObject, index: &IndexObject, relation: &str) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .zip(&index.opclasses)
        .map(|(attnum, opclass)| {
            format!(
                "{}{}",
                column_name(table, *attnum),
                opclass_suffix(*opclass)
            )
        })
        .collect();
    format!(
        "CREATE {}INDEX {} ON {relation} USING {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        index_method(index.method),
        columns.join(", ")
    )
}

/// One column of an index, from 1.
pub fn index_column_text(table: &TableObject, index: &IndexObject, column: i32) -> String {
    usize::try_from(column)
        .ok()
        .and_then(|column| index.columns.get(column.checked_sub(1)?))
        .map_or_else(String::new, |attnum| column_name(table, *attnum))
}

/// `pg_get_constraintdef`; the referenced relation is given as it is to be written.
pub fn constraint_text(
    table: &TableObject,
    columns: &[i16],
    rule: &ConstraintRule,
    referenced: &str,
    pretty: bool,
) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|attnum| column_name(table, *attnum))
        .collect();
    let columns = columns.join(", ");
    match rule {
        ConstraintRule::Primary { .. } => format!("PRIMARY KEY ({columns})"),
        ConstraintRule::Unique { .. } => format!("UNIQUE ({columns})"),
        ConstraintRule::Foreign { .. } => {
            format!("FOREIGN KEY ({columns}) REFERENCES {referenced}(id) ON DELETE CASCADE")
        }
        ConstraintRule::Check(text) => {
            format!("CHECK ({})", if pretty { &text.pretty } else { &text.full })
        }
    }
}

/// `CREATE PROPERTY GRAPH …`; the graph's name, and those of its tables, are given as they are
/// to be written.
pub fn graph_text(objects: &Objects, name: &str, relation: impl Fn(u32) -> String) -> String {
    let elements = |is_edge: bool| -> Vec<String> {
        let tables = objects.tables.iter().zip(&objects.graph.elements);
        let tables = tables.filter(|(table, _)| table.is_edge == is_edge);
        tables
            .map(|(table, element)| {
                let alias = quote_identifier(&table.name);
                let mut text = relation(table.class);
                if text != alias {
                    text = format!("{text} AS {alias}");
                }
                text.push_str(" KEY (id)");
                if let Some((from, to)) = element.ends {
                    for (end, column, at) in [("SOURCE", "src", from), ("DESTINATION", "dst", to)] {
                        let vertex = quote_identifier(&objects.tables[at].name);
                        text.push_str(&format!(" {end} KEY ({column}) REFERENCES {vertex} (id)"));
                    }
                }
                for label in &element.labels {
                    let known = &objects.graph.labels[label.label].name;
                    match *known == table.name {
                        true if element.labels.len() == 1 => {}
                        true => text.push_str(" DEFAULT LABEL"),
                        false => text.push_str(&format!(" LABEL {}", quote_identifier(known))),
                    }
                    let properties: Vec<String> = label
                        .properties
                        .iter()
                        .map(|of| &objects.graph.properties[of.property].name)
                        .map(|name| quote_identifier(name))
                        .collect();
                    text.push_str(&format!(" PROPERTIES ({})", properties.join(", ")));
                }
                text
            })
            .collect()
    };
    let mut text = format!("CREATE PROPERTY GRAPH {name}");
    for (kind, elements) in [("VERTEX", elements(false)), ("EDGE", elements(true))] {
        if !elements.is_empty() {
            let elements = elements.join(",\n        ");
            text.push_str(&format!("\n    {kind} TABLES (\n        {elements}\n    )"));
        }
    }
    text
}

fn column_name(table: &TableObject, attnum: i16) -> String {
    usize::try_from(attnum)
        .ok()
        .and_then(|attnum| table.columns.get(attnum.checked_sub(1)?))
        .map_or_else(String::new, |column| quote_identifier(&column.name))
}

/// Which of a function's arguments are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// All but a result's columns, with their defaults.
    Full,
    /// What tells the function from others of its name.
    Identity,
}

/// `pg_get_function_arguments` and `pg_get_function_identity_arguments`.
pub fn function_arguments(
    proc: &Proc,
    which: Arguments,
    format_type: impl Fn(u32) -> String,
) -> String {
    let types = proc.all_arguments.as_ref().unwrap_or(&proc.arguments);
    let modes = (0..types.len()).map(|at| match &proc.modes {
        Some(modes) => modes.get(at).map_or("i", String::as_str),
        None => "i",
    });
    let first_default = proc.arguments.len().saturating_sub(proc.defaults.len());
    let mut inputs = 0usize;
    let mut printed = Vec::new();
    for (at, (ty, mode)) in types.iter().zip(modes).enumerate() {
        let is_input = matches!(mode, "i" | "b" | "v");
        let default = is_input
            .then(|| inputs.checked_sub(first_default))
            .flatten()
            .and_then(|nth| proc.defaults.get(nth));
        inputs += usize::from(is_input);
        if mode == "t" || (which == Arguments::Identity && mode == "o") {
            continue;
        }
        let mode = match mode {
            "o" => "OUT ",
            "b" => "INOUT ",
            "v" => "VARIADIC ",
            // A procedure's inputs are told from its outputs.
            _ if proc.kind == 'p' => "IN ",
            _ => "",
        };
        let name = proc
            .names
            .as_ref()
            .and_then(|names| names.get(at))
            .filter(|name| !name.is_empty());
        let name = name.map_or_else(String::new, |name| format!("{} ", quote_identifier(name)));
        let default = match default {
            Some(default) if which == Arguments::Full => format!(" DEFAULT {default}"),
            _ => String::new(),
        };
        printed.push(format!("{mode}{name}{}{default}", format_type(*ty)));
    }
    printed.join(", ")
}

/// `pg_get_function_result`: a procedure has none.
pub fn function_result(proc: &Proc, format_type: impl Fn(u32) -> String) -> Option<String> {
    if proc.kind == 'p' {
        return None;
    }
    if let (Some(types), Some(modes)) = (&proc.all_arguments, &proc.modes)
        && modes.iter().any(|mode| mode == "t")
    {
        let columns: Vec<String> = types
            .iter()
            .zip(modes)
            .enumerate()
            .filter(|(_, (_, mode))| *mode == "t")
            .map(|(at, (ty, _))| {
                let name = proc
                    .names
                    .as_ref()
                    .and_then(|names| names.get(at))
                    .map_or("", String::as_str);
                format!("{} {}", quote_identifier(name), format_type(*ty))
            })
            .collect();
        return Some(format!("TABLE({})", columns.join(", ")));
    }
    let setof = if proc.returns_set { "SETOF " } else { "" };
    Some(format!("{setof}{}", format_type(proc.returns)))
}

/// `pg_get_functiondef`. Aggregates have none.
pub fn function_definition(
    proc: &Proc,
    schema: &str,
    format_type: impl Fn(u32) -> String,
) -> Option<String> {
    if proc.kind == 'a' {
        return None;
    }
    let mut out = format!(
        "CREATE OR REPLACE {} {}.{}({})\n",
        if proc.kind == 'p' {
            "PROCEDURE"
        } else {
            "FUNCTION"
        },
        quote_identifier(schema),
        quote_identifier(&proc.name),
        function_arguments(proc, Arguments::Full, &format_type)
    );
    if let Some(result) = function_result(proc, &format_type) {
        out.push_str(&format!(" RETURNS {result}\n"));
    }
    let language = if proc.language == 14 {
        "sql"
    } else {
        "internal"
    };
    out.push_str(&format!(" LANGUAGE {language}\n"));
    let mut traits = Vec::new();
    if proc.kind == 'w' {
        traits.push("WINDOW".to_owned());
    }
    match proc.volatility {
        'i' => traits.push("IMMUTABLE".to_owned()),
        's' => traits.push("STABLE".to_owned()),
        _ => {}
    }
    match proc.parallel {
        's' => traits.push("PARALLEL SAFE".to_owned()),
        'r' => traits.push("PARALLEL RESTRICTED".to_owned()),
        _ => {}
    }
    if proc.strict {
        traits.push("STRICT".to_owned());
    }
    if proc.leakproof {
        traits.push("LEAKPROOF".to_owned());
    }
    if (proc.cost - if proc.language == 14 { 100.0 } else { 1.0 }).abs() > f32::EPSILON {
        traits.push(format!("COST {}", proc.cost));
    }
    if proc.returns_set && proc.rows > 0.0 && (proc.rows - 1000.0).abs() > f32::EPSILON {
        traits.push(format!("ROWS {}", proc.rows));
    }
    if !traits.is_empty() {
        out.push_str(&format!(" {}\n", traits.join(" ")));
    }
    let tag = if proc.kind == 'p' {
        "$procedure$"
    } else {
        "$function$"
    };
    out.push_str(&format!("AS {tag}{}{tag}\n", proc.source));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg_catalog::input::Registry;
    use crate::pg_catalog::system::System;
    use crate::pg_catalog::type_text::built_in_text;

    fn text(oid: u32) -> String {
        built_in_text(oid).unwrap_or_default()
    }

    #[test]
    fn built_in_functions_print_as_in_postgresql() {
        let system = System::new(&Registry::default());
        let array_in = &system.procs[&750];
        assert_eq!(
            function_arguments(array_in, Arguments::Full, text),
            "cstring, oid, integer"
        );
        assert_eq!(function_result(array_in, text).as_deref(), Some("anyarray"));
        assert_eq!(
            function_definition(array_in, "pg_catalog", text).as_deref(),
            Some(
                "CREATE OR REPLACE FUNCTION pg_catalog.array_in(cstring, oid, integer)\n RETURNS anyarray\n \
                 LANGUAGE internal\n STABLE PARALLEL SAFE STRICT\nAS $function$array_in$function$\n"
            )
        );
    }
}
