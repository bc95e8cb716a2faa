//! `FOR UPDATE` and `FOR SHARE`: which rows a query locks.
//!
//! As in PostgreSQL a clause is for the tables in FROM, or for those after OF, and for the
//! tables inside of subqueries there; a WITH query keeps to itself. The rows that are locked are
//! those that make up the query's result, after its LIMIT. Nobody ever waits for a lock, so
//! NOWAIT and SKIP LOCKED change nothing.

use std::rc::Rc;
use std::sync::Arc;

use datafusion::logical_expr::{Extension, LogicalPlan};
use omnigraph_engine::LockStrength;
use omnigraph_engine::names::BranchName;
use sqlparser::ast;

use super::coerce::positioned;
use super::graph_table::is_pattern;
use super::lock_rows::{LockRows, LockedTable};
use super::query::Body;
use super::scope::{Rel, Scope};
use super::{Binder, RelationKind, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// What one row of a query comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// One row of each of these tables.
    Rows(Rc<Scope>),
    Values,
    /// Any number of rows; as an error says it.
    Mixed(&'static str),
}

impl Origin {
    /// After a projection: the tables' columns are out of sight.
    pub(super) fn projected(self) -> Self {
        match self {
            Origin::Rows(_) => Origin::Mixed("ORDER BY outside of parentheses"),
            other => other,
        }
    }
}

/// Something in FROM that a clause may name.
struct Lockable {
    name: String,
    kind: Kind,
    /// On the side of an outer join that may be missing.
    nullable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    Query,
    Join,
    /// Nothing that has rows of its own; as an error says it.
    Other(&'static str),
}

impl Binder<'_> {
    /// Refuses clauses that have no meaning for the query.
    pub(super) fn check_locks(&self, query: &ast::Query) -> PgResult<()> {
        let mut tables = Vec::new();
        if let Some(select) = select_of(&query.body) {
            for tree in &select.from {
                tables.extend(self.lockables(tree));
            }
        }
        for clause in &query.locks {
            let verb = verb(clause);
            let at = clause.of.as_ref().and_then(|of| self.at(of));
            let refuse = |code, message| Err(positioned(PgError::new(code, message), at));
            if let Some(of) = &clause.of {
                let Some(name) = of_name(clause) else {
                    let message = format!("{verb} must specify unqualified relation names");
                    return refuse(sqlstate::SYNTAX_ERROR, message);
                };
                match tables.iter().find(|table| table.name == name) {
                    None => {
                        let message =
                            format!("relation \"{of}\" in {verb} clause not found in FROM clause");
                        return refuse(sqlstate::UNDEFINED_TABLE, message);
                    }
                    Some(table) => {
                        if let Kind::Other(what) = table.kind {
                            let message = format!("{verb} cannot be applied to {what}");
                            return refuse(sqlstate::FEATURE_NOT_SUPPORTED, message);
                        }
                    }
                }
            }
            for table in tables.iter().filter(|table| is_for(clause, &table.name)) {
                let what = match table.kind {
                    Kind::Join => "a join",
                    Kind::Table | Kind::Query if table.nullable => {
                        "the nullable side of an outer join"
                    }
                    _ => continue,
                };
                let message = format!("{verb} cannot be applied to {what}");
                return refuse(sqlstate::FEATURE_NOT_SUPPORTED, message);
            }
        }
        Ok(())
    }

    /// What a FROM item and its joins have to offer.
    fn lockables(&self, tree: &ast::TableWithJoins) -> Vec<Lockable> {
        use ast::JoinOperator as J;
        let mut all = self.lockables_of(&tree.relation);
        for join in &tree.joins {
            let mut right = self.lockables_of(&join.relation);
            let (left_may_miss, right_may_miss) = match join.join_operator {
                J::Left(_) | J::LeftOuter(_) => (false, true),
                J::Right(_) | J::RightOuter(_) => (true, false),
                J::FullOuter(_) => (true, true),
                _ => (false, false),
            };
            all.iter_mut()
                .for_each(|table| table.nullable |= left_may_miss);
            right
                .iter_mut()
                .for_each(|table| table.nullable |= right_may_miss);
            all.extend(right);
        }
        all
    }

    fn lockables_of(&self, factor: &ast::TableFactor) -> Vec<Lockable> {
        use ast::TableFactor as F;
        let one = |name, kind| {
            vec![Lockable {
                name,
                kind,
                nullable: false,
            }]
        };
        let called = |alias: &Option<ast::TableAlias>, name: Option<&ast::ObjectName>| {
            let last = name.and_then(|name| name.0.last()?.as_ident());
            match alias {
                Some(alias) => fold(&alias.name),
                None => last.map(fold).unwrap_or_default(),
            }
        };
        match factor {
            F::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let bare = called(&None, Some(name));
                let with = name.0.len() == 1 && self.ctes.iter().any(|cte| cte.name == bare);
                let kind = match with {
                    true => Kind::Other("a WITH query"),
                    false => Kind::Table,
                };
                one(called(alias, Some(name)), kind)
            }
            F::Table { name, alias, .. } | F::Function { name, alias, .. } => {
                let what = match is_pattern(name) {
                    true => "GRAPH_TABLE",
                    false => "a function",
                };
                one(called(alias, Some(name)), Kind::Other(what))
            }
            F::Derived {
                subquery, alias, ..
            } => {
                let kind = match subquery.body.as_ref() {
                    ast::SetExpr::Values(_) => Kind::Other("VALUES"),
                    _ => Kind::Query,
                };
                one(called(alias, None), kind)
            }
            F::NestedJoin {
                table_with_joins,
                alias: None,
            } => self.lockables(table_with_joins),
            F::NestedJoin { alias, .. } => one(called(alias, None), Kind::Join),
            F::UNNEST { alias, .. } => one(called(alias, None), Kind::Other("a function")),
            _ => Vec::new(),
        }
    }

    /// The query with the rows of its tables locked as the clauses say.
    pub(super) fn lock_rows(&mut self, body: Body, clauses: &[ast::LockClause]) -> PgResult<Body> {
        let verb = clauses.first().map_or("FOR UPDATE", verb);
        let scope = match &body.origin {
            Origin::Rows(scope) => Rc::clone(scope),
            Origin::Values => {
                let message = format!("{verb} cannot be applied to VALUES");
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
            Origin::Mixed(what) => {
                let message = format!("{verb} is not allowed with {what}");
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
        };
        let mut tables = Vec::new();
        for rel in &scope.rels {
            let strength = clauses
                .iter()
                .filter(|clause| is_for(clause, &rel.alias))
                .map(strength)
                .max();
            if let Some(strength) = strength {
                tables.extend(self.locked_table(rel, strength)?);
            }
        }
        if tables.is_empty() {
            return Ok(body);
        }
        let node = LockRows {
            input: body.plan,
            tables,
        };
        Ok(Body {
            plan: LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            }),
            ..body
        })
    }

    /// `None`: what the catalogs show, and the rows of subqueries, which lock their own.
    fn locked_table(&mut self, rel: &Rel, strength: LockStrength) -> PgResult<Option<LockedTable>> {
        let mut uses = self.reads.iter().filter(|used| used.oid == rel.oid);
        if rel.oid != 0
            && uses.clone().next().is_some()
            && uses.clone().all(|used| used.at.is_some())
        {
            return Err(unsupported("locking rows of a table as it was", None));
        }
        let used = uses.find(|used| used.at.is_none());
        let (Some(used), Some(key)) = (used, rel.key.first()) else {
            return Ok(None);
        };
        let (RelationKind::Node(table) | RelationKind::Edge(table)) = used.kind else {
            return Ok(None);
        };
        let Ok(branch) = BranchName::parse(&used.schema) else {
            return Err(unsupported("locking rows of this schema", None));
        };
        if !self.locks.contains(&branch) {
            self.locks.push(branch.clone());
        }
        Ok(Some(LockedTable {
            branch,
            table,
            strength,
            id: rel.columns[*key].expr.clone(),
        }))
    }
}

