//! The SELECT list, and RETURNING's.

use std::rc::Rc;

use sqlparser::ast;

use super::coerce::positioned;
use super::expr::Ctx;
use super::query::Target;
use super::scope::Scope;
use super::typed::Kind;
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    /// The SELECT list; also RETURNING's.
    pub(super) fn target_list(
        &mut self,
        ctx: &mut Ctx,
        items: &[ast::SelectItem],
        scope: &Rc<Scope>,
    ) -> PgResult<Vec<Target>> {
        let mut targets = Vec::new();
        for item in items {
            match item {
                ast::SelectItem::UnnamedExpr(expr) => {
                    // `(row).*` has no place in the tree but this.
                    let value = self.expr(ctx, expr)?;
                    targets.push(Target {
                        name: super::naming::column_name(expr),
                        value,
                    });
                }
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    let value = self.expr(ctx, expr)?;
                    targets.push(Target {
                        name: fold(alias),
                        value,
                    });
                }
                ast::SelectItem::Wildcard(_) => {
                    if scope.visible.is_empty() && scope.rels.is_empty() {
                        return Err(PgError::new(
                            sqlstate::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                    for column in &scope.visible {
                        ctx.used
                            .push((column.expr.clone(), None, column.name.clone()));
                        targets.push(Target {
                            name: column.name.clone(),
                            value: column.typed(),
                        });
                    }
                }
                ast::SelectItem::QualifiedWildcard(kind, _) => {
                    let ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        let ast::SelectItemQualifiedWildcardKind::Expr(expr) = kind else {
                            continue;
                        };
                        let value = self.expr(ctx, expr)?;
                        let at = value.at;
                        let Kind::Row(fields) = value.kind else {
                            return Err(unsupported("the fields of this expression", at));
                        };
                        targets.extend(
                            fields
                                .into_iter()
                                .map(|(name, value)| Target { name, value }),
                        );
                        continue;
                    };
                    let parts: Vec<String> = name
                        .0
                        .iter()
                        .filter_map(|part| part.as_ident())
                        .map(fold)
                        .collect();
                    let table = parts.last().cloned().unwrap_or_default();
                    let schema = if parts.len() > 1 {
                        Some(self.path.schema(&parts[parts.len() - 2]).to_owned())
                    } else {
                        None
                    };
                    let fields = match scope.rel(schema.as_deref(), &table) {
                        Some(rel) => rel
                            .columns
                            .iter()
                            .map(|column| (column.name.clone(), column.typed()))
                            .collect(),
                        None => scope.row(&table, &mut self.fresh).ok_or_else(|| {
                            positioned(
                                PgError::new(
                                    sqlstate::UNDEFINED_TABLE,
                                    format!("missing FROM-clause entry for table \"{table}\""),
                                ),
                                self.at(item),
                            )
                        })?,
                    };
                    for (field, value) in fields {
                        ctx.used
                            .push((value.expr.clone(), None, format!("{table}.{field}")));
                        targets.push(Target { name: field, value });
                    }
                }
                ast::SelectItem::ExprWithAliases { .. } => {
                    return Err(unsupported(
                        "several aliases for one expression",
                        self.at(item),
                    ));
                }
            }
        }
        Ok(targets)
    }
}
