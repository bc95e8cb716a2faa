//! Values: what their names mean, and whether their types go together.

use super::check::Checker;
use super::error::Kind;
use super::syntax::{ExprKind, ExprSyntax, Operator};
use super::{Aggregate, Expr, Search};
use crate::schema::text::{parse_date, parse_datetime};
use crate::schema::{Property, PropertyType, Scalar, Span, Spanned};

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In `match`.
    Condition,
    Return,
    Order,
    /// What a change sets: nothing of the graph can be in it.
    Value,
    /// What a change chooses by: words are properties of its rows.
    Where,
}

/// What is known of a value: enough to say what it goes together with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Class {
    Null,
    Bool,
    Text,
    Number,
    Date,
    DateTime,
    Blob,
    Vector(u32),
    List(Box<Class>),
    /// It was reported already.
    Unknown,
}

#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub expr: Expr,
    pub class: Class,
    /// Its type, for messages.
    pub shown: String,
    /// Of an enum.
    pub words: Option<Vec<String>>,
}

impl Class {
    pub(super) fn of(ty: &PropertyType) -> Class {
        match ty {
            PropertyType::Scalar(scalar) => Class::of_scalar(*scalar),
            PropertyType::List(scalar) => Class::List(Box::new(Class::of_scalar(*scalar))),
            PropertyType::Enum(_) => Class::Text,
            PropertyType::Vector(dimension) => Class::Vector(*dimension),
        }
    }

    fn of_scalar(scalar: Scalar) -> Class {
        match scalar {
            Scalar::String => Class::Text,
            Scalar::Blob => Class::Blob,
            Scalar::Bool => Class::Bool,
            Scalar::I32 | Scalar::I64 | Scalar::U32 | Scalar::U64 | Scalar::F32 | Scalar::F64 => {
                Class::Number
            }
            Scalar::Date => Class::Date,
            Scalar::DateTime => Class::DateTime,
        }
    }

    /// May values of the two stand on both sides of a comparison?
    fn goes_with(&self, other: &Class) -> bool {
        match (self, other) {
            (Class::Null | Class::Unknown, _) | (_, Class::Null | Class::Unknown) => true,
            (Class::Date | Class::DateTime, Class::Date | Class::DateTime) => true,
            (Class::List(left), Class::List(right)) => left.goes_with(right),
            (left, right) => left == right,
        }
    }

    /// Is one of its values before another?
    fn has_order(&self) -> bool {
        matches!(
            self,
            Class::Null
                | Class::Unknown
                | Class::Text
                | Class::Number
                | Class::Date
                | Class::DateTime
        )
    }
}

impl Checked {
    pub(super) fn new(expr: Expr, class: Class, shown: &str) -> Self {
        Checked {
            expr,
            class,
            shown: shown.to_owned(),
            words: None,
        }
    }

    pub(super) fn unknown() -> Self {
        Checked::new(Expr::Null, Class::Unknown, "?")
    }

    pub(super) fn of_type(expr: Expr, ty: &PropertyType, nullable: bool) -> Self {
        let words = match ty {
            PropertyType::Enum(words) => Some(words.clone()),
            _ => None,
        };
        let optional = if nullable { "?" } else { "" };
        Checked {
            expr,
            class: Class::of(ty),
            shown: format!("{ty}{optional}"),
            words,
        }
    }

    fn bool(expr: Expr) -> Self {
        Checked::new(expr, Class::Bool, "Bool")
    }
}

impl Checker<'_, '_> {
    /// A condition.
    pub(super) fn condition(&mut self, syntax: &ExprSyntax, place: Place) -> Expr {
        let checked = self.expression(syntax, place);
        if !Class::Bool.goes_with(&checked.class) {
            let message = format!("a condition is a Bool, not {}", checked.shown);
            self.mistakes.push(Kind::Type, syntax.span, message);
        }
        checked.expr
    }

