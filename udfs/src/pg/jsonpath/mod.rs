//! The SQL/JSON path language, as PostgreSQL's `jsonpath` has it, and the functions over it.

mod eval;
mod parse;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListBuilder, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field};
use serde_json::Value;

use super::function::rows;
use super::json::{normal, parse as parse_json};
use crate::error::{Error, Result};
use eval::Evaluation;
use parse::parse;

/// A function over jsonb, a path, and perhaps variables and whether errors are silent.
pub fn body(name: &str) -> Option<fn(&[ArrayRef]) -> Result<ArrayRef>> {
    Some(match name {
        "jsonb_path_exists" | "jsonb_path_exists_tz" => |a| exists(a, false),
        "jsonb_path_exists_opr" => |a| exists(a, true),
        "jsonb_path_match" | "jsonb_path_match_tz" => |a| matches(a, false),
        "jsonb_path_match_opr" => |a| matches(a, true),
        "jsonb_path_query" | "jsonb_path_query_tz" => query,
        "jsonb_path_query_array" | "jsonb_path_query_array_tz" => {
            |a| texts(a, |items| Some(normal(&Value::Array(items))))
        }
        "jsonb_path_query_first" | "jsonb_path_query_first_tz" => {
            |a| texts(a, |items| items.first().map(normal))
        }
        _ => return None,
    })
}

/// The items that a row's path finds; `None` where an error was silenced.
fn found(arrays: &[ArrayRef], row: usize, silent: bool) -> Result<Option<Vec<Value>>> {
    let json = parse_json(arrays[0].as_string::<i32>().value(row))?;
    let path = parse(arrays[1].as_string::<i32>().value(row))?;
    let variables = match arrays.get(2) {
        Some(variables) => match parse_json(variables.as_string::<i32>().value(row))? {
            Value::Object(variables) => variables,
            _ => {
                return Err(Error::value("22023", "\"vars\" argument is not an object"));
            }
        },
        None => serde_json::Map::new(),
    };
    let silent = silent
        || arrays
            .get(3)
            .is_some_and(|silent| silent.as_boolean().value(row));
    match Evaluation::new(&json, &variables, &path).run() {
        Ok(items) => Ok(Some(items)),
        Err(_) if silent => Ok(None),
        Err(error) => Err(error),
    }
}

fn exists(arrays: &[ArrayRef], silent: bool) -> Result<ArrayRef> {
    let values: BooleanArray = rows(arrays, |row| {
        Ok(found(arrays, row, silent)?.map(|items| !items.is_empty()))
    })?;
    Ok(Arc::new(values))
}

fn matches(arrays: &[ArrayRef], silent: bool) -> Result<ArrayRef> {
    let values: BooleanArray = rows(arrays, |row| {
        let silent = silent
            || arrays
                .get(3)
                .is_some_and(|silent| silent.as_boolean().value(row));
        match found(arrays, row, silent)?.as_deref() {
            Some([Value::Bool(value)]) => Ok(Some(*value)),
            Some([Value::Null]) | None => Ok(None),
            Some(_) if silent => Ok(None),
            Some(_) => Err(Error::value("22038", "single boolean result is expected")),
        }
    })?;
    Ok(Arc::new(values))
}

fn texts(arrays: &[ArrayRef], each: impl Fn(Vec<Value>) -> Option<String>) -> Result<ArrayRef> {
    let values: StringArray = rows(arrays, |row| Ok(found(arrays, row, false)?.and_then(&each)))?;
    Ok(Arc::new(values))
}

fn query(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(field);
    for row in 0..arrays[0].len() {
        if arrays.iter().any(|array| array.is_null(row)) {
            out.append(false);
            continue;
        }
        for item in found(arrays, row, false)?.unwrap_or_default() {
            out.values().append_value(normal(&item));
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, path: &str, expected: &str) {
        let json: Value = serde_json::from_str(json).expect("JSON");
        let path = parse(path).expect(path);
        let none = serde_json::Map::new();
        let items = Evaluation::new(&json, &none, &path).run();
        let shown = match items {
            Ok(items) => items.iter().map(normal).collect::<Vec<_>>().join(" "),
            Err(Error::Value { code, .. }) => format!("error {code}"),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn paths_find_what_postgresql_finds() {
        let json = r#"{"a": [1, 2, {"b": 3}], "c": {"d": "xyz"}, "n": null}"#;
        check(json, "$.a[*]", r#"1 2 {"b": 3}"#);
        check(json, "$.a[last].b", "3");
        check(json, "$.a[0 to 1]", "1 2");
        check(json, "$.a ? (@ > 1)", "2");
        check(json, "$.a.size()", "3");
        check(json, "$.c.d ? (@ starts with \"x\")", "\"xyz\"");
        check(json, "$.c.d ? (@ like_regex \"^X\" flag \"i\")", "\"xyz\"");
        // An array on the way opens by itself, so what is in it is met twice.
        check(json, "$.**.b", "3 3");
        check(json, "$.x", "");
        check(json, "strict $.x", "error 2203A");
        check(json, "$.a[0] + 4", "5");
        check(json, "$.n.type()", "\"null\"");
        check(json, "exists($.c ? (@.d == \"xyz\"))", "true");
        check(json, "$.a[0] == 1 && !($.a[1] == 1)", "true");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", "$.", "$[", "$ ? (", "@", "$.a ?"] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
