//! FROM: its items, one after the other.

use std::rc::Rc;

use datafusion::logical_expr::{JoinType, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast;

use super::expr::{Ctx, SetCall};
use super::graph_table;
use super::join::cross;
use super::lateral::{has_columns, lateral_scope};
use super::query::{QueryRel, first_word, rel_of, rename};
use super::scope::{Level, Outer, Rel, Scope, ScopeColumn};
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::{NOTHING, fold};

/// What FROM gives so far.
#[derive(Clone)]
pub(super) struct FromItem {
    pub(super) plan: LogicalPlan,
    pub(super) rels: Vec<Rel>,
    pub(super) visible: Vec<ScopeColumn>,
}

/// One item, before it is joined to what stands left of it.
pub(super) enum Factor {
    Item(FromItem),
    /// Lists over the left side's columns, unrolled beside them.
    Lists {
        sets: SetCall,
        rel: Rel,
    },
    /// A plan that takes values from the left side.
    Dependent {
        item: FromItem,
        outer: Vec<Outer>,
    },
}

impl Binder<'_> {
    pub(super) fn from(
        &mut self,
        from: &[ast::TableWithJoins],
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<FromItem> {
        let mut sofar: Option<FromItem> = None;
        for tree in from.iter().filter(|tree| !is_nothing(tree)) {
            sofar = Some(self.from_tree(sofar, tree, level, &parent)?);
        }
        match sofar {
            Some(item) => Ok(item),
            None => Ok(FromItem {
                plan: planned(LogicalPlanBuilder::empty(true).build())?,
                rels: Vec::new(),
                visible: Vec::new(),
            }),
        }
    }

    /// One item of the list with its joins, after those before it.
    fn from_tree(
        &mut self,
        before: Option<FromItem>,
        tree: &ast::TableWithJoins,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<FromItem> {
        let lateral = std::iter::once(&tree.relation)
            .chain(tree.joins.iter().map(|join| &join.relation))
            .any(may_be_lateral);
        let outward = tree.joins.iter().any(|join| {
            matches!(
                join.join_operator,
                ast::JoinOperator::Right(_)
                    | ast::JoinOperator::RightOuter(_)
                    | ast::JoinOperator::FullOuter(_)
            )
        });
        let (base, start) = match before {
            Some(before) if lateral && !outward => {
                let start = (before.rels.len(), before.visible.len());
                (Some(before), start)
            }
            // Nothing in it looks left: it is bound alone and then put beside the rest.
            Some(before) => {
                let own = self.from_tree(None, tree, level, parent)?;
                self.check_aliases(&before.rels, &own.rels)?;
                return cross(before, own);
            }
            None => (None, (0, 0)),
        };
        let factor = self.factor(&tree.relation, base.as_ref(), level, parent)?;
        let mut item = match (base, factor) {
            (None, Factor::Item(item)) => item,
            (Some(base), Factor::Item(item)) => {
                self.check_aliases(&base.rels, &item.rels)?;
                cross(base, item)?
            }
            (Some(base), factor) => self.join_lateral(base, factor, JoinType::Inner, None)?,
            (None, Factor::Lists { sets, rel }) => self.lists_alone(sets, rel)?,
            (None, Factor::Dependent { item, .. }) => item,
        };
        for join in &tree.joins {
            item = self.join(item, start, join, level, parent)?;
        }
        Ok(item)
    }

    pub(super) fn check_aliases(&self, left: &[Rel], right: &[Rel]) -> PgResult<()> {
        for rel in right {
            let same = |other: &&Rel| {
                other.alias == rel.alias
                    && !rel.alias.is_empty()
                    && (other.schema == rel.schema
                        || other.schema.is_none()
                        || rel.schema.is_none())
            };
            if left.iter().any(|other| same(&other)) {
                return Err(PgError::new(
                    sqlstate::DUPLICATE_ALIAS,
                    format!("table name \"{}\" specified more than once", rel.alias),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn factor(
        &mut self,
        factor: &ast::TableFactor,
        left: Option<&FromItem>,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<Factor> {
        use ast::TableFactor as F;
        match factor {
            F::Table {
                name,
                alias,
                args: Some(args),
                ..
            } if graph_table::is_pattern(name) => {
                self.graph_factor(name, &args.args, alias.as_ref(), left, level, parent)
            }
            F::Function {
                name, args, alias, ..
            } if graph_table::is_pattern(name) => {
                self.graph_factor(name, args, alias.as_ref(), left, level, parent)
            }
            F::Table {
                name,
                alias,
                args: None,
                version,
                sample,
                with_ordinality,
                ..
            } => {
                let _ = with_ordinality;
                let item = match version {
                    Some(version) => self.table_as_of(name, version, alias.as_ref())?,
                    None => self.table(name, alias.as_ref())?,
                };
                match sample {
                    None => Ok(Factor::Item(item)),
                    Some(
                        ast::TableSampleKind::BeforeTableAlias(sample)
                        | ast::TableSampleKind::AfterTableAlias(sample),
                    ) => self.sampled(item, sample, level, parent).map(Factor::Item),
                }
            }
            F::Table {
                name,
                alias,
                args: Some(args),
                with_ordinality,
                ..
            } => self.from_function(
                name,
                &args.args,
                alias.as_ref(),
                *with_ordinality,
                left,
                level,
                parent,
            ),
            F::Function {
                name,
                args,
                alias,
                with_ordinality,
                ..
            } => self.from_function(
                name,
                args,
                alias.as_ref(),
                *with_ordinality,
                left,
                level,
                parent,
            ),
            F::UNNEST {
                alias,
                array_exprs,
                with_ordinality,
                ..
            } => {
                let scope = lateral_scope(left, level, parent);
                let mut ctx = Ctx::new(scope, "FROM");
                let mut columns = Vec::new();
                for expr in array_exprs {
                    let value = self.expr(&mut ctx, expr)?;
                    let at = value.at;
                    columns.extend(self.set_function("unnest", vec![value], at)?);
                }
                self.lists(
                    columns,
                    "unnest",
                    alias.as_ref(),
                    *with_ordinality,
                    ctx,
                    left,
                )
            }
            F::Derived {
                lateral,
                subquery,
                alias,
                ..
            } => self.derived(*lateral, subquery, alias.as_ref(), left, level, parent),
            F::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let mut item = self.from_tree(None, table_with_joins, level, parent)?;
                if let Some(alias) = alias {
                    let mut rel = Rel {
                        alias: fold(&alias.name),
                        schema: None,
                        oid: 0,
                        columns: item.visible.clone(),
                        key: Vec::new(),
                    };
                    alias_columns(&mut rel, alias)?;
                    item.visible = rel.columns.clone();
                    item.rels = vec![rel];
                }
                Ok(Factor::Item(item))
            }
            other => Err(unsupported(
                &format!("{} in FROM", first_word(&other.to_string())),
                None,
            )),
        }
    }

    fn derived(
        &mut self,
        lateral: bool,
        subquery: &ast::Query,
        alias: Option<&ast::TableAlias>,
        left: Option<&FromItem>,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<Factor> {
        let inner_level = Rc::new(Level::default());
        // Without LATERAL the tables on the left are out of sight, the query around is not.
        let around = lateral_scope(left.filter(|_| lateral), level, parent);
        let rel = self.ordered_query(subquery, &inner_level, Some(around))?;
        let name = alias.map(|alias| fold(&alias.name)).unwrap_or_default();
        let item = self.aliased(rel, &name, alias)?;
        depending(item, &inner_level)
    }

    /// GRAPH_TABLE, which sees what stands left of it.
    fn graph_factor(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        left: Option<&FromItem>,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<Factor> {
        let inner_level = Rc::new(Level::default());
        let around = lateral_scope(left, level, parent);
        let rel = self.graph_pattern(name, args, &inner_level, around)?;
        let name = alias
            .map(|alias| fold(&alias.name))
            .unwrap_or_else(|| "graph_table".to_owned());
        let item = self.aliased(rel, &name, alias)?;
        depending(item, &inner_level)
    }

    pub(super) fn aliased(
        &mut self,
        mut rel: QueryRel,
        name: &str,
        alias: Option<&ast::TableAlias>,
    ) -> PgResult<FromItem> {
        if let Some(alias) = alias {
            let names: Vec<String> = alias
                .columns
                .iter()
                .map(|column| fold(&column.name))
                .collect();
            rename(
                &mut rel,
                &names,
                name,
                self.positions.of_span(alias.name.span),
            )?;
        }
        let known = rel_of(name, &rel);
        let visible = known.columns.clone();
        Ok(FromItem {
            plan: rel.plan,
            rels: vec![known],
            visible,
        })
    }
}

/// What the FROM of a SELECT is that has none, and no columns.
fn is_nothing(tree: &ast::TableWithJoins) -> bool {
    let ast::TableFactor::Table { name, .. } = &tree.relation else {
        return false;
    };
    let [part] = name.0.as_slice() else {
        return false;
    };
    part.as_ident().is_some_and(|name| name.value == NOTHING)
}

fn may_be_lateral(factor: &ast::TableFactor) -> bool {
    use ast::TableFactor as F;
    match factor {
        F::Derived { lateral, .. } => *lateral,
        F::Function { .. } | F::UNNEST { .. } => true,
        F::Table { args, .. } => args.is_some(),
        _ => false,
    }
}

pub(super) fn alias_columns(rel: &mut Rel, alias: &ast::TableAlias) -> PgResult<()> {
    if alias.columns.len() > rel.columns.len() {
        return Err(PgError::new(
            sqlstate::INVALID_COLUMN_REFERENCE,
            format!(
                "table \"{}\" has {} columns available but {} columns specified",
                rel.alias,
                rel.columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, name) in rel.columns.iter_mut().zip(&alias.columns) {
        column.name = fold(&name.name);
    }
    Ok(())
}

/// The item, with the values that its level takes from outside of it.
fn depending(item: FromItem, level: &Level) -> PgResult<Factor> {
    // What comes from further out is a value from outside here already.
    let (own, through): (Vec<Outer>, Vec<Outer>) = level
        .outer
        .take()
        .into_iter()
        .partition(|outer| has_columns(&outer.expr));
    let plan = super::replace_placeholders(&item.plan, &|id| {
        through
            .iter()
            .find(|outer| outer.id == id)
            .map(|outer| outer.expr.clone())
    })?;
    let item = FromItem { plan, ..item };
    Ok(if own.is_empty() {
        Factor::Item(item)
    } else {
        Factor::Dependent { item, outer: own }
    })
}
