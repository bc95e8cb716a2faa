//! `.gq` text → syntax with spans. Nothing is resolved here; see check.rs.

use pest::Parser;
use pest::error::InputLocation;
use pest::iterators::Pair;

use super::error::{Kind, Mistakes};
use super::syntax::{
    BodySyntax, ChangeSyntax, ClauseSyntax, ExprKind, ExprSyntax, FieldSyntax, Operator,
    OutputSyntax, ParameterSyntax, QuerySyntax, ReadSyntax, TraverseSyntax,
};
use crate::schema::{PropertyType, Scalar, Span, Spanned, skip_blank, syntax_error, unescape};

/// The parser that pest makes of the grammar.
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "query/gq.pest"]
    pub(crate) struct Grammar;
}
use grammar::{Grammar, Rule};

/// Larger sources are refused before they are read.
const MAX_SOURCE_BYTES: usize = 1 << 20;
/// Parentheses and calls may be nested so deep.
const MAX_DEPTH: usize = 128;
/// Operators of one kind in a row.
const MAX_CHAIN: usize = 128;

/// All queries of a source. After a syntax error, reading goes on at the next line that begins
/// with `query`.
pub(super) fn parse(source: &str, mistakes: &mut Mistakes<'_>) -> Vec<QuerySyntax> {
    if source.len() > MAX_SOURCE_BYTES {
        let message = format!(
            "the queries have {} bytes; the limit is {MAX_SOURCE_BYTES}",
            source.len()
        );
        mistakes.push(Kind::Limit, Span { start: 0, end: 0 }, message);
        return Vec::new();
    }
    if let Some(at) = too_deep(source) {
        let message = format!("parentheses are nested more than {MAX_DEPTH} deep here");
        mistakes.push(Kind::Limit, Span { start: at, end: at }, message);
        return Vec::new();
    }
    let mut queries = Vec::new();
    let mut at = 0;
    loop {
        at += skip_blank(&source[at..]);
        if at >= source.len() {
            return queries;
        }
        match Grammar::parse(Rule::query, &source[at..]) {
            Ok(mut pairs) => {
                let Some(pair) = pairs.next() else {
                    return queries;
                };
                let end = pair.as_span().end();
                let mut reader = Reader { base: at, mistakes };
                queries.extend(reader.query(pair));
                // A query has at least its keyword, so this moves on.
                at += end.max(1);
            }
            Err(error) => {
                let (InputLocation::Pos(place) | InputLocation::Span((place, _))) = error.location;
                let place = at + place;
                let message =
                    syntax_error::describe(&error, source, place, "the query", expectation);
                mistakes.push(Kind::Syntax, syntax_error::word_at(source, place), message);
                match next_query(source, place.max(at + 1)) {
                    Some(next) => at = next,
                    None => return queries,
                }
            }
        }
    }
}

/// Where brackets are nested deeper than the parser follows them.
fn too_deep(source: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in source.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'\n' => in_string = false,
            b'(' | b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(at);
                }
            }
            b')' | b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Where the next line after `from` begins that looks like a query.
fn next_query(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while !source.is_char_boundary(at) {
        at += 1;
    }
    loop {
        at += source.get(at..)?.find('\n')? + 1;
        let line = source[at..].trim_start_matches([' ', '\t']);
        if line.starts_with("query ") {
            return Some(source.len() - line.len());
        }
    }
}

struct Reader<'r, 's> {
    /// Where the query's text begins in the source.
    base: usize,
    mistakes: &'r mut Mistakes<'s>,
}

