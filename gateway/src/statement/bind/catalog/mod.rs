//! PostgreSQL's operators, functions and casts: the tables by which the binder resolves names,
//! and which pg_operator, pg_proc and pg_cast list. A row that has no implementation is not
//! listed and is not found.

mod casts;
mod functions;
mod operators;

use super::{functions as function_impls, operators as operator_impls};

/// A row of `pg_proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionRow {
    pub oid: u32,
    pub name: &'static str,
    /// `prokind`: f, a (aggregate), w (window).
    pub kind: char,
    /// Returns a set.
    pub set: bool,
    /// The element type of a variadic last argument; 0: none.
    pub variadic: u32,
    /// How many of the last arguments have defaults.
    pub defaults: u8,
    /// i, s, v.
    pub volatility: char,
    pub strict: bool,
    pub result: u32,
    pub args: &'static [u32],
}

/// The product's own functions among these have OIDs from here on.
const OWN: u32 = 9000;

impl FunctionRow {
    /// Is it none of PostgreSQL's?
    pub fn is_own(&self) -> bool {
        self.oid >= OWN
    }
}

/// A row of `pg_operator`; a prefix operator has no left type (0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorRow {
    pub oid: u32,
    pub name: &'static str,
    pub left: u32,
    pub right: u32,
    pub result: u32,
    /// The function behind it: `int4pl`.
    pub code: &'static str,
}

/// A row of `pg_cast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CastRow {
    pub source: u32,
    pub target: u32,
    /// i (implicit), a (assignment), e (explicit).
    pub context: char,
    /// f (a function), b (the same bits), i (through text).
    pub method: char,
}

/// The functions that run here.
pub fn listed_functions() -> impl Iterator<Item = &'static FunctionRow> {
    functions::FUNCTIONS
        .iter()
        .filter(|row| function_impls::is_implemented(row))
}

/// The operators that run here.
pub fn listed_operators() -> impl Iterator<Item = &'static OperatorRow> {
    operators::OPERATORS
        .iter()
        .filter(|row| operator_impls::is_implemented(row))
}

pub fn listed_casts() -> impl Iterator<Item = &'static CastRow> {
    casts::CASTS.iter()
}

pub(super) fn functions_named(name: &str) -> impl Iterator<Item = &'static FunctionRow> {
    let start = functions::FUNCTIONS.partition_point(|row| row.name < name);
    functions::FUNCTIONS[start..]
        .iter()
        .take_while(move |row| row.name == name)
        .filter(|row| function_impls::is_implemented(row))
}

pub(super) fn operators_named(name: &str) -> impl Iterator<Item = &'static OperatorRow> {
    let start = operators::OPERATORS.partition_point(|row| row.name < name);
    operators::OPERATORS[start..]
        .iter()
        .take_while(move |row| row.name == name)
        .filter(|row| operator_impls::is_implemented(row))
}

/// The operators that are this function's.
pub(super) fn operators_of_function(name: &str) -> impl Iterator<Item = &'static OperatorRow> {
    operators::OPERATORS
        .iter()
        .filter(move |row| row.code == name && operator_impls::is_implemented(row))
}

pub(super) fn cast(source: u32, target: u32) -> Option<&'static CastRow> {
    casts::CASTS
        .binary_search_by_key(&(source, target), |row| (row.source, row.target))
        .ok()
        .map(|at| &casts::CASTS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_as_they_are_searched() {
        assert!(
            functions::FUNCTIONS
                .windows(2)
                .all(|pair| pair[0].name <= pair[1].name)
        );
        assert!(
            operators::OPERATORS
                .windows(2)
                .all(|pair| pair[0].name <= pair[1].name)
        );
        assert!(
            casts::CASTS
                .windows(2)
                .all(|pair| (pair[0].source, pair[0].target) < (pair[1].source, pair[1].target))
        );
    }
}
