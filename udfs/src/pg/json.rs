//! Functions and operators over json and jsonb, which both are text here.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListBuilder, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::logical_expr::{Expr, Volatility};
use serde_json::Value;

use super::function::{PgFunction, call_with, rows};
use super::{json_change as change, jsonpath};
use crate::error::{Error, Result};

type Body = fn(&[ArrayRef]) -> Result<ArrayRef>;

/// Does the function behind an operator run here?
pub fn is_implemented(code: &str) -> bool {
    body(code).is_some()
}

pub fn operator(code: &str, returns: &DataType, args: Vec<Expr>) -> Expr {
    let body = body(code);
    let name = code.to_owned();
    let function = PgFunction::new(
        code,
        returns.clone(),
        Volatility::Immutable,
        Arc::new(move |arrays, _| match body {
            Some(body) => body(arrays),
            None => Err(Error::value("0A000", format!("{name} is not supported"))),
        }),
    );
    // What it does with a NULL is what it is for.
    let function = if code == "jsonb_set_lax" {
        function.lenient()
    } else {
        function
    };
    function.over(args)
}

/// A function by name, or `None`.
pub fn function(name: &str, returns: &DataType, args: Vec<Expr>) -> Option<Expr> {
    body(name)?;
    Some(operator(name, returns, args))
}

fn body(code: &str) -> Option<Body> {
    Some(match code {
        "json_object_field" | "jsonb_object_field" => {
            |a| step(a, false, |value, key| value.get(key))
        }
        "json_object_field_text" | "jsonb_object_field_text" => {
            |a| step(a, true, |value, key| value.get(key))
        }
        "json_array_element" | "jsonb_array_element" => |a| element(a, false),
        "json_array_element_text" | "jsonb_array_element_text" => |a| element(a, true),
        "json_extract_path" | "jsonb_extract_path" => |a| path(a, false),
        "json_extract_path_text" | "jsonb_extract_path_text" => |a| path(a, true),
        "jsonb_exists" => |a| {
            let (json, key) = (a[0].as_string::<i32>(), a[1].as_string::<i32>());
            boolean(a, |row| {
                Ok(exists(&parse(json.value(row))?, key.value(row)))
            })
        },
        "jsonb_exists_any" => |a| {
            let (json, keys) = (a[0].as_string::<i32>(), a[1].as_list::<i32>());
            boolean(a, |row| {
                let value = parse(json.value(row))?;
                let keys = keys.value(row);
                Ok(keys
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .any(|key| exists(&value, key)))
            })
        },
        "jsonb_exists_all" => |a| {
            let (json, keys) = (a[0].as_string::<i32>(), a[1].as_list::<i32>());
            boolean(a, |row| {
                let value = parse(json.value(row))?;
                let keys = keys.value(row);
                Ok(keys
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .all(|key| exists(&value, key)))
            })
        },
        "jsonb_contains" => |a| {
            let (left, right) = (a[0].as_string::<i32>(), a[1].as_string::<i32>());
            boolean(a, |row| {
                Ok(contains(
                    &parse(left.value(row))?,
                    &parse(right.value(row))?,
                    true,
                ))
            })
        },
        "jsonb_contained" => |a| {
            let (left, right) = (a[0].as_string::<i32>(), a[1].as_string::<i32>());
            boolean(a, |row| {
                Ok(contains(
                    &parse(right.value(row))?,
                    &parse(left.value(row))?,
                    true,
                ))
            })
        },
        "jsonb_concat" => |a| {
            let (left, right) = (a[0].as_string::<i32>(), a[1].as_string::<i32>());
            text(a, |row| {
                Ok(Some(normal(&joined(
                    parse(left.value(row))?,
                    parse(right.value(row))?,
                ))))
            })
        },
        "jsonb_delete" => |a| {
            let json = a[0].as_string::<i32>();
            text(a, |row| {
                let mut value = parse(json.value(row))?;
                match a[1].data_type() {
                    DataType::Utf8 => remove(&mut value, a[1].as_string::<i32>().value(row)),
                    DataType::Int32 => {
                        if let Value::Array(items) = &mut value
                            && let Some(at) =
                                index(items.len(), a[1].as_primitive::<Int32Type>().value(row))
                        {
                            items.remove(at);
                        }
                    }
                    _ => {
                        let keys = a[1].as_list::<i32>().value(row);
                        for key in keys.as_string::<i32>().iter().flatten() {
                            remove(&mut value, key);
                        }
                    }
                }
                Ok(Some(normal(&value)))
            })
        },
        "jsonb_delete_path" => |a| {
            let (json, path) = (a[0].as_string::<i32>(), a[1].as_list::<i32>());
            text(a, |row| {
                let mut value = parse(json.value(row))?;
                let path = path.value(row);
                let path: Vec<&str> = path.as_string::<i32>().iter().flatten().collect();
                change::delete(&mut value, &path)?;
                Ok(Some(normal(&value)))
            })
        },
        "jsonb_set" => |a| change::set(a),
        "jsonb_set_lax" => |a| change::set_lax(a),
        "jsonb_insert" => |a| change::insert(a),
        "json_object" => |a| change::object(a, false),
        "jsonb_object" => |a| change::object(a, true),
        "json_typeof" | "jsonb_typeof" => |a| {
            let json = a[0].as_string::<i32>();
            text(a, |row| Ok(Some(kind(&parse(json.value(row))?).to_owned())))
        },
        "json_array_length" | "jsonb_array_length" => |a| {
            let json = a[0].as_string::<i32>();
            let values: Int32Array = rows(a, |row| match parse(json.value(row))? {
                Value::Array(items) => Ok(Some(items.len() as i32)),
                Value::Object(_) => Err(Error::value(
                    "22023",
                    "cannot get array length of a non-array",
                )),
                _ => Err(Error::value("22023", "cannot get array length of a scalar")),
            })?;
            Ok(Arc::new(values))
        },
        "jsonb_pretty" => |a| {
            let json = a[0].as_string::<i32>();
            text(a, |row| {
                let mut out = String::new();
                pretty(&parse(json.value(row))?, 0, &mut out);
                Ok(Some(out))
            })
        },
        "json_strip_nulls" | "jsonb_strip_nulls" => |a| {
            let json = a[0].as_string::<i32>();
            text(a, |row| {
                let mut value = parse(json.value(row))?;
                strip_nulls(&mut value);
                Ok(Some(normal(&value)))
            })
        },
        "json_array_elements" | "jsonb_array_elements" => |a| {
            lists(a, |value| {
                items(value)?
                    .iter()
                    .map(|item| Ok(Some(normal(item))))
                    .collect()
            })
        },
        "json_array_elements_text" | "jsonb_array_elements_text" => {
            |a| lists(a, |value| Ok(items(value)?.iter().map(as_text).collect()))
        }
        "json_object_keys" | "jsonb_object_keys" => |a| {
            lists(a, |value| {
                Ok(members(value)?
                    .into_iter()
                    .map(|(key, _)| Some(key))
                    .collect())
            })
        },
        "json_each_value" => |a| {
            lists(a, |value| {
                Ok(members(value)?
                    .into_iter()
                    .map(|(_, value)| Some(normal(value)))
                    .collect())
            })
        },
        "json_each_text_value" => |a| {
            lists(a, |value| {
                Ok(members(value)?
                    .into_iter()
                    .map(|(_, value)| as_text(value))
                    .collect())
            })
        },
        _ => return jsonpath::body(code),
    })
}