    pub(super) fn expression(&mut self, syntax: &ExprSyntax, place: Place) -> Checked {
        let span = syntax.span;
        match &syntax.kind {
            ExprKind::Variable(name) => self.variable(name, span, place),
            ExprKind::Property { variable, name } => self.property(variable, name),
            ExprKind::Word(word) => self.word(word, span, place),
            ExprKind::Text(text) => Checked::new(Expr::Text(text.clone()), Class::Text, "String"),
            ExprKind::Number(text) => {
                let whole = text.bytes().all(|byte| byte.is_ascii_digit());
                let shown = if whole { "I64" } else { "F64" };
                Checked::new(Expr::Number(text.clone()), Class::Number, shown)
            }
            ExprKind::List(elements) => self.list(elements, place),
            ExprKind::Call {
                function,
                distinct,
                arguments,
            } => self.call(function, *distinct, arguments, place),
            ExprKind::Negative(inner) => {
                let inner = self.number(inner, place);
                Checked {
                    expr: Expr::Negative(Box::new(inner.expr)),
                    ..inner
                }
            }
            ExprKind::Not(inner) => {
                let inner = self.condition(inner, place);
                Checked::bool(Expr::Not(Box::new(inner)))
            }
            ExprKind::And(parts) => Checked::bool(Expr::And(self.conditions(parts, place))),
            ExprKind::Or(parts) => Checked::bool(Expr::Or(self.conditions(parts, place))),
            ExprKind::Binary(operator, left, right) if operator.is_arithmetic() => {
                let (left, right) = (self.number(left, place), self.number(right, place));
                let expr = Expr::Binary(*operator, Box::new(left.expr), Box::new(right.expr));
                Checked::new(expr, Class::Number, &left.shown)
            }
            ExprKind::Binary(operator, left, right) => {
                self.comparison(*operator, left, right, span, place)
            }
            ExprKind::IsNull { value, negated } => {
                let value = self.expression(value, place);
                Checked::bool(Expr::IsNull {
                    value: Box::new(value.expr),
                    negated: *negated,
                })
            }
            ExprKind::In {
                value,
                list,
                negated,
            } => {
                let (value, list) = (self.expression(value, place), self.expression(list, place));
                self.member(list, value, *negated, span)
            }
        }
    }

    fn conditions(&mut self, parts: &[ExprSyntax], place: Place) -> Vec<Expr> {
        parts
            .iter()
            .map(|part| self.condition(part, place))
            .collect()
    }

    fn number(&mut self, syntax: &ExprSyntax, place: Place) -> Checked {
        let checked = self.expression(syntax, place);
        if !Class::Number.goes_with(&checked.class) {
            let message = format!("arithmetic takes numbers, not {}", checked.shown);
            self.mistakes.push(Kind::Type, syntax.span, message);
        }
        checked
    }

    fn variable(&mut self, name: &str, span: Span, place: Place) -> Checked {
        if let Some((at, parameter)) = self
            .parameters
            .iter()
            .enumerate()
            .find(|(_, parameter)| parameter.name == name)
        {
            return Checked::of_type(Expr::Parameter(at), &parameter.ty, parameter.nullable);
        }
        if matches!(place, Place::Value | Place::Where) {
            let message = format!("there is no parameter ${name}");
            self.mistakes.push(Kind::UnknownParameter, span, message);
            return Checked::unknown();
        }
        let Some(variable) = self.find(name) else {
            let message = format!("${name} is neither a parameter nor bound by a clause");
            self.mistakes.push(Kind::UnknownVariable, span, message);
            return Checked::unknown();
        };
        if self.variables[variable].is_edge {
            let message = format!("the edge ${name} is not a value");
            let hint = format!("Name one of its properties: ${name}.<property>.");
            self.mistakes.push_hint(Kind::Type, span, message, hint);
            return Checked::unknown();
        }
        let shown = self.shown_types(variable);
        Checked::new(Expr::Element(variable), Class::Text, &shown)
    }

