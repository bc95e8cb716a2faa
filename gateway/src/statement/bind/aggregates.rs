//! Aggregates. PostgreSQL's result types are had by composing DataFusion's exact ones: `avg` of
//! integers is a numeric division.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::functions_aggregate as df;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort};
use datafusion::logical_expr::{AggregateUDF, Expr, Operator, WindowFunctionDefinition};
use omnigraph_catalog::types::{PgType, UNCONSTRAINED, numeric_modifier};
use omnigraph_udfs::pg::arithmetic::{self, Op};
use omnigraph_udfs::pg::variance;
use sqlparser::ast;

use super::catalog::{FunctionRow, functions_named};
use super::coerce::{Context, positioned};
use super::expr::{Ctx, Grouping, binary};
use super::functions::undefined;
use super::outer_aggregate::Mark;
use super::scope::internal;
use super::typed::Typed;
use super::types::numeric_of;
use super::windows::Window;
use super::{Binder, hypothetical, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

pub(super) fn is_implemented(row: &FunctionRow) -> bool {
    let argument = row.args.first().copied().unwrap_or(0);
    match row.name {
        "count" => true,
        "sum" | "avg" => matches!(argument, 20 | 21 | 23 | 700 | 701 | 1700),
        "min" | "max" => !matches!(argument, 27 | 1033 | 1186 | 2277 | 3220 | 1266),
        "bool_and" | "bool_or" | "every" => true,
        "string_agg" => argument == PgType::TEXT.oid,
        "array_agg" => argument != PgType::ANYARRAY.oid,
        "json_agg" | "jsonb_agg" | "json_object_agg" | "jsonb_object_agg" => true,
        "bit_and" | "bit_or" | "bit_xor" => true,
        "percentile_cont" => row.args == [701, 701],
        "percentile_disc" => row.args == [701, 2283],
        "mode" | "regr_count" => true,
        name if hypothetical::is_known(name) => true,
        _ => moment(row.name).is_some(),
    }
}

/// The aggregates that are DataFusion's own, over one argument.
fn plain(name: &str) -> Option<Arc<AggregateUDF>> {
    Some(match name {
        "bool_and" | "every" => df::bool_and_or::bool_and_udaf(),
        "bool_or" => df::bool_and_or::bool_or_udaf(),
        "bit_and" => df::bit_and_or_xor::bit_and_udaf(),
        "bit_or" => df::bit_and_or_xor::bit_or_udaf(),
        "bit_xor" => df::bit_and_or_xor::bit_xor_udaf(),
        _ => return None,
    })
}

/// The statistical aggregates over float8.
fn moment(name: &str) -> Option<Arc<AggregateUDF>> {
    Some(match name {
        "stddev" | "stddev_samp" => df::stddev::stddev_udaf(),
        "stddev_pop" => df::stddev::stddev_pop_udaf(),
        "variance" | "var_samp" => df::variance::var_samp_udaf(),
        "var_pop" => df::variance::var_pop_udaf(),
        "corr" => df::correlation::corr_udaf(),
        "covar_pop" => df::covariance::covar_pop_udaf(),
        "covar_samp" => df::covariance::covar_samp_udaf(),
        "regr_avgx" => df::regr::regr_avgx_udaf(),
        "regr_avgy" => df::regr::regr_avgy_udaf(),
        "regr_intercept" => df::regr::regr_intercept_udaf(),
        "regr_r2" => df::regr::regr_r2_udaf(),
        "regr_slope" => df::regr::regr_slope_udaf(),
        "regr_sxx" => df::regr::regr_sxx_udaf(),
        "regr_sxy" => df::regr::regr_sxy_udaf(),
        "regr_syy" => df::regr::regr_syy_udaf(),
        _ => return None,
    })
}

/// Refuses an aggregate where none may stand.
pub(super) fn check_allowed(ctx: &Ctx, at: Option<u32>) -> PgResult<()> {
    let message = if ctx.inside_aggregate {
        "aggregate function calls cannot be nested".to_owned()
    } else if !ctx.allow_aggregates {
        format!("aggregate functions are not allowed in {}", ctx.clause)
    } else {
        return Ok(());
    };
    let error = PgError::new(sqlstate::GROUPING_ERROR, message);
    Err(positioned(error, at))
}

/// What a call says beside its arguments.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) distinct: bool,
    pub(super) filter: Option<Expr>,
    pub(super) order: Vec<Sort>,
    pub(super) window: Option<Window>,
}

