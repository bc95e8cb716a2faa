//! What each row must keep to by itself: NOT NULL, enums, ranges, patterns, and that a keyed
//! node's `id` is its key. Rules between rows are checked elsewhere.
//!
//! Rows are refused as PostgreSQL would: the first bad row counts, in it first NOT NULL in
//! column order, then the checks in the order of their names, in PostgreSQL's words.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, Float32Array, PrimitiveArray,
    RecordBatch, StringArray,
};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};

use super::row_text::failing_row;
use crate::error::{ConstraintKind, ConstraintViolation};
use crate::schema::key::ids_or_row;
use crate::schema::{CheckRule, ID_COLUMN, Literal, PropertyType, Scalar, TypeDef};

/// The rules of one table. Cheap to make: patterns are compiled once per type.
#[derive(Debug)]
pub struct ValueChecker {
    def: Arc<TypeDef>,
    /// Columns that may not be NULL.
    required: Vec<usize>,
    rules: Vec<ColumnRule>,
}

#[derive(Debug)]
struct ColumnRule {
    column: usize,
    /// `None`: PostgreSQL has no such constraint, see [`Rule::Finite`].
    constraint: Option<String>,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Words(HashSet<String>),
    I32(Bounds<i32>),
    I64(Bounds<i64>),
    U32(Bounds<u32>),
    U64(Bounds<u64>),
    F32(Bounds<f32>),
    F64(Bounds<f64>),
    /// Position in the type's patterns.
    Pattern(usize),
    /// Of a vector: every element is a finite number.
    Finite,
}

#[derive(Debug)]
struct Bounds<T> {
    min: Option<T>,
    max: Option<T>,
}

impl<T: Copy + PartialOrd> Bounds<T> {
    /// NaN is in no range.
    fn hold(&self, value: T) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// A row that is refused, and why.
pub type Refused = (usize, ConstraintViolation);

impl ValueChecker {
    pub fn new(def: &Arc<TypeDef>) -> Self {
        let mut rules = Vec::new();
        for (at, property) in def.properties.iter().enumerate() {
            let column = def.property_column(at);
            match &property.ty {
                PropertyType::Enum(words) => rules.push(ColumnRule {
                    column,
                    constraint: property.enum_constraint.clone(),
                    rule: Rule::Words(words.iter().cloned().collect()),
                }),
                PropertyType::Vector(_) => rules.push(ColumnRule {
                    column,
                    constraint: None,
                    rule: Rule::Finite,
                }),
                PropertyType::Scalar(_) | PropertyType::List(_) => {}
            }
        }
        for (at, check) in def.checks.iter().enumerate() {
            let rule = match &check.rule {
                CheckRule::Regex(_) => Some(Rule::Pattern(at)),
                CheckRule::Range { min, max } => range(
                    def.properties[check.property].ty.scalar(),
                    min.as_ref(),
                    max.as_ref(),
                ),
            };
            rules.extend(rule.map(|rule| ColumnRule {
                column: def.property_column(check.property),
                constraint: Some(check.name.clone()),
                rule,
            }));
        }
        rules.sort_by(|a, b| a.constraint.cmp(&b.constraint));
        let required = def.columns().iter().enumerate();
        ValueChecker {
            def: Arc::clone(def),
            required: required
                .filter(|(_, column)| !column.nullable)
                .map(|(at, _)| at)
                .collect(),
            rules,
        }
    }

    /// The rules of these columns only; batches may have anything in the others.
    pub(crate) fn of_columns(def: &Arc<TypeDef>, columns: &BTreeSet<usize>) -> Self {
        let mut checker = ValueChecker::new(def);
        checker.rules.retain(|rule| columns.contains(&rule.column));
        checker.required.retain(|column| columns.contains(column));
        checker
    }

    /// All rules. The batch has the columns of [`TypeDef::columns`] in their order; whether its
    /// fields may be NULL by its own schema does not matter.
    pub fn check(&self, batch: &RecordBatch) -> Result<(), Refused> {
        self.check_values(batch)?;
        self.check_ids(batch)
    }

    /// The rules of single columns.
    pub fn check_values(&self, batch: &RecordBatch) -> Result<(), Refused> {
        match self.first_refused(batch) {
            Some(refused) => Err(refused),
            None => Ok(()),
        }
    }

