//! Expressions of a plan in the user's names.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr_common::physical_expr::fmt_sql;
use omnigraph_catalog::provider::GraphTable;

use crate::error::PgResult;
use crate::sqlstate::from_datafusion;

/// What the binder's names of columns (`c17`) stand for.
#[derive(Debug, Default)]
pub(super) struct Names {
    columns: HashMap<String, String>,
}

impl Names {
    pub(super) fn of(plan: &LogicalPlan) -> PgResult<Self> {
        let mut tables: HashMap<String, String> = HashMap::new();
        let mut renamed: Vec<(String, Option<String>, String)> = Vec::new();
        plan.apply(|node| {
            match node {
                LogicalPlan::TableScan(scan) => {
                    let provider = source_as_provider(&scan.source)?;
                    if let Some(table) = provider.downcast_ref::<GraphTable>() {
                        tables.insert(scan.table_name.to_string(), table.def().table.clone());
                    }
                }
                LogicalPlan::Projection(projection) => {
                    for expr in &projection.expr {
                        if let Expr::Alias(alias) = expr
                            && let Expr::Column(column) = alias.expr.as_ref()
                        {
                            let relation = column.relation.as_ref().map(ToString::to_string);
                            renamed.push((alias.name.clone(), relation, column.name.clone()));
                        }
                    }
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(|error| from_datafusion(&error))?;
        let several = tables.len() > 1;
        let mut columns: HashMap<String, String> = HashMap::new();
        // Outer projections come first, so what they rename is known when read from the end.
        for (name, relation, column) in renamed.into_iter().rev() {
            let shown = match relation.and_then(|relation| tables.get(&relation)) {
                Some(table) if several => format!("{table}.{column}"),
                Some(_) => column,
                None => columns.get(&column).cloned().unwrap_or(column),
            };
            columns.insert(name, shown);
        }
        Ok(Names { columns })
    }

    fn column(&self, name: &str) -> String {
        self.columns
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    }

    pub(super) fn text(&self, expr: &Arc<dyn PhysicalExpr>) -> String {
        let expr = expr.as_ref();
        if let Some(column) = expr.downcast_ref::<Column>() {
            return self.column(column.name());
        }
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return constant(literal.value());
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            let (left, right) = (self.text(binary.left()), self.text(binary.right()));
            return format!("({left} {} {right})", binary.op());
        }
        if let Some(not) = expr.downcast_ref::<NotExpr>() {
            return format!("(NOT {})", self.text(not.arg()));
        }
        if let Some(null) = expr.downcast_ref::<IsNullExpr>() {
            return format!("({} IS NULL)", self.text(null.arg()));
        }
        if let Some(not_null) = expr.downcast_ref::<IsNotNullExpr>() {
            return format!("({} IS NOT NULL)", self.text(not_null.arg()));
        }
        if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            return self.text(cast.expr());
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>() {
            let items: Vec<String> = list.list().iter().map(|item| self.text(item)).collect();
            let (operator, quantifier) = if list.negated() {
                ("<>", "ALL")
            } else {
                ("=", "ANY")
            };
            let left = self.text(list.expr());
            return format!("({left} {operator} {quantifier} ({{{}}}))", items.join(","));
        }
        fmt_sql(expr).to_string()
    }
}

fn constant(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Utf8(Some(text)) => format!("'{}'::text", text.replace('\'', "''")),
        ScalarValue::Boolean(Some(value)) => value.to_string(),
        _ if value.is_null() => "NULL".to_owned(),
        other => other.to_string(),
    }
}
