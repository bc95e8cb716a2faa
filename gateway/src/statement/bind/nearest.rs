//! `nearest(…)` in FROM: the query that says the same with an operator,
//! `SELECT *, property <=> query AS distance FROM type WHERE … ORDER BY … LIMIT k`.

use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use omnigraph_engine::error::ObjectKind;
use omnigraph_engine::schema::PropertyType;
use omnigraph_engine::search::Metric;
use omnigraph_udfs::TableFunction;
use omnigraph_udfs::nearest::Nearest;
use sqlparser::ast;

use super::coerce::positioned;
use super::expr::Ctx;
use super::from::Factor;
use super::gq::all;
use super::lateral::has_columns;
use super::scope::Level;
use super::typed::{Kind, Typed};
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::{fold, parse_expression, template};

impl Binder<'_> {
    pub(super) fn nearest(
        &mut self,
        function: &Arc<dyn TableFunction>,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        mut ctx: Ctx,
        at: Option<u32>,
    ) -> PgResult<Factor> {
        // That they fit is checked as for every function.
        let values = self.table_arguments(function, args, &mut ctx, at)?;
        if !ctx.applies.is_empty() || values.iter().any(|value| has_columns(&value.expr)) {
            let error = unsupported("a column or a subquery as argument of nearest()", at);
            return Err(error
                .hint("Use LATERAL (SELECT … ORDER BY embedding <=> other.embedding LIMIT k)."));
        }
        let mut texts = Vec::with_capacity(values.len());
        for (value, argument) in values.iter().zip(function.arguments()) {
            texts.push(match constant_text(value) {
                _ if matches!(argument.name, "query" | "k") => None,
                Some(text) => text,
                None => {
                    let error = PgError::new(
                        sqlstate::INVALID_PARAMETER_VALUE,
                        format!(
                            "nearest(): argument \"{}\" must be a constant",
                            argument.name
                        ),
                    );
                    return Err(positioned(error, value.at.or(at)));
                }
            });
        }
        let [Some(ty), Some(property), _, _, metric, filter] = texts.as_slice() else {
            let error = PgError::new(
                sqlstate::NULL_VALUE_NOT_ALLOWED,
                "nearest(): arguments \"type\" and \"property\" must not be null",
            );
            return Err(positioned(error, at));
        };
        let schema = self.env.graph_schema().ok_or_else(|| {
            let error = PgError::new(sqlstate::INVALID_SCHEMA_NAME, "no branch is selected");
            positioned(error, at)
        })?;
        let unknown = |kind, name: &str| {
            let error = omnigraph_engine::Error::not_found(kind, name);
            positioned(sqlstate::from_engine(&error), at)
        };
        let def = schema
            .table(ty)
            .or_else(|| schema.by_name(ty))
            .ok_or_else(|| unknown(ObjectKind::Type, ty))?;
        let number = def
            .properties
            .iter()
            .position(|known| known.column == *property || known.name == *property)
            .ok_or_else(|| unknown(ObjectKind::Property, property))?;
        let invalid = |message: String| {
            let error = PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
            positioned(error, at)
        };
        let column = &def.properties[number];
        let PropertyType::Vector(_) = column.ty else {
            return Err(invalid(format!(
                "nearest(): argument \"property\" names \"{property}\", which is not a vector"
            )));
        };
        let metric = match metric {
            None => Metric::declared(def, number).unwrap_or(Metric::Cosine),
            Some(name) => Metric::named(name).ok_or_else(|| {
                invalid(format!(
                    "nearest(): argument \"metric\" must be one of 'l2', 'cosine', 'ip', 'l1', not '{name}'"
                ))
            })?,
        };
        let [.., query, k, _, _] = values.as_slice() else {
            return Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                "nearest() without its arguments",
            ));
        };
        let first = self.given.len();
        self.given.extend([query.clone(), k.clone()]);
        let filter = filter.as_deref().map(parse_expression).transpose();
        let filter = filter.map_err(|error| elsewhere(error, at))?;
        let branch = self.path.branch.clone();
        let names = [
            ("branch", branch.as_str()),
            ("table", def.table.as_str()),
            ("column", column.column.as_str()),
            ("metric", distance(metric)),
        ];
        let mut ranked = template(RANKED, &names, first)?;
        if let (Some((filter, _)), ast::SetExpr::Select(select)) = (filter, ranked.body.as_mut()) {
            let filter = ast::Expr::Nested(Box::new(filter));
            select.selection = all([filter]
                .into_iter()
                .chain(select.selection.take())
                .collect());
        }
        let rel = self.query(&ranked, &Rc::new(Level::default()), None);
        self.given.truncate(first);
        let rel = rel.map_err(|error| elsewhere(error, at))?;
        let name = alias.map_or_else(|| Nearest::NAME.to_owned(), |alias| fold(&alias.name));
        self.aliased(rel, &name, alias).map(Factor::Item)
    }
}

/// A text, or NULL, that is known when the statement is bound.
pub(super) fn constant_text(value: &Typed) -> Option<Option<String>> {
    match (&value.kind, value.constant()) {
        (Kind::Literal(text), _) => Some(text.clone()),
        (_, Some(ScalarValue::Utf8(text))) => Some(text.clone()),
        _ => None,
    }
}

/// Places in a text of its own mean nothing in the statement.
pub(super) fn elsewhere(error: PgError, at: Option<u32>) -> PgError {
    let error = PgError {
        position: None,
        ..error
    };
    positioned(error, at)
}

/// The distance function, as SQL calls it.
pub(super) fn distance(metric: Metric) -> &'static str {
    match metric {
        Metric::L2 => "l2_distance",
        Metric::Cosine => "cosine_distance",
        Metric::InnerProduct => "vector_negative_inner_product",
        Metric::L1 => "l1_distance",
    }
}

/// The rows of a table that have a vector, by its distance from `$1`, `$2` of them.
const RANKED: &str = r#"
    SELECT *, "metric"("table"."column", $1) AS distance FROM "branch"."table"
    WHERE "table"."column" IS NOT NULL
    ORDER BY "metric"("table"."column", $1), "table".id LIMIT $2"#;