pub fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|_| Error::value("22P02", "invalid input syntax for type json"))
}

/// jsonb's normal form: keys by length, then by bytes; a blank after each colon and comma.
pub fn normal(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(_) => {
            out.push('{');
            for (at, (key, item)) in sorted(value).into_iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                quote(key, out);
                out.push_str(": ");
                write(item, out);
            }
            out.push('}');
        }
        Value::String(text) => quote(text, out),
        other => out.push_str(&other.to_string()),
    }
}

/// A JSON string literal.
pub fn quote(text: &str, out: &mut String) {
    out.push_str(&Value::String(text.to_owned()).to_string());
}

fn sorted(value: &Value) -> Vec<(&String, &Value)> {
    let mut members: Vec<(&String, &Value)> = match value {
        Value::Object(members) => members.iter().collect(),
        _ => Vec::new(),
    };
    members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then(a.cmp(b)));
    members
}

/// An object's values, in the order in which jsonb keeps them.
pub(super) fn in_order(value: &Value) -> Vec<Value> {
    sorted(value)
        .into_iter()
        .map(|(_, value)| value.clone())
        .collect()
}

fn pretty(value: &Value, depth: usize, out: &mut String) {
    let indent = |depth: usize| "    ".repeat(depth);
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push_str("[\n");
            for (at, item) in items.iter().enumerate() {
                out.push_str(&indent(depth + 1));
                pretty(item, depth + 1, out);
                out.push_str(if at + 1 < items.len() { ",\n" } else { "\n" });
            }
            out.push_str(&indent(depth));
            out.push(']');
        }
        Value::Object(members) if !members.is_empty() => {
            out.push_str("{\n");
            let members = sorted(value);
            let count = members.len();
            for (at, (key, item)) in members.into_iter().enumerate() {
                out.push_str(&indent(depth + 1));
                quote(key, out);
                out.push_str(": ");
                pretty(item, depth + 1, out);
                out.push_str(if at + 1 < count { ",\n" } else { "\n" });
            }
            out.push_str(&indent(depth));
            out.push('}');
        }
        other => write(other, out),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(normal(other)),
    }
}

