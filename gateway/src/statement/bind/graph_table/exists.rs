//! `[NOT] EXISTS (MATCH …)` among the conditions of a pattern: paths that go on from its
//! matches, which are looked for while they are matched.

use omnigraph_engine::pattern::{self, Nested, Output, Property};
use sqlparser::ast;

use super::super::Binder;
use super::super::expr::Ctx;
use super::table::{Table, occurs, split};
use super::{Match, is_called};
use crate::error::PgResult;
use crate::statement::parse::graph_table::{MATCH, Patterns, parse_match};

impl Binder<'_> {
    /// The pattern of an `EXISTS`, and whether there must be none.
    fn nested_pattern(&self, condition: &ast::Expr) -> PgResult<Option<(Patterns, bool)>> {
        let (subquery, negated) = match condition {
            ast::Expr::Exists { subquery, negated } => (subquery, *negated),
            ast::Expr::Nested(inner) => return self.nested_pattern(inner),
            ast::Expr::UnaryOp {
                op: ast::UnaryOperator::Not,
                expr,
            } => {
                let inner = self.nested_pattern(expr)?;
                return Ok(inner.map(|(patterns, negated)| (patterns, !negated)));
            }
            _ => return Ok(None),
        };
        let ast::SetExpr::Select(select) = subquery.body.as_ref() else {
            return Ok(None);
        };
        let [from] = select.from.as_slice() else {
            return Ok(None);
        };
        let (name, args) = match &from.relation {
            ast::TableFactor::Table {
                name,
                args: Some(args),
                ..
            } => (name, &args.args),
            ast::TableFactor::Function { name, args, .. } => (name, args),
            _ => return Ok(None),
        };
        if !is_called(name, MATCH) || !from.joins.is_empty() || select.selection.is_some() {
            return Ok(None);
        }
        let patterns = match self.match_of(args)? {
            Match::Made(made) => made.patterns.clone(),
            Match::Text(text, start) => parse_match(text, start, &self.positions)?,
        };
        Ok(Some((patterns, negated)))
    }
}

impl Table<'_> {
    /// Takes an `EXISTS` into the pattern. `false`: it has to be a subquery.
    pub(super) fn bind_exists(
        &mut self,
        binder: &mut Binder<'_>,
        condition: &ast::Expr,
    ) -> PgResult<bool> {
        let Some((patterns, negated)) = binder.nested_pattern(condition)? else {
            return Ok(false);
        };
        let (lowered, exprs, later) = (self.lowered.clone(), self.exprs.len(), self.later.len());
        let nested = self.nested(binder, &patterns, negated)?;
        match nested.filter(|nested| self.part_of(nested).is_some()) {
            Some(nested) => {
                self.lowered.pattern.nested.push(nested);
                Ok(true)
            }
            None => {
                self.lowered = lowered;
                self.exprs.truncate(exprs);
                self.later.truncate(later);
                Ok(false)
            }
        }
    }

    /// `None`: the engine cannot look for it while it matches.
    fn nested(
        &mut self,
        binder: &mut Binder<'_>,
        patterns: &Patterns,
        negated: bool,
    ) -> PgResult<Option<Nested>> {
        if patterns.different_edges || patterns.paths.iter().any(|path| path.variable.is_some()) {
            return Ok(None);
        }
        let mut nested = self.lowered.nested(patterns, negated)?;
        if !nested.goes_on() {
            return Ok(None);
        }
        self.narrow_inner(&nested);
        let later = self.later.len();
        self.bind_conditions(binder)?;
        if self.later.len() > later {
            return Ok(None);
        }
        let mut conjuncts = Vec::new();
        if let Some(filter) = &patterns.filter {
            split(filter, &mut conjuncts);
        }
        for conjunct in conjuncts {
            if let Some((deeper, negated)) = binder.nested_pattern(conjunct)? {
                match self.nested(binder, &deeper, negated)? {
                    Some(deeper) => nested.nested.push(deeper),
                    None => return Ok(None),
                }
                continue;
            }
            let mut ctx = Ctx::new(self.scope(), "WHERE");
            ctx.allow_aggregates = true;
            let at = binder.at(conjunct);
            let expr = binder.condition(&mut ctx, conjunct, "WHERE")?;
            let is_simple =
                ctx.applies.is_empty() && ctx.inner_applies.is_empty() && ctx.aggregates.is_empty();
            let columns = self.columns_of(&expr);
            self.check_groups(&expr, at)?;
            let properties: Option<Vec<Property>> = columns
                .iter()
                .map(|(_, column)| match &column.output {
                    Output::Property(property) => Some(property.clone()),
                    _ => None,
                })
                .collect();
            let Some(properties) = properties.filter(|_| is_simple) else {
                return Ok(None);
            };
            nested.filters.push(self.lowered.pattern.conditions.len());
            self.lowered.pattern.conditions.push(properties);
            self.exprs.push(Some(expr));
        }
        // Its own variables are nothing to what stands beside it.
        for variable in &mut self.lowered.pattern.variables[nested.inner..] {
            variable.name = None;
        }
        Ok(Some(nested))
    }

    fn narrow_inner(&mut self, nested: &Nested) {
        let mut pattern = self.lowered.pattern.clone();
        pattern.nested = vec![nested.clone()];
        let types = pattern::types_of(&pattern, &self.graph.schema);
        let variables = self.lowered.pattern.variables.iter_mut().zip(types);
        for (variable, types) in variables.skip(nested.inner) {
            variable.types = types;
        }
    }

    /// The connected part of the pattern that nested paths go on from.
    pub(super) fn part_of(&self, nested: &Nested) -> Option<Vec<usize>> {
        let pattern = &self.lowered.pattern;
        let around = nested.variables_around(&pattern.conditions);
        self.connected().into_iter().find(|part| {
            let has = |variable: &usize| {
                part.iter()
                    .any(|path| occurs(&pattern.paths[*path].parts, *variable))
            };
            !around.is_empty() && around.iter().all(has)
        })
    }
}