    fn property(&mut self, variable: &Spanned<String>, name: &Spanned<String>) -> Checked {
        let Some(of) = self.find(&variable.value) else {
            let known = self
                .parameters
                .iter()
                .any(|parameter| parameter.name == variable.value);
            let message = match known {
                true => format!("the parameter ${} has no properties", variable.value),
                false => format!("${} is not bound by a clause", variable.value),
            };
            self.mistakes
                .push(Kind::UnknownVariable, variable.span, message);
            return Checked::unknown();
        };
        let types = self.variables[of].types.clone().unwrap_or_default();
        let mut found: Option<(String, PropertyType, bool)> = None;
        for id in types {
            let Some(def) = self.schema.by_id(id) else {
                continue;
            };
            let here = match def.property(&name.value) {
                Some((_, property)) => (
                    property.column.clone(),
                    property.ty.clone(),
                    property.nullable,
                ),
                None if name.value == "id" => {
                    ("id".to_owned(), PropertyType::Scalar(Scalar::String), false)
                }
                None => {
                    let properties: Vec<&str> = def
                        .properties
                        .iter()
                        .map(|property| property.name.as_str())
                        .collect();
                    let message = format!("type {} has no property \"{}\"", def.name, name.value);
                    let hint = format!("Its properties are {}.", properties.join(", "));
                    self.mistakes
                        .push_hint(Kind::UnknownProperty, name.span, message, hint);
                    return Checked::unknown();
                }
            };
            match &mut found {
                Some((column, ty, nullable)) if *column == here.0 && *ty == here.1 => {
                    *nullable |= here.2;
                }
                Some(_) => {
                    let message = format!(
                        "the types of ${} do not agree about the property \"{}\"",
                        variable.value, name.value
                    );
                    self.mistakes.push(Kind::Type, name.span, message);
                    return Checked::unknown();
                }
                None => found = Some(here),
            }
        }
        match found {
            Some((column, ty, nullable)) => {
                Checked::of_type(Expr::Property(of, column), &ty, nullable)
            }
            None => Checked::unknown(),
        }
    }

    fn word(&mut self, word: &str, span: Span, place: Place) -> Checked {
        match word {
            "true" | "false" => return Checked::bool(Expr::Bool(word == "true")),
            "null" => return Checked::new(Expr::Null, Class::Null, "null"),
            _ => {}
        }
        if place == Place::Where {
            return self.row_property(word, span);
        }
        if place == Place::Order
            && let Some(output) = self.outputs.iter().find(|(name, _)| name == word)
        {
            return output.1.clone();
        }
        let message = match place {
            Place::Order => format!("there is no output called {word}"),
            _ => format!("the word {word} is not a value"),
        };
        let hint = "Texts stand in double quotes; variables and parameters begin with \"$\".";
        self.mistakes
            .push_hint(Kind::UnknownVariable, span, message, hint);
        Checked::unknown()
    }

    fn list(&mut self, elements: &[ExprSyntax], place: Place) -> Checked {
        let mut class = Class::Null;
        let mut shown = "null".to_owned();
        let mut exprs = Vec::with_capacity(elements.len());
        for element in elements {
            let checked = self.expression(element, place);
            if !class.goes_with(&checked.class) {
                let message = format!("a list of {shown} has no {}", checked.shown);
                self.mistakes.push(Kind::Type, element.span, message);
            }
            if class == Class::Null {
                (class, shown) = (checked.class, checked.shown);
            }
            exprs.push(checked.expr);
        }
        let shown = format!("[{shown}]");
        Checked::new(Expr::List(exprs), Class::List(Box::new(class)), &shown)
    }

    fn comparison(
        &mut self,
        operator: Operator,
        left: &ExprSyntax,
        right: &ExprSyntax,
        span: Span,
        place: Place,
    ) -> Checked {
        let (right_span, left_span) = (right.span, left.span);
        let (mut left, mut right) = (self.expression(left, place), self.expression(right, place));
        match operator {
            Operator::Contains if matches!(left.class, Class::List(_)) => {
                return self.member(left, right, false, span);
            }
            Operator::Contains | Operator::StartsWith => {
                if !Class::Text.goes_with(&left.class) || !Class::Text.goes_with(&right.class) {
                    let word = match operator {
                        Operator::Contains => "contains",
                        _ => "starts_with",
                    };
                    let message = format!("{word} cannot take {} and {}", left.shown, right.shown);
                    self.mistakes.push(Kind::Type, span, message);
                }
            }
            _ => {
                self.fit(&left, &mut right, right_span);
                self.fit(&right, &mut left, left_span);
                if !left.class.goes_with(&right.class) {
                    let message = format!("cannot compare {} with {}", left.shown, right.shown);
                    self.mistakes.push(Kind::Type, span, message);
                }
                let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
                if ordered && !left.class.has_order() {
                    let message = format!("values of type {} have no order", left.shown);
                    self.mistakes.push(Kind::Type, span, message);
                }
            }
        }
        Checked::bool(Expr::Binary(
            operator,
            Box::new(left.expr),
            Box::new(right.expr),
        ))
    }