fn shown(value: &Value, as_plain: bool) -> Option<String> {
    if as_plain {
        as_text(value)
    } else {
        Some(normal(value))
    }
}

pub(super) fn index(length: usize, at: i32) -> Option<usize> {
    let at = if at < 0 {
        length.checked_sub(at.unsigned_abs() as usize)?
    } else {
        at as usize
    };
    (at < length).then_some(at)
}

pub(super) fn text(
    arrays: &[ArrayRef],
    each: impl Fn(usize) -> Result<Option<String>>,
) -> Result<ArrayRef> {
    let values: StringArray = rows(arrays, each)?;
    Ok(Arc::new(values))
}

fn boolean(arrays: &[ArrayRef], each: impl Fn(usize) -> Result<bool>) -> Result<ArrayRef> {
    let values: BooleanArray = rows(arrays, |row| each(row).map(Some))?;
    Ok(Arc::new(values))
}

fn step(
    arrays: &[ArrayRef],
    as_plain: bool,
    go: impl for<'v> Fn(&'v Value, &str) -> Option<&'v Value>,
) -> Result<ArrayRef> {
    let (json, key) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    text(arrays, |row| {
        let value = parse(json.value(row))?;
        Ok(go(&value, key.value(row)).and_then(|value| shown(value, as_plain)))
    })
}

fn element(arrays: &[ArrayRef], as_plain: bool) -> Result<ArrayRef> {
    let (json, at) = (
        arrays[0].as_string::<i32>(),
        arrays[1].as_primitive::<Int32Type>(),
    );
    text(arrays, |row| {
        let value = parse(json.value(row))?;
        Ok(match &value {
            Value::Array(items) => {
                index(items.len(), at.value(row)).and_then(|at| shown(&items[at], as_plain))
            }
            _ => None,
        })
    })
}

fn path(arrays: &[ArrayRef], as_plain: bool) -> Result<ArrayRef> {
    let (json, keys) = (arrays[0].as_string::<i32>(), arrays[1].as_list::<i32>());
    text(arrays, |row| {
        let value = parse(json.value(row))?;
        let keys = keys.value(row);
        let mut at = Some(&value);
        for key in keys.as_string::<i32>() {
            at = match (at, key) {
                (Some(Value::Object(members)), Some(key)) => members.get(key),
                (Some(Value::Array(items)), Some(key)) => key
                    .parse()
                    .ok()
                    .and_then(|at| index(items.len(), at))
                    .map(|at| &items[at]),
                _ => None,
            };
        }
        Ok(at.and_then(|value| shown(value, as_plain)))
    })
}

fn exists(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(members) => members.contains_key(key),
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(key)),
        Value::String(text) => text == key,
        _ => false,
    }
}

fn contains(left: &Value, right: &Value, top: bool) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => right.iter().all(|(key, value)| {
            left.get(key)
                .is_some_and(|found| contains(found, value, false))
        }),
        (Value::Array(left), Value::Array(right)) => right
            .iter()
            .all(|value| left.iter().any(|found| contains(found, value, false))),
        // A scalar is contained in an array that has it, at the top only.
        (Value::Array(left), scalar) if top => left.iter().any(|found| found == scalar),
        _ => left == right,
    }
}

fn joined(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Value::Object(left)
        }
        (left, right) => {
            let mut items = match left {
                Value::Array(items) => items,
                other => vec![other],
            };
            match right {
                Value::Array(more) => items.extend(more),
                other => items.push(other),
            }
            Value::Array(items)
        }
    }
}

fn remove(value: &mut Value, key: &str) {
    match value {
        Value::Object(members) => {
            members.remove(key);
        }
        Value::Array(items) => items.retain(|item| item.as_str() != Some(key)),
        _ => {}
    }
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

fn items(value: &Value) -> Result<&Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Object(_) => Err(Error::value(
            "22023",
            "cannot extract elements from an object",
        )),
        _ => Err(Error::value(
            "22023",
            "cannot extract elements from a scalar",
        )),
    }
}

fn members(value: &Value) -> Result<Vec<(String, &Value)>> {
    match value {
        Value::Object(_) => Ok(sorted(value)
            .into_iter()
            .map(|(key, value)| (key.clone(), value))
            .collect()),
        Value::Array(_) => Err(Error::value(
            "22023",
            "cannot deconstruct an array as an object",
        )),
        _ => Err(Error::value("22023", "cannot deconstruct a scalar")),
    }
}