/// The query with its clauses also in the subqueries of FROM that they are for.
pub(super) fn pushed_down(query: &ast::Query) -> ast::Query {
    let mut query = query.clone();
    if let Some(select) = select_of_mut(&mut query.body) {
        for tree in &mut select.from {
            push_into(tree, &query.locks);
        }
    }
    query
}

fn push_into(tree: &mut ast::TableWithJoins, clauses: &[ast::LockClause]) {
    let joined = tree.joins.iter_mut().map(|join| &mut join.relation);
    for factor in std::iter::once(&mut tree.relation).chain(joined) {
        match factor {
            ast::TableFactor::Derived {
                subquery, alias, ..
            } => {
                let name = alias.as_ref().map(|alias| fold(&alias.name));
                let values = matches!(subquery.body.as_ref(), ast::SetExpr::Values(_));
                let inward = clauses
                    .iter()
                    .filter(|clause| !values && is_for(clause, name.as_deref().unwrap_or_default()))
                    .map(|clause| ast::LockClause {
                        of: None,
                        ..clause.clone()
                    });
                subquery.locks.extend(inward);
            }
            ast::TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => push_into(table_with_joins, clauses),
            _ => {}
        }
    }
}

fn select_of(body: &ast::SetExpr) -> Option<&ast::Select> {
    match body {
        ast::SetExpr::Select(select) => Some(select),
        ast::SetExpr::Query(query) => select_of(&query.body),
        _ => None,
    }
}

fn select_of_mut(body: &mut ast::SetExpr) -> Option<&mut ast::Select> {
    match body {
        ast::SetExpr::Select(select) => Some(select),
        ast::SetExpr::Query(query) => select_of_mut(&mut query.body),
        _ => None,
    }
}

fn is_for(clause: &ast::LockClause, alias: &str) -> bool {
    clause.of.is_none() || of_name(clause).is_some_and(|name| name == alias)
}

/// The name after OF, if it is a simple one.
fn of_name(clause: &ast::LockClause) -> Option<String> {
    match clause.of.as_ref()?.0.as_slice() {
        [part] => part.as_ident().map(fold),
        _ => None,
    }
}

fn verb(clause: &ast::LockClause) -> &'static str {
    match strength(clause) {
        LockStrength::Update => "FOR UPDATE",
        LockStrength::Share => "FOR SHARE",
    }
}

fn strength(clause: &ast::LockClause) -> LockStrength {
    match clause.lock_type {
        ast::LockType::Update => LockStrength::Update,
        ast::LockType::Share => LockStrength::Share,
    }
}