    /// Every row that breaks a rule of a single column.
    pub fn refused(&self, batch: &RecordBatch) -> Vec<Refused> {
        let mut all = BTreeMap::new();
        for broken in self.single_column_rules() {
            let mut from = 0;
            while let Some(row) = self.next_broken(&broken, batch, from) {
                // A row is refused by the first of the rules that it breaks.
                all.entry(row).or_insert(broken);
                from = row + 1;
            }
        }
        all.into_iter()
            .map(|(row, broken)| (row, self.violation(batch, row, broken)))
            .collect()
    }

    /// That the ids are the texts of the keys. A separate step for who must ask first whether
    /// id and key are unique.
    pub fn check_ids(&self, batch: &RecordBatch) -> Result<(), Refused> {
        let Some(constraint) = &self.def.constraints.id_is_key else {
            return Ok(());
        };
        let violation = |row: usize| (row, self.check_violation(batch, row, Some(constraint)));
        let expected = match ids_or_row(&self.def, batch) {
            Ok(Ok(expected)) => expected,
            Ok(Err(refused)) => return Err(refused),
            // Only a batch that does not fit the type has no keys at all.
            Err(_) => return Err(violation(0)),
        };
        let given = batch.column(ID_COLUMN);
        let Some(given) = given.as_any().downcast_ref::<StringArray>() else {
            return Err(violation(0));
        };
        let differs = |row: &usize| {
            given.is_null(*row)
                || expected.is_null(*row)
                || given.value(*row) != expected.value(*row)
        };
        match (0..batch.num_rows()).find(differs) {
            Some(row) => Err(violation(row)),
            None => Ok(()),
        }
    }

    /// The first row that breaks a rule, and the first rule it breaks.
    fn first_refused(&self, batch: &RecordBatch) -> Option<Refused> {
        let (row, broken) = self
            .single_column_rules()
            .filter_map(|broken| Some((self.next_broken(&broken, batch, 0)?, broken)))
            .min_by_key(|(row, _)| *row)?;
        Some((row, self.violation(batch, row, broken)))
    }

    fn single_column_rules(&self) -> impl Iterator<Item = Broken<'_>> {
        let required = self.required.iter().map(|at| Broken::NotNull(*at));
        required.chain(self.rules.iter().map(Broken::Rule))
    }

    /// The first row at or after `from` that breaks the rule.
    fn next_broken(&self, rule: &Broken<'_>, batch: &RecordBatch, from: usize) -> Option<usize> {
        match rule {
            Broken::NotNull(at) => first_null(batch.column(*at), from),
            Broken::Rule(rule) => self.first_broken(rule, batch.column(rule.column), from),
        }
    }

    fn violation(
        &self,
        batch: &RecordBatch,
        row: usize,
        broken: Broken<'_>,
    ) -> ConstraintViolation {
        match broken {
            Broken::NotNull(column) => self.null_violation(batch, row, column),
            Broken::Rule(ColumnRule {
                constraint: Some(constraint),
                ..
            }) => self.check_violation(batch, row, Some(constraint)),
            Broken::Rule(rule) => self.vector_violation(rule.column),
        }
    }

    fn first_broken(&self, rule: &ColumnRule, array: &ArrayRef, from: usize) -> Option<usize> {
        match &rule.rule {
            Rule::Words(words) => first_text(array, from, |text| words.contains(text)),
            Rule::Pattern(at) => {
                let pattern = self.def.patterns().get(*at).and_then(Option::as_ref)?;
                first_text(array, from, |text| pattern.is_match(text))
            }
            Rule::I32(bounds) => first_outside::<Int32Type>(array, from, bounds),
            Rule::I64(bounds) => first_outside::<Int64Type>(array, from, bounds),
            Rule::U32(bounds) => first_outside::<UInt32Type>(array, from, bounds),
            Rule::U64(bounds) => first_outside::<UInt64Type>(array, from, bounds),
            Rule::F32(bounds) => first_outside::<Float32Type>(array, from, bounds),
            Rule::F64(bounds) => first_outside::<Float64Type>(array, from, bounds),
            Rule::Finite => first_not_finite(array, from),
        }
    }

    fn null_violation(
        &self,
        batch: &RecordBatch,
        row: usize,
        column: usize,
    ) -> ConstraintViolation {
        let name = &self.def.columns()[column].name;
        ConstraintViolation {
            kind: ConstraintKind::NotNull,
            table: self.def.table.clone(),
            column: Some(name.clone()),
            constraint: None,
            message: format!(
                "null value in column \"{name}\" of relation \"{}\" violates not-null constraint",
                self.def.table
            ),
            detail: Some(failing_row(batch, row)),
        }
    }

