//! Hypothetical-set aggregates: the place that a row would have among those of the group.

use datafusion::common::ScalarValue;
use datafusion::functions_aggregate as df;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Case, Expr, Operator};
use omnigraph_catalog::types::PgType;

use super::Binder;
use super::aggregates::Call;
use super::coerce::{Context, positioned};
use super::expr::{Ctx, binary};
use super::functions::undefined;
use super::typed::Typed;
use super::types::common_type;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

pub(super) fn is_known(name: &str) -> bool {
    matches!(name, "rank" | "dense_rank" | "percent_rank" | "cume_dist")
}

impl Binder<'_> {
    /// `args` are the row's values and, behind them, what the group is ordered by.
    pub(super) fn hypothetical(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        mut args: Vec<Typed>,
        mut call: Call,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let order = std::mem::take(&mut call.order);
        if order.is_empty() {
            let error = PgError::new(
                sqlstate::WRONG_OBJECT_TYPE,
                format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
            );
            return Err(positioned(error, at));
        }
        if args.len() != 2 * order.len() {
            return Err(undefined(name, &args, at));
        }
        let keys = args.split_off(order.len());
        // From the last key on: smaller, or equal and smaller in those behind it.
        let mut before = boolean(name == "cume_dist");
        for ((value, key), sort) in args.into_iter().zip(&keys).zip(&order).rev() {
            let ty = common_type(&[value.clone(), key.clone()], "WITHIN GROUP")?;
            let value = self.coerce(value, ty, Context::Implicit)?;
            let key = self.coerce(key.clone(), ty, Context::Implicit)?;
            let equal = binary(
                key.expr.clone(),
                Operator::IsNotDistinctFrom,
                value.expr.clone(),
            );
            let first = self.sorts_before(key, value, sort, at)?;
            before = binary(first, Operator::Or, binary(equal, Operator::And, before));
        }
        let one = || Typed::value(ScalarValue::Int32(Some(1)), PgType::INT4);
        let count = df::count::count_udaf();
        let counted = match name {
            // A row's text is never NULL, so that rows of nothing but NULLs are counted, too.
            "dense_rank" => {
                call.distinct = true;
                let fields = keys.into_iter().map(|key| (String::new(), key)).collect();
                self.row(fields, at)?.expr
            }
            _ => one().expr,
        };
        let smaller = self.add(ctx, &count, vec![counted], &call, Some(before))?;
        let smaller = Typed::new(smaller, PgType::INT8);
        if matches!(name, "rank" | "dense_rank") {
            return Ok(self.operator("+", smaller, one(), at)?.at(at));
        }
        let all = self.add(ctx, &count, vec![one().expr], &call, None)?;
        let all = Typed::new(all, PgType::INT8);
        if name == "cume_dist" {
            let place = self.operator("+", smaller, one(), at)?;
            let places = self.operator("+", all, one(), at)?;
            return self.share(place, places, at);
        }
        let none = binary(
            all.expr.clone(),
            Operator::Eq,
            Expr::Literal(ScalarValue::Int64(Some(0)), None),
        );
        let share = self.share(smaller, all, at)?;
        let zero = Expr::Literal(ScalarValue::Float64(Some(0.0)), None);
        let share = Expr::Case(Case {
            expr: None,
            when_then_expr: vec![(Box::new(none), Box::new(zero))],
            else_expr: Some(Box::new(share.expr)),
        });
        Ok(Typed::new(share, PgType::FLOAT8).at(at))
    }

    fn share(&mut self, part: Typed, whole: Typed, at: Option<u32>) -> PgResult<Typed> {
        let part = self.coerce(part, PgType::FLOAT8, Context::Implicit)?;
        let whole = self.coerce(whole, PgType::FLOAT8, Context::Implicit)?;
        Ok(self.operator("/", part, whole, at)?.at(at))
    }

    /// Does a key of the group stand before the value?
    fn sorts_before(
        &mut self,
        key: Typed,
        value: Typed,
        sort: &Sort,
        at: Option<u32>,
    ) -> PgResult<Expr> {
        let (nothing, something) = match sort.nulls_first {
            true => (&key, &value),
            false => (&value, &key),
        };
        let by_null = binary(
            Expr::IsNull(Box::new(nothing.expr.clone())),
            Operator::And,
            Expr::IsNotNull(Box::new(something.expr.clone())),
        );
        let operator = if sort.asc { "<" } else { ">" };
        let by_value = self.operator(operator, key, value, at)?;
        Ok(binary(by_null, Operator::Or, by_value.expr))
    }
}

fn boolean(value: bool) -> Expr {
    Expr::Literal(ScalarValue::Boolean(Some(value)), None)
}
