//! The language as a whole: samples that must parse, mistakes and how they are shown, evolution.

mod evolution;
mod language;
mod merging;
mod mistakes;

use super::{Schema, SeededIds};

/// A schema, or the rendered mistakes as a panic.
fn parse(source: &str) -> Schema {
    match Schema::parse(source, &mut SeededIds(1)) {
        Ok(schema) => schema,
        Err(errors) => panic!("{errors}"),
    }
}