    fn member(&mut self, list: Checked, mut value: Checked, negated: bool, span: Span) -> Checked {
        match &list.class {
            Class::List(element) if element.goes_with(&value.class) => {}
            Class::List(element) => {
                let of_list = Checked::new(Expr::Null, (**element).clone(), &list.shown);
                self.fit(&of_list, &mut value, span);
                if !element.goes_with(&value.class) {
                    let message = format!("{} has no {} in it", list.shown, value.shown);
                    self.mistakes.push(Kind::Type, span, message);
                }
            }
            Class::Unknown => {}
            _ => {
                let message = format!("{} is not a list", list.shown);
                self.mistakes.push(Kind::Type, span, message);
            }
        }
        if let (Some(words), Expr::List(elements)) = (&value.words, &list.expr) {
            for element in elements {
                self.check_word(words, element, span);
            }
        }
        Checked::bool(Expr::Member {
            list: Box::new(list.expr),
            value: Box::new(value.expr),
            negated,
        })
    }

    /// A literal as what it stands beside wants it: a date that was written as a text, a word
    /// of an enum.
    pub(super) fn fit(&mut self, wanted: &Checked, value: &mut Checked, span: Span) {
        if let Some(words) = &wanted.words {
            self.check_word(words, &value.expr, span);
        }
        let Expr::Text(text) = &value.expr else {
            return;
        };
        let (read, expr, class) = match wanted.class {
            Class::Date => (
                parse_date(text).is_some(),
                Expr::Date(text.clone()),
                Class::Date,
            ),
            Class::DateTime => (
                parse_datetime(text).is_some(),
                Expr::DateTime(text.clone()),
                Class::DateTime,
            ),
            _ => return,
        };
        if read {
            *value = Checked::new(expr, class, &wanted.shown);
        }
    }

    fn check_word(&mut self, words: &[String], expr: &Expr, span: Span) {
        if let Expr::Text(text) = expr
            && !words.iter().any(|word| word == text)
        {
            let message = format!("\"{text}\" is not one of {}", words.join(", "));
            self.mistakes.push(Kind::Type, span, message);
        }
    }

    fn call(
        &mut self,
        function: &Spanned<String>,
        distinct: bool,
        arguments: &[ExprSyntax],
        place: Place,
    ) -> Checked {
        let span = function.span;
        let aggregate = match function.value.as_str() {
            "count" => Some(Aggregate::Count),
            "sum" => Some(Aggregate::Sum),
            "avg" => Some(Aggregate::Avg),
            "min" => Some(Aggregate::Min),
            "max" => Some(Aggregate::Max),
            _ => None,
        };
        if let Some(aggregate) = aggregate {
            return self.aggregate(aggregate, distinct, arguments, span, place);
        }
        if distinct {
            let message = format!("distinct is for aggregates, not for {}()", function.value);
            self.mistakes.push(Kind::Syntax, span, message);
        }
        let search = match function.value.as_str() {
            "now" => {
                self.count_arguments(function, arguments, 0, 0);
                return Checked::new(Expr::Now, Class::DateTime, "DateTime");
            }
            "date" | "datetime" => return self.moment(function, arguments),
            "search" => Search::Search,
            "fuzzy" => Search::Fuzzy,
            "match_text" => Search::MatchText,
            "bm25" => Search::Bm25,
            "nearest" => Search::Nearest,
            "rrf" => Search::Rrf,
            other => {
                let message = format!("function {other}() does not exist");
                let hint = "There are count, sum, avg, min, max, now, date, datetime, search, fuzzy, match_text, bm25, nearest and rrf.";
                self.mistakes.push_hint(Kind::Syntax, span, message, hint);
                return Checked::unknown();
            }
        };
        self.search(search, function, arguments, place)
    }

