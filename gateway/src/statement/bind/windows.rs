//! Window functions: OVER, named windows, frames.

use datafusion::common::ScalarValue;
use datafusion::functions_window as window;
use datafusion::logical_expr::expr::{NullTreatment, Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::aggregates::Call;
use super::coerce::{Context, positioned};
use super::expr::Ctx;
use super::functions::undefined;
use super::scope::internal;
use super::typed::Typed;
use super::{Binder, known, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// What OVER says.
#[derive(Clone)]
pub(super) struct Window {
    partition: Vec<Expr>,
    order: Vec<Sort>,
    frame: WindowFrame,
    nulls: Option<NullTreatment>,
}

impl Binder<'_> {
    pub(super) fn window(
        &mut self,
        ctx: &mut Ctx,
        over: &ast::WindowType,
        nulls: Option<ast::NullTreatment>,
        at: Option<u32>,
    ) -> PgResult<Window> {
        let spec = match over {
            ast::WindowType::WindowSpec(spec) => spec.clone(),
            ast::WindowType::NamedWindow(name) => {
                self.named_window(ctx, &crate::statement::parse::fold(name), at)?
            }
        };
        let base = match &spec.window_name {
            Some(name) => Some(self.named_window(ctx, &crate::statement::parse::fold(name), at)?),
            None => None,
        };
        let partition_by = if spec.partition_by.is_empty() {
            base.as_ref()
                .map(|base| &base.partition_by)
                .unwrap_or(&spec.partition_by)
        } else {
            &spec.partition_by
        };
        let order_by = if spec.order_by.is_empty() {
            base.as_ref()
                .map(|base| &base.order_by)
                .unwrap_or(&spec.order_by)
        } else {
            &spec.order_by
        };
        let mut partition = Vec::new();
        for expr in partition_by {
            let value = self.expr(ctx, expr)?;
            let value = self.settle(value)?;
            partition.push(self.sort_key(value));
        }
        let order = self.sort_exprs(ctx, order_by)?;
        let frame = match spec
            .window_frame
            .as_ref()
            .or(base.as_ref().and_then(|base| base.window_frame.as_ref()))
        {
            None => WindowFrame::new((!order.is_empty()).then_some(false)),
            Some(frame) => self.frame(ctx, frame, &order, at)?,
        };
        let nulls = nulls.map(|nulls| match nulls {
            ast::NullTreatment::IgnoreNulls => NullTreatment::IgnoreNulls,
            ast::NullTreatment::RespectNulls => NullTreatment::RespectNulls,
        });
        Ok(Window {
            partition,
            order,
            frame,
            nulls,
        })
    }

    fn named_window(&self, ctx: &Ctx, name: &str, at: Option<u32>) -> PgResult<ast::WindowSpec> {
        ctx.named_windows
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, spec)| spec.clone())
            .ok_or_else(|| {
                positioned(
                    PgError::new(
                        sqlstate::UNDEFINED_OBJECT,
                        format!("window \"{name}\" does not exist"),
                    ),
                    at,
                )
            })
    }

    fn frame(
        &mut self,
        ctx: &mut Ctx,
        frame: &ast::WindowFrame,
        order: &[Sort],
        at: Option<u32>,
    ) -> PgResult<WindowFrame> {
        let units = match frame.units {
            ast::WindowFrameUnits::Rows => WindowFrameUnits::Rows,
            ast::WindowFrameUnits::Range => WindowFrameUnits::Range,
            ast::WindowFrameUnits::Groups => WindowFrameUnits::Groups,
        };
        let start = self.frame_bound(ctx, &frame.start_bound, units, at)?;
        let end = match &frame.end_bound {
            Some(bound) => self.frame_bound(ctx, bound, units, at)?,
            None => WindowFrameBound::CurrentRow,
        };
        if units != WindowFrameUnits::Rows
            && order.is_empty()
            && !(start.is_unbounded() && end.is_unbounded())
        {
            // Without an order all rows are peers.
            return Ok(WindowFrame::new(None));
        }
        Ok(WindowFrame::new_bounds(units, start, end))
    }

    fn frame_bound(
        &mut self,
        ctx: &mut Ctx,
        bound: &ast::WindowFrameBound,
        units: WindowFrameUnits,
        at: Option<u32>,
    ) -> PgResult<WindowFrameBound> {
        let mut offset = |expr: &Option<Box<ast::Expr>>| -> PgResult<ScalarValue> {
            let Some(expr) = expr else {
                return Ok(match units {
                    WindowFrameUnits::Range => ScalarValue::Null,
                    _ => ScalarValue::UInt64(None),
                });
            };
            // A bare string is parsed as an interval without a unit.
            let expr = match expr.as_ref() {
                ast::Expr::Interval(interval) if interval.leading_field.is_none() => match units {
                    WindowFrameUnits::Range => expr.as_ref(),
                    _ => interval.value.as_ref(),
                },
                expr => expr,
            };
            let value = self.expr(ctx, expr)?;
            if units == WindowFrameUnits::Range {
                return known(&value)
                    .ok_or_else(|| unsupported("a RANGE offset that is not constant", at));
            }
            let value = self.coerce(value, PgType::INT8, Context::Implicit)?;
            match known(&value) {
                Some(ScalarValue::Int64(Some(count))) => u64::try_from(count)
                    .map(|count| ScalarValue::UInt64(Some(count)))
                    .map_err(|_| {
                        positioned(
                            PgError::new("22013", "frame starting offset must not be negative"),
                            at,
                        )
                    }),
                _ => Err(unsupported("a frame offset that is not constant", at)),
            }
        };
        Ok(match bound {
            ast::WindowFrameBound::CurrentRow => WindowFrameBound::CurrentRow,
            ast::WindowFrameBound::Preceding(expr) => WindowFrameBound::Preceding(offset(expr)?),
            ast::WindowFrameBound::Following(expr) => WindowFrameBound::Following(offset(expr)?),
        })
    }

    /// row_number, lag and their kind.
    pub(super) fn window_function(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        args: Vec<Typed>,
        call: Call,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let (row, declared) = self.choose_function(name, &args, 'w', at)?;
        let Some((args, result)) = self.arguments(&declared, row.result, args)? else {
            return Err(undefined(name, &[], at));
        };
        let Some(spec) = call.window else {
            return Err(undefined(name, &args, at));
        };
        let mut exprs: Vec<Expr> = args.iter().map(|arg| arg.expr.clone()).collect();
        let function = match name {
            "row_number" => window::row_number::row_number_udwf(),
            "rank" => window::rank::rank_udwf(),
            "dense_rank" => window::rank::dense_rank_udwf(),
            "percent_rank" => window::rank::percent_rank_udwf(),
            "cume_dist" => window::cume_dist::cume_dist_udwf(),
            "ntile" => window::ntile::ntile_udwf(),
            "lag" | "lead" => {
                if let Some(offset) = exprs.get_mut(1) {
                    let Expr::Literal(ScalarValue::Int32(Some(count)), _) = offset else {
                        return Err(unsupported(
                            &format!("{name}() with an offset that is not constant"),
                            at,
                        ));
                    };
                    *offset = Expr::Literal(ScalarValue::Int64(Some(i64::from(*count))), None);
                }
                if name == "lag" {
                    window::lead_lag::lag_udwf()
                } else {
                    window::lead_lag::lead_udwf()
                }
            }
            "first_value" => window::nth_value::first_value_udwf(),
            "last_value" => window::nth_value::last_value_udwf(),
            "nth_value" => {
                if let Some(Expr::Literal(ScalarValue::Int32(Some(count)), _)) = exprs.get(1) {
                    exprs[1] = Expr::Literal(ScalarValue::Int64(Some(i64::from(*count))), None);
                }
                window::nth_value::nth_value_udwf()
            }
            _ => return Err(unsupported(&format!("the window function {name}()"), at)),
        };
        if name == "ntile" {
            exprs = exprs
                .into_iter()
                .map(|expr| datafusion::logical_expr::cast(expr, arrow::datatypes::DataType::Int64))
                .collect();
        }
        let unsigned = matches!(name, "row_number" | "rank" | "dense_rank" | "ntile");
        let column = self.add_window(
            ctx,
            WindowFunctionDefinition::WindowUDF(function),
            exprs,
            &spec,
            call.filter,
            false,
        );
        // DataFusion counts in UInt64.
        let expr = if unsigned {
            datafusion::logical_expr::cast(column, result.arrow())
        } else {
            column
        };
        Ok(Typed::new(expr, result).at(at))
    }

    pub(super) fn add_window(
        &mut self,
        ctx: &mut Ctx,
        function: WindowFunctionDefinition,
        args: Vec<Expr>,
        spec: &Window,
        filter: Option<Expr>,
        distinct: bool,
    ) -> Expr {
        let expr = Expr::WindowFunction(Box::new(WindowFunction {
            fun: function,
            params: WindowFunctionParams {
                args,
                partition_by: spec.partition.clone(),
                order_by: spec.order.clone(),
                window_frame: spec.frame.clone(),
                filter: filter.map(Box::new),
                null_treatment: spec.nulls,
                distinct,
            },
        }));
        if let Some((name, _)) = ctx.windows.iter().find(|(_, known)| *known == expr) {
            return internal(name);
        }
        let name = self.name("w");
        ctx.windows.push((name.clone(), expr));
        internal(&name)
    }
}
