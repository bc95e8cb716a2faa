//! The optimized plan of a query that is kept for its next executions: parameters and times
//! are put into it each time, the way through the optimizer is spared.
//!
//! Some queries are better off when the optimizer sees the values: `$1 IS NULL OR a = $1`
//! becomes a lookup or a full scan, and a LIMIT can only be moved down as a number. Those
//! are optimized for each execution.
//!
//! What reads no table, or only through functions, is kept in its executable form, too.

use std::future::Future;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::physical_plan::ExecutionPlan;
use omnigraph_udfs::pg::array;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::error::PgResult;
use crate::statement::bind::{has_placeholder, reads_no_table};

#[derive(Debug, Default)]
pub(super) struct KeptPlan(Mutex<State>);

#[derive(Debug, Default, Clone)]
enum State {
    #[default]
    NotYet,
    /// Good for all values.
    Generic(Arc<Generic>),
    /// Values decide about the plan.
    Custom,
}

/// The plan for all values.
#[derive(Debug)]
pub struct Generic {
    pub plan: LogicalPlan,
    /// The executable plan, for those that hold no snapshot.
    executable: Option<OnceCell<Arc<dyn ExecutionPlan>>>,
}

impl Generic {
    /// The executable plan, made now if it never was; `None`: each execution makes its own.
    pub async fn executable(
        &self,
        make: impl Future<Output = PgResult<Arc<dyn ExecutionPlan>>>,
    ) -> PgResult<Option<&Arc<dyn ExecutionPlan>>> {
        match &self.executable {
            Some(executable) => executable.get_or_try_init(|| make).await.map(Some),
            None => Ok(None),
        }
    }
}

impl KeptPlan {
    /// The plan for all values, made now if it never was; `None`: there is none.
    pub(super) fn generic(
        &self,
        make: impl FnOnce() -> PgResult<LogicalPlan>,
    ) -> PgResult<Option<Arc<Generic>>> {
        let known = self.0.lock().clone();
        let state = match known {
            State::NotYet => {
                let plan = make()?;
                let made = match is_generic(&plan) {
                    true => State::Generic(Arc::new(Generic {
                        executable: reads_no_table(&plan).then(OnceCell::new),
                        plan,
                    })),
                    false => State::Custom,
                };
                self.0.lock().clone_from(&made);
                made
            }
            known => known,
        };
        Ok(match state {
            State::Generic(plan) => Some(plan),
            State::NotYet | State::Custom => None,
        })
    }
}

/// Would the optimizer make the same of this plan if it knew the values?
fn is_generic(plan: &LogicalPlan) -> bool {
    let mut generic = true;
    // The closures never fail.
    let _ = plan.apply(|node| {
        generic = match node {
            LogicalPlan::Limit(limit) => {
                let open =
                    |bound: &Option<Box<Expr>>| bound.as_deref().is_some_and(has_placeholder);
                !open(&limit.skip) && !open(&limit.fetch)
            }
            LogicalPlan::Filter(filter) => conjuncts_are_generic(&filter.predicate),
            LogicalPlan::Join(join) => join.filter.as_ref().is_none_or(conjuncts_are_generic),
            LogicalPlan::TableScan(scan) => scan.filters.iter().all(conjuncts_are_generic),
            _ => true,
        };
        Ok(match generic {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    generic
}

fn conjuncts_are_generic(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => conjuncts_are_generic(left) && conjuncts_are_generic(right),
        other => is_comparison_with_parameters(other) || !has_placeholder(other),
    }
}

/// Something of the row on one side, parameters by themselves on the other: it stays as it is
/// whatever their values are.
fn is_comparison_with_parameters(filter: &Expr) -> bool {
    let fixed = |expr: &Expr| !has_placeholder(expr);
    let value = |expr: &Expr| matches!(expr, Expr::Placeholder(_) | Expr::Literal(..));
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
            ) && ((fixed(left) && value(right)) || (value(left) && fixed(right)))
        }
        Expr::Like(like) => fixed(&like.expr) && value(&like.pattern),
        Expr::InList(list) => fixed(&list.expr) && list.list.iter().all(value),
        Expr::Between(between) => {
            fixed(&between.expr) && value(&between.low) && value(&between.high)
        }
        Expr::ScalarFunction(call) => match call.args.as_slice() {
            [left, right] => call.func.name() == array::ANY_EQUAL && fixed(left) && value(right),
            _ => false,
        },
        _ => false,
    }
}
