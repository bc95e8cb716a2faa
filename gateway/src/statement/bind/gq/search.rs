//! What `search`, `fuzzy`, `match_text`, `bm25`, `nearest` and `rrf` say in SQL.
//!
//! The first three are conditions on a text. The others rank what was matched: a rank is a
//! column beside the pattern's, and rows that a query is ordered by and that have none are
//! left out.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::query::{Expr, Read, Search, Variable, VariableId};
use omnigraph_engine::schema::TypeDef;
use omnigraph_engine::search::{Analyzer, Metric};
use omnigraph_udfs::text_search::score_column;
use sqlparser::ast;

use super::super::nearest::distance;
use super::super::typed::Typed;
use super::super::{Binder, unsupported};
use super::value::{Names, all, call, column_name, given, ident, literal, operation};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse;

/// The score that a row has in the index, whatever else is matched.
const SCORE: &str = r#"
    SELECT max(s."score") FROM search($1, $2, $3, k => NULL, analyzer => $4) s WHERE s.id = "id""#;

/// What a place among the nearest, and among the best, adds.
const PLACE_OF_DISTANCE: &str = r#"
    SELECT coalesce(1e0 / ($1 + CASE WHEN "rank" IS NOT NULL
        THEN dense_rank() OVER (ORDER BY "rank" NULLS LAST) END), 0)"#;
const PLACE_OF_SCORE: &str = r#"
    SELECT coalesce(1e0 / ($1 + CASE WHEN "rank" IS NOT NULL
        THEN dense_rank() OVER (ORDER BY "rank" DESC NULLS LAST) END), 0)"#;

/// How little the first places stand out, unless a query says so.
const FUSION: f64 = 60.0;

/// The ranks that a query looks at, each once.
pub(super) fn ranks(read: &Read) -> Vec<&Expr> {
    let outputs = read.outputs.iter().map(|output| &output.value);
    let mut ranks: Vec<&Expr> = Vec::new();
    for expr in outputs.chain(read.order.iter().map(|sort| &sort.value)) {
        for rank in ranks_of(expr) {
            if !ranks.contains(&rank) {
                ranks.push(rank);
            }
        }
    }
    ranks
}

fn ranks_of(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    expr.walk(&mut |expr| {
        if let Expr::Search {
            function: Search::Bm25 | Search::Nearest,
            ..
        } = expr
        {
            found.push(expr);
        }
    });
    found
}

/// The condition that what a query is ordered by is there.
pub(super) fn ranked(read: &Read, ranks: &[&Expr]) -> Option<ast::Expr> {
    let or = |left, right| operation(left, ast::BinaryOperator::Or, right);
    let conditions = read.order.iter().filter_map(|sort| {
        ranks_of(&sort.value)
            .into_iter()
            .map(|rank| ast::Expr::IsNotNull(Box::new(rank_column(rank, ranks))))
            .reduce(or)
            .map(|any| ast::Expr::Nested(Box::new(any)))
    });
    all(conditions.collect())
}

/// What is ordered by it has the best first, without being told.
pub(super) fn is_best_first(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Search {
            function: Search::Rrf,
            ..
        }
    )
}

/// No query can write it: dots are in no name.
fn rank_name(rank: &Expr, ranks: &[&Expr]) -> String {
    let at = ranks.iter().position(|known| *known == rank);
    format!("rank.{}", at.unwrap_or_default())
}

fn rank_column(rank: &Expr, ranks: &[&Expr]) -> ast::Expr {
    ast::Expr::Identifier(ident(&rank_name(rank, ranks)))
}