    fn count_arguments(
        &mut self,
        function: &Spanned<String>,
        arguments: &[ExprSyntax],
        min: usize,
        max: usize,
    ) -> bool {
        let fits = (min..=max).contains(&arguments.len());
        if !fits {
            let wanted = match max {
                0 => "no arguments".to_owned(),
                _ if min == max => format!("{min} argument{}", if min == 1 { "" } else { "s" }),
                _ => format!("{min} or {max} arguments"),
            };
            let message = format!("{}() takes {wanted}", function.value);
            self.mistakes.push(Kind::Syntax, function.span, message);
        }
        fits
    }

    /// `date("…")`, `datetime("…")`.
    fn moment(&mut self, function: &Spanned<String>, arguments: &[ExprSyntax]) -> Checked {
        if !self.count_arguments(function, arguments, 1, 1) {
            return Checked::unknown();
        }
        let is_date = function.value == "date";
        let ExprKind::Text(text) = &arguments[0].kind else {
            let message = format!("{}() takes a text in quotes", function.value);
            self.mistakes.push(Kind::Type, arguments[0].span, message);
            return Checked::unknown();
        };
        let reads = match is_date {
            true => parse_date(text).is_some(),
            false => parse_datetime(text).is_some(),
        };
        if !reads {
            let form = match is_date {
                true => "a date: \"2026-01-31\"",
                false => "a time: \"2026-01-31T12:00:00Z\"",
            };
            let message = format!("\"{text}\" is not {form}");
            self.mistakes.push(Kind::Type, arguments[0].span, message);
        }
        match is_date {
            true => Checked::new(Expr::Date(text.clone()), Class::Date, "Date"),
            false => Checked::new(Expr::DateTime(text.clone()), Class::DateTime, "DateTime"),
        }
    }

    fn aggregate(
        &mut self,
        function: Aggregate,
        distinct: bool,
        arguments: &[ExprSyntax],
        span: Span,
        place: Place,
    ) -> Checked {
        let name = Spanned {
            value: function.name().to_owned(),
            span,
        };
        if !matches!(place, Place::Return | Place::Order) {
            let message = format!("{}() stands in return and order only", name.value);
            self.mistakes.push(Kind::Meaning, span, message);
            return Checked::unknown();
        }
        if !self.count_arguments(&name, arguments, 1, 1) {
            return Checked::unknown();
        }
        // An edge can be counted, although it is no value.
        let edge = match &arguments[0].kind {
            ExprKind::Variable(of) if function == Aggregate::Count => {
                self.find(of).filter(|found| self.variables[*found].is_edge)
            }
            _ => None,
        };
        let argument = match edge {
            Some(edge) => Checked::new(Expr::Element(edge), Class::Text, "edge"),
            None => self.expression(&arguments[0], place),
        };
        if argument.expr.has_aggregate() {
            let message = "an aggregate inside of an aggregate";
            self.mistakes
                .push(Kind::Meaning, arguments[0].span, message);
        }
        let fits = match function {
            Aggregate::Count => true,
            Aggregate::Sum | Aggregate::Avg => Class::Number.goes_with(&argument.class),
            Aggregate::Min | Aggregate::Max => argument.class.has_order(),
        };
        if !fits {
            let message = format!("{}() cannot take {}", name.value, argument.shown);
            self.mistakes.push(Kind::Type, arguments[0].span, message);
        }
        let expr = Expr::Aggregate {
            function,
            distinct,
            argument: Box::new(argument.expr),
        };
        match function {
            Aggregate::Count => Checked::new(expr, Class::Number, "I64"),
            Aggregate::Sum | Aggregate::Avg => Checked::new(expr, Class::Number, &argument.shown),
            Aggregate::Min | Aggregate::Max => Checked {
                expr,
                words: None,
                ..argument
            },
        }
    }