    fn check_violation(
        &self,
        batch: &RecordBatch,
        row: usize,
        constraint: Option<&String>,
    ) -> ConstraintViolation {
        ConstraintViolation {
            kind: ConstraintKind::Check,
            table: self.def.table.clone(),
            column: None,
            constraint: constraint.cloned(),
            message: format!(
                "new row for relation \"{}\" violates check constraint \"{}\"",
                self.def.table,
                constraint.map_or("", String::as_str)
            ),
            detail: Some(failing_row(batch, row)),
        }
    }

    fn vector_violation(&self, column: usize) -> ConstraintViolation {
        let name = &self.def.columns()[column].name;
        ConstraintViolation {
            kind: ConstraintKind::Check,
            table: self.def.table.clone(),
            column: Some(name.clone()),
            constraint: None,
            message: format!(
                "vector \"{name}\" of relation \"{}\" must have finite numbers only",
                self.def.table
            ),
            detail: None,
        }
    }
}

#[derive(Clone, Copy)]
enum Broken<'a> {
    NotNull(usize),
    Rule(&'a ColumnRule),
}

fn range(scalar: Option<Scalar>, min: Option<&Literal>, max: Option<&Literal>) -> Option<Rule> {
    fn bounds<T: std::str::FromStr>(min: Option<&Literal>, max: Option<&Literal>) -> Bounds<T> {
        // The schema was refused if a bound were no value of the type.
        let bound = |literal: Option<&Literal>| match literal {
            Some(Literal::Number(text)) => text.parse().ok(),
            _ => None,
        };
        Bounds {
            min: bound(min),
            max: bound(max),
        }
    }
    match scalar? {
        Scalar::I32 => Some(Rule::I32(bounds(min, max))),
        Scalar::I64 => Some(Rule::I64(bounds(min, max))),
        Scalar::U32 => Some(Rule::U32(bounds(min, max))),
        Scalar::U64 => Some(Rule::U64(bounds(min, max))),
        Scalar::F32 => Some(Rule::F32(bounds(min, max))),
        Scalar::F64 => Some(Rule::F64(bounds(min, max))),
        _ => None,
    }
}

fn first_null(array: &ArrayRef, from: usize) -> Option<usize> {
    if array.null_count() == 0 {
        return None;
    }
    (from..array.len()).find(|&row| array.is_null(row))
}

/// The first text that is not `good`; NULL passes every check.
fn first_text(array: &ArrayRef, from: usize, good: impl Fn(&str) -> bool) -> Option<usize> {
    let texts = array.as_any().downcast_ref::<StringArray>()?;
    (from..texts.len()).find(|&row| texts.is_valid(row) && !good(texts.value(row)))
}

fn first_outside<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    from: usize,
    bounds: &Bounds<T::Native>,
) -> Option<usize>
where
    T::Native: PartialOrd,
{
    let values = array.as_any().downcast_ref::<PrimitiveArray<T>>()?;
    (from..values.len()).find(|&row| values.is_valid(row) && !bounds.hold(values.value(row)))
}

