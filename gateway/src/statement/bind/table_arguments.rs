//! Arguments of table functions: positional and named, with their defaults.

use std::sync::Arc;

use omnigraph_catalog::types::PgType;
use omnigraph_udfs::TableFunction;
use omnigraph_udfs::function::Argument;
use sqlparser::ast;

use super::Binder;
use super::coerce::{Context, implicit, positioned};
use super::expr::Ctx;
use super::functions::{named_argument, undefined};
use super::typed::Typed;
use super::types::type_name;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// An argument as it was written.
struct Given {
    name: Option<String>,
    value: Typed,
    at: Option<u32>,
}

impl Binder<'_> {
    /// Once an argument is named, so are those behind it, and none twice.
    pub(super) fn check_notation(&self, args: &[ast::FunctionArg]) -> PgResult<()> {
        let mut names: Vec<String> = Vec::new();
        for arg in args {
            let error = match named_argument(arg) {
                Some((name, _)) if names.contains(&name) => {
                    format!("argument name \"{name}\" used more than once")
                }
                Some((name, _)) => {
                    names.push(name);
                    continue;
                }
                None if names.is_empty() => continue,
                None => "positional argument cannot follow named argument".to_owned(),
            };
            let error = PgError::new(sqlstate::SYNTAX_ERROR, error);
            return Err(positioned(error, self.at(arg)));
        }
        Ok(())
    }

    /// What is given for each of these parameters, by place or by name.
    pub(super) fn argument_slots(
        &mut self,
        names: &[&str],
        args: &[ast::FunctionArg],
        ctx: &mut Ctx,
        mismatch: &dyn Fn(&[Typed]) -> PgError,
    ) -> PgResult<Vec<Option<Typed>>> {
        self.check_notation(args)?;
        let mut slots: Vec<Option<Typed>> = vec![None; names.len()];
        for (number, arg) in args.iter().enumerate() {
            let (place, expr) = match (arg, named_argument(arg)) {
                (_, Some((name, expr))) => {
                    let place = names.iter().position(|known| *known == name);
                    (place.ok_or_else(|| mismatch(&[]))?, expr)
                }
                (ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)), _) => (number, expr),
                _ => return Err(mismatch(&[])),
            };
            let value = self.expr(ctx, expr)?;
            match slots.get_mut(place) {
                Some(slot) if slot.is_none() => *slot = Some(value),
                _ => return Err(mismatch(&[])),
            }
        }
        Ok(slots)
    }

    /// The arguments in the order in which the function declares them.
    pub(super) fn table_arguments(
        &mut self,
        function: &Arc<dyn TableFunction>,
        args: &[ast::FunctionArg],
        ctx: &mut Ctx,
        at: Option<u32>,
    ) -> PgResult<Vec<Typed>> {
        self.check_notation(args)?;
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            let (name, expr) = match (arg, named_argument(arg)) {
                (_, Some((name, expr))) => (Some(name), expr),
                (ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)), _) => (None, expr),
                _ => {
                    let hint = "Give it values, not a star.";
                    return Err(mismatch(&**function, &given, hint, at));
                }
            };
            let value = self.expr(ctx, expr)?;
            let at = self.at(expr).or(value.at);
            given.push(Given { name, value, at });
        }
        let declared = function.arguments();
        let mut slots: Vec<Option<usize>> = vec![None; declared.len()];
        for (number, argument) in given.iter().enumerate() {
            let refuse = |hint: &str| mismatch(&**function, &given, hint, argument.at.or(at));
            let place = match &argument.name {
                None => number,
                Some(name) => declared
                    .iter()
                    .position(|declared| declared.name == name)
                    .ok_or_else(|| refuse(&format!("It has no argument \"{name}\".")))?,
            };
            match slots.get_mut(place) {
                Some(slot @ None) => *slot = Some(number),
                Some(_) => {
                    let name = declared[place].name;
                    return Err(refuse(&format!("Argument \"{name}\" is given twice.")));
                }
                None => return Err(refuse("There are too many arguments.")),
            }
        }
        let mut values = Vec::with_capacity(declared.len());
        for (slot, argument) in slots.into_iter().zip(declared) {
            let first = argument.types.first().copied().unwrap_or(PgType::TEXT);
            let Some(found) = slot.and_then(|number| given.get(number)) else {
                let Some(default) = &argument.default else {
                    let hint = format!("Argument \"{}\" is missing.", argument.name);
                    return Err(mismatch(&**function, &given, &hint, at));
                };
                values.push(Typed::value(default.clone(), first));
                continue;
            };
            let value = found.value.clone().at(found.at);
            if argument.types.iter().any(|ty| ty.oid == value.ty.oid) {
                values.push(value);
                continue;
            }
            // The first type that the value can be without being asked.
            let mut types = argument.types.iter().copied();
            let ty = types
                .find(|ty| implicit(value.ty.oid, ty.oid))
                .ok_or_else(|| {
                    let wanted: Vec<String> =
                        argument.types.iter().map(|ty| type_name(*ty)).collect();
                    let hint = format!(
                        "Argument \"{}\" is of type {}, not {}: cast the value with ::{}.",
                        argument.name,
                        wanted.join(" or "),
                        type_name(value.ty),
                        type_name(first),
                    );
                    mismatch(&**function, &given, &hint, found.at.or(at))
                })?;
            values.push(self.coerce(value, ty, Context::Implicit)?.at(found.at));
        }
        Ok(values)
    }
}

/// 42883 for what is given, with a hint.
pub(super) fn undefined_with(name: &str, args: &[Typed], hint: String, at: Option<u32>) -> PgError {
    undefined(name, args, at).hint(hint)
}

/// Where the argument stands that an error of the function is about.
pub(super) fn about(
    error: &omnigraph_udfs::Error,
    declared: &[Argument],
    values: &[Typed],
) -> Option<u32> {
    let name = error.argument()?;
    let place = declared.iter().position(|declared| declared.name == name)?;
    values.get(place)?.at
}

/// 42883 in PostgreSQL's words, with what is wrong and the signature in the hint.
fn mismatch(
    function: &dyn TableFunction,
    given: &[Given],
    wrong: &str,
    at: Option<u32>,
) -> PgError {
    let name = function.name();
    let types: Vec<String> = given
        .iter()
        .map(|argument| match &argument.name {
            Some(name) => format!("{name} => {}", type_name(argument.value.ty)),
            None => type_name(argument.value.ty),
        })
        .collect();
    let shown: Vec<String> = function
        .arguments()
        .iter()
        .map(|argument| {
            let types: Vec<String> = argument.types.iter().map(|ty| type_name(*ty)).collect();
            let declared = format!("{} {}", argument.name, types.join("|"));
            match argument.default_sql() {
                Some(default) => format!("{declared} DEFAULT {default}"),
                None => declared,
            }
        })
        .collect();
    let error = PgError::new(
        sqlstate::UNDEFINED_FUNCTION,
        format!("function {name}({}) does not exist", types.join(", ")),
    )
    .hint(format!(
        "{wrong} Its signature is {name}({}).",
        shown.join(", ")
    ));
    positioned(error, at)
}
