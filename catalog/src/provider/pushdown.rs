//! From filters to the cheapest way to the rows: equality with constants goes to the hash
//! indexes, and conditions on the words of a text to inverted ones. The filters stay and are evaluated on what was found, so the way chosen here can
//! only ever be too wide.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, Volatility};
use datafusion::scalar::ScalarValue;
use omnigraph_engine::schema::{TypeDef, TypeKind};
use omnigraph_engine::search::NearestRequest;

use super::BLOB_BYTES;
use super::words::{self, WordLookup};

/// How a scan comes to its rows.
#[derive(Debug, Clone)]
pub enum Access {
    /// All of them.
    Full,
    /// Those that hold one of these tuples in these columns: one array for each column, in
    /// the engine's types.
    Equal {
        columns: Vec<usize>,
        values: Vec<ArrayRef>,
    },
    /// Those whose text may have these words.
    Words(WordLookup),
    /// Of those that pass the filters, at least the ones nearest to a vector.
    Nearest(Arc<NearestRequest>),
}

/// The most constants that are looked up one by one; above it a scan is as good.
const LOOKUP_TUPLES: usize = 10_000;

/// Can a scan decide it from one row alone, at any time, with the same answer?
pub fn is_row_filter(filter: &Expr) -> bool {
    let mut plain = true;
    // The closure never fails.
    let _ = filter.apply(|expr| {
        let refused = match expr {
            Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::Unnest(_) => true,
            Expr::ScalarFunction(call) => {
                call.func.signature().volatility == Volatility::Volatile
                    || call.func.as_async().is_some()
                    || call.func.name() == BLOB_BYTES
            }
            _ => false,
        };
        if refused {
            plain = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    plain
}

/// The columns that equality is looked up in, best first: `id`, the whole key, each unique
/// constraint, then an edge's ends.
fn indexed(def: &TypeDef) -> Vec<Vec<usize>> {
    let first_property = match def.kind {
        TypeKind::Node => 1,
        TypeKind::Edge { .. } => 3,
    };
    let columns = |properties: &[usize]| -> Vec<usize> {
        properties.iter().map(|at| at + first_property).collect()
    };
    let mut sets = vec![vec![0]];
    if !def.key.is_empty() {
        sets.push(columns(&def.key));
    }
    sets.extend(def.uniques.iter().map(|unique| unique.columns.clone()));
    if matches!(def.kind, TypeKind::Edge { .. }) {
        sets.extend([vec![1, 2], vec![1], vec![2]]);
    }
    sets
}

/// The way in for these filters, which are joined by AND.
pub fn access(def: &TypeDef, schema: &SchemaRef, filters: &[Expr]) -> Access {
    let mut constants: Vec<Option<Vec<ScalarValue>>> = vec![None; schema.fields().len()];
    let mut conjuncts = Vec::new();
    for filter in filters {
        split(filter, &mut conjuncts);
    }
    for conjunct in &conjuncts {
        if let Some((column, values)) = equality(schema, conjunct) {
            let better = constants[column]
                .as_ref()
                .is_none_or(|known| values.len() < known.len());
            if better {
                constants[column] = Some(values);
            }
        }
    }
    for columns in indexed(def) {
        let Some(sets) = columns
            .iter()
            .map(|column| constants[*column].as_ref())
            .collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let tuples = sets.iter().map(|set| set.len()).product::<usize>();
        if tuples > LOOKUP_TUPLES {
            continue;
        }
        let engine = def.arrow_schema();
        let types: Vec<DataType> = columns
            .iter()
            .map(|column| engine.field(*column).data_type().clone())
            .collect();
        // -0.0 equals 0.0 for SQL and not for a hash.
        if types.iter().any(DataType::is_floating) {
            continue;
        }
        if let Some(values) = tuples_of(&sets, &types, tuples) {
            return Access::Equal { columns, values };
        }
    }
    let mut lookups = conjuncts
        .into_iter()
        .filter_map(|conjunct| words::lookup(def, schema, conjunct));
    lookups.next().map_or(Access::Full, Access::Words)
}

fn split<'a>(filter: &'a Expr, out: &mut Vec<&'a Expr>) {
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => {
            split(left, out);
            split(right, out);
        }
        other => out.push(other),
    }
}

/// `column = constant` and `column IN (constants)`.
fn equality(schema: &SchemaRef, filter: &Expr) -> Option<(usize, Vec<ScalarValue>)> {
    let column = |expr: &Expr| match expr {
        Expr::Column(column) => schema.index_of(&column.name).ok(),
        _ => None,
    };
    let constant = |expr: &Expr| match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (column(left), constant(right), column(right), constant(left)) {
            (Some(column), Some(value), _, _) | (_, _, Some(column), Some(value)) => {
                Some((column, vec![value]))
            }
            _ => None,
        },
        // The optimizer makes short lists into chains of OR.
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => {
            let (one, mut values) = equality(schema, left)?;
            let (other, more) = equality(schema, right)?;
            values.extend(more);
            (one == other).then_some((one, values))
        }
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) => {
            let values = list.iter().map(constant).collect::<Option<Vec<_>>>()?;
            Some((column(expr)?, values))
        }
        _ => None,
    }
}

/// Every combination of the sets' values, each once, column by column in the engine's types.
/// A NULL, or a value that the engine's type cannot hold, equals no row and is left out.
fn tuples_of(
    sets: &[&Vec<ScalarValue>],
    types: &[DataType],
    tuples: usize,
) -> Option<Vec<ArrayRef>> {
    let mut cast: Vec<Vec<ScalarValue>> = Vec::with_capacity(sets.len());
    for (set, ty) in sets.iter().zip(types) {
        let mut values: Vec<ScalarValue> = Vec::with_capacity(set.len());
        for value in set.iter().filter(|value| !value.is_null()) {
            match value.cast_to(ty) {
                Ok(value) if !value.is_null() => values.push(value),
                _ => {}
            }
        }
        let mut seen = std::collections::HashSet::new();
        values.retain(|value| seen.insert(value.clone()));
        cast.push(values);
    }
    if cast.iter().any(Vec::is_empty) {
        return Some(types.iter().map(new_empty_array).collect());
    }
    let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(tuples); cast.len()];
    let count: usize = cast.iter().map(Vec::len).product();
    for tuple in 0..count {
        let mut rest = tuple;
        for (column, values) in columns.iter_mut().zip(&cast) {
            column.push(values[rest % values.len()].clone());
            rest /= values.len();
        }
    }
    columns
        .into_iter()
        .map(|column| ScalarValue::iter_to_array(column).ok())
        .collect()
}

/// For EXPLAIN: which columns are looked up.
pub fn describe(access: &Access, schema: &SchemaRef) -> Option<String> {
    match access {
        Access::Full => None,
        Access::Nearest(request) => Some(format!(
            "distance of {}",
            schema.field(request.column).name()
        )),
        Access::Words(lookup) => Some(format!("words of {}", schema.field(lookup.column).name())),
        Access::Equal { columns, values } => {
            let names: Vec<&str> = columns
                .iter()
                .map(|column| schema.field(*column).name().as_str())
                .collect();
            let count = values
                .first()
                .map_or(0, |array: &Arc<dyn arrow::array::Array>| array.len());
            Some(format!("{} ({count})", names.join(", ")))
        }
    }
}