fn first_not_finite(array: &ArrayRef, from: usize) -> Option<usize> {
    let vectors = array.as_any().downcast_ref::<FixedSizeListArray>()?;
    (from..vectors.len()).find(|&row| {
        if vectors.is_null(row) {
            return false;
        }
        let elements = vectors.value(row);
        let Some(elements) = elements.as_any().downcast_ref::<Float32Array>() else {
            return true;
        };
        elements.null_count() > 0 || elements.values().iter().any(|element| !element.is_finite())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Schema, SeededIds};
    use arrow::array::{Float64Array, Int32Array, UInt64Array};

    fn def(source: &str) -> Arc<TypeDef> {
        Arc::clone(&Schema::parse(source, &mut SeededIds(1)).unwrap().types[0])
    }

    fn batch(def: &TypeDef, columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_new(def.row_schema(), columns).unwrap()
    }

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn nulls_come_first_and_in_column_order() {
        let def = def("node A { n: I32 @range(0..9)  s: String  t: enum(x, y) }");
        let rows = batch(
            &def,
            vec![
                texts(&[Some("1"), Some("2")]),
                Arc::new(Int32Array::from(vec![Some(1), Some(99)])),
                texts(&[Some("a"), None]),
                texts(&[Some("x"), None]),
            ],
        );
        let (row, violation) = ValueChecker::new(&def).check(&rows).unwrap_err();
        assert_eq!(row, 1);
        assert_eq!(violation.kind, ConstraintKind::NotNull);
        assert_eq!(
            violation.message,
            "null value in column \"s\" of relation \"a\" violates not-null constraint"
        );
        assert_eq!(
            violation.detail.as_deref(),
            Some("Failing row contains (2, 99, null, null).")
        );
        assert_eq!(violation.column.as_deref(), Some("s"));
    }

    #[test]
    fn checks_are_told_by_their_names_in_order() {
        let def = def("node A { z: enum(x, y)?  b: String? @check(\"a+\")  c: F64? @range(0..) }");
        let checker = ValueChecker::new(&def);
        let row = |z: &str, b: &str, c: f64| {
            let rows = batch(
                &def,
                vec![
                    texts(&[Some("i")]),
                    texts(&[Some(z)]),
                    texts(&[Some(b)]),
                    Arc::new(Float64Array::from(vec![c])),
                ],
            );
            checker
                .check(&rows)
                .map_err(|(_, violation)| violation.constraint.unwrap())
        };
        assert_eq!(row("x", "aaa", 0.0), Ok(()));
        assert_eq!(row("w", "b", -1.0), Err("a_b_check".to_owned()));
        assert_eq!(row("w", "a", -1.0), Err("a_c_check".to_owned()));
        assert_eq!(row("w", "a", 1.0), Err("a_z_check".to_owned()));
        assert_eq!(row("x", "aab", 1.0), Err("a_b_check".to_owned()));
        assert_eq!(row("x", "a\n", 1.0), Err("a_b_check".to_owned()));
        assert_eq!(row("x", "a", f64::NAN), Err("a_c_check".to_owned()));
    }

    #[test]
    fn nulls_pass_every_check() {
        let def = def("node A { z: enum(x, y)?  b: String? @check(\"a+\")  c: U64? @range(5..7) }");
        let rows = batch(
            &def,
            vec![
                texts(&[Some("i")]),
                texts(&[None]),
                texts(&[None]),
                Arc::new(UInt64Array::from(vec![None])),
            ],
        );
        assert!(ValueChecker::new(&def).check(&rows).is_ok());
    }

    #[test]
    fn every_refused_row_can_be_had() {
        let def = def("node A { n: I32 @range(0..9) }");
        let rows = batch(
            &def,
            vec![
                texts(&[Some("1"), Some("2"), Some("3"), Some("4")]),
                Arc::new(Int32Array::from(vec![None, Some(10), Some(3), Some(-1)])),
            ],
        );
        let checker = ValueChecker::new(&def);
        let refused: Vec<usize> = checker.refused(&rows).iter().map(|(row, _)| *row).collect();
        assert_eq!(refused, [0, 1, 3]);
    }

    #[test]
    fn an_id_must_be_the_text_of_the_key() {
        let def = def("node A { n: I32 @key  s: String? }");
        let rows = |id: Option<&str>| {
            batch(
                &def,
                vec![
                    texts(&[id]),
                    Arc::new(Int32Array::from(vec![7])),
                    texts(&[None]),
                ],
            )
        };
        let checker = ValueChecker::new(&def);
        assert!(checker.check(&rows(Some("7"))).is_ok());
        assert!(checker.check_values(&rows(Some("8"))).is_ok());
        let (_, violation) = checker.check(&rows(Some("8"))).unwrap_err();
        assert_eq!(
            violation.message,
            "new row for relation \"a\" violates check constraint \"a_id_is_key\""
        );
        assert_eq!(
            violation.detail.as_deref(),
            Some("Failing row contains (8, 7, null).")
        );
        assert_eq!(
            checker.check(&rows(None)).unwrap_err().1.column.as_deref(),
            Some("id")
        );
    }

    #[test]
    fn vectors_have_finite_elements() {
        use arrow::array::{FixedSizeListBuilder, Float32Builder};
        let def = def("node A { v: Vector(2)? }");
        let check = |elements: [Option<f32>; 2]| {
            let mut builder = FixedSizeListBuilder::new(Float32Builder::new(), 2);
            for element in elements {
                builder.values().append_option(element);
            }
            builder.append(true);
            ValueChecker::new(&def).check(&batch(
                &def,
                vec![texts(&[Some("1")]), Arc::new(builder.finish())],
            ))
        };
        assert!(check([Some(1.0), Some(-0.5)]).is_ok());
        for bad in [
            [Some(1.0), None],
            [Some(f32::NAN), Some(0.0)],
            [Some(f32::INFINITY), Some(0.0)],
        ] {
            assert_eq!(check(bad).unwrap_err().1.column.as_deref(), Some("v"));
        }
    }
}