impl Binder<'_> {
    pub(super) fn aggregate_or_window(
        &mut self,
        ctx: &mut Ctx,
        function: &ast::Function,
        name: &str,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let windowed = function.over.is_some();
        // `rank()` and its kind are both.
        let is_aggregate = functions_named(name).any(|row| row.kind == 'a')
            && !(windowed && hypothetical::is_known(name));
        if !is_aggregate && !windowed {
            let error = PgError::new(
                sqlstate::WRONG_OBJECT_TYPE,
                format!("window function {name} requires an OVER clause"),
            );
            return Err(positioned(error, at));
        }
        if windowed && !ctx.allow_windows {
            let error = PgError::new(
                sqlstate::WINDOWING_ERROR,
                format!("window functions are not allowed in {}", ctx.clause),
            );
            return Err(positioned(error, at));
        }
        if !windowed && ctx.inside_aggregate {
            check_allowed(ctx, at)?;
        }
        // What an aggregate is over is computed below it; a window's arguments are above.
        let outer_applies = if windowed {
            None
        } else {
            Some(std::mem::take(&mut ctx.applies))
        };
        let mark = Mark::of(&ctx.scope);
        let was_inside = std::mem::replace(&mut ctx.inside_aggregate, !windowed);
        let allowed = (ctx.allow_windows, ctx.allow_sets);
        (ctx.allow_windows, ctx.allow_sets) = (false, false);
        let bound = self.call_parts(ctx, function, name, at);
        ctx.inside_aggregate = was_inside;
        (ctx.allow_windows, ctx.allow_sets) = allowed;
        if let Some(outer) = outer_applies {
            let inner = std::mem::replace(&mut ctx.applies, outer);
            ctx.inner_applies.extend(inner);
        }
        let (args, star, call) = bound?;
        if !is_aggregate {
            return self.window_function(ctx, name, args, call, at);
        }
        if windowed {
            return self.aggregate(ctx, name, args, star, call, at);
        }
        let arguments_end = Mark::of(&ctx.scope);
        let levels = self.levels_out(ctx, &args, &call, at)?;
        if levels == 0 {
            check_allowed(ctx, at)?;
        }
        (ctx.levels_out, ctx.aggregate_at) = (levels, at);
        let value = self.aggregate(ctx, name, args, star, call, at);
        ctx.levels_out = 0;
        mark.take_back(&arguments_end, levels);
        value
    }

    fn call_parts(
        &mut self,
        ctx: &mut Ctx,
        function: &ast::Function,
        name: &str,
        at: Option<u32>,
    ) -> PgResult<(Vec<Typed>, bool, Call)> {
        let mut star = false;
        let mut args = Vec::new();
        let mut distinct = false;
        let mut order = Vec::new();
        if let ast::FunctionArguments::List(list) = &function.args {
            distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
            star = matches!(
                list.args.as_slice(),
                [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)]
            );
            if !star {
                args = self.plain_arguments(ctx, function, name, at)?;
            }
            for clause in &list.clauses {
                match clause {
                    ast::FunctionArgumentClause::OrderBy(by) => order = self.sort_exprs(ctx, by)?,
                    other => return Err(unsupported(&format!("{other} in an aggregate"), at)),
                }
            }
        }
        if !function.within_group.is_empty() {
            for by in &function.within_group {
                let value = self.expr(ctx, &by.expr)?;
                args.push(self.settle(value)?);
            }
            order = self.sort_exprs(ctx, &function.within_group)?;
        }
        let filter = match &function.filter {
            Some(filter) => Some(self.condition(ctx, filter, "FILTER")?),
            None => None,
        };
        let window = match &function.over {
            None => None,
            Some(over) => Some(self.window(ctx, over, function.null_treatment, at)?),
        };
        Ok((
            args,
            star,
            Call {
                distinct,
                filter,
                order,
                window,
            },
        ))
    }

    /// ORDER BY inside of a call; PostgreSQL's NULLs are larger than anything.
    pub(super) fn sort_exprs(
        &mut self,
        ctx: &mut Ctx,
        by: &[ast::OrderByExpr],
    ) -> PgResult<Vec<Sort>> {
        let mut sorts = Vec::new();
        for item in by {
            let value = self.expr(ctx, &item.expr)?;
            let value = self.settle(value)?;
            let ascending = item.options.asc.unwrap_or(true);
            let nulls_first = item.options.nulls_first.unwrap_or(!ascending);
            sorts.push(Sort::new(self.sort_key(value), ascending, nulls_first));
        }
        Ok(sorts)
    }

    /// What a type sorts by, when that is not its Arrow value.
    pub(super) fn sort_key(&mut self, value: Typed) -> Expr {
        match value.ty.oid {
            1186 => super::datetime::interval_key(value.expr),
            1042 => super::text_io::trim_blanks(value.expr),
            _ => value.expr,
        }
    }

    /// One of DataFusion's aggregates over a call's rows, as a column.
    pub(super) fn add(
        &mut self,
        ctx: &mut Ctx,
        function: &Arc<AggregateUDF>,
        args: Vec<Expr>,
        call: &Call,
        more: Option<Expr>,
    ) -> PgResult<Expr> {
        let filter = match (call.filter.clone(), more) {
            (Some(a), Some(b)) => Some(binary(a, Operator::And, b)),
            (a, b) => a.or(b),
        };
        if let Some(spec) = &call.window {
            return Ok(self.add_window(
                ctx,
                WindowFunctionDefinition::AggregateUDF(Arc::clone(function)),
                args,
                spec,
                filter,
                call.distinct,
            ));
        }
        let expr = Expr::AggregateFunction(AggregateFunction {
            func: Arc::clone(function),
            params: AggregateFunctionParams {
                args,
                distinct: call.distinct,
                filter: filter.map(Box::new),
                order_by: call.order.clone(),
                null_treatment: None,
            },
        });
        if ctx.levels_out > 0 {
            return self.hoist(ctx, expr);
        }
        if let Some((name, _)) = ctx.aggregates.iter().find(|(_, known)| *known == expr) {
            return Ok(internal(name));
        }
        let name = self.name("a");
        ctx.aggregates.push((name.clone(), expr));
        Ok(internal(&name))
    }

    fn aggregate(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        args: Vec<Typed>,
        star: bool,
        mut call: Call,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        if name == "count" {
            // The order of what is counted does not matter.
            call.order.clear();
            let counted = match args.as_slice() {
                [] if star => Expr::Literal(ScalarValue::Int64(Some(1)), None),
                [one] => {
                    let one = self.settle(one.clone())?;
                    one.expr
                }
                _ => return Err(undefined(name, &args, at)),
            };
            let column = self.add(ctx, &df::count::count_udaf(), vec![counted], &call, None)?;
            return Ok(Typed::new(column, PgType::INT8).at(at));
        }
        if star {
            return Err(undefined(&format!("{name}(*)"), &[], at));
        }
        if matches!(
            name,
            "json_agg" | "jsonb_agg" | "json_object_agg" | "jsonb_object_agg"
        ) {
            return self.json_aggregate(ctx, name, args, &call, at);
        }
        if hypothetical::is_known(name) {
            return self.hypothetical(ctx, name, args, call, at);
        }
        let ordered = matches!(name, "percentile_cont" | "percentile_disc" | "mode");
        if ordered {
            return self.ordered_set(ctx, name, args, &call, at);
        }
        let (row, declared) = self.choose_function(name, &args, 'a', at)?;
        let Some((args, result)) = self.arguments(&declared, row.result, args)? else {
            return Err(undefined(name, &[], at));
        };
        let first = args
            .first()
            .cloned()
            .ok_or_else(|| undefined(name, &[], at))?;
        let typed = match name {
            "sum" => {
                call.order.clear();
                self.sum(ctx, first, &call)?
            }
            "avg" => {
                call.order.clear();
                self.average(ctx, first, &call)?
            }
            "min" | "max" => self.least_or_greatest(ctx, name, first, result, call)?,
            "regr_count" => {
                call.order.clear();
                let second = args.get(1).ok_or_else(|| undefined(name, &args, at))?;
                self.count_of_pairs(ctx, first, second.expr.clone(), &call)?
            }
            "array_agg" => {
                let element = first.ty.arrow();
                let list = self.collect(ctx, first.expr, &element, &call, None)?;
                Typed::new(list, result)
            }
            "string_agg" => {
                let separator = args.get(1).ok_or_else(|| undefined(name, &args, at))?;
                self.string_agg(ctx, first, separator.expr.clone(), &call, at)?
            }
            _ => match plain(name) {
                Some(function) => {
                    let value = self.add(ctx, &function, vec![first.expr], &call, None)?;
                    Typed::new(value, result)
                }
                None => {
                    call.order.clear();
                    self.statistic(ctx, name, args, result, &call, at)?
                }
            },
        };
        Ok(typed.at(at))
    }

    fn least_or_greatest(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        value: Typed,
        result: PgType,
        mut call: Call,
    ) -> PgResult<Typed> {
        call.order.clear();
        call.distinct = false;
        let function = if name == "min" {
            df::min_max::min_udaf()
        } else {
            df::min_max::max_udaf()
        };
        // The modifier is kept.
        let ty = if result.oid == value.ty.oid {
            value.ty
        } else {
            result
        };
        Ok(Typed::new(
            self.add(ctx, &function, vec![value.expr], &call, None)?,
            ty,
        ))
    }

    /// `regr_count`: the pairs in which both are known.
    fn count_of_pairs(&mut self, ctx: &mut Ctx, y: Typed, x: Expr, call: &Call) -> PgResult<Typed> {
        let both = binary(
            Expr::IsNotNull(Box::new(y.expr)),
            Operator::And,
            Expr::IsNotNull(Box::new(x)),
        );
        let one = Expr::Literal(ScalarValue::Int64(Some(1)), None);
        let count = self.add(ctx, &df::count::count_udaf(), vec![one], call, Some(both))?;
        Ok(Typed::new(count, PgType::INT8))
    }

    /// The aggregates of statistics: of integers and numeric values exact, else in float8.
    fn statistic(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        args: Vec<Typed>,
        result: PgType,
        call: &Call,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let exact = result.oid == PgType::NUMERIC.oid;
        if exact && let Some(function) = variance::aggregate(name, PgType::NUMERIC.arrow()) {
            let mut exprs = Vec::new();
            for arg in args {
                exprs.push(match arg.ty.oid {
                    1700 => arg.expr,
                    _ => self.coerce(arg, numeric_of(19, 0), Context::Implicit)?.expr,
                });
            }
            let value = self.add(ctx, &function, exprs, call, None)?;
            return Ok(Typed::new(value, PgType::NUMERIC));
        }
        let function =
            moment(name).ok_or_else(|| unsupported(&format!("the aggregate {name}()"), at))?;
        let mut exprs = Vec::new();
        for arg in args {
            exprs.push(self.coerce(arg, PgType::FLOAT8, Context::Implicit)?.expr);
        }
        let value = self.add(ctx, &function, exprs, call, None)?;
        Ok(Typed::new(value, PgType::FLOAT8))
    }

    fn sum(&mut self, ctx: &mut Ctx, value: Typed, call: &Call) -> PgResult<Typed> {
        let value_type = value.ty.oid;
        let (expr, ty) = match value.ty.oid {
            21 | 23 => (
                self.coerce(value, PgType::INT8, Context::Implicit)?.expr,
                PgType::INT8,
            ),
            20 => (
                self.coerce(value, numeric_of(19, 0), Context::Implicit)?
                    .expr,
                numeric_of(29, 0),
            ),
            1700 => {
                let (precision, scale) = numeric_modifier(value.ty.typmod).unwrap_or(UNCONSTRAINED);
                if value.ty.typmod == -1 {
                    (value.expr, PgType::NUMERIC)
                } else if precision <= 28 {
                    (value.expr, numeric_of(precision + 10, scale))
                } else {
                    // Wide enough that no sum of a billion values leaves it.
                    let whole = precision.saturating_sub(scale.unsigned_abs());
                    let wide = numeric_of((whole + scale.unsigned_abs()).clamp(39, 66), scale);
                    let cast = self.coerce(value, wide, Context::Implicit)?;
                    let (precision, _) = numeric_modifier(wide.typmod).unwrap_or((66, scale));
                    (cast.expr, numeric_of((precision + 10).min(76), scale))
                }
            }
            700 => (
                self.coerce(value, PgType::FLOAT8, Context::Implicit)?.expr,
                PgType::FLOAT8,
            ),
            _ => (value.expr, value.ty),
        };
        let single = value_type == PgType::FLOAT4.oid;
        let sum = Typed::new(
            self.add(ctx, &df::sum::sum_udaf(), vec![expr], call, None)?,
            ty,
        );
        if single {
            return self.coerce(sum, PgType::FLOAT4, Context::Explicit);
        }
        Ok(sum)
    }

    fn average(&mut self, ctx: &mut Ctx, value: Typed, call: &Call) -> PgResult<Typed> {
        if matches!(value.ty.oid, 700 | 701) {
            let value = self.coerce(value, PgType::FLOAT8, Context::Implicit)?;
            return Ok(Typed::new(
                self.add(ctx, &df::average::avg_udaf(), vec![value.expr], call, None)?,
                PgType::FLOAT8,
            ));
        }
        let counted = self.add(
            ctx,
            &df::count::count_udaf(),
            vec![value.expr.clone()],
            call,
            None,
        )?;
        let sum = self.sum(ctx, value, call)?;
        let sum = self.coerce(sum, PgType::NUMERIC, Context::Implicit)?;
        let count = self.coerce(
            Typed::new(counted, PgType::INT8),
            PgType::NUMERIC,
            Context::Implicit,
        )?;
        Ok(Typed::new(
            arithmetic::decimal(Op::Divide, &PgType::NUMERIC.arrow(), sum.expr, count.expr),
            PgType::NUMERIC,
        ))
    }

    /// `GROUPING(…)` is a column that the aggregation gives.
    pub(super) fn grouping(
        &mut self,
        ctx: &mut Ctx,
        args: &[Typed],
        at: Option<u32>,
    ) -> PgResult<Typed> {
        if args.is_empty() || !ctx.allow_aggregates {
            return Err(positioned(
                PgError::new(
                    sqlstate::GROUPING_ERROR,
                    "arguments to GROUPING must be grouping expressions of the associated query level",
                ),
                at,
            ));
        }
        let name = self.name("g");
        ctx.grouping.push(Grouping {
            name: name.clone(),
            args: args.iter().map(|arg| arg.expr.clone()).collect(),
            at,
        });
        Ok(Typed::new(internal(&name), PgType::INT4).at(at))
    }
}
