//! Members of JSON objects as the text from which a column's type reads its value.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use serde_json::Value;

use super::function::{call_with, rows};
use super::json::{normal, parse};
use crate::error::{Error, Result};

/// What the column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// A string's characters, anything else as it is spelled.
    Plain,
    /// JSON itself.
    Json,
    /// An array as PostgreSQL writes arrays.
    Array,
}

/// A member by its key; NULL if it is missing or null. `function` is whom errors name.
pub fn member(function: &str, json: Expr, key: &str, column: Column) -> Expr {
    let (name, key) = (function.to_owned(), key.to_owned());
    call_with(
        "json_member",
        format!("{function}{key}{column:?}"),
        DataType::Utf8,
        vec![json],
        move |arrays| {
            let json = arrays[0].as_string::<i32>();
            let texts: StringArray = rows(arrays, |row| {
                let value = parse(json.value(row))?;
                match (&value, value.get(&key)) {
                    (Value::Object(_), Some(member)) => text_for(member, &key, column),
                    (Value::Object(_) | Value::Null, None) => Ok(None),
                    (Value::Array(_), _) => Err(not_on(&name, "an array")),
                    _ => Err(not_on(&name, "a scalar")),
                }
            })?;
            Ok(Arc::new(texts))
        },
    )
}

fn not_on(function: &str, what: &str) -> Error {
    Error::value("22023", format!("cannot call {function} on {what}"))
}

fn text_for(member: &Value, key: &str, column: Column) -> Result<Option<String>> {
    Ok(match (member, column) {
        (Value::Null, _) => None,
        (other, Column::Json) => Some(normal(other)),
        (Value::String(text), _) => Some(text.clone()),
        (Value::Array(items), Column::Array) => {
            let mut out = String::new();
            put_array(items, &mut out);
            Some(out)
        }
        (_, Column::Array) => {
            return Err(Error::Value {
                code: "22P02",
                message: "expected JSON array".to_owned(),
                hint: Some(format!("See the value of key \"{key}\".")),
            });
        }
        (other, Column::Plain) => Some(normal(other)),
    })
}

fn put_array(items: &[Value], out: &mut String) {
    out.push('{');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match item {
            Value::Null => out.push_str("NULL"),
            Value::Array(inner) => put_array(inner, out),
            Value::String(text) => put_quoted(text, out),
            other => put_quoted(&normal(other), out),
        }
    }
    out.push('}');
}

fn put_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_what_their_column_reads() {
        let value =
            parse(r#"{"a": "x\"y", "n": null, "l": [1, "b,\"", null, [2]], "o": {"k": 1}}"#)
                .unwrap();
        let text = |key: &str, column| text_for(&value[key], key, column);
        assert_eq!(text("a", Column::Plain).unwrap().as_deref(), Some("x\"y"));
        assert_eq!(
            text("a", Column::Json).unwrap().as_deref(),
            Some("\"x\\\"y\"")
        );
        assert_eq!(text("n", Column::Json).unwrap(), None);
        assert_eq!(
            text("l", Column::Array).unwrap().as_deref(),
            Some("{\"1\",\"b,\\\"\",NULL,{\"2\"}}")
        );
        assert_eq!(
            text("o", Column::Plain).unwrap().as_deref(),
            Some("{\"k\": 1}")
        );
        assert!(text("o", Column::Array).is_err());
    }
}