impl Binder<'_> {
    /// What was matched, with its ranks as columns.
    pub(super) fn gq_ranked(
        &mut self,
        variables: &[Variable],
        ranks: &[&Expr],
        matched: ast::TableWithJoins,
    ) -> PgResult<ast::TableWithJoins> {
        if ranks.is_empty() {
            return Ok(matched);
        }
        let made = || PgError::new(sqlstate::INTERNAL_ERROR, "a template of another form");
        let outer = parse::template("SELECT 1 FROM (SELECT * FROM t) AS ranked", &[], 0)?;
        let ast::SetExpr::Select(outer) = *outer.body else {
            return Err(made());
        };
        let mut relation = outer.from.into_iter().next().ok_or_else(made)?;
        let ast::TableFactor::Derived { subquery, .. } = &mut relation.relation else {
            return Err(made());
        };
        let ast::SetExpr::Select(inner) = subquery.body.as_mut() else {
            return Err(made());
        };
        inner.from = vec![matched];
        for rank in ranks {
            inner.projection.push(ast::SelectItem::ExprWithAlias {
                expr: self.gq_rank(rank, variables)?,
                alias: ident(&rank_name(rank, ranks)),
            });
        }
        Ok(relation)
    }

    fn gq_rank(&mut self, rank: &Expr, variables: &[Variable]) -> PgResult<ast::Expr> {
        let Expr::Search {
            function,
            arguments,
        } = rank
        else {
            return Err(PgError::new(sqlstate::INTERNAL_ERROR, "no rank"));
        };
        let [Expr::Property(id, column), query] = arguments.as_slice() else {
            return Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                format!("{}() without its arguments", function.name()),
            ));
        };
        match function {
            Search::Nearest => self.gq_distance(variables, *id, column, query),
            _ => self.gq_score(variables, *id, column, query),
        }
    }

    fn gq_distance(
        &mut self,
        variables: &[Variable],
        id: VariableId,
        column: &str,
        query: &Expr,
    ) -> PgResult<ast::Expr> {
        let is_text = match query {
            Expr::Text(_) => true,
            Expr::Parameter(at) => self.given.get(*at).is_some_and(|v| v.ty == PgType::TEXT),
            _ => false,
        };
        if is_text {
            let error = unsupported("a text as the query of nearest()", None);
            return Err(error.hint("Give the vector itself: this version has no embeddings."));
        }
        let names = Names::Columns(variables, &[]);
        let held = self.gq_value(&Expr::Property(id, column.to_owned()), names)?;
        let query = match query {
            Expr::List(_) => call("vector", false, vec![self.gq_value(query, names)?]),
            query => self.gq_value(query, names)?,
        };
        let defs = self.gq_types(variables, id);
        let metric = defs.iter().find_map(|def| {
            let property = def.properties.iter();
            let at = property.clone().position(|known| known.column == column)?;
            Some(Metric::declared(def, at))
        });
        let name = distance(metric.flatten().unwrap_or(Metric::Cosine));
        Ok(call(name, false, vec![held, query]))
    }

    fn gq_score(
        &mut self,
        variables: &[Variable],
        id: VariableId,
        column: &str,
        words: &Expr,
    ) -> PgResult<ast::Expr> {
        let defs = self.gq_types(variables, id);
        let [def] = defs.as_slice() else {
            return Err(unsupported("bm25() over nodes of several types", None));
        };
        let words = match words {
            Expr::Text(words) => text(words),
            Expr::Parameter(at) if *at < self.given.len() => self.given[*at].clone(),
            _ => {
                let error = unsupported("words of bm25() that are not the same for all rows", None);
                return Err(error.hint("They can be a text or a parameter."));
            }
        };
        let first = self.given.len();
        let analyzer = analyzer(&defs, column).name();
        self.given
            .extend([text(&def.table), text(column), words, text(analyzer)]);
        let outer = column_name(variables, id, "id");
        let query = parse::template(
            SCORE,
            &[("id", &outer), ("score", score_column(def))],
            first,
        )?;
        Ok(ast::Expr::Subquery(Box::new(query)))
    }

    fn gq_types(&self, variables: &[Variable], id: VariableId) -> Vec<Arc<TypeDef>> {
        let types = variables.get(id).map(|variable| variable.types.as_slice());
        let Some(graph) = self.graphs.last() else {
            return Vec::new();
        };
        let known = types.unwrap_or_default().iter();
        known
            .filter_map(|id| graph.schema.by_id(*id).cloned())
            .collect()
    }

    /// A search as a value.
    pub(super) fn gq_search(
        &mut self,
        function: Search,
        arguments: &[Expr],
        whole: &Expr,
        names: Names<'_>,
    ) -> PgResult<ast::Expr> {
        let condition = match function {
            Search::Search => "has_any_word",
            Search::MatchText => "matches_text",
            Search::Fuzzy => "has_near_words",
            Search::Bm25 | Search::Nearest | Search::Rrf => {
                let Names::Columns(_, ranks) = names else {
                    return Err(unsupported(&format!("{}() here", function.name()), None));
                };
                return match function {
                    Search::Rrf => self.gq_fusion(arguments, ranks),
                    _ => Ok(rank_column(whole, ranks)),
                };
            }
        };
        let mut values = self.gq_values(arguments, names)?;
        if let Search::Fuzzy = function {
            let edits = match values.len() {
                2 => literal(ast::Value::Number("1".to_owned(), false)),
                _ => values.remove(2),
            };
            values.push(call("int4", false, vec![edits]));
        }
        let analyzer = match (arguments.first(), names) {
            (
                Some(Expr::Property(id, column)),
                Names::Pattern(variables) | Names::Columns(variables, _),
            ) => analyzer(&self.gq_types(variables, *id), column),
            _ => Analyzer::English,
        };
        let analyzer = analyzer.name().to_owned();
        values.push(literal(ast::Value::SingleQuotedString(analyzer)));
        Ok(call(condition, false, values))
    }

    /// `rrf(rank, rank, k)`: one by the sum of k and the place, for each.
    fn gq_fusion(&mut self, arguments: &[Expr], ranks: &[&Expr]) -> PgResult<ast::Expr> {
        let fusion = match arguments.get(2) {
            None => Typed::value(ScalarValue::Float64(Some(FUSION)), PgType::FLOAT8),
            Some(Expr::Number(number)) => {
                let number = number.parse().unwrap_or(FUSION);
                Typed::value(ScalarValue::Float64(Some(number)), PgType::FLOAT8)
            }
            Some(Expr::Parameter(at)) if *at < self.given.len() => self.given[*at].clone(),
            Some(_) => {
                return Err(unsupported(
                    "a k of rrf() that is neither number nor parameter",
                    None,
                ));
            }
        };
        let place = self.given.len();
        self.given.push(fusion);
        let mut sum: Option<ast::Expr> = None;
        for rank in arguments.iter().take(2) {
            let template = match rank {
                Expr::Search {
                    function: Search::Nearest,
                    ..
                } => PLACE_OF_DISTANCE,
                _ => PLACE_OF_SCORE,
            };
            let name = rank_name(rank, ranks);
            let query = parse::template(template, &[("rank", &name)], place)?;
            let ast::SetExpr::Select(select) = *query.body else {
                continue;
            };
            let Some(ast::SelectItem::UnnamedExpr(part)) = select.projection.into_iter().next()
            else {
                continue;
            };
            sum = Some(match sum {
                Some(sum) => operation(sum, ast::BinaryOperator::Plus, part),
                None => part,
            });
        }
        Ok(sum.unwrap_or_else(|| given(place)))
    }
}

/// How texts of a property become words, where nothing is said as English ones.
fn analyzer(defs: &[Arc<TypeDef>], column: &str) -> Analyzer {
    let declared = defs.iter().find_map(|def| {
        let mut properties = def.properties.iter();
        let at = properties.position(|known| known.column == column)?;
        Analyzer::declared(def, at)
    });
    declared.unwrap_or(Analyzer::English)
}

fn text(value: &str) -> Typed {
    Typed::value(ScalarValue::from(value), PgType::TEXT)
}
