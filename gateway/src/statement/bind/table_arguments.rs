//! Arguments of table functions and stored queries: positional and named, with their defaults.

use std::sync::Arc;

use omnigraph_catalog::stored::StoredQuery;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::TableFunction;
use omnigraph_udfs::function::Argument;
use sqlparser::ast;

use super::Binder;
use super::coerce::{Context, implicit, positioned};
use super::expr::Ctx;
use super::functions::named_argument;
use super::typed::Typed;
use super::types::type_name;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// What is called with arguments: a table function or a stored query.
pub(super) trait Callee {
    fn name(&self) -> &str;
    /// The names of its parameters.
    fn parameters(&self) -> Vec<&str>;
    /// Its name and parameters, as errors show them.
    fn signature(&self) -> String;
}

impl Callee for Arc<dyn TableFunction> {
    fn name(&self) -> &str {
        TableFunction::name(&**self)
    }

    fn parameters(&self) -> Vec<&str> {
        self.arguments().iter().map(|own| own.name).collect()
    }

    fn signature(&self) -> String {
        let shown: Vec<String> = self.arguments().iter().map(declaration).collect();
        format!("{}({})", Callee::name(self), shown.join(", "))
    }
}

impl Callee for StoredQuery {
    fn name(&self) -> &str {
        &self.name
    }

    fn parameters(&self) -> Vec<&str> {
        self.parameters
            .iter()
            .map(|own| own.name.as_str())
            .collect()
    }

    fn signature(&self) -> String {
        StoredQuery::signature(self, type_name)
    }
}

/// An argument as it was written.
pub(super) struct Given {
    name: Option<String>,
    value: Typed,
    at: Option<u32>,
}

impl Given {
    /// The value, which errors about it point at.
    pub(super) fn value(&self) -> Typed {
        self.value.clone().at(self.at)
    }
}

/// The arguments of a call, and which of them each parameter got.
pub(super) struct Placed<'a> {
    callee: &'a dyn Callee,
    given: Vec<Given>,
    slots: Vec<Option<usize>>,
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

    /// Which parameter each argument is for, by place or by name.
    pub(super) fn placed<'a>(
        &mut self,
        callee: &'a dyn Callee,
        args: &[ast::FunctionArg],
        ctx: &mut Ctx,
        at: Option<u32>,
    ) -> PgResult<Placed<'a>> {
        self.check_notation(args)?;
        let parameters = callee.parameters();
        let mut placed = Placed {
            callee,
            given: Vec::with_capacity(args.len()),
            slots: Vec::new(),
            at,
        };
        for arg in args {
            let (name, expr) = match (arg, named_argument(arg)) {
                (_, Some((name, expr))) => (Some(name), expr),
                (ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)), _) => (None, expr),
                _ => return Err(placed.mismatch("Give it values, not a star.", at)),
            };
            let value = self.expr(ctx, expr)?;
            let at = self.at(expr).or(value.at);
            placed.given.push(Given { name, value, at });
        }
        let mut slots = vec![None; parameters.len()];
        for (number, argument) in placed.given.iter().enumerate() {
            let refuse = |wrong: &str| placed.mismatch(wrong, argument.at);
            let place = match &argument.name {
                None => number,
                Some(name) => parameters
                    .iter()
                    .position(|parameter| parameter == name)
                    .ok_or_else(|| refuse(&format!("It has no argument \"{name}\".")))?,
            };
            match slots.get_mut(place) {
                Some(slot @ None) => *slot = Some(number),
                Some(_) => {
                    let name = parameters[place];
                    return Err(refuse(&format!("Argument \"{name}\" is given twice.")));
                }
                None => return Err(refuse("There are too many arguments.")),
            }
        }
        placed.slots = slots;
        Ok(placed)
    }

    /// The arguments in the order in which the function declares them.
    pub(super) fn table_arguments(
        &mut self,
        function: &Arc<dyn TableFunction>,
        args: &[ast::FunctionArg],
        ctx: &mut Ctx,
        at: Option<u32>,
    ) -> PgResult<Vec<Typed>> {
        let placed = self.placed(function, args, ctx, at)?;
        let declared = function.arguments().iter().zip(placed.in_places());
        let mut values = Vec::with_capacity(declared.len());
        for (argument, given) in declared {
            let first = argument.types.first().copied().unwrap_or(PgType::TEXT);
            let Some(given) = given else {
                let default = argument.default.clone();
                let default = default.ok_or_else(|| placed.missing(argument.name))?;
                values.push(Typed::value(default, first));
                continue;
            };
            let value = given.value();
            if argument.types.iter().any(|ty| ty.oid == value.ty.oid) {
                values.push(value);
                continue;
            }
            // The first type that the value can be without being asked.
            let mut types = argument.types.iter().copied();
            let ty = types
                .find(|ty| implicit(value.ty.oid, ty.oid))
                .ok_or_else(|| placed.of_type(argument.name, &argument.types, given))?;
            values.push(self.coerce(value, ty, Context::Implicit)?.at(given.at));
        }
        Ok(values)
    }
}

impl Placed<'_> {
    /// What each parameter got.
    pub(super) fn in_places(&self) -> impl ExactSizeIterator<Item = Option<&Given>> {
        let given = |slot: &Option<usize>| slot.map(|number| &self.given[number]);
        self.slots.iter().map(given)
    }

    pub(super) fn missing(&self, name: &str) -> PgError {
        self.mismatch(&format!("Argument \"{name}\" is missing."), self.at)
    }

    /// The value cannot be what the argument is.
    pub(super) fn of_type(&self, name: &str, types: &[PgType], given: &Given) -> PgError {
        let wanted: Vec<String> = types.iter().map(|ty| type_name(*ty)).collect();
        let wrong = format!(
            "Argument \"{name}\" is of type {}, not {}: cast the value with ::{}.",
            wanted.join(" or "),
            type_name(given.value.ty),
            wanted.first().map_or("text", String::as_str),
        );
        self.mismatch(&wrong, given.at)
    }

    /// 42883 in PostgreSQL's words, with what is wrong and the signature in the hint.
    fn mismatch(&self, wrong: &str, at: Option<u32>) -> PgError {
        let types: Vec<String> = self
            .given
            .iter()
            .map(|argument| match &argument.name {
                Some(name) => format!("{name} => {}", type_name(argument.value.ty)),
                None => type_name(argument.value.ty),
            })
            .collect();
        let called = format!("{}({})", self.callee.name(), types.join(", "));
        let error = PgError::new(
            sqlstate::UNDEFINED_FUNCTION,
            format!("function {called} does not exist"),
        )
        .hint(format!(
            "{wrong} Its signature is {}.",
            self.callee.signature()
        ));
        positioned(error, at.or(self.at))
    }
}

/// A parameter as a signature shows it.
fn declaration(argument: &Argument) -> String {
    let types: Vec<String> = argument.types.iter().map(|ty| type_name(*ty)).collect();
    let plain = format!("{} {}", argument.name, types.join("|"));
    match argument.default_sql() {
        Some(default) => format!("{plain} DEFAULT {default}"),
        None => plain,
    }
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
