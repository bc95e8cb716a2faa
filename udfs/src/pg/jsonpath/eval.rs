//! What a path finds in a value. In lax mode, which is the default, arrays open by themselves
//! and what is not there is nothing; in strict mode both are errors.

use std::cmp::Ordering;

use regex::RegexBuilder;
use serde_json::{Map, Number, Value, json};

use super::parse::{Node, Path, Step, Test};
use crate::error::{Error, Result};

pub(super) struct Evaluation<'a> {
    root: &'a Value,
    variables: &'a Map<String, Value>,
    path: &'a Path,
}

/// Where an expression stands: in which filter, in which subscript.
#[derive(Clone, Copy)]
struct Place<'a> {
    current: &'a Value,
    /// The last index of the array that is being subscripted.
    last: Option<i64>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(root: &'a Value, variables: &'a Map<String, Value>, path: &'a Path) -> Self {
        Evaluation {
            root,
            variables,
            path,
        }
    }

    pub(super) fn run(&self) -> Result<Vec<Value>> {
        let place = Place {
            current: self.root,
            last: None,
        };
        self.items(&self.path.expr, place)
    }

    fn strict(&self) -> bool {
        self.path.strict
    }

    fn items(&self, node: &Node, place: Place<'_>) -> Result<Vec<Value>> {
        Ok(match node {
            Node::Root => vec![self.root.clone()],
            Node::Current => vec![place.current.clone()],
            Node::Last => vec![json!(place.last.unwrap_or(0))],
            Node::Variable(name) => vec![self.variables.get(name).cloned().ok_or_else(|| {
                Error::value(
                    "42704",
                    format!("could not find jsonpath variable \"{name}\""),
                )
            })?],
            Node::Literal(value) => vec![value.clone()],
            Node::Truth(test) => vec![match self.test(test, place)? {
                Some(truth) => Value::Bool(truth),
                None => Value::Null,
            }],
            Node::Sign(minus, inner) => {
                let mut signed = Vec::new();
                for item in self.opened(inner, place)? {
                    let number = number_of(&item).ok_or_else(|| {
                        let sign = if *minus { '-' } else { '+' };
                        Error::value(
                            "2203B",
                            format!(
                                "operand of unary jsonpath operator {sign} is not a numeric value"
                            ),
                        )
                    })?;
                    signed.push(if *minus {
                        arithmetic('-', &Number::from(0), &number)?
                    } else {
                        item
                    });
                }
                signed
            }
            Node::Arithmetic(operator, left, right) => {
                let side = |node: &Node, which: &str| -> Result<Number> {
                    match self.opened(node, place)?.as_slice() {
                        [one] => number_of(one),
                        _ => None,
                    }
                    .ok_or_else(|| {
                        Error::value(
                            "22038",
                            format!(
                                "{which} operand of jsonpath operator {operator} is not a single numeric value"
                            ),
                        )
                    })
                };
                vec![arithmetic(
                    *operator,
                    &side(left, "left")?,
                    &side(right, "right")?,
                )?]
            }
            Node::Steps(start, steps) => {
                let mut items = self.items(start, place)?;
                for step in steps {
                    let mut next = Vec::new();
                    for item in &items {
                        self.step(step, item, place, &mut next)?;
                    }
                    items = next;
                }
                items
            }
        })
    }

    /// The items, with arrays opened in lax mode.
    fn opened(&self, node: &Node, place: Place<'_>) -> Result<Vec<Value>> {
        let items = self.items(node, place)?;
        if self.strict() {
            return Ok(items);
        }
        Ok(items.into_iter().flat_map(elements).collect())
    }

    fn step(
        &self,
        step: &Step,
        item: &Value,
        place: Place<'_>,
        out: &mut Vec<Value>,
    ) -> Result<()> {
        match (step, item) {
            (Step::Key(_) | Step::AnyKey | Step::Filter(_), Value::Array(inner))
                if !self.strict() =>
            {
                for item in inner {
                    self.plain_step(step, item, place, out)?;
                }
                Ok(())
            }
            (Step::Method(method), Value::Array(inner))
                if !self.strict() && !matches!(*method, "type" | "size") =>
            {
                for item in inner {
                    self.plain_step(step, item, place, out)?;
                }
                Ok(())
            }
            _ => self.plain_step(step, item, place, out),
        }
    }

    fn plain_step(
        &self,
        step: &Step,
        item: &Value,
        place: Place<'_>,
        out: &mut Vec<Value>,
    ) -> Result<()> {
        match step {
            Step::Key(key) => match item {
                Value::Object(members) => match members.get(key) {
                    Some(found) => out.push(found.clone()),
                    None if self.strict() => {
                        return Err(Error::value(
                            "2203A",
                            format!("JSON object does not contain key \"{key}\""),
                        ));
                    }
                    None => {}
                },
                _ if self.strict() => {
                    return Err(Error::value(
                        "2203A",
                        "jsonpath member accessor can only be applied to an object",
                    ));
                }
                _ => {}
            },
            Step::AnyKey => match item {
                Value::Object(_) => out.extend(crate::pg::json::in_order(item)),
                _ if self.strict() => {
                    return Err(Error::value(
                        "2203C",
                        "jsonpath wildcard member accessor can only be applied to an object",
                    ));
                }
                _ => {}
            },
            Step::Any(from, to) => descend(item, 0, (*from, *to), out),
            Step::AnyElement => match item {
                Value::Array(items) => out.extend(items.iter().cloned()),
                _ if self.strict() => {
                    return Err(Error::value(
                        "22039",
                        "jsonpath wildcard array accessor can only be applied to an array",
                    ));
                }
                other => out.push(other.clone()),
            },
            Step::Elements(ranges) => self.subscript(ranges, item, place, out)?,
            Step::Filter(test) => {
                let inside = Place {
                    current: item,
                    last: place.last,
                };
                if self.test(test, inside)? == Some(true) {
                    out.push(item.clone());
                }
            }
            Step::Method(method) => self.method(method, item, out)?,
        }
        Ok(())
    }

    fn subscript(
        &self,
        ranges: &[(Node, Option<Node>)],
        item: &Value,
        place: Place<'_>,
        out: &mut Vec<Value>,
    ) -> Result<()> {
        let alone = [item.clone()];
        let items = match item {
            Value::Array(items) => items.as_slice(),
            _ if self.strict() => {
                return Err(Error::value(
                    "22039",
                    "jsonpath array accessor can only be applied to an array",
                ));
            }
            _ => &alone,
        };
        let place = Place {
            last: Some(items.len() as i64 - 1),
            ..place
        };
        let index = |node: &Node| -> Result<i64> {
            let found = self.items(node, place)?;
            match found.as_slice() {
                [Value::Number(number)] => number
                    .as_i64()
                    .or_else(|| number.as_f64().map(|number| number.trunc() as i64)),
                _ => None,
            }
            .ok_or_else(|| {
                Error::value(
                    "22033",
                    "jsonpath array subscript is not a single numeric value",
                )
            })
        };
        for (from, to) in ranges {
            let from = index(from)?;
            let to = match to {
                Some(to) => index(to)?,
                None => from,
            };
            if self.strict() && (from < 0 || from > to || to >= items.len() as i64) {
                return Err(Error::value(
                    "22033",
                    "jsonpath array subscript is out of bounds",
                ));
            }
            let (from, to) = (from.max(0), to.min(items.len() as i64 - 1));
            for at in from..=to {
                out.push(items[at as usize].clone());
            }
        }
        Ok(())
    }

    fn method(&self, method: &str, item: &Value, out: &mut Vec<Value>) -> Result<()> {
        let number = || {
            number_of(item).ok_or_else(|| {
                Error::value(
                    "22036",
                    format!(
                        "jsonpath item method .{method}() can only be applied to a numeric value"
                    ),
                )
            })
        };
        out.push(match method {
            "type" => json!(crate::pg::json::kind(item)),
            "size" => match item {
                Value::Array(items) => json!(items.len()),
                _ if self.strict() => {
                    return Err(Error::value(
                        "22039",
                        "jsonpath item method .size() can only be applied to an array",
                    ));
                }
                _ => json!(1),
            },
            "double" => match item {
                Value::Number(_) => item.clone(),
                Value::String(text) => text
                    .trim()
                    .parse::<f64>()
                    .ok()
                    .and_then(Number::from_f64)
                    .map(whole)
                    .ok_or_else(|| {
                        Error::value(
                            "22036",
                            "string argument of jsonpath item method .double() is not a valid representation of a double precision number",
                        )
                    })?,
                _ => {
                    return Err(Error::value(
                        "22036",
                        "jsonpath item method .double() can only be applied to a string or numeric value",
                    ));
                }
            },
            "abs" => rounded(&number()?, i64::abs, f64::abs),
            "ceiling" => rounded(&number()?, |value| value, f64::ceil),
            "floor" => rounded(&number()?, |value| value, f64::floor),
            "keyvalue" => {
                let Value::Object(members) = item else {
                    return Err(Error::value(
                        "2203C",
                        "jsonpath item method .keyvalue() can only be applied to an object",
                    ));
                };
                for (key, value) in members {
                    out.push(json!({"id": 0, "key": key, "value": value}));
                }
                return Ok(());
            }
            _ => {
                return Err(Error::value(
                    "0A000",
                    format!("the jsonpath method .{method}() is not supported"),
                ));
            }
        });
        Ok(())
    }

    /// A predicate: `None` is unknown.
    fn test(&self, test: &Test, place: Place<'_>) -> Result<Option<bool>> {
        Ok(match test {
            Test::And(left, right) => match self.test(left, place)? {
                Some(false) => Some(false),
                left => match (left, self.test(right, place)?) {
                    (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                },
            },
            Test::Or(left, right) => match self.test(left, place)? {
                Some(true) => Some(true),
                left => match (left, self.test(right, place)?) {
                    (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                },
            },
            Test::Not(inner) => self.test(inner, place)?.map(|truth| !truth),
            Test::IsUnknown(inner) => Some(self.test(inner, place)?.is_none()),
            // In a predicate an error is unknown.
            Test::Exists(node) => self.items(node, place).ok().map(|items| !items.is_empty()),
            Test::Compare(operator, left, right) => {
                let (Ok(left), Ok(right)) = (self.opened(left, place), self.opened(right, place))
                else {
                    return Ok(None);
                };
                self.any(
                    left.iter()
                        .flat_map(|left| right.iter().map(|right| compare(operator, left, right))),
                )
            }
            Test::StartsWith(node, prefix) => {
                let (Ok(items), Ok(prefix)) = (self.opened(node, place), self.items(prefix, place))
                else {
                    return Ok(None);
                };
                let prefix = match prefix.as_slice() {
                    [Value::String(prefix)] => prefix.clone(),
                    _ => return Ok(None),
                };
                self.any(
                    items
                        .iter()
                        .map(|item| Some(item.as_str()?.starts_with(&prefix))),
                )
            }
            Test::LikeRegex(node, pattern, flags) => {
                let quoted;
                let pattern = if flags.contains('q') {
                    quoted = regex::escape(pattern);
                    &quoted
                } else {
                    pattern
                };
                let regex = RegexBuilder::new(pattern)
                    .case_insensitive(flags.contains('i'))
                    .multi_line(flags.contains('m'))
                    .dot_matches_new_line(flags.contains('s'))
                    .ignore_whitespace(flags.contains('x'))
                    .build()
                    .map_err(|error| {
                        Error::value("2201B", format!("invalid regular expression: {error}"))
                    })?;
                let Ok(items) = self.opened(node, place) else {
                    return Ok(None);
                };
                self.any(
                    items
                        .iter()
                        .map(|item| Some(regex.is_match(item.as_str()?))),
                )
            }
        })
    }

    /// Is one of the answers true? In strict mode an unknown one makes the whole unknown.
    fn any(&self, answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
        let (mut found, mut unknown) = (false, false);
        for answer in answers {
            match answer {
                Some(true) if !self.strict() => return Some(true),
                Some(true) => found = true,
                Some(false) => {}
                None if self.strict() => return None,
                None => unknown = true,
            }
        }
        match (found, unknown) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }
}

fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => vec![other],
    }
}

