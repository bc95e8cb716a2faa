//! FROM: tables, subqueries, functions, joins, LATERAL.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{
    Expr, Extension, JoinType, LogicalPlan, LogicalPlanBuilder, Operator,
};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::TableFunction;
use omnigraph_udfs::function::Effect;
use sqlparser::ast;

use super::apply::{Apply, ApplyKind};
use super::coerce::{Context, positioned};
use super::expr::{Ctx, SetCall, binary};
use super::function_scan::FunctionScan;
use super::functions::{element_type, undefined};
use super::graph_table;
use super::scope::{Level, Outer, Rel, Scope, ScopeColumn, internal};
use super::select::{QueryRel, rel_of, rename};
use super::subquery::apply_all;
use super::typed::Typed;
use super::{Binder, Relation, RelationKind, TableUse, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// What FROM gives so far.
#[derive(Clone)]
pub(super) struct FromItem {
    pub(super) plan: LogicalPlan,
    pub(super) rels: Vec<Rel>,
    pub(super) visible: Vec<ScopeColumn>,
}

/// One item, before it is joined to what stands left of it.
enum Factor {
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
        for tree in from {
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

    fn check_aliases(&self, left: &[Rel], right: &[Rel]) -> PgResult<()> {
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

    /// `start`: where in the left side this tree's own tables and columns begin.
    fn join(
        &mut self,
        left: FromItem,
        start: (usize, usize),
        join: &ast::Join,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<FromItem> {
        use ast::JoinOperator as J;
        let (kind, constraint) = match &join.join_operator {
            J::Join(constraint) | J::Inner(constraint) => (JoinType::Inner, constraint),
            J::Left(constraint) | J::LeftOuter(constraint) => (JoinType::Left, constraint),
            J::Right(constraint) | J::RightOuter(constraint) => (JoinType::Right, constraint),
            J::FullOuter(constraint) => (JoinType::Full, constraint),
            J::CrossJoin(_) => (JoinType::Inner, &ast::JoinConstraint::None),
            other => {
                return Err(unsupported(
                    &format!("{other:?}")
                        .split('(')
                        .next()
                        .unwrap_or("this join")
                        .to_owned(),
                    None,
                ));
            }
        };
        let factor = self.factor(&join.relation, Some(&left), level, parent)?;
        let right = match factor {
            Factor::Item(item) => item,
            dependent => {
                let condition = match constraint {
                    ast::JoinConstraint::On(condition) => Some(condition),
                    ast::JoinConstraint::None => None,
                    _ => return Err(unsupported("USING with LATERAL", None)),
                };
                if matches!(kind, JoinType::Right | JoinType::Full) {
                    let error = PgError::new(
                        sqlstate::INVALID_COLUMN_REFERENCE,
                        "invalid reference to FROM-clause entry for table",
                    )
                    .detail(
                        "The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
                    );
                    return Err(error);
                }
                let (rels, visible) = dependent_scope(&left, &dependent);
                let condition = match condition {
                    Some(condition) => {
                        let scope = Scope::new(rels, visible, Rc::clone(level), parent.clone());
                        let mut ctx = Ctx::new(scope, "JOIN/ON");
                        let condition = self.condition(&mut ctx, condition, "JOIN/ON")?;
                        if !ctx.applies.is_empty() {
                            return Err(unsupported(
                                "a subquery in the condition of a LATERAL join",
                                None,
                            ));
                        }
                        Some(condition)
                    }
                    None => None,
                };
                return self.join_lateral(left, dependent, kind, condition);
            }
        };
        self.check_aliases(&left.rels[start.0..], &right.rels)?;
        let own_visible = left.visible[start.1..].to_vec();
        match constraint {
            ast::JoinConstraint::On(condition) => {
                let mut rels = left.rels[start.0..].to_vec();
                rels.extend(right.rels.iter().cloned());
                let mut visible = own_visible;
                visible.extend(right.visible.iter().cloned());
                let scope = Scope::new(rels, visible, Rc::clone(level), parent.clone());
                let mut ctx = Ctx::new(scope, "JOIN/ON");
                let condition = self.condition(&mut ctx, condition, "JOIN/ON")?;
                let mut all = left.visible.clone();
                all.extend(right.visible.iter().cloned());
                let mut rels = left.rels;
                rels.extend(right.rels);
                let plan = if ctx.applies.is_empty() {
                    join_on(left.plan, right.plan, kind, vec![condition])?
                } else if kind == JoinType::Inner {
                    let plan = join_on(left.plan, right.plan, JoinType::Inner, Vec::new())?;
                    let plan = apply_all(plan, ctx.applies)?;
                    planned(
                        LogicalPlanBuilder::from(plan)
                            .filter(condition)
                            .and_then(LogicalPlanBuilder::build),
                    )?
                } else {
                    return Err(unsupported(
                        "a subquery in the condition of an outer join",
                        None,
                    ));
                };
                Ok(FromItem {
                    plan,
                    rels,
                    visible: all,
                })
            }
            ast::JoinConstraint::Using(names) => {
                let names: Vec<String> = names
                    .iter()
                    .map(|name| {
                        name.0
                            .last()
                            .and_then(|part| part.as_ident())
                            .map(fold)
                            .unwrap_or_default()
                    })
                    .collect();
                self.join_using(left, start, right, kind, &names)
            }
            ast::JoinConstraint::Natural => {
                let names: Vec<String> = own_visible
                    .iter()
                    .filter(|column| right.visible.iter().any(|other| other.name == column.name))
                    .map(|column| column.name.clone())
                    .collect();
                self.join_using(left, start, right, kind, &names)
            }
            ast::JoinConstraint::None => {
                let plan = join_on(left.plan, right.plan, kind, Vec::new())?;
                let mut item = FromItem {
                    plan,
                    rels: left.rels,
                    visible: left.visible,
                };
                item.rels.extend(right.rels);
                item.visible.extend(right.visible);
                Ok(item)
            }
        }
    }

    /// The named columns are equal and appear once, first.
    fn join_using(
        &mut self,
        left: FromItem,
        start: (usize, usize),
        right: FromItem,
        kind: JoinType,
        names: &[String],
    ) -> PgResult<FromItem> {
        let mut conditions = Vec::new();
        let mut merged: Vec<(String, Typed, Typed)> = Vec::new();
        for name in names {
            let find = |columns: &[ScopeColumn], side: &str| -> PgResult<Typed> {
                let mut found = columns.iter().filter(|column| column.name == *name);
                match (found.next(), found.next()) {
                    (Some(column), None) => Ok(column.typed()),
                    (Some(_), Some(_)) => Err(PgError::new(
                        sqlstate::AMBIGUOUS_COLUMN,
                        format!(
                            "common column name \"{name}\" appears more than once in {side} table"
                        ),
                    )),
                    _ => Err(PgError::new(
                        sqlstate::UNDEFINED_COLUMN,
                        format!(
                            "column \"{name}\" specified in USING clause does not exist in {side} table"
                        ),
                    )),
                }
            };
            let (a, b) = (
                find(&left.visible[start.1..], "left")?,
                find(&right.visible, "right")?,
            );
            conditions.push(self.operator("=", a.clone(), b.clone(), None)?.expr);
            merged.push((name.clone(), a, b));
        }
        let mut plan = join_on(left.plan, right.plan, kind, conditions)?;
        let mut first = Vec::new();
        for (name, a, b) in merged {
            let value = match kind {
                JoinType::Right => b,
                JoinType::Full => {
                    let column = self.name("c");
                    let ty = super::types::common_type(&[a.clone(), b.clone()], "JOIN/USING")?;
                    let a = self.coerce(a, ty, Context::Implicit)?;
                    let b = self.coerce(b, ty, Context::Implicit)?;
                    let either = Expr::Case(datafusion::logical_expr::Case {
                        expr: None,
                        when_then_expr: vec![(
                            Box::new(Expr::IsNotNull(Box::new(a.expr.clone()))),
                            Box::new(a.expr),
                        )],
                        else_expr: Some(Box::new(b.expr)),
                    });
                    let mut exprs: Vec<Expr> = plan
                        .schema()
                        .columns()
                        .into_iter()
                        .map(Expr::Column)
                        .collect();
                    exprs.push(either.alias(&column));
                    plan = planned(
                        LogicalPlanBuilder::from(plan)
                            .project(exprs)
                            .and_then(LogicalPlanBuilder::build),
                    )?;
                    Typed::new(internal(&column), ty)
                }
                _ => a,
            };
            first.push(ScopeColumn {
                name,
                expr: value.expr,
                ty: value.ty,
                origin: value.origin,
                fields: Vec::new(),
            });
        }
        let mut visible = left.visible[..start.1].to_vec();
        visible.extend(first);
        let rest = |column: &&ScopeColumn| !names.contains(&column.name);
        visible.extend(left.visible[start.1..].iter().filter(rest).cloned());
        visible.extend(right.visible.iter().filter(rest).cloned());
        let mut rels = left.rels;
        rels.extend(right.rels);
        Ok(FromItem {
            plan,
            rels,
            visible,
        })
    }

    /// Joins what depends on the left side.
    fn join_lateral(
        &mut self,
        left: FromItem,
        factor: Factor,
        kind: JoinType,
        condition: Option<Expr>,
    ) -> PgResult<FromItem> {
        let outer_join = kind == JoinType::Left;
        match factor {
            Factor::Item(item) => cross(left, item),
            Factor::Lists { sets, rel } if !outer_join => {
                let mut plan = self.unroll(left.plan, vec![sets])?;
                if let Some(condition) = condition {
                    plan = planned(
                        LogicalPlanBuilder::from(plan)
                            .filter(condition)
                            .and_then(LogicalPlanBuilder::build),
                    )?;
                }
                let mut item = FromItem {
                    plan,
                    rels: left.rels,
                    visible: left.visible,
                };
                item.visible.extend(rel.columns.iter().cloned());
                item.rels.push(rel);
                Ok(item)
            }
            Factor::Lists { sets, rel } => {
                // As a plan of its own, with the left side's columns as values from outside.
                let mut outer = Vec::new();
                let columns = column_names(&left.plan);
                let mut inward = SetCall {
                    columns: Vec::new(),
                };
                for (name, list) in sets.columns {
                    inward
                        .columns
                        .push((name, self.outward(list, &columns, &left.plan, &mut outer)?));
                }
                let item = self.lists_alone(inward, rel)?;
                self.join_lateral(left, Factor::Dependent { item, outer }, kind, condition)
            }
            Factor::Dependent {
                mut item,
                mut outer,
            } => {
                if let Some(condition) = condition {
                    let columns = column_names(&left.plan);
                    let condition = self.outward(condition, &columns, &left.plan, &mut outer)?;
                    item.plan = planned(
                        LogicalPlanBuilder::from(item.plan)
                            .filter(condition)
                            .and_then(LogicalPlanBuilder::build),
                    )?;
                }
                let outer = outer
                    .into_iter()
                    .map(|outer| (outer.id, outer.expr))
                    .collect();
                let plan = Apply::plan(
                    left.plan,
                    item.plan,
                    outer,
                    Vec::new(),
                    ApplyKind::Lateral { outer: outer_join },
                    "",
                )?;
                let mut joined = FromItem {
                    plan,
                    rels: left.rels,
                    visible: left.visible,
                };
                joined.rels.extend(item.rels);
                joined.visible.extend(item.visible);
                Ok(joined)
            }
        }
    }

    /// The expression with the left side's columns as values from outside.
    fn outward(
        &mut self,
        expr: Expr,
        columns: &HashSet<String>,
        left: &LogicalPlan,
        outer: &mut Vec<Outer>,
    ) -> PgResult<Expr> {
        let fresh = &mut self.fresh;
        let schema = Arc::clone(left.schema());
        planned(expr.transform(|node| {
            let Expr::Column(column) = &node else {
                return Ok(Transformed::no(node));
            };
            if !columns.contains(&column.name) {
                return Ok(Transformed::no(node));
            }
            let field = schema.field_with_unqualified_name(&column.name)?;
            let id = match outer.iter().find(|known| known.expr == node) {
                Some(known) => known.id.clone(),
                None => {
                    *fresh += 1;
                    let id = format!("$o{fresh}");
                    outer.push(Outer {
                        id: id.clone(),
                        expr: node.clone(),
                    });
                    id
                }
            };
            Ok(Transformed::yes(super::placeholder_of(
                &id,
                field.data_type().clone(),
            )))
        }))
        .map(|transformed| transformed.data)
    }

    fn lists_alone(&mut self, sets: SetCall, rel: Rel) -> PgResult<FromItem> {
        let plan = planned(LogicalPlanBuilder::empty(true).build())?;
        let plan = self.unroll(plan, vec![sets])?;
        let visible = rel.columns.clone();
        Ok(FromItem {
            plan,
            rels: vec![rel],
            visible,
        })
    }

    fn factor(
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
                if sample.is_some() {
                    return Err(unsupported("TABLESAMPLE", None));
                }
                let _ = with_ordinality;
                match version {
                    Some(version) => self.table_as_of(name, version, alias.as_ref()),
                    None => self.table(name, alias.as_ref()),
                }
                .map(Factor::Item)
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
        let rel = self.query(subquery, &inner_level, Some(around))?;
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

    fn aliased(
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

    fn table(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
    ) -> PgResult<FromItem> {
        let at = self.at(name);
        let mut parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(fold)
            .collect();
        let table = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if let Some(database) = parts.pop()
            && database != self.env.database()
        {
            return Err(positioned(
                PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!("cross-database references are not implemented: \"{name}\""),
                ),
                at,
            ));
        }
        if schema.is_none()
            && let Some(cte) = self.ctes.iter().rev().find(|cte| cte.name == table)
        {
            let rel = cte.rel.clone();
            let rel = self.fresh_columns(rel)?;
            let name = alias.map_or(table, |alias| fold(&alias.name));
            return self.aliased(rel, &name, alias);
        }
        let relation = self.relation(schema.as_deref(), &table, at)?;
        self.scan_as(&relation, alias)
    }

    pub(super) fn scan_as(
        &mut self,
        relation: &Relation,
        alias: Option<&ast::TableAlias>,
    ) -> PgResult<FromItem> {
        let mut item = self.scan(relation)?;
        if let (Some(alias), Some(rel)) = (alias, item.rels.first_mut()) {
            rel.alias = fold(&alias.name);
            rel.schema = None;
            alias_columns(rel, alias)?;
            item.visible = rel.columns.clone();
        }
        Ok(item)
    }

    /// A relation by name: 42P01 if there is none, 3F000 for an unknown schema.
    pub(super) fn relation(
        &mut self,
        schema: Option<&str>,
        table: &str,
        at: Option<u32>,
    ) -> PgResult<Relation> {
        let found = self
            .env
            .relation(schema, table)
            .map_err(|error| positioned(error, at))?;
        match found {
            Some(relation) => {
                let used = TableUse {
                    at: None,
                    oid: relation.oid,
                    schema: relation.schema.clone(),
                    name: relation.name.clone(),
                    kind: relation.kind,
                };
                if !self.reads.contains(&used) {
                    self.reads.push(used);
                }
                Ok(relation)
            }
            None => {
                let written = match schema {
                    Some(schema) => format!("{schema}.{table}"),
                    None => table.to_owned(),
                };
                Err(positioned(
                    PgError::new(
                        sqlstate::UNDEFINED_TABLE,
                        format!("relation \"{written}\" does not exist"),
                    ),
                    at,
                ))
            }
        }
    }

    /// A scan of a relation, its columns under internal names.
    pub(super) fn scan(&mut self, relation: &Relation) -> PgResult<FromItem> {
        let reference = TableReference::bare(self.name("t"));
        let source = provider_as_source(Arc::clone(&relation.provider));
        let schema = source.schema();
        let scan = planned(LogicalPlanBuilder::scan(reference.clone(), source, None))?;
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (at, column) in relation.columns.iter().enumerate() {
            let field = schema.fields().get(at).ok_or_else(|| {
                PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    format!(
                        "relation \"{}\" has fewer columns than it says",
                        relation.name
                    ),
                )
            })?;
            let name = self.name("c");
            exprs.push(
                Expr::Column(Column::new(Some(reference.clone()), field.name())).alias(&name),
            );
            columns.push(ScopeColumn {
                name: column.name.clone(),
                expr: internal(&name),
                ty: column.ty,
                origin: Some((relation.oid, column.attnum)),
                fields: Vec::new(),
            });
        }
        let key_name = match relation.kind {
            RelationKind::Catalog => "oid",
            RelationKind::Node(_) | RelationKind::Edge(_) => "id",
        };
        let key = columns
            .iter()
            .position(|column| column.name == key_name)
            .into_iter()
            .collect();
        let plan = planned(scan.project(exprs).and_then(LogicalPlanBuilder::build))?;
        let visible = columns.clone();
        let rel = Rel {
            alias: relation.name.clone(),
            schema: Some(relation.schema.clone()),
            oid: relation.oid,
            columns,
            key,
        };
        Ok(FromItem {
            plan,
            rels: vec![rel],
            visible,
        })
    }

    /// A query that is read several times has columns of its own each time.
    fn fresh_columns(&mut self, rel: QueryRel) -> PgResult<QueryRel> {
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        let mut hidden = Vec::new();
        for column in rel.columns {
            let name = self.name("c");
            exprs.push(internal(&column.column).alias(&name));
            let mut fields = Vec::new();
            for (field, inner, ty) in &column.fields {
                let fresh = self.name("f");
                hidden.push(internal(inner).alias(&fresh));
                fields.push((field.clone(), fresh, *ty));
            }
            columns.push(super::select::QueryColumn {
                column: name,
                fields,
                ..column
            });
        }
        exprs.extend(hidden);
        let plan = planned(
            LogicalPlanBuilder::from(rel.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel { plan, columns })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one function in FROM"
    )]
    fn from_function(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        left: Option<&FromItem>,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<Factor> {
        let at = self.at(name);
        let (schema, function_name) = self.function_name(name, at)?;
        let scope = lateral_scope(left, level, parent);
        let mut ctx = Ctx::new(scope, "FROM");
        if let Some(function) = self.env.table_function(schema.as_deref(), &function_name) {
            return self.table_function(function, args, alias, ordinality, ctx, left, at);
        }
        if !matches!(
            schema.as_deref(),
            None | Some("pg_catalog" | "information_schema")
        ) {
            return Err(undefined(
                &format!("{}.{function_name}", schema.unwrap_or_default()),
                &[],
                at,
            ));
        }
        let mut values = Vec::new();
        for arg in args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    values.push(self.expr(&mut ctx, expr)?)
                }
                _ => {
                    return Err(unsupported(
                        &format!("this argument of {function_name}()"),
                        at,
                    ));
                }
            }
        }
        let is_set = super::catalog::functions_named(&function_name).any(|row| row.set)
            || function_name == "_pg_expandarray";
        let columns = if is_set && function_name == "unnest" {
            let mut all = Vec::new();
            for value in values {
                all.extend(self.set_function("unnest", vec![value], at)?);
            }
            all
        } else if is_set {
            self.set_function(&function_name, values, at)?
        } else {
            // A plain function is a table of one row.
            let bare = function_name.as_str();
            let value = match bare {
                "current_schema" | "current_user" | "session_user" | "current_date"
                | "current_timestamp"
                    if values.is_empty() =>
                {
                    let call = ast::Expr::Function(ast::Function {
                        name: ast::ObjectName(vec![ast::ObjectNamePart::Identifier(
                            ast::Ident::new(bare),
                        )]),
                        uses_odbc_syntax: false,
                        parameters: ast::FunctionArguments::None,
                        args: ast::FunctionArguments::None,
                        filter: None,
                        null_treatment: None,
                        over: None,
                        within_group: Vec::new(),
                    });
                    self.expr(&mut ctx, &call)?
                }
                _ => self.call(&function_name, values, at)?,
            };
            let value = self.settle(value)?;
            let element = value.ty;
            let list = omnigraph_udfs::pg::array::construct(&element.arrow(), vec![value.expr]);
            // A set of one: the type is the element's own.
            let one = Typed {
                kind: super::typed::Kind::Row(Vec::new()),
                ..Typed::new(list, element)
            };
            vec![(function_name.clone(), one)]
        };
        self.lists(columns, &function_name, alias, ordinality, ctx, left)
    }

    /// Lists as a table; each is a column.
    fn lists(
        &mut self,
        columns: Vec<(String, Typed)>,
        function: &str,
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        ctx: Ctx,
        left: Option<&FromItem>,
    ) -> PgResult<Factor> {
        if !ctx.applies.is_empty() {
            // A subquery among the arguments: computed on a row of its own.
            return self.lists_over_subqueries(columns, function, alias, ordinality, ctx, left);
        }
        let (sets, rel) = self.list_columns(columns, function, alias, ordinality)?;
        let dependent = sets.columns.iter().any(|(_, list)| has_columns(list));
        if dependent && left.is_some() {
            return Ok(Factor::Lists { sets, rel });
        }
        self.lists_alone(sets, rel).map(Factor::Item)
    }

    fn list_columns(
        &mut self,
        columns: Vec<(String, Typed)>,
        function: &str,
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
    ) -> PgResult<(SetCall, Rel)> {
        let single = columns.len() == 1;
        let mut sets = SetCall {
            columns: Vec::new(),
        };
        let mut rel = Rel {
            alias: alias.map_or_else(|| function.to_owned(), |alias| fold(&alias.name)),
            schema: None,
            oid: 0,
            columns: Vec::new(),
            key: Vec::new(),
        };
        let lists: Vec<Expr> = columns.iter().map(|(_, list)| list.expr.clone()).collect();
        for (name, list) in columns {
            let column = self.name("s");
            // A lone column is called after the alias.
            let name = if single && alias.is_some() {
                rel.alias.clone()
            } else {
                name
            };
            rel.columns.push(ScopeColumn {
                name,
                expr: internal(&column),
                ty: element_type(&list)?,
                origin: None,
                fields: Vec::new(),
            });
            sets.columns.push((column, list.expr));
        }
        if ordinality {
            let column = self.name("s");
            rel.columns.push(ScopeColumn {
                name: "ordinality".to_owned(),
                expr: internal(&column),
                ty: PgType::INT8,
                origin: None,
                fields: Vec::new(),
            });
            sets.columns.push((column, super::select::numbered(lists)));
        }
        if let Some(alias) = alias {
            alias_columns(&mut rel, alias)?;
        }
        Ok((sets, rel))
    }

    fn lists_over_subqueries(
        &mut self,
        columns: Vec<(String, Typed)>,
        function: &str,
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        ctx: Ctx,
        left: Option<&FromItem>,
    ) -> PgResult<Factor> {
        let depends = ctx
            .applies
            .iter()
            .any(|apply| apply.outer.iter().any(|outer| has_columns(&outer.expr)))
            || columns.iter().any(|(_, list)| {
                list.expr
                    .column_refs()
                    .iter()
                    .any(|column| !ctx.applies.iter().any(|apply| apply.output == column.name))
            });
        if depends && left.is_some() {
            return Err(unsupported(
                "a correlated subquery as the argument of a function in FROM",
                None,
            ));
        }
        let (sets, rel) = self.list_columns(columns, function, alias, ordinality)?;
        let plan = planned(LogicalPlanBuilder::empty(true).build())?;
        let plan = apply_all(plan, ctx.applies)?;
        let plan = self.unroll(plan, vec![sets])?;
        let visible = rel.columns.clone();
        Ok(Factor::Item(FromItem {
            plan,
            rels: vec![rel],
            visible,
        }))
    }

    /// traverse, commits and their kind.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one function in FROM"
    )]
    fn table_function(
        &mut self,
        function: Arc<dyn TableFunction>,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        mut ctx: Ctx,
        left: Option<&FromItem>,
        at: Option<u32>,
    ) -> PgResult<Factor> {
        if ordinality {
            return Err(unsupported(
                &format!("WITH ORDINALITY on {}()", function.name()),
                at,
            ));
        }
        if function.effect() == Effect::Changes {
            if left.is_some() || self.depth > 1 {
                return Err(unsupported(
                    &format!("{}() inside of a larger query", function.name()),
                    at,
                )
                .hint(format!(
                    "Use SELECT * FROM {}(…) by itself.",
                    function.name()
                )));
            }
            self.changes = true;
            self.volatile = true;
        }
        let values = self.table_arguments(&function, args, &mut ctx, at)?;
        let constants: Vec<Option<ScalarValue>> = values
            .iter()
            .map(|value| value.constant().cloned())
            .collect();
        let schema = self.env.graph_schema();
        let columns = function
            .columns(&constants, schema.as_deref())
            .map_err(|error| positioned(crate::sqlstate::from_function(&error), at))?;
        let mut rel = Rel {
            alias: alias.map_or_else(|| function.name().to_owned(), |alias| fold(&alias.name)),
            schema: None,
            oid: 0,
            columns: Vec::new(),
            key: Vec::new(),
        };
        if let Some(constants) = constants.into_iter().collect::<Option<Vec<ScalarValue>>>() {
            return self
                .constant_function(&function, constants, &columns, rel, alias)
                .map(Factor::Item);
        }
        let mut fields = Vec::new();
        for column in columns {
            let name = self.name("f");
            fields.push(Field::new(&name, column.ty.arrow(), true));
            rel.columns.push(ScopeColumn {
                name: column.name,
                expr: internal(&name),
                ty: column.ty,
                origin: None,
                fields: Vec::new(),
            });
        }
        if let Some(alias) = alias {
            alias_columns(&mut rel, alias)?;
        }
        let exprs: Vec<Expr> = values.into_iter().map(|value| value.expr).collect();
        let applies = ctx.applies;
        let schema = Arc::new(Schema::new(fields));
        let visible = rel.columns.clone();
        let scan = |exprs: Vec<Expr>| -> PgResult<LogicalPlan> {
            let node = planned(FunctionScan::new(
                Arc::clone(&function),
                exprs,
                Arc::clone(&schema),
            ))?;
            Ok(LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            }))
        };
        if applies.is_empty() && !exprs.iter().any(has_columns) {
            let plan = scan(exprs)?;
            return Ok(Factor::Item(FromItem {
                plan,
                rels: vec![rel],
                visible,
            }));
        }
        // Arguments that are columns or subqueries are values from outside of the call.
        let (base, subqueries) = match left {
            Some(left)
                if exprs.iter().any(|expr| {
                    expr.column_refs()
                        .iter()
                        .any(|column| column_names(&left.plan).contains(&column.name))
                }) =>
            {
                if !applies.is_empty() {
                    return Err(unsupported(
                        &format!(
                            "a subquery beside a column as argument of {}()",
                            function.name()
                        ),
                        at,
                    ));
                }
                (left.plan.clone(), false)
            }
            _ => (
                apply_all(planned(LogicalPlanBuilder::empty(true).build())?, applies)?,
                true,
            ),
        };
        let names = column_names(&base);
        let mut outer = Vec::new();
        let mut inward = Vec::new();
        for expr in exprs {
            inward.push(self.outward(expr, &names, &base, &mut outer)?);
        }
        let item = FromItem {
            plan: scan(inward)?,
            rels: vec![rel],
            visible,
        };
        if subqueries {
            let outer = outer
                .into_iter()
                .map(|outer| (outer.id, outer.expr))
                .collect();
            let plan = Apply::plan(
                base,
                item.plan,
                outer,
                Vec::new(),
                ApplyKind::Lateral { outer: false },
                "",
            )?;
            return Ok(Factor::Item(FromItem { plan, ..item }));
        }
        Ok(Factor::Dependent { item, outer })
    }

    /// With constants a function is a table, which takes conditions and a limit.
    fn constant_function(
        &mut self,
        function: &Arc<dyn TableFunction>,
        constants: Vec<ScalarValue>,
        columns: &[omnigraph_udfs::Column],
        mut rel: Rel,
        alias: Option<&ast::TableAlias>,
    ) -> PgResult<FromItem> {
        let source = provider_as_source(Arc::new(omnigraph_udfs::FunctionSource::new(
            Arc::clone(function),
            constants,
            columns,
        )));
        let reference = TableReference::bare(self.name("t"));
        let scan = planned(LogicalPlanBuilder::scan(reference.clone(), source, None))?;
        let mut exprs = Vec::new();
        for column in columns {
            let name = self.name("f");
            exprs.push(
                Expr::Column(Column::new(Some(reference.clone()), &column.name)).alias(&name),
            );
            rel.columns.push(ScopeColumn {
                name: column.name.clone(),
                expr: internal(&name),
                ty: column.ty,
                origin: None,
                fields: Vec::new(),
            });
        }
        if let Some(alias) = alias {
            alias_columns(&mut rel, alias)?;
        }
        let plan = planned(scan.project(exprs).and_then(LogicalPlanBuilder::build))?;
        let visible = rel.columns.clone();
        Ok(FromItem {
            plan,
            rels: vec![rel],
            visible,
        })
    }

    /// Positional and named arguments in the order in which the function declares them.
    pub(super) fn table_arguments(
        &mut self,
        function: &Arc<dyn TableFunction>,
        args: &[ast::FunctionArg],
        ctx: &mut Ctx,
        at: Option<u32>,
    ) -> PgResult<Vec<Typed>> {
        let declared = function.arguments();
        let mismatch = |given: &[Typed]| {
            let shown: Vec<String> = declared
                .iter()
                .map(|argument| {
                    let ty = argument
                        .types
                        .first()
                        .map(|ty| super::types::type_name(*ty))
                        .unwrap_or_default();
                    match argument.default_sql() {
                        Some(default) => format!("{} {ty} DEFAULT {default}", argument.name),
                        None => format!("{} {ty}", argument.name),
                    }
                })
                .collect();
            undefined_with(
                function.name(),
                given,
                format!(
                    "Its signature is {}({}).",
                    function.name(),
                    shown.join(", ")
                ),
                at,
            )
        };
        let mut slots: Vec<Option<Typed>> = vec![None; declared.len()];
        let mut next = 0;
        for arg in args {
            let (place, expr) = match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    next += 1;
                    (next - 1, expr)
                }
                ast::FunctionArg::Named {
                    name,
                    arg: ast::FunctionArgExpr::Expr(expr),
                    ..
                } => {
                    let name = fold(name);
                    (
                        declared
                            .iter()
                            .position(|argument| argument.name == name)
                            .ok_or_else(|| mismatch(&[]))?,
                        expr,
                    )
                }
                ast::FunctionArg::ExprNamed {
                    name: ast::Expr::Identifier(name),
                    arg: ast::FunctionArgExpr::Expr(expr),
                    ..
                } => {
                    let name = fold(name);
                    (
                        declared
                            .iter()
                            .position(|argument| argument.name == name)
                            .ok_or_else(|| mismatch(&[]))?,
                        expr,
                    )
                }
                _ => return Err(mismatch(&[])),
            };
            let value = self.expr(ctx, expr)?;
            match slots.get_mut(place) {
                Some(slot) if slot.is_none() => *slot = Some(value),
                _ => return Err(mismatch(&[])),
            }
        }
        let given: Vec<Typed> = slots.iter().flatten().cloned().collect();
        let mut values = Vec::with_capacity(declared.len());
        for (slot, argument) in slots.into_iter().zip(declared) {
            let first = argument.types.first().copied().unwrap_or(PgType::TEXT);
            values.push(match slot {
                None => match &argument.default {
                    Some(default) => Typed::value(default.clone(), first),
                    None => return Err(mismatch(&given)),
                },
                Some(value) if argument.types.iter().any(|ty| ty.oid == value.ty.oid) => value,
                Some(value) => {
                    // The first type that the value can be without being asked.
                    let ty = argument
                        .types
                        .iter()
                        .copied()
                        .find(|ty| super::coerce::implicit(value.ty.oid, ty.oid))
                        .ok_or_else(|| mismatch(&given))?;
                    self.coerce(value, ty, Context::Implicit)?
                }
            });
        }
        Ok(values)
    }
}