impl Reader<'_, '_> {
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        // Trailing white space is no part of what was written.
        Span {
            start: self.base + span.start(),
            end: self.base + span.start() + pair.as_str().trim_end().len(),
        }
    }

    fn spanned(&self, pair: &Pair<'_, Rule>) -> Spanned<String> {
        Spanned {
            value: pair.as_str().trim_start_matches('$').to_owned(),
            span: self.span(pair),
        }
    }

    fn query(&mut self, pair: Pair<'_, Rule>) -> Option<QuerySyntax> {
        let mut name = None;
        let mut parameters = Vec::new();
        let mut annotations = Vec::new();
        let mut body = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.spanned(&part)),
                Rule::parameter => parameters.extend(self.parameter(part)),
                Rule::annotation => annotations.extend(self.annotation(part)),
                Rule::read => body = Some(BodySyntax::Read(self.read(part))),
                Rule::changes => body = Some(BodySyntax::Changes(self.changes(part))),
                _ => {}
            }
        }
        Some(QuerySyntax {
            name: name?,
            parameters,
            annotations,
            body: body?,
        })
    }

    fn parameter(&mut self, pair: Pair<'_, Rule>) -> Option<ParameterSyntax> {
        let mut name = None;
        let (mut ty, mut nullable) = (None, false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::variable => name = Some(self.spanned(&part)),
                Rule::value_type => {
                    for inner in part.into_inner() {
                        match inner.as_rule() {
                            Rule::optional => nullable = true,
                            _ => ty = self.value_type(inner),
                        }
                    }
                }
                _ => {}
            }
        }
        Some(ParameterSyntax {
            name: name?,
            ty,
            nullable,
        })
    }

    fn value_type(&mut self, pair: Pair<'_, Rule>) -> Option<PropertyType> {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let text = match rule {
            Rule::name => pair.as_str().to_owned(),
            _ => pair
                .into_inner()
                .find(|inner| matches!(inner.as_rule(), Rule::name | Rule::integer))
                .map(|inner| inner.as_str().to_owned())?,
        };
        let found = match rule {
            Rule::vector_type => text
                .parse()
                .ok()
                .filter(|dimension| *dimension > 0)
                .map(PropertyType::Vector),
            Rule::list_type => Scalar::from_name(&text).map(PropertyType::List),
            _ => Scalar::from_name(&text).map(PropertyType::Scalar),
        };
        if found.is_none() {
            let message = format!("type \"{text}\" does not exist");
            let hint = "Types of parameters are String, Blob, Bool, I32, I64, U32, U64, F32, F64, Date, DateTime, lists of them as [String], and Vector(n).";
            self.mistakes.push_hint(Kind::Type, span, message, hint);
        }
        found
    }

    fn annotation(&mut self, pair: Pair<'_, Rule>) -> Option<(Spanned<String>, String)> {
        let mut parts = pair.into_inner();
        let name = parts.next()?;
        let name = Spanned {
            value: name.as_str().trim_start_matches('@').to_owned(),
            span: self.span(&name),
        };
        let text = parts.find(|part| part.as_rule() == Rule::string)?;
        Some((name, text_of(text)))
    }

    fn read(&mut self, pair: Pair<'_, Rule>) -> ReadSyntax {
        let mut read = ReadSyntax::default();
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::clauses => read.clauses = self.clauses(part),
                Rule::returns => {
                    for item in part.into_inner() {
                        match item.as_rule() {
                            Rule::kw_distinct => read.distinct = true,
                            Rule::output => read.outputs.extend(self.output(item)),
                            _ => {}
                        }
                    }
                }
                Rule::order => {
                    if !read.order.is_empty() {
                        self.twice(span, "order");
                    }
                    for item in part.into_inner() {
                        if item.as_rule() == Rule::sort {
                            read.order.extend(self.sort(item));
                        }
                    }
                }
                Rule::limit => {
                    if read.limit.is_some() {
                        self.twice(span, "limit");
                    }
                    read.limit = self.count(part);
                }
                Rule::offset => {
                    if read.offset.is_some() {
                        self.twice(span, "offset");
                    }
                    read.offset = self.count(part);
                }
                _ => {}
            }
        }
        read
    }

    fn twice(&mut self, span: Span, what: &str) {
        self.mistakes
            .push(Kind::Syntax, span, format!("{what} is given twice"));
    }

    fn count(&mut self, pair: Pair<'_, Rule>) -> Option<Spanned<u64>> {
        let number = pair
            .into_inner()
            .find(|part| part.as_rule() == Rule::integer)?;
        let span = self.span(&number);
        match number.as_str().parse::<i64>() {
            Ok(value) => Some(Spanned {
                value: value.unsigned_abs(),
                span,
            }),
            Err(_) => {
                self.mistakes
                    .push(Kind::Syntax, span, "the number is too large");
                None
            }
        }
    }

    fn clauses(&mut self, pair: Pair<'_, Rule>) -> Vec<ClauseSyntax> {
        pair.into_inner()
            .filter(|part| part.as_rule() == Rule::clause)
            .filter_map(|part| self.clause(part.into_inner().next()?))
            .collect()
    }

    fn clause(&mut self, pair: Pair<'_, Rule>) -> Option<ClauseSyntax> {
        Some(match pair.as_rule() {
            Rule::absent => {
                let inner = pair
                    .into_inner()
                    .find(|part| part.as_rule() == Rule::clauses)?;
                ClauseSyntax::Not(self.clauses(inner))
            }
            Rule::bind => {
                let (mut variable, mut ty, mut fields) = (None, None, Vec::new());
                for part in pair.into_inner() {
                    match part.as_rule() {
                        Rule::variable => variable = Some(self.spanned(&part)),
                        Rule::type_name => ty = Some(self.spanned(&part)),
                        Rule::fields => fields = self.fields(part),
                        _ => {}
                    }
                }
                ClauseSyntax::Bind {
                    variable: variable?,
                    ty: ty?,
                    fields,
                }
            }
            Rule::traverse => ClauseSyntax::Traverse(self.traverse(pair)?),
            _ => ClauseSyntax::Condition(self.expression(pair.into_inner().next()?)?),
        })
    }

    fn traverse(&mut self, pair: Pair<'_, Rule>) -> Option<TraverseSyntax> {
        let mut variables = Vec::new();
        let (mut edge, mut undirected, mut hops) = (None, false, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::variable => variables.push(self.spanned(&part)),
                Rule::edge_name => edge = Some(self.spanned(&part)),
                Rule::undirected => {
                    undirected = true;
                    let name = part
                        .into_inner()
                        .find(|inner| inner.as_rule() == Rule::edge_name)?;
                    edge = Some(self.spanned(&name));
                }
                Rule::hops => hops = self.hops(part),
                _ => {}
            }
        }
        let to = variables.pop()?;
        let mut variables = variables.into_iter();
        Some(TraverseSyntax {
            from: variables.next()?,
            variable: variables.next(),
            edge: edge?,
            undirected,
            hops,
            to,
        })
    }

    fn hops(&mut self, pair: Pair<'_, Rule>) -> Option<Spanned<(u32, Option<u32>)>> {
        let span = self.span(&pair);
        let inner = pair
            .into_inner()
            .find(|part| matches!(part.as_rule(), Rule::bounded | Rule::integer))?;
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let value = if inner.as_rule() == Rule::integer {
            number(inner.as_str()).map(|hops| (hops, Some(hops)))
        } else {
            let (mut min, mut max) = (Some(0), Some(None));
            for bound in inner.into_inner() {
                match bound.as_rule() {
                    Rule::lower => min = number(bound.as_str()),
                    Rule::upper => max = number(bound.as_str()).map(Some),
                    _ => {}
                }
            }
            min.zip(max)
        };
        if value.is_none() {
            self.mistakes
                .push(Kind::Syntax, span, "the number of hops is too large");
        }
        Some(Spanned {
            value: value?,
            span,
        })
    }

    fn fields(&mut self, pair: Pair<'_, Rule>) -> Vec<FieldSyntax> {
        pair.into_inner()
            .filter(|part| part.as_rule() == Rule::field)
            .filter_map(|part| {
                let mut inner = part.into_inner();
                let name = self.spanned(&inner.next()?);
                let value = inner.find(|part| part.as_rule() == Rule::expression)?;
                let value = self.expression(value)?;
                Some(FieldSyntax { name, value })
            })
            .collect()
    }

    fn output(&mut self, pair: Pair<'_, Rule>) -> Option<OutputSyntax> {
        let (mut value, mut alias) = (None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::expression => value = self.expression(part),
                Rule::name => alias = Some(self.spanned(&part)),
                _ => {}
            }
        }
        Some(OutputSyntax {
            value: value?,
            alias,
        })
    }

    /// The expression, and whether the greatest come first.
    fn sort(&mut self, pair: Pair<'_, Rule>) -> Option<(ExprSyntax, bool)> {
        let mut inner = pair.into_inner();
        let value = self.expression(inner.next()?)?;
        let descending = inner.any(|part| part.as_rule() == Rule::descending);
        Some((value, descending))
    }

    fn changes(&mut self, pair: Pair<'_, Rule>) -> Vec<ChangeSyntax> {
        pair.into_inner()
            .filter_map(|part| self.change(part))
            .collect()
    }

    fn change(&mut self, pair: Pair<'_, Rule>) -> Option<ChangeSyntax> {
        let rule = pair.as_rule();
        let (mut ty, mut fields, mut condition) = (None, Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::type_name => ty = Some(self.spanned(&part)),
                Rule::fields => fields = self.fields(part),
                Rule::expression => condition = self.expression(part),
                _ => {}
            }
        }
        Some(match rule {
            Rule::insert => ChangeSyntax::Insert { ty: ty?, fields },
            Rule::update => ChangeSyntax::Update {
                ty: ty?,
                fields,
                condition: condition?,
            },
            Rule::delete => ChangeSyntax::Delete {
                ty: ty?,
                condition: condition?,
            },
            _ => return None,
        })
    }

    fn expression(&mut self, pair: Pair<'_, Rule>) -> Option<ExprSyntax> {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        match rule {
            Rule::expression | Rule::conjunction => {
                let mut parts = Vec::new();
                for part in pair.into_inner() {
                    if matches!(part.as_rule(), Rule::conjunction | Rule::negation) {
                        parts.push(self.expression(part)?);
                    }
                }
                if parts.len() == 1 {
                    return parts.pop();
                }
                let kind = match rule {
                    Rule::expression => ExprKind::Or(parts),
                    _ => ExprKind::And(parts),
                };
                Some(ExprSyntax { span, kind })
            }
            // Two of the same prefix undo each other.
            Rule::negation | Rule::signed => {
                let mut inner: Vec<_> = pair.into_inner().collect();
                let value = self.expression(inner.pop()?)?;
                if inner.len().is_multiple_of(2) {
                    return Some(value);
                }
                let value = Box::new(value);
                let kind = match rule {
                    Rule::negation => ExprKind::Not(value),
                    _ => ExprKind::Negative(value),
                };
                Some(ExprSyntax { span, kind })
            }
            Rule::comparison => self.comparison(pair, span),
            Rule::sum | Rule::product => self.chain(pair, span),
            Rule::primary => self.primary(pair.into_inner().next()?, span),
            _ => None,
        }
    }

    fn comparison(&mut self, pair: Pair<'_, Rule>, span: Span) -> Option<ExprSyntax> {
        let mut inner = pair.into_inner();
        let value = self.expression(inner.next()?)?;
        let Some(test) = inner.next() else {
            return Some(value);
        };
        let value = Box::new(value);
        let kind = match test.as_rule() {
            Rule::null_test => ExprKind::IsNull {
                value,
                negated: test.into_inner().any(|part| part.as_rule() == Rule::kw_not),
            },
            Rule::membership => {
                let mut negated = false;
                let mut list = None;
                for part in test.into_inner() {
                    match part.as_rule() {
                        Rule::kw_not => negated = true,
                        Rule::sum => list = self.expression(part),
                        _ => {}
                    }
                }
                ExprKind::In {
                    value,
                    list: Box::new(list?),
                    negated,
                }
            }
            _ => {
                let operator = Operator::read(test.as_str().trim())?;
                let other = self.expression(inner.next()?)?;
                ExprKind::Binary(operator, value, Box::new(other))
            }
        };
        Some(ExprSyntax { span, kind })
    }

    fn chain(&mut self, pair: Pair<'_, Rule>, span: Span) -> Option<ExprSyntax> {
        let mut inner = pair.into_inner();
        let mut sofar = self.expression(inner.next()?)?;
        let mut length = 0;
        while let Some(sign) = inner.next() {
            length += 1;
            if length > MAX_CHAIN {
                let message = format!("more than {MAX_CHAIN} operators in a row");
                self.mistakes.push(Kind::Limit, span, message);
                return None;
            }
            let operator = Operator::read(sign.as_str().trim())?;
            let next = self.expression(inner.next()?)?;
            let whole = Span {
                start: sofar.span.start,
                end: next.span.end,
            };
            sofar = ExprSyntax {
                span: whole,
                kind: ExprKind::Binary(operator, Box::new(sofar), Box::new(next)),
            };
        }
        Some(sofar)
    }

    fn primary(&mut self, pair: Pair<'_, Rule>, span: Span) -> Option<ExprSyntax> {
        let text = pair.as_str();
        let kind = match pair.as_rule() {
            Rule::parenthesized => {
                let inner = pair
                    .into_inner()
                    .find(|part| part.as_rule() == Rule::expression)?;
                return self.expression(inner);
            }
            Rule::call => {
                let (mut function, mut distinct, mut arguments) = (None, false, Vec::new());
                for part in pair.into_inner() {
                    match part.as_rule() {
                        Rule::name => function = Some(self.spanned(&part)),
                        Rule::kw_distinct => distinct = true,
                        Rule::expression => arguments.push(self.expression(part)?),
                        _ => {}
                    }
                }
                ExprKind::Call {
                    function: function?,
                    distinct,
                    arguments,
                }
            }
            Rule::list => {
                let mut elements = Vec::new();
                for part in pair.into_inner() {
                    if part.as_rule() == Rule::expression {
                        elements.push(self.expression(part)?);
                    }
                }
                ExprKind::List(elements)
            }
            Rule::property => {
                let mut parts = pair.into_inner();
                ExprKind::Property {
                    variable: self.spanned(&parts.next()?),
                    name: self.spanned(&parts.next()?),
                }
            }
            Rule::string => ExprKind::Text(text_of(pair)),
            Rule::number => ExprKind::Number(text.to_owned()),
            Rule::variable => ExprKind::Variable(text.trim_start_matches('$').to_owned()),
            _ => ExprKind::Word(text.trim_end().to_owned()),
        };
        Some(ExprSyntax { span, kind })
    }
}