    fn search(
        &mut self,
        search: Search,
        function: &Spanned<String>,
        arguments: &[ExprSyntax],
        place: Place,
    ) -> Checked {
        let filters = matches!(search, Search::Search | Search::Fuzzy | Search::MatchText);
        let fits = match filters {
            true => place == Place::Condition,
            false => matches!(place, Place::Return | Place::Order),
        };
        if !fits {
            let where_it_stands = if filters { "match" } else { "order and return" };
            let message = format!("{}() stands in {where_it_stands} only", function.value);
            self.mistakes.push(Kind::Meaning, function.span, message);
            return Checked::unknown();
        }
        let most = match search {
            Search::Fuzzy | Search::Rrf => 3,
            _ => 2,
        };
        if !self.count_arguments(function, arguments, 2, most) {
            return Checked::unknown();
        }
        let checked: Vec<Checked> = arguments
            .iter()
            .map(|argument| self.expression(argument, place))
            .collect();
        for (at, argument) in checked.iter().enumerate() {
            let suits = match (search, at) {
                (_, 2) => Class::Number.goes_with(&argument.class),
                (Search::Rrf, _) => matches!(
                    argument.expr,
                    Expr::Search {
                        function: Search::Bm25 | Search::Nearest,
                        ..
                    }
                ),
                (Search::Nearest, 0) => {
                    matches!(argument.expr, Expr::Property(..))
                        && matches!(argument.class, Class::Vector(_) | Class::Unknown)
                }
                (Search::Nearest, _) => {
                    let numbers = Class::List(Box::new(Class::Number));
                    argument.class == Class::Text
                        || argument.class.goes_with(&checked[0].class)
                        || argument.class.goes_with(&numbers)
                }
                (_, 0) => {
                    matches!(argument.expr, Expr::Property(..))
                        && Class::Text.goes_with(&argument.class)
                }
                _ => Class::Text.goes_with(&argument.class),
            };
            if !suits && argument.class != Class::Unknown {
                let message = format!(
                    "{}() cannot take {} as its argument {}",
                    function.value,
                    argument.shown,
                    at + 1
                );
                self.mistakes.push(Kind::Type, arguments[at].span, message);
            }
        }
        let expr = Expr::Search {
            function: search,
            arguments: checked.into_iter().map(|checked| checked.expr).collect(),
        };
        match filters {
            true => Checked::bool(expr),
            false => Checked::new(expr, Class::Number, "F64"),
        }
    }

    /// A value that a property is set to.
    pub(super) fn assigned(&mut self, property: &Property, syntax: &ExprSyntax) -> Expr {
        let target = Checked::of_type(Expr::Null, &property.ty, property.nullable);
        let mut value = self.expression(syntax, Place::Value);
        self.fit(&target, &mut value, syntax.span);
        if value.class == Class::Null && !property.nullable {
            let message = format!(
                "property \"{}\" is required: it cannot be null",
                property.name
            );
            self.mistakes.push(Kind::Missing, syntax.span, message);
        }
        if let (PropertyType::Vector(dimension), Expr::List(elements)) = (&property.ty, &value.expr)
            && let Some(text) = vector_text(elements)
        {
            if elements.len() != *dimension as usize {
                let message = format!(
                    "property \"{}\" is {}, but the list has {} numbers",
                    property.name,
                    target.shown,
                    elements.len()
                );
                self.mistakes.push(Kind::Type, syntax.span, message);
            }
            return Expr::Vector(text);
        }
        let integer = matches!(
            property.ty,
            PropertyType::Scalar(Scalar::I32 | Scalar::I64 | Scalar::U32 | Scalar::U64)
        );
        let fraction = matches!(&value.expr, Expr::Number(text) if text.bytes().any(|byte| !byte.is_ascii_digit()));
        if !target.class.goes_with(&value.class) || (integer && fraction) {
            let message = format!(
                "property \"{}\" is {}, not {}",
                property.name, target.shown, value.shown
            );
            self.mistakes.push(Kind::Type, syntax.span, message);
        }
        value.expr
    }
}

/// A list of numbers as a vector is written.
fn vector_text(elements: &[Expr]) -> Option<String> {
    let numbers: Option<Vec<String>> = elements
        .iter()
        .map(|element| match element {
            Expr::Number(text) => Some(text.clone()),
            Expr::Negative(inner) => match &**inner {
                Expr::Number(text) => Some(format!("-{text}")),
                _ => None,
            },
            _ => None,
        })
        .collect();
    Some(format!("[{}]", numbers?.join(",")))
}