fn undefined_with(name: &str, args: &[Typed], hint: String, at: Option<u32>) -> PgError {
    let mut error = undefined(name, args, at);
    error.hint = Some(hint);
    error
}

/// A scope over what stands left, for LATERAL.
fn lateral_scope(
    left: Option<&FromItem>,
    level: &Rc<Level>,
    parent: &Option<Rc<Scope>>,
) -> Rc<Scope> {
    let (rels, visible) = left
        .map(|left| (left.rels.clone(), left.visible.clone()))
        .unwrap_or_default();
    Scope::new(rels, visible, Rc::clone(level), parent.clone())
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

fn dependent_scope(left: &FromItem, factor: &Factor) -> (Vec<Rel>, Vec<ScopeColumn>) {
    let (mut rels, mut visible) = (left.rels.clone(), left.visible.clone());
    match factor {
        Factor::Item(item) | Factor::Dependent { item, .. } => {
            rels.extend(item.rels.iter().cloned());
            visible.extend(item.visible.iter().cloned());
        }
        Factor::Lists { rel, .. } => {
            visible.extend(rel.columns.iter().cloned());
            rels.push(rel.clone());
        }
    }
    (rels, visible)
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

fn cross(left: FromItem, right: FromItem) -> PgResult<FromItem> {
    let plan = join_on(left.plan, right.plan, JoinType::Inner, Vec::new())?;
    let mut item = FromItem {
        plan,
        rels: left.rels,
        visible: left.visible,
    };
    item.rels.extend(right.rels);
    item.visible.extend(right.visible);
    Ok(item)
}

fn join_on(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
    conditions: Vec<Expr>,
) -> PgResult<LogicalPlan> {
    let builder = LogicalPlanBuilder::from(left);
    if conditions.is_empty() && kind == JoinType::Inner {
        return planned(
            builder
                .cross_join(right)
                .and_then(LogicalPlanBuilder::build),
        );
    }
    let condition = conditions
        .into_iter()
        .reduce(|a, b| binary(a, Operator::And, b))
        .unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(true)), None));
    planned(
        builder
            .join_on(right, kind, vec![condition])
            .and_then(LogicalPlanBuilder::build),
    )
}

fn alias_columns(rel: &mut Rel, alias: &ast::TableAlias) -> PgResult<()> {
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

fn has_columns(expr: &Expr) -> bool {
    !expr.column_refs().is_empty()
}

fn column_names(plan: &LogicalPlan) -> HashSet<String> {
    plan.schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

fn first_word(text: &str) -> String {
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}