fn text_of(string: Pair<'_, Rule>) -> String {
    let characters = string.into_inner().next();
    unescape(characters.as_ref().map_or("", Pair::as_str))
}

fn expectation(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::query | Rule::kw_query => &["query"],
        Rule::parameter => &["a parameter"],
        Rule::value_type | Rule::list_type | Rule::vector_type | Rule::kw_vector => &["a type"],
        Rule::optional => &["\"?\""],
        Rule::annotation | Rule::annotation_name => &["an annotation"],
        Rule::read | Rule::kw_match => &["match"],
        Rule::clauses | Rule::fields | Rule::open_brace => &["\"{\""],
        Rule::clause | Rule::absent | Rule::bind | Rule::traverse => &["a clause"],
        Rule::field => &["a property"],
        Rule::undirected | Rule::edge_name => &["an edge"],
        Rule::hops | Rule::bounded | Rule::lower | Rule::upper => &["hops"],
        Rule::returns | Rule::kw_return => &["return"],
        Rule::order | Rule::kw_order => &["order"],
        Rule::limit | Rule::kw_limit => &["limit"],
        Rule::offset | Rule::kw_offset => &["offset"],
        Rule::changes | Rule::insert | Rule::kw_insert => &["insert"],
        Rule::update | Rule::kw_update => &["update"],
        Rule::delete | Rule::kw_delete => &["delete"],
        Rule::kw_set => &["set"],
        Rule::kw_where => &["where"],
        Rule::condition
        | Rule::output
        | Rule::sort
        | Rule::expression
        | Rule::conjunction
        | Rule::negation
        | Rule::negated
        | Rule::comparison
        | Rule::sum
        | Rule::product
        | Rule::signed
        | Rule::minus
        | Rule::primary
        | Rule::parenthesized
        | Rule::list
        | Rule::call
        | Rule::property
        | Rule::word => &["an expression"],
        Rule::operator
        | Rule::null_test
        | Rule::membership
        | Rule::sum_sign
        | Rule::product_sign
        | Rule::kw_or
        | Rule::kw_and
        | Rule::kw_is
        | Rule::kw_in
        | Rule::kw_contains
        | Rule::kw_starts_with => &["an operator"],
        Rule::kw_as => &["as"],
        Rule::kw_null => &["null"],
        Rule::variable => &["a variable"],
        Rule::type_name => &["a type's name"],
        Rule::name => &["a name"],
        Rule::integer => &["a whole number"],
        Rule::number => &["a number"],
        Rule::string | Rule::characters => &["a string"],
        Rule::comma => &["\",\""],
        Rule::colon => &["\":\""],
        Rule::close_brace => &["\"}\""],
        Rule::open_paren => &["\"(\""],
        Rule::close_paren => &["\")\""],
        Rule::open_bracket => &["\"[\""],
        Rule::close_bracket => &["\"]\""],
        Rule::open_angle => &["\"<\""],
        Rule::close_angle => &["\">\""],
        Rule::kw_not
        | Rule::kw_distinct
        | Rule::ascending
        | Rule::descending
        | Rule::reserved
        | Rule::separator
        | Rule::word_char
        | Rule::WHITESPACE
        | Rule::COMMENT => &[],
    }
}
