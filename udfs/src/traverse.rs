//! `traverse(edges text | text[], start text | text[], direction text DEFAULT 'out',
//! min_hops int4 DEFAULT 1, max_hops int4 DEFAULT 1)` → `start text, id text, type text, depth int4`
//!
//! All nodes that edges of the named types lead to from each start, within `min_hops` to
//! `max_hops` edges: each once per start, at its least depth. The start itself comes, at depth
//! 0, only with `min_hops => 0`. `edges` are tables of edge types, any of which may be taken
//! at each hop; `direction` is `out`, `in` or `both`; `max_hops => NULL` goes as far as it
//! can. `type` is the table of the node's type.
//!
//! A start that does not exist, or NULL, has no rows; one that is given twice counts once. An
//! id is sought among the types that the edges leave (`out`), enter (`in`), or both.
//!
//! Rows come by start, in the order given, then by depth, then in the order in which edges
//! lead to them.
//!
//! Errors: 22023 for a table that is not an edge type, another direction, negative hops, or
//! `min_hops` above `max_hops`; 22004 for a NULL in `direction` or `min_hops`.
//!
//! ```sql
//! SELECT * FROM traverse('depends_on', start => 'gnome', max_hops => 99);
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::TryStreamExt;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::{Schema, TypeId};
use omnigraph_engine::traverse::{Direction, Hops, TraverseRequest, traverse};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Bound, Call, Column, Comparison, TableFunction, arrow_schema};
use crate::paths::{failed, reserved};
use crate::rows::{self, BATCH_ROWS};

#[derive(Debug)]
pub struct Traverse {
    arguments: Vec<Argument>,
}

impl Traverse {
    pub fn new() -> Self {
        Traverse {
            arguments: vec![
                Argument::required("edges", &[PgType::TEXT, PgType::TEXT_ARRAY]),
                Argument::required("start", &[PgType::TEXT, PgType::TEXT_ARRAY]),
                Argument::optional("direction", PgType::TEXT, ScalarValue::from("out")),
                Argument::optional("min_hops", PgType::INT4, ScalarValue::Int32(Some(1))),
                Argument::optional("max_hops", PgType::INT4, ScalarValue::Int32(Some(1))),
            ],
        }
    }
}

impl Default for Traverse {
    fn default() -> Self {
        Traverse::new()
    }
}