fn descend(item: &Value, level: u32, range: (u32, u32), out: &mut Vec<Value>) {
    let (from, to) = range;
    let has_inner = matches!(item, Value::Array(_) | Value::Object(_));
    let is_last = from == u32::MAX && !has_inner;
    if is_last || (level >= from && level <= to && from != u32::MAX) {
        out.push(item.clone());
    }
    if level >= to && to != u32::MAX {
        return;
    }
    match item {
        Value::Array(items) => {
            for item in items {
                descend(item, level + 1, range, out);
            }
        }
        Value::Object(_) => {
            for item in crate::pg::json::in_order(item) {
                descend(&item, level + 1, range, out);
            }
        }
        _ => {}
    }
}

fn number_of(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        _ => None,
    }
}

/// A number without a fraction is written without one.
fn whole(number: Number) -> Value {
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => json!(value as i64),
        _ => Value::Number(number),
    }
}

fn rounded(number: &Number, integer: fn(i64) -> i64, float: fn(f64) -> f64) -> Value {
    if let Some(value) = number.as_i64() {
        return json!(integer(value));
    }
    let value = float(number.as_f64().unwrap_or(f64::NAN));
    Number::from_f64(value).map_or(Value::Null, whole)
}

fn arithmetic(operator: char, left: &Number, right: &Number) -> Result<Value> {
    let zero = || Error::value("22012", "division by zero");
    if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
        let exact = match operator {
            '+' => a.checked_add(b),
            '-' => a.checked_sub(b),
            '*' => a.checked_mul(b),
            _ if b == 0 => return Err(zero()),
            '/' if a % b == 0 => a.checked_div(b),
            '%' => a.checked_rem(b),
            _ => None,
        };
        if let Some(exact) = exact {
            return Ok(json!(exact));
        }
    }
    let (a, b) = (
        left.as_f64().unwrap_or(f64::NAN),
        right.as_f64().unwrap_or(f64::NAN),
    );
    let value = match operator {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        _ if b == 0.0 => return Err(zero()),
        '/' => a / b,
        _ => a % b,
    };
    Number::from_f64(value)
        .map(whole)
        .ok_or_else(|| Error::value("22003", "value out of range: overflow"))
}

fn compare(operator: &str, left: &Value, right: &Value) -> Option<bool> {
    let order = match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        // Null differs from everything else.
        (Value::Null, _) | (_, Value::Null) => return Some(operator == "!="),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?)?,
        },
        _ => return None,
    };
    Some(match operator {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}
