//! From the parts that rules name to what of a graph is shown, under one of its schemas.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use omnigraph_engine::restrict::{self, Restriction};
use omnigraph_engine::schema::{Schema, TypeDef};

use super::load::{Bundle, Rule};
use super::part::Part;
use crate::diagnostic::Diagnostic;
use crate::stored::{Asker, Compiler};

/// The part as it is in a schema. What cannot be understood there shows nothing: a type that
/// is gone, a column that is gone, a condition that does not fit.
pub fn restriction(part: &Part, schema: &Arc<Schema>, compiler: &dyn Compiler) -> Arc<Restriction> {
    let asker = Asker {
        actor: &part.actor,
        groups: &part.groups,
    };
    let mut parts = HashMap::new();
    for def in &schema.types {
        let Some(own) = part.of_type(&def.name) else {
            continue;
        };
        let mut rows = Vec::with_capacity(own.rows.len());
        for text in &own.rows {
            match compiler.condition(schema, def, text, asker) {
                Ok(predicate) => rows.push(predicate),
                Err(error) => {
                    tracing::warn!(actor = part.actor, table = def.table, %error, "a policy's condition does not fit the schema: it shows no row");
                }
            }
        }
        if rows.is_empty() && !own.rows.is_empty() {
            continue;
        }
        let properties = own.columns.as_ref().map(|names| {
            let known = names.iter().filter_map(|name| property(def, name));
            known.collect::<BTreeSet<usize>>()
        });
        parts.insert(def.id, restrict::Part { properties, rows });
    }
    Restriction::new(&part.digest(), schema, parts)
}

/// What rules name that a schema does not have, and conditions that do not fit it.
pub fn check(bundle: &Bundle, schema: &Arc<Schema>, compiler: &dyn Compiler) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for rule in &bundle.rules {
        let mut report = |message: String| {
            let message = format!("rule \"{}\": {message}", rule.id);
            found.push(Diagnostic::error("policy_part_invalid", message));
        };
        check_rule(rule, bundle, schema, compiler, &mut report);
    }
    found
}

fn check_rule(
    rule: &Rule,
    bundle: &Bundle,
    schema: &Arc<Schema>,
    compiler: &dyn Compiler,
    report: &mut dyn FnMut(String),
) {
    let groups: BTreeSet<String> = bundle.groups.keys().cloned().collect();
    let asker = Asker {
        actor: "",
        groups: &groups,
    };
    for (name, share) in rule.types.iter().flatten() {
        let Some(def) = schema.by_name(name) else {
            report(format!("there is no type \"{name}\""));
            continue;
        };
        for column in share.columns.iter().flatten() {
            if property(def, column).is_none() && def.column(column).is_none() {
                report(format!("{name} has no column \"{column}\""));
            }
        }
        if let Some(text) = &share.rows
            && let Err(error) = compiler.condition(schema, def, text, asker)
        {
            report(format!("the condition of {name}: {error}"));
        }
    }
}

/// By its declared name or its name in SQL.
fn property(def: &TypeDef, name: &str) -> Option<usize> {
    def.properties
        .iter()
        .position(|property| property.name == name || property.column == name)
}
