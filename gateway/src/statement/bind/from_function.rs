//! Functions in FROM.

use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::TableFunction;
use omnigraph_udfs::function::Effect;
use omnigraph_udfs::hybrid::Hybrid;
use omnigraph_udfs::nearest::Nearest;
use sqlparser::ast;

use super::apply::{Apply, ApplyKind};
use super::coerce::positioned;
use super::expr::{Ctx, SetCall};
use super::from::{Factor, FromItem, alias_columns};
use super::function_scan::FunctionScan;
use super::functions::undefined;
use super::gq::is_gq;
use super::json_record::RecordFunction;
use super::lateral::{column_names, has_columns, lateral_scope};
use super::scope::{Level, Rel, Scope, ScopeColumn, internal};
use super::set_function::element_type;
use super::subquery::{PendingApply, apply_all};
use super::table_arguments::about;
use super::typed::Typed;
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one function in FROM"
    )]
    pub(super) fn from_function(
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
        if is_gq(schema.as_deref(), &function_name) {
            return self.gq_factor(args, alias, ctx, at);
        }
        if let Some(function) = self.env.table_function(schema.as_deref(), &function_name) {
            return match function.name() {
                Nearest::NAME => self.nearest(&function, args, alias, ctx, at),
                Hybrid::NAME => self.hybrid(&function, args, alias, ctx, at),
                _ => self.table_function(function, args, alias, ordinality, ctx, left, at),
            };
        }
        if let Some(query) = self.stored_query(schema.as_deref(), &function_name) {
            return self.stored_factor(&query, args, alias, ordinality, ctx, left, at);
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
        self.check_notation(args)?;
        let is_known = super::catalog::functions_named(&function_name)
            .next()
            .is_some();
        let mut values = Vec::new();
        for arg in args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    values.push(self.expr(&mut ctx, expr)?)
                }
                _ if !is_known => return Err(undefined(&function_name, &values, at)),
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
        let columns = if let Some(function) = RecordFunction::named(&function_name) {
            let declared = self.declared_columns(function, alias, at)?;
            self.record_lists(function, values, declared, at)?
        } else if is_set && function_name == "unnest" {
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

    /// The column definition list of a function that returns any record.
    fn declared_columns(
        &self,
        function: RecordFunction,
        alias: Option<&ast::TableAlias>,
        at: Option<u32>,
    ) -> PgResult<Option<Vec<(String, PgType)>>> {
        if function.has_base {
            return Ok(None);
        }
        let declared = alias.map(|alias| alias.columns.as_slice()).unwrap_or(&[]);
        let mut columns = Vec::with_capacity(declared.len());
        for column in declared {
            let Some(data_type) = &column.data_type else {
                columns.clear();
                break;
            };
            columns.push((fold(&column.name), self.type_of(data_type, at)?));
        }
        if columns.is_empty() {
            let error = PgError::new(
                sqlstate::SYNTAX_ERROR,
                "a column definition list is required for functions returning \"record\"",
            );
            return Err(positioned(error, at));
        }
        Ok(Some(columns))
    }

    /// Lists as a table; each is a column.
    pub(super) fn lists(
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
    pub(super) fn table_function(
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
            .map_err(|error| {
                let about = about(&error, function.arguments(), &values);
                positioned(crate::sqlstate::from_function(&error), about.or(at))
            })?;
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
        let schema = Arc::new(Schema::new(fields));
        let name = function.name();
        self.over_arguments(name, exprs, ctx.applies, left, at, |_, exprs| {
            let node = planned(FunctionScan::new(
                Arc::clone(&function),
                exprs,
                Arc::clone(&schema),
            ))?;
            let visible = rel.columns.clone();
            Ok(FromItem {
                plan: LogicalPlan::Extension(Extension {
                    node: Arc::new(node),
                }),
                rels: vec![rel],
                visible,
            })
        })
    }

    /// What a function with arguments gives: alone, or once for each of the values that columns
    /// and subqueries among the arguments come to.
    pub(super) fn over_arguments(
        &mut self,
        function: &str,
        exprs: Vec<Expr>,
        applies: Vec<PendingApply>,
        left: Option<&FromItem>,
        at: Option<u32>,
        called: impl FnOnce(&mut Self, Vec<Expr>) -> PgResult<FromItem>,
    ) -> PgResult<Factor> {
        if applies.is_empty() && !exprs.iter().any(has_columns) {
            return called(self, exprs).map(Factor::Item);
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
                    let what = format!("a subquery beside a column as argument of {function}()");
                    return Err(unsupported(&what, at));
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
        let item = called(self, inward)?;
        if !subqueries {
            return Ok(Factor::Dependent { item, outer });
        }
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
        Ok(Factor::Item(FromItem { plan, ..item }))
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
}