impl TableFunction for Traverse {
    fn name(&self) -> &'static str {
        "traverse"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(columns())
    }

    fn description(&self) -> &'static str {
        "nodes that edges lead to from each start, once, at their least depth"
    }

    fn takes_bound(&self, column: &str, comparison: Comparison) -> bool {
        column == "depth" && comparison != Comparison::Greater
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let starts = args.texts("start")?;
        let direction = direction(&args)?;
        let hops = hops(&args)?;
        let schema = arrow_schema(&columns());
        let Some(hops) = call.bounds.iter().try_fold(hops, narrow) else {
            return Ok(rows::batches(schema, futures::stream::empty::<Result<_>>()));
        };
        let mut request = TraverseRequest {
            edges: Vec::new(),
            starts,
            direction,
            hops,
            limit: call.limit,
            wanted: call.wanted.clone(),
            batch_rows: BATCH_ROWS,
            memory: reserved(self, &call),
        };
        let found = async move {
            let snapshot = call.context.snapshot().await?;
            request.edges = edge_types(
                &Args::new(&Traverse::new(), &call.arguments),
                snapshot.schema(),
            )?;
            Ok::<_, Error>(traverse(snapshot, request).map_err(failed))
        };
        Ok(rows::batches(
            schema,
            futures::stream::once(found).try_flatten(),
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("start", PgType::TEXT),
        Column::new("id", PgType::TEXT),
        Column::new("type", PgType::TEXT),
        Column::new("depth", PgType::INT4),
    ]
}

/// The edge types that argument `edges` names, by table or as declared.
pub(crate) fn edge_types(args: &Args<'_>, schema: &Schema) -> Result<Vec<TypeId>> {
    args.texts("edges")?
        .iter()
        .map(|name| {
            let found = schema.table(name).or_else(|| schema.by_name(name));
            match found {
                Some(def) if def.is_edge() => Ok(def.id),
                Some(_) => {
                    Err(args.bad("edges", format!("names \"{name}\", which is a node type")))
                }
                None => {
                    let known: Vec<&str> = schema.edges().map(|def| def.table.as_str()).collect();
                    Err(args.bad_with_hint(
                        "edges",
                        format!("names \"{name}\", which is no edge type"),
                        format!("The edge types are: {}.", known.join(", ")),
                    ))
                }
            }
        })
        .collect()
}

pub(crate) fn direction(args: &Args<'_>) -> Result<Direction> {
    args.choice(
        "direction",
        &[
            ("out", Direction::Out),
            ("in", Direction::In),
            ("both", Direction::Both),
        ],
    )
}

fn hops(args: &Args<'_>) -> Result<Hops> {
    let count =
        |name, hops: i64| u32::try_from(hops).map_err(|_| args.bad(name, "must not be negative"));
    let min = count("min_hops", args.int("min_hops")?)?;
    let max = args
        .optional_int("max_hops")?
        .map(|max| count("max_hops", max))
        .transpose()?;
    match max {
        Some(max) if max < min => {
            Err(args.bad("min_hops", "must not be greater than \"max_hops\""))
        }
        _ => Ok(Hops { min, max }),
    }
}

/// The hops for which a condition on `depth` is true; `None`: there are none.
fn narrow(hops: Hops, bound: &Bound) -> Option<Hops> {
    let value = match bound.value {
        ScalarValue::Int16(Some(value)) => i64::from(value),
        ScalarValue::Int32(Some(value)) => i64::from(value),
        ScalarValue::Int64(Some(value)) => value,
        _ => return Some(hops),
    };
    let (least, most) = match bound.comparison {
        Comparison::Equal => (value, value),
        Comparison::Less => (0, value.checked_sub(1)?),
        Comparison::LessOrEqual => (0, value),
        Comparison::Greater => (value.checked_add(1)?, i64::MAX),
        Comparison::GreaterOrEqual => (value, i64::MAX),
    };
    // Deeper than this no walk comes: there are fewer nodes.
    let min = hops
        .min
        .max(u32::try_from(least.max(0)).unwrap_or(u32::MAX));
    let most = u32::try_from(most.min(i64::from(u32::MAX))).ok()?;
    let max = Some(hops.max.map_or(most, |max| max.min(most)));
    (max >= Some(min)).then_some(Hops { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(comparison: Comparison, value: i32) -> Option<(u32, Option<u32>)> {
        let hops = Hops {
            min: 1,
            max: Some(9),
        };
        let bound = Bound {
            column: "depth".to_owned(),
            comparison,
            value: ScalarValue::Int32(Some(value)),
        };
        narrow(hops, &bound).map(|hops| (hops.min, hops.max))
    }

    #[test]
    fn conditions_on_depth_narrow_the_hops() {
        assert_eq!(narrowed(Comparison::LessOrEqual, 3), Some((1, Some(3))));
        assert_eq!(narrowed(Comparison::Less, 3), Some((1, Some(2))));
        assert_eq!(narrowed(Comparison::Equal, 4), Some((4, Some(4))));
        assert_eq!(narrowed(Comparison::GreaterOrEqual, 4), Some((4, Some(9))));
        assert_eq!(narrowed(Comparison::GreaterOrEqual, -4), Some((1, Some(9))));
        assert_eq!(narrowed(Comparison::LessOrEqual, 99), Some((1, Some(9))));
        assert_eq!(narrowed(Comparison::Equal, 10), None);
        assert_eq!(narrowed(Comparison::Less, 1), None);
        assert_eq!(narrowed(Comparison::LessOrEqual, -1), None);
    }

    #[test]
    fn bad_hops_are_refused() {
        let function = Traverse::new();
        let hops_of = |min: i32, max: Option<i32>| {
            let values = [
                ScalarValue::from("knows"),
                ScalarValue::from("ada"),
                ScalarValue::from("out"),
                ScalarValue::Int32(Some(min)),
                ScalarValue::Int32(max),
            ];
            hops(&Args::new(&function, &values)).map_err(|error| error.to_string())
        };
        assert_eq!(hops_of(0, None), Ok(Hops { min: 0, max: None }));
        assert_eq!(
            hops_of(2, Some(2)),
            Ok(Hops {
                min: 2,
                max: Some(2)
            })
        );
        let refused = hops_of(3, Some(2)).expect_err("min is above max");
        assert_eq!(
            refused,
            "traverse(): argument \"min_hops\" must not be greater than \"max_hops\""
        );
        assert!(hops_of(-1, None).is_err());
        assert!(hops_of(0, Some(-1)).is_err());
    }
}
