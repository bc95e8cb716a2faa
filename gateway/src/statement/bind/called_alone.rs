//! `SELECT f(…)` with a table function and nothing else is `SELECT * FROM f(…)`.

use std::borrow::Cow;

use sqlparser::ast;

use super::Binder;

impl Binder<'_> {
    /// The query with a function that is all of it put into FROM. It must have one column,
    /// which is then named as PostgreSQL names it.
    pub(super) fn called_alone<'q>(&self, query: &'q ast::Query) -> Cow<'q, ast::Query> {
        match self.as_from(query) {
            Some(rewritten) => Cow::Owned(rewritten),
            None => Cow::Borrowed(query),
        }
    }

    fn as_from(&self, query: &ast::Query) -> Option<ast::Query> {
        let ast::SetExpr::Select(select) = &*query.body else {
            return None;
        };
        let [item] = select.projection.as_slice() else {
            return None;
        };
        let (function, shown) = match item {
            ast::SelectItem::UnnamedExpr(ast::Expr::Function(function)) => (
                function,
                ast::SelectItem::Wildcard(ast::WildcardAdditionalOptions::default()),
            ),
            ast::SelectItem::ExprWithAlias {
                expr: ast::Expr::Function(function),
                alias,
            } => {
                let column = function.name.0.last()?.as_ident()?.clone();
                let shown = ast::SelectItem::ExprWithAlias {
                    expr: ast::Expr::Identifier(column),
                    alias: alias.clone(),
                };
                (function, shown)
            }
            _ => return None,
        };
        let ast::FunctionArguments::List(arguments) = &function.args else {
            return None;
        };
        let plain = select.from.is_empty()
            && select.selection.is_none()
            && function.over.is_none()
            && function.filter.is_none()
            && arguments.clauses.is_empty();
        let (schema, name) = self.function_name(&function.name, None).ok()?;
        let columns = match self.env.table_function(schema.as_deref(), &name) {
            Some(called) => {
                let unknown = vec![None; called.arguments().len()];
                called.columns(&unknown, None).ok()?.len()
            }
            None => {
                let called = self.stored_query(schema.as_deref(), &name)?;
                called.columns.as_ref()?.len()
            }
        };
        if !plain || columns != 1 {
            return None;
        }
        let relation = ast::TableFactor::Table {
            name: function.name.clone(),
            alias: None,
            args: Some(ast::TableFunctionArgs {
                args: arguments.args.clone(),
                settings: None,
            }),
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        };
        let mut rewritten = query.clone();
        let mut select = (**select).clone();
        select.projection = vec![shown];
        select.from = vec![ast::TableWithJoins {
            relation,
            joins: Vec::new(),
        }];
        rewritten.body = Box::new(ast::SetExpr::Select(Box::new(select)));
        Some(rewritten)
    }
}