fn lists(
    arrays: &[ArrayRef],
    each: impl Fn(&Value) -> Result<Vec<Option<String>>>,
) -> Result<ArrayRef> {
    let json = arrays[0].as_string::<i32>();
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(Arc::new(Field::new(
        "item",
        DataType::Utf8,
        true,
    )));
    for row in 0..json.len() {
        if json.is_null(row) {
            out.append(false);
            continue;
        }
        for item in each(&parse(json.value(row))?)? {
            out.values().append_option(item);
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

/// How an argument becomes JSON: by its own rules, which the binder knows from its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Text that is quoted.
    Quoted,
    /// Text that is JSON already: numbers, booleans, json.
    Plain,
}

/// `to_json(text)`, and with several arguments `json_build_array` or `json_build_object`; all
/// arguments are texts. `spaced` is jsonb's layout.
pub fn build(kind: Build, forms: Vec<Form>, args: Vec<Expr>) -> Expr {
    let identity = format!("{kind:?}{forms:?}");
    PgFunction::new(
        "json_build",
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(move |arrays, count| {
            let texts: Vec<&StringArray> = arrays
                .iter()
                .map(|array| array.as_string::<i32>())
                .collect();
            let mut out = StringBuilder::new();
            for row in 0..count {
                let value = |at: usize| (!texts[at].is_null(row)).then(|| texts[at].value(row));
                out.append_option(built(kind, &forms, &value)?);
            }
            Ok(Arc::new(out.finish()))
        }),
    )
    .identity(identity)
    .lenient()
    .over(args)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Build {
    /// One value; NULL stays NULL.
    Scalar {
        binary: bool,
    },
    Array {
        binary: bool,
    },
    /// Keys and values in turns; `compact` is row_to_json's layout.
    Object {
        binary: bool,
        compact: bool,
    },
}

fn built<'t>(
    kind: Build,
    forms: &[Form],
    value: &dyn Fn(usize) -> Option<&'t str>,
) -> Result<Option<String>> {
    let one = |at: usize, out: &mut String| match (value(at), forms[at]) {
        (None, _) => out.push_str("null"),
        (Some(text), Form::Quoted) => quote(text, out),
        (Some(text), Form::Plain) => out.push_str(text),
    };
    let mut out = String::new();
    let binary = match kind {
        Build::Scalar { binary } => {
            if value(0).is_none() {
                return Ok(None);
            }
            one(0, &mut out);
            binary
        }
        Build::Array { binary } => {
            out.push('[');
            for at in 0..forms.len() {
                if at > 0 {
                    out.push_str(", ");
                }
                one(at, &mut out);
            }
            out.push(']');
            binary
        }
        Build::Object { binary, compact } => {
            if forms.len() % 2 == 1 {
                return Err(Error::value(
                    "22023",
                    "argument list must have even number of elements",
                ));
            }
            out.push('{');
            for at in (0..forms.len()).step_by(2) {
                if at > 0 {
                    out.push_str(if compact { "," } else { ", " });
                }
                let key = value(at).ok_or_else(|| {
                    Error::value(
                        "22023",
                        format!("argument {}: key must not be null", at + 1),
                    )
                })?;
                quote(key, &mut out);
                out.push_str(if compact { ":" } else { " : " });
                one(at + 1, &mut out);
            }
            out.push('}');
            binary
        }
    };
    if binary {
        Ok(Some(normal(&parse(&out)?)))
    } else {
        Ok(Some(out))
    }
}

/// An array of texts as a JSON array.
pub fn from_array(array: Expr, form: Form, binary: bool) -> Expr {
    call_with(
        "array_to_json",
        format!("{form:?}{binary}"),
        DataType::Utf8,
        vec![array],
        move |arrays| {
            let list = arrays[0].as_list::<i32>();
            text(arrays, |row| {
                let items = list.value(row);
                let mut out = String::from("[");
                for (at, item) in items.as_string::<i32>().iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    match (item, form) {
                        (None, _) => out.push_str("null"),
                        (Some(item), Form::Quoted) => quote(item, &mut out),
                        (Some(item), Form::Plain) => out.push_str(item),
                    }
                }
                out.push(']');
                Ok(Some(if binary { normal(&parse(&out)?) } else { out }))
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_has_one_spelling() {
        let value = parse(r#"{"bb":1,"a":[1,{"x":null}],"c":"é\n"}"#).unwrap();
        assert_eq!(
            normal(&value),
            "{\"a\": [1, {\"x\": null}], \"c\": \"é\\n\", \"bb\": 1}"
        );
    }

    #[test]
    fn containment_is_of_parts() {
        let check =
            |left: &str, right: &str| contains(&parse(left).unwrap(), &parse(right).unwrap(), true);
        assert!(check(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[2]}"#));
        assert!(check("[1,2]", "2"));
        assert!(!check("[[1]]", "[1]"));
    }
}
