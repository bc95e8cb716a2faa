//! WITH, and the queries in it that read themselves.

use std::rc::Rc;
use std::sync::Arc;

use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::Column;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use sqlparser::ast;

use super::coerce::Context;
use super::query::{QueryRel, rename};
use super::scope::{Level, Scope, internal};
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// A WITH query.
#[derive(Debug, Clone)]
pub(super) struct Cte {
    pub(super) name: String,
    /// `None`: a write that returns nothing.
    pub(super) rel: Option<QueryRel>,
}

impl Binder<'_> {
    pub(super) fn with(
        &mut self,
        with: &ast::With,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<()> {
        for cte in &with.cte_tables {
            self.cte(cte, with.recursive, level, parent.clone())?;
        }
        Ok(())
    }

    /// One query of WITH; those after it know it.
    pub(super) fn cte(
        &mut self,
        cte: &ast::Cte,
        recursive: bool,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<()> {
        let name = fold(&cte.alias.name);
        let aliases: Vec<String> = cte
            .alias
            .columns
            .iter()
            .map(|column| fold(&column.name))
            .collect();
        let rel = match recursive_parts(&cte.query, &name).filter(|_| recursive) {
            Some((first, all, second)) => self.recursive(
                &cte.query, &name, &aliases, first, all, second, level, parent,
            )?,
            None => {
                let mut rel = self.ordered_query(&cte.query, level, parent)?;
                let at = self.positions.of_span(cte.alias.name.span);
                rename(&mut rel, &aliases, &name, at)?;
                rel
            }
        };
        let rel = Some(rel);
        self.ctes.push(Cte { name, rel });
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one recursive query"
    )]
    fn recursive(
        &mut self,
        query: &ast::Query,
        name: &str,
        aliases: &[String],
        first: &ast::SetExpr,
        all: bool,
        second: &ast::SetExpr,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<QueryRel> {
        if query.order_by.is_some() || query.limit_clause.is_some() {
            return Err(unsupported("ORDER BY or LIMIT in a recursive query", None)
                .hint("Put it into the query that reads the recursive one."));
        }
        let known = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with, level, parent.clone())?;
        }
        let body = self.set_expr(first, level, parent.clone(), &[])?;
        let mut base = self.close(body)?;
        rename(&mut base, aliases, name, None)?;
        // The recursive term reads what the last round gave, under a name of its own.
        let table = self.name("recursive");
        let schema = Arc::new(base.plan.schema().as_arrow().clone());
        let schema = Arc::new(arrow::datatypes::Schema::new(
            schema
                .fields()
                .iter()
                .map(|field| field.as_ref().clone().with_nullable(true))
                .collect::<Vec<_>>(),
        ));
        let work = CteWorkTable::new(&table, schema);
        let scan = planned(
            LogicalPlanBuilder::scan(table.as_str(), provider_as_source(Arc::new(work)), None)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let qualified: Vec<Expr> = base
            .columns
            .iter()
            .map(|column| {
                Expr::Column(Column::new(Some(table.as_str()), &column.column))
                    .alias(&column.column)
            })
            .collect();
        let scan = planned(
            LogicalPlanBuilder::from(scan)
                .project(qualified)
                .and_then(LogicalPlanBuilder::build),
        )?;
        self.ctes.push(Cte {
            name: name.to_owned(),
            rel: Some(QueryRel {
                plan: scan,
                columns: base.columns.clone(),
            }),
        });
        let step = self.set_expr(second, level, parent, &[]);
        self.ctes.truncate(known);
        let step = step?;
        if step.targets.len() != base.columns.len() {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!(
                    "each {} query must have the same number of columns",
                    if all { "UNION ALL" } else { "UNION" }
                ),
            ));
        }
        let mut exprs = Vec::new();
        for (target, column) in step.targets.into_iter().zip(&base.columns) {
            let ty = target.value.ty;
            let mismatch = PgError::new(
                sqlstate::DATATYPE_MISMATCH,
                format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                    exprs.len() + 1,
                    super::types::type_name(column.ty),
                    super::types::type_name(ty)
                ),
            )
            .hint("Cast the output of the non-recursive term to the correct type.");
            if !super::coerce::implicit(ty.oid, column.ty.oid) {
                return Err(mismatch);
            }
            let value = self.coerce(target.value, column.ty, Context::Implicit)?;
            exprs.push(value.expr.alias(&column.column));
        }
        let step = planned(
            LogicalPlanBuilder::from(step.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        // DataFusion takes unused columns out of both terms alike, although the recursive one
        // may need them to go on; a name of its own below the first term keeps it from that.
        let kept: Vec<Expr> = base
            .columns
            .iter()
            .map(|column| internal(&column.column).alias(&column.column))
            .collect();
        let first = planned(
            LogicalPlanBuilder::from(base.plan)
                .alias(format!("{table}_first"))
                .and_then(|first| first.project(kept))
                .and_then(LogicalPlanBuilder::build),
        )?;
        let plan = planned(
            LogicalPlanBuilder::from(first)
                .to_recursive_query(table, step, !all)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel {
            plan,
            columns: base.columns,
        })
    }
}

/// The terms of a query that reads itself: the first, whether duplicates stay, the second.
fn recursive_parts<'q>(
    query: &'q ast::Query,
    name: &str,
) -> Option<(&'q ast::SetExpr, bool, &'q ast::SetExpr)> {
    let ast::SetExpr::SetOperation {
        left,
        op: ast::SetOperator::Union,
        set_quantifier,
        right,
    } = query.body.as_ref()
    else {
        return None;
    };
    reads(right, name).then(|| {
        (
            left.as_ref(),
            *set_quantifier == ast::SetQuantifier::All,
            right.as_ref(),
        )
    })
}

/// Does the term name the table? Its text tells; a false alarm only makes a plan less direct.
pub(super) fn reads(expr: &ast::SetExpr, name: &str) -> bool {
    let text = expr.to_string().to_lowercase();
    let name = name.to_lowercase();
    text.match_indices(&name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let boundary = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
        boundary(before) && boundary(after)
    })
}
